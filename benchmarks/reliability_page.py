"""Write the tables of docs/reliability.md from benchmarks/results/reliability-*.json.

python benchmarks/reliability_page.py            # writes; says what is missing
python benchmarks/reliability_page.py --check    # exit code 1 where the page is not up to date
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import environments
import manual
from trials.two_processes import LOCKED_TRIES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "benchmarks" / "results"
DISTURBED = ("kills", "two-processes", "disk-full", "corrupt-run-folder")
NOT_YET = "not run yet"


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    if not parser.parse_args().check:
        write(PAGE)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        page = Path(shutil.copy(PAGE, folder))
        write(page)
        same = page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    if not same:
        print(f"{PAGE.relative_to(ROOT)}: not what the results say", file=sys.stderr)
    return int(not same)


def write(page: Path) -> None:
    """Fill a page's tables."""
    manual.put(page, "disturbed runs", _lines(disturbed()))
    manual.put(page, "wrong inputs", _lines(inputs()))
    manual.put(page, "long runs", _lines(long_runs()))


def _lines(lines: Iterator[str]) -> str:
    return "\n".join(["", *lines, ""])


def read(name: str) -> dict[str, Any] | None:
    """Return the results of a campaign, or None."""
    path = RESULTS / f"reliability-{name}.json"
    if not path.is_file():
        return None
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known


def disturbed() -> Iterator[str]:
    """Yield the table of runs that were disturbed."""
    known = {part: read(part) for part in DISTURBED}
    rows = [
        [
            part,
            row["of"],
            str(row["tries"]),
            str(row["passed"]),
            _more(row, _without_kill(found, row)),
        ]
        for part, found in known.items()
        for row in (found["summary"] if found else [{"of": NOT_YET, "tries": 0, "passed": 0}])
    ]
    yield from manual.table(["PART", "of", "tries", "passed", "of these"], rows, None)
    yield from _killed(known["kills"])
    yield from _refused(known["two-processes"])
    yield "\n`python benchmarks/reliability.py PART` runs a part."
    yield from _environments([found for found in known.values() if found])


def _more(row: dict[str, Any], without_kill: int = 0) -> str:
    """Return what a row counts besides."""
    said = {"kills": "kills", "warnings": "warnings"}
    said["locked"], said["taken"] = "refused by the lock", "because a run is there"
    said["fell_back"] = "went on from the checkpoint before"
    found = [f"{row[key]} {text}" for key, text in said.items() if row.get(key)]
    if without_kill:
        found.append(f"{without_kill} ended before their kill")
    ends = [
        f"exit code {code}: {row[f'exit_{code}']}" for code in (0, 1, 2) if f"exit_{code}" in row
    ]
    return ", ".join([*found, *ends])


def _without_kill(found: dict[str, Any] | None, row: dict[str, Any]) -> int:
    """Return how many tries of a row have a count of kills, and it is 0."""
    tries = found["tries"] if found else []
    return sum(one["of"] == row["of"] and one.get("kills") == 0 for one in tries)


def _killed(found: dict[str, Any] | None) -> Iterator[str]:
    """Say how many tries the kills are of: a random moment may be later than the end."""
    counts = [one["kills"] for one in found["tries"] if "kills" in one] if found else []
    if counts:
        none, more = counts.count(0), sum(count > 1 for count in counts)
        yield (
            f"\nThe {sum(counts)} kills are of {len(counts)} tries: {none} of these ended before "
            f"their kill, and {more} were killed more than once."
        )


def _refused(found: dict[str, Any] | None) -> Iterator[str]:
    """Say by what the second of two processes was refused.

    Tries of an earlier form, which have no `taken`, did not all wait for the run folder; what was
    not refused by the lock is a `resume` that did not, or a command that begins.
    """
    tries = [one for one in found["tries"] if "locked" in one] if found else []
    if not tries:
        return
    others = [one for one in tries if not one["locked"] and one["passed"]]
    early = [one for one in others if "taken" not in one and one["of"].endswith("resume")]
    count = f"{sum(one['locked'] for one in tries)} were refused by the lock"
    taken = f"{len(others) - len(early)} because a run is there (as it is when the first is over)"
    parts = [count, taken]
    if early:
        parts.append(f"{len(early)} were a `resume` that began before there was a run folder")
    said = (
        f"\nOf the {len(tries)} tries with two processes {', '.join(parts[:-1])} and {parts[-1]}."
    )
    if not all("taken" in one for one in tries):
        said += (
            " The campaign is of a time when all of these counted alike; the script now tries each "
            f"pair until {LOCKED_TRIES} were refused by the lock."
        )
    yield said


def inputs() -> Iterator[str]:
    """Yield the table of wrong scenarios and files, and what failed."""
    known = read("inputs")
    if known is None:
        yield f"{NOT_YET}: `python benchmarks/reliability_inputs.py`"
        return
    rows, failures, mended = [], [], []
    for part, found in known["parts"].items():
        of = "" if found["tried"] == found["planned"] else f" of {found['planned']}"
        ends = [f"{end.removeprefix('exit ')}: {count}" for end, count in found["ends"].items()]
        figures = [f"{found['longest_s']:.1f}", f"{found['most_memory_mib']:.0f}"]
        failed = str(len(found["failures"]))
        rows.append([part, f"{found['tried']}{of}", failed, ", ".join(ends), *figures])
        failures += [f"{part}, {one['kind']}: {one['failure']}" for one in found["failures"]]
        mended += [f"{part}, {one['kind']}: {one['failure']}" for one in found.get("mended", [])]
    head = ["PART", "tries", "failed", "exit codes", "longest [s of CPU]", "most memory [MiB]"]
    yield from manual.table(head, rows, None)
    yield "\n`python benchmarks/reliability_inputs.py --only PART` runs a part."
    if mended:
        yield f"\nFailed at first, and not when tried again after a mend: {'; '.join(mended)}."
    if failures:
        yield f"\nWhat failed: {'; '.join(failures)}."
    yield from _environments([known])


def long_runs() -> Iterator[str]:
    """Yield the table of long and large runs."""
    known = read("soak")
    if known is None:
        yield f"{NOT_YET}: `python benchmarks/reliability_soak.py --work FOLDER`"
        return
    rows, of = [], []
    for part in known["parts"].values():
        of.append({"environments": [part["environment"]]})  # each part is one run
        growth, files = part.get("memory_growth", {}), part.get("open_files", {})
        for scheme, found in part["by_scheme"].items():
            rows.append(
                [
                    f"{part['clients']} clients, {part['antennas']} antennas",
                    scheme,
                    str(found["rounds_run"]),
                    f"{part['peak_memory_mib']:.0f}",
                    f"{100 * growth[scheme]:.2f} %" if growth else "",
                    " to ".join(map(str, files[scheme])) if files else "",
                    f"{found['round_cpu_s']:.2f}",
                ]
            )
    head = ["run", "scheme", "rounds", "peak memory of the run [MiB]", "growth of memory"]
    head += ["open files", "processor time a round [s]"]
    yield from manual.table(head, rows, 2)
    yield "\n`python benchmarks/reliability_soak.py --work FOLDER`"
    yield from _environments(of)


def _environments(documents: list[dict[str, Any]]) -> Iterator[str]:
    """Yield lines that say where and at which states of the program results were made."""
    found = [each for document in documents for each in environments.listed(document)]
    if found:
        yield f"\nMeasured on {environments.described(found)}."
    if not all("environments" in document for document in documents):
        yield "Of results that were begun before each try had its commit, that of one try is known."


if __name__ == "__main__":
    sys.exit(main())
