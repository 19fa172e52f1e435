"""Phases of a reconfigurable surface and receive beamformer together, for the weakest client.

References
----------
.. [1] Z. Wang et al., "Federated learning via intelligent reflecting surface", IEEE Transactions on
   Wireless Communications 21(2), 2022.
.. [2] Q. Wu, R. Zhang, "Beamforming optimization for wireless network aided by intelligent
   reflecting surface with discrete phase shifts", IEEE Transactions on Communications 68(3), 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.kinds import Complex, Real

STARTS = 3
_SHARPNESS = (10.0, 100.0)
_GRID = 32
_SWEEPS = 8


@dataclass(frozen=True)
class Reflection:
    """The channel as a function of the phases, ``g_k = direct_k + D diag(theta) incident_k``.

    Attributes
    ----------
    direct : ndarray, complex, shape (K, N)
        Auxiliary channel g_k without the surface.
    incident : ndarray, complex, shape (K, M)
        From each client to the elements, scaled alike by ``sqrt(P_k) / nu_k``.
    interference : ndarray, complex, shape (J, N)
        Interferers' channels without the surface, scaled by ``sqrt(q_j)``.
    interference_incident : ndarray, complex, shape (J, M)
        From the interferers to the elements, scaled alike.
    to_antennas : ndarray, complex, shape (N, M)
        D.
    noise : float
        sigma^2 [W].
    """

    direct: Complex
    incident: Complex
    interference: Complex
    interference_incident: Complex
    to_antennas: Complex
    noise: float

    def gain(self, phases: Real, w: Complex) -> float:
        """Return the worst client's gain, ``min_k |w^H g_k|^2 / (w^H R w)``."""
        wanted, others = self._sums(np.exp(1j * phases), w)
        power = self.noise * float(np.sum(np.abs(w) ** 2)) + float(np.sum(np.abs(others) ** 2))
        return float(np.min(np.abs(wanted) ** 2)) / power

    def terms(self, w: Complex) -> tuple[Complex, Complex, Complex, Complex]:
        """Return A, B and the interferers' alike with ``w^H g_k = A_k + sum_m B_km theta_m``."""
        combined = np.einsum("nm,n->m", self.to_antennas, w.conj())
        return (
            np.sum(self.direct * w.conj(), axis=1),
            self.incident * combined,
            np.sum(self.interference * w.conj(), axis=1),
            self.interference_incident * combined,
        )

    def _sums(self, theta: Complex, w: Complex) -> tuple[Complex, Complex]:
        A, B, C, D = self.terms(w)
        return A + np.sum(B * theta, axis=1), C + np.sum(D * theta, axis=1)

    def loss(self, z: Real, sharpness: float) -> tuple[float, Real]:
        """Return ``log w^H R w + (1/mu) log sum_k |w^H g_k|^(-2 mu)`` and its gradient.

        A smooth upper bound of -log of the gain.  z holds the M phases, then Re w and Im w.
        """
        size = self.to_antennas.shape[1]
        theta, n = np.exp(1j * z[:size]), self.to_antennas.shape[0]
        w = z[size : size + n] + 1j * z[size + n :]
        G = self.direct + np.einsum("km,nm->kn", self.incident * theta, self.to_antennas)
        V = self.interference + np.einsum(
            "jm,nm->jn", self.interference_incident * theta, self.to_antennas
        )
        a, v = np.sum(G * w.conj(), axis=1), np.sum(V * w.conj(), axis=1)
        power = self.noise * float(np.sum(np.abs(w) ** 2)) + float(np.sum(np.abs(v) ** 2))
        levels = -sharpness * np.log(np.abs(a) ** 2 + 1e-300)
        top = float(levels.max())
        shares = np.exp(levels - top)
        total = float(shares.sum())
        shares = shares / total
        # of |x|^2, x = w^H y: the derivative in Re w + j Im w is 2 y conj(x)
        pull = -shares / (np.abs(a) ** 2 + 1e-300)
        down = 2.0 * (
            np.einsum("k,kn->n", pull * a.conj(), G)
            + (self.noise * w + np.einsum("j,jn->n", v.conj(), V)) / power
        )
        _, B, _, D = self.terms(w)
        turn = np.einsum("k,km->m", pull * a.conj(), B) + np.einsum("j,jm->m", v.conj(), D) / power
        slope = -2.0 * (turn * theta).imag
        value = float(np.log(power)) + (top + float(np.log(total))) / sharpness
        return value, np.concatenate([slope, down.real, down.imag])


@dataclass(frozen=True)
class Configuration:
    """Phases and beamformer, their gain, and how it rose step by step (of the best start)."""

    phases: Real
    beamformer: Complex
    gain: float
    history: tuple[float, ...]


def configure(reflection: Reflection, bits: int | None = None, seed: int = 0) -> Configuration:
    """Maximise the worst client's gain over the phases and the receive beamformer.

    From several starts: L-BFGS on the smoothed gain in phases and beamformer together, then by
    turns an exact search of each phase [2]_ and the beamformer again.  A step that lowers the gain
    is not taken.  The literature alternates semidefinite relaxations [1]_ for the same problem.

    Parameters
    ----------
    reflection : Reflection
    bits : int, optional
        Resolution of the phases; any phase by default.
    seed : int
        For the random starts.
    """
    rng = np.random.default_rng(seed)
    size = reflection.to_antennas.shape[1]
    ends = [
        _climb(reflection, phases, bits, rng)
        for phases in rng.uniform(0.0, 2.0 * np.pi, size=(STARTS, size))
    ]
    return max(ends, key=lambda end: end.gain)


def _climb(
    reflection: Reflection, phases: Real, bits: int | None, rng: np.random.Generator
) -> Configuration:
    G = reflection.direct + np.einsum(
        "km,nm->kn", reflection.incident * np.exp(1j * phases), reflection.to_antennas
    )
    strength = np.sqrt(np.sum(np.abs(G) ** 2, axis=1))
    mix = np.exp(2j * np.pi * rng.uniform(size=len(G))) / strength
    w = np.sum(mix[:, None] * G, axis=0)
    w = w / np.sqrt(np.sum(np.abs(w) ** 2))
    phases, w = _descend(reflection, phases, w)
    if bits is not None:
        step = 2.0 * np.pi / 2**bits
        phases = np.round(phases / step) * step
    history = [reflection.gain(phases, w)]
    for _ in range(_SWEEPS):
        phases = _sweep(reflection, phases, w, bits)
        history.append(reflection.gain(phases, w))
        turned, better = _descend(reflection, phases, w, still=bits is not None)
        if reflection.gain(turned, better) > history[-1]:
            phases, w = turned, better
        history.append(reflection.gain(phases, w))
        if history[-1] <= history[-3] * (1 + 1e-4):
            break
    return Configuration(phases, w, history[-1], tuple(history))


def _descend(
    reflection: Reflection, phases: Real, w: Complex, still: bool = False
) -> tuple[Real, Complex]:
    """Return phases and beamformer after descents of ever sharper losses; `still`: w alone."""
    from scipy.optimize import minimize

    size = len(phases)
    fixed = size if still else 0
    z = np.concatenate([phases, w.real, w.imag])
    for sharpness in _SHARPNESS:

        def loss(
            free: Real, fixed_phases: Real = z[:fixed], sharpness: float = sharpness
        ) -> tuple[float, Real]:
            value, slope = reflection.loss(np.concatenate([fixed_phases, free]), sharpness)
            return value, slope[fixed:]

        end = minimize(loss, z[fixed:], jac=True, method="L-BFGS-B", options={"maxiter": 150}).x
        z = np.concatenate([z[:fixed], end])
    w = z[size : size + len(w)] + 1j * z[size + len(w) :]
    return z[:size], w / np.sqrt(np.sum(np.abs(w) ** 2))


def _sweep(reflection: Reflection, phases: Real, w: Complex, bits: int | None) -> Real:
    """Return the phases after each has taken its best value of a grid, if that is better."""
    A, B, C, D = reflection.terms(w)
    theta = np.exp(1j * phases)
    phases = phases.copy()
    a, v = A + np.sum(B * theta, axis=1), C + np.sum(D * theta, axis=1)
    floor = reflection.noise * float(np.sum(np.abs(w) ** 2))
    grid = 2.0 * np.pi * np.arange(_GRID if bits is None else 2**bits)
    grid = grid / len(grid)
    turns = np.exp(1j * grid)

    def gains(a: Complex, v: Complex) -> Real:
        power = floor + np.sum(np.abs(v) ** 2, axis=0)
        return np.asarray(np.min(np.abs(a) ** 2, axis=0) / power)

    value = float(gains(a[:, None], v[:, None])[0])
    for m in range(len(phases)):
        rest, others = a - B[:, m] * theta[m], v - D[:, m] * theta[m]
        tried = gains(
            rest[:, None] + B[:, m, None] * turns, others[:, None] + D[:, m, None] * turns
        )
        best = int(np.argmax(tried))
        if tried[best] > value * (1 + 1e-12):
            phases[m], theta[m], value = grid[best], turns[best], float(tried[best])
            a, v = rest + B[:, m] * theta[m], others + D[:, m] * theta[m]
    return phases
