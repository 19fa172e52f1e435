"""How long a plan by forecast takes: benchmarks/results/planning_time.json, docs/forecast.md.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/planning_time.py
    python benchmarks/planning_time.py --write-docs

A plan of `movable` as `airtune plan` makes it (`plan: own`), after its pilot, with the kernels
compiled by a plan before.  Processor time of one thread, the median of some plans: the radio
forecast, which places the antennas for the plan's air, and the search over rounds, batches, clocks
and power; apart from both, once, opening the scenario, which reads data and counts tokens and
parameters (the very first also imports libraries).  The pilot is given: the first eight losses of
`ideal` in the study's paper-v1, seed 0.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

import manual  # noqa: E402
import resumable  # noqa: E402
from airtune import load_scenario  # noqa: E402
from airtune.planning import Repetition, plan_run  # noqa: E402
from airtune.planning.expected_radio import RadioTurn  # noqa: E402
from airtune.planning.pilot import Pilot  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "planning_time.json"
STUDY = ROOT / "benchmarks" / "results" / "study" / "paper-v1.jsonl"
PAGE = ROOT / "docs" / "forecast.md"

SCENARIOS = ("quickstart", "paper-v1", "cell-edge", "dense-cell")
OBJECTIVES = ("time", "energy", "energy-delay")
CHOOSING = ("quickstart", "dense-cell")
REPEATS, PILOT, SCHEME = 3, 8, "movable"


def pilot(clients: int) -> Pilot:
    """Return the figures of the study's error-free run as those of a pilot."""
    runs = (json.loads(line) for line in STUDY.read_text().splitlines())
    ideal = next(r for r in runs if r.get("scheme") == "ideal" and r["seed"] == 0)
    losses = tuple(ideal["history"]["loss"][: PILOT + 1])
    return Pilot(losses, (16,) * clients, 0.6, 9.3, "file", 0.0, 0.0)


@contextmanager
def listening(spent: list[float]) -> Iterator[None]:
    """Add to `spent` the processor time within the radio forecast."""
    kept, depth = {name: getattr(RadioTurn, name) for name in ("place", "at")}, [0]

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            depth[0] += 1
            began = time.process_time()
            try:
                return work(*given, **named)
            finally:
                depth[0] -= 1
                if depth[0] == 0:
                    spent[0] += time.process_time() - began

        return call

    for name, work in kept.items():
        setattr(RadioTurn, name, timed(work))
    try:
        yield
    finally:
        for name, work in kept.items():
            setattr(RadioTurn, name, work)


def measured(name: str, objective: str, *more: str) -> dict[str, float]:
    """Plan a scenario some times, under more settings."""
    settings = ["plan=own", f"planning.objective={objective}", "planning.rounds=planned", *more]
    scenario = load_scenario(name, settings)
    began = time.process_time()
    sizes = Repetition.open(scenario, scenario.seed).sizes
    opening, rows = time.process_time() - began, []
    for _ in range(REPEATS + 1):  # the first compiles
        repetition = Repetition(scenario, scenario.seed, sizes, pilot=pilot(len(sizes.data_sizes)))
        radio, began = [0.0], time.process_time()
        with listening(radio):
            plan_run(repetition, SCHEME)
        total = time.process_time() - began
        rows.append((radio[0], total - radio[0], total))
    names = ("radio_s", "search_s", "planning_s")
    return dict(zip(names, np.median(rows[1:], axis=0).tolist(), strict=True)) | {
        "planning_most_s": max(row[2] for row in rows[1:]),
        "opening_s": opening,
    }


def write_docs(document: dict[str, Any]) -> None:
    """Write the table of docs/forecast.md."""
    rows = [
        [
            *name.split(", "),
            *(f"{1e3 * cell[k]:.0f}" for k in ("radio_s", "search_s", "planning_s", "opening_s")),
        ]
        for name, cell in document["cells"].items()
    ]
    head = ["scenario", "objective", "radio forecast, ms", "search, ms", "both, ms"]
    table = manual.table([*head, "opening the scenario, ms"], rows, 2)
    manual.put(PAGE, "time of planning", "\n".join([*table, "", resumable.measured_on(document)]))


def main() -> None:
    """Measure what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write-docs", action="store_true")
    given = parser.parse_args()
    cells: dict[str, Callable[[], dict[str, float]]] = {}
    for name, objective in itertools.product(SCENARIOS, OBJECTIVES):
        cells[f"{name}, {objective}"] = partial(measured, name, objective)
    for name in CHOOSING:
        said = f"{name}, energy-delay with movement planned"
        cells[said] = partial(measured, name, "energy-delay", "planning.movement=planned")
    todo = () if given.write_docs else cells.items()
    document = resumable.measure(RESULT, {"repeats": REPEATS, "scheme": SCHEME}, todo)
    resumable.write(RESULT, document)
    write_docs(document)


if __name__ == "__main__":
    main()
