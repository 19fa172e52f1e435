"""Ten clients in one pass against one after another, on a processor.

python benchmarks/joint.py        into benchmarks/results/joint.json and docs/engines.md

The same updates of one client and of ten, in three ways that take turns, so that what else the
machine does meets all of them: the passes that are written for a processor, one client after
another (what `auto` takes there); the padded passes of a GPU, one client in a pass; the same, ten
clients in a pass.  Times are those of the processor, which other work on the machine changes least;
each way's first round is not counted.  Nothing here says anything about a GPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import manual
from airtune.learning.learner import Learner, prepare
from airtune.scenario import file
from engines import MODELS, PAGE, place, source_of
from resumable import measure

RESULTS = Path(__file__).parent / "results" / "joint.json"
WAYS = ("written for a processor", "padded, one client", "padded, ten clients")
CLIENTS = 10
REPEATS = {"quickstart": 20, "SmolLM2-135M shape": 3}


def ways_of(learner: Learner) -> list[Learner]:
    """Return a learner for each way; `learner` has ten clients in a pass."""
    together = learner._together
    assert together is not None
    most = (None, replace(together, most=1), together)
    return [replace(learner, _together=one) for one in most]


def cell(model: str) -> Callable[[], Any]:
    """Return the measurement of one model."""

    def work() -> dict[str, Any]:
        changes = ["threads=1", "model.device=cpu", f"model.clients_per_pass={CLIENTS}"]
        with source_of(model) as more:
            learner = prepare(file.load("quickstart", changes + more), 1)
        adapter, size = learner.initial_adapter() + np.float32(0.01), MODELS[model][1]
        times: dict[tuple[str, int], list[float]] = {}
        walls: dict[tuple[str, int], list[float]] = {}
        away, load = 0.0, 0.0
        for number in range(REPEATS[model] + 1):
            for count in (1, CLIENTS):
                found = []
                for way, one in zip(WAYS, ways_of(learner), strict=True):
                    wall, began = time.perf_counter(), time.process_time()
                    done = one.client_updates(adapter, range(count), [size] * count, 1, number)
                    times.setdefault((way, count), []).append(time.process_time() - began)
                    walls.setdefault((way, count), []).append(time.perf_counter() - wall)
                    found.append(np.array([update.update for update in done]))
                gaps = [np.linalg.norm(f - found[0]) / np.linalg.norm(found[0]) for f in found[1:]]
                away = max(away, *map(float, gaps))
            load = max(load, os.getloadavg()[0])
        ways = {
            way: {
                "one_s": statistics.median(times[way, 1][1:]),
                "ten_s": statistics.median(times[way, CLIENTS][1:]),
                "one_wall_s": statistics.median(walls[way, 1][1:]),
                "ten_wall_s": statistics.median(walls[way, CLIENTS][1:]),
            }
            for way in WAYS
        }
        return {"ways": ways, "largest_difference": away, "load": load}

    return work


def lines(document: dict[str, Any]) -> list[str]:
    """Return the table of the page."""
    rows = []
    for model, c in document["cells"].items():
        first = c["ways"][WAYS[0]]["ten_s"]
        for way, found in c["ways"].items():
            one, ten = found["one_s"], found["ten_s"]
            rows.append(
                [
                    model,
                    way,
                    f"{1000 * one:.0f}",
                    f"{1000 * ten:.0f}",
                    f"{ten / one:.1f}",
                    f"{ten / first:.2f}",
                ]
            )
    load = max(c["load"] for c in document["cells"].values())
    away = max(c["largest_difference"] for c in document["cells"].values())
    return [
        f"Processor time of one thread, {place(document['settings'])}, load up to {load:.1f}; "
        f"updates differ by {away:.0e} of their norm at most.",
        "",
        *manual.table(
            ["model", "passes", "1 client [ms]", "10 clients [ms]", "ratio", "over the first"],
            rows,
            2,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=REPEATS, help="one model; both by default")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    settings = {
        "samples": {name: MODELS[name][1] for name in REPEATS},
        "repeats": REPEATS,
        "cores": psutil.cpu_count(logical=False),
        "processors": psutil.cpu_count(),
    }
    cells = [(model, cell(model)) for model in REPEATS if given.only in (None, model)]
    text = "\n".join(lines(measure(given.out, settings, cells)))
    print(text)
    if given.out == RESULTS:
        manual.put(PAGE, "joint", text)


if __name__ == "__main__":
    main()
