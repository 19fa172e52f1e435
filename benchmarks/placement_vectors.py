"""Explicit short vectors against plain loops: what `lanes.py` brings to the placement solver.

    python benchmarks/placement_vectors.py [--data FOLDER] [--out FOLDER] [--instances N]

Two processes solve the public problems in turn, one with the loops of `plain_kernels.py` in place
of those that use vectors; CPU seconds of the solving thread, least of the repeats, after warm-up.
Writes placement_vectors.json and the marked sentence of docs/placement.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import manual

ROOT = Path(__file__).parents[1]
MODES = ("fast", "default")
REPEATS = 5


def use_plain_loops() -> None:
    """Replace the kernels before anything that contains them is compiled."""
    import plain_kernels as plain
    from airtune.placement.kernels import field, relocate  # no other kernel module before these

    field.channel, field.bending, relocate.score = plain.channel, plain.bending, plain.score
    from airtune.placement.kernels import qp

    qp.cholesky = plain.cholesky
    from airtune.placement.kernels import lagrangian, sqp

    lagrangian._low_rank = plain._low_rank
    sqp._add_clients, sqp._add_row, sqp._step = plain._add_clients, plain._add_row, plain._step


def work(kind: str, files: list[Path]) -> None:
    """Solve what is asked for on standard input: mode, number of the file, instance."""
    if kind == "plain":
        use_plain_loops()
    from airtune.placement import load_problems, solve

    problems = [load_problems(path) for path in files]
    for some in problems:
        solve(some[0], mode="fast")
    print(json.dumps([len(some) for some in problems]), flush=True)
    for line in sys.stdin:
        mode, file, instance = line.split()
        problem = problems[int(file)][int(instance)]
        began = time.thread_time()
        placement = solve(problem, mode=mode)
        answer = [time.thread_time() - began, placement.worst_gain]
        print(json.dumps(answer), flush=True)


def start(kind: str, files: list[Path], cache: str) -> subprocess.Popen[str]:
    """A worker with a folder of its own for machine code."""
    command = [sys.executable, __file__, "--worker", kind, *map(str, files)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": f"{cache}/{kind}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ask(worker: subprocess.Popen[str], *question: object) -> Any:
    assert worker.stdin is not None and worker.stdout is not None
    if question:
        worker.stdin.write(" ".join(map(str, question)) + "\n")
        worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def environment() -> dict[str, Any]:
    """Where the times were taken."""
    from importlib.metadata import version

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": list(os.getloadavg()),
        **{name: version(name) for name in ("numpy", "numba", "llvmlite")},
    }


def compare(files: list[Path], instances: int) -> dict[str, Any]:
    """Ratios of the CPU times, plain over vectors, and how many answers differ."""
    report: dict[str, Any] = {"modes": {}, "environment": environment()}
    with tempfile.TemporaryDirectory() as cache:
        workers = {kind: start(kind, files, cache) for kind in ("vectors", "plain")}
        counts, _ = (ask(worker) for worker in workers.values())
        for mode in MODES:
            classes: dict[str, Any] = {}
            changed = 0
            for file, path in enumerate(files):
                ratios = []
                for instance in range(min(instances, counts[file])):
                    least, gain = dict.fromkeys(workers, np.inf), dict.fromkeys(workers, 0.0)
                    for repeat in range(REPEATS):
                        for kind in list(workers)[:: 1 if repeat % 2 == 0 else -1]:
                            seconds, gain[kind] = ask(workers[kind], mode, file, instance)
                            least[kind] = min(least[kind], seconds)
                    ratios.append(least["plain"] / least["vectors"])
                    changed += gain["plain"] != gain["vectors"]
                classes[path.stem.removeprefix("public_")] = ratios
                print(mode, path.stem, np.round(ratios, 2), flush=True)
            every = [ratio for ratios in classes.values() for ratio in ratios]
            report["modes"][mode] = {
                "ratio_median": float(np.median(every)),
                "instances": len(every),
                "gains_changed": changed,
                "ratios": classes,
            }
        for worker in workers.values():
            worker.communicate()
    return report


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], [Path(name) for name in sys.argv[3:]])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "placement")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--instances", type=int, default=8, help="of every class, at most")
    options = parser.parse_args()
    files = sorted(options.data.glob("public_*.npz"))
    if not files:
        sys.exit(f"no public_*.npz in {options.data}")
    report = compare(files, options.instances)
    (options.out / "placement_vectors.json").write_text(json.dumps(report, indent=1) + "\n")
    modes = report["modes"]
    fast, default = (modes[mode]["ratio_median"] for mode in MODES)
    same = all(modes[mode]["gains_changed"] == 0 for mode in MODES)
    manual.put(
        ROOT / "docs" / "placement.md",
        "vectors",
        "With plain numba loops instead (`benchmarks/plain_kernels.py`) a solve takes "
        f"{fast:.2f} times as long in `fast` mode\nand {default:.2f} times in `default` "
        f"(median of {modes['fast']['instances']} public instances, "
        f"{'with the same bits' if same else 'with other bits'}; "
        "`benchmarks/placement_vectors.py`).",
    )


if __name__ == "__main__":
    main()
