"""Server optimisers against torch."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.learning.server import ServerOptimizer
from airtune.scenario import Training

UPDATES = np.random.default_rng(0).standard_normal((6, 5)) * np.array([1, 10, 1e-3, 1, 0])


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_steps_equal_those_of_torch(kind: str) -> None:
    import torch

    settings = Training(server_optimizer=kind, learning_rate=0.05, beta1=0.8, beta2=0.97)
    start = np.linspace(-1, 1, 5).astype(np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(start).double())
    reference = (
        torch.optim.Adam([parameter], lr=0.05, betas=(0.8, 0.97))
        if kind == "adam"
        else torch.optim.SGD([parameter], lr=0.05)
    )
    ours, adapter = ServerOptimizer(settings, 5), start
    for update in UPDATES:
        parameter.grad = torch.from_numpy(update)
        reference.step()
        adapter = ours.step(adapter, update)
    assert adapter.dtype == np.float32
    assert np.allclose(adapter, parameter.detach().numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_a_loaded_state_goes_on_bit_for_bit(kind: str) -> None:
    settings = Training(server_optimizer=kind)
    first, adapter = ServerOptimizer(settings, 5), np.zeros(5, np.float32)
    for update in UPDATES[:3]:
        adapter = first.step(adapter, update)
    second = ServerOptimizer(settings, 5)
    second.load(first.state())
    for update in UPDATES[3:]:
        assert np.array_equal(first.step(adapter, update), second.step(adapter, update))


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(ValueError, match="moments"):
        ServerOptimizer(Training(), 5).load(ServerOptimizer(Training(), 4).state())
