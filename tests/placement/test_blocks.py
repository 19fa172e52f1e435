"""Many blocks judged together: against beamformers of single blocks and finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.placement import (
    Problem,
    TravelLimit,
    beamform,
    half_wavelength,
    mean_error,
    solve_average,
)
from airtune.placement.blocks import Blocks
from airtune.placement.examples import random_problem
from airtune.placement.kernels.sqp import Limits
from airtune.placement.problem import least_distance


def some_blocks(antennas: int, interferers: int, count: int = 3, seed: int = 0) -> list[Problem]:
    """Blocks that have the antennas and the region in common, and nothing else."""
    return [
        random_problem(seed + s, antennas=antennas, clients=4, paths=4, interferers=interferers)
        for s in range(count)
    ]


def errors_of(blocks: list[Problem], places: np.ndarray) -> np.ndarray:
    return np.array([1 / beamform(one, places, starts=16).worst_gain for one in blocks])


def search_of(blocks: list[Problem], travel: TravelLimit | None = None) -> Blocks:
    start = half_wavelength(blocks[0].antennas, blocks[0].region)
    return Blocks(blocks, start, travel, 0.0, 0)


def differing() -> list[Problem]:
    """Blocks with other numbers of clients and interferers that send, and of paths."""
    few = random_problem(1, antennas=3, clients=5, paths=3, interferers=2)
    weights = few.weights.copy()
    weights[[0, 3]] = 0.0
    powers = few.interferer_powers.copy()
    powers[1] = 0.0
    return [
        random_problem(0, antennas=3, clients=4, paths=4, interferers=0),
        replace(few, weights=weights, interferer_powers=powers),
        random_problem(2, antennas=3, clients=2, paths=2, interferers=1),
    ]


@pytest.mark.parametrize("blocks", [some_blocks(3, 0), some_blocks(4, 2), differing()])
def test_errors_are_those_of_the_blocks_best_beamformers(blocks: list[Problem]) -> None:
    search = search_of(blocks)
    state = search.aimed(search.origin)
    for _ in range(8):
        search._aim(state)
    expected = errors_of(blocks, search.origin)
    assert state.errors == pytest.approx(expected, rel=1e-3)
    assert state.value == pytest.approx(expected.mean(), rel=1e-3)


@pytest.mark.parametrize("blocks", [some_blocks(3, 0), some_blocks(4, 2), differing()])
def test_the_gradient_is_that_of_the_mean_error(
    blocks: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airtune.placement.blocks.CLIMB", Limits(60, 1e-10, -np.inf))
    search = search_of(blocks)
    state = search.aimed(search.origin)
    for _ in range(4):
        search._aim(state)
    places = search.origin + np.random.default_rng(0).uniform(-0.02, 0.02, search.origin.shape)
    found = search.looked(state, places, np.inf)
    assert found is not None
    state, slope = found
    differences, h = np.zeros_like(places), 1e-4
    for index in np.ndindex(places.shape):
        ends = []
        for sign in (1, -1):
            moved = places.copy()
            moved[index] += sign * h
            beside = search.looked(state, moved, np.inf)
            assert beside is not None
            ends.append(np.log(beside[0].value))
        differences[index] = (ends[0] - ends[1]) / (2 * h)
    assert slope == pytest.approx(differences, abs=1e-3 * np.abs(differences).max())


def test_a_look_ends_where_the_error_is_not_below_what_it_must_be() -> None:
    search = search_of(some_blocks(3, 1))
    state = search.aimed(search.origin)
    assert search.looked(state, search.origin, 0.5 * state.value) is None
    again = search.looked(state, search.origin, 2 * state.value)
    assert again is not None
    assert again[0].value == pytest.approx(state.value, rel=1e-2)


@pytest.mark.parametrize("interferers", [0, 2])
def test_what_a_place_promises_is_reached_there(interferers: int) -> None:
    blocks = some_blocks(3, interferers)
    search = search_of(blocks)
    state = search.aimed(search.origin)
    promising = search._promising(state, 1, 4)
    assert len(promising) == 4
    means = []
    for place in promising:
        places = search.origin.copy()
        places[1] = place
        assert least_distance(places) >= blocks[0].spacing - 1e-9
        means.append(errors_of(blocks, places).mean())
    search._try(state, 1, promising)
    assert state.value <= min(means) * 1.02


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.6, np.inf]))
def test_places_that_fit_keep_region_spacing_and_discs(seed: int, longest: float) -> None:
    blocks = some_blocks(3, 0, count=1)
    start = half_wavelength(3, blocks[0].region)
    search = search_of(blocks, TravelLimit(start, longest, 0.0, (2,)))
    places = search._fit(np.random.default_rng(seed).uniform(-0.5, 4.5, (3, 2)))
    if places is not None:
        assert blocks[0].violation(places) <= 1e-8
        assert (np.linalg.norm(places - start, axis=1) <= search.radii + 1e-9).all()
        assert np.array_equal(places[2], start[2])


def test_sliding_lowers_the_error_and_keeps_the_limits() -> None:
    blocks = some_blocks(4, 1)
    start = half_wavelength(4, blocks[0].region)
    for travel in (None, TravelLimit(start, 0.3, 0.0, (0,)), TravelLimit(start, np.inf, 3.0)):
        search = search_of(blocks, travel)
        state = search.aimed(start)
        before = state.value
        after = search._slid(state)
        assert after.value < before
        assert blocks[0].violation(after.places) <= 1e-8
        price = search._price(after.places)
        assert after.value == pytest.approx(
            price * errors_of(blocks, after.places).mean(), rel=0.01
        )


def test_silent_blocks_do_not_count() -> None:
    blocks = some_blocks(2, 1)
    start = half_wavelength(2, blocks[0].region)
    silent = replace(blocks[0], weights=np.zeros_like(blocks[0].weights))
    assert np.array_equal(solve_average([silent], start), start)
    with_it = solve_average([silent, *blocks], start, mode="fast")
    assert np.array_equal(with_it, solve_average(blocks, start, mode="fast"))


def test_blocks_of_other_shapes_are_placed_together() -> None:
    blocks = differing()
    start = half_wavelength(3, blocks[0].region)
    found = solve_average(blocks, start)
    assert blocks[0].violation(found) <= 1e-8
    assert mean_error(blocks, found).mean < 0.9 * mean_error(blocks, start).mean


@pytest.mark.parametrize("grid", [0.0, 0.25])
def test_one_antenna_ends_no_worse_than_it_starts(grid: float) -> None:
    for seed in range(12):
        blocks = some_blocks(1, seed % 2, seed=10 * seed)
        start = np.array([[1.0, 2.0]])
        travel = TravelLimit(start, np.inf, 50.0) if seed % 3 == 0 else None
        found = solve_average(blocks, start, mode="fast", travel=travel, grid=grid)
        price = 10 ** (5.0 * np.linalg.norm(found - start)) if travel is not None else 1.0
        errors = [1 / beamform(one, found).worst_gain for one in blocks]
        before = [1 / beamform(one, start).worst_gain for one in blocks]
        assert price * np.mean(errors) <= np.mean(before) * (1 + 1e-6)


def test_places_of_a_state_are_not_its_own_memory() -> None:
    search = search_of(some_blocks(1, 0))
    state = search.aimed(search.origin)
    state.places[:] = 7.0
    assert np.array_equal(state.places, search.origin)


def test_blocks_whose_channels_do_not_fit_into_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = some_blocks(3, 0)  # 4 clients at 625 places: 60 kB a block
    monkeypatch.setattr("airtune.memory.total_bytes", lambda: 100_000)
    search_of(blocks[:1])
    with pytest.raises(InputError, match=r"places for 3 blocks: channels at 625 places need about"):
        search_of(blocks)
