"""The channels by way of a surface, measured in training configurations, and the paths they tell.

Clients send their pilots in T >= M + 1 configurations of the M elements.  With the phases of an
orthogonal matrix whose first column stands for the channel without the surface, least squares tells
``d_k`` and the M cascaded channels ``c_km = D_m f_km`` apart, each with T times less noise than one
sounding has; no unbiased estimate has less [1]_.  As in :mod:`airtune.radio.measured` the believed
paths are the prior, and the hops of the clients and of the surface to the array that are the most
probable are found together.

References
----------
.. [1] T. L. Jensen, E. De Carvalho, "An optimal channel estimation scheme for intelligent
   reflecting surfaces based on a minimum variance unbiased estimator", ICASSP 2020.
.. [2] R. E. A. C. Paley, "On orthogonal matrices", Journal of Mathematics and Physics 12, 1933.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count

import numpy as np

from airtune.kinds import Complex, Integer, Real
from airtune.radio.array import channel, covariance
from airtune.radio.channels.base import Paths, Transmitters
from airtune.radio.gaussian import complex_normal
from airtune.radio.measured import deviations, fitted, real, slopes, stepped
from airtune.radio.surface import Hops, Surface
from airtune.radio.units import LinkBudget
from airtune.scenario import Csi

TURNS = 6
"""Gauss-Newton steps: a product of two hops is less linear than one."""

_SMALLEST = 1e-3

_AT_ONCE = 64
"""Configurations that are worked on together."""


def soundings(elements: int, stepped_phases: bool = False) -> int:
    """Return T, the number of training configurations, as of :func:`configurations`.

    Examples
    --------
    >>> soundings(100), soundings(100, stepped_phases=True)
    (101, 104)
    """
    if not stepped_phases:
        return elements + 1
    doublings, prime = _orders(elements + 1)
    return (prime + 1) << doublings


@lru_cache
def _orders(size: int) -> tuple[int, int]:
    """Return k, q of the least ``2^k (q + 1) >= size``; q = 0 or a prime, 3 modulo 4."""

    def prime(least: int) -> int:
        numbers = (q for q in count(max(least, 3)) if q % 4 == 3)
        found = next(q for q in numbers if all(q % p for p in range(3, math.isqrt(q) + 1, 2)))
        return found if least > 0 else 0

    each = [(k, prime(-(-size // (1 << k)) - 1)) for k in range((size - 1).bit_length() + 1)]
    return min(each, key=lambda order: ((order[1] + 1) << order[0], order[1]))


def configurations(
    elements: int, stepped_phases: bool = False, which: Integer | None = None
) -> Complex:
    """Return the training matrix X, shape (T, M + 1): ``X^H X = T I``, first column 1.

    Parameters
    ----------
    elements : int
        M.
    stepped_phases : bool
        Only phases that every resolution has, 0 and pi: the smallest Hadamard matrix of
        Sylvester's doublings and Paley's first construction [2]_.  Otherwise a Fourier matrix,
        T = M + 1.
    which : ndarray, int, optional
        Rows; all by default, which of large surfaces take T (M + 1) numbers.

    Examples
    --------
    >>> configurations(2, stepped_phases=True).real.astype(int).tolist()
    [[1, 1, 1], [1, -1, 1], [1, 1, -1], [1, -1, -1]]
    """
    T, m = soundings(elements, stepped_phases), np.arange(elements + 1)
    rows = np.arange(T) if which is None else which
    if not stepped_phases:
        return np.asarray(np.exp(-2j * np.pi * (np.multiply.outer(rows, m) % T) / T))
    prime = _orders(elements + 1)[1]
    (high, low), (left, right) = np.divmod(rows, prime + 1), np.divmod(m, prime + 1)
    both = np.bitwise_and.outer(high, left)
    for shift in (16, 8, 4, 2, 1):  # the parity of the ones
        both ^= both >> shift
    signs = 1.0 - 2.0 * (both & 1)
    if prime:
        residues = np.ones(prime)  # minus the Legendre symbol, and -1 on the diagonal
        residues[np.arange(prime) ** 2 % prime] = -1.0
        inner = np.multiply.outer(low, right) > 0
        signs *= np.where(inner, residues[np.subtract.outer(low, right) % prime], 1.0)
    return np.asarray(signs, dtype=np.complex128)


@dataclass(frozen=True)
class Training:
    """What the pilots of all configurations tell.

    Attributes
    ----------
    direct : ndarray, complex, shape (K, N)
        d_k with its error.
    cascaded : ndarray, complex, shape (K, N, M)
        c_km with theirs.
    errors : ndarray, float, shape (K,)
        All error covariances are these times the mean of R over the configurations.
    """

    direct: Complex
    cascaded: Complex
    errors: Real


@dataclass(frozen=True)
class Scene:
    """A round's transmitters and surface, as they are or are believed to be.

    Attributes
    ----------
    direct : Transmitters
        Paths without the surface.
    surface : Surface
    budget : LinkBudget
    positions : ndarray, float, shape (N, 2)
        Of the antennas [wavelengths].
    """

    direct: Transmitters
    surface: Surface
    budget: LinkBudget
    positions: Real

    def noise(self, theta: Complex) -> Complex:
        """Return R [W] with the surface in a configuration, ``theta`` of shape (M,)."""
        v = channel(self.direct.interferers, self.positions)
        v = v + (self.surface.interference * theta) @ self._to_antennas.T
        return covariance(v, self.budget.interferer_powers, self.budget.noise)

    @property
    def mean_noise(self) -> Complex:
        """The mean of R over configurations whose phases are orthogonal [W]."""
        powers = self.budget.interferer_powers
        v = channel(self.direct.interferers, self.positions)
        direct = covariance(v, powers, self.budget.noise)
        heard = powers @ np.abs(self.surface.interference) ** 2
        D = self._to_antennas
        return np.asarray(direct + (D * heard) @ D.conj().T)

    @property
    def _to_antennas(self) -> Complex:
        return self.surface.to_antennas(self.positions)


def train(
    true: Scene,
    pilots: Real,
    rng: np.random.Generator,
    *,
    stepped_phases: bool = False,
    dead: Integer | None = None,
) -> Training:
    """Measure the channels of the true scene in training configurations.

    Parameters
    ----------
    true : Scene
        Of the clients that send pilots.
    pilots : ndarray, float, shape (K,)
        Power times the symbols of one sounding, P_k tau [W].
    rng : Generator
        Source of noise and interference.
    stepped_phases : bool
        Which configurations, as of :func:`configurations`.
    dead : ndarray, int, optional
        Antennas that hear no client.
    """
    d = channel(true.direct.clients, true.positions)
    D = true.surface.to_antennas(true.positions)
    C = true.surface.incident[:, None, :] * D
    if dead is not None:
        d, C = d.copy(), C.copy()
        d[:, dead], C[:, dead] = 0.0, 0.0
    H = np.concatenate([d[:, :, None], C], axis=2)
    elements = D.shape[1]
    T = soundings(elements, stepped_phases)
    found = np.zeros_like(H)
    for first in range(0, T, _AT_ONCE):
        which = np.arange(first, min(first + _AT_ONCE, T))
        X = configurations(elements, stepped_phases, which)
        factors = np.linalg.cholesky(np.array([true.noise(row[1:]) for row in X]))
        noise = np.einsum("tnm,tkm->knt", factors, complex_normal((len(X), *d.shape), rng))
        heard = H @ X.T + noise / np.sqrt(pilots)[:, None, None]
        found += heard @ X.conj()
    found /= T
    return Training(found[:, :, 0], found[:, :, 1:], 1.0 / (pilots * T))


def learnt_hops(hops: Hops, told: Training, scene: Scene, csi: Csi) -> Hops:
    """Return the most probable hops after a training: Gauss-Newton in all of them together.

    A step that makes them less probable is halved.

    Parameters
    ----------
    hops : Hops
        As believed, of the clients that sent pilots.
    told : Training
    scene : Scene
        As believed.
    csi : Csi
        Section ``radio.csi`` of the scenario: how wrong beliefs are.
    """
    fit = _Fit(hops, told, scene, csi)
    found = Steps(np.zeros(fit.wrong.shape), np.zeros(fit.wrong_base.shape))
    if not fit.wrong.any() or not len(told.errors):
        return hops
    for _ in range(TURNS):
        size, way = 1.0, fit.way(found)
        better = found.gone(way, size)
        while fit.loss(better) >= fit.loss(found):
            size /= 2.0
            if size < _SMALLEST:
                return fit.hops(found)
            better = found.gone(way, size)
        found = better
    return fit.hops(found)


@dataclass(frozen=True)
class Steps:
    """Deviations from belief over their standard deviations.

    Attributes
    ----------
    clients : ndarray, float, shape (K, 4 L)
    base : ndarray, float, shape (4 L')
    """

    clients: Real
    base: Real

    def gone(self, way: Steps, size: float) -> Steps:
        """Return these and a share of a way."""
        return Steps(self.clients + size * way.clients, self.base + size * way.base)


class _Fit:
    """The least squares of a training: who is how wrong, and what would be heard then."""

    def __init__(self, hops: Hops, told: Training, scene: Scene, csi: Csi) -> None:
        self._believed, self._places = hops, scene.positions
        self._whitener = _whitener(scene)
        self._scale = 1.0 / np.sqrt(told.errors)
        self._wanted = self._heard(told.cascaded)
        self.wrong = deviations(hops.clients, csi)
        self.wrong_base = deviations(hops.base, csi)[0]

    def hops(self, at: Steps) -> Hops:
        """Return the hops that are off by so much."""
        return replace(
            self._believed,
            clients=stepped(self._believed.clients, self.wrong * at.clients),
            base=stepped(self._believed.base, (self.wrong_base * at.base)[None]),
        )

    def loss(self, at: Steps) -> float:
        """Return twice the negative logarithm of their probability, but for a constant."""
        missing = self._missing(self.hops(at))
        return float(np.sum(missing**2) + np.sum(at.clients**2) + np.sum(at.base**2))

    def way(self, at: Steps) -> Steps:
        """Return the step of Gauss-Newton; the clients are eliminated (Schur complement)."""
        hops = self.hops(at)
        surface, missing = hops.surface(), self._missing(hops)
        D = surface.to_antennas(self._places)
        shape: Real = np.eye(len(self.wrong_base))
        turned = (self.wrong_base[:, None] * slopes(hops.base, self._places)[0])[:, :, None]
        turned = turned * np.tile(hops.steering, (4, 1))[:, None, :]  # (4 L', N, M)
        right = -at.base
        kept = []
        for k, waves in enumerate(self.wrong[:, :, None] * slopes(hops.clients, hops.elements)):
            G = self._seen(waves[:, None, :] * D, k)
            B = self._seen(turned * surface.incident[k], k)
            A, both = G @ G.T + np.eye(len(G)), G @ B.T
            solved = np.linalg.solve(A, np.column_stack([both, G @ missing[k] - at.clients[k]]))
            shape = shape + B @ B.T - both.T @ solved[:, :-1]
            right = right + B @ missing[k] - both.T @ solved[:, -1]
            kept.append(solved)
        base = np.asarray(np.linalg.solve(shape, right), dtype=np.float64)
        clients = np.array([solved[:, -1] - solved[:, :-1] @ base for solved in kept])
        return Steps(clients, base)

    def _missing(self, hops: Hops) -> Real:
        surface = hops.surface()
        D = surface.to_antennas(self._places)
        return np.asarray(self._wanted - self._heard(surface.incident[:, None, :] * D))

    def _heard(self, cascaded: Complex) -> Real:
        white = self._scale[:, None, None] * (self._whitener @ cascaded)
        return real(white.reshape(len(white), -1))

    def _seen(self, slopes: Complex, client: int) -> Real:
        white = self._scale[client] * (self._whitener @ slopes)
        return real(white.reshape(len(white), -1))


def learnt_direct(paths: Paths, told: Training, scene: Scene, csi: Csi) -> Paths:
    """Return the most probable paths without the surface; parameters as of :func:`learnt_hops`."""
    return fitted(paths, scene.positions, told.direct, (_whitener(scene), told.errors), csi)


def _whitener(scene: Scene) -> Complex:
    return np.asarray(np.linalg.inv(np.linalg.cholesky(scene.mean_noise)), dtype=np.complex128)
