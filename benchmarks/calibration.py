"""The calibrated bound beside the loss of a small LLaMA, and calibrations of two models.

Writes benchmarks/results/calibration.json and docs/figures/bound-llama.png.  Runs that are in the
JSON already are not repeated; remove the file to start over.

    python benchmarks/calibration.py [--alpaca FILE --corpus FILE --gguf FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import manual
from airtune import record
from airtune.bound import convergence as bound
from airtune.bound.calibrate import calibrate
from airtune.learning.learner import Learner, prepare
from airtune.learning.measurements import Measurements
from airtune.radio import scales
from airtune.report.style import COLUMN_WIDTH, FAINT, INK, new_figure, sheet
from airtune.scenario import Scenario
from airtune.scenario.file import load
from runs import run_on

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "calibration.json"
FIGURE = ROOT / "docs" / "figures" / "bound-llama.png"
MANUAL = ROOT / "docs" / "calibration.md"
ROUNDS, EVERY, RUNS = 20, 2, 5
STEPS = 300
"""Pre-training, less than the quickstart's: the fine-tuning tasks leave more to learn."""
SCHEMES = ("movable", "fixed")
SETTINGS = (
    "name=bound-llama",
    f"training.rounds={ROUNDS}",
    "training.server_optimizer=sgd",
    "training.learning_rate=1000",  # the calibration shortens it to 1/L
    "training.batch_size_max=4",
    "aggregation.normalise=loaded",
    "evaluation.records=100",
    f"pretraining.steps={STEPS}",
    f"evaluation.every={EVERY}",
    f"calibration.rounds={ROUNDS}",
    "calibration.points=4",
    "calibration.samples=32",
    "calibration.curvature_samples=32",
    "calibration.iterations=20",
    "calibration.shift_samples=500",
    "budget.latency_s=",
)


class Recording:
    """An air interface that keeps what it adds to the aggregate, and the MSE behind it."""

    def __init__(self, air: Any, rule: scales.Normalise) -> None:
        self._air, self._rule = air, rule
        self.air = self.mse = 0.0

    def __getattr__(self, name: str) -> Any:
        """Leave all else to the interface."""
        return getattr(self._air, name)

    def combine(self, uploads: Any, link: Any, backoff: float) -> Any:
        """Combine as the interface does, and keep the error that it predicts."""
        received = self._air.combine(uploads, link, backoff)
        sizes, weights = uploads.matrix_sizes, uploads.omega
        reports = scales.report_scales(uploads.updates, sizes)
        common = scales.normalise_updates(reports, weights, self._rule)
        variance = np.sqrt(weights @ reports.deviations**2)
        self.air = float(received.predicted_mse * (sizes @ variance**2))
        self.mse = self.air / common.total_error
        return received


def follow(scenario: Scenario, scheme: str, seed: int, learner: Learner) -> dict[str, Any]:
    """Run one scheme and measure the training loss on the calibration samples as it goes."""
    loss = Measurements(learner, scenario.seed).tuning()
    run = run_on(learner, scenario, scheme, seed)
    recorded = Recording(run.scheme.air, scenario.aggregation.normalise)
    run.scheme = replace(run.scheme, air=recorded)  # type: ignore[arg-type]
    batch = np.asarray(run.plan.batch_sizes, float)
    found: dict[str, Any] = {"round": [], "training": [], "validation": [], "air": [], "mse": []}

    def look(validation: float) -> None:
        losses = [x.mean() for x in loss.losses(run.state.adapter)]
        found["round"].append(run.state.round)
        found["training"].append(float(loss.weights @ losses))
        found["validation"].append(validation)

    look(learner.evaluate(run.state.adapter).loss)
    for _ in range(ROUNDS):
        line = run.run_round()
        found["air"].append(recorded.air)
        found["mse"].append(recorded.mse)
        if line["loss"] is not None:
            look(line["loss"])
    omega = learner.data_sizes / learner.data_sizes.sum()
    found["batch_noise_over_sigma_sq"] = float(np.sum(omega**2 / batch))
    return found


def compare(constants: bound.BoundConstants, floor: float, runs: list[dict[str, Any]]) -> Any:
    """Bounds and mean measured gap F - floor at the rounds that were measured."""
    at = np.array(runs[0]["round"])
    gap = np.mean([run["training"] for run in runs], axis=0) - floor
    noise = np.full(ROUNDS, constants.sigma_g_sq * runs[0]["batch_noise_over_sigma_sq"])
    mse = np.mean([run["mse"] for run in runs], axis=0)
    air = np.mean([run["air"] for run in runs], axis=0)
    start = float(bound.pretraining_gap(constants, STEPS, 32))

    def total(initial: float, shift: float, errors: np.ndarray) -> np.ndarray:
        return bound.bound_over_rounds(
            constants, initial=initial, shift=shift, noise=noise, air=errors
        )["total"][at]

    bounds = {
        "before the run": total(start, bound.shift_gap(constants), constants.G_sq * mse),
        "from the measured start": total(gap[0], 0.0, constants.G_sq * mse),
        "and the G of each round": total(gap[0], 0.0, air),
    }
    # A gap near 0 has no meaningful ratio.
    known = gap > 0.05 * gap[0]
    return {
        "F_star": floor,
        "mu": constants.mu,
        "round": at.tolist(),
        "gap": gap.tolist(),
        "validation": np.mean([run["validation"] for run in runs], axis=0).tolist(),
        "mean_mse": float(mse.mean()),
        "bounds": {name: x.tolist() for name, x in bounds.items()},
        "ratio": {
            name: [float(r) if ok else None for r, ok in zip(x / gap, known, strict=True)]
            for name, x in bounds.items()
        },
        "violations": {
            name: int(np.sum(gap[1:] > x[1:] * (1 + 1e-9))) for name, x in bounds.items()
        },
    }


def draw(document: dict[str, Any]) -> None:
    """Bound and measured gap: schemes in rows, the two readings of F* in columns."""
    styles = {
        "before the run": (FAINT, "-."),
        "from the measured start": ("#0072b2", "--"),
        "and the G of each round": ("#009e73", (0, (2, 1))),
    }
    titles = {"calibrated": "F* from the early curve", "zero": "F* = 0"}
    with sheet():
        figure = new_figure(4.6)
        figure.set_figwidth(2 * COLUMN_WIDTH)
        panels = figure.subplots(len(SCHEMES), 2, sharex=True, sharey=True)
        for row, scheme in zip(panels, SCHEMES, strict=True):
            for axes, (reading, title) in zip(row, titles.items(), strict=True):
                found = document["llama"]["schemes"][scheme]["compared"][reading]
                gap = np.array(found["gap"])
                shown = np.where(gap > 0, gap, np.nan)
                axes.plot(found["round"], shown, "o-", color=INK, label="measured gap F - F*")
                for name, (color, dash) in styles.items():
                    curve = found["bounds"][name]
                    axes.plot(found["round"], curve, color=color, ls=dash, label=f"bound {name}")
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter("{x:g}")
                axes.set_title(f"{scheme}, {title}")
            row[0].set_ylabel("gap [nat]")
        for axes in panels[-1]:
            axes.set_xlabel("round")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
        for suffix in (".png", ".pdf"):
            options = {"metadata": {"CreationDate": None}} if suffix == ".pdf" else {}
            figure.savefig(FIGURE.with_suffix(suffix), dpi=200, **options)


def llama(document: dict[str, Any]) -> None:
    """Calibrate the small LLaMA under an SGD server and run it with the step of the bound."""
    part = document.setdefault("llama", {"settings": list(SETTINGS), "schemes": {}})
    scenario = load("quickstart", SETTINGS)
    learner = prepare(scenario, scenario.seed)
    began = time.process_time()
    found = calibrate(scenario, scenario.seed, learner)
    part.setdefault("calibration_cpu_s", time.process_time() - began)
    part["constants"] = {n: x for one in found.values() for n, x in one["constants"].items()}
    part["floor"] = found["tuning"]["floor"]
    part["null_distance"] = found["shift"]["null"]
    part["sliced_distance"] = found["shift"]["sliced"]
    values = {name: x["value"] for name, x in part["constants"].items()}
    constants = bound.BoundConstants.from_mapping(values)
    settings = scenario.to_dict()
    settings["bound"] = values
    settings["training"]["learning_rate"] = values["eta"]
    scenario = Scenario.model_validate(settings)
    for scheme in SCHEMES:
        entry = part["schemes"].setdefault(scheme, {"runs": {}})
        for seed in range(1, RUNS + 1):
            if str(seed) not in entry["runs"]:
                began = time.process_time()
                run = follow(scenario, scheme, seed, learner)
                run["cpu_s"] = time.process_time() - began
                entry["runs"][str(seed)] = run
                save(document)
                print(scheme, seed, run["training"], flush=True)
        runs = list(entry["runs"].values())
        # F* of the early curve may be too high; 0 is below any, with the mu that belongs to it.
        safe = replace(constants, mu=part["constants"]["mu"]["low"])
        entry["compared"] = {
            "calibrated": compare(constants, part["floor"], runs),
            "zero": compare(safe, 0.0, runs),
        }
        print(scheme, json.dumps(entry["compared"]), flush=True)


def ready(document: dict[str, Any], gguf: Path, alpaca: Path, corpus: Path) -> None:
    """Calibrate a ready model on instructions, with web text for its pre-training data."""
    settings = [
        f"model.source={gguf}",
        f"data.source={alpaca}",
        f"data.pretraining_corpus={corpus}",
        "data.partition=iid",
        "data.max_tokens=64",
        "data.max_records=200",
        "clients.count=4",
        "calibration.rounds=8",
        "calibration.points=2",
        "calibration.clients=4",
        "calibration.samples=8",
        "calibration.curvature_samples=4",
        "calibration.iterations=8",
        "calibration.shift_samples=64",
        "training.learning_rate=1e-3",
        "budget.latency_s=",
    ]
    scenario = load("quickstart", settings)
    learner = prepare(scenario, scenario.seed)
    cpu, wall = time.process_time(), time.perf_counter()
    found = calibrate(scenario, scenario.seed, learner, {"L", "W1"}, show)
    document["ready"] = {
        "model": gguf.name,
        "settings": [
            x
            for x in settings
            if not x.startswith(("model.source", "data.source")) and "corpus" not in x
        ],
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "constants": {n: x for one in found.values() for n, x in one["constants"].items()},
        "null_distance": found["shift"]["null"],
        "sliced_distance": found["shift"]["sliced"],
    }
    save(document)


def constants_table(constants: dict[str, Any]) -> list[str]:
    """Rows of a table of constants."""
    rows = []
    for name, x in constants.items():
        error = "–" if x["error"] is None else f"{x['error']:.2g}"
        rows.append([name, f"{x['value']:.3g}", error, f"{x['low']:.3g} … {x['high']:.3g}"])
    return manual.table(["constant", "value", "standard error", "range"], rows, None)


def tightness_table(schemes: dict[str, Any]) -> list[str]:
    """Rows of the table of the bound over the measured gap."""
    names = list(schemes[SCHEMES[0]]["compared"]["zero"]["ratio"])
    head = ["scheme, mean MSE", "F*, mu", "round", "gap [nat]"]
    head += [*(f"bound {name}" for name in names), "violations"]
    rows = []
    for scheme in SCHEMES:
        for found in schemes[scheme]["compared"].values():
            broken = ", ".join(str(x) for x in found["violations"].values())
            for i in (0, 1, len(found["round"]) // 2, -1):
                ratios = [found["ratio"][name][i] for name in names]
                rows.append(
                    [
                        f"{scheme}, {found['mean_mse']:.2g}",
                        f"{found['F_star']:.2f}, {found['mu']:.2g}",
                        f"{found['round'][i]}",
                        f"{found['gap'][i]:.2f}",
                        *("–" if ratio is None else f"{ratio:.1f}" for ratio in ratios),
                        broken,
                    ]
                )
    return manual.table(head, rows, None)


def write_tables(document: dict[str, Any]) -> None:
    """Put the tables between their marks in the manual."""
    tables = {}
    if "llama" in document:
        tables["llama"] = constants_table(document["llama"]["constants"])
        tables["tightness"] = tightness_table(document["llama"]["schemes"])
    if "ready" in document:
        tables["ready"] = constants_table(document["ready"]["constants"])
    for name, rows in tables.items():
        manual.put(MANUAL, name, "\n".join(rows))


def show(text: str, fraction: float) -> None:
    """Print progress."""
    print(f"{fraction:4.0%} {text}", flush=True)


def save(document: dict[str, Any]) -> None:
    """Write the JSON."""
    document["environment"] = record.environment(load("quickstart"))
    RESULT.parent.mkdir(exist_ok=True)
    record.write_json(RESULT, document)


def main() -> None:
    """Measure what is missing and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("--gguf", "--alpaca", "--corpus"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    document: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    if given.gguf and "ready" not in document:
        ready(document, given.gguf.resolve(), given.alpaca, given.corpus)
        write_tables(document)
        return
    llama(document)
    save(document)
    draw(document)
    write_tables(document)


if __name__ == "__main__":
    main()
