"""Differences of the loss by forward passes alone, on a language model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from airtune.learning.learner import Learner
from airtune.learning.payload import SeededDirections
from airtune.learning.zeroth_order import asked, asks
from airtune.scenario import Scenario


def test_differences_are_slopes_and_no_gradient_is_taken(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They agree with the gradient of the same mini-batch; the state is as it was."""
    away = np.random.default_rng(0).standard_normal(learner.size)
    adapter = (learner.initial_adapter() + 0.1 * away).astype(np.float32)
    gradient = learner.client_update(adapter, 1, 4, seed=5, round_index=2)
    payload = SeededDirections(learner.matrices, 5, 3)
    slopes = [float(z @ gradient.update) for z in payload.directions(2)]

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a gradient was taken")

    for name in ("gradient_at", "loss_and_gradient"):
        monkeypatch.setattr(learner._model, name, refuse)
    own = {"other": np.ones(2)}
    (found,) = learner.client_updates(adapter, [1], [4], 5, 2, {1: asked(3, 1e-4) | own})
    assert found.loss == pytest.approx(gradient.loss, rel=1e-5)
    assert found.update[:3] * np.sqrt(3) == pytest.approx(slopes, rel=0.02, abs=0.01)
    assert not found.update[3:].any()
    assert found.state == own and not asks(found.state)


def test_several_clients_at_once_and_one_by_one_are_the_same(learner: Learner) -> None:
    states = {k: asked(2, 1e-4) for k in range(3)}
    adapter = learner.initial_adapter()
    together = learner.client_updates(adapter, [0, 1, 2], [4, 4, 4], 5, 1, states)
    for k, found in enumerate(together):
        (alone,) = learner.client_updates(adapter, [k], [4], 5, 1, states)
        assert np.array_equal(alone.update, found.update)


def test_what_is_sent_is_clipped(learner: Learner, scenario_with: Callable[..., Scenario]) -> None:
    clipped = learner.under(scenario_with(training__clip_norm=0.01))
    states = {0: asked(4, 1e-4)}
    (found,) = clipped.client_updates(learner.initial_adapter(), [0], [4], 5, 1, states)
    assert np.linalg.norm(found.update) == pytest.approx(0.01, rel=1e-5)


def test_a_loss_that_is_no_number_stays_at_the_client(learner: Learner) -> None:
    adapter = np.full(learner.size, np.nan, np.float32)
    (found,) = learner.client_updates(adapter, [0], [4], 5, 1, {0: asked(4, 1e-4)})
    assert not found.finite and not found.update.any()
