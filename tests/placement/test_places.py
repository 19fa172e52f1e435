"""Placement on given places against every choice of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.placement import ProblemError, TravelLimit, beamform, select, solve, sparse
from airtune.placement.examples import random_problem
from airtune.placement.places import choose, grid_lattice, grid_places, on_grid
from airtune.radio.layouts import fixed_array


def exhaustive(problem, grid: float) -> float:
    """Greatest worst gain over all choices of places that keep the spacing."""
    places, best = grid_places(problem.region, grid), 0.0
    for chosen in itertools.combinations(range(len(places)), problem.antennas):
        positions = places[list(chosen)]
        if problem.violation(positions) <= 1e-9:
            best = max(best, beamform(problem, positions, starts=6).worst_gain)
    return best


@pytest.mark.parametrize("interferers", [0, 1])
def test_few_places_are_all_tried(interferers: int) -> None:
    for seed in range(2):
        problem = random_problem(
            seed, antennas=2, clients=3, paths=3, region=(0.9, 0.9), interferers=interferers
        )
        found = solve(problem, mode="fast", grid=0.3)
        assert on_grid(found.positions, 0.3)
        assert problem.violation(found.positions) <= 1e-9
        assert found.worst_gain == pytest.approx(exhaustive(problem, 0.3), rel=1e-6)


def check_search(seed: int, region: tuple[float, float]) -> float:
    """What the search loses against every choice of places [dB]."""
    problem = random_problem(seed, antennas=2, clients=3, paths=3, region=region, interferers=1)
    found = solve(problem, grid=0.2)
    assert on_grid(found.positions, 0.2)
    assert problem.violation(found.positions) <= 1e-9
    return 10 * math.log10(exhaustive(problem, 0.2) / found.worst_gain)


def test_a_search_over_many_places_finds_the_best_of_all() -> None:
    assert check_search(0, (1.2, 0.8)) < 1e-3  # 35 places, 595 pairs


@pytest.mark.slow
def test_a_search_over_very_many_places_finds_the_best_of_all() -> None:
    short = [check_search(seed, (2.0, 1.0)) for seed in range(12)]  # 66 places, 2145 pairs
    assert max(short) < 0.05
    assert np.median(short) < 1e-3


def test_a_fine_grid_loses_little_against_any_place() -> None:
    lost = []
    for seed in range(6):
        problem = random_problem(seed, antennas=4, clients=6, region=(3.0, 3.0), interferers=2)
        anywhere, pixels = (solve(problem, grid=grid) for grid in (0.0, 0.1))
        assert on_grid(pixels.positions, 0.1)
        lost.append(10 * math.log10(anywhere.worst_gain / pixels.worst_gain))
    assert np.median(lost) < 1.0


def test_travel_is_limited_on_a_grid_too() -> None:
    problem = random_problem(1, antennas=3, clients=4, region=(2.0, 2.0))
    start = grid_lattice(3, problem.region, problem.spacing, 0.1)
    found = solve(problem, mode="fast", travel=TravelLimit(start, 0.3), grid=0.1)
    assert on_grid(found.positions, 0.1)
    assert np.linalg.norm(found.positions - start, axis=1).max() <= 0.3 + 1e-9
    assert found.worst_gain >= beamform(problem, start, starts=8).worst_gain * (1 - 1e-9)
    with pytest.raises(ProblemError, match=r"must lie on the grid of 0\.1"):
        solve(problem, start=start + 0.05, grid=0.1)
    with pytest.raises(ProblemError, match="auto or sqp"):
        solve(problem, method="pdd", grid=0.1)


@settings(max_examples=40, deadline=None)
@given(
    antennas=st.integers(1, 9),
    region=st.tuples(st.floats(0.0, 4.0), st.floats(0.5, 4.0)),
    spacing=st.floats(0.2, 0.8),
    grid=st.floats(0.05, 0.7),
)
def test_a_lattice_on_the_grid_keeps_spacing_and_region(
    antennas: int, region: tuple[float, float], spacing: float, grid: float
) -> None:
    try:
        positions = grid_lattice(antennas, region, spacing, grid)
    except ProblemError as error:
        assert "antennas fit, not" in str(error)
        return
    assert positions.shape == (antennas, 2)
    assert on_grid(positions, grid)
    assert np.all(positions >= -1e-9)
    assert np.all(positions <= np.array(region) + 1e-8)
    gaps = np.linalg.norm(positions[:, None] - positions[None], axis=2)[
        np.triu_indices(antennas, 1)
    ]
    assert gaps.min(initial=np.inf) >= spacing - 1e-8


def test_a_grid_of_too_many_places_is_refused() -> None:
    with pytest.raises(ProblemError, match="at most 100000"):
        grid_places((100.0, 100.0), 0.1)


@pytest.mark.parametrize("interferers", [0, 2])
def test_the_choice_of_ports_is_the_best_of_all(interferers: int) -> None:
    problem = random_problem(3, antennas=3, clients=6, region=(3.0, 3.0), interferers=interferers)
    pool = sparse(14, problem.region, 0.5)
    found = choose(problem, pool)  # 364 choices: more than are all tried
    best = max(
        beamform(problem, pool[list(chosen)], starts=4).worst_gain
        for chosen in itertools.combinations(range(14), 3)
    )
    assert found.worst_gain >= best * 10**-0.002
    assert len({tuple(place) for place in found.positions.tolist()}) == 3
    few = choose(problem, pool[:6])  # 20 choices
    assert all(place in pool[:6].tolist() for place in few.positions.tolist())
    with pytest.raises(ProblemError, match="needs at least 3 candidates, not 2"):
        choose(problem, pool[:2])


@pytest.mark.slow
def test_choices_of_ports_are_as_good_as_all_of_them() -> None:
    lost, greedy = [], []
    for seed in range(12):
        problem = random_problem(seed, antennas=3, clients=6, region=(3.0, 3.0), interferers=2)
        pool = sparse(12, problem.region, 0.5)
        best = max(
            beamform(problem, pool[list(chosen)], starts=6).worst_gain
            for chosen in itertools.combinations(range(12), 3)
        )
        lost.append(10 * math.log10(best / choose(problem, pool).worst_gain))
        greedy.append(10 * math.log10(best / select(problem, pool).worst_gain))
    assert max(lost) < 0.05
    assert np.median(greedy) < 0.2


def test_greedy_choice_and_exchange_are_within_a_fifth_of_a_decibel_of_all_choices() -> None:
    lost = []
    for seed, interferers in itertools.product(range(2), (0, 2)):
        problem = random_problem([seed, 3], antennas=3, clients=6, interferers=interferers)
        pool = fixed_array(12, (4.0, 4.0))
        every = itertools.combinations(range(12), 3)
        best = max(beamform(problem, pool[list(c)], starts=4).worst_gain for c in every)
        lost.append(10 * math.log10(best / select(problem, pool, seed=seed).worst_gain))
    assert np.median(lost) < 0.2
    assert min(lost) > -0.01
