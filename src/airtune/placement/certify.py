"""Upper bounds on the worst gain that hold for every placement in the continuous region.

Since R >= sigma^2 I, and by Cauchy-Schwarz over the antennas,

    t(r, w) <= min_k |a^T g_k|^2 / (sigma^2 ||a||^2) <= min_k sum_n |g_k(r_n)|^2 / sigma^2.

Cut the region into cells c and bound |g_k|^2 on each by G_kc; a placement puts x_c antennas into
cell c, at most one into any window of cells whose diameter is below the spacing:

    maximise tau   s.t.   sum_c G_kc x_c >= tau for all k,  sum_c x_c = N,  sum_{c in W} x_c <= 1.

The bound that is returned is evaluated from the dual solution (weights lam of the clients, prices
mu of the windows), so it holds whatever the accuracy of the linear programming solver:

    tau <= sum_W mu_W + N max_c ( sum_k lam_k G_kc - sum_{W of c} mu_W ),   sum lam = 1, mu >= 0.

With interferers, R = sigma^2 (I + V V^H), V = (sqrt(q_j) / sigma) v_j, and for any b_k

    t <= g_k^H R^-1 g_k = min_b ( ||g_k - V b||^2 + ||b||^2 ) / sigma^2
      <= ( sum_n |g_k(r_n) - sum_j b_kj V_j(r_n)|^2 + ||b_k||^2 ) / sigma^2,

a sum over the antennas again: g_k - V b_k is a field with the paths of both. b = 0 drops the
interferers; b is then moved towards the least-squares answer at the linear program's own placement
while that lowers the bound, which holds for whatever b that ends in.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.problem import Problem

PITCH = 1 / 16
MOST_CELLS = 6000
SAFETY = 1 + 1e-9
Sparse = Any
"""scipy.sparse.csr_matrix; scipy has no types"""
KIND = "cells: linear program over cells of the region"
ROUNDS, STEP = 5, 1 / 16
"""Trials of another b, and the first step towards the least-squares answer, as a share"""


def upper_bound(problem: Problem) -> tuple[float, str]:
    """A gain that no placement exceeds, and how it was obtained.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    bound : float
        Same unit as `Placement.worst_gain`; infinite if no client is active.
    kind : str
        The argument behind the bound. It is a proof up to rounding, which a factor 1 + 1e-9
        covers.

    Examples
    --------
    >>> from airtune.placement.examples import random_problem
    >>> from airtune.placement.problem import evaluate
    >>> problem = random_problem(0, antennas=2, clients=2, paths=2, region=(1.0, 1.0))
    >>> bound, kind = upper_bound(problem)
    >>> kind
    'cells: linear program over cells of the region, no interferers'
    >>> corners = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> evaluate(problem, corners, np.ones(2)) <= bound
    True
    """
    if not problem.active.any():
        return math.inf, "no active client"
    centres, half, shape = cells(problem.region)
    windows = window_matrix(shape, half, problem.spacing)
    mix = np.zeros((int(problem.active.sum()), len(problem.interferer_powers)), np.complex128)
    bound, x = _bound(problem, centres, half, windows, mix)
    if not mix.size:
        return bound * SAFETY, f"{KIND}, no interferers"
    step = STEP
    for _ in range(ROUNDS):
        trial = mix + step * (_answer(problem, centres, x) - mix)
        value, places = _bound(problem, centres, half, windows, trial)
        if value < bound:
            bound, mix, x = value, trial, places
        else:
            step /= 2
    taken = "interferers by a fixed answer of every client" if mix.any() else "interferers dropped"
    return bound * SAFETY, f"{KIND}, {taken}"


def _bound(
    problem: Problem, centres: Real, half: Real, windows: Sparse, mix: Complex
) -> tuple[float, Real]:
    """The bound for a given b (K, J), and the placement x (C,) of its linear program."""
    # sum x_c = N: the constant ||b_k||^2 may be spread over the antennas
    own = (np.abs(mix) ** 2).sum(axis=1, keepdims=True) / problem.antennas
    value = (cell_bounds(problem, centres, half, mix) + own) / problem.noise
    lam, mu, x = _dual(value, windows, problem.antennas)
    return dual_value(value, windows, problem.antennas, lam, mu), x


def _interference(problem: Problem) -> Complex:
    """Path gains of V, shape (J, L)  [1]"""
    scale = np.sqrt(problem.interferer_powers / problem.noise)
    return np.asarray(scale[:, None] * problem.interferer_gains, dtype=np.complex128)


def _answer(problem: Problem, centres: Real, x: Real) -> Complex:
    """argmin_b sum_c x_c |g_k - V b|^2 + ||b||^2 with x_c antennas at the centre of cell c."""
    g, _, _ = _response(problem.effective_gains(), problem.directions[problem.active], centres)
    v, _, _ = _response(_interference(problem), problem.interferer_directions, centres)
    A = (v * x) @ v.conj().T + np.eye(len(v))
    return np.asarray(((g * x) @ v.conj().T) @ np.linalg.inv(A), dtype=np.complex128)


def cells(region: Real) -> tuple[Real, Real, tuple[int, int]]:
    """Partition of the box.

    Returns
    -------
    centres : ndarray, shape (C, 2)  [wavelengths]
    half : ndarray, shape (2,)
        Half sides of a cell  [wavelengths]
    shape : (int, int)
        Cells along x and y.
    """
    pitch = max(PITCH, math.sqrt(float(region[0] * region[1]) / MOST_CELLS))
    pitch = max(pitch, float(region.max()) / MOST_CELLS)
    nx, ny = (max(1, math.ceil(float(length) / pitch - 1e-9)) for length in region)
    hx, hy = float(region[0]) / nx, float(region[1]) / ny
    x, y = np.meshgrid((np.arange(nx) + 0.5) * hx, (np.arange(ny) + 0.5) * hy, indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()]), np.array([hx / 2, hy / 2]), (nx, ny)


def cell_bounds(problem: Problem, centres: Real, half: Real, mix: Complex | None = None) -> Real:
    """G_kc >= |g_k(r) - sum_j b_kj V_j(r)|^2 for every r in cell c; b = 0 unless given.

    First bound: |g(c + d)| <= |g(c) + grad g . d| + (2 pi)^2 / 2 sum_l |a_l| (u_l . d)^2; the first
    term is convex in d and the second a positive quadratic, so both peak at corners. Second bound:
    the same for |g|^2 itself, whose terms are pairs of paths with directions u_l - u_l'. Third:
    |g| <= sum_l |a_l|. The least of the three counts.

    Parameters
    ----------
    problem : Problem
    centres : ndarray, shape (C, 2)  [wavelengths]
    half : ndarray, shape (2,)  [wavelengths]
    mix : ndarray, complex, shape (K_active, J), optional
        b_kj  [sqrt(W)]

    Returns
    -------
    ndarray, shape (K_active, C)  [W]
    """
    alpha, u = problem.effective_gains(), problem.directions[problem.active]
    if mix is not None and mix.any():
        K = len(alpha)
        others = -(mix[:, :, None] * _interference(problem)).reshape(K, -1)
        alpha = np.concatenate([alpha, others], axis=1)
        towards = problem.interferer_directions.reshape(1, -1, 2)
        u = np.concatenate([u, np.broadcast_to(towards, (K, *towards.shape[1:]))], axis=1)
    g, gx, gy = _response(alpha, u, centres)
    hx, hy = half
    corner = np.maximum(np.abs(g + hx * gx + hy * gy), np.abs(g + hx * gx - hy * gy))
    corner = np.maximum(corner, np.abs(g - hx * gx + hy * gy))
    corner = np.maximum(corner, np.abs(g - hx * gx - hy * gy))
    size = np.abs(alpha)
    amplitude = corner + 0.5 * _peak(size, 2 * np.pi * u, half)[:, None]
    pairs = (size[:, :, None] * size[:, None, :]).reshape(len(alpha), -1)
    gaps = 2 * np.pi * (u[:, :, None] - u[:, None, :]).reshape(len(alpha), -1, 2)
    slope = 2 * (np.abs((g.conj() * gx).real) * hx + np.abs((g.conj() * gy).real) * hy)
    power = np.abs(g) ** 2 + slope + 0.5 * _peak(pairs, gaps, half)[:, None]
    most = size.sum(axis=1)[:, None] ** 2
    return np.asarray(np.minimum(np.minimum(amplitude**2, power), most))


def _response(alpha: Complex, u: Real, points: Real) -> tuple[Complex, Complex, Complex]:
    """g (K, C) and its derivatives along x and y at the points (C, 2)."""
    shape = (len(alpha), len(points))
    g, gx, gy = (np.zeros(shape, np.complex128) for _ in range(3))
    for path in range(alpha.shape[1]):
        term = alpha[:, path, None] * np.exp(2j * np.pi * (u[:, path] @ points.T))
        g += term
        gx += 2j * np.pi * u[:, path, :1] * term
        gy += 2j * np.pi * u[:, path, 1:] * term
    return g, gx, gy


def _peak(weight: Real, n: Real, half: Real) -> Real:
    """Largest sum_l weight_l (n_l . d)^2 over |d_x| <= h_x, |d_y| <= h_y; (K, L) -> (K,)."""
    xx = (weight * n[..., 0] ** 2).sum(axis=1)
    xy = (weight * n[..., 0] * n[..., 1]).sum(axis=1)
    yy = (weight * n[..., 1] ** 2).sum(axis=1)
    hx, hy = half
    return np.asarray(xx * hx**2 + 2 * np.abs(xy) * hx * hy + yy * hy**2)


def window_matrix(shape: tuple[int, int], half: Real, spacing: float) -> Sparse:
    """Windows of cells whose diameter is below the spacing: sparse 0/1 matrix (windows, cells)."""
    from scipy.sparse import csr_matrix

    nx, ny = shape
    hx, hy = 2 * half
    best = (0, 0)
    for wx in range(1, nx + 1):
        left = (spacing * (1 - 1e-9)) ** 2 - (wx * hx) ** 2
        if left <= 0:
            break
        wy = ny if hy == 0 else min(ny, math.floor(math.sqrt(left) / hy))
        if wx * wy > best[0] * best[1]:
            best = (wx, wy)
    wx, wy = best
    if wx * wy == 0:
        return csr_matrix((0, nx * ny))
    index = np.arange(nx * ny).reshape(nx, ny)
    members = np.lib.stride_tricks.sliding_window_view(index, (wx, wy)).reshape(-1, wx * wy)
    rows, cells = np.repeat(np.arange(len(members)), wx * wy), members.ravel()
    return csr_matrix((np.ones(cells.size), (rows, cells)), shape=(len(members), nx * ny))


def dual_value(value: Real, windows: Sparse, antennas: int, lam: Real, mu: Real) -> float:
    """The bound for any lam, mu: made feasible first (lam >= 0 with sum 1, mu >= 0).

    Parameters
    ----------
    value : ndarray, shape (K, C)
        G_kc.
    windows : sparse matrix, shape (V, C)
    antennas : int
    lam : ndarray, shape (K,)
    mu : ndarray, shape (V,)
    """
    lam, mu = np.maximum(lam, 0.0), np.maximum(mu, 0.0)
    lam = lam / lam.sum() if lam.sum() > 0 else np.full(len(lam), 1 / len(lam))
    worth = lam @ value - windows.T @ mu
    return float(mu.sum() + antennas * max(0.0, float(worth.max())))


def _dual(value: Real, windows: Sparse, antennas: int) -> tuple[Real, Real, Real]:
    """Multipliers and x of the linear program from HiGHS; uniform ones and 0 if it fails."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_matrix, hstack, vstack

    K, C = value.shape
    V = windows.shape[0]
    scale = value.max()
    clients = hstack([csr_matrix(-value / scale), csr_matrix(np.ones((K, 1)))])
    limits = hstack([windows, csr_matrix((V, 1))])
    total = csr_matrix(np.append(np.ones(C), 0.0)[None])
    solution = linprog(
        np.append(np.zeros(C), -1.0),
        A_ub=vstack([clients, limits]).tocsr(),
        b_ub=np.append(np.zeros(K), np.ones(V)),
        A_eq=total,
        b_eq=[antennas],
        bounds=[(0, None)] * C + [(0, None)],
        method="highs",
    )
    if solution.status != 0:
        return np.full(K, 1 / K), np.zeros(V), np.zeros(C)
    prices = -np.asarray(solution.ineqlin.marginals)
    return prices[:K], prices[K:] * scale, np.asarray(solution.x[:C])
