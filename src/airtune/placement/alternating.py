"""Alternating optimisation with cvxpy, for side-by-side comparison (`dev` extra)."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from airtune.placement.problem import (
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
    radius = np.full(problem.antennas, trust)
    value = evaluate(problem, positions, w)
    idle = 0
    for _ in range(rounds):
        before = value
        new = aim.solve(problem, positions, w)
        if new is not None and evaluate(problem, positions, new) > value:
            w, value = new, evaluate(problem, positions, new)
        for n in range(problem.antennas):
            place = move.solve(problem, positions, w, n, radius[n])
            trial = positions.copy()
            trial[n] = positions[n] if place is None else np.clip(place, 0, problem.region)
            gain = evaluate(problem, trial, w)
            if gain > value and problem.violation(trial) <= 1e-9:
                positions, value = trial, gain
                radius[n] = min(0.3, 1.5 * radius[n])
            else:
                radius[n] /= 2
        idle = idle + 1 if value < before * (1 + 1e-4) else 0
        if idle == 3:
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
    """Raise the linearised worst log gain by moving one antenna within a trust region (DPP)."""

    def __init__(self, problem: Problem) -> None:
        import cvxpy as cp

        N, K = problem.antennas, int(problem.active.sum())
        self.d, self.t = cp.Variable(2), cp.Variable()
        self.f, self.slope = cp.Parameter(K), cp.Parameter((K, 2))
        self.low, self.high = cp.Parameter(2), cp.Parameter(2)
        self.gap, self.short = cp.Parameter((max(1, N - 1), 2)), cp.Parameter(max(1, N - 1))
        limits = [
            self.t <= self.f + self.slope @ self.d,
            self.d >= self.low,
            self.d <= self.high,
            self.gap @ self.d >= self.short,
        ]
        self.task = cp.Problem(cp.Maximize(self.t), limits)

    def solve(
        self, problem: Problem, positions: Real, w: Complex, n: int, radius: float
    ) -> Real | None:
        f, slope = _log_gain_slope(problem, positions, w, n)
        self.f.value, self.slope.value = f - f.min(), slope
        self.low.value = np.maximum(-radius, -positions[n])
        self.high.value = np.minimum(radius, problem.region - positions[n])
        gap = np.delete(positions[n] - positions, n, axis=0)
        if len(gap):
            self.gap.value = 2 * gap
            self.short.value = problem.spacing**2 - (gap**2).sum(axis=1)
        else:
            self.gap.value, self.short.value = np.zeros((1, 2)), np.zeros(1)
        if not _solved(self.task) or self.d.value is None:
            return None
        return np.asarray(positions[n] + self.d.value)


def _solved(task: Any) -> bool:
    """Solve with Clarabel; False if it gives up."""
    import cvxpy as cp

    try:
        task.solve(solver=cp.CLARABEL)
    except cp.SolverError:
        return False
    return task.status in ("optimal", "optimal_inaccurate")


def _log_gain_slope(problem: Problem, positions: Real, w: Complex, n: int) -> tuple[Real, Real]:
    """f_k = log|w^H g_k|^2 - log w^H R w and its gradient in r_n, shapes (K,) and (K, 2)."""
    on, a = problem.active, w.conj()

    def response(gains: Complex, u: Real) -> tuple[Complex, Complex]:
        phase = np.exp(2j * np.pi * np.einsum("kld,nd->kln", u, positions))
        total = np.einsum("kl,kln,n->k", gains, phase, a)
        slope = 2j * np.pi * a[n] * np.einsum("kl,kld->kd", gains * phase[:, :, n], u)
        return total, slope

    u, du = response(problem.effective_gains(), problem.directions[on])
    v, dv = response(
        np.sqrt(problem.interferer_powers)[:, None] * problem.interferer_gains,
        problem.interferer_directions,
    )
    power = problem.noise * float((np.abs(a) ** 2).sum()) + float((np.abs(v) ** 2).sum())
    leak = 2 * (v.conj()[:, None] * dv).real.sum(axis=0) / power
    f = np.log(np.abs(u) ** 2 / power)
    return f, 2 * (du / u[:, None]).real - leak
