"""Fewer plane waves for many paths: how near they come, and that answers are those of all paths."""

from __future__ import annotations

import math
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.placement import Problem, TravelLimit, beamform, half_wavelength, solve, waves
from airtune.placement.examples import random_problem
from airtune.placement.kernels.field import Field, pack
from airtune.placement.places import choose, grid_places
from airtune.placement.waves import fewer


def field_at(field: Field, places: np.ndarray) -> np.ndarray:
    """The definition, sum_l a_l exp(j 2 pi u_l . r), shape (rows, places)."""
    rows = field.clients + field.interferers
    u = np.stack([field.ux[:, :rows], field.uy[:, :rows]], axis=-1)
    gains = field.ar[:, :rows] + 1j * field.ai[:, :rows]
    return (gains[..., None] * np.exp(2j * np.pi * (u @ places.T))).sum(axis=0)


def missed(problem: Problem, seed: int = 0) -> np.ndarray:
    """Root mean square error of each transmitter's field over the region, relative, shape (M,)."""
    exact, _ = pack(problem)
    approximate = fewer(exact)
    assert approximate is not exact
    assert len(approximate.ux) <= len(exact.ux) / 2
    places = np.random.default_rng(seed).uniform(0, 1, (300, 2)) * problem.region
    true = field_at(exact, places)
    error = np.abs(field_at(approximate, places) - true) ** 2
    return np.sqrt(error.mean(axis=1) / (np.abs(true) ** 2).mean(axis=1))


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**30),
    width=st.floats(0.3, 5.0),
    height=st.one_of(st.just(0.0), st.floats(0.3, 5.0)),
    interferers=st.integers(0, 2),
)
def test_fewer_waves_miss_some_hundredths(
    seed: int, width: float, height: float, interferers: int
) -> None:
    problem = random_problem(
        seed,
        antennas=1,
        clients=3,
        paths=400,
        interferers=interferers,
        region=(width, height),
    )
    assert missed(problem).max() < 0.1


def test_a_strip_of_directions_needs_fewer_waves_still() -> None:
    problem = random_problem(0, paths=400)
    narrow = problem.directions * [1.0, 0.2]
    flat = Problem(**{**vars(problem), "directions": narrow})
    assert len(fewer(pack(flat)[0]).ux) < 0.6 * len(fewer(pack(problem)[0]).ux)
    assert missed(flat).max() < 0.1


@pytest.mark.parametrize(
    ("paths", "region"), [(10, (4.0, 4.0)), (201, (4.0, 4.0)), (400, (12.0, 12.0)), (39, (0.5, 0))]
)
def test_few_paths_and_wide_regions_stay_as_they_are(
    paths: int, region: tuple[float, float]
) -> None:
    field, _ = pack(random_problem(0, antennas=1, clients=2, paths=paths, region=region))
    assert fewer(field) is field


def gain(problem: Problem, positions: np.ndarray, w: np.ndarray) -> float:
    """t(r, w) with all paths, by the definition."""
    scale = np.sqrt(problem.powers) / problem.weights
    turned = np.exp(2j * np.pi * (problem.directions @ positions.T))
    g = scale[:, None] * (problem.gains[..., None] * turned).sum(axis=1)
    v = np.exp(2j * np.pi * (problem.interferer_directions @ positions.T))
    v = (problem.interferer_gains[..., None] * v).sum(axis=1)
    leak = (problem.interferer_powers * np.abs(v @ w.conj()) ** 2).sum()
    noise = problem.noise * np.linalg.norm(w) ** 2 + leak
    return float((np.abs(g @ w.conj()) ** 2).min() / noise)


def many(seed: int, **kinds: object) -> Problem:
    kind = {"antennas": 4, "clients": 5, "paths": 150, "region": (2.0, 2.0), **kinds}
    return random_problem(seed, **kind)  # type: ignore[arg-type]


def test_the_answer_is_that_of_all_paths() -> None:
    problem = many(0, interferers=1)
    found = solve(problem, mode="fast", certify=True)
    assert problem.violation(found.positions) <= 1e-9
    assert found.worst_gain == pytest.approx(
        gain(problem, found.positions, found.beamformer), rel=1e-9
    )
    assert found.worst_gain <= found.upper_bound
    # the last climb is on all paths: it ends where no small step of any antenna helps
    rng = np.random.default_rng(0)
    for _ in range(40):
        step = found.positions + 1e-3 * rng.normal(size=(4, 2))
        if problem.violation(step) <= 0:
            other = gain(problem, step, found.beamformer)
            assert other <= found.worst_gain * (1 + 1e-3)
    again = solve(problem, mode="fast")
    assert np.array_equal(again.positions, found.positions)
    assert again.worst_gain == found.worst_gain


def test_places_are_as_good_as_those_of_a_search_on_all_paths() -> None:
    change = []
    for seed in range(16):
        problem = many(seed, interferers=seed % 2)
        found = solve(problem, mode="fast")
        with patch.object(waves, "MOST_WAVES", 0):
            reference = solve(problem, mode="fast")
        change.append(10 * math.log10(found.worst_gain / reference.worst_gain))
    assert any(change)  # or nothing was compared
    assert np.median(change) > -0.05
    assert np.mean(change) > -0.15


@pytest.mark.parametrize("travel", [{"longest": 0.3}, {"price_db": 2.0}, {"longest": 0.0}])
def test_from_the_present_places_the_answer_is_no_worse(travel: dict[str, float]) -> None:
    for seed in range(3):
        problem = many(seed, interferers=1)
        origin = half_wavelength(4, problem.region)
        staying = beamform(problem, origin, starts=8).worst_gain
        limit = TravelLimit(origin, **travel)
        found = solve(problem, mode="fast", travel=limit)
        way = np.linalg.norm(found.positions - origin, axis=1).max()
        assert problem.violation(found.positions) <= 1e-9
        assert way <= limit.longest + 1e-9
        price = 10 ** (-limit.price_db * way / 10)
        assert found.worst_gain * price >= staying * (1 - 1e-6)
    warm = solve(problem, mode="fast", start=origin)
    assert warm.worst_gain >= staying * (1 - 1e-6)


def test_places_on_a_grid_and_ports_keep_to_them() -> None:
    problem = many(1)
    found = solve(problem, mode="fast", grid=0.25)
    assert np.allclose(found.positions / 0.25, np.round(found.positions / 0.25))
    ports = grid_places(problem.region, 0.5)
    chosen = choose(problem, ports, mode="fast")
    assert {tuple(place) for place in chosen.positions} <= {tuple(place) for place in ports}
    assert chosen.worst_gain == pytest.approx(
        gain(problem, chosen.positions, chosen.beamformer), rel=1e-9
    )
