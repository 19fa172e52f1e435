"""Small finished runs with a real model, without the rounds: what an ended cell leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from airtune import record
from airtune.learning.learner import Learner, prepare
from airtune.record import RunFolder, documents
from airtune.rounds import card
from airtune.scenario import Scenario

TINY: dict[str, Any] = {
    "name": "tiny",
    "threads": 1,
    "schemes": ["ideal", "fixed", "movable"],
    "model": {
        "small": {"hidden": 32, "layers": 2, "heads": 2, "intermediate": 64, "vocabulary": 400},
        "lora": {"rank": 2, "alpha": 4.0},
    },
    "pretraining": {"steps": 3, "batch_size": 4},
    "data": {"max_records": 300},
    "evaluation": {"records": 20, "batch_size": 8},
}
LINES = (
    {"round": 0, "evaluated": True, "loss": 3.0, "perplexity": 20.086, "exact_match": 0.1},
    {"round": 1, "mse": 0.1, "evaluated": False},
    {"round": 2, "mse": 0.3, "evaluated": True, "loss": 2, "perplexity": 7.389, "exact_match": 0.5},
)
PLAN = {
    "rounds": {"pretraining": 3, "finetuning": 2},
    "batch": {"pretraining": 4, "clients": []},
    "frequency_hz": {},
    "bound": {},
    "latency_s": {},
    "energy_j": {},
}
TOTALS = {
    "rounds": 2,
    "latency_s": {},
    "energy_j": {},
    "participation": [],
    "within_latency_budget": True,
    "within_client_energy_budget": True,
}


def settings(**changes: Any) -> Scenario:
    """Return the tiny scenario with some sections' settings changed."""
    merged = {k: dict(v) if isinstance(v, dict) else v for k, v in TINY.items()}
    for name, value in changes.items():
        merged[name] = merged.get(name, {}) | value if isinstance(value, dict) else value
    return Scenario.model_validate(merged)


def trained(learner: Learner, scale: float = 0.1) -> np.ndarray:
    """Return an adapter that changes what the model says."""
    noise = np.random.default_rng(0).standard_normal(learner.size)
    return (learner.initial_adapter() + scale * noise).astype(np.float32)


def finish(run: RunFolder, learner: Learner, schemes: tuple[str, ...]) -> None:
    """Write the finished cells of some schemes as the end of their rounds does."""
    for cell in run.cells:
        if cell.scheme not in schemes:
            continue
        for line in LINES:
            record.append_metrics(cell, line)
        learner.save_adapter(trained(learner), cell.adapter_folder)
        card.write(card.of_run(run.scenario, cell), cell.adapter_folder)
        record.write_document(cell.plan_file, documents.PlanDocument, PLAN)
        record.write_document(cell.finished_file, documents.FinishedDocument, TOTALS)


def make(folder: Path, scenario: Scenario, schemes: tuple[str, ...]) -> tuple[RunFolder, Learner]:
    """Return a comparison of `scenario` whose cells of `schemes` are finished, and its learner."""
    learner = prepare(scenario, scenario.seed)
    run = record.create(folder, scenario, "compare")
    finish(run, learner, schemes)
    return run, learner
