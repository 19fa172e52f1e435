"""The study of the claims by one command: every cell that is missing, then docs/claims.md.

    python benchmarks/claims.py                    # hours; goes on where it was stopped
    python benchmarks/claims.py --list             # what is there, what is missing, and the hours
    python benchmarks/claims.py --only family --minutes 60 --processes 2
    python benchmarks/claims.py --table            # docs/claims.md from the committed results
    python benchmarks/claims.py --reduced          # every part on tiny settings; nothing is kept

A finished cell is one line of benchmarks/results/claims.jsonl, written at once; what an
interruption costs is the run that was under way.  Processes work side by side with one thread each,
and several commands may share the work.  The family is declared in
src/airtune/study/claims/family.json, which is not to be changed once a cell has run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from pathlib import Path
from statistics import median

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import manual  # noqa: E402
from airtune.study.claims.family import read_family  # noqa: E402
from claims_cells import PARTS, Job, Study, jobs  # noqa: E402
from claims_tables import tables  # noqa: E402
from claims_work import Results, environment, ready, work  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "claims.jsonl"
MANUAL = ROOT / "docs" / "claims.md"
GUESSES = {"run": 62.0, "replayed": 3.0, "forecast": 4.0, "plan": 6.0}
"""Seconds of the processor of a cell before the first of its kind has been measured."""


def measure(study: Study, given: argparse.Namespace, file: Path) -> int:
    """Run the jobs that have missing cells, side by side; return how many failed."""
    results, failed = Results(file), 0
    results.begin(study.family.sha256, environment(study))
    until = time.time() + 60 * given.minutes if given.minutes else None
    make = partial(work, study=study, file=file, until=until)
    spawn = multiprocessing.get_context("spawn")
    waiting = list(jobs(study, given.only))
    with ProcessPoolExecutor(given.processes, mp_context=spawn) as pool:
        at_work: set[Future[list[str]]] = set()
        while True:
            late = until is not None and time.time() > until
            for job in [] if late else _next(study, results, waiting, given.processes, at_work):
                at_work.add(pool.submit(make, job))
            if not at_work:
                return failed
            ended, at_work = wait(at_work, return_when=FIRST_COMPLETED)
            results.read()
            for one in ended:
                failed += _show(one, results)


def _next(
    study: Study, results: Results, waiting: list[Job], most: int, at_work: set[Future[list[str]]]
) -> Iterator[Job]:
    """Take the first jobs that can begin out of those that wait."""
    free = most - len(at_work)
    for job in list(waiting):
        if free <= 0:
            return
        if all(cell.key in results.cells for cell in job.cells):
            waiting.remove(job)
        elif ready(study, job, results):
            waiting.remove(job)
            free -= 1
            yield job


def _show(ended: Future[list[str]], results: Results) -> bool:
    """Tell what a job has written; a job that failed is told and does not stop the others."""
    error = ended.exception()
    if error is not None:
        print(f"failed: {type(error).__name__}: {error}", flush=True)
        return True
    for key in ended.result():
        print(_told(key, results), flush=True)
    return False


def _told(key: str, results: Results) -> str:
    entry = results.cells[key]
    if "history" in entry:
        told = f"loss {entry['history']['loss'][-1]}"
    else:
        told = entry.get("infeasible") or f"{len(entry.get('plans', ()))} plans"
    return f"{key} ({entry['how']}): {told} ({entry['cpu_s']:.0f} s of processor time)"


def listing(study: Study, results: Results, only: Sequence[str], every: bool) -> None:
    """Print what is there and what is missing, and the hours that it takes."""
    spent = defaultdict(list)
    for entry in results.cells.values():
        spent[entry["how"]].append(entry["cpu_s"])
    hours, learnt, made = 0.0, 0, set(results.cells)
    for part in only:
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for job in jobs(study, [part]):
            missing = [cell for cell in job.cells if cell.key not in results.cells]
            # the updates of a run whose own cell is none of these parts are made once more
            again = missing and missing[0].how != "plan" and job.learn.key not in made
            again = again and job.learn.key not in _keys(missing)
            made |= {job.learn.key, *_keys(missing)}
            learnt += bool(again)
            hours += _seconds(spent, "run") / 3600 if again else 0.0
            for cell in job.cells:
                there = cell.key in results.cells
                counts[cell.how][there] += 1
                hours += 0.0 if there else _seconds(spent, cell.how) / 3600
                if every:
                    print("there  " if there else "missing", cell.key)
        for how, (missing_count, there_count) in counts.items():
            each = _seconds(spent, how)
            source = "measured" if spent[how] else "guessed"
            print(
                f"{part}, {how}: {missing_count} of {missing_count + there_count} cells missing, "
                f"{each:.1f} s each ({source})"
            )
    print(f"updates that are made again for replays: {learnt} runs")
    print(f"all that is missing: {hours:.1f} h of processor time on one core")


def _keys(cells: Sequence[object]) -> set[str]:
    return {str(getattr(cell, "key", "")) for cell in cells}


def _seconds(spent: dict[str, list[float]], how: str) -> float:
    return median(spent[how]) if spent[how] else GUESSES[how]


def main() -> None:
    """Run what is missing, or show what is there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--list", action="store_true", help="what is there, and the hours")
    parser.add_argument("--cells", action="store_true", help="with --list: every cell by name")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts of the study"
    )
    parser.add_argument("--minutes", type=float, help="begin no cell after so many minutes")
    parser.add_argument("--processes", type=int, default=1, help="runs side by side")
    parser.add_argument("--table", action="store_true", help="docs/claims.md from the results")
    parser.add_argument("--reduced", action="store_true", help="tiny settings; nothing is kept")
    given = parser.parse_args()
    if given.reduced:
        reduced(given)
        return
    study, results = Study(read_family()), Results(RESULTS).read()
    if given.list:
        listing(study, results, given.only, given.cells)
        return
    failed = 0 if given.table else measure(study, given, RESULTS)
    for name, text in tables(study, results.read()).items():
        manual.put(MANUAL, name, f"\n{text}\n")
    if failed:
        raise SystemExit(f"{failed} jobs failed; the same command tries them again")


def reduced(given: argparse.Namespace) -> None:
    """Run every part on tiny settings, twice: the second time nothing is left to do."""
    with tempfile.TemporaryDirectory() as scratch:
        study = Study(read_family(), reduced=True, cache=str(Path(scratch) / "cache"))
        file = Path(scratch) / "claims.jsonl"
        assert measure(study, given, file) == 0
        wanted = {cell.key for job in jobs(study, given.only) for cell in job.cells}
        before = file.read_bytes()
        assert set(Results(file).read().cells) == wanted
        assert measure(study, given, file) == 0
        assert file.read_bytes().startswith(before)
        assert set(Results(file).read().cells) == wanted
        shown = tables(study, Results(file).read())
        print(f"{len(wanted)} cells, {sum(len(text.splitlines()) for text in shown.values())} rows")


if __name__ == "__main__":
    main()
