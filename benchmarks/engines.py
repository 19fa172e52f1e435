"""What a round costs on each engine: the same updates and validations on local, Ray and Flower.

python benchmarks/engines.py                     all cells, into benchmarks/results/engines.json
python benchmarks/engines.py --only quickstart   the cells of one model

Two models: one of the quickstart's shape, and one of that of SmolLM2-135M [1]_.  Their weights are
drawn at random: times do not depend on them.  A script that is stopped goes on where it was.
Times are medians of the rounds after the first; the updates and scores of all engines are compared
with those of the first, bit for bit.  The tables of docs/engines.md are written from the JSON.

.. [1] Ben Allal et al.: SmolLM2: when Smol goes big, 2025; its configuration on the hub.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import manual
from airtune.learning.learner import prepare
from airtune.learning.sources import open_model
from airtune.registry import ENGINES
from airtune.scenario import Scenario, file
from resumable import measure, measured_on

RESULTS = Path(__file__).parent / "results" / "engines.json"
PAGE = Path(__file__).parents[1] / "docs" / "engines.md"
KINDS = {
    "local, 1 thread": ("local", 1, None),
    "local, 2 threads": ("local", 2, None),
    "ray, 1 worker of 1 thread": ("ray", 1, 1),
    "ray, 2 workers of 1 thread": ("ray", 1, 2),
    "flower, 2 nodes of 1 thread": ("flower", 1, 2),
}
SMOLLM2 = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
# Rounds, and samples of each client in a round.
MODELS = {"quickstart": (11, 8), "SmolLM2-135M shape": (4, 2)}
# Two batches at least: one cannot be shared among workers.
RECORDS = {"quickstart": 250, "SmolLM2-135M shape": 100}


@contextlib.contextmanager
def source_of(model: str) -> Iterator[list[str]]:
    """Yield the changes of the quickstart for a model, whose folder is there within the block."""
    if model == "quickstart":
        yield ["pretraining.steps=0"]
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(SMOLLM2))
        yield [
            f"model.source={folder}",
            "model.random_weights=true",
            "data.max_tokens=64",
        ]


def scenario_of(changes: list[str], engine: str, threads: int, workers: int | None) -> Scenario:
    """Return the scenario of one measurement."""
    more = [f"threads={threads}", f"engine.name={engine}", "model.device=cpu"]
    if workers is not None:
        more.append(f"engine.workers={workers}")
    return file.load("quickstart", changes + more)


def rounds(scenario: Scenario, count: int, batch_size: int) -> dict[str, Any]:
    """Run updates and validations, and return their times [s] and a digest of all numbers."""
    engine = ENGINES[scenario.engine.name](prepare)
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


def cell(model: str, kind: str) -> Callable[[], Any]:
    """Return the measurement of one engine with one model."""

    def work() -> dict[str, Any]:
        with source_of(model) as changes:
            if model == "quickstart":
                # The model is made, and kept in the cache, before the first engine starts.
                open_model(scenario_of(changes, "local", 1, None), lambda text, fraction: None)
            changes = [*changes, f"evaluation.records={RECORDS[model]}"]
            return rounds(scenario_of(changes, *KINDS[kind]), *MODELS[model])

    return work


def tables(document: dict[str, Any]) -> list[str]:
    """Return the lines of the page: a table of each model, and what two processors bring."""
    lines: list[str] = []
    for model, (count, batch_size) in MODELS.items():
        cells = {
            kind: document["cells"][f"{model}: {kind}"]
            for kind in KINDS
            if f"{model}: {kind}" in document["cells"]
        }
        if not cells:
            continue
        first = next(iter(cells.values()))
        lines += [
            f"{model}: ten clients with {batch_size} samples each, {RECORDS[model]} records of "
            f"validation, median of {count - 1} rounds, "
            f"{place(document['settings'])}, load up to "
            f"{max(c['load'] for c in cells.values()):.1f}.",
            "",
            *manual.table(
                ["engine", "start [s]", "updates [s]", "validation [s]", "over the first", "bits"],
                [row(c, first, kind) for kind, c in cells.items()],
            ),
            "",
        ]
        lines += [*ratios(cells), ""]
    return [*lines, measured_on(document)]


def row(c: dict[str, Any], first: dict[str, Any], kind: str) -> list[str]:
    """Return a row of a table."""
    more = 1000 * (whole(c) - whole(first))
    return [
        kind,
        f"{c['start_s']:.1f}",
        f"{c['update_s']:.3f}",
        f"{c['evaluate_s']:.3f}",
        f"{more:+.0f} ms",
        "same" if c["digest"] == first["digest"] else "others",
    ]


def whole(c: dict[str, Any]) -> float:
    """Return the time of a round [s]."""
    return float(c["update_s"] + c["evaluate_s"])


def ratios(cells: dict[str, Any]) -> list[str]:
    """Return how fast two workers of one thread are against one and two threads here."""
    ray = cells.get("ray, 2 workers of 1 thread")
    if ray is None:
        return []
    text = [
        f"{whole(cells[kind]) / whole(ray):.2f} times as fast as {kind}"
        for kind in ("local, 1 thread", "local, 2 threads")
        if kind in cells
    ]
    return [f"Ray with two workers of one thread is {' and '.join(text)}."]


def place(settings: dict[str, Any]) -> str:
    """Return what the machine has to compute with."""
    cores, processors = settings["cores"], settings["processors"]
    return f"{processors} processors" + (
        f" that are threads of {cores} core{'s' * (cores != 1)}" if cores < processors else ""
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=MODELS, help="one model; both by default")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    settings = {
        "models": {name: list(values) for name, values in MODELS.items()},
        "validation_records": RECORDS,
        "cores": psutil.cpu_count(logical=False),
        "processors": psutil.cpu_count(),
    }
    cells = [
        (f"{model}: {kind}", cell(model, kind))
        for model in MODELS
        if given.only in (None, model)
        for kind in KINDS
    ]
    text = "\n".join(tables(measure(given.out, settings, cells)))
    print(text)
    if given.out == RESULTS:
        manual.put(PAGE, "engines", text)


if __name__ == "__main__":
    main()
