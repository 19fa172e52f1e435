"""What a round costs with 10 000 registered clients of which 10 transmit, against 10 registered.

Both runs take their rounds in turn, in one process.  The records differ in one number, so that the
10 clients that transmit have the same work in both runs, whoever they are; what differs is what the
registered clients cost: their channels, the selection, metrics and checkpoint.
Writes benchmarks/results/registered_clients.json.  Run from the repository with the package
installed, on a machine that does nothing else:

    OMP_NUM_THREADS=1 python benchmarks/registered_clients.py
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from airtune import record
from airtune.learning.learner import prepare
from airtune.record import Cell
from airtune.rounds import cell_io
from airtune.scenario import Scenario
from runs import run_on

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "registered_clients.json"
TRANSMIT, RECORDS_EACH, VALIDATION = 10, 4, 40


def write_records(path: Path, count: int) -> None:
    """Write records of equal length: a prompt with a number of seven digits, one answer."""
    lines = (
        json.dumps(
            {
                "instruction": "Sort the numbers in ascending order.",
                "input": f"41, 7, 23, 88, 15, 62, 3, 54, {number:07d}",
                "output": "3, 7, 15, 23, 41, 54, 62, 88 and the last",
            }
        )
        for number in range(count)
    )
    path.write_text("\n".join(lines) + "\n")


def scenario_of(registered: int, data: Path, policy: str, threads: int) -> Scenario:
    """The small LLaMA, mini-batches of 4, movable antennas, everything else as by default."""
    held = VALIDATION / (registered * RECORDS_EACH + VALIDATION)
    return Scenario.model_validate(
        {
            "threads": threads,
            "clients": {"count": registered, "concurrency": TRANSMIT, "selection": policy},
            "data": {"source": str(data), "partition": "iid", "validation_fraction": held},
            "pretraining": {"steps": 1},
            "training": {"rounds": 1000, "batch_size_max": RECORDS_EACH},
            "evaluation": {"records": VALIDATION, "answers": 0},
        }
    )


class Side:
    """One of the two runs, round by round."""

    def __init__(self, registered: int, folder: Path, policy: str, threads: int) -> None:
        folder.mkdir()
        data = folder / "data.jsonl"
        write_records(data, registered * RECORDS_EACH + VALIDATION)
        scenario = scenario_of(registered, data, policy, threads)
        began = time.perf_counter()
        learner = prepare(scenario, scenario.seed)
        self.prepare_s = time.perf_counter() - began
        began = time.perf_counter()
        self.run = run_on(learner, scenario, "movable", scenario.seed)
        self.plan_s = time.perf_counter() - began
        self.cell = Cell(folder / "cell", "movable", 0)
        self.wall_s: list[float] = []
        self.cpu_s: list[float] = []

    def round(self) -> None:
        """Run, book and save one round, as `cell_io.execute` does."""
        wall, cpu = time.perf_counter(), time.process_time()
        line = self.run.run_round()
        cell_io.save(self.run, self.cell, line)
        self.wall_s.append(time.perf_counter() - wall)
        self.cpu_s.append(time.process_time() - cpu)

    def figures(self) -> dict[str, Any]:
        """Return medians over the rounds, the first two left out."""
        sizes = {
            path.suffix.lstrip("."): path.stat().st_size
            for path in self.cell.checkpoint_folder.glob("*")
        }
        lines = self.cell.metrics_file.read_text().splitlines()
        return {
            "round_s": float(np.median(self.wall_s[2:])),
            "round_cpu_s": float(np.median(self.cpu_s[2:])),
            "prepare_s": self.prepare_s,
            "plan_s": self.plan_s,
            "checkpoint_bytes": sum(sizes.values()),
            "metrics_line_bytes": len(lines[-1]),
        }


def measure(
    registered: int = 10_000, rounds: int = 20, policy: str = "random", threads: int = 2
) -> dict[str, Any]:
    """Measure both runs in turn.

    Parameters
    ----------
    registered : int
        Clients of the large run; the small one has 10.
    rounds : int
        Rounds of each run; the first two are warm-up.
    policy : str
        Selection of the large run.
    threads : int
        Threads used for learning; BLAS has OMP_NUM_THREADS.

    Returns
    -------
    dict
        Medians of each run, and the median over the rounds of the ratio of neighbouring rounds.
    """
    with tempfile.TemporaryDirectory() as folder:
        few = Side(TRANSMIT, Path(folder) / "few", "random", threads)
        many = Side(registered, Path(folder) / "many", policy, threads)
        for index in range(rounds):
            pair = (few, many) if index % 2 else (many, few)
            for side in pair:
                side.round()
        return {
            "transmit": TRANSMIT,
            "policy": policy,
            "rounds": rounds,
            "threads": threads,
            "blas_threads": os.environ.get("OMP_NUM_THREADS"),
            "environment": record.environment(few.run.scenario),
            "registered": {str(TRANSMIT): few.figures(), str(registered): many.figures()},
            "ratio": _ratio(many.wall_s, few.wall_s),
            "ratio_cpu": _ratio(many.cpu_s, few.cpu_s),
        }


def _ratio(many: list[float], few: list[float]) -> float:
    return float(np.median(np.array(many[2:]) / np.array(few[2:])))


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registered", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--policies", nargs="+", default=["random", "proportional-fair"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    found = [
        measure(asked.registered, asked.rounds, policy, asked.threads) for policy in asked.policies
    ]
    for entry in found:
        print(
            f"{entry['policy']}: ratio {entry['ratio']:.3f}, of CPU time {entry['ratio_cpu']:.3f}"
        )
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    record.write_json(asked.out, {"cases": found})


if __name__ == "__main__":
    main()
