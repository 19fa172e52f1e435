"""Tables and figure of docs/placement.md from benchmarks/results/placement.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

import manual


def write_docs(report: dict[str, Any], page: Path) -> None:
    """Replace what stands between the two marks of the page."""
    manual.put(page, "measured", "\n".join(lines(report)))


def grid(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table and an empty one."""
    return [*manual.table(head, rows, None), ""]


def triple(figures: dict[str, float], *names: str) -> str:
    return " / ".join(f"{figures[name]:.3f}" for name in names)


def lines(report: dict[str, Any]) -> list[str]:
    there = report["environment"]
    return [
        "All figures come from `python benchmarks/placement.py`, file",
        "`benchmarks/results/placement.json`. Times are CPU milliseconds of the solving thread",
        f"after warm-up ({there['cpu']}, {there['cores']} cores, load average "
        f"{there['load_average'][0]:.1f} to {there['load_average_end'][0]:.1f}: a busy machine is",
        'slower). "Best found" is the better of `best_known` and all own modes; losses are signed,',
        "negative means better than the reference.",
        "",
        "### Public problems",
        "",
        *_modes(report["public"], True),
        "### Own random problems of the same kinds",
        "",
        f"{report['fresh_instances']} instances a class, other seeds than those used for tuning.",
        "",
        *_modes(report["fresh"], False),
        "### The methods on one class",
        "",
        "N = 8, K = L = 10, region 4 x 4, no interferers.",
        "",
        *grid(
            ["method", "dB to the best found, median (10 % - 90 %)", "CPU [ms]"],
            [
                [
                    name,
                    f"{row['gain_db']['median']:.2f} ({row['gain_db']['p10']:.2f} to "
                    f"{row['gain_db']['p90']:.2f})",
                    f"{row['cpu_ms']:.3g}",
                ]
                for name, row in report["methods"].items()
            ],
        ),
        "![loss against time](../benchmarks/results/placement.png)",
        "",
        *_alternating(report["against_alternating_cvxpy"]),
        "### Growth (fast mode, L = 10)",
        "",
        *grid(
            ["N", "K", "CPU [ms]", "ns / (N² K L)", "certified gap [dB]"],
            [
                [
                    str(row["antennas"]),
                    str(row["clients"]),
                    f"{row['cpu_ms']:.3g}",
                    f"{row['ns_per_n2kl']:.0f}",
                    f"{row['certified_gap_db']:.2f}",
                ]
                for row in report["growth"]
            ],
        ),
        "### Certificates",
        "",
        *grid(
            ["class", "gap of the bound to the best found, median / worst [dB]", "CPU [ms]"],
            [
                [
                    _short(name),
                    f"{row['bound_gap_db']['median']:.2f} / {row['bound_gap_db']['worst']:.2f}",
                    f"{row['bound_ms']['median']:.0f}",
                ]
                for name, row in report["public"].items()
            ],
        ),
        *_fixed(report.get("proved_beamformer")),
        *_others(report),
    ]


def _fixed(proved: dict[str, Any] | None) -> list[str]:
    """Nothing for a report from before this section."""
    if proved is None:
        return []
    rows = [
        [
            row["instance"],
            f"{row['semidefinite_gap_db']:.3f}",
            f"{row['to_optimum_db']:.3f}",
            f"{row['cpu_ms']:.0f}",
        ]
        for row in proved["semidefinite_gap_over_0.1_db"]
    ]
    head = ["instance", "below the semidefinite bound [dB]", "below the proved bound [dB]"]
    return [
        "### Fixed arrays: the proved optimum",
        "",
        f"`beamform` on the half-wavelength array of {proved['instances']} public problems: proved",
        f"within 0.01 dB of the optimum on {proved['proved_within_0.01_db']}, worst "
        f"{proved['to_optimum_db']['worst']:.3f} dB; the proof takes "
        f"{proved['cpu_ms']['median']:.1f} ms (median) and",
        f"{proved['cpu_ms']['worst']:.0f} ms (worst), and bettered the beamformer by "
        f"{proved['improved_db_worst']:.4f} dB at most.",
        "Where the semidefinite bound is more than 0.1 dB away, that distance is the relaxation's:",
        "",
        *grid([*head, "CPU of the proof [ms]"], rows),
    ]


def _short(name: str) -> str:
    return name.removeprefix("public_")


def _modes(classes: dict[str, Any], known: bool) -> list[str]:
    head = ["class", "mode", "loss to best found, median / p90 / worst [dB]"]
    head += ["CPU, median / worst [ms]"]
    if known:
        head += ["loss to `best_known`, median / worst [dB]", "`best_known` beaten"]
    rows = []
    for name, entry in classes.items():
        for mode, row in entry["modes"].items():
            cells = [_short(name), mode, triple(row["loss_to_best_db"], "median", "p90", "worst")]
            cells += [f"{row['cpu_ms']['median']:.1f} / {row['cpu_ms']['worst']:.1f}"]
            if known:
                cells += [triple(row["loss_db"], "median", "worst")]
                cells += [f"{row['beats_best_known']} of {entry['instances']}"]
            rows.append(cells)
    return grid(head, rows)


def _alternating(report: dict[str, Any]) -> list[str]:
    text = [
        "### Against alternating optimisation with cvxpy",
        "",
        "Clarabel, problems built once (DPP), from the same random start, in turn in one process.",
        "`single` moves one antenna after the other with curvature bounds, the usual way: with",
        "several clients at the worst gain one antenna alone soon helps nobody, so it ends early.",
        "`joint` moves all antennas at once on the linearised problem in a trust region, which is",
        "stronger than usual.",
        "",
    ]
    rows = []
    for move, entry in report.items():
        for name, row in entry["against"].items():
            rows.append(
                [
                    f"{move} ({entry['cpu_ms']['median']:.0f} ms)",
                    name,
                    f"{row['times_faster_median']:.0f}",
                    f"{row['db_better_median']:.2f}",
                ]
            )
    head = ["alternating (CPU)", "solver", "times faster, median", "dB better, median"]
    return [*text, *grid(head, rows)]


def _others(report: dict[str, Any]) -> list[str]:
    warm, beam, batch = report["warm_start"], report["beamformer"], report["batch"]
    first = report["compilation_s"]
    return [
        "### Others",
        "",
        f"- Warm start (channel correlation 0.95): {warm['times_faster']:.1f} times faster,",
        f"  gain changed by {warm['gain_change_db']:.3f} dB (medians of {warm['instances']}).",
        f"- Beamformer of the fixed array, {beam['instances']} instances: SQP "
        f"{beam['sqp']['cpu_ms']:.1f} ms and {beam['sqp']['sdp_gap_db']['median']:.3f} dB, worst",
        f"  {beam['sqp']['sdp_gap_db']['worst']:.3f} dB, below the semidefinite bound; conjugate "
        f"gradient on the oblique manifold {beam['oblique']['cpu_ms']:.0f} ms,",
        f"  {beam['oblique']['sdp_gap_db']['median']:.3f} dB, worst "
        f"{beam['oblique']['sdp_gap_db']['worst']:.3f} dB.",
        f"- A batch of {batch['instances']} on one and two threads: {batch['wall_ms_1']:.0f} and "
        f"{batch['wall_ms_2']:.0f} ms of wall time; same answers:",
        f"  {'yes' if batch['same_answers'] else 'no'}.",
        f"- First solve of a process: {first['cold_cpu']:.0f} s of CPU when nothing is kept, "
        f"{first['kept_cpu']:.1f} s with the kept machine code.",
    ]


def figure(rows: dict[str, Any], out: Path) -> None:
    """Loss against milliseconds."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    markers, colours = "osD^v<>PX*", mpl.colormaps["tab20"].colors
    for index, (name, row) in enumerate(rows.items()):
        loss = max(1e-3, -row["gain_db"]["median"])
        style = {"marker": markers[index % len(markers)], "color": colours[index % len(colours)]}
        ax.scatter(row["cpu_ms"], loss, s=30, label=name, edgecolors="black", lw=0.4, **style)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("CPU time per instance [ms]")
    ax.set_ylabel("median loss to the best found [dB]")
    ax.set_title("N = 8, K = L = 10, 4 x 4 wavelengths")
    ax.grid(alpha=0.3)
    fig.legend(loc="outside right upper", fontsize=7, frameon=False)
    fig.savefig(out, dpi=150)
    plt.close(fig)
