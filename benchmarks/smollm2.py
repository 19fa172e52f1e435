"""Run the comparison of the scenario smollm2, a seed at a time, and sum it up.

Each seed is the command that a user types, in a process of its own, with its wall time and the most
memory that it held.  A finished seed is kept in --work, so that an interruption costs one seed.

    python benchmarks/smollm2.py --model models/SmolLM2-135M-Instruct.Q4_1.gguf

writes benchmarks/results/smollm2.json and the table between the markers of docs/models-and-data.md;
--table only rewrites the table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import manual
from airtune import load_scenario, record
from airtune.record.machine import environment

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "smollm2.json"
PAGE = ROOT / "docs" / "models-and-data.md"
SEEDS = (0, 1, 2)
KEPT = ("rounds_to_target", "time_to_target_s", "energy_to_target_j", "final_loss", "mse_db")


def run_seed(seed: int, model: str, work: Path) -> dict[str, Any]:
    """Run `airtune compare smollm2` of a seed, and return its figures."""
    out = work / f"seed-{seed}"
    found = work / f"seed-{seed}.json"
    if not found.exists():
        options = ["--set", f"seed={seed}", "--set", f"model.source={model}", "--out", str(out)]
        words = [sys.executable, "-m", "airtune.cli", "compare", "smollm2", *options]
        words += ["--set", f"cache={work / f'cache-{seed}'}"]
        began = time.perf_counter()
        child = os.posix_spawn(sys.executable, words, os.environ)
        _, status, usage = os.wait4(child, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"seed {seed} has failed")
        measured = {"total_wall_s": time.perf_counter() - began, "peak_kib": usage.ru_maxrss}
        results = record.read_json(out / record.names.RESULTS)
        document = {
            "seed": seed,
            **measured,
            "target_loss": results["target_loss"],
            "schemes": {
                name: {key: figures[key] for key in KEPT} | {"start_loss": _start(figures)}
                for name, figures in results["schemes"].items()
            },
        }
        record.write_json(found, document)
    return dict(json.loads(found.read_text(encoding="utf-8")))


def _start(figures: dict[str, Any]) -> float:
    return float(next(entry["loss"] for entry in figures["history"]))


def summary(seeds: list[dict[str, Any]]) -> list[str]:
    """Return the table of all seeds, and the medians in its last rows."""
    names = list(seeds[0]["schemes"])
    rows = []
    for name in names:
        found = [document["schemes"][name] for document in seeds]
        rows.append(
            [
                name,
                *(_number(one["rounds_to_target"], ".0f") for one in found),
                _median([one["time_to_target_s"] for one in found], ".0f"),
                _median([one["final_loss"] for one in found], ".3f"),
                _median([one["mse_db"] for one in found], ".1f"),
            ]
        )
    titles = ["scheme", *(f"rounds to target, seed {d['seed']}" for d in seeds)]
    titles += ["time to target [s], median", "final loss, median", "aggregation error [dB], median"]
    return manual.table(titles, rows)


def _number(value: float | None, digits: str) -> str:
    return "never" if value is None else f"{value:{digits}}"


def _median(values: list[float | None], digits: str) -> str:
    """Return the median; who never arrives counts as last."""
    if all(value is None for value in values):
        return "–"
    middle = statistics.median(float("inf") if value is None else value for value in values)
    return _number(None if middle == float("inf") else middle, digits)


def markdown(document: dict[str, Any]) -> str:
    """Return what stands between the markers."""
    seeds = document["seeds"]
    walls = [seed["total_wall_s"] / 60 for seed in seeds]
    peak = max(seed["peak_kib"] for seed in seeds) / 2**20
    machine = document["environment"]
    head = (
        f"The seeds took {_listed(walls)} minutes and {peak:.1f} GiB on {machine['cpu_count']} "
        f"cores ({machine['processor']}), each with the conversion of the GGUF file, the first "
        "with the compilation of the placement kernels besides."
    )
    return "\n".join(["", head, "", *summary(seeds), ""])


def _listed(minutes: list[float]) -> str:
    texts = [f"{value:.1f}" for value in minutes]
    return ", ".join(texts[:-1]) + f" and {texts[-1]}"


def main() -> None:
    """Measure the seeds that are not there yet, and write results and table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="models/SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--work", type=Path, default=Path(".cache/smollm2"))
    parser.add_argument("--table", action="store_true", help="use the committed results")
    asked = parser.parse_args()
    if asked.table:
        document = json.loads(RESULTS.read_text(encoding="utf-8"))
    else:
        asked.work.mkdir(parents=True, exist_ok=True)
        seeds = [run_seed(seed, asked.model, asked.work) for seed in SEEDS]
        document = {"seeds": seeds, "environment": environment(load_scenario("smollm2"))}
        record.write_json(RESULTS, document)
    manual.put(PAGE, "smollm2", markdown(document))


if __name__ == "__main__":
    main()
