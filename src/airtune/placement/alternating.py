"""Alternating optimisation with cvxpy, for side-by-side comparison (`dev` extra)."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from airtune.placement.problem import (
    FEASIBILITY,
    Complex,
    Placement,
    Problem,
    Real,
    evaluate,
    normalise,
)


def alternate(
    problem: Problem, start: Real, *, seed: int = 0, rounds: int = 300, trust: float = 0.1
) -> Placement:
    """See `references.alternating_cvxpy`."""
    began = time.perf_counter()
    rng = np.random.default_rng(seed)
    positions = np.array(start, dtype=np.float64)
    aim, move = _BeamformerStep(problem), _PositionStep(problem)
    g = problem.auxiliary_channel(positions)
    w = np.asarray(g.T @ np.exp(2j * np.pi * rng.uniform(size=len(g))), dtype=np.complex128)
    value, idle = evaluate(problem, positions, w), 0
    for _ in range(rounds):
        before = value
        new = aim.solve(problem, positions, w)
        if new is not None and evaluate(problem, positions, new) > value:
            w, value = new, evaluate(problem, positions, new)
        place = move.solve(problem, positions, w, trust)
        trial = positions if place is None else np.clip(place, 0, problem.region)
        gain = evaluate(problem, trial, w)
        if gain > value and problem.violation(trial) <= FEASIBILITY:
            positions, value = trial, gain
            trust = min(0.3, 1.5 * trust)
        else:
            trust /= 2
        idle = idle + 1 if value < before * (1 + 1e-6) else 0
        if idle == 5:
            break
    w = normalise(problem, positions, w)
    return Placement(
        positions,
        w,
        evaluate(problem, positions, w),
        seconds=time.perf_counter() - began,
        method="alternating cvxpy",
    )


class _BeamformerStep:
    """minimise ||F a||^2 s.t. Re(e^{-j theta_k} a^T g_k) >= 1, F^H F = R^T, built once (DPP)."""

    def __init__(self, problem: Problem) -> None:
        import cvxpy as cp

        N, K = problem.antennas, int(problem.active.sum())
        self.a = cp.Variable(2 * N)
        self.root = cp.Parameter((2 * N, 2 * N))
        self.rows = cp.Parameter((K, 2 * N))
        self.task = cp.Problem(
            cp.Minimize(cp.sum_squares(self.root @ self.a)), [self.rows @ self.a >= 1]
        )

    def solve(self, problem: Problem, positions: Real, w: Complex) -> Complex | None:
        g, R = problem.auxiliary_channel(positions), problem.covariance(positions)
        scale = np.sqrt((np.abs(g) ** 2).mean())
        turned = g / scale * np.exp(-1j * np.angle(g @ w.conj()))[:, None]
        self.rows.value = np.hstack([turned.real, -turned.imag])
        # w^H R w = ||L^H w||^2 with R = L L^H; a = conj(w)
        F = np.linalg.cholesky(R / problem.noise).T
        self.root.value = np.block([[F.real, -F.imag], [F.imag, F.real]])
        if not _solved(self.task) or self.a.value is None:
            return None
        half = problem.antennas
        return np.asarray(self.a.value[:half] - 1j * self.a.value[half:], dtype=np.complex128)


class _PositionStep:
    """Raise the linearised worst log gain by moving the antennas within a trust region (DPP)."""

    def __init__(self, problem: Problem) -> None:
        import cvxpy as cp

        N, K = problem.antennas, int(problem.active.sum())
        self.pairs = np.triu_indices(N, 1)
        count = max(1, len(self.pairs[0]))
        self.d, self.t = cp.Variable(2 * N), cp.Variable()
        self.f, self.slope = cp.Parameter(K), cp.Parameter((K, 2 * N))
        self.low, self.high = cp.Parameter(2 * N), cp.Parameter(2 * N)
        self.gap, self.short = cp.Parameter((count, 2 * N)), cp.Parameter(count)
        limits = [
            self.t <= self.f + self.slope @ self.d,
            self.d >= self.low,
            self.d <= self.high,
            self.gap @ self.d >= self.short,
        ]
        self.task = cp.Problem(cp.Maximize(self.t), limits)

    def solve(self, problem: Problem, positions: Real, w: Complex, radius: float) -> Real | None:
        f, slope = _log_gain_slope(problem, positions, w)
        self.f.value, self.slope.value = f - f.min(), slope
        self.low.value = np.maximum(-radius, -positions).ravel()
        self.high.value = np.minimum(radius, problem.region - positions).ravel()
        # 2 D_ij . (s_i - s_j) >= D^2 - |D_ij|^2
        i, j = self.pairs
        rows, short = np.zeros(self.gap.shape), np.zeros(self.short.shape)
        if len(i):
            gap = positions[i] - positions[j]
            pair = np.arange(len(i))
            for axis in range(2):
                rows[pair, 2 * i + axis] = 2 * gap[:, axis]
                rows[pair, 2 * j + axis] = -2 * gap[:, axis]
            short = problem.spacing**2 - (gap**2).sum(axis=1)
        self.gap.value, self.short.value = rows, short
        if not _solved(self.task) or self.d.value is None:
            return None
        return np.asarray(positions + self.d.value.reshape(positions.shape))


def _solved(task: Any) -> bool:
    """Solve with Clarabel; False if it gives up."""
    import cvxpy as cp

    try:
        task.solve(solver=cp.CLARABEL)
    except cp.SolverError:
        return False
    return task.status in ("optimal", "optimal_inaccurate")


def _log_gain_slope(problem: Problem, positions: Real, w: Complex) -> tuple[Real, Real]:
    """f_k = log|w^H g_k|^2 - log w^H R w and its gradient in (x_1, y_1, ...): (K,), (K, 2 N)."""
    on, a = problem.active, w.conj()

    def response(gains: Complex, u: Real) -> tuple[Complex, Complex]:
        term = gains[:, :, None] * np.exp(2j * np.pi * np.einsum("kld,nd->kln", u, positions)) * a
        slope = 2j * np.pi * np.einsum("kln,kld->knd", term, u)
        return term.sum(axis=(1, 2)), slope.reshape(len(gains), 2 * len(a))

    u, du = response(problem.effective_gains(), problem.directions[on])
    v, dv = response(
        np.sqrt(problem.interferer_powers)[:, None] * problem.interferer_gains,
        problem.interferer_directions,
    )
    power = problem.noise * float((np.abs(a) ** 2).sum()) + float((np.abs(v) ** 2).sum())
    leak = 2 * (v.conj()[:, None] * dv).real.sum(axis=0) / power
    f = np.log(np.abs(u) ** 2 / power)
    return f, 2 * (du / u[:, None]).real - leak
