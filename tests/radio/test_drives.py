"""Drives that miss: the play operator and errors of each movement."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.radio.drives import Carriages

STILL = np.zeros((1, 2))


def at(x: float) -> np.ndarray:
    return np.array([[x, 0.0]])


def test_a_reversal_loses_the_whole_play() -> None:
    carriages, stops = Carriages.homed(at(0.0)), []
    path = [0.0, 1.0, 1.05, 0.95, 0.5, 1.0]
    for old, new in itertools.pairwise(path):
        carriages = carriages.moved(at(old), at(new), 0.2, STILL)
        stops.append(carriages.actual[0, 0])
    # pushed from the left it stays 0.1 short, from the right 0.1 long; 1.05 -> 0.95 is all play
    assert stops == pytest.approx([0.9, 0.95, 0.95, 0.6, 0.9])


def test_errors_are_those_of_the_last_movement_and_do_not_add_up() -> None:
    rng, deviation, rounds = np.random.default_rng(1), 0.02, 400
    carriages, old = Carriages.homed(np.zeros((5, 2))), np.zeros((5, 2))
    errors = []
    for _ in range(rounds):
        new = rng.uniform(0, 4, (5, 2))
        carriages = carriages.moved(old, new, 0.0, deviation * rng.standard_normal((5, 2)))
        errors.append(carriages.actual - new)
        old = new
    assert np.std(errors) == pytest.approx(deviation, rel=5 / np.sqrt(2 * rounds * 10))
    assert np.std(errors[-100:]) == pytest.approx(deviation, rel=0.1)


def test_an_antenna_that_is_not_moved_stays_where_it_is() -> None:
    carriages = Carriages.homed(np.zeros((2, 2)))
    new = np.array([[1.0, 0.0], [0.0, 0.0]])
    moved = carriages.moved(np.zeros((2, 2)), new, 0.1, np.full((2, 2), 0.03))
    assert moved.actual.tolist() == [pytest.approx([0.98, 0.03]), [0.0, 0.0]]
    again = moved.moved(new, new, 0.1, np.full((2, 2), 0.5))
    assert np.array_equal(again.actual, moved.actual)


@given(st.lists(st.floats(0, 4), min_size=1, max_size=12), st.floats(0, 0.5))
def test_a_carriage_is_never_off_by_more_than_half_the_play(
    path: list[float], backlash: float
) -> None:
    carriages, old = Carriages.homed(at(2.0)), 2.0
    for new in path:
        carriages = carriages.moved(at(old), at(new), backlash, STILL)
        assert abs(carriages.actual[0, 0] - new) <= backlash / 2 + 1e-12
        old = new
