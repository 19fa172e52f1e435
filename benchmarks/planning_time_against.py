"""How long the search of a plan takes over that of an earlier commit: docs/forecast.md.

    python benchmarks/planning_time_against.py COMMIT [--repeats N]

The modules that search (`least_cost`, `search`, `resources`, `alternate` of airtune.planning) are
read from git as they were at the commit, and plans are made with them and with those of now in
turn, in one process and on the same air: the ratio of the times holds on a busy machine, too, where
the times themselves tell little.  The radio forecast is in neither time.  Plans must be equal.
benchmarks/results/planning_time_against.json.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np

import planning_time
import resumable
from airtune import load_scenario
from airtune.planning import Repetition, alternate
from airtune.planning.expected_radio import RadioTurn

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "planning_time_against.json"
MODULES = ("least_cost", "search", "resources", "alternate")
CASES = (("dense-cell", "energy-delay"),)


def modules_of(commit: str) -> types.ModuleType:
    """Return `alternate` of a commit, with the other modules that search as they were then."""
    for name in MODULES:
        path = f"{commit}:src/airtune/planning/{name}.py"
        source = subprocess.run(
            ["git", "show", path], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        source = re.sub(rf"airtune\.planning\.({'|'.join(MODULES)})\b", r"before_\1", source)
        module = types.ModuleType(f"before_{name}")
        sys.modules[module.__name__] = module
        exec(compile(source, path, "exec"), module.__dict__)
    return sys.modules["before_alternate"]


def measured(name: str, objective: str, before: types.ModuleType, repeats: int) -> dict[str, Any]:
    """Plan a scenario some times with both."""
    settings = ["plan=own", f"planning.objective={objective}", "planning.rounds=planned"]
    scenario = load_scenario(name, settings)
    sizes = Repetition.open(scenario, scenario.seed).sizes
    pilot = planning_time.pilot(len(sizes.data_sizes))
    found: dict[str, list[float]] = {"now": [], "before": []}
    plans = {}
    for again in range(repeats + 1):  # the first compiles
        for which, module in (("before", before), ("now", alternate)):
            repetition = Repetition(scenario, scenario.seed, sizes, pilot=pilot)
            start = repetition.scheme(planning_time.SCHEME).array.start()
            turn = RadioTurn(repetition, planning_time.SCHEME, 1, start)
            inputs, radio = repetition.inputs, [0.0]
            began = time.process_time()
            with planning_time.listening(radio):
                joint = module.plan_scheme(turn, inputs)
            if again:
                found[which].append(time.process_time() - began - radio[0])
            plans[which] = joint.to_dict()
    if plans["now"] != plans["before"]:
        raise SystemExit(f"{name}, {objective}: the plans differ")
    ratios = [now / then for now, then in zip(found["now"], found["before"], strict=True)]
    return {**found, "ratio": float(np.median(ratios))}


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("commit")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    before = modules_of(given.commit)
    cells = (
        (
            f"{name}, {objective}",
            lambda one=(name, objective): measured(*one, before, given.repeats),
        )
        for name, objective in CASES
    )
    settings = {"before": given.commit, "repeats": given.repeats}
    resumable.write(RESULT, resumable.measure(RESULT, settings, cells))


if __name__ == "__main__":
    main()
