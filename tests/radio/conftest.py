"""Shared radio fixtures: one cell, its air, and updates with unlike matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from airtune.kinds import Complex, Real
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.layouts import fixed_array
from airtune.radio.transmission import Air, air_at
from airtune.radio.units import LinkBudget
from airtune.scenario import Scenario

SIZES = (300, 41, 1000, 160)


@pytest.fixture
def scenario() -> Scenario:
    return Scenario()


@pytest.fixture
def air(scenario: Scenario) -> Air:
    """Ten clients, two interferers, a fixed array of four."""
    block = BlockFading(scenario.radio, scenario.clients, 7).block(2)
    budget = LinkBudget.of(scenario.radio, scenario.clients)
    return air_at(block.true, fixed_array(4, scenario.array.region), budget)


@pytest.fixture
def make_updates() -> Callable[..., Real]:
    """Updates of K clients whose matrices differ in scale and mean, by client and by matrix."""

    def make(clients: int, sizes: tuple[int, ...] = SIZES, seed: int = 0) -> Real:
        rng = np.random.default_rng(seed)
        matrices = [
            10.0 ** rng.uniform(-4, -1, (clients, 1))
            * (rng.standard_normal((clients, size)) + rng.normal(size=(clients, 1)))
            for size in sizes
        ]
        return np.concatenate(matrices, axis=1)

    return make


@pytest.fixture
def combine() -> Callable[..., Complex]:
    """A beamformer that hears every client: whitened sum of the clients, each in phase."""

    def beamformer(air: Air) -> Complex:
        unit = air.channel / np.linalg.norm(air.channel, axis=1, keepdims=True)
        return np.linalg.solve(air.covariance, unit.sum(axis=0))

    return beamformer
