"""The whole study by one command: every cell that is missing, then docs/results.md.

    python benchmarks/study.py                     # hours; goes on where it was stopped
    python benchmarks/study.py --estimate          # what is missing, and how long it takes
    python benchmarks/study.py --sections claims --minutes 60
    python benchmarks/study.py --write-docs        # docs/results.md and its figures
    python benchmarks/study.py --reduced           # every part on tiny settings

A finished cell is one line of a file in benchmarks/results/study, written at once; an interruption
costs the cell that was running.  Several processes may share the work.
The real model needs  --smollm2 MODEL.gguf --alpaca FILE.jsonl.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

from studies import document, sections  # noqa: E402
from studies.points import Cell, Document  # noqa: E402
from studies.results import Results  # noqa: E402
from studies.runner import Runner  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "study"
DOCS = ROOT / "docs"


def main() -> None:
    """Parse the options and do what they ask."""
    given = _parse()
    with tempfile.TemporaryDirectory() as scratch:
        results = given.results or (Path(scratch) / "cells" if given.reduced else RESULTS)
        options = sections.Options(
            results=Results(results),
            cache=Path(scratch) / "cache" if given.reduced else given.cache,
            smollm2=given.smollm2 or sections.Options.smollm2,
            alpaca=given.alpaca or sections.Options.alpaca,
            reduced=given.reduced,
        )
        docs = given.docs or (Path(scratch) / "docs" if given.reduced else DOCS)
        if given.estimate:
            estimate(options, given.sections)
            return
        if not given.write_docs:
            run(options, given)
        docs.mkdir(exist_ok=True)
        readme = ROOT / "README.md" if docs == DOCS else None
        print(f"wrote {document.write(options, docs, readme)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    names = list(sections.SECTIONS)
    parser.add_argument("--sections", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--estimate", action="store_true", help="say what is missing, run nothing")
    parser.add_argument("--write-docs", action="store_true", help="write the document only")
    parser.add_argument("--reduced", action="store_true", help="tiny settings, a minute")
    parser.add_argument("--minutes", type=float, help="start no cell after so long")
    parser.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="run the cells of these only"
    )
    parser.add_argument("--results", type=Path, help="folder of the finished cells")
    parser.add_argument("--docs", type=Path, help="folder of results.md and its figures")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(".cache/airtune"),
        help="folder of pre-trained models and of the run folders of unfinished cells",
    )
    parser.add_argument("--smollm2", type=Path, help="GGUF file of SmolLM2-135M")
    parser.add_argument("--alpaca", type=Path, help="instructions in Alpaca's fields, JSONL")
    return parser.parse_args()


class _Plain(argparse.RawDescriptionHelpFormatter):
    pass


def run(options: sections.Options, given: argparse.Namespace) -> None:
    """Run the missing cells one after the other."""
    runner, began = Runner(options.results, options.cache / "study"), time.monotonic()
    while (done := _run_next(runner, _missing(options, given.sections, given.seeds))) is not None:
        cell, document = done
        losses = document.get("history", {}).get("loss", [])
        outcome = document.get("infeasible") or f"loss {losses[-1]}"
        print(f"{cell.title}: {outcome} ({document['cpu_s']:.0f} s of processor time)", flush=True)
        if given.minutes is not None and time.monotonic() - began > 60 * given.minutes:
            print("time is up; the same command goes on")
            return


def _run_next(runner: Runner, missing: Iterator[Cell]) -> tuple[Cell, Document] | None:
    """Run the first missing cell that no other process is running."""
    for cell in missing:
        document = runner.run(cell)
        if document is not None:
            return cell, document
    return None


def _missing(
    options: sections.Options, names: list[str], seeds: list[int] | None
) -> Iterator[Cell]:
    """Yield the missing cells; asked again after each cell, for step sizes decide on others."""
    for name in filter(options.runnable, names):
        for cell in sections.cells(options, [name]):
            if (seeds is None or cell.seed in seeds) and options.results.find(cell) is None:
                yield cell


def estimate(options: sections.Options, names: list[str]) -> None:
    """Print the missing cells of each section and the hours that they take."""
    total = 0.0
    options = replace(options, untuned=True)
    for name in names:
        cells = [(c, options.results.find(c)) for c in sections.cells(options, [name])]
        known = [done["cpu_s"] for _, done in cells if done is not None]
        each = median(known) if known else GUESSES[name]
        missing = Counter(c.point.title for c, done in cells if done is None)
        hours = each * missing.total() / 3600
        total += hours
        source = "measured" if known else "guessed"
        print(
            f"{name}: {missing.total()} of {len(cells)} cells missing, "
            f"{each:.0f} s each ({source}): {hours:.2f} h"
        )
        for point, count in missing.items():
            print(f"    {point}: {count}")
    print(f"all: {total:.1f} h of processor time on one core of {os.cpu_count()}")


GUESSES = {
    "step-size": 60.0,
    "claims": 60.0,
    "movement": 60.0,
    "electrical": 60.0,
    "policies": 60.0,
    "default-policy": 30.0,
    "perplexity": 40.0,
    "regimes": 12.0,
    "regimes-movement": 12.0,
    "privacy": 40.0,
    "real-model": 600.0,
}
"""Seconds of a cell before the first of its section has been measured."""


if __name__ == "__main__":
    main()
