"""Try to break runs: kills, two processes, full disks, damaged files.

    python benchmarks/reliability.py kills
    python benchmarks/reliability.py two-processes disk-full corrupt-run-folder
    python benchmarks/reliability.py kills --reduced     # a few tries, in seconds; nothing kept

Each try is written to benchmarks/results/reliability-PART.json when it has ended; the same command
goes on with those that are missing.  The exit code is 1 where a try went wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from trials import corrupt, disk_full, kills, two_processes
from trials.results import Results

PARTS = {
    "kills": kills.run,
    "two-processes": two_processes.run,
    "disk-full": disk_full.run,
    "corrupt-run-folder": corrupt.run,
}
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--reduced", action="store_true", help="a few tries, in seconds")
    parser.add_argument("--anew", action="store_true", help="forget the tries that are known")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="reliability-") as scratch:
        for part in given.parts:
            out = Path(scratch) / "results" if given.reduced else given.out
            work = Path(scratch) / part
            file = out / f"reliability-{part}.json"
            results = Results(file, part, anew=given.anew, scratch=work)
            PARTS[part](results, work, given.reduced)
            failed += results.failed
            print(f"{part}: {len(results.tries)} tries, {results.failed} went wrong", flush=True)
    sys.exit(1 if failed else 0)


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Shows the text above as it is."""


if __name__ == "__main__":
    main()
