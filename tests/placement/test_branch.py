"""The proved optimum of fixed positions: against brute force, sampling and a convex solver."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.kinds import Complex
from airtune.placement import Placement, beamform, evaluate, half_wavelength
from airtune.placement.branch import prove
from airtune.placement.examples import random_problem
from airtune.placement.kernels.phases import multipliers, relax, whiten
from airtune.placement.problem import Problem

GAP = 10**0.001


def whitened(problem: Problem, found: Placement) -> Complex:
    g, R = problem.auxiliary_channel(found.positions), problem.covariance(found.positions)
    _, H = whiten(R, g / math.sqrt(found.worst_gain))
    return H


@pytest.mark.parametrize("interferers", [0, 1])
def test_two_antennas_against_every_beamformer(interferers: int) -> None:
    mixes = [
        (math.cos(t), math.sin(t) * np.exp(1j * p))
        for t in np.linspace(0, np.pi / 2, 300)
        for p in np.linspace(0, 2 * np.pi, 600, endpoint=False)
    ]
    w = np.array(mixes).T
    for seed in range(4):
        problem = random_problem(seed, antennas=2, clients=6, paths=4, interferers=interferers)
        found = beamform(problem, half_wavelength(2, problem.region), certify=True)
        g, R = problem.auxiliary_channel(found.positions), problem.covariance(found.positions)
        power = np.einsum("ns,nm,ms->s", w.conj(), R, w).real
        best = float(((np.abs(g.conj() @ w) ** 2).min(axis=0) / power).max())
        assert found.upper_bound is not None
        assert best <= found.worst_gain * (1 + 1e-9) <= found.upper_bound * (1 + 1e-9)
        assert found.upper_bound <= found.worst_gain * GAP
        assert found.worst_gain <= best * 1.02  # the grid is that fine


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_no_point_of_a_box_is_below_its_bound(seed: int) -> None:
    """Whatever the multipliers: a feasible b with arguments in the box is at least that long."""
    rng = np.random.default_rng(seed)
    N, K = int(rng.integers(1, 5)), int(rng.integers(2, 8))
    H = rng.normal(size=(N, K)) + 1j * rng.normal(size=(N, K))
    mu = rng.uniform(size=K) * rng.integers(0, 2, K)
    mu *= rng.uniform(0, 1) / max(1e-9, np.linalg.norm((H * mu) @ H.conj().T, 2))
    for _ in range(10):
        b = rng.normal(size=N) + 1j * rng.normal(size=N)
        x = H.conj().T @ b
        b /= np.abs(x).min() * np.exp(1j * np.angle(x[0]))
        angle = np.angle(H.conj().T @ b)
        width = rng.choice([0.1, 1.0, 3.0, 2 * np.pi], K)
        low = angle - rng.uniform(size=K) * width
        high = low + width
        low[0] = high[0] = 0.0
        least = np.empty(N, np.complex128)
        bound = relax(H, mu, low, high, least)
        assert 0 < bound <= np.linalg.norm(b) ** 2 * (1 + 1e-8)


def test_the_relaxation_is_exact_once_the_arguments_are_known() -> None:
    """Least norm under Re(e^{-j phi_k} x_k) >= 1 and Im = 0, by least squares on the equalities."""
    rng = np.random.default_rng(0)
    H = rng.normal(size=(4, 3)) + 1j * rng.normal(size=(4, 3))
    angle = np.array([0.0, 1.0, -2.0])
    best = math.inf
    for size in rng.uniform(1, 3, (20000, 3)):
        size[rng.integers(3)] = 1.0
        x = size * np.exp(1j * angle)
        best = min(best, float((x.conj() @ np.linalg.solve(H.conj().T @ H, x)).real))
    b = np.empty(4, np.complex128)
    bound = relax(H, np.zeros(3), angle, angle, b)
    assert bound <= best <= bound * 1.05
    assert np.angle(H.conj().T @ b) == pytest.approx(angle, abs=1e-6)
    assert np.abs(H.conj().T @ b).min() == pytest.approx(1.0, abs=1e-6)


def test_multipliers_reach_the_semidefinite_bound() -> None:
    cp = pytest.importorskip("cvxpy")
    problem = random_problem(0, antennas=4, clients=6, paths=4, interferers=1)
    H = whitened(problem, beamform(problem, half_wavelength(4, problem.region)))
    mu = multipliers(H)
    assert mu.min() > 0
    assert np.linalg.eigvalsh(np.eye(4) - (H * mu) @ H.conj().T).min() > 0
    B = cp.Variable((4, 4), hermitian=True)
    limits = [B >> 0]
    limits += [cp.real(cp.trace(np.outer(h, h.conj()) @ B)) >= 1 for h in H.T]
    least = cp.Problem(cp.Minimize(cp.real(cp.trace(B))), limits).solve(solver=cp.SCS, eps=1e-7)
    assert mu.sum() == pytest.approx(least, rel=3e-4)
    assert mu.sum() <= least * (1 + 1e-6)


def test_the_gap_of_the_semidefinite_bound_is_closed() -> None:
    problem = random_problem([7, 2], antennas=4, clients=30, interferers=2)
    found = beamform(problem, half_wavelength(4, problem.region), certify=True)
    assert found.upper_bound is not None
    assert found.bound_kind is not None and "branch and bound" in found.bound_kind
    loose = 1 / multipliers(whitened(problem, found)).sum()  # in units of what was found
    assert loose > 10**0.02
    assert found.worst_gain <= found.upper_bound <= found.worst_gain * GAP
    few = prove(problem, found, nodes=10)
    assert few.upper_bound is not None
    assert found.worst_gain <= few.upper_bound <= found.worst_gain * loose * (1 + 1e-6)
    assert few.upper_bound > found.upper_bound


def test_a_poor_start_is_replaced() -> None:
    problem = random_problem([7, 2], antennas=4, clients=10)
    best = beamform(problem, half_wavelength(4, problem.region))
    w = np.ones(4, np.complex128)
    poor = replace(best, beamformer=w, worst_gain=evaluate(problem, best.positions, w))
    assert poor.worst_gain < 0.5 * best.worst_gain
    mended = prove(problem, poor)
    assert mended.upper_bound is not None
    assert mended.worst_gain >= best.worst_gain / GAP
    assert mended.upper_bound >= best.worst_gain
    again = evaluate(problem, mended.positions, mended.beamformer)
    assert again == pytest.approx(mended.worst_gain, rel=1e-12)


def test_nobody_sends() -> None:
    problem = random_problem(0, antennas=2, clients=2, paths=2)
    silent = replace(problem, weights=np.zeros(2))
    found = beamform(silent, half_wavelength(2, problem.region), certify=True)
    assert found.upper_bound == math.inf
