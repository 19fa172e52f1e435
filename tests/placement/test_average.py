"""Places for many blocks: no worse than any start, the best of all on a grid, honest estimates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.placement import (
    Problem,
    ProblemError,
    TravelLimit,
    beamform,
    estimate,
    half_wavelength,
    mean_error,
    solve,
    solve_average,
)
from airtune.placement.average import EFFORTS, Effort
from airtune.placement.examples import random_problem
from airtune.placement.places import grid_lattice, grid_places, on_grid


def blocks_of(seed: int, count: int, **changes) -> list[Problem]:
    """Blocks of the same directions and mean powers, with other gains."""
    first = random_problem(seed, **changes)
    rng = np.random.default_rng([seed, 9])
    blocks = []
    for _ in range(count):
        turned = {
            name: np.sqrt(np.mean(np.abs(getattr(first, name)) ** 2, axis=1, keepdims=True) / 2)
            * (rng.normal(size=(2, *getattr(first, name).shape)).T @ [1, 1j]).T
            for name in ("gains", "interferer_gains")
        }
        data = {k: getattr(first, k) for k in first.__dataclass_fields__} | turned
        blocks.append(Problem(**data))
    return blocks


def mean_of(blocks: list[Problem], positions: np.ndarray) -> float:
    return float(np.mean([1 / beamform(p, positions, starts=4).worst_gain for p in blocks]))


def test_on_a_coarse_grid_the_best_of_all_places_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EFFORTS, "exhaustive", Effort(3, 2, 3, 12))
    for seed in range(1):
        blocks = blocks_of(
            seed, 3, antennas=2, clients=3, paths=3, region=(0.8, 0.6), interferers=1
        )
        places = grid_places(blocks[0].region, 0.2)
        every = (places[list(pair)] for pair in itertools.combinations(range(len(places)), 2))
        best = min(mean_of(blocks, p) for p in every if blocks[0].violation(p) <= 1e-9)
        start = grid_lattice(2, blocks[0].region, 0.5, 0.2)
        found = solve_average(blocks, start, mode="exhaustive", grid=0.2)
        assert on_grid(found, 0.2)
        assert blocks[0].violation(found) <= 1e-9
        assert mean_of(blocks, found) == pytest.approx(best, rel=1e-3)


def test_the_mean_is_below_that_of_every_start_and_of_one_block_s_places() -> None:
    blocks = blocks_of(3, 6, antennas=3, clients=5, interferers=2)
    start = half_wavelength(3, blocks[0].region)
    found = solve_average(blocks, start)
    assert blocks[0].violation(found) <= 1e-9
    starts = [start, *(solve(p, mode="fast").positions for p in blocks[:4])]
    assert mean_of(blocks, found) < min(mean_of(blocks, p) for p in starts)
    assert np.array_equal(found, solve_average(blocks, start))


def test_limits_prices_and_stuck_antennas_are_kept() -> None:
    blocks = blocks_of(4, 3, antennas=3, clients=4)
    start = half_wavelength(3, blocks[0].region)
    near = solve_average(blocks, start, mode="fast", travel=TravelLimit(start, 0.2, 0.0, (1,)))
    assert np.linalg.norm(near - start, axis=1).max() <= 0.2 + 1e-9
    assert np.array_equal(near[1], start[1])
    assert mean_of(blocks, near) < mean_of(blocks, start)
    for price_db in (1e3, 1e9, 1e300):
        travel = TravelLimit(start, np.inf, price_db)
        dear = solve_average(blocks, start, mode="fast", travel=travel)
        assert np.linalg.norm(dear - start, axis=1).max() < 1e-2
    with pytest.raises(ProblemError, match="at least one block"):
        solve_average([], start)
    with pytest.raises(ProblemError, match="mode must be one of"):
        solve_average(blocks, start, mode="slow")


@pytest.mark.slow
def test_other_draws_tell_the_expected_error_and_not_those_that_chose() -> None:
    hopeful, covered = [], 0
    for seed in range(3):
        blocks = blocks_of(seed, 69, antennas=2, clients=3, paths=4, region=(2.0, 2.0))
        found = solve_average(blocks[:3], half_wavelength(2, blocks[0].region), mode="fast")
        judged, truth = mean_error(blocks[3:19], found), mean_of(blocks[19:], found)
        hopeful.append(mean_of(blocks[:3], found) < truth)
        covered += judged.low <= truth <= judged.high
    assert sum(hopeful) >= 2
    assert covered >= 2  # 95 % intervals of an error with a long tail


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=30))
def test_an_estimate_holds_its_mean(errors: list[float]) -> None:
    one = estimate(np.array(errors))
    assert 0 <= one.low <= one.mean * (1 + 1e-12)
    assert one.mean <= one.high * (1 + 1e-12)
    assert one.count == len(errors)


def test_one_draw_has_no_interval() -> None:
    assert estimate(np.array([2.0])).high == np.inf
