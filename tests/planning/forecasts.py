"""Small problems and objectives for tests of plans that minimise what is predicted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from airtune.allocation import Processors, ResourceProblem, ServerProcessor
from airtune.allocation.examples import two_clients
from airtune.bound.learning_curve import LearningCurve
from airtune.planning.objective import Objective

CURVE = LearningCurve((3.0,), floor=0.6, scale=2.5, power=1.4).losses(60)


def objective(name: str, **changes: Any) -> Objective:
    """Return an objective of two clients whose error-free run is at the target after 8.5 rounds."""
    given: dict[str, Any] = {
        "name": name,
        "curve": CURVE,
        "target": float(0.5 * (CURVE[8] + CURVE[9])),
        "chi": 6.0,
        "batch_noise": 0.5,
        "reference": np.array([16.0, 16.0]),
    }
    return Objective(**{**given, **changes})


def problem(**changes: Any) -> ResourceProblem:
    """Return two clients, the second of half the speed, with small batches and up to 40 rounds."""
    plain = two_clients()
    clients: Processors = replace(plain.clients, batch_max=np.array([5.0, 4.0]))
    own = {k: changes.pop(k) for k in ("budget_j", "radio_j", "fixed_j") if k in changes}
    given: dict[str, Any] = {
        "clients": replace(clients, **own),
        "rounds": (1, 40),
        "server": ServerProcessor(0.0, 1e-27, 1e9, 3e9),
        "mse_star": 0.1,
    }
    return replace(plain, **{**given, **changes})
