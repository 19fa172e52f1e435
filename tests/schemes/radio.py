"""Rounds of a scenario's radio and updates to send over it."""

from __future__ import annotations

from typing import Any

import numpy as np

from airtune.radio.channels.block_fading import BlockFading
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.schemes import AirInterface, Link, RadioRound, Uploads

SIZES = np.array([3000, 2000])
PLAIN = Scenario.model_validate(
    {
        "radio": {
            "hardware": {"profile": "radiated"},
            "pilot_rule": "equal",
            "silent_symbols": 0,
        },
        "array": {"field_pilots": 1},
        "aggregation": {"scale_reports": "sequential"},
        "planning": {"overlap": False},
    }
)
"""Scales as they are, and books that are short to write down by hand."""


def scenario_with(base: Scenario | None = None, **changes: Any) -> Scenario:
    """Return a scenario, :data:`PLAIN` by default, with settings changed, `a__b=c` for a.b."""
    data = (base or PLAIN).to_dict()
    for path, value in changes.items():
        *sections, last = path.split("__")
        section = data
        for name in sections:
            section = section[name]
        section[last] = value
    return Scenario.model_validate(data)


def radio_of(scenario: Scenario, index: int = 1, seed: int = 1) -> RadioRound:
    block = BlockFading(scenario.radio, scenario.clients, seed).block(index)
    return RadioRound.of(scenario, seed, index, block)


def air_of(scenario: Scenario, name: str) -> AirInterface:
    """Return the air interface of a scheme."""
    return SCHEMES[name].build(scenario, 1).air


def link_of(scenario: Scenario, name: str, index: int = 1, seed: int = 1) -> Link:
    """Return the link of a scheme for equal weights."""
    policy, radio = SCHEMES[name].build(scenario, seed).array, radio_of(scenario, index, seed)
    count = scenario.clients.count
    weights = np.full(count, 1 / count)
    positions = policy.place(radio, weights, policy.start())
    return policy.link(radio, weights, positions)


def uploads_of(updates: np.ndarray, sizes: np.ndarray = SIZES, **more: Any) -> Uploads:
    """Return uploads of equal weights by clients 0, 1, ..."""
    count = len(updates)
    omega = np.full(count, 1 / count)
    return Uploads(updates.astype(np.float32), np.arange(count), omega, sizes, **more)


def laplace(clients: int, seed: int = 0, sizes: np.ndarray = SIZES) -> np.ndarray:
    """Return independent Laplace updates of mean square 1."""
    draws = np.random.default_rng(seed).laplace(0.0, np.sqrt(0.5), (clients, sizes.sum()))
    return draws / np.sqrt(np.mean(draws**2))


def gaussian(clients: int, seed: int = 0, sizes: np.ndarray = SIZES) -> np.ndarray:
    """Return independent updates whose matrices have mean 0 and deviation 1 exactly."""
    updates = np.random.default_rng(seed).standard_normal((clients, sizes.sum()))
    for matrix in np.split(updates, np.cumsum(sizes)[:-1], axis=1):
        matrix -= matrix.mean(axis=1, keepdims=True)
        matrix /= matrix.std(axis=1, keepdims=True)
    return updates
