"""Server optimisers against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.learning.server import OptimizerState, ServerOptimizer, finite_step, restore
from airtune.registry import SERVER_OPTIMIZERS
from airtune.scenario.learning import Training

UPDATES = np.random.default_rng(0).standard_normal((6, 5)) * np.array([1, 10, 1e-3, 1, 0])


RATE = 0.05


class Stepper:
    """An optimiser with the state that a run would carry."""

    def __init__(self, settings: Training, size: int) -> None:
        self.settings = settings
        self.optimizer: ServerOptimizer = SERVER_OPTIMIZERS[settings.server_optimizer]
        self.state = self.optimizer.init(np.zeros(size, np.float32), settings)

    def step(self, adapter: np.ndarray, update: np.ndarray) -> np.ndarray:
        adapter, self.state = self.optimizer.step(adapter, update, self.state, self.settings)
        return adapter

    def load(self, saved: OptimizerState) -> None:
        self.state = restore(self.state, saved)


@pytest.mark.parametrize("kind", ["adam", "sgd", "momentum"])
@pytest.mark.parametrize("epsilon", [1e-8, 1e-2])
def test_steps_equal_those_of_torch(kind: str, epsilon: float) -> None:
    import torch

    settings = Training(
        server_optimizer=kind,
        learning_rate=RATE,
        momentum=0.7,
        beta1=0.8,
        beta2=0.97,
        epsilon=epsilon,
    )
    start = np.linspace(-1, 1, 5).astype(np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(start).double())
    reference = {
        "adam": lambda p: torch.optim.Adam(p, lr=RATE, betas=(0.8, 0.97), eps=epsilon),
        "sgd": lambda p: torch.optim.SGD(p, lr=RATE),
        "momentum": lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.7),
    }[kind]([parameter])
    ours, adapter = Stepper(settings, 5), start
    for update in UPDATES:
        parameter.grad = torch.from_numpy(update)
        reference.step()
        adapter = ours.step(adapter, update)
    assert adapter.dtype == np.float32
    assert np.allclose(adapter, parameter.detach().numpy(), rtol=1e-5, atol=1e-7)


def test_yogi_by_hand() -> None:
    """One entry, three updates, written out: 2, then 1 (smaller than the root of v), then 3."""
    settings = Training(
        server_optimizer="yogi", learning_rate=0.1, beta1=0.5, beta2=0.75, epsilon=0.01
    )
    ours, adapter = Stepper(settings, 1), np.array([5.0], np.float32)
    m1, v1 = 0.5 * 2, 0.25 * 4
    # v = 1 equals u^2 = 1: the sign is 0 and v stays, where adam would give 1 as well.
    m2, v2 = 0.5 * m1 + 0.5 * 1, v1
    m3, v3 = 0.5 * m2 + 0.5 * 3, v2 + 0.25 * 9
    m4, v4 = 0.5 * m3 + 0.5 * 0.5, v3 - 0.25 * 0.25
    expected = 5.0
    for t, (u, m, v) in enumerate([(2, m1, v1), (1, m2, v2), (3, m3, v3), (0.5, m4, v4)], 1):
        expected -= 0.1 * (m / (1 - 0.5**t)) / ((v / (1 - 0.75**t)) ** 0.5 + 0.01)
        adapter = ours.step(adapter, np.array([u]))
        assert adapter[0] == pytest.approx(expected, rel=1e-6)


def test_yogi_forgets_a_large_update_more_slowly_than_adam() -> None:
    lasting = {}
    for kind in ("adam", "yogi"):
        optimizer = Stepper(Training(server_optimizer=kind), 1)
        adapter = np.zeros(1, np.float32)
        for update in [100.0] + 200 * [0.1]:
            adapter = optimizer.step(adapter, np.array([update]))
        lasting[kind] = optimizer.state["second"][0]
    assert lasting["yogi"] > 5 * lasting["adam"]


@pytest.mark.parametrize("kind", ["adam", "sgd", "momentum", "yogi"])
def test_a_loaded_state_goes_on_bit_for_bit(kind: str) -> None:
    settings = Training(server_optimizer=kind)
    first, adapter = Stepper(settings, 5), np.zeros(5, np.float32)
    for update in UPDATES[:3]:
        adapter = first.step(adapter, update)
    second = Stepper(settings, 5)
    second.load(first.state)
    for update in UPDATES[3:]:
        assert np.array_equal(first.step(adapter, update), second.step(adapter, update))


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(ValueError, match="moments"):
        Stepper(Training(server_optimizer="momentum"), 5).load(
            Stepper(Training(server_optimizer="adam"), 5).state
        )
    with pytest.raises(ValueError, match="moments"):
        Stepper(Training(), 5).load(Stepper(Training(), 4).state)


@pytest.mark.parametrize("kind", list(SERVER_OPTIMIZERS))
def test_a_step_leaves_its_arguments_as_they_are(kind: str) -> None:
    optimizer: ServerOptimizer = SERVER_OPTIMIZERS[kind]
    settings, adapter = Training(server_optimizer=kind), np.ones(5, np.float32)
    state = optimizer.init(adapter, settings)
    before: dict[str, Any] = {name: value.copy() for name, value in state.items()}
    update = UPDATES[0].copy()
    after, next_state = optimizer.step(adapter, update, state, settings)
    assert after.dtype == np.float32 and not np.shares_memory(after, adapter)
    assert np.array_equal(adapter, np.ones(5)) and np.array_equal(update, UPDATES[0])
    assert {name: value.shape for name, value in next_state.items()} == {
        name: value.shape for name, value in state.items()
    }
    for name, value in before.items():
        assert np.array_equal(state[name], value)


def test_checkpoints_of_earlier_versions_are_read() -> None:
    """They held a moment of no entries where an optimiser needs none."""
    saved = {"steps": np.array([3]), "first": np.ones(5), "second": np.zeros(0)}
    stepper = Stepper(Training(server_optimizer="momentum"), 5)
    stepper.load(saved)
    assert set(stepper.state) == {"steps", "first"}
    plain = Stepper(Training(server_optimizer="sgd"), 5)
    plain.load({"steps": np.array([3]), "first": np.zeros(0), "second": np.zeros(0)})
    assert plain.state["steps"] == 3


@given(
    st.sampled_from(["sgd", "momentum", "adam", "yogi"]),
    st.floats(1e-6, 1e308),
    st.lists(st.floats(width=32), min_size=3, max_size=3),
)
def test_a_step_is_that_of_the_optimiser_or_none(
    kind: str, rate: float, update: list[float]
) -> None:
    settings = Training(server_optimizer=kind, learning_rate=rate)
    optimizer: ServerOptimizer = SERVER_OPTIMIZERS[kind]
    adapter = np.array([0.0, 1.0, -1e30], np.float32)
    before = optimizer.init(adapter, settings)
    kept = {name: value.copy() for name, value in before.items()}
    found = finite_step(optimizer, adapter, np.array(update), before, settings)
    with np.errstate(all="ignore"):
        after, state = optimizer.step(adapter, np.array(update), kept, settings)
    if all(np.isfinite(x).all() for x in (after, *state.values())):
        assert found is not None
        assert np.array_equal(found[0], after)
        assert all(np.array_equal(found[1][name], state[name]) for name in state)
    else:
        assert found is None
    assert all(np.array_equal(before[name], kept[name]) for name in kept), "it stays as it was"


def test_a_state_that_is_not_finite_refuses_the_step() -> None:
    """The adapter alone may look whole: momentum of 1e308 twice is infinite."""
    settings = Training(server_optimizer="momentum", learning_rate=1e-300, momentum=0.9)
    optimizer: ServerOptimizer = SERVER_OPTIMIZERS["momentum"]
    adapter = np.zeros(1, np.float32)
    first = finite_step(
        optimizer, adapter, np.array([1e308]), optimizer.init(adapter, settings), settings
    )
    assert first is not None
    assert finite_step(optimizer, first[0], np.array([1e308]), first[1], settings) is None
