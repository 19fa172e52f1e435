"""Upper bounds hold: on cells, on random problems, on the public ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.placement import evaluate, load_problems, random_positions, solve
from airtune.placement.certify import (
    _bound,
    cell_bounds,
    cells,
    dual_value,
    upper_bound,
    window_matrix,
)
from airtune.placement.examples import random_problem

PUBLIC = sorted(
    (Path(__file__).parents[2].parent / "shared" / "data" / "placement").glob("public_*.npz")
)


@given(st.integers(0, 10**6), st.sampled_from([(1.0, 1.0), (3.0, 0.7), (2.0, 0.0)]))
@settings(max_examples=25, deadline=None)
def test_cell_bounds_lie_above_the_gain_anywhere_in_the_cell(
    seed: int, region: tuple[float, float]
) -> None:
    problem = random_problem(seed, antennas=2, clients=3, paths=4, region=region)
    centres, half, _ = cells(problem.region)
    bound = cell_bounds(problem, centres, half)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        offset = rng.choice([-1.0, 1.0, rng.uniform(-1, 1)], size=centres.shape) * half
        gain = np.abs(problem.auxiliary_channel(centres + offset)) ** 2
        assert (gain <= bound * (1 + 1e-12)).all()


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_any_answer_to_the_interferers_bounds_what_is_left_of_a_client(seed: int) -> None:
    problem = random_problem(
        seed, antennas=3, clients=3, paths=3, interferers=2, region=(1.0, 1.0), spacing=0.0
    )
    centres, half, _ = cells(problem.region)
    rng = np.random.default_rng(seed)
    mix = (rng.normal(size=(3, 2)) + 1j * rng.normal(size=(3, 2))) * np.sqrt(problem.noise) * 10
    bound = cell_bounds(problem, centres, half, mix)
    places = centres + rng.uniform(-1, 1, centres.shape) * half
    chosen = rng.choice(len(centres), 3, replace=False)
    g, R = problem.auxiliary_channel(places[chosen]), problem.covariance(places[chosen])
    most = np.einsum("kn,nm,km->k", g.conj(), np.linalg.inv(R), g).real  # best own beamformer
    own = (np.abs(mix) ** 2).sum(axis=1)
    assert (most <= (bound[:, chosen].sum(axis=1) + own) / problem.noise * (1 + 1e-9)).all()


def test_answering_the_interferers_tightens_the_bound() -> None:
    problem = random_problem(3, antennas=4, clients=4, paths=4, interferers=2)
    centres, half, shape = cells(problem.region)
    windows = window_matrix(shape, half, problem.spacing)
    dropped, _ = _bound(problem, centres, half, windows, np.zeros((4, 2), complex))
    bound, kind = upper_bound(problem)
    assert bound < dropped
    assert "fixed answer" in kind


def test_cells_cover_the_region_and_windows_are_smaller_than_the_spacing() -> None:
    for region in (np.array([4.0, 4.0]), np.array([1.3, 0.0]), np.array([20.0, 9.0])):
        centres, half, shape = cells(region)
        assert (centres - half).min(axis=0) == pytest.approx([0, 0], abs=1e-12)
        assert (centres + half).max(axis=0) == pytest.approx(region)
        assert shape[0] * shape[1] == len(centres)
        windows = window_matrix(shape, half, 0.5)
        for row in list(windows[:3]) + list(windows[-3:]):
            corners = centres[row.indices]
            extent = np.ptp(corners, axis=0) + 2 * half
            assert np.hypot(*extent) < 0.5


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_any_multipliers_give_a_bound(seed: int) -> None:
    problem = random_problem(seed, antennas=3, clients=3, paths=3, interferers=1, region=(2.0, 2.0))
    centres, half, shape = cells(problem.region)
    value = cell_bounds(problem, centres, half) / problem.noise
    windows = window_matrix(shape, half, problem.spacing)
    rng = np.random.default_rng(seed)
    lam, mu = rng.normal(size=3), rng.normal(size=windows.shape[0]) * value.mean() / 100
    bound = dual_value(value, windows, 3, lam, mu)
    for _ in range(20):
        positions = random_positions(3, problem.region, 0.5, rng)
        w = rng.normal(size=3) + 1j * rng.normal(size=3)
        assert evaluate(problem, positions, w) <= bound


@pytest.mark.parametrize("interferers", [0, 2])
def test_bound_is_above_the_best_found_and_not_absurd(interferers: int) -> None:
    for seed in range(3):
        problem = random_problem(seed, antennas=4, clients=4, paths=4, interferers=interferers)
        gain = solve(problem).worst_gain
        bound, kind = upper_bound(problem)
        assert gain <= bound <= gain * 10
        assert "cells" in kind


def test_bound_is_tight_for_one_antenna_and_one_client() -> None:
    problem = random_problem(0, antennas=1, clients=1, paths=3, region=(1.0, 1.0))
    assert 10 * np.log10(upper_bound(problem)[0] / solve(problem).worst_gain) < 0.15


@pytest.mark.skipif(not PUBLIC, reason="the public problems are not beside the repository")
@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_bounds_hold_on_public_problems(path: Path) -> None:
    best_known = np.load(path)["best_known"]
    for problem, known in zip(load_problems(path)[:3], best_known, strict=False):
        assert upper_bound(problem)[0] >= known
