"""Compiled pieces against plain numpy, finite differences and sampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from airtune.kinds import Real
from airtune.placement.examples import random_problem
from airtune.placement.kernels.decomposition import descend, project
from airtune.placement.kernels.field import Field, channel, combine, pack, workspace
from airtune.placement.kernels.lagrangian import derivatives, hessian
from airtune.placement.kernels.lanes import padded
from airtune.placement.kernels.qp import Dual, cholesky, solve_dual
from airtune.placement.kernels.relocate import score
from airtune.placement.kernels.smoothed import soft_loss
from airtune.placement.kernels.sqp import Limits
from airtune.placement.kernels.subproblem import Model
from airtune.placement.kernels.tasks import ascend, ascend_all, no_grid
from airtune.placement.lattice import lattice
from airtune.placement.pdd import Pdd
from airtune.placement.references import random_positions
from airtune.placement.search import Search

EPS = 1e-6


def point(field: Field, seed: int) -> Real:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(4, field.antennas))
    z[2:] = rng.uniform(0, 4, (2, field.antennas))
    return z


def log_gains(field: Field, z: Real) -> Real:
    work = workspace(field)
    channel(field, z[2], z[3], work)
    p = combine(field, z, work)
    return np.log((work.u[:, : field.clients] ** 2).sum(axis=0) / p)


@pytest.mark.parametrize("antennas", [1, 4, 6, 16])
def test_channel_matches_the_definition(antennas: int) -> None:
    problem = random_problem(0, antennas=antennas, clients=3, paths=5, interferers=2)
    field, scale = pack(problem)
    z = point(field, 1)
    positions = z[2:].T
    w = z[0] - 1j * z[1]
    g = problem.auxiliary_channel(positions)
    R = problem.covariance(positions)
    expected = np.log(np.abs(g @ w.conj()) ** 2 / (w.conj() @ R @ w).real)
    assert log_gains(field, z) + np.log(scale) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("interferers", [0, 2])
def test_gradient_and_hessian_match_finite_differences(interferers: int) -> None:
    problem = random_problem(2, antennas=3, clients=4, paths=5, interferers=interferers)
    field, _ = pack(problem)
    K, M, n = field.clients, field.clients + field.interferers, 12
    z = point(field, 3)
    lam = np.random.default_rng(4).dirichlet(np.ones(K))
    work = workspace(field)
    # rows are padded to 16 for the vectors of the kernels
    J, H = np.zeros((K, 16)), np.zeros((n, 16))
    model = Model(np.zeros((2 * M + 1, 16)), J, np.empty(K), lam, H, H.copy(), np.zeros(16))

    def fill(z: Real) -> float:
        channel(field, z[2], z[3], work)
        p = combine(field, z, work)
        derivatives(field, z, work, p, model)
        return p

    numeric, bend = np.empty((K, n)), np.empty((n, n))
    for i in range(n):
        step = np.zeros(n)
        step[i] = EPS
        up, down = z + step.reshape(4, 3), z - step.reshape(4, 3)
        numeric[:, i] = (log_gains(field, up) - log_gains(field, down)) / (2 * EPS)
        fill(up)
        high = lam @ J[:, :n]
        fill(down)
        bend[:, i] = -(high - lam @ J[:, :n]) / (2 * EPS)
    p = fill(z)
    assert pytest.approx(numeric, abs=1e-5 * np.abs(numeric).max()) == J[:, :n]
    hessian(field, z, work, p, model)
    H = np.triu(H[:, :n]) + np.triu(H[:, :n], 1).T
    a = np.concatenate([z[0], z[1], np.zeros(6)])
    turned = np.concatenate([-z[1], z[0], np.zeros(6)])
    bend += (np.outer(a, a) + np.outer(turned, turned)) / (a @ a)
    if (
        interferers
    ):  # the positions' block follows the path that holds the leak, not the straight one
        keep = np.r_[0:6]
        H, bend = H[np.ix_(keep, keep)], bend[np.ix_(keep, keep)]
    assert pytest.approx(bend, abs=2e-4 * np.abs(bend).max()) == H


def test_gradient_of_the_smoothed_loss() -> None:
    field, _ = pack(random_problem(6, antennas=4, clients=3, paths=4, interferers=1))
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4, 4))
    z[2:] *= 0.1  # close together: the spacing penalty is active
    work = workspace(field)
    x, y, grad, spare = np.empty(4), np.empty(4), np.empty((4, 4)), np.empty((4, 4))
    soft_loss(field, z, 30.0, x, y, work, grad)
    for index in np.ndindex(4, 4):
        step = np.zeros((4, 4))
        step[index] = EPS
        up = soft_loss(field, z + step, 30.0, x, y, work, spare)
        down = soft_loss(field, z - step, 30.0, x, y, work, spare)
        assert (up - down) / (2 * EPS) == pytest.approx(grad[index], rel=1e-3, abs=1e-3)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_dual_active_set_is_optimal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, clients = int(rng.integers(1, 9)), 0
    clients = int(rng.integers(1, rows + 1))
    B = rng.normal(size=(rows, 6))
    h = rng.uniform(0, 1, rows)
    h[0] = 0.0
    e = (np.arange(rows) < clients).astype(float)
    active, nu = np.zeros(rows + 1, np.int64), np.zeros(rows + 1)
    T, work = np.empty((rows + 1, rows + 1)), np.empty((3, rows + 1))
    Q = B @ B.T
    count, s = solve_dual(Dual(Q, h, e, active, nu, T, work), rows, 1, False)
    full = np.zeros(rows)
    full[active[:count]] = nu[:count]
    assert full.min() >= -1e-10
    assert full[:clients].sum() == pytest.approx(1.0, abs=1e-8)
    slack = Q @ full + h - s * e
    assert slack.min() >= -1e-6  # primal feasible
    assert abs(full @ slack) <= 1e-6  # complementary


def test_warm_dual_equals_the_dual_from_nothing() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        B, h = rng.normal(size=(9, 6)), rng.uniform(0, 1, 9)
        h[0] = 0.0
        e, Q = (np.arange(9) < 5).astype(float), B @ B.T
        active, nu = np.zeros(10, np.int64), np.zeros(10)
        T, work = np.empty((10, 10)), np.empty((3, 10))
        count, known = 1, False
        for rows in range(5, 10):  # rows join one by one, as in the trust region
            count, s = solve_dual(Dual(Q, h, e, active, nu, T, work), rows, count, known)
            known = True
        fresh, other = np.zeros(10, np.int64), np.zeros(10)
        size, again = solve_dual(Dual(Q, h, e, fresh, other, T, work), 9, 1, False)
        assert s == pytest.approx(again, abs=1e-7)
        warm, cold = np.zeros(9), np.zeros(9)
        warm[active[:count]], cold[fresh[:size]] = nu[:count], other[:size]
        assert B.T @ warm == pytest.approx(B.T @ cold, abs=1e-6)


@pytest.mark.parametrize("n", [1, 4, 8, 12, 20, 32])
def test_cholesky_on_padded_rows(n: int) -> None:
    rng = np.random.default_rng(n)
    A = rng.normal(size=(n, n))
    H, U = np.zeros((n, padded(n))), np.full((n, padded(n)), np.nan)
    H[:, :n] = np.triu(A @ A.T)
    assert cholesky(H, 0.5, U)
    upper = np.triu(U[:, :n])
    assert upper.T @ upper == pytest.approx(A @ A.T + 0.5 * np.eye(n), rel=1e-10, abs=1e-10)
    assert not cholesky(H, -1e3, U)


@pytest.mark.parametrize("interferers", [0, 1, 3])
def test_score_matches_every_grid_point(interferers: int) -> None:
    """Against plain numpy: the other antennas answer the leak by least squares, 8 phases."""
    problem = random_problem(
        7, antennas=4, clients=3, paths=4, interferers=interferers, region=(1.0, 1.0), spacing=0.2
    )
    field, _ = pack(problem)
    run = Search(field, 0, lattice(4, problem.region, 0.2))
    J, size, rest = interferers, 0.7, 2.0
    rng = np.random.default_rng(1)
    a, r = rng.normal(size=3) + 1j * rng.normal(size=3), rng.uniform(0, 1, (3, 2))
    work = workspace(field)
    channel(field, np.append(r[:, 0], 0.0), np.append(r[:, 1], 0.0), work)
    g = work.g
    everyone = (g[0, : 4 * (3 + J)] + 1j * g[1, : 4 * (3 + J)]).reshape(4, 3 + J)[:3]
    G, V = everyone[:, :3].T, everyone[:, 3:].T
    A = V @ V.conj().T + np.eye(J)
    E, W = G @ V.conj().T @ np.linalg.inv(A), np.linalg.cholesky(A)
    v, s = G @ a - E @ (V @ a), np.linalg.solve(W, V @ a)
    sums = np.append(v, s)
    score(
        field,
        run.grid.scan,
        0,
        len(run.grid.scan.px),
        E,
        W,
        np.stack([sums.real, sums.imag]),
        size,
        rest,
    )
    T = run.grid.table.tr + 1j * run.grid.table.ti
    best = np.zeros(T.shape[1])
    for phase in np.exp(1j * np.pi / 4 * np.arange(8)):
        u = v[:, None] + size * phase * (T[:3] - E @ T[3:])
        p = rest + (np.abs(s[:, None] + size * phase * np.linalg.solve(W, T[3:])) ** 2).sum(axis=0)
        best = np.maximum(best, (np.abs(u) ** 2).min(axis=0) / p)
    assert run.grid.scan.top[: len(best)] == pytest.approx(best, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("interferers", [0, 2])
def test_augmented_lagrangian_never_rises_within_an_outer_step(interferers: int) -> None:
    problem = random_problem(8, antennas=4, clients=5, paths=4, interferers=interferers)
    field, _ = pack(problem)
    run = Search(field, 0, lattice(4, problem.region, 0.5))
    for _ in range(3):
        _, z = run.construct(0)
        trace = np.full((4000, 2), np.nan)
        descend(field, z, 1.0, run.work, trace)
        trace = trace[~np.isnan(trace[:, 0])]
        same = trace[1:, 0] == trace[:-1, 0]
        assert same.any()
        rise = (trace[1:, 1] - trace[:-1, 1])[same] / np.abs(trace[:-1, 1])[same]
        assert rise.max() <= 1e-10
        assert problem.violation(z[2:].T) <= 1e-9


def test_pdd_improves_its_start_and_ends_feasible() -> None:
    problem = random_problem(9, antennas=4, clients=5, paths=4)
    field, _ = pack(problem)
    run = Search(field, 0, lattice(4, problem.region, 0.5))
    begun, z = run.construct(0)
    assert Pdd(run).improve(z, -np.inf) > begun + 0.1


@given(st.integers(0, 10**6), st.floats(-2, 6), st.floats(-2, 6))
@settings(max_examples=40, deadline=None)
def test_projection_is_feasible_and_nearest(seed: int, px: float, py: float) -> None:
    problem = random_problem(0, antennas=5, clients=2, paths=2, region=(2.0, 2.0))
    field, _ = pack(problem)
    rng = np.random.default_rng(seed)
    z = np.zeros((4, 5))
    z[2:] = random_positions(5, problem.region, 0.5, rng).T
    qx, qy = project(field, z, 0, px, py, np.empty((9, 3)))
    away = np.hypot(qx - px, qy - py)
    gap = z[2:, :1] - z[2:, 1:]  # D_0i

    def allowed(points: Real, slack: float) -> np.ndarray:
        reached = ((points - z[2:, 0]) @ (2 * gap)) >= 0.25 - (gap**2).sum(axis=0) - slack
        return (
            reached.all(axis=1) & (points >= -slack).all(axis=1) & (points <= 2 + slack).all(axis=1)
        )

    assert allowed(np.array([[qx, qy]]), 1e-9).all()
    moved = z.copy()
    moved[2:, 0] = qx, qy
    assert (
        problem.violation(moved[2:].T) <= 1e-9
    )  # the linearised spacing is an inner approximation
    samples = rng.uniform(0, 2, (2000, 2))
    samples = samples[allowed(samples, 0.0)]
    if len(samples):
        assert np.hypot(*(samples - [px, py]).T).min() >= away - 1e-9


def test_smoothed_maximum_agrees_with_a_general_solver() -> None:
    """One antenna, one client: the best place is the top of |g|^2, found by multistart BFGS."""
    problem = random_problem(10, antennas=1, clients=1, paths=4, region=(2.0, 2.0))

    def loss(r: Real) -> float:
        return -float(np.abs(problem.auxiliary_channel(r[None])[0, 0]) ** 2) / problem.noise

    tops = [
        minimize(loss, start, bounds=[(0, 2), (0, 2)], tol=1e-14).fun
        for start in np.random.default_rng(0).uniform(0, 2, (60, 2))
    ]
    from airtune.placement import solve

    assert solve(problem).worst_gain == pytest.approx(-min(tops), rel=1e-6)


@pytest.mark.parametrize("interferers", [0, 2])
def test_climbs_of_a_pool_are_those_of_its_members(interferers: int) -> None:
    """What one climb leaves behind changes no other, to the last bit."""
    field, _ = pack(random_problem(5, interferers=interferers))
    pool = np.stack([point(field, seed) for seed in range(6)])
    limits, work, grid = Limits(30, 1e-6, -np.inf), workspace(field), no_grid(field)
    alone, ends = pool.copy(), []
    for z in alone:
        ends.append(ascend(field, z, grid, limits, False, workspace(field)))
        assert ends[-1] == pytest.approx(log_gains(field, z).min(), abs=1e-9)
    values = ascend_all(field, pool, grid, limits, False, work)
    assert values.tolist() == ends
    assert pool.tobytes() == alone.tobytes()
