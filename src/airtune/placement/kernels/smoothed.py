"""Loops of the smoothed max-min: its value and gradient, and L-BFGS on it; see `smooth`."""

from __future__ import annotations

import math

import numpy as np

from airtune.compiled import entry, inner
from airtune.kinds import Real
from airtune.placement.kernels.field import Field, Workspace, channel, combine

MEMORY = 8
TAU = 2 * math.pi
PENALTY = 30.0


@entry
def soft_loss(
    field: Field, z: Real, mu: float, x: Real, y: Real, work: Workspace, grad: Real
) -> float:
    """(1/mu) log sum_k exp(-mu f_k) + 30 sum_{i<j} max(0, D^2 - d_ij^2)^2 and its gradient.

    Parameters
    ----------
    field : Field
    z : ndarray, shape (4, N)
        Re a, Im a, theta_x, theta_y.
    mu : float
    x, y : ndarray, shape (N,)
        Out: positions  [wavelengths]
    work : Workspace
    grad : ndarray, shape (4, N)
        Out: gradient.
    """
    N, K = field.antennas, field.clients
    M = K + field.interferers
    for n in range(N):
        x[n] = 0.5 * field.width * (1 + math.sin(z[2, n]))
        y[n] = 0.5 * field.height * (1 + math.sin(z[3, n]))
    channel(field, x, y, work)
    p, u = combine(field, z, work), work.u
    lowest = np.inf
    for k in range(K):
        lowest = min(lowest, u[0, k] * u[0, k] + u[1, k] * u[1, k])
    base = math.log(lowest + 1e-12)
    total = 0.0
    # b_m: gradient weights, dF = Re sum_m conj(b_m) du_m  (+ the part of ||a||^2)
    for k in range(K):
        power = u[0, k] * u[0, k] + u[1, k] * u[1, k] + 1e-12
        e = math.exp(-mu * (math.log(power) - base))
        total += e
        u[0, k] *= -2 * e / power
        u[1, k] *= -2 * e / power
    for k in range(K):
        u[0, k] /= total
        u[1, k] /= total
    for j in range(K, M):
        u[0, j] *= 2 / p
        u[1, j] *= 2 / p
    value = math.log(total) / mu - base + math.log(p)
    _pull_back(field, z, work.g, u, p, grad)
    value += _crowding(field, x, y, grad)
    for n in range(N):
        grad[2, n] *= 0.5 * field.width * math.cos(z[2, n])
        grad[3, n] *= 0.5 * field.height * math.cos(z[3, n])
    return value


@inner
def _pull_back(field: Field, z: Real, g: Real, b: Real, p: float, grad: Real) -> None:
    """Gradient in (Re a, Im a, x, y) of dF = Re sum_m conj(b_m) du_m + 2 Re(conj(a) da) / p."""
    M = field.clients + field.interferers
    br, bi = b[0], b[1]
    gr, gi, xr, xi, yr, yi = g[0], g[1], g[2], g[3], g[4], g[5]
    for n in range(field.antennas):
        o = n * M
        sr = si = sxr = sxi = syr = syi = 0.0
        for m in range(M):  # sum_m conj(b_m) (g, dg/dx, dg/dy)
            sr += br[m] * gr[o + m] + bi[m] * gi[o + m]
            si += br[m] * gi[o + m] - bi[m] * gr[o + m]
            sxr += br[m] * xr[o + m] + bi[m] * xi[o + m]
            sxi += br[m] * xi[o + m] - bi[m] * xr[o + m]
            syr += br[m] * yr[o + m] + bi[m] * yi[o + m]
            syi += br[m] * yi[o + m] - bi[m] * yr[o + m]
        ar, ai = z[0, n], z[1, n]
        grad[0, n] = sr + 2 * ar / p
        grad[1, n] = -si + 2 * ai / p
        grad[2, n] = TAU * (ar * sxr - ai * sxi)
        grad[3, n] = TAU * (ar * syr - ai * syi)


@inner
def _crowding(field: Field, x: Real, y: Real, grad: Real) -> float:
    """Penalty 30 sum max(0, D^2 - d^2)^2; adds its gradient to rows 2 and 3 of grad."""
    value = 0.0
    D2 = field.spacing**2
    for i in range(field.antennas):
        for j in range(i):
            dx, dy = x[i] - x[j], y[i] - y[j]
            short = D2 - dx * dx - dy * dy
            if short > 0:
                value += PENALTY * short * short
                grad[2, i] -= 4 * PENALTY * short * dx
                grad[2, j] += 4 * PENALTY * short * dx
                grad[3, i] -= 4 * PENALTY * short * dy
                grad[3, j] += 4 * PENALTY * short * dy
    return value


@entry
def enter(field: Field, point: Real, z: Real) -> None:
    """z (4, N) from (Re a, Im a, x, y), clipped to |2x/A - 1| <= 0.98 so that sin has a slope."""
    ar, ai, x, y = point[0], point[1], point[2], point[3]
    scale = 0.0
    for n in range(field.antennas):
        scale += ar[n] * ar[n] + ai[n] * ai[n]
    scale = 1.0 / math.sqrt(scale)
    for n in range(field.antennas):
        z[0, n] = ar[n] * scale
        z[1, n] = ai[n] * scale
        z[2, n] = z[3, n] = 0.0
        if field.width > 0:
            z[2, n] = math.asin(min(0.98, max(-0.98, 2 * x[n] / field.width - 1)))
        if field.height > 0:
            z[3, n] = math.asin(min(0.98, max(-0.98, 2 * y[n] / field.height - 1)))


@inner
def _dot(a: Real, b: Real) -> float:
    total = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            total += a[i, j] * b[i, j]
    return total


@inner
def _mix(out: Real, a: Real, factor: float, b: Real) -> None:
    """out = a + factor b."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = a[i, j] + factor * b[i, j]


@entry
def soften(
    field: Field, z: Real, mu: float, steps: int, x: Real, y: Real, work: Workspace
) -> float:
    """Minimise the smoothed loss from z (4, N) in place by L-BFGS; returns the loss.

    Armijo 1e-4, backtracking 0.4, steps of at most 0.5 in z; stops at a change below 5e-4 / mu.
    """
    N = field.antennas
    S, Y, rho = np.empty((MEMORY, 4, N)), np.empty((MEMORY, 4, N)), np.empty(MEMORY)
    grad, d = np.empty((4, N)), np.empty((4, N))
    trial, new = np.empty((4, N)), np.empty((4, N))
    value = soft_loss(field, z, mu, x, y, work, grad)
    stored = 0
    for _ in range(steps):
        _direction(grad, S, Y, rho, stored, d)
        slope = _dot(d, grad)
        if slope >= 0:
            stored = 0
            _mix(d, grad, -2.0, grad)
            slope = -_dot(grad, grad)
        size = math.sqrt(_dot(d, d)) + 1e-300
        step = min(1.0, 0.3 / size) if stored == 0 else min(1.0, 0.5 / size)
        better = False
        lower = value
        for _ in range(12):
            _mix(trial, z, step, d)
            lower = soft_loss(field, trial, mu, x, y, work, new)
            if lower <= value + 1e-4 * step * slope:
                better = True
                break
            step *= 0.4
        if not better:
            break
        at = stored % MEMORY
        _mix(S[at], trial, -1.0, z)
        _mix(Y[at], new, -1.0, grad)
        curvature = _dot(S[at], Y[at])
        if curvature > 1e-12:
            rho[at] = 1 / curvature
            stored += 1
        change = value - lower
        _mix(z, trial, 0.0, trial)
        _mix(grad, new, 0.0, new)
        value = lower
        if change < 5e-4 / mu:
            break
    return value


@inner
def _direction(grad: Real, S: Real, Y: Real, rho: Real, stored: int, d: Real) -> None:
    """d = -(inverse Hessian estimate) grad by the two-loop recursion over the last pairs."""
    pairs = min(stored, MEMORY)
    alpha = np.empty(MEMORY)
    _mix(d, grad, -2.0, grad)
    for back in range(pairs):
        i = (stored - 1 - back) % MEMORY
        alpha[i] = rho[i] * _dot(S[i], d)
        _mix(d, d, -alpha[i], Y[i])
    if pairs:
        i = (stored - 1) % MEMORY
        _mix(d, d, 1 / (rho[i] * _dot(Y[i], Y[i])) - 1, d)
    for forward in range(pairs):
        i = (stored - pairs + forward) % MEMORY
        _mix(d, d, alpha[i] - rho[i] * _dot(Y[i], d), S[i])
