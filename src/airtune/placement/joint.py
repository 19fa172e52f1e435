"""Places and the beamformers of all resource blocks, climbing together.

By sequential quadratic programming [1]_ on

    minimise over r, w   mean over i of w_i^H R_i(r) w_i   s.t.  |w_i^H g_ki(r)|^2 >= 1,

or ||G_k(r)^H w||^2 >= 1 for clients with several antennas.

References
----------
.. [1] D. Kraft, "A software package for sequential quadratic programming", DFVLR-FB 88-28, 1988
   (SLSQP, as SciPy has it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.problem import Placement, Problem
from airtune.placement.solver import beamform

ROUNDED = 7
"""Decimals of the places that a climb ends at, so that rounding errors do not show [wavelengths]"""

_Values = TypeVar("_Values", Complex, Real)


def climb(problems: Sequence[Problem], places: Real, steps: int, box: Real | None = None) -> Real:
    """Return places to which places and beamformers climb together from their best beamformers.

    Parameters
    ----------
    problems : sequence of Problem
    places : ndarray, float, shape (N, 2)  [wavelengths]
    steps : int
        Most iterations.
    box : ndarray, float, shape (4, N), optional
        Least and greatest x, least and greatest y; by default the region  [wavelengths]

    Returns
    -------
    ndarray, float, shape (N, 2)
        In the region and the box; better or not, and apart or not, is to be checked.
    """
    return climb_of(Joint.at(problems, places), places, problems[0].region, steps, box)


def climb_of(joint: Joint, places: Real, region: Real, steps: int, box: Real | None) -> Real:
    """Return the end of a climb from a joint problem at its places.

    Parameters
    ----------
    joint : Joint
    places : ndarray, float, shape (N, 2)  [wavelengths]
    region : ndarray, float, shape (2,)  [wavelengths]
    steps, box
        As of :func:`climb`.
    """
    from scipy.optimize import minimize

    count = len(places)
    if box is None:
        sides = np.repeat(np.array(region), count)
        low, high = np.zeros(2 * count), sides
    else:
        low, high = np.concatenate([box[0], box[2]]), np.concatenate([box[1], box[3]])
    free = [(None, None)] * (len(joint.start) - 2 * count)
    start = joint.start.copy()
    start[: 2 * count] = np.clip(start[: 2 * count], low, high)
    answer = minimize(
        joint.error,
        start,
        jac=True,
        method="SLSQP",
        bounds=[*zip(low, high, strict=True), *free],
        constraints={"type": "ineq", "fun": joint.slack, "jac": joint.slopes},
        options={"maxiter": steps, "ftol": 1e-6},
    )
    end = answer.x[: 2 * count]
    if not np.isfinite(end).all():
        return places
    return np.asarray(np.clip(end.round(ROUNDED), low, high).reshape(2, count).T)


@dataclass(frozen=True)
class _Waves:
    """Plane waves of K transmitters in I blocks.

    Attributes
    ----------
    gains : ndarray, complex, shape (I, K, L)
    directions : ndarray, float, shape (1, K, L, 2), or (I, K, L, 2) where blocks differ
    """

    gains: Complex
    directions: Real

    @classmethod
    def of(cls, gains: list[Complex], directions: list[Real]) -> _Waves:
        """Return the waves of blocks, whose directions are kept once where they are alike."""
        alike = all(np.array_equal(one, directions[0]) for one in directions[1:])
        return cls(np.array(gains), np.array(directions[:1] if alike else directions))

    def responses(self, r: Real) -> tuple[Complex, Complex]:
        """Return h_ik(r_n), shape (I, K, N), and its slope by x_n and y_n, shape (I, K, 2, N)."""
        phases = np.exp(2j * np.pi * np.einsum("ikld,nd->ikln", self.directions, r))
        turned = phases[..., None, :] * self.directions[..., None]
        if len(phases) == 1:
            # no BLAS, whose rounding depends on where arrays lie in memory
            h = np.einsum("ikl,kln->ikn", self.gains, phases[0])
            dh = np.einsum("ikl,kldn->ikdn", self.gains, turned[0])
        else:
            h = np.einsum("ikl,ikln->ikn", self.gains, phases)
            dh = np.einsum("ikl,ikldn->ikdn", self.gains, turned)
        return h, 2j * np.pi * dh


@dataclass(frozen=True)
class Joint:
    """The joint problem in one real vector: x_n, y_n, then Re w_i and Im w_i of each block.

    Attributes
    ----------
    wanted, interference : _Waves
        Of clients, scaled to g_ki, and of interferers, by the roots of their powers.
    noises : ndarray, float, shape (I,)
        sigma^2 of each block.
    sizes : ndarray, float, shape (I,)
        Lengths of the first beamformers, the units of the variables.
    start : ndarray, float, shape (2 N (I + 1),)
    unit : float
        The first error, unit of the objective.
    spacing : float
        Least distance, with room for rounding  [wavelengths]
    antennas : int
        M of each client, whose powers add up: `wanted` has a row for each, client by client.
    """

    wanted: _Waves
    interference: _Waves
    noises: Real
    sizes: Real
    start: Real
    unit: float
    spacing: float
    antennas: int = 1
    _met: dict[bytes, tuple[Complex, Complex]] = field(default_factory=dict, compare=False)
    """The clients' channels where :meth:`slack` or :meth:`slopes` was asked last."""

    @classmethod
    def at(cls, problems: Sequence[Problem], places: Real) -> Joint:
        """Return the problem from these places with their best beamformers."""
        wanted = _Waves.of(
            [one.effective_gains() for one in problems],
            [one.directions[one.active] for one in problems],
        )
        others = _Waves.of(
            [np.sqrt(one.interferer_powers)[:, None] * one.interferer_gains for one in problems],
            [one.interferer_directions for one in problems],
        )
        return cls._of(problems, wanted, others, [beamform(p, places, starts=8) for p in problems])

    @classmethod
    def of_client_arrays(cls, rows: Problem, antennas: int, best: Placement) -> Joint:
        """Return the problem of clients with several antennas from a beamformer at its places.

        Parameters
        ----------
        rows : Problem
            One row for each antenna of each client, client by client.
        antennas : int
            M.
        best : Placement
        """
        wanted = _Waves.of([rows.effective_gains()], [rows.directions])
        others = _Waves.of(
            [np.sqrt(rows.interferer_powers)[:, None] * rows.interferer_gains],
            [rows.interferer_directions],
        )
        return replace(cls._of([rows], wanted, others, [best]), antennas=antennas)

    @classmethod
    def _of(
        cls, problems: Sequence[Problem], wanted: _Waves, others: _Waves, best: list[Placement]
    ) -> Joint:
        places = best[0].positions
        sizes = np.array([float(np.sqrt(np.sum(np.abs(one.beamformer) ** 2))) for one in best])
        parts = [places.T.ravel()]
        for one, size in zip(best, sizes, strict=True):
            parts += [one.beamformer.real / size, one.beamformer.imag / size]
        unit = float(np.mean([1.0 / one.worst_gain for one in best]))
        apart = problems[0].spacing + 4 * 10.0**-ROUNDED if problems[0].spacing > 0 else 0.0
        noises = np.array([one.noise for one in problems])
        return cls(wanted, others, noises, sizes, np.concatenate(parts), unit, apart)

    def _taken_apart(self, z: Real) -> tuple[Real, Complex]:
        """Return places (N, 2) and beamformers (I, N)."""
        count = len(z) // (2 * (len(self.sizes) + 1))
        w = z[2 * count :].reshape(len(self.sizes), 2, count)
        beamformers = self.sizes[:, None] * (w[:, 0] + 1j * w[:, 1])
        return z[: 2 * count].reshape(2, count).T, np.asarray(beamformers, dtype=np.complex128)

    def error(self, z: Real) -> tuple[float, Real]:
        """Return the mean of w_i^H R_i w_i over its first value, and its gradient."""
        r, w = self._taken_apart(z)
        v, dv = self.interference.responses(r)
        received = np.sum(v * w.conj()[:, None], axis=2)
        lengths = np.sum(np.abs(w) ** 2, axis=1)
        total = float(np.sum(self.noises * lengths) + np.sum(np.abs(received) ** 2))
        power, place = _of_powers(v, dv, received, w)
        turn = self.noises[:, None] * w + power.sum(axis=1)
        gradient = np.concatenate([place.sum(axis=(0, 1)), self._real(turn).ravel()])
        scale = 1.0 / (len(self.sizes) * self.unit)
        return scale * total, scale * gradient

    def slack(self, z: Real) -> Real:
        """Return |w_i^H g_ki|^2 - 1 of all blocks and clients, then squared distances less D^2."""
        r, w = self._taken_apart(z)
        g, _ = self._channels(r)
        found = self._of_clients(np.abs(np.sum(g * w.conj()[:, None], axis=2)) ** 2) - 1.0
        i, j = np.triu_indices(len(r), 1)
        apart = np.sum((r[i] - r[j]) ** 2, axis=1) - self.spacing**2
        return np.concatenate([found.ravel(), apart])

    def slopes(self, z: Real) -> Real:
        """Return the Jacobian of :meth:`slack`."""
        r, w = self._taken_apart(z)
        g, dg = self._channels(r)
        power, place = _of_powers(g, dg, np.sum(g * w.conj()[:, None], axis=2), w)
        power, place = self._of_clients(power), self._of_clients(place)
        count, clients = 2 * len(r), place.shape[1]
        rows = np.zeros((len(w), clients, len(z)))
        rows[..., :count] = place
        for index, own in enumerate(self._real(power)):
            rows[index, :, count * (index + 1) : count * (index + 2)] = own
        i, j = np.triu_indices(len(r), 1)
        apart, pair = np.zeros((len(i), len(z))), np.arange(len(i))
        for axis, difference in enumerate((r[i] - r[j]).T):
            apart[pair, axis * len(r) + i] = 2 * difference
            apart[pair, axis * len(r) + j] = -2 * difference
        return np.concatenate([rows.reshape(-1, len(z)), apart])

    def _channels(self, r: Real) -> tuple[Complex, Complex]:
        """Return the clients' responses, computed once where the antennas stay."""
        key = r.tobytes()
        if key not in self._met:
            self._met.clear()
            self._met[key] = self.wanted.responses(r)
        return self._met[key]

    def _of_clients(self, values: _Values) -> _Values:
        """Return values of the rows, shape (I, K M, ...), summed over the antennas of a client."""
        if self.antennas == 1:
            return values
        each = values.reshape(len(values), -1, self.antennas, *values.shape[2:])
        return cast(_Values, each.sum(axis=2))

    def _real(self, slope: Complex) -> Real:
        """Return slopes by conj(w_i), shape (I, ..., N), as slopes by its variables, (..., 2 N)."""
        both = np.concatenate([slope.real, slope.imag], axis=-1)
        return np.asarray(2 * self.sizes.reshape(-1, *[1] * (slope.ndim - 1)) * both)


def _of_powers(h: Complex, dh: Complex, received: Complex, w: Complex) -> tuple[Complex, Real]:
    """Return slopes of |w_i^H h_ik|^2: by conj(w_i), (I, K, N), and by the places, (I, K, 2 N)."""
    turned = received.conj()[..., None, None] * dh * w.conj()[:, None, None]
    place = 2 * turned.real.reshape(*h.shape[:2], 2 * h.shape[2])
    return h * received.conj()[..., None], place
