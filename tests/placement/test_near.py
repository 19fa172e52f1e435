"""Placement near the present places: every choice on a grid as the oracle, ways by permutations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.placement import TravelLimit, beamform, half_wavelength, solve
from airtune.placement.examples import random_problem
from airtune.placement.places import choices_of, grid_lattice, grid_places, on_grid
from airtune.placement.problem import Problem
from airtune.placement.travel import farthest, match

GRID = 0.1
EPS = 1e-9


def db(gain: float) -> float:
    return 10 * math.log10(gain)


def longest_way(origin: np.ndarray, positions: np.ndarray) -> float:
    """Least longest way over all orders of the antennas."""
    orders = itertools.permutations(range(len(origin)))
    return min(np.linalg.norm(positions[list(o)] - origin, axis=1).max() for o in orders)


def best_worth(problem: Problem, travel: TravelLimit) -> float:
    """Greatest gain less the price of the way [dB], over all choices of places in the discs."""
    places = grid_places(problem.region, GRID)
    radii = [0.0 if n in travel.stuck else travel.longest for n in range(problem.antennas)]
    near = [
        places[np.linalg.norm(places - at, axis=1) <= radius + EPS]
        for at, radius in zip(travel.origin, radii, strict=True)
    ]
    best = -math.inf
    for chosen in itertools.product(*near):
        positions = np.array(chosen)
        if problem.violation(positions) <= EPS:
            gain = beamform(problem, positions, starts=6).worst_gain
            best = max(best, db(gain) - travel.price_db * longest_way(travel.origin, positions))
    return best


def placed_worth(problem: Problem, travel: TravelLimit) -> float:
    """What `solve` finds on the grid, checked  [dB]"""
    found = solve(problem, mode="fast", travel=travel, grid=GRID)
    assert on_grid(found.positions, GRID)
    assert problem.violation(found.positions) <= EPS
    # antenna by antenna, and so within the discs
    ways = np.linalg.norm(found.positions - travel.origin, axis=1)
    assert ways.max() <= travel.longest + EPS
    assert ways[list(travel.stuck)].max(initial=0.0) <= EPS
    assert ways.max() == pytest.approx(longest_way(travel.origin, found.positions), abs=EPS)
    return db(found.worst_gain) - travel.price_db * ways.max()


@pytest.mark.parametrize(
    ("antennas", "longest", "price_db", "stuck"),
    [
        (2, 0.2, 0.0, ()),  # 13 places each
        (2, 0.2, 9.0, ()),
        (3, 0.1, 0.0, ()),  # 5 places each: none of them in the square inside the disc
        (3, 0.3, 4.0, (0, 2)),
        (3, 0.3, 0.0, (0, 2)),
        pytest.param(4, 0.1, 0.0, (1, 3), marks=pytest.mark.slow),
        pytest.param(4, 0.2, 2.0, (0, 1, 3), marks=pytest.mark.slow),
    ],
)
def test_few_choices_within_the_discs_are_all_tried(
    antennas: int, longest: float, price_db: float, stuck: tuple[int, ...]
) -> None:
    problem = random_problem(
        [1, 2], antennas=antennas, clients=3, paths=4, region=(1.5, 1.5), interferers=1
    )
    # antennas need not stand in the order of the places
    origin = grid_lattice(antennas, problem.region, problem.spacing, GRID)[::-1]
    travel = TravelLimit(origin, longest, price_db, stuck)
    places = grid_places(problem.region, GRID)
    assert choices_of(places, antennas, travel) is not None
    assert placed_worth(problem, travel) == pytest.approx(best_worth(problem, travel), abs=1e-6)


def check_search(seed: int, price_db: float) -> float:
    """What a search over too many choices to try all loses against them  [dB]."""
    problem = random_problem([seed, 4], antennas=2, clients=3, paths=4, region=(1.5, 1.0))
    # in a corner, so that the region cuts the discs
    origin = np.array([[0.1, 0.1], [0.7, 0.3]])
    travel = TravelLimit(origin, 0.3, price_db)
    assert choices_of(grid_places(problem.region, GRID), 2, travel) is None
    return best_worth(problem, travel) - placed_worth(problem, travel)


def test_a_search_within_the_discs_finds_the_best_of_all_choices() -> None:
    assert max(check_search(0, 0.0), check_search(1, 3.0)) < 0.01


@pytest.mark.slow
def test_searches_within_the_discs_find_the_best_of_all_choices() -> None:
    lost = [check_search(seed, price) for seed in range(6) for price in (0.0, 3.0)]
    assert max(lost) < 0.1
    assert np.median(lost) < 1e-3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_longest_way_is_the_least_over_all_orders(seed: int, antennas: int) -> None:
    rng = np.random.default_rng(seed)
    origin, positions = rng.uniform(0, 3, (2, antennas, 2)).round(1)
    order, longest = match(origin, positions)
    assert longest == pytest.approx(longest_way(origin, positions), abs=1e-12)
    assert farthest(origin, positions) == longest
    assert np.linalg.norm(positions[order] - origin, axis=1).max() <= longest


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 3.0))
def test_rectangles_towards_positions_lie_in_the_discs_and_hold_them(
    seed: int, radius: float
) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(0, antennas=4)
    origin = rng.uniform(0, 4, (4, 2))
    angle, share = rng.uniform(0.16, np.pi / 2 - 0.16, 4), rng.uniform(0, 1, 4)
    step = radius * share[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    towards = np.clip(origin + step * rng.choice([-1, 1], (4, 2)), 0.0, 4.0)
    low_x, high_x, low_y, high_y = TravelLimit(origin).bounds(problem, radius, towards)
    for x, y in itertools.product((low_x, high_x), (low_y, high_y)):
        assert np.all(np.hypot(x - origin[:, 0], y - origin[:, 1]) <= radius + EPS)
    if (towards > 0).all() and (towards < 4).all():
        assert np.all((low_x - EPS <= towards[:, 0]) & (towards[:, 0] <= high_x + EPS))
        assert np.all((low_y - EPS <= towards[:, 1]) & (towards[:, 1] <= high_y + EPS))


def test_a_price_is_answered_as_well_as_by_trying_many_limits() -> None:
    for seed, price_db in itertools.product(range(2), (1.0, 6.0)):
        problem = random_problem([seed, 8], antennas=4, clients=5, paths=5, interferers=seed)
        origin = half_wavelength(4, problem.region)
        priced = solve(problem, travel=TravelLimit(origin, price_db=price_db))
        way = np.linalg.norm(priced.positions - origin, axis=1).max()
        worth = db(priced.worst_gain) - price_db * way
        best = db(beamform(problem, origin).worst_gain)
        for limit in (0.05, 0.15, 0.3, 0.6, 1.2, 2.4):
            found = solve(problem, mode="fast", travel=TravelLimit(origin, limit))
            way = np.linalg.norm(found.positions - origin, axis=1).max()
            best = max(best, db(found.worst_gain) - price_db * way)
        assert worth > best - 0.15


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_within_a_limit_an_antenna_can_go_as_far_as_it_in_any_direction(seed: int) -> None:
    problem = random_problem([seed, 3], antennas=1, clients=2, paths=6)
    origin = np.array([[2.0, 2.0]])
    ways = []
    for limit in (0.05, 0.1):
        found = solve(problem, mode="fast", travel=TravelLimit(origin, limit))
        ways.append(np.linalg.norm(found.positions - origin, axis=1).max() / limit)
    # a square inside the disc would end anywhere between 0.71 and 1
    assert max(ways) <= 1 + EPS
    assert min(ways) > 0.98


def test_a_limit_far_beyond_the_region_is_as_good_as_none_on_a_grid() -> None:
    problem = random_problem([1, 5], antennas=2, clients=3, paths=4, region=(1.5, 1.5))
    origin = grid_lattice(2, problem.region, problem.spacing, GRID)
    found = solve(problem, mode="fast", travel=TravelLimit(origin, 1e9, 1.0), grid=GRID)
    assert on_grid(found.positions, GRID)
    assert found.worst_gain > beamform(problem, origin).worst_gain
