"""Alternating optimisation with cvxpy, for side-by-side comparison (`dev` extra)."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.problem import (
    FEASIBILITY,
    Placement,
    Problem,
    ProblemError,
    evaluate,
    normalise,
)

MOVES = ("single", "joint")


def alternate(
    problem: Problem,
    start: Real,
    *,
    move: str = "single",
    seed: int = 0,
    rounds: int = 1000,
    tolerance: float = 1e-4,
    trust: float = 0.1,
) -> Placement:
    """See `references.alternating_cvxpy`."""
    began = time.perf_counter()
    if move not in MOVES:
        raise ProblemError(f"move must be one of {', '.join(MOVES)}, not {move!r}")
    rng = np.random.default_rng(seed)
    positions = np.array(start, dtype=np.float64)
    aim = _BeamformerStep(problem)
    single = _AntennaStep(problem) if move == "single" else None
    joint = _PositionStep(problem) if move == "joint" else None
    g = problem.auxiliary_channel(positions)
    w = np.asarray(g.T @ np.exp(2j * np.pi * rng.uniform(size=len(g))), dtype=np.complex128)
    value, idle = evaluate(problem, positions, w), 0
    for _ in range(rounds):
        before = value
        new = aim.solve(problem, positions, w)
        if new is not None and evaluate(problem, positions, new) > value:
            w, value = new, evaluate(problem, positions, new)
        if joint is not None:
            place = joint.solve(problem, positions, w, trust)
            helped, positions, value = _accept(problem, positions, place, w, value)
            trust = min(0.3, 1.5 * trust) if helped else trust / 2
        if single is not None:
            for n in range(problem.antennas):
                place = single.solve(problem, positions, w, n)
                _, positions, value = _accept(problem, positions, place, w, value)
        idle = idle + 1 if value < before * (1 + tolerance) else 0
        if idle == (1 if move == "single" else 5):  # a trust region may have to shrink first
            break
    w = normalise(problem, positions, w)
    return Placement(
        positions,
        w,
        evaluate(problem, positions, w),
        seconds=time.perf_counter() - began,
        method=f"alternating cvxpy, {move}",
    )


def _accept(
    problem: Problem, positions: Real, place: Real | None, w: Complex, value: float
) -> tuple[bool, Real, float]:
    """Take the new place if it is feasible and better: whether, the positions and their value."""
    trial = positions if place is None else np.clip(place, 0, problem.region)
    gain = evaluate(problem, trial, w)
    if gain > value and problem.violation(trial) <= FEASIBILITY:
        return True, trial, gain
    return False, positions, value


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


class _AntennaStep:
    """One antenna by successive convex approximation, the others and w fixed, built once (DPP).

    maximise s  s.t.  c_k + b_k . d - e_k |d|^2 >= s,  box, linearised spacing: a concave lower
    bound of |u_k|^2 - t p around the present place, with t the present worst gain. |u_k|^2 is
    bounded by its tangent in u_k, every wave exp(j 2 pi n . r) by its tangent less the curvature
    (2 pi)^2 |b| |n|^2 / 2.
    """

    def __init__(self, problem: Problem) -> None:
        import cvxpy as cp

        N, K = problem.antennas, int(problem.active.sum())
        self.d, self.s = cp.Variable(2), cp.Variable()
        self.c, self.b, self.e = cp.Parameter(K), cp.Parameter((K, 2)), cp.Parameter(K, nonneg=True)
        self.low, self.high = cp.Parameter(2), cp.Parameter(2)
        self.gap, self.short = cp.Parameter((max(1, N - 1), 2)), cp.Parameter(max(1, N - 1))
        bent = cp.multiply(self.e, cp.sum_squares(self.d))
        limits = [
            self.s <= self.c + self.b @ self.d - bent,
            self.d >= self.low,
            self.d <= self.high,
            self.gap @ self.d >= self.short,
        ]
        self.task = cp.Problem(cp.Maximize(self.s), limits)

    def solve(self, problem: Problem, positions: Real, w: Complex, n: int) -> Real | None:
        here, on, a = positions[n], problem.active, w.conj()
        g = problem.auxiliary_channel(positions)
        _, b, e = _tangent(
            problem.effective_gains() * a[n], problem.directions[on], here, (g @ a).conj()
        )
        t = evaluate(problem, positions, w)
        rows = np.sqrt(problem.interferer_powers)[:, None] * problem.interferer_gains * a[n]
        pc, pb, pe = _bowl(problem, rows, positions, a, n)
        scale = float((np.abs(g @ a) ** 2).min())
        self.c.value = np.abs(g @ a) ** 2 / scale - t * pc / scale
        self.b.value, self.e.value = (2 * b - t * pb) / scale, (2 * e + t * pe) / scale
        self.low.value, self.high.value = -here, problem.region - here
        # 2 D_ij . s_i >= D^2 - |D_ij|^2 for the moving antenna i
        gap = here - np.delete(positions, n, axis=0)
        rows_of_gap, short = np.zeros(self.gap.shape), np.zeros(self.short.shape)
        rows_of_gap[: len(gap)] = 2 * gap
        short[: len(gap)] = problem.spacing**2 - (gap**2).sum(axis=1)
        self.gap.value, self.short.value = rows_of_gap, short
        if not _solved(self.task) or self.d.value is None:
            return None
        moved = positions.copy()
        moved[n] = here + self.d.value
        return moved


def _tangent(b: Complex, u: Real, at: Real, phase: Complex) -> tuple[Real, Real, Real]:
    """Re(phase_k sum_l b_kl exp(j 2 pi u_kl . r)) at r: value, slope (K, 2), half curvature."""
    wave = phase[:, None] * b * np.exp(2j * np.pi * (u @ at))
    slope = -2 * np.pi * (wave.imag[:, :, None] * u).sum(axis=1)
    bend = 0.5 * (2 * np.pi) ** 2 * (np.abs(wave) * (u**2).sum(axis=2)).sum(axis=1)
    return wave.real.sum(axis=1), slope, bend


def _bowl(
    problem: Problem, rows: Complex, positions: Real, a: Complex, n: int
) -> tuple[float, Real, float]:
    """Upper bound pc + pb . d + pe |d|^2 of p = w^H R w when antenna n moves by d."""
    power = float((a @ problem.covariance(positions).T @ a.conj()).real)
    if not len(rows):
        return power, np.zeros(2), 0.0
    at, u = positions[n], problem.interferer_directions
    others = np.delete(np.arange(len(a)), n)
    q = np.sqrt(problem.interferer_powers)[:, None] * problem.interferer_gains
    wave = np.exp(2j * np.pi * np.einsum("jld,nd->jln", u, positions[others]))
    rest = np.einsum("jl,jln,n->j", q, wave, a[others])
    _, slope, bend = _tangent(rows, u, at, rest.conj())
    # |a_n v_j|^2: the waves are pairs of paths
    pairs = (rows[:, :, None] * rows[:, None, :].conj()).reshape(len(rows), -1)
    gaps = (u[:, :, None] - u[:, None, :]).reshape(len(rows), -1, 2)
    _, own, bent = _tangent(pairs, gaps, at, np.ones(len(rows), np.complex128))
    return power, (2 * slope + own).sum(axis=0), float((2 * bend + bent).sum())
