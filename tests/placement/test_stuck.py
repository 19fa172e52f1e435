"""Antennas that cannot move, in the placement solver."""

from __future__ import annotations

import math

import numpy as np
import pytest

from airtune.placement import beamform, half_wavelength, solve
from airtune.placement.examples import random_problem
from airtune.placement.problem import ProblemError
from airtune.placement.travel import TravelLimit, match


@pytest.mark.parametrize("longest", [0.4, math.inf])
def test_stuck_antennas_stay_and_the_others_gain_around_them(longest: float) -> None:
    problem = random_problem(3, antennas=4, clients=5, paths=4, region=(3.0, 3.0))
    origin = half_wavelength(4, problem.region)
    travel = TravelLimit(origin, longest, stuck=(1, 2))
    placed = solve(problem, mode="fast", travel=travel)
    assert np.allclose(placed.positions[[1, 2]], origin[[1, 2]], atol=1e-9)
    assert problem.violation(placed.positions) <= 1e-9
    ways = np.linalg.norm(placed.positions - origin, axis=1)
    assert ways.max() <= longest + 1e-9
    assert ways[[0, 3]].max() > 0.01
    assert placed.worst_gain > beamform(problem, origin).worst_gain
    if longest == math.inf:
        free = solve(problem, mode="fast", travel=TravelLimit(origin, math.inf))
        assert free.worst_gain >= placed.worst_gain * 0.95


def test_matching_gives_no_other_antenna_a_stuck_one_s_place() -> None:
    origin = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    new = np.array([[0.9, 0.0], [1.0, 0.0], [1.1, 0.0]])
    order, longest = match(origin, new, stuck=(0,))
    assert order[0] == 0
    assert sorted(order.tolist()) == [0, 1, 2]
    assert longest == pytest.approx(0.9)


def test_a_stuck_antenna_that_is_not_there_is_refused() -> None:
    problem = random_problem(0, antennas=2)
    travel = TravelLimit(half_wavelength(2, problem.region), stuck=(2,))
    with pytest.raises(ProblemError, match=r"stuck must name antennas from 0 to 1, not \[2\]"):
        solve(problem, mode="fast", travel=travel)
