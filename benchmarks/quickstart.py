"""Run the quickstart comparison and put its figures into the README.

Writes benchmarks/results/quickstart.json (the comparison's results with the environment and the
wall time), docs/figures/*.png, and the table between the markers of README.md:

    python benchmarks/quickstart.py
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import manual
from airtune import load_scenario, record
from airtune.report.table import scheme_rows
from airtune.study import cells, compare

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "quickstart.json"
FIGURES = ("loss-rounds", "loss-time", "antenna-positions", "energy-split", "exact-match")
FIGURE_FOLDER = ROOT / "docs" / "figures"


def measure(folder: Path) -> dict[str, Any]:
    """Run the comparison with an empty cache and return its results and wall time."""
    scenario = load_scenario("quickstart", [f"cache={folder / 'cache'}"])
    began = time.perf_counter()
    run_folder = record.create(folder / "run", scenario, "compare")
    cells.execute(run_folder)
    results = compare.summarise(run_folder)
    compare.publish(run_folder)
    results["total_wall_s"] = time.perf_counter() - began
    results["scenario"]["cache"] = ".cache/airtune"
    for name in FIGURES:
        shutil.copyfile(
            folder / "run" / record.names.FIGURES / f"{name}.png", FIGURE_FOLDER / f"{name}.png"
        )
    return results


def markdown(results: dict[str, Any]) -> str:
    """Return the table of schemes as Markdown."""
    sheet = scheme_rows(results)
    titles = ["Scheme", *(title for title in sheet.columns if title != "Scheme")]
    rows = [[row.label, *(cell.text for cell in row.cells)][: len(titles)] for row in sheet.rows]
    return "\n".join(manual.table(titles, rows))


def main() -> None:
    """Measure, or with --table only rewrite the README's table from the committed results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="use the committed results")
    if parser.parse_args().table:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    else:
        FIGURE_FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            results = measure(Path(folder))
        record.write_json(RESULTS, results)
    manual.put(ROOT / "README.md", "quickstart table", f"\n{markdown(results)}\n")


if __name__ == "__main__":
    main()
