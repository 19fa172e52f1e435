"""One set of places for several resource blocks."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.band import block_offsets, gains_at
from airtune.placement import (
    Problem,
    ProblemError,
    TravelLimit,
    beamform,
    mean_error,
    place_wideband,
    solve_wideband,
)
from airtune.placement.examples import random_problem
from airtune.placement.joint import Joint, climb
from airtune.placement.references import half_wavelength


def blocks(seed: int, count: int = 3, spread: float = 1e-6, **sizes: object) -> list[Problem]:
    """Resource blocks of a band of 1 MHz whose paths have exponential delays."""
    flat = random_problem(seed, **({"antennas": 2, "clients": 3, "paths": 4} | sizes))
    rng = np.random.default_rng(seed)
    delays = rng.exponential(spread, flat.gains.shape)
    others = rng.exponential(spread, flat.interferer_gains.shape)
    return [
        replace(
            flat,
            gains=gains_at(flat.gains, delays, offset),
            interferer_gains=gains_at(flat.interferer_gains, others, offset),
        )
        for offset in block_offsets(1e6, count).tolist()
    ]


@pytest.mark.parametrize("interferers", [0, 2])
def test_slopes_are_those_of_finite_differences(interferers: int) -> None:
    problems = blocks(1, antennas=3, interferers=interferers)
    joint = Joint.at(problems, half_wavelength(3, problems[0].region))
    z = joint.start + 0.01 * np.random.default_rng(2).standard_normal(len(joint.start))
    steps = 1e-6 * np.eye(len(z))
    slope = [(joint.error(z + d)[0] - joint.error(z - d)[0]) / 2e-6 for d in steps]
    np.testing.assert_allclose(joint.error(z)[1], slope, rtol=1e-5, atol=1e-6)
    jacobian = np.array([(joint.slack(z + d) - joint.slack(z - d)) / 2e-6 for d in steps]).T
    np.testing.assert_allclose(joint.slopes(z), jacobian, rtol=1e-5, atol=1e-5)
    assert joint.error(joint.start)[0] == pytest.approx(1.0)
    assert joint.slack(joint.start).min() > -1e-6


def test_a_climb_ends_where_the_beamformers_of_all_blocks_do_better() -> None:
    problems = blocks(3, antennas=4, interferers=1)
    start = half_wavelength(4, problems[0].region)
    end = climb(problems, start, 100)
    assert problems[0].violation(end) <= 1e-9
    assert mean_error(problems, end).mean < 0.8 * mean_error(problems, start).mean


def test_two_antennas_on_a_line_reach_the_best_of_a_fine_grid() -> None:
    problems = [replace(one, region=np.array([2.0, 0.0])) for one in blocks(5, count=2)]
    ticks = np.linspace(0.0, 2.0, 41)
    pairs = [(a, b) for a, b in product(ticks, ticks) if b - a >= 0.5]
    values = [
        np.mean(
            [1 / beamform(p, np.array([[a, 0], [b, 0]]), starts=4).worst_gain for p in problems]
        )
        for a, b in pairs
    ]
    found = solve_wideband(problems, np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert mean_error(problems, found).mean <= 1.005 * min(values)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), longest=st.sampled_from([0.1, 0.6]))
def test_places_are_feasible_and_no_worse_than_the_present_ones(seed: int, longest: float) -> None:
    problems = blocks(seed, count=2)
    start = half_wavelength(2, problems[0].region)
    found = solve_wideband(
        problems, start, mode="fast", seed=seed, travel=TravelLimit(start, longest, stuck=(1,))
    )
    assert problems[0].violation(found) <= 1e-9
    assert np.linalg.norm(found - start, axis=1).max() <= longest + 1e-9
    assert found[1].tolist() == start[1].tolist()
    before = mean_error(problems, start).mean
    assert mean_error(problems, found).mean <= before * (1 + 1e-6)


def test_a_grid_is_kept() -> None:
    problems = blocks(2, count=2)
    found = solve_wideband(problems, np.array([[1.0, 1.0], [1.5, 1.0]]), mode="fast", grid=0.25)
    np.testing.assert_allclose(found * 4, np.round(found * 4), atol=1e-9)


def test_equal_blocks_have_the_error_of_one_of_them() -> None:
    one = random_problem(4, antennas=2, clients=3, paths=4)
    placed = place_wideband([one, one], half_wavelength(2, one.region), certify=True)
    gains = [part.worst_gain for part in placed.blocks]
    assert gains[0] == gains[1] == pytest.approx(placed.worst_gain, rel=1e-12)
    assert all(part.upper_bound >= part.worst_gain for part in placed.blocks)
    assert placed.blocks[0].positions is placed.positions


def test_nobody_who_sends_leaves_the_antennas_where_they_are() -> None:
    quiet = [replace(one, weights=np.zeros(3)) for one in blocks(1, count=2)]
    start = half_wavelength(2, quiet[0].region)
    placed = place_wideband(quiet, start, certify=True)
    assert placed.positions.tolist() == start.tolist()
    assert placed.worst_gain == np.inf and placed.upper_bound in (None, np.inf)


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ProblemError, match="at least one resource block"):
        solve_wideband([], np.zeros((1, 2)))
    with pytest.raises(ProblemError, match="mode must be one of fast, default, exhaustive"):
        solve_wideband(blocks(1), np.zeros((2, 2)), mode="slow")
