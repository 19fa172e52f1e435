"""The best beamformer for given positions: max-min over w alone, from many starts."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.kernels.field import pack, workspace
from airtune.placement.kernels.sqp import Limits
from airtune.placement.kernels.tasks import ascend_all, no_grid
from airtune.placement.problem import (
    Placement,
    Problem,
    ProblemError,
    evaluate,
    normalise,
)

METHODS = ("sqp", "oblique")


def beamform(
    problem: Problem,
    positions: Real,
    *,
    method: str = "sqp",
    starts: int = 32,
    seed: int = 0,
    certify: bool = False,
) -> Placement:
    """Best beamformer w for antennas that stay where they are (fixed arrays).

    Climbs from random combinations of whitened channels, w = R^-1 sum_k c_k g_k with
    |c_k| = 1 / ||g_k|| and random phases, so strong interferers are already suppressed.

    Parameters
    ----------
    problem : Problem
        Its region, spacing and number of antennas are ignored.
    positions : ndarray, shape (N, 2)  [wavelengths]
    method : {"sqp", "oblique"}
        SQP, or conjugate gradient on the oblique manifold (`oblique`).
    starts : int
    seed : int
    certify : bool
        Add an upper bound that no beamformer at these positions exceeds, in most cases within
        0.01 dB (`branch.prove`).

    Returns
    -------
    Placement

    Raises
    ------
    ProblemError
        On an unknown method or positions of a wrong shape.
    """
    began = time.perf_counter()
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2 or not len(positions):
        raise ProblemError(f"positions must have shape (N, 2), not {positions.shape}")
    if method not in METHODS:
        raise ProblemError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if not problem.active.any():
        w = normalise(problem, positions, np.ones(len(positions), dtype=np.complex128))
        return Placement(positions, w, math.inf, math.inf if certify else None, method="silent")
    W = random_starts(problem, positions, starts, seed)
    w = climb_from(problem, positions, W) if method == "sqp" else oblique(problem, positions, W)
    w = normalise(problem, positions, w)
    placement = Placement(positions, w, evaluate(problem, positions, w), method=method)
    if certify:
        placement = _proved(problem, placement)
    return replace(placement, seconds=time.perf_counter() - began)


def _proved(problem: Problem, placement: Placement) -> Placement:
    """Add a bound; a better beamformer, should the proof meet one, is improved by SQP first."""
    from airtune.placement.branch import prove

    better = prove(problem, placement)
    if better.worst_gain > placement.worst_gain and better.upper_bound is not None:
        w = climb_from(problem, placement.positions, better.beamformer[:, None])
        gain = evaluate(problem, placement.positions, w)
        if gain > better.worst_gain:
            w = normalise(problem, placement.positions, w)
            bound = max(gain, better.upper_bound)
            better = replace(better, beamformer=w, worst_gain=gain, upper_bound=bound)
    return better


def random_starts(problem: Problem, positions: Real, starts: int, seed: int) -> Complex:
    """Columns R^-1 sum_k c_k g_k with |c_k| = 1 / ||g_k|| and random phases, shape (N, starts)."""
    rng = np.random.default_rng(seed)
    G, R = problem.auxiliary_channel(positions), problem.covariance(positions)
    size = np.maximum(np.linalg.norm(G, axis=1), 1e-300)
    c = np.exp(2j * np.pi * rng.uniform(size=(len(G), starts))) / size[:, None]
    return _solve(R / problem.noise, np.einsum("kn,ks->ns", G, c))


def _solve(A: Complex, B: Complex) -> Complex:
    """A^-1 B for Hermitian positive definite A (N, N) by elimination, column by column.

    Without LAPACK, whose rounding depends on where arrays lie in memory: starts that differ in
    the last bit end in answers that differ in the last bits.
    """
    A, B = A.copy(), B.copy()
    for n in range(len(A)):
        scale = 1 / A[n, n].real
        A[n], B[n] = A[n] * scale, B[n] * scale
        factor = A[:, n].copy()
        factor[n] = 0.0
        A -= factor[:, None] * A[n]
        B -= factor[:, None] * B[n]
    return B


def climb_from(problem: Problem, positions: Real, W: Complex) -> Complex:
    """Best end of SQP climbs from the columns of W."""
    field, _ = pack(problem, antennas=len(positions))
    pool = np.empty((W.shape[1], 4, len(positions)))
    pool[:, 0], pool[:, 1], pool[:, 2:] = W.real.T, -W.imag.T, positions.T
    limits = Limits(60, 1e-6, -math.inf)
    values = ascend_all(field, pool, no_grid(field), limits, False, workspace(field))
    if not (values > -math.inf).any():  # no numbers: the start stays
        return W[:, 0]
    best = pool[np.nanargmax(values)]
    return np.asarray(best[0] - 1j * best[1])


def oblique(
    problem: Problem, positions: Real, W: Complex, *, mu: float = 100.0, steps: int = 200
) -> Complex:
    """Conjugate gradient on the oblique manifold: matrices B (N, S) with unit columns.

    With the whitened channel g~_k = R^{-1/2} g_k and w = R^{-1/2} b the gain of a unit column is
    min_k |b^H g~_k|^2; every column is one start, and all of them minimise the smoothed loss
    (1/mu) log sum_k exp(-mu log |b^H g~_k|^2) at the same time. Polak-Ribiere with restarts,
    transport by projection, Armijo steps of their own for every column (Absil, Mahony and
    Sepulchre 2008).

    Parameters
    ----------
    problem : Problem
    positions : ndarray, shape (N, 2)  [wavelengths]
    W : ndarray, complex, shape (N, S)
        Starts.
    mu : float
    steps : int

    Returns
    -------
    ndarray, complex, shape (N,)
        The best w.
    """
    values, vectors = np.linalg.eigh(problem.covariance(positions))
    root = (vectors * np.sqrt(values)) @ vectors.conj().T
    G = np.linalg.solve(root, problem.auxiliary_channel(positions).T)  # (N, K), whitened
    G = G / np.sqrt((np.abs(G) ** 2).sum(axis=0).min())

    def loss(B: Complex) -> tuple[Real, Complex]:
        u = B.conj().T @ G  # (S, K)
        power = np.abs(u) ** 2 + 1e-12
        least = power.min(axis=1, keepdims=True)
        e = np.exp(-mu * np.log(power / least))
        total = e.sum(axis=1, keepdims=True)
        value = (np.log(total) / mu - np.log(least))[:, 0]
        return value, -2 * G @ (e / total / power * u.conj()).T

    def tangent(B: Complex, X: Complex) -> Complex:
        return np.asarray(X - B * (B.conj() * X).sum(axis=0).real)

    B = root @ W
    B = B / np.linalg.norm(B, axis=0)
    value, gradient = loss(B)
    gradient = tangent(B, gradient)
    direction = -gradient
    for _ in range(steps):
        slope = (gradient.conj() * direction).sum(axis=0).real
        direction = np.where(slope < 0, direction, -gradient)
        slope = (gradient.conj() * direction).sum(axis=0).real
        step = np.minimum(1.0, 0.3 / (np.linalg.norm(direction, axis=0) + 1e-300))
        for _ in range(25):
            new = B + step * direction
            new = new / np.linalg.norm(new, axis=0)
            lower, raw = loss(new)
            poor = lower > value + 1e-4 * step * slope
            if not poor.any():
                break
            step = np.where(poor, 0.5 * step, step)
        move = lower < value
        if not (value - lower > 1e-8).any():
            break
        B = np.where(move, new, B)
        old, value = gradient, np.where(move, lower, value)
        gradient = np.where(move, tangent(new, raw), gradient)
        change = (gradient.conj() * (gradient - tangent(B, old))).sum(axis=0).real
        beta = np.maximum(0.0, change / ((np.abs(old) ** 2).sum(axis=0) + 1e-300))
        direction = -gradient + np.where(move, beta, 0.0) * tangent(B, direction)
    best = np.argmax((np.abs(B.conj().T @ G) ** 2).min(axis=1))
    return np.asarray(np.linalg.solve(root, B[:, best]), dtype=np.complex128)
