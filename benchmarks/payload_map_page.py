"""Tables, figure and plain words of benchmarks/payload_map.py."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import manual

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "payload_map.json"
FIGURE = ROOT / "benchmarks" / "results" / "payload_map.png"
MANUAL = ROOT / "docs" / "payloads.md"

SENT: dict[str, tuple[str, ...]] = {
    "lora": ("aggregation.payload=lora",),
    "ffa": ("aggregation.payload=ffa",),
    "mask 16384": ("aggregation.payload=mask", "aggregation.payload_size=16384"),
    "mask 4096": ("aggregation.payload=mask", "aggregation.payload_size=4096"),
    "rolora": ("aggregation.payload=rolora",),
    "subspace 16384": ("aggregation.payload=subspace", "aggregation.payload_size=16384"),
    "subspace 4096": ("aggregation.payload=subspace", "aggregation.payload_size=4096"),
}
SCENARIOS = ("paper-v1", "cell-edge")
AIR = ("movable", "fixed", "selection")
CODINGS = ("lloyd-max-1", "lloyd-max-2", "lloyd-max-4")
SCHEMES = (*AIR, "digital")
BANDS = (2e5, 1e6, 5e6, 2e7)
SEEDS = (1, 2, 3)
SLOW, FAST = "4.8 GFLOP/s", "1 TFLOP/s"
DEVICES = {
    SLOW: ("client_processor.flop_per_cycle=4.8", "client_processor.kappa=6.75e-30"),
    FAST: ("client_processor.flop_per_cycle=1000", "client_processor.kappa=6.25e-27"),
}
"""At 1 GHz; the first has time and energy of 16 FLOP a cycle at 0.3 GHz, kappa = 2.5e-28 J s^2."""

FIGURES = {"time_s": "time [s]", "energy_j": "energy [J]"}
NEVER = math.inf
TIE = 0.02
"""Relative difference below which two are called equal."""

Cells = dict[str, Any]


def reference_name(seed: int) -> str:
    """Return the key of what sets the target of a seed."""
    return f"reference; seed {seed}"


def bits_name(coding: str, sent: str, seed: int) -> str:
    """Return the key of a coding with a payload."""
    return f"{coding}; {sent}; seed {seed}"


def air_name(scenario: str, scheme: str, sent: str, band: float, seed: int) -> str:
    """Return the key of a scheme over the air."""
    return f"{place(scenario, band)}; {scheme}; {sent}; seed {seed}"


def place(scenario: str, band: float) -> str:
    """Return the name of a scenario at a bandwidth."""
    return f"{scenario}, {band / 1e6:g} MHz"


@dataclass(frozen=True)
class Value:
    """Time or energy to the target of a scheme with a payload: a median over the seeds.

    Attributes
    ----------
    value : float
        Infinite: half of the seeds or more never arrived.
    rounds : float
    sent, band, how
        The payload, the bandwidth that is used, and the coding of a digital scheme.
    """

    value: float
    rounds: float
    sent: str
    band: float
    how: str = ""


def seeds_of(cells: Cells) -> list[int]:
    """Return the seeds that are counted: the first, and those that have all that it has."""
    stems: dict[int, set[str]] = {seed: set() for seed in SEEDS}
    for name in cells:
        stem, _, seed = name.rpartition("; seed ")
        stems.setdefault(int(seed), set()).add(stem)
    first = stems[SEEDS[0]]
    return [seed for seed in SEEDS if first and stems[seed] >= first]


def measured(cells: Cells, scenario: str, scheme: str, sent: str, band: float) -> list[list[Any]]:
    """Return what the seeds have of a scheme at exactly this bandwidth, a list for each coding.

    Nothing where a seed is missing.
    """
    seeds, found = seeds_of(cells), []
    for how in CODINGS if scheme == "digital" else ("",):
        if scheme == "digital":
            runs = [cells.get(bits_name(how, sent, s)) for s in seeds]
            one = [r and {**r["places"][place(scenario, band)], "how": how} for r in runs]
        else:
            one = [cells.get(air_name(scenario, scheme, sent, band, s)) for s in seeds]
        if seeds and all(one):
            found.append(one)
    return found


@dataclass(frozen=True)
class Row:
    """A row of a table: figure, device, scenario and bandwidth."""

    figure: str
    device: str
    scenario: str
    band: float

    @property
    def place(self) -> str:
        """Scenario and bandwidth."""
        return place(self.scenario, self.band)


def best(cells: Cells, row: Row, scheme: str, sent: str | None = None) -> Value | None:
    """Return the least value of a scheme, over payloads, codings and parts of the band.

    None: nothing of it has been measured.
    """
    found = []
    for one in SENT if sent is None else (sent,):
        for part in (b for b in BANDS if b <= row.band):
            for runs in measured(cells, row.scenario, scheme, one, part):
                figures = [run["devices"][row.device] for run in runs]
                values = median(_or_never(r[row.figure]) for r in figures)
                rounds = median(_or_never(r["rounds"]) for r in figures)
                found.append(Value(values, rounds, one, part, runs[0].get("how", "")))
    return min(found, key=lambda v: v.value) if found else None


def _or_never(value: float | None) -> float:
    return NEVER if value is None else value


def complete(cells: Cells) -> list[str]:
    """Return the payloads of which every scheme has been measured at the nominal bandwidth."""
    return [
        sent
        for sent in SENT
        if all(measured(cells, name, scheme, sent, 1e6) for name in SCENARIOS for scheme in SCHEMES)
    ]


def bands_of(cells: Cells, payloads: list[str]) -> list[float]:
    """Return the bandwidths that have been measured, of all payloads over the air."""
    found = [
        band
        for band in BANDS[:-1]
        if all(
            measured(cells, name, scheme, sent, band)
            for name in SCENARIOS
            for scheme in AIR
            for sent in payloads
        )
    ]
    return [*found, *BANDS[-1:]] if found and found[-1] == BANDS[-2] else found


def text(cells: Cells) -> str:
    """Return the section of the manual, and draw its figure; nothing before there is a map."""
    payloads = complete(cells)
    if not payloads:
        return ""
    cells = {
        name: cell
        for name, cell in cells.items()
        if name.startswith("reference") or any(f"; {sent};" in name for sent in payloads)
    }
    bands = bands_of(cells, payloads)
    draw(cells, payloads, bands)
    parts = ["## Where movable antennas pay, and where not", "", *_about(cells, payloads, bands)]
    for device in DEVICES:
        for figure in FIGURES:
            rows = [Row(figure, device, name, band) for name in SCENARIOS for band in bands]
            parts += ["", *_words(cells, rows), "", *_table(cells, rows)]
    parts += ["", f"![the map](../{FIGURE.relative_to(ROOT)})"]
    return "\n".join(parts)


def _about(cells: Cells, payloads: list[str], bands: list[float]) -> Iterator[str]:
    seeds = ", ".join(map(str, seeds_of(cells)))
    listed = ", ".join(f"`{sent}`" for sent in payloads)
    yield f"Median of the seeds {seeds}; payloads {listed}. The target is 90 % of"
    yield "what `ideal` gains with `lora` in 30 rounds; after 45 a cell is *never*. `digital`"
    yield "codes by Lloyd-Max with 1, 2 or 4 bits without feedback. Settings are those of"
    yield "[the declared family](claims.md). Every scheme has its own best payload, coding and part"
    yield "of the band (a narrower part has less noise), chosen after the fact for time and for"
    yield "energy apart. The broadcast has 10 MHz of its own. Devices: 4.8 GFLOP/s is the processor"
    yield "of the shipped scenarios at its lowest clock, which computes for 0.3 s a round while the"
    yield "antennas move; 1 TFLOP/s is an accelerator that waits for antennas and air."
    if BANDS[-1] in bands:
        yield f"Over the air nothing was run at {BANDS[-1] / 1e6:g} MHz: the narrower parts count."
    yield "By [benchmarks/payload_map.py](../benchmarks/payload_map.py)."


def _words(cells: Cells, rows: list[Row]) -> Iterator[str]:
    """Yield where movable wins, is equal and loses, in plain words."""
    outcome: dict[str, list[str]] = {"less": [], "as much": [], "more": [], "nobody": []}
    for row in rows:
        values = {s: best(cells, row, s) for s in SCHEMES}
        mine = values["movable"]
        others = {s: v for s, v in values.items() if s != "movable" and v is not None}
        if mine is None or not others:
            continue
        other = min(others, key=lambda s: others[s].value)
        verdict = _verdict(mine.value, others[other].value)
        outcome[verdict].append(f"{row.place} (against {other})")
    figure, device = rows[0].figure, rows[0].device
    what = {"time_s": "time", "energy_j": "energy"}[figure]
    said = {
        "less": f"{device}: movable antennas take less {what} than every other at",
        "as much": f"{device}: they take as much {what} as the best other (within {TIE:.0%}) at",
        "more": f"{device}: they do not pay, and take more {what}, at",
        "nobody": f"{device}: nobody arrives at",
    }
    for key, places in outcome.items():
        if places:
            yield f"- {said[key]}: {'; '.join(places)}."


def _verdict(mine: float, other: float) -> str:
    if math.isinf(mine) and math.isinf(other):
        return "nobody"
    if math.isinf(other) or mine < other * (1 - TIE):
        return "less"
    return "as much" if mine <= other * (1 + TIE) else "more"


def _table(cells: Cells, rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        found = [best(cells, row, scheme) for scheme in SCHEMES]
        lines.append([row.place, *(_shown(value, row.band) for value in found)])
    head = f"{FIGURES[rows[0].figure]} to the target, {rows[0].device}"
    return manual.table([head, *(f"`{s}`" for s in SCHEMES)], lines)


def _shown(value: Value | None, band: float) -> str:
    if value is None:
        return "not measured"
    if math.isinf(value.value):
        return "never"
    used = "" if value.band == band else f", in {value.band / 1e6:g} MHz"
    how = f", {value.how.rpartition('-')[2]} bits" if value.how else ""
    how = how.replace(", 1 bits", ", 1 bit")
    return f"{value.value:.3g} ({value.sent}{how}, {value.rounds:.0f} rounds{used})"


def draw(cells: Cells, payloads: list[str], bands: list[float], out: Path = FIGURE) -> None:
    """Draw who wins by payload and bandwidth, and movable over the best other."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    colours = dict(zip(SCHEMES, ("#0072b2", "#e69f00", "#009e73", "#cc79a7"), strict=True))
    height = 1.6 + 0.45 * len(payloads)
    pairs = [(device, figure) for device in DEVICES for figure in FIGURES]
    fig, axes = plt.subplots(
        len(SCENARIOS), len(pairs), figsize=(15, 2 * height), layout="constrained", squeeze=False
    )
    for line, name in enumerate(SCENARIOS):
        for column, (device, figure) in enumerate(pairs):
            ax = axes[line][column]
            for x, band in enumerate(bands):
                for y, sent in enumerate(payloads):
                    _square(ax, x, y, colours, cells, Row(figure, device, name, band), sent)
            ax.set_xlim(-0.5, len(bands) - 0.5)
            ax.set_ylim(len(payloads) - 0.5, -0.5)
            ax.set_xticks(range(len(bands)), [f"{band / 1e6:g}" for band in bands])
            ax.set_yticks(range(len(payloads)), payloads)
            ax.set_xlabel("bandwidth [MHz]")
            ax.set_title(f"{name}, {device}: {FIGURES[figure].partition(' ')[0]}", fontsize=9)
    handles = [mpl.patches.Patch(color=c, label=s) for s, c in colours.items()]
    title = "least to the target; the number: movable over the best other"
    fig.legend(handles=handles, title=title, loc="outside lower center", ncols=4, frameon=False)
    fig.savefig(out, dpi=130)
    plt.close(fig)


def _square(
    ax: Any, x: int, y: int, colours: dict[str, str], cells: Cells, row: Row, sent: str
) -> None:
    values = {s: best(cells, row, s, sent) for s in SCHEMES}
    known = {s: v.value for s, v in values.items() if v is not None}
    if len(known) < len(SCHEMES):
        return
    first = min(known, key=known.__getitem__)
    mine, other = known["movable"], min(v for s, v in known.items() if s != "movable")
    nobody = math.isinf(known[first])
    ax.add_patch(_rectangle(x, y, "white" if nobody else colours[first]))
    ratio = "never" if nobody else "0" if math.isinf(other) else f"{mine / other:.2f}"
    shown = "movable never" if math.isinf(mine) and not nobody else ratio
    shown = "only movable" if math.isinf(other) and not nobody else shown
    ax.text(x, y, shown, ha="center", va="center", fontsize=8)


def _rectangle(x: int, y: int, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white")
