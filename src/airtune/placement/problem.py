"""The radio problem of one coherence block: its data, its answer and the definition of its value.

Symbols follow the system model, sections 3 and 5; positions and region are in wavelengths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from airtune.errors import clip
from airtune.kinds import Complex, Mask, Real
from airtune.placement.values import (
    LONGEST,
    MOST_ANTENNAS,
    check_lengths,
    check_range,
    real,
    without_padding,
)
from airtune.placement.values import ProblemError as ProblemError  # as callers know it
from airtune.placement.values import array as _array

FEASIBILITY = 1e-9
"""Tolerance of positions against the region and the spacing  [wavelengths]."""


@dataclass(frozen=True)
class Problem:
    """Place `antennas` receive antennas for the clients of one over-the-air round.

    Parameters
    ----------
    gains : ndarray, complex, shape (K, L)  [1]
        Path gains a_kl of the clients, path loss included.
    directions : ndarray, shape (K, L, 2)  [1]
        In-plane parts u_kl of the unit vectors towards the scatterers, of length at most 1; those
        of paths with gain 0 do not matter.
    weights : ndarray, shape (K,)  [1]
        Effective weights nu_k; clients with weight 0 are silent (padding).
    powers : ndarray, shape (K,)  [W]
        Transmit powers P_k.
    noise : float  [W]
        Noise power sigma^2 per antenna.
    interferer_gains, interferer_directions, interferer_powers : ndarray
        The same for the J interferers, shapes (J, Lj), (J, Lj, 2), (J,); J may be 0.
    antennas : int
        N, number of antennas.
    region : ndarray, shape (2,)  [wavelengths]
        A_x and A_y of the box; one of them may be 0 (a line).
    spacing : float  [wavelengths]
        D, the least distance between two antennas.

    Raises
    ------
    ProblemError
        If shapes disagree, a value is out of range, or N antennas cannot be in the region.
    """

    gains: Complex
    directions: Real
    weights: Real
    powers: Real
    noise: float
    interferer_gains: Complex
    interferer_directions: Real
    interferer_powers: Real
    antennas: int
    region: Real
    spacing: float = 0.5

    def __post_init__(self) -> None:
        for name in ("gains", "interferer_gains"):
            object.__setattr__(self, name, _array(getattr(self, name), name, np.complex128))
        for name in (
            "directions",
            "weights",
            "powers",
            "interferer_directions",
            "interferer_powers",
            "region",
        ):
            object.__setattr__(self, name, _array(getattr(self, name), name, np.float64))
        for name in ("noise", "spacing", "antennas"):
            object.__setattr__(self, name, real(getattr(self, name), name))
        antennas = self.antennas
        if not 1 <= antennas <= MOST_ANTENNAS or antennas != int(antennas):
            raise ProblemError(
                f"antennas must be an integer from 1 to {MOST_ANTENNAS}, not {clip(self.antennas)}"
            )
        object.__setattr__(self, "antennas", int(antennas))
        self._check_shapes()
        with np.errstate(all="ignore"):  # what is out of range is told below
            self._check_values()
            check_range(
                self.effective_gains(),
                np.sqrt(self.interferer_powers)[:, None] * self.interferer_gains,
                self.noise,
                self.antennas,
            )
        self._check_region()

    @property
    def active(self) -> Mask:
        """Clients that transmit, shape (K,): those with a positive weight."""
        return self.weights > 0

    def effective_gains(self) -> Complex:
        """Path gains of the auxiliary channel, sqrt(P_k) / nu_k a_kl, of the active clients.

        Returns
        -------
        ndarray, complex, shape (K_active, L)  [sqrt(W)]
        """
        on = self.active
        scale = np.sqrt(self.powers[on]) / self.weights[on]
        return np.asarray(scale[:, None] * self.gains[on], dtype=np.complex128)

    def auxiliary_channel(self, positions: Real) -> Complex:
        """g_k(r) of the active clients (system model, section 5).

        Parameters
        ----------
        positions : ndarray, shape (N, 2)  [wavelengths]

        Returns
        -------
        ndarray, complex, shape (K_active, N)  [sqrt(W)]
        """
        return _field_response(self.effective_gains(), self.directions[self.active], positions)

    def covariance(self, positions: Real) -> Complex:
        """R(r) = sigma^2 I + sum_j q_j v_j v_j^H (system model, section 3).

        Parameters
        ----------
        positions : ndarray, shape (N, 2)  [wavelengths]

        Returns
        -------
        ndarray, complex, shape (N, N)  [W]
        """
        v = _field_response(
            np.sqrt(self.interferer_powers)[:, None] * self.interferer_gains,
            self.interferer_directions,
            positions,
        )
        outer = np.einsum("jn,jm->nm", v, v.conj())
        return np.asarray(self.noise * np.eye(len(positions)) + outer, dtype=np.complex128)

    def violation(self, positions: Real) -> float:
        """Largest violation of region and spacing.

        Parameters
        ----------
        positions : ndarray, shape (N, 2)  [wavelengths]

        Returns
        -------
        float
            0 if feasible  [wavelengths]
        """
        outside = max(0.0, float(-positions.min()), float((positions - self.region).max()))
        return max(outside, self.spacing - least_distance(positions))

    def _check_shapes(self) -> None:
        if self.gains.ndim != 2:
            raise ProblemError(f"gains must have shape (K, L), not {self.gains.shape}")
        if self.interferer_gains.ndim != 2:
            raise ProblemError(
                f"interferer_gains must have shape (J, L), not {self.interferer_gains.shape}"
            )
        K, L = self.gains.shape
        J, Lj = self.interferer_gains.shape
        for name, expected in (
            ("directions", (K, L, 2)),
            ("weights", (K,)),
            ("powers", (K,)),
            ("interferer_directions", (J, Lj, 2)),
            ("interferer_powers", (J,)),
            ("region", (2,)),
        ):
            shape = getattr(self, name).shape
            if shape != expected:
                raise ProblemError(f"{name} must have shape {expected}, not {shape}")

    def _check_values(self) -> None:
        if not 0 < self.noise < math.inf:
            raise ProblemError(f"noise must be positive and finite, not {self.noise}")
        for name in ("weights", "interferer_powers", "region"):
            if (getattr(self, name) < 0).any():
                raise ProblemError(
                    f"{name} must not be negative, found {getattr(self, name).min()}"
                )
        if not 0 <= self.spacing < math.inf:
            raise ProblemError(f"spacing must be finite and >= 0, not {self.spacing}")
        for name, size in (("spacing", self.spacing), ("region", float(self.region.max()))):
            if size > LONGEST or 0 < size < 1 / LONGEST:
                raise ProblemError(
                    f"{name} must be 0, or {1 / LONGEST:g} .. {LONGEST:g} wavelengths, not {size:g}"
                )
        on = self.active
        if (self.powers[on] <= 0).any():
            raise ProblemError("powers must be positive for every client with a positive weight")
        if on.any() and (np.abs(self.gains[on]).max(axis=1, initial=0.0) == 0).any():
            client = int(
                np.flatnonzero(on)[np.abs(self.gains[on]).max(axis=1, initial=0.0) == 0][0]
            )
            raise ProblemError(f"gains of client {client} are all 0 but its weight is positive")
        silent = np.where(on[:, None], self.gains, 0)
        check_lengths("directions", "client", silent, self.directions)
        check_lengths(
            "interferer_directions", "interferer", self.interferer_gains, self.interferer_directions
        )
        for name, gains in (
            ("directions", self.gains),
            ("interferer_directions", self.interferer_gains),
        ):
            object.__setattr__(self, name, without_padding(gains, getattr(self, name)))

    def _check_region(self) -> None:
        most = capacity_bound(self.region, self.spacing)
        if self.antennas > most:
            raise ProblemError(
                f"region {self.region[0]:g} x {self.region[1]:g} wavelengths with spacing "
                f"{self.spacing:g} holds at most {most} antennas, not {self.antennas}"
            )


@dataclass(frozen=True)
class Placement:
    """Where the antennas go, how they are combined, and what that reaches.

    Attributes
    ----------
    positions : ndarray, shape (N, 2)  [wavelengths]
    beamformer : ndarray, complex, shape (N,)
        w, scaled so that the weakest active client has |w^H g_k| = 1; then w^H R w is the
        aggregation error and equals 1 / worst_gain.
    worst_gain : float
        t(r, w) = min_k |w^H g_k|^2 / (w^H R w).
    upper_bound : float or None
        A value that no placement exceeds, if one was asked for.
    bound_kind : str or None
        How `upper_bound` was obtained.
    seconds : float
    method : str
    """

    positions: Real
    beamformer: Complex
    worst_gain: float
    upper_bound: float | None = None
    bound_kind: str | None = None
    seconds: float = 0.0
    method: str = ""


def evaluate(problem: Problem, positions: Real, w: Complex) -> float:
    """Worst client's gain t(r, w) = min_k |w^H g_k|^2 / (w^H R w) (system model, section 5).

    Parameters
    ----------
    problem : Problem
    positions : ndarray, shape (N, 2)  [wavelengths]
    w : ndarray, complex, shape (N,)

    Returns
    -------
    float
        Infinite if no client is active (nothing limits the gain).

    Examples
    --------
    One client, one path from broadside, unit power, weight and noise: two antennas double the gain.

    >>> import numpy as np
    >>> problem = Problem(
    ...     gains=np.ones((1, 1)),
    ...     directions=np.zeros((1, 1, 2)),
    ...     weights=np.ones(1),
    ...     powers=np.ones(1),
    ...     noise=1.0,
    ...     interferer_gains=np.zeros((0, 1)),
    ...     interferer_directions=np.zeros((0, 1, 2)),
    ...     interferer_powers=np.zeros(0),
    ...     antennas=2,
    ...     region=np.array([1.0, 1.0]),
    ... )
    >>> positions = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> round(evaluate(problem, positions, np.array([1.0, 1.0])), 6)
    2.0
    """
    if not problem.active.any():
        return math.inf
    g = problem.auxiliary_channel(positions)
    return float((np.abs(_sums(g, w)) ** 2).min() / _power(problem, positions, w))


def normalise(problem: Problem, positions: Real, w: Complex) -> Complex:
    """Scale w so that min_k |w^H g_k| = 1 over the active clients.

    Parameters
    ----------
    problem : Problem
    positions : ndarray, shape (N, 2)  [wavelengths]
    w : ndarray, complex, shape (N,)

    Returns
    -------
    ndarray, complex, shape (N,)
        With no active client, w is scaled to w^H R w = 1.

    Raises
    ------
    ProblemError
        If w^H g_k = 0 for a client.
    """
    if not problem.active.any():
        return np.asarray(w / math.sqrt(_power(problem, positions, w)), dtype=np.complex128)
    weakest = float(np.abs(_sums(problem.auxiliary_channel(positions), w)).min())
    if weakest == 0.0:
        raise ProblemError("the beamformer is blind to a client: no scaling reaches |w^H g_k| = 1")
    return np.asarray(w / weakest, dtype=np.complex128)


def capacity_bound(region: Real, spacing: float) -> int:
    """Most points with pairwise distance >= D that can possibly lie in the box.

    Oler's inequality (1961) for a compact convex set X: the number is at most
    (2 / sqrt 3) area(X) / D^2 + perimeter(X) / (2 D) + 1; on a line this is A / D + 1, exact.

    Parameters
    ----------
    region : ndarray, shape (2,)  [wavelengths]
    spacing : float
        D  [wavelengths]

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> capacity_bound(np.array([2.0, 0.0]), 0.5)
    5
    """
    if spacing == 0:
        return 2**31
    width, height = float(region[0]), float(region[1])
    most = 2 / math.sqrt(3) * width * height / spacing**2 + (width + height) / spacing + 1
    return math.floor(most + 1e-9)


def least_distance(positions: Real) -> float:
    """Least pairwise distance of `positions` (N, 2); infinite for one antenna."""
    if len(positions) < 2:
        return math.inf
    i, j = np.triu_indices(len(positions), 1)
    return float(np.linalg.norm(positions[i] - positions[j], axis=1).min())


# Sums without BLAS, whose rounding depends on where arrays lie in memory: the same problem must
# give the same bits.


def _sums(g: Complex, w: Complex) -> Complex:
    """w^H g_k of every client, shape (K,)."""
    return np.asarray((g * w.conj()).sum(axis=1), dtype=np.complex128)


def _power(problem: Problem, positions: Real, w: Complex) -> float:
    """w^H R w  [W]."""
    return float((w.conj() * (problem.covariance(positions) * w).sum(axis=1)).sum().real)


def _field_response(gains: Complex, directions: Real, positions: Real) -> Complex:
    """h(r)[n] = sum_l a_l exp(+j 2 pi u_l . r_n) (system model, section 3), shape (K, N)."""
    phase = np.exp(2j * np.pi * np.einsum("kld,nd->kln", directions, positions))
    return np.asarray(np.einsum("kl,kln->kn", gains, phase), dtype=np.complex128)
