from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.radio.movement import bottleneck_assignment, movement


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32), st.booleans())
def test_assignment_against_all_permutations(count: int, seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    ways = rng.integers(0, 4, (count, count)) / 2 if ties else rng.uniform(0, 5, (count, count))
    order = bottleneck_assignment(ways)
    assert sorted(order) == list(range(count))
    rows = np.arange(count)
    best = min((ways[rows, p].max(), ways[rows, p].sum()) for p in map(list, permutations(rows)))
    assert (ways[rows, order].max(), ways[rows, order].sum()) == pytest.approx(best)


def test_time_and_energy_by_hand() -> None:
    old = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
    new = np.array([[2.0, 0.5], [3.0, 0.0], [0.0, 0.0]])
    # The first could stay; the last would then go sqrt(2^2 + 3.5^2) = 4.03 to (2, 0.5).  The
    # longest way is shortest, 4, when the last goes to the origin and the first to (2, 0.5).
    ways = np.array([np.sqrt(4.25), 1.0, 4.0])
    moved = movement(old, new, wavelength_m=0.1, speed_mps=0.5, drive_power_w=2.0)
    np.testing.assert_array_equal(moved.order, [0, 1, 2])
    np.testing.assert_allclose(moved.distances_m, 0.1 * ways)
    assert moved.time_s == pytest.approx(0.8)  # 0.4 m at 0.5 m/s
    assert moved.energy_j == pytest.approx(2.0 * 0.1 * ways.sum() / 0.5)
    again = movement(old, new[[1, 2, 0]], wavelength_m=0.1, speed_mps=0.5, drive_power_w=2.0)
    np.testing.assert_array_equal(again.order, [2, 0, 1])
    np.testing.assert_array_equal(again.positions, new)
    assert again.time_s == moved.time_s


def test_bottleneck_beats_the_least_sum() -> None:
    # on a line, sum is indifferent between (1, 3) and (2, 2); the longest way is not
    old, new = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[2.0, 0.0], [3.0, 0.0]])
    moved = movement(old, new, wavelength_m=1.0, speed_mps=1.0, drive_power_w=1.0)
    assert moved.time_s == pytest.approx(2.0)
    assert moved.energy_j == pytest.approx(4.0)


def test_standing_still_costs_nothing_and_order_does_not_matter() -> None:
    places = np.random.default_rng(1).uniform(0, 4, (6, 2))
    shuffled = places[np.random.default_rng(2).permutation(6)]
    moved = movement(places, shuffled, wavelength_m=0.1, speed_mps=0.5, drive_power_w=2.0)
    assert moved.time_s == 0.0
    assert moved.energy_j == 0.0
    np.testing.assert_array_equal(moved.positions, places)


def test_both_sets_have_one_size() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        movement(
            np.zeros((3, 2)), np.zeros((4, 2)), wavelength_m=0.1, speed_mps=1.0, drive_power_w=1.0
        )
