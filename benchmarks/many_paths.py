"""Placement for 400 paths: the search on fewer waves beside the search on all paths, and L = 10.

    python benchmarks/many_paths.py [--out FOLDER] [--instances N]

Random problems of N = 8, K = 10 in 4 x 4 wavelengths, with and without interferers.  In one process
each is solved in turn with 10 paths, and another with 400 paths twice: as `solve` does, and with
the search on all paths.  Times are CPU seconds of the thread, least of the repeats, after warm-up;
gains are those of all paths.  Writes many_paths.json and its part of docs/placement.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import manual
from airtune.placement import Problem, solve, waves
from airtune.placement.examples import random_problem
from airtune.placement.kernels.field import pack
from placement_methods import db, spread, timed

ROOT = Path(__file__).parents[1]
FEW, MANY = 10, 400
CASES = (("fast", 0), ("fast", 2), ("default", 0))
REPEATS = 2


def on_all_paths(problem: Problem, mode: str) -> Any:
    """Solve with the search on all paths."""
    with patch.object(waves, "MOST_WAVES", 0):
        return timed(lambda: solve(problem, mode=mode), REPEATS)


def case(mode: str, interferers: int, instances: int) -> dict[str, Any]:
    """Times with few and with many paths, and gains against the search on all paths."""
    few, many, every, change, feasible = [], [], [], [], True
    for index in range(instances + 1):
        seed = [1009, interferers, index]
        short = random_problem(seed, paths=FEW, interferers=interferers)
        long = random_problem([*seed, 1], paths=MANY, interferers=interferers)
        runs = [timed(lambda p=p: solve(p, mode=mode), REPEATS) for p in (short, long)]
        reference, cpu, _ = on_all_paths(long, mode)
        if index == 0:  # warm-up
            continue
        found = runs[1][0]
        feasible &= long.violation(found.positions) <= 1e-9
        few.append(runs[0][1])
        many.append(runs[1][1])
        every.append(cpu)
        change.append(db(found.worst_gain / reference.worst_gain))
    return {
        "mode": mode,
        "interferers": interferers,
        "few_ms": spread(few),
        "many_ms": spread(many),
        "all_paths_ms": spread(every),
        "ratio": float(np.median(many) / np.median(few)),
        "ratio_all_paths": float(np.median(every) / np.median(few)),
        "feasible": feasible,
        "gain_db": {
            "mean": float(np.mean(change)),
            "median": float(np.median(change)),
            "worst": min(change),
            "best": max(change),
        },
    }


def fit(instances: int) -> dict[str, float]:
    """What the waves of a region cost: once, and for every problem."""
    fields = [pack(random_problem([1013, i], paths=MANY))[0] for i in range(instances)]
    waves.fewer(fields[0])
    waves.lattice_of.cache_clear()
    began = time.thread_time()
    waves.lattice_of(fields[0].width, fields[0].height)
    once = 1e3 * (time.thread_time() - began)
    each = [timed(lambda f=f: waves.fewer(f), REPEATS) for f in fields]
    return {
        "once_ms": once,
        "each_ms": float(np.median([one[1] for one in each])),
        "waves": float(np.median([len(one[0].ux) for one in each])),
    }


def rows(report: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table."""
    return [
        [
            one["mode"],
            str(one["interferers"]),
            f"{one['few_ms']['median']:.1f}",
            f"{one['many_ms']['median']:.1f} ({one['ratio']:.1f} x)",
            f"{one['all_paths_ms']['median']:.1f} ({one['ratio_all_paths']:.1f} x)",
            " / ".join(f"{one['gain_db'][key]:.2f}" for key in ("mean", "median", "worst", "best")),
        ]
        for one in report["cases"]
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--instances", type=int, default=40)
    options = parser.parse_args()
    report: dict[str, Any] = {
        "instances": options.instances,
        "load_average": list(os.getloadavg()),
        "cases": [case(mode, count, options.instances) for mode, count in CASES],
        "fit": fit(min(options.instances, 10)),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "many_paths.json").write_text(json.dumps(report, indent=1) + "\n")
    columns = ["mode", "J", "L = 10 [ms]", "L = 400 [ms]", "the search on all paths [ms]"]
    columns += ["gain against that, mean / median / worst / best [dB]"]
    once = report["fit"]
    text = [
        *manual.table(columns, rows(report)),
        "",
        f"Medians of {options.instances} random problems, N = 8, K = 10, 4 x 4 wavelengths, CPU",
        f"time (`benchmarks/many_paths.py`). The waves ({once['waves']:.0f} here) are fitted in "
        f"{once['each_ms']:.1f} ms, which is part of it;",
        f"what the fit needs to know of a region takes {once['once_ms']:.0f} ms once.",
    ]
    manual.put(ROOT / "docs" / "placement.md", "many paths", "\n".join(text))


if __name__ == "__main__":
    main()
