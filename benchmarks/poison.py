"""Poisoned clients against defences on the quickstart: final loss and rounds to target.

    python benchmarks/poison.py              # cells that are missing, then the table of the manual
    python benchmarks/poison.py --limit 2    # at most two cells
    python benchmarks/poison.py --table      # the table only
    python benchmarks/poison.py --reduced    # three cells on tiny settings, in a temporary folder

Writes benchmarks/results/poison.json after every cell, so that an interruption costs the cell that
was running, and the table of docs/defences.md.  The strengths below were fixed before any of the
cells had been run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environments
import manual
from airtune import load_scenario, record
from airtune.learning.shared import SharedLearners
from airtune.scenario import Scenario
from airtune.study.outcomes import target_loss
from runs import run_on

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "poison.json"
MANUAL = ROOT / "docs" / "defences.md"

KINDS = ("sign-flip", "scaling", "random", "label-noise")
BASE = (
    # Every cell makes all rounds at the same batches, whatever its air takes.
    "budget.latency_s=",
    # The anomaly stop has the rounds that it needs before its first test.
    "faults.poison.from_round=6",
)
SCALES = {"sign-flip": 1.0, "scaling": 10.0, "random": 1.0, "label-noise": 1.0}
DEFENCES: dict[str, tuple[str, ...]] = {
    "none": (),
    # Honest updates of an unpoisoned ideal run have norms of 1.0 to 5.8, 2.3 in the median.
    "clipping": ("training.clip_norm=2",),
    "anomaly stop": ("training.anomaly_stop=6",),
    "5 groups, median": ("aggregation.groups=5", "aggregation.robust=median"),
    "10 groups, median": ("aggregation.groups=10", "aggregation.robust=median"),
    "median": ("aggregation.robust=median",),
    "trimmed mean": ("aggregation.robust=trimmed-mean", "aggregation.trim=0.3"),
}
REDUCED = (
    "training.rounds=7",
    "model.small.hidden=32",
    "model.small.heads=2",
    "model.small.intermediate=64",
    "model.lora.rank=2",
    "pretraining.steps=5",
    "data.max_records=300",
    "evaluation.records=20",
    "training.batch_size_max=2",
    "placement.mode=fast",
)


@dataclass(frozen=True)
class Cell:
    """One run: who is poisoned how, what stands against it, and how the data are shared."""

    scheme: str
    defence: str = "none"
    kind: str = "none"
    share: float = 0.0
    partition: str = "domain"

    @property
    def name(self) -> str:
        """The key of the cell in the results."""
        return f"{self.scheme}; {self.defence}; {self.kind} {self.share:.0%}; {self.partition}"

    def scenario(self, *more: str) -> Scenario:
        """Return its settings."""
        scale = SCALES.get(self.kind, 1.0)
        poison = {"kind": self.kind, "share": self.share, "scale": scale}
        settings = [f"faults.poison.{name}={value}" for name, value in poison.items()]
        settings += [f"data.partition={self.partition}", *BASE, *DEFENCES[self.defence], *more]
        return load_scenario("quickstart", settings)


def grid() -> Iterator[Cell]:
    """Yield all cells; those of `ideal`, which set the targets, first."""
    yield from (Cell("ideal", partition=partition) for partition in ("domain", "iid"))
    sums, apart = ("none", "5 groups, median"), ("none", "median", "trimmed mean")
    for defence in (*sums, "10 groups, median", "clipping", "anomaly stop"):
        yield Cell("movable", defence)
    yield from (Cell("fixed", defence) for defence in sums)
    yield from (Cell("digital", defence) for defence in apart)
    for kind in KINDS:
        for defence in (*sums, "clipping", "anomaly stop"):
            yield Cell("movable", defence, kind, 0.3)
        yield from (Cell("fixed", defence, kind, 0.3) for defence in sums)
        yield from (Cell("digital", defence, kind, 0.3) for defence in apart)
        yield from (Cell("movable", defence, kind, 0.1) for defence in sums)
    for kind in ("sign-flip", "scaling"):
        yield Cell("movable", "10 groups, median", kind, 0.3)
    for defence in sums:
        yield Cell("movable", defence, partition="iid")
        yield Cell("movable", defence, "sign-flip", 0.3, "iid")
    for defence in ("none", "median"):
        yield Cell("digital", defence, "sign-flip", 0.3, "iid")


def run(cell: Cell, learners: SharedLearners, *more: str) -> dict[str, Any]:
    """Run a cell and return its figures."""
    scenario, began = cell.scenario(*more), time.perf_counter()
    learner = learners(scenario, scenario.seed)
    federated = run_on(learner, scenario, cell.scheme, scenario.seed)
    lines = [federated.first_metrics()]
    while federated.state.round < federated.current.last_round:
        lines.append(federated.run_round())
    shifts = [line["rule_shift_db"] for line in lines if line.get("rule_shift_db") is not None]
    errors = [line["mse_db"] for line in lines if line["mse_db"] is not None]
    return {
        "losses": [line["loss"] for line in lines],
        "times_s": [round(line["time_s"], 6) for line in lines],
        "mse_db": sum(errors) / len(errors) if errors else None,
        "rule_shift_db": sum(shifts) / len(shifts) if shifts else None,
        "rejected_rounds": sum(line.get("rejected", False) for line in lines),
        "poisoned": lines[-1].get("poisoned", []),
        "transmitted": sum(line["transmitted"] for line in lines[1:]) / max(len(lines) - 1, 1),
        "cell_wall_s": time.perf_counter() - began,
    }


def measure(result: Path, cells: list[Cell], limit: int | None, *more: str) -> dict[str, Any]:
    """Run the cells that the result lacks and write it after each of them."""
    found: dict[str, Any] = {"cells": {}}
    if result.exists():
        found = json.loads(result.read_text(encoding="utf-8"))
    strengths = {"base": BASE, "scales": SCALES, "defences": DEFENCES}
    found["strengths"] = json.loads(json.dumps(strengths))
    found["environments"] = environments.listed(found)  # an earlier form had the last cell's
    found.pop("environment", None)
    learners = SharedLearners(most=1)
    # The learner is that of the partition: one after the other.
    missing = [cell for cell in cells if cell.name not in found["cells"]]
    for cell in sorted(missing, key=lambda cell: cell.partition)[:limit]:
        found["cells"][cell.name] = figures = run(cell, learners, *more)
        here = record.environment(cell.scenario(*more))
        figures["environment"] = environments.number_of(here, found["environments"])
        record.write_json(result, found)
        print(f"{cell.name}: {figures['losses'][-1]} ({figures['cell_wall_s']:.1f} s)", flush=True)
    return found


def table(found: dict[str, Any]) -> str:
    """Return the table of the manual: final loss, and rounds to the target in brackets."""
    cells = found["cells"]
    if not cells:
        return "Not measured yet."
    targets = {
        partition: target_loss(cells[name]["losses"])
        for partition in ("domain", "iid")
        if (name := Cell("ideal", partition=partition).name) in cells
    }
    columns = [("none", 0.0), *((kind, share) for kind in KINDS for share in (0.1, 0.3))]
    head = ["data", "scheme", "defence", "nobody"]
    head += [f"{kind} {share:.0%}" for kind, share in columns[1:]]
    rows = []
    lines = dict.fromkeys((cell.partition, cell.scheme, cell.defence) for cell in grid())
    for partition, scheme, defence in lines:
        names = [Cell(scheme, defence, kind, share, partition).name for kind, share in columns]
        shown = [_shown(cells.get(name), targets.get(partition)) for name in names]
        if any(shown):
            label = "own domain each" if partition == "domain" else "alike"
            rows.append([label, scheme, defence, *shown])
    return "\n".join(manual.table(head, rows, 3))


def section(found: dict[str, Any]) -> str:
    """Return what the manual has of the results: the table, and where its cells were run."""
    places = environments.listed(found)
    where = f"\n\nMeasured on {environments.described(places)}." if places else ""
    return f"{table(found)}{where}\n"


def _shown(figures: dict[str, Any] | None, target: float | None) -> str:
    """Return final loss and rounds to target of a cell, empty where it has not been run."""
    if figures is None:
        return ""
    losses = figures["losses"]
    reached = (n for n, x in enumerate(losses) if x is not None and target and x <= target)
    rounds = next(reached, None)
    last = "diverged" if losses[-1] is None else f"{losses[-1]:.2f}"
    stopped = f", {figures['rejected_rounds']} left out" if figures["rejected_rounds"] else ""
    return f"{last} ({'never' if rounds is None else rounds}{stopped})"


def main() -> None:
    """Measure what is missing and put the table into the manual."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="run at most so many cells")
    parser.add_argument("--table", action="store_true", help="write the table only")
    parser.add_argument("--reduced", action="store_true", help="three cells on tiny settings")
    given = parser.parse_args()
    cells = list(grid())
    if given.reduced:
        few = [
            Cell("ideal"),
            Cell("fixed", "5 groups, median", "sign-flip", 0.3),
            Cell("digital", "trimmed mean", "label-noise", 0.3),
        ]
        with tempfile.TemporaryDirectory() as folder:
            settings = (*REDUCED, f"cache={Path(folder) / 'cache'}")
            print(table(measure(Path(folder) / "poison.json", few, None, *settings)))
        return
    if given.table:
        found = json.loads(RESULT.read_text(encoding="utf-8"))
    else:
        found = measure(RESULT, cells, given.limit)
    manual.put(MANUAL, "poison", section(found))


if __name__ == "__main__":
    main()
