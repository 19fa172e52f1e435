"""Updates of sizes that are far apart: a client, or a node that lies, does not end a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from airtune.engines import LocalEngine
from airtune.planning.repetition import Repetition
from airtune.rounds.federated import FederatedRun
from quadratic import QuadraticLearner


class Odd(LocalEngine):
    """Engine in which client 1 sends what a test puts there."""

    sent = np.zeros(0, np.float32)

    def updates(self, *given, **named):
        done = super().updates(*given, **named)
        rows = done.updates.copy()
        rows[done.clients == 1] = self.sent
        return replace(done, updates=rows)


SIGNS = np.sign(np.random.default_rng(0).standard_normal(107)).astype(np.float32)
SENT = {
    "least number": np.full(107, 1e-45, np.float32),
    "subnormal": SIGNS * np.float32(1e-42) * np.arange(107, dtype=np.float32),
    "tiny": SIGNS * np.float32(1e-25),
    "small": SIGNS * np.float32(3e-8),
    "one entry": np.eye(1, 107, 5, dtype=np.float32)[0] * np.float32(1e-45),
    "one block": np.where(np.arange(107) < 40, 1e-44, 1).astype(np.float32) * SIGNS,
    "large": SIGNS * np.float32(1e10),
    "both": np.where(np.arange(107) % 2, 1e10, 1e-45).astype(np.float32),
}


@pytest.mark.parametrize("scheme", ["movable", "fixed", "truncated", "cotaf", "digital", "obda"])
def test_a_client_of_vanishing_or_immense_updates_ends_no_run(small_scenario, scheme) -> None:
    learner = QuadraticLearner(small_scenario, 1)
    repetition = Repetition(small_scenario, 1, learner)
    for what, sent in SENT.items():
        engine = Odd.over(learner)
        engine.sent = sent
        run = FederatedRun(repetition, scheme, engine)
        lines = [run.run_round() for _ in range(2)]
        assert run.state.round == 2, what
        assert np.isfinite(run.state.adapter).all(), what
        assert lines[-1]["loss"] > 0, what


def test_others_learn_on_beside_a_client_that_sends_next_to_nothing(small_scenario) -> None:
    learner = QuadraticLearner(small_scenario, 1, noise=0.0)
    repetition = Repetition(small_scenario, 1, learner)
    losses = {}
    for what in ("least number", "tiny", "nothing"):
        engine = Odd.over(learner)
        engine.sent = SENT.get(what, np.zeros(107, np.float32))
        run = FederatedRun(repetition, "movable", engine)
        losses[what] = [run.run_round()["loss"] for _ in range(3)]
    assert losses["least number"] == losses["tiny"] == losses["nothing"]
    assert losses["nothing"][-1] < losses["nothing"][0]
