"""CPU seconds of a command on a machine without compiled kernels, and with them, before and after.

    python benchmarks/first_placement.py --before CHECKOUT [--out FOLDER]

CHECKOUT is a copy of the repository as it was (commit a98987b for the kept figures).  Every command
runs in a process of its own with an empty folder for machine code, then again with the code it left
there.  Then both solve the same problems in turn with the code kept: the
least CPU time of the repeats, and whether the answers agree to the last bit.  Writes
first_placement.json and the marked sentences of docs/placement.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import manual

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "place": ["place", "problems.npz", "--out", "placed.npz"],
    "plan quickstart": ["plan", "quickstart"],
}
REPEATS = 5
SOLVE = """
import json, sys, time
from airtune.placement import beamform, half_wavelength, solve
from airtune.placement.examples import random_problem
jobs = {
    "8 antennas": lambda: solve(random_problem(0, antennas=8, clients=10), mode="fast"),
    "with interferers": lambda: solve(random_problem(1, interferers=2), mode="fast"),
    "default mode": lambda: solve(random_problem(2, antennas=8, clients=10)),
    "16 antennas": lambda: solve(random_problem(3, antennas=16, clients=10), mode="fast"),
    "fixed array": lambda: beamform(
        random_problem(4), half_wavelength(random_problem(4).antennas, random_problem(4).region)
    ),
}
for job in jobs.values():
    job()
print(json.dumps(list(jobs)), flush=True)
for line in sys.stdin:
    began = time.thread_time()
    placed = jobs[line.strip()]()
    taken = time.thread_time() - began
    answer = placed.worst_gain.hex(), placed.positions.tobytes().hex()
    print(json.dumps([taken, *answer]), flush=True)
"""


def cpu_of(tree: Path, cache: str, command: list[str], folder: str) -> float:
    """User and system time of one command and what it started  [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "airtune.cli", *command],
        env=environment_of(tree, cache),
        cwd=folder,
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def environment_of(tree: Path, cache: str) -> dict[str, str]:
    """Environment in which the package of a checkout is used, on one thread."""
    return {
        **os.environ,
        "PYTHONPATH": str(tree / "src"),
        "NUMBA_CACHE_DIR": cache,
        "OMP_NUM_THREADS": "1",
    }


def first_command(name: str, trees: dict[str, Path], folder: str) -> dict[str, Any]:
    """CPU seconds of a command without kept code, and with what it left in `folder`/name."""
    report: dict[str, Any] = {}
    for kind, tree in trees.items():
        cache = f"{folder}/{name}/{kind}"
        report[kind] = {
            state: cpu_of(tree, cache, COMMANDS[name], folder)
            for state in ("without_code", "with_code")
        }
        print(name, kind, report[kind], flush=True)
    return report


def solving(trees: dict[str, Path], folder: str) -> dict[str, Any]:
    """Least CPU times of solving with the code of `place`, and whether the answers are the same."""
    workers = {
        kind: subprocess.Popen(
            [sys.executable, "-c", SOLVE],
            env=environment_of(tree, f"{folder}/place/{kind}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for kind, tree in trees.items()
    }
    jobs, _ = (answer(worker) for worker in workers.values())
    report: dict[str, Any] = {}
    for job in jobs:
        least, ends = dict.fromkeys(workers, np.inf), {}
        for repeat in range(REPEATS):
            for kind in list(workers)[:: 1 if repeat % 2 == 0 else -1]:
                seconds, *ends[kind] = answer(workers[kind], job)
                least[kind] = min(least[kind], seconds)
        report[job] = {**least, "same_bits": ends["before"] == ends["after"]}
        print(job, report[job], flush=True)
    for worker in workers.values():
        worker.communicate()
    return report


def answer(worker: subprocess.Popen[str], *question: str) -> Any:
    """Ask a worker, if there is something to ask, and read what it says."""
    assert worker.stdin is not None and worker.stdout is not None
    if question:
        worker.stdin.write(question[0] + "\n")
        worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def text(report: dict[str, Any]) -> str:
    """Sentences for the page."""
    first = [
        f"`airtune {name}` {kinds['before']['without_code']:.0f} s before, "
        f"{kinds['after']['without_code']:.0f} s now, {kinds['after']['with_code']:.1f} s with the "
        "code kept"
        for name, kinds in report["first"].items()
    ]
    solve = report["solving"].values()
    ratios = {name: job["after"] / job["before"] for name, job in report["solving"].items()}
    worst = max(ratios, key=lambda name: ratios[name])
    same = sum(job["same_bits"] for job in solve)
    return (
        "CPU seconds of a command on a machine without compiled kernels, before kernels were put\n"
        f"together at the end and now (`benchmarks/first_placement.py`): {'; '.join(first)}.\n"
        f"A solve takes {np.median(list(ratios.values())):.2f} of the time it took (median of "
        f"{len(solve)} problems, {same} of them with the same bits),\n"
        f"at most {ratios[worst]:.2f} ({worst})."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--without-plan", action="store_true", help="only `airtune place`")
    arguments = parser.parse_args()
    trees = {"before": arguments.before.resolve(), "after": ROOT}
    report: dict[str, Any] = {"first": {}}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "airtune.placement.examples", f"{folder}/problems.npz"],
            env=environment_of(ROOT, f"{folder}/none"),
            check=True,
        )
        for name in ["place"] if arguments.without_plan else COMMANDS:
            report["first"][name] = first_command(name, trees, folder)
        report["solving"] = solving(trees, folder)
    report["environment"] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": list(os.getloadavg()),
        **{name: version(name) for name in ("numpy", "numba", "llvmlite")},
    }
    (arguments.out / "first_placement.json").write_text(json.dumps(report, indent=1) + "\n")
    manual.put(ROOT / "docs" / "placement.md", "first placement", text(report))


if __name__ == "__main__":
    main()
