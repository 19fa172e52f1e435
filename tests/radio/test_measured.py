"""Channels measured where the antennas stand, and the paths that agree with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.radio.array import channel
from airtune.radio.channels.base import Paths, Transmitters
from airtune.radio.channels.csi import perceived_paths
from airtune.radio.measured import Sounding, measure, updated
from airtune.radio.transmission import air_at
from airtune.radio.units import LinkBudget
from airtune.scenario import Csi

CSI = Csi(gain_error=0.1, angle_error_deg=0.5)


def cell(seed: int, clients: int = 6, interferers: int = 2, paths: int = 5, antennas: int = 4):
    """True and believed paths, places and powers of a cell with interferers 20 dB above noise."""
    rng = np.random.default_rng(seed)

    def draw(count: int, level: float) -> Paths:
        turn, height = rng.uniform(0, 2 * np.pi, (2, count, paths))
        radius = np.sqrt(1 - (height / 2 / np.pi) ** 2)
        u = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=-1)
        a = rng.normal(size=(count, paths, 2)) @ [1, 1j] * np.sqrt(level / 2 / paths)
        return Paths(a, u, np.zeros((count, paths)))

    true = Transmitters(draw(clients, 1.0), draw(interferers, 100.0))
    believed = Transmitters(
        perceived_paths(true.clients, CSI, rng), perceived_paths(true.interferers, CSI, rng)
    )
    places = rng.uniform(0, 3, (antennas, 2))
    budget = LinkBudget(np.full(clients, 10.0), np.ones(interferers), 1.0)
    return true, believed, places, budget


def after(true, believed, places, budget, sounding, seed=0):
    airs = air_at(true, places, budget), air_at(believed, places, budget)
    rng = np.random.default_rng([seed, 5])
    told = measure(*airs, budget.client_powers, sounding, rng)
    return told, updated(believed, places, told, CSI)


def wrong(paths: Transmitters, true: Transmitters, places: np.ndarray, budget) -> np.ndarray:
    """Squared error of the clients' channels and of the interference's covariance, over the size.

    A covariance does not tell which interferer is which.
    """
    now, as_it_is = air_at(paths, places, budget), air_at(true, places, budget)
    pairs = ((now.channel, as_it_is.channel), (now.covariance, as_it_is.covariance))
    return np.array([np.sum(np.abs(a - b) ** 2) / np.sum(np.abs(b) ** 2) for a, b in pairs])


def test_long_pilots_tell_the_channel_at_the_antennas_and_much_of_it_nearby() -> None:
    left: dict[float, list] = {0.0: [], 0.05: [], 20.0: []}
    for seed in range(8):
        true, believed, places, budget = cell(seed)
        _, known = after(true, believed, places, budget, Sounding(10**7, 10**5))
        for shift, shares in left.items():
            pairs = (wrong(t, true, places + shift, budget) for t in (known, believed))
            shares.append(np.divide(*pairs))
    here, near, far = (np.median(shares, axis=0) for shares in left.values())
    assert np.all(here < 1e-2)
    assert np.all(near < 0.4)
    assert np.all(far > near)  # 20 wavelengths away less is learnt
    assert far[0] > 0.3


def test_without_energy_in_the_pilots_beliefs_stay() -> None:
    true, believed, places, budget = cell(1)
    faint = LinkBudget(np.full(6, 1e-12), budget.interferer_powers, budget.noise)
    told, known = after(true, believed, places, faint, Sounding(1, 0))
    assert known.clients.gains == pytest.approx(believed.clients.gains, abs=1e-6)
    assert known.interferers is believed.interferers
    assert told.interference is None


def test_what_is_known_without_error_is_not_changed_by_noise() -> None:
    true, _, places, budget = cell(2)
    airs = air_at(true, places, budget), air_at(true, places, budget)
    told = measure(*airs, budget.client_powers, Sounding(1, 10), np.random.default_rng(0))
    assert updated(true, places, told, Csi()).clients is true.clients


def test_a_measured_null_is_deeper_than_a_believed_one() -> None:
    """What is left of one interferer behind w = R^-1 h, over the noise [dB]."""
    left = {"believed": [], "measured": []}
    for seed in range(12):
        true, believed, places, budget = cell(seed, interferers=1)
        _, known = after(true, believed, places, budget, Sounding(100, 100))
        v = channel(true.interferers, places)[0]
        for name, paths in (("believed", believed), ("measured", known)):
            air = air_at(paths, places, budget)
            w = np.linalg.solve(air.covariance, air.channel[0])
            left[name].append(abs(w.conj() @ v) ** 2 / np.sum(np.abs(w) ** 2))
    assert np.median(left["measured"]) < 0.3 * np.median(left["believed"])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(0, 6), st.integers(1, 5))
def test_any_numbers_of_antennas_and_interferers_give_finite_paths(
    seed: int, antennas: int, interferers: int, clients: int
) -> None:
    true, believed, places, budget = cell(
        seed, clients=clients, interferers=interferers, antennas=antennas
    )
    told, known = after(true, believed, places, budget, Sounding(8, 4), seed)
    for paths in (known.clients, known.interferers):
        assert np.isfinite(paths.gains).all()
        assert np.all(np.linalg.norm(paths.directions, axis=-1) <= 1 + 1e-12)
    assert np.linalg.eigvalsh(told.covariance).min() >= budget.noise * (1 - 1e-9)


def test_what_is_heard_in_turns_tells_nothing_of_what_turns_have_in_common() -> None:
    true, believed, places, budget = cell(3, antennas=6)
    airs = air_at(true, places, budget), air_at(believed, places, budget)

    def told(chains: int | None):
        rng = np.random.default_rng(0)
        return measure(*airs, budget.client_powers, Sounding(10**7, 10**6, chains), rng)

    whole, turns, more = told(None), told(2), told(9)
    assert np.array_equal(whole.covariance, more.covariance)
    exact = airs[0].covariance
    assert np.abs(whole.covariance - exact).max() < 0.02 * np.abs(exact).max()
    same_turn = np.kron(np.eye(3), np.ones((2, 2))) > 0
    assert np.abs((turns.covariance - exact)[same_turn]).max() < 0.02 * np.abs(exact).max()
    assert np.all(turns.covariance[~same_turn] == 0)
    assert turns.clients == pytest.approx(airs[0].channel, abs=1e-2)
    assert turns.interference.shape == (2, 6)
    # each turn fits two factors to two antennas: together no more than that is known
    for first in (0, 2, 4):
        part = slice(first, first + 2)
        alone = turns.interference[:, part].T @ np.diag(budget.interferer_powers)
        assert alone @ turns.interference[:, part].conj() + budget.noise * np.eye(2) == (
            pytest.approx(turns.covariance[part, part])
        )


def test_turns_with_one_chain_hear_every_antenna_alone() -> None:
    true, believed, places, budget = cell(4, antennas=3)
    told, known = after(true, believed, places, budget, Sounding(100, 50, 1))
    assert np.count_nonzero(told.covariance) == 3
    assert np.isfinite(known.clients.gains).all()
