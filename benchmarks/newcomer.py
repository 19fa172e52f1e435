"""How long a newcomer's path takes, from the clone to own data: docs/tutorial.md.

    python benchmarks/newcomer.py            follow the tutorial from a clone on, then the table
    python benchmarks/newcomer.py --table    the table only

The tutorial is followed literally by scripts/follow_pages.py, in a clone with a new environment.
`make demo` of its first section runs the quickstart as it is; the runs of the other sections are on
the small settings that the page names for this, so what they take is mostly the start of programs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import manual

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "newcomer.json"
PAGE = ROOT / "docs" / "tutorial.md"


def table(document: dict[str, Any]) -> str:
    """Return what each part took, and where.

    >>> step = {"step": "Install", "seconds": 90.0, "cpu_seconds": 61.0}
    >>> machine = {"cpu_count": 2, "processor": "AMD", "python": "3.11.7", "commit": "abcdef12"}
    >>> print(table({"steps": [step], "environment": machine}).splitlines()[2])
    | Install | 1.5 | 1.0 |
    """
    steps, machine = document["steps"], document["environment"]
    rows = [
        [one["step"], *(f"{one[name] / 60:.1f}" for name in ("seconds", "cpu_seconds"))]
        for one in steps
    ]
    whole = [sum(one[name] for one in steps) / 60 for name in ("seconds", "cpu_seconds")]
    rows.append(["all", *(f"{one:.1f}" for one in whole)])
    lines = manual.table(["part", "min by the clock", "min of processors"], rows)
    said = (
        f"Measured on {machine['cpu_count']} cores ({machine['processor']}), Python "
        f"{machine['python']}, commit {machine['commit'][:7]}."
    )
    return "\n".join([*lines, "", said])


def main() -> None:
    """Follow the tutorial, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--table", action="store_true", help="the table only")
    given = parser.parse_args()
    if not given.table:
        files = [str(file.relative_to(ROOT)) for file in (RESULT, PAGE)]
        command = [sys.executable, "scripts/follow_pages.py", "--install", "--json", *files]
        subprocess.run(command, cwd=ROOT, check=True)
    manual.put(PAGE, "how long it takes", table(json.loads(RESULT.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
