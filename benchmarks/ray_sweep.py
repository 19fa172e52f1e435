"""A sweep of 64 cells over Ray, one of whose workers is killed in the middle.

python benchmarks/ray_sweep.py        into benchmarks/results/ray_sweep.json and docs/engines.md

The command is run as a user types it, on two workers with the smallest of models.  When half of
the cells have ended, a process that computes a cell is killed.  Then every cell is looked at: that
it is there once, finished, with each round once, and with the numbers of the same sweep on `local`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

import environments
import manual
from airtune.scenario import Scenario, file
from engines import PAGE
from resumable import machine, write

RESULTS = Path(__file__).parent / "results" / "ray_sweep.json"
RATES = [0.01 * 1.2**n for n in range(8)]
POWERS = [-20.0, -10.0, 0.0, 10.0]
SCHEMES = ["ideal", "fixed"]
ROUNDS = 3
VARY = [
    f"training.learning_rate={','.join(f'{rate:.4g}' for rate in RATES)}",
    f"clients.tx_power_dbm={','.join(f'{power:g}' for power in POWERS)}",
]


def scenario(cache: Path) -> Scenario:
    """Return a scenario whose cells take a second or so."""
    small = {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 64, "vocabulary": 300}
    return Scenario.model_validate(
        {
            "name": "ray-sweep",
            "threads": 1,
            "schemes": SCHEMES,
            "cache": str(cache),
            "clients": {"count": 4},
            "model": {"small": small, "lora": {"rank": 2}, "device": "cpu"},
            "pretraining": {"steps": 3, "batch_size": 4},
            "data": {"partition": "iid", "max_records": 300},
            "evaluation": {"records": 20, "batch_size": 10, "answers": 1},
            "training": {"rounds": ROUNDS, "batch_size_max": 2},
            "engine": {"workers": 2},
        }
    )


def sweep(path: Path, engine: str, folder: Path, kill_at: int | None = None) -> dict[str, Any]:
    """Run the sweep, kill a worker when so many cells have ended, and return what it printed."""
    line = [sys.executable, "-m", "airtune.cli", "sweep", str(path)]
    for one in VARY:
        line += ["--vary", one]
    line += ["--engine", engine, "--out", str(folder), "--json"]
    began, killed = time.perf_counter(), dict[str, Any]()
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:

        def watch() -> None:
            while not killed and run.poll() is None:
                ended = finished(folder)
                if kill_at is not None and ended >= kill_at and kill_one(run.pid):
                    killed["cells_ended"] = ended
                time.sleep(0.05)

        watcher = threading.Thread(target=watch)
        watcher.start()
        out, error = run.communicate()
        watcher.join()
    if run.returncode:
        raise RuntimeError(error)
    if kill_at is not None and not killed:
        raise RuntimeError("the sweep ended before a worker was killed")
    return {"printed": json.loads(out), "seconds": time.perf_counter() - began, **killed}


def finished(folder: Path) -> int:
    """Return how many cells have come to their end."""
    return sum(1 for _ in folder.glob("point-*/*/seed-*/finished.json"))


def kill_one(driver: int) -> bool:
    """Kill one process under a driver that computes a cell."""
    try:
        below = psutil.Process(driver).children(recursive=True)
    except psutil.NoSuchProcess:
        return False
    for process in below:
        try:
            if "ray::run_cell" in " ".join(process.cmdline()):
                process.kill()
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def rounds_of(folder: Path) -> dict[str, list[int]]:
    """Return the rounds that each cell of a sweep has written, by its place."""
    found = {}
    for path in sorted(folder.glob("point-*/*/seed-*/metrics.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        found[str(path.parent.relative_to(folder))] = [json.loads(one)["round"] for one in lines]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "scenario.yaml"
        path.write_text(file.dump(scenario(Path(name) / "cache")), encoding="utf-8")
        there, alone = Path(name) / "ray", Path(name) / "local"
        cells = len(RATES) * len(POWERS) * len(SCHEMES)
        ray = sweep(path, "ray", there, kill_at=cells // 2)
        local = sweep(path, "local", alone)
        rounds = rounds_of(there)
        right = list(range(ROUNDS + 1))
        points = ray["printed"]["points"]
        document = {
            "cells": cells,
            "killed_after": ray.get("cells_ended"),
            "finished": sum(point["finished"] for point in points),
            "folders": len(rounds),
            "schemes": SCHEMES,
            "each_round_once": sum(found == right for found in rounds.values()),
            "points_twice": sum(
                n - 1 for n in Counter(json.dumps(p["settings"]) for p in points).values()
            ),
            "same_as_local": points == local["printed"]["points"],
            "ray_s": ray["seconds"],
            "local_s": local["seconds"],
            "load": os.getloadavg()[0],
            "machine": machine(),
            "cores": psutil.cpu_count(logical=False),
            "processors": psutil.cpu_count(),
        }
    write(given.out, document)
    print(json.dumps(document, indent=1))
    if given.out == RESULTS:
        manual.put(PAGE, "sweep", text(document))


def text(document: dict[str, Any]) -> str:
    """Return the lines of the page."""
    same = "the same as" if document["same_as_local"] else "other than"
    return (
        f"A sweep of {document['cells']} cells on two workers, one of which was killed when "
        f"{document['killed_after']} cells had ended: {document['finished']} cells finished, in "
        f"{document['folders']} folders, {document['each_round_once']} of them with each round "
        f"once; all numbers are {same} those on `local` (`python benchmarks/ray_sweep.py`). "
        f"Measured on {environments.described([document['machine']])}."
    )


if __name__ == "__main__":
    main()
