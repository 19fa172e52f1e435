"""Powers of scale groups: rounds to the target with `block` and with `loaded`.

    python benchmarks/loaded.py                     # cells that are missing, then the manual
    python benchmarks/loaded.py --seconds 900       # no new cell after so many seconds
    python benchmarks/loaded.py --table             # the table of the manual only

Several processes may run it at once; each cell is written as soon as it is there.

The quickstart's model and data, all ten clients, without any budget; one thread.  Rounds until the
validation loss has made 90 % of its gain without errors in 30 rounds of the same seed (at most 45),
error-free and with symbols that have white noise of variance MSE: a group decodes numbers of scale
v_b from symbols of power pi_b with an error of variance MSE v_b^2 / pi_b.  The draws of the noise
are the same with both rules.  Writes benchmarks/results/loaded.json and docs/schemes.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

# Before NumPy and PyTorch.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

import manual  # noqa: E402
from airtune import load_scenario  # noqa: E402
from airtune.learning.shared import SharedLearners  # noqa: E402
from airtune.radio.scales import (  # noqa: E402
    Normalise,
    group_sizes,
    normalise_updates,
    report_scales,
)
from airtune.registry import SCHEMES  # noqa: E402
from airtune.schemes import Reception, Scheme, Uploads, register  # noqa: E402
from airtune.schemes.air.ideal import ErrorFree  # noqa: E402
from airtune.schemes.arrays.fixed import NoArray  # noqa: E402
from airtune.schemes.link import Link  # noqa: E402
from airtune.streams import generator  # noqa: E402
from campaigns import Campaign, Document, Task  # noqa: E402
from payloads import crossing  # noqa: E402
from runs import run_on  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "loaded.json"
MANUAL = ROOT / "docs" / "schemes.md"

RULES: tuple[Normalise, ...] = ("block", "loaded")
ERRORS = (0.1, 1.0)
SEEDS = (1, 2, 3)
GAIN_ROUNDS, MOST_ROUNDS, GAIN = 30, 45, 0.9
RECORDS, SAMPLES = 50, 16
FACTS = {
    "settings": {
        "gain": GAIN,
        "gain_rounds": GAIN_ROUNDS,
        "most_rounds": MOST_ROUNDS,
        "records": RECORDS,
        "samples": SAMPLES,
    }
}


TEXT = f"""\
Rounds until {GAIN:.0%} of what {GAIN_ROUNDS} rounds gain without errors, seed by seed ({{}} seeds),
quickstart's model, ten clients with {SAMPLES} samples each; MSE is that of symbols of power one
([benchmarks/loaded.py](../benchmarks/loaded.py)):"""
"""What stands above the table of the manual; the seeds are filled in."""


class NoisySymbols(ErrorFree):
    """The exact mean, from symbols of group powers with white noise of variance MSE."""

    about: ClassVar[str] = "error-free mean from noisy symbols of group powers"
    mse: ClassVar[float] = 0.0
    rule: ClassVar[Normalise] = "block"

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Return the noisy mean."""
        exact = super().combine(uploads, link, backoff)
        if exact is None:
            return None
        sizes = group_sizes(uploads.matrix_sizes.tolist(), "block")
        scales = report_scales(uploads.updates, sizes)
        common = normalise_updates(scales, uploads.omega, self.rule)
        spread = common.deviations * np.sqrt(self.mse / np.where(common.sent, common.powers, 1.0))
        noise = generator(link.radio.seed, "noisy symbols", link.radio.round)
        drawn = noise.standard_normal(len(exact.mean))
        return replace(exact, mean=exact.mean + np.repeat(spread, sizes) * drawn)


def noisy(rule: Normalise, mse: float) -> str:
    """Return the name of the scheme with this error; it is made known the first time."""
    name = f"noisy-symbols-{rule}-{mse:g}"
    if name not in SCHEMES:
        air = type(f"NoisySymbols{rule}{mse:g}", (NoisySymbols,), {"rule": rule, "mse": mse})
        register(Scheme(name, NoArray, air))
    return name


@dataclass(frozen=True)
class Cell:
    """One run; without errors the rule changes nothing."""

    seed: int
    mse: float = 0.0
    rule: Normalise = "block"

    @property
    def name(self) -> str:
        """The key of the cell in the results."""
        return f"seed {self.seed}; mse {self.mse:g}" + (f"; {self.rule}" if self.mse else "")


def losses_of(cell: Cell, learners: SharedLearners, target: float | None) -> list[float | None]:
    """Return the losses of a cell after each round, until the target is reached."""
    settings = ["budget.latency_s=null", "threads=1", f"training.rounds={MOST_ROUNDS}"]
    settings += [f"training.batch_size_max={SAMPLES}", f"evaluation.records={RECORDS}"]
    scenario = load_scenario("quickstart", settings)
    run = run_on(learners(scenario, cell.seed), scenario, noisy(cell.rule, cell.mse), cell.seed)
    losses, most = [run.first_metrics()["loss"]], GAIN_ROUNDS if target is None else MOST_ROUNDS
    while run.state.round < most:
        losses.append(run.run_round()["loss"])
        last = losses[-1]
        if last is None or (target is not None and last <= target):
            break
    return losses


def target_of(document: Document, seed: int) -> float | None:
    """Return the loss at 90 % of the gain without errors, of a seed; None: not run yet."""
    reference = document["cells"].get(Cell(seed).name)
    if reference is None:
        return None
    first, last = reference["losses"][0], reference["losses"][GAIN_ROUNDS]
    return float(first - GAIN * (first - last))


def grid() -> Iterator[Cell]:
    """Yield all cells, seed by seed; first what sets the target of a seed."""
    for seed in SEEDS:
        yield Cell(seed)
        yield from (Cell(seed, mse, rule) for mse in reversed(ERRORS) for rule in RULES)


def tasks(learners: SharedLearners) -> Iterator[Task]:
    """Yield the cells as a campaign measures them."""
    for cell in grid():

        def measured(document: Document, cell: Cell = cell) -> Document:
            target = target_of(document, cell.seed) if cell.mse else None
            return {"losses": losses_of(cell, learners, target)}

        yield Task(cell.name, measured, Cell(cell.seed).name if cell.mse else None)


def rounds_of(document: Document, cell: Cell) -> float | None:
    """Return the rounds to the target of a cell that has been run; infinity: never."""
    target, found = target_of(document, cell.seed), document["cells"].get(cell.name)
    if target is None or found is None:
        return None
    reached = crossing(found["losses"], target)
    return float("inf") if reached is None else reached


def whole_seeds(document: Document) -> list[int]:
    """Return the seeds of which all cells have been run."""
    cells: dict[int, list[Cell]] = {}
    for cell in grid():
        cells.setdefault(cell.seed, []).append(cell)
    return [s for s, own in cells.items() if all(rounds_of(document, c) is not None for c in own)]


def text_of(document: Document) -> str:
    """Return the table of the manual: rounds of the seeds that are whole, and their ratios."""
    seeds = whole_seeds(document)
    if not seeds:
        return ""

    def said(rounds: list[float]) -> str:
        return " / ".join("never" if np.isinf(x) else f"{x:.1f}" for x in rounds)

    free = [rounds_of(document, Cell(seed)) or 0.0 for seed in seeds]
    rows = [["none", said(free), said(free), ""]]
    for mse in ERRORS:
        both = [[rounds_of(document, Cell(s, mse, rule)) or 0.0 for s in seeds] for rule in RULES]
        ratios = [b / a if np.isfinite(a + b) else None for a, b in zip(*both, strict=True)]
        known = [ratio for ratio in ratios if ratio is not None]
        told = " / ".join("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
        median = f" (median {statistics.median(known):.2f})" if known else ""
        rows.append([f"MSE {mse:g}", *map(said, both), told + median])
    head = ["error", *(f"`{rule}`" for rule in RULES), "ratio"]
    return f"{TEXT.format(len(seeds))}\n\n" + "\n".join(manual.table(head, rows))


def main() -> None:
    """Measure what is missing and put the table into the manual."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="begin no cell after so many seconds")
    parser.add_argument("--table", action="store_true", help="write the table only")
    given = parser.parse_args()
    campaign = Campaign(RESULT, FACTS)
    if not given.table:
        until = None if given.seconds is None else time.time() + given.seconds
        campaign.run(tasks(SharedLearners(most=1)), until)
    manual.put(MANUAL, "group powers", text_of(campaign.read()))


if __name__ == "__main__":
    main()
