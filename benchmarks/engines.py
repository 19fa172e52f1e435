"""What a round costs on each engine: the same updates and validations, local and on Ray.

python benchmarks/engines.py                 the quickstart, into benchmarks/results/engines.json
python benchmarks/engines.py --model FOLDER  another base model, such as SmolLM2-135M

A script that is stopped goes on where it was.  Times are medians of the rounds after the first; the
updates and scores of all engines are compared with those of the first, bit for bit.  The tables of
docs/engines.md are written from the JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from airtune.engines import Engine, LocalEngine
from airtune.engines.ray_workers import RayEngine
from airtune.learning.learner import prepare
from airtune.scenario import Scenario, file
from resumable import measure

RESULTS = Path(__file__).parent / "results" / "engines.json"
PAGE = Path(__file__).parents[1] / "docs" / "engines.md"
KINDS = {
    "local, 1 thread": ("local", 1, None),
    "ray, 1 worker of 1 thread": ("ray", 1, 1),
    "local, 2 threads": ("local", 2, None),
    "ray, 2 workers of 1 thread": ("ray", 1, 2),
}


def scenario_of(model: str | None, engine: str, threads: int, workers: int | None) -> Scenario:
    """Return the scenario of one measurement."""
    changes = [f"threads={threads}", f"engine.name={engine}"]
    if workers is not None:
        changes.append(f"engine.workers={workers}")
    if model is not None:
        changes += [f"model.source={model}", "evaluation.records=50", "data.max_tokens=256"]
    return file.load("quickstart", changes)


def engine_of(name: str) -> Engine:
    """Return an engine that has not started."""
    return RayEngine() if name == "ray" else LocalEngine(prepare)


def rounds(scenario: Scenario, count: int, batch_size: int) -> dict[str, Any]:
    """Run updates and validations, and return their times [s] and a digest of all numbers."""
    engine = engine_of(scenario.engine.name)
    times: dict[str, list[float]] = {"update_s": [], "evaluate_s": []}
    sha = hashlib.sha256()
    began = time.perf_counter()
    try:
        engine.start(scenario, scenario.seed)
        start_s = time.perf_counter() - began
        adapter = engine.initial_adapter()
        clients = np.arange(scenario.clients.count)
        sizes = np.full(len(clients), batch_size)
        for index in range(1, count + 1):
            began = time.perf_counter()
            done = engine.updates(adapter, clients, sizes, scenario.seed, index)
            times["update_s"].append(time.perf_counter() - began)
            began = time.perf_counter()
            score = engine.evaluate(adapter)
            times["evaluate_s"].append(time.perf_counter() - began)
            sha.update(done.updates.tobytes() + repr((done.loss, score.loss)).encode())
            adapter = adapter - np.float32(0.01) * done.updates.mean(axis=0)
    finally:
        engine.close()
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    load = os.getloadavg()[0]
    return {"start_s": start_s, **medians, "load": load, "digest": sha.hexdigest(), "all": times}


def cell(model: str | None, kind: str, count: int, batch_size: int) -> Callable[[], Any]:
    """Return the measurement of one engine."""
    return lambda: rounds(scenario_of(model, *KINDS[kind]), count, batch_size)


def table(document: dict[str, Any]) -> str:
    """Return the table of the page."""
    settings, cells = document["settings"], document["cells"]
    first = next(iter(cells.values()))
    machine = document["machine"]
    lines = [
        f"{settings['model']}, {settings['batch_size']} samples of each client, median of "
        f"{settings['rounds'] - 1} rounds; {machine['cpus']} cores ({machine['machine']}), "
        f"load up to {max(c['load'] for c in cells.values()):.1f}.",
        "",
        "| engine | start [s] | updates [s] | validation [s] | round over the first | same bits |",
        "|---|--:|--:|--:|--:|---|",
    ]
    whole = first["update_s"] + first["evaluate_s"]
    for name, c in cells.items():
        more = c["update_s"] + c["evaluate_s"] - whole
        same = "yes" if c["digest"] == first["digest"] else "no"
        lines.append(
            f"| {name} | {c['start_s']:.1f} | {c['update_s']:.3f} | {c['evaluate_s']:.3f} | "
            f"{1000 * more:+.0f} ms | {same} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder of a base model; the quickstart's by default")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    settings = {
        "model": Path(given.model).name if given.model else "quickstart's model",
        "rounds": given.rounds,
        "batch_size": given.batch_size,
    }
    cells = [(kind, cell(given.model, kind, given.rounds, given.batch_size)) for kind in KINDS]
    document = measure(given.out, settings, cells)
    text = table(document)
    print(text)
    if given.out == RESULTS:
        page = PAGE.read_text(encoding="utf-8")
        marks = r"(<!-- engines -->\n).*(<!-- end of engines -->)"
        new = re.sub(marks, lambda m: f"{m[1]}\n{text}\n{m[2]}", page, flags=re.S)
        PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
