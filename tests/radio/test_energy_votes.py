"""Votes by energy against closed forms of non-coherent detection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.radio.energy_votes import agreement, decide, level_powers
from airtune.radio.impairments import Impairments
from airtune.radio.transmission import Air


def air_of(channel: np.ndarray, noise: float = 1.0, other: np.ndarray | None = None) -> Air:
    interference = np.zeros((0, channel.shape[1])) if other is None else other
    powers = np.ones(len(interference))
    return Air(channel.astype(complex), interference.astype(complex), powers, noise)


@pytest.mark.parametrize("snr", [1.0, 4.0])
def test_one_voter_errs_as_binary_frequency_shift_keying(snr: float) -> None:
    """Non-coherent detection of two orthogonal signals: 1/2 exp(-gamma / 2) (Proakis, Digital
    Communications, section 5.4)."""
    votes = np.ones((1, 40_000))
    # twice the average power is on the resource in use
    decision, _ = decide(
        votes, np.array([snr / 2]), air_of(np.ones((1, 1))), np.random.default_rng(1)
    )
    assert np.mean(decision < 0) == pytest.approx(0.5 * np.exp(-snr / 2), rel=0.05)


def test_interference_in_the_direction_of_one_antenna_is_weighed_away() -> None:
    """With R known two antennas, one of them drowned, are as good as the other alone."""
    votes, powers = np.ones((1, 40_000)), np.array([1.0])
    alone, _ = decide(votes, powers, air_of(np.ones((1, 1))), np.random.default_rng(2))
    drowned = air_of(np.ones((1, 2)), other=np.array([[0.0, 1e4]]))
    both, _ = decide(votes, powers, drowned, np.random.default_rng(3))
    wrong = np.mean(alone < 0)
    # the drowned antenna adds unit noise to either energy and nothing else
    assert wrong < np.mean(both < 0) < 2 * wrong


def test_interference_that_nobody_expects_is_not_weighed_away() -> None:
    votes, powers = np.ones((1, 20_000)), np.array([1.0])
    drowned = air_of(np.ones((1, 2)), other=np.array([[0.0, 1e4]]))
    believed = air_of(np.ones((1, 2)))
    wrong = {}
    for known in (None, drowned, believed):
        rng = np.random.default_rng(3)
        decision, _ = decide(votes, powers, drowned, rng, known=known)
        wrong[None if known is None else known is believed] = np.mean(decision < 0)
    assert wrong[None] == wrong[False] < 0.3
    assert wrong[True] == pytest.approx(0.5, abs=0.02)


def test_no_phase_matters() -> None:
    rng = np.random.default_rng(4)
    votes = np.where(rng.random((3, 4000)) < 0.5, -1.0, 1.0)
    channel = rng.standard_normal((3, 2)) + 1j * rng.standard_normal((3, 2))
    turned = channel * np.exp(2j * np.pi * rng.random((3, 1)))
    one, other = (
        agreement(np.ones(3), air_of(x, 0.1), np.random.default_rng(5), draws=20_000)
        for x in (channel, turned)
    )
    assert one == pytest.approx(other, abs=0.03)
    late = Impairments(np.ones(3), np.full(3, 2.0), np.full(3, 0.3), np.ones(3), np.ones(3))
    plain, powers = decide(votes, np.ones(3), air_of(channel), np.random.default_rng(6))
    met, same = decide(
        votes, np.ones(3), air_of(channel), np.random.default_rng(6), impairments=late
    )
    assert met == pytest.approx(plain)
    assert powers == pytest.approx(np.ones(3))
    assert same == pytest.approx(np.ones(3))


@pytest.mark.parametrize("times", [1, 3])
def test_an_upload_that_breaks_off_votes_no_more(times: int) -> None:
    """A vote's repetitions follow each other, so the same votes are lost however often each is."""
    votes = np.ones((1, 4000))
    half = Impairments(np.ones(1), np.zeros(1), np.zeros(1), np.array([0.5]), np.ones(1))
    decision, powers = decide(
        votes,
        np.array([100.0]),
        air_of(np.ones((1, 1))),
        np.random.default_rng(7),
        times=times,
        impairments=half,
    )
    assert (decision[:2000] > 0).all()
    assert np.mean(decision[2000:] > 0) == pytest.approx(0.5, abs=0.05)
    assert powers == pytest.approx([50.0])


def test_votes_that_are_sent_more_often_err_less() -> None:
    air = air_of(np.ones((3, 1)), 2.0)
    once, often = (
        agreement(np.ones(3), air, np.random.default_rng(8), times=n, draws=20_000) for n in (1, 6)
    )
    assert (often > once + 0.02).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(0, 1)), min_size=1, max_size=6))
def test_energies_arrive_as_the_weights_and_one_client_is_at_its_limit(pairs: list) -> None:
    gains, weights = (np.array(x) for x in zip(*pairs, strict=True))
    limits = np.linspace(1.0, 2.0, len(gains))
    powers = level_powers(gains, weights, limits)
    assert (powers <= limits * (1 + 1e-12)).all()
    assert (powers[weights == 0] == 0).all()
    active = weights > 1e-6
    if active.any():
        levels = powers[active] * gains[active] / weights[active]
        assert levels == pytest.approx(np.full(len(levels), levels[0]))
        assert np.isclose(powers / limits, 1.0).any()
