"""The reconfigurable surface: channel, phases, and the square law."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from airtune.radio.array import channel
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.layouts import fixed_array
from airtune.radio.surface import SurfaceFading
from airtune.scenario import Scenario
from airtune.schemes.arrays.phases import Reflection, configure


def scenario(**ris: object) -> Scenario:
    return Scenario.model_validate({"ris": ris, "clients": {"count": 4}})


def drawn(seed: int, clients: int, antennas: int, elements: int, direct: float = 1.0) -> Reflection:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) * np.sqrt(0.5)

    return Reflection(
        direct=direct * normal(clients, antennas),
        incident=normal(clients, elements),
        interference=normal(1, antennas),
        interference_incident=normal(1, elements),
        to_antennas=normal(antennas, elements),
        noise=0.1,
    )


def best_gain(reflection: Reflection, phases: np.ndarray) -> float:
    """The best beamformer's gain for given phases, by climbs from many starts."""
    still = replace(
        reflection,
        direct=reflection.direct
        + (reflection.incident * np.exp(1j * phases)) @ reflection.to_antennas.T,
        interference=reflection.interference
        + (reflection.interference_incident * np.exp(1j * phases)) @ reflection.to_antennas.T,
        incident=0 * reflection.incident,
        interference_incident=0 * reflection.interference_incident,
    )
    return max(configure(still, bits=1, seed=seed).gain for seed in range(2))


def test_reflection_is_a_set_of_paths() -> None:
    s = scenario(elements=12)
    fading = SurfaceFading(s.ris, s.radio, s.clients, 1)
    block = BlockFading(s.radio, s.clients, 1).block(3).true
    surface, seen = fading.surface(3)
    assert seen is surface  # no CSI error
    positions = fixed_array(4, s.array.region)
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, 12)
    whole = surface.reflect(block, phases)
    D = surface.to_antennas(positions)
    for paths, direct, hop in (
        (whole.clients, block.clients, surface.incident),
        (whole.interferers, block.interferers, surface.interference),
    ):
        expected = channel(direct, positions) + (hop * np.exp(1j * phases)) @ D.T
        assert np.allclose(channel(paths, positions), expected, rtol=1e-9, atol=1e-18)


def test_rounds_repeat_whatever_the_order_and_the_last_hop_stands_still() -> None:
    s = scenario(elements=6)
    one, other = (SurfaceFading(s.ris, s.radio, s.clients, 1) for _ in range(2))
    late = one.surface(4)[0]
    early = one.surface(1)[0]
    assert np.array_equal(other.surface(1)[0].incident, early.incident)
    assert np.array_equal(other.surface(4)[0].incident, late.incident)
    assert not np.allclose(early.incident, late.incident)
    assert np.array_equal(early.departing, late.departing)


def test_channel_error_blurs_what_the_server_sees() -> None:
    data = scenario(elements=6).to_dict()
    data["radio"]["csi"] = {"angle_error_deg": 5.0, "gain_error": 0.1}
    s = Scenario.model_validate(data)
    true, seen = SurfaceFading(s.ris, s.radio, s.clients, 1).surface(2)
    assert not np.allclose(true.incident, seen.incident)
    assert not np.allclose(true.departing, seen.departing)


def test_gradient_is_that_of_finite_differences() -> None:
    reflection = drawn(0, 4, 3, 5)
    z = np.random.default_rng(1).standard_normal(5 + 6)
    _, slope = reflection.loss(z, 20.0)
    steps = 1e-6 * np.eye(len(z))
    numeric = [
        (reflection.loss(z + e, 20.0)[0] - reflection.loss(z - e, 20.0)[0]) / 2e-6 for e in steps
    ]
    assert np.allclose(slope, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", [1])
def test_phases_come_near_the_best_of_all_quantised_ones(seed: int) -> None:
    reflection = drawn(seed, 3, 2, 3)
    found = configure(reflection, bits=2)
    step = np.pi / 2
    best = max(
        best_gain(reflection, step * np.array(levels))
        for levels in itertools.product(range(4), repeat=3)
    )
    assert np.allclose(found.phases / step, np.round(found.phases / step))
    assert found.gain >= 0.9 * best
    free = configure(reflection)
    assert free.gain >= found.gain * (1 - 1e-3)


def test_every_step_raises_the_gain() -> None:
    for seed in range(3):
        for bits in (None, 2):
            history = configure(drawn(seed, 5, 3, 8), bits=bits).history
            assert len(history) >= 3
            assert all(later >= before for before, later in itertools.pairwise(history))


def test_one_client_s_gain_grows_with_the_square_of_the_elements() -> None:
    """Without a direct path M elements in phase add amplitudes: twice as many, four times."""
    gains = []
    for elements in (8, 16, 32):
        values = []
        for seed in range(6):
            reflection = replace(
                drawn(seed, 1, 2, elements, direct=0.0),
                interference=np.zeros((0, 2), complex),
                interference_incident=np.zeros((0, elements), complex),
            )
            values.append(configure(reflection).gain)
        gains.append(np.mean(values))
    steps = np.log2(np.array(gains[1:]) / gains[:-1])
    assert np.allclose(steps, 2.0, atol=0.35)


def test_one_client_never_loses_by_a_surface() -> None:
    """The reflection can be turned to add to what the best beamformer hears directly."""
    for seed in range(10):
        reflection = replace(
            drawn(seed, 1, 3, 4),
            interference=np.zeros((0, 3), complex),
            interference_incident=np.zeros((0, 4), complex),
        )
        alone = float(np.sum(np.abs(reflection.direct) ** 2)) / reflection.noise
        assert configure(reflection).gain >= alone
