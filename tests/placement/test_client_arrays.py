"""Clients with several antennas: beamformers and places against duality, brute force and laws."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize_scalar

from airtune.placement import (
    ProblemError,
    TravelLimit,
    beamform,
    evaluate,
    half_wavelength,
)
from airtune.placement.client_arrays import ClientArrays, aim_clients
from airtune.placement.client_places import (
    average_clients,
    dominant,
    select_clients,
    solve_clients,
)
from airtune.placement.examples import random_problem
from airtune.placement.joint import Joint
from airtune.placement.places import choose, grid_places
from airtune.placement.problem import least_distance


def arrays(seed: int, transmit: int, **shape: object) -> ClientArrays:
    """Return a random problem whose clients have line arrays; the first antennas are alike."""
    one = random_problem(seed, **shape)
    along = np.random.default_rng(1000 + seed).uniform(-1, 1, one.gains.shape)
    responses = np.exp(1j * np.pi * along[..., None] * np.arange(transmit))
    gains = (one.gains[..., None] * responses).transpose(0, 2, 1)
    rows = replace(
        one,
        gains=gains.reshape(-1, one.gains.shape[1]),
        directions=np.repeat(one.directions, transmit, axis=0),
        weights=np.repeat(one.weights, transmit),
        powers=np.repeat(one.powers, transmit),
    )
    return ClientArrays(rows, transmit)


def best_of_two(problem: ClientArrays, positions: np.ndarray) -> float:
    """The largest worst gain of two clients, by duality.

    max_w min_k w^H B_k w / w^H R w of two Hermitian forms is min over a of the largest eigenvalue
    of R^-1 (a B_1 + (1 - a) B_2): their joint range is convex (Toeplitz, Hausdorff).
    """
    g, R = problem.channels(positions), problem.rows.covariance(positions)
    one, two = np.einsum("kmn,kml->knl", g, g.conj())
    root = np.linalg.inv(np.linalg.cholesky(R))

    def value(a: float) -> float:
        both = root @ (a * one + (1 - a) * two) @ root.conj().T
        return float(np.linalg.eigvalsh(both)[-1])

    found = minimize_scalar(value, bounds=(0, 1), method="bounded", options={"xatol": 1e-10})
    return min(float(found.fun), value(0.0), value(1.0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("interferers", [0, 2])
def test_the_best_beamformer_of_two_clients_is_that_of_duality(seed: int, interferers: int) -> None:
    problem = arrays(seed, 3, antennas=4, clients=2, paths=4, interferers=interferers)
    places = half_wavelength(4, problem.rows.region)
    found = aim_clients(problem, places, seed=seed).placement.worst_gain
    assert found == pytest.approx(best_of_two(problem, places), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_one_antenna_is_the_problem_of_one_antenna(seed: int) -> None:
    one = random_problem(seed, antennas=4, clients=5, paths=4, interferers=1)
    problem, places = ClientArrays(one, 1), half_wavelength(4, one.region)
    aimed, known = aim_clients(problem, places, seed=seed), beamform(one, places, certify=True)
    w, gain = aimed.placement.beamformer, aimed.placement.worst_gain
    assert gain == pytest.approx(evaluate(one, places, w), rel=1e-12)
    same = problem.precoded(aimed.precoders)
    assert evaluate(same, places, w) == pytest.approx(gain, rel=1e-9)
    assert np.abs(same.auxiliary_channel(places)) == pytest.approx(
        np.abs(one.auxiliary_channel(places)), rel=1e-9
    )
    assert known.upper_bound is not None
    assert known.worst_gain * (1 - 1e-6) <= gain <= known.upper_bound * (1 + 1e-9)


def test_precoders_are_maximum_ratio_transmission() -> None:
    problem = arrays(3, 2, antennas=4, clients=5, paths=4)
    places = half_wavelength(4, problem.rows.region)
    aimed = aim_clients(problem, places)
    w = aimed.placement.beamformer
    received = problem.channels(places) @ w.conj()
    lengths = np.linalg.norm(received, axis=1)
    assert np.linalg.norm(aimed.precoders, axis=1) == pytest.approx(1.0)
    assert lengths.min() == pytest.approx(1.0, rel=1e-12)
    # w^H G_k f_k is real, and as long as G_k^H w
    np.testing.assert_allclose((received * aimed.precoders).sum(axis=1), lengths, rtol=1e-12)
    power = (w.conj() @ problem.rows.covariance(places) @ w).real
    assert aimed.placement.worst_gain == pytest.approx(1.0 / power, rel=1e-12)


@given(seed=st.integers(0, 10**6), antennas=st.integers(1, 3), clients=st.integers(1, 4))
@settings(max_examples=12, deadline=None)
def test_more_antennas_of_clients_do_not_hurt(seed: int, antennas: int, clients: int) -> None:
    shape = {"antennas": 3, "clients": clients, "paths": 3, "interferers": 1}
    few, more = arrays(seed, antennas, **shape), arrays(seed, antennas + 1, **shape)
    places = half_wavelength(3, few.rows.region)
    gain = aim_clients(few, places).placement
    # the beamformer for few is a start for more: of such a start the climb never falls short
    better = aim_clients(more, places, starts=2, beamformers=gain.beamformer[:, None]).placement
    assert better.worst_gain >= gain.worst_gain * (1 - 1e-9)
    assert aim_clients(more, places).placement.worst_gain >= gain.worst_gain * (1 - 1e-3)


def test_slopes_of_the_joint_problem_are_those_of_differences() -> None:
    problem = arrays(5, 2, antennas=3, clients=4, paths=3, interferers=1)
    best = aim_clients(problem, half_wavelength(3, problem.rows.region)).placement
    joint = Joint.of_client_arrays(problem.rows, 2, best)
    z = joint.start + 0.01 * np.random.default_rng(1).standard_normal(len(joint.start))
    assert joint.slack(joint.start)[:4].min() == pytest.approx(0.0, abs=1e-9)
    differences = approx_fprime(z, joint.slack, 1e-7)
    np.testing.assert_allclose(joint.slopes(z), differences, atol=2e-5 * np.abs(differences).max())
    differences = approx_fprime(z, lambda x: joint.error(x)[0], 1e-7)
    slopes = joint.error(z)[1]
    np.testing.assert_allclose(slopes, differences, atol=1e-4 * np.abs(differences).max())


@pytest.mark.parametrize("seed", range(2))
def test_places_of_two_clients_against_all_pairs_of_a_grid(seed: int) -> None:
    problem = arrays(seed, 2, antennas=2, clients=2, paths=4, region=(1.0, 1.0))
    spots, start = grid_places([1.0, 1.0], 0.5), np.array([[0.0, 0.0], [1.0, 1.0]])
    pairs = [spots[list(pair)] for pair in combinations(range(len(spots)), 2)]
    pairs = [pair for pair in pairs if least_distance(pair) >= 0.5 - 1e-9]
    best = max(best_of_two(problem, pair) for pair in pairs)
    on_grid = best_of_two(problem, solve_clients(problem, start, grid=0.5, seed=seed))
    anywhere = best_of_two(problem, solve_clients(problem, start, seed=seed))
    assert 10 ** (-0.01) * best <= on_grid <= best * (1 + 1e-6)
    assert anywhere >= 10 ** (-0.01) * best


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_places_anywhere_against_a_fine_grid(seed: int) -> None:
    problem = arrays(seed, 2, antennas=2, clients=2, paths=4, region=(1.0, 1.0))
    start = np.array([[0.0, 0.0], [1.0, 1.0]])
    placed = solve_clients(problem, start, seed=seed)
    spots = grid_places([1.0, 1.0], 0.1)
    # duality on a grid of multipliers for all pairs at once, an upper bound of each; then exactly
    g, noise = problem.rows.auxiliary_channel(spots).reshape(2, 2, -1), problem.rows.noise
    i, j = np.triu_indices(len(spots), 1)
    apart = np.linalg.norm(spots[i] - spots[j], axis=1) >= 0.5 - 1e-9
    i, j = i[apart], j[apart]
    pairs = np.stack([g[..., i], g[..., j]], axis=-1)  # client, antenna, pair, place
    forms = np.einsum("kmpn,kmpl->kpnl", pairs, pairs.conj()) / noise
    bound = np.full(len(i), np.inf)
    for a in np.linspace(0, 1, 41):
        both = a * forms[0] + (1 - a) * forms[1]
        trace, off = both[:, 0, 0].real + both[:, 1, 1].real, np.abs(both[:, 0, 1])
        bow = (both[:, 0, 0].real - both[:, 1, 1].real) / 2
        bound = np.minimum(bound, trace / 2 + np.sqrt(bow**2 + off**2))
    order = np.argsort(-bound)[:20]
    best = max(best_of_two(problem, spots[[i[n], j[n]]]) for n in order)
    assert best_of_two(problem, placed) >= 10 ** (-0.01) * best


@pytest.mark.parametrize("grid", [0.0, 0.1])
def test_travel_and_antennas_that_are_stuck(grid: float) -> None:
    problem = arrays(7, 2, antennas=4, clients=4, paths=4)
    start = np.array([[1.0, 1.0], [2.0, 1.0], [1.0, 2.0], [2.0, 2.0]])
    travel = TravelLimit(start, longest=0.3, stuck=(2,))
    placed = solve_clients(problem, start, mode="fast", travel=travel, grid=grid)
    ways = np.linalg.norm(placed - start, axis=1)
    assert ways[2] == 0.0 and ways.max() <= 0.3 + 1e-6 and ways.max() > 0
    assert problem.rows.violation(placed) <= 1e-9
    gains = [aim_clients(problem, at).placement.worst_gain for at in (start, placed)]
    assert gains[1] > gains[0]
    dear = TravelLimit(start, price_db=100.0)
    near = solve_clients(problem, start, mode="fast", travel=dear, grid=grid)
    assert np.linalg.norm(near - start, axis=1).max() < 0.2


def test_places_for_many_blocks() -> None:
    blocks = [arrays(seed, 2, antennas=3, clients=3, paths=3) for seed in range(3)]
    start = half_wavelength(3, blocks[0].rows.region)
    placed = average_clients(blocks, start, mode="fast")
    errors = [
        np.mean([1 / aim_clients(one, at).placement.worst_gain for one in blocks])
        for at in (start, placed)
    ]
    assert errors[1] < errors[0] and blocks[0].rows.violation(placed) <= 1e-9


def test_the_best_ports_of_all_choices() -> None:
    problem = arrays(11, 2, antennas=2, clients=2, paths=4)
    pool = half_wavelength(8, problem.rows.region)
    chosen = select_clients(problem, pool, lambda one: choose(one, pool).positions)
    best = max(best_of_two(problem, pool[list(pair)]) for pair in combinations(range(8), 2))
    assert best_of_two(problem, chosen) >= 10 ** (-0.01) * best


def test_the_strongest_eigenvector() -> None:
    rng = np.random.default_rng(2)
    roots = rng.standard_normal((5, 3, 3)) + 1j * rng.standard_normal((5, 3, 3))
    matrices = roots @ roots.conj().transpose(0, 2, 1)
    found = dominant(matrices)
    for one, matrix in zip(found, matrices, strict=True):
        values, vectors = np.linalg.eigh(matrix)
        assert abs(np.vdot(vectors[:, -1], one)) == pytest.approx(1.0, abs=1e-12)
        assert np.vdot(one, matrix @ one).real == pytest.approx(values[-1], rel=1e-12)


def test_the_same_problem_gives_the_same_bits() -> None:
    problem = arrays(4, 2, antennas=3, clients=3, paths=3)
    start = half_wavelength(3, problem.rows.region)
    places = [solve_clients(problem, start, mode="fast", seed=3) for _ in range(2)]
    assert places[0].tobytes() == places[1].tobytes()


def test_rows_of_no_clients_are_refused() -> None:
    rows = random_problem(0, antennas=2, clients=4, paths=3)
    for antennas in (0, 3):
        with pytest.raises(ProblemError, match="4 rows, 4 of them of positive weight, are none"):
            ClientArrays(rows, antennas)
    silent = replace(rows, weights=np.array([0.0, 0.0, 1.0, 1.0]))
    with pytest.raises(ProblemError, match="4 rows, 2 of them of positive weight"):
        ClientArrays(silent, 2)
    with pytest.raises(ProblemError, match="directions must be the same in the 2 rows"):
        ClientArrays(rows, 2)


def test_an_unknown_mode_is_refused() -> None:
    problem = arrays(4, 2, antennas=2, clients=2, paths=3)
    with pytest.raises(ProblemError, match="mode must be one of fast, default, exhaustive"):
        solve_clients(problem, half_wavelength(2, problem.rows.region), mode="slow")
