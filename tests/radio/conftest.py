"""Shared radio fixtures: one cell, its air, and updates with unlike blocks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from airtune.kinds import Complex, Real
from airtune.radio.channels.block_fading import draw_block
from airtune.radio.layouts import fixed_array
from airtune.radio.transmission import Air, air_at
from airtune.scenario import Scenario

SIZES = (300, 41, 1000, 160)


@pytest.fixture
def scenario() -> Scenario:
    return Scenario()


@pytest.fixture
def air(scenario: Scenario) -> Air:
    """Ten clients, two interferers, a fixed array of four."""
    block = draw_block(scenario.radio, scenario.clients, 7, 2)
    return air_at(block, fixed_array(4, scenario.array.region), scenario.radio)


@pytest.fixture
def make_updates() -> Callable[..., Real]:
    """Updates of K clients whose blocks differ in scale and mean, by client and by block."""

    def make(clients: int, sizes: tuple[int, ...] = SIZES, seed: int = 0) -> Real:
        rng = np.random.default_rng(seed)
        blocks = [
            10.0 ** rng.uniform(-4, -1, (clients, 1))
            * (rng.standard_normal((clients, size)) + rng.normal(size=(clients, 1)))
            for size in sizes
        ]
        return np.concatenate(blocks, axis=1)

    return make


@pytest.fixture
def combine() -> Callable[..., Complex]:
    """A beamformer that hears every client: whitened sum of the clients, each in phase."""

    def beamformer(air: Air) -> Complex:
        unit = air.channel / np.linalg.norm(air.channel, axis=1, keepdims=True)
        return np.linalg.solve(air.covariance, unit.sum(axis=0))

    return beamformer
