"""Clients with several transmit antennas: each weighs its antennas, and then sends as one would.

A client with the channel matrix H_k (N x M) and its auxiliary matrix G_k = sqrt(P_k) / nu_k H_k
sends b_k x_k with the vector ``b_k = nu_k H_k^H w / ||H_k^H w||^2`` (system model, section 5), so
that the condition reads ``||G_k^H w|| >= 1`` and what is maximised

    t(r, w) = min_k ||G_k(r)^H w||^2 / (w^H R(r) w).

For any unit vectors f_k the clients with the channels ``G_k f_k`` have one antenna each and, by
Cauchy and Schwarz, ``|w^H G_k f_k| <= ||G_k^H w||``, with equality where f_k is along ``G_k^H w``
(maximum-ratio transmission).  So their problem lies below this one and touches it where the f_k
come from: whatever solves problems of one antenna, solved for the f_k of the last answer, climbs
here step by step (minorisation and maximisation [1]_).

References
----------
.. [1] Y. Sun, P. Babu, D. P. Palomar, "Majorization-minimization algorithms in signal processing,
   communications, and machine learning", IEEE Transactions on Signal Processing 65(3), 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.problem import Placement, Problem, ProblemError

ROUGH, FINE = 3, 60
"""Steps from every start, and most steps from the best one."""

SETTLED = 1e-7
"""Relative gain of a step at which the climb ends."""


@dataclass(frozen=True)
class ClientArrays:
    """A radio problem whose clients have M antennas each.

    Attributes
    ----------
    rows : Problem
        One row for each antenna of each client, client by client, with the client's weight, power
        and directions; all weights are positive.
    antennas : int
        M.

    Raises
    ------
    ProblemError
        The rows are not those of such clients.
    """

    rows: Problem
    antennas: int

    def __post_init__(self) -> None:
        rows, count = self.rows, self.antennas
        if count < 1 or not len(rows.gains) or len(rows.gains) % count or not rows.active.all():
            raise ProblemError(
                f"{len(rows.gains)} rows, {int(rows.active.sum())} of them of positive weight, are "
                f"none of clients with {count} antennas each"
            )
        for name in ("directions", "weights", "powers"):
            each = getattr(rows, name).reshape(self.clients, count, -1)
            if not (each == each[:, :1]).all():
                raise ProblemError(f"{name} must be the same in the {count} rows of a client")

    @property
    def clients(self) -> int:
        """Number K of clients."""
        return len(self.rows.gains) // self.antennas

    def channels(self, positions: Real) -> Complex:
        """Return G_k^T of all clients, shape (K, M, N)  [sqrt(W)]."""
        rows = self.rows.auxiliary_channel(positions)
        return np.asarray(rows.reshape(self.clients, self.antennas, -1))

    def precoded(self, precoders: Complex) -> Problem:
        """Return the problem of clients that send with these factors of their antennas.

        Parameters
        ----------
        precoders : ndarray, complex, shape (K, M)
            f_k, of length 1.
        """
        rows, first = self.rows, slice(None, None, self.antennas)
        each = rows.gains.reshape(self.clients, self.antennas, -1)
        return replace(
            rows,
            gains=(each * precoders[..., None]).sum(axis=1),
            directions=rows.directions[first],
            weights=rows.weights[first],
            powers=rows.powers[first],
        )

    def first_antennas(self) -> Complex:
        """Return the precoders that use the first antenna alone, shape (K, M)."""
        only = np.zeros((self.clients, self.antennas), dtype=np.complex128)
        only[:, 0] = 1.0
        return only


@dataclass(frozen=True)
class Aimed:
    """The best beamformer at some places, and how the clients weigh their antennas for it.

    Attributes
    ----------
    precoders : ndarray, complex, shape (K, M)
        f_k, of length 1, along G_k^H w.
    placement : Placement
        Its beamformer is scaled so that the least ||G_k^H w|| is 1.
    """

    precoders: Complex
    placement: Placement


def aim_clients(
    problem: ClientArrays,
    positions: Real,
    *,
    starts: int = 8,
    seed: int = 0,
    beamformers: Complex | None = None,
    fine: int = FINE,
) -> Aimed:
    """Return the best beamformer for clients with several antennas that a search finds.

    Parameters
    ----------
    problem : ClientArrays
        Of at least one client.
    positions : ndarray, float, shape (N, 2)  [wavelengths]
    starts : int
        Random beamformers from which it climbs, besides those that are given.
    seed : int
    beamformers : ndarray, complex, shape (N, S), optional
        More starts, such as those of neighbouring places.
    fine : int
        Most steps from the best end of some steps from every start.

    Returns
    -------
    Aimed
        Of no smaller gain than any start, whose clients have the best precoders for it.

    Examples
    --------
    One client with two antennas in front of one: the power of both paths is used.

    >>> rows = Problem(
    ...     gains=np.ones((2, 1)), directions=np.zeros((2, 1, 2)), weights=np.ones(2),
    ...     powers=np.ones(2), noise=1.0, interferer_gains=np.zeros((0, 1)),
    ...     interferer_directions=np.zeros((0, 1, 2)), interferer_powers=np.zeros(0),
    ...     antennas=1, region=np.ones(2),
    ... )
    >>> aimed = aim_clients(ClientArrays(rows, 2), np.zeros((1, 2)))
    >>> round(aimed.placement.worst_gain, 9), np.abs(aimed.precoders).round(4).tolist()
    (2.0, [[0.7071, 0.7071]])
    """
    from airtune.placement.beamformer import random_starts

    positions = np.ascontiguousarray(positions, dtype=np.float64)
    at = _Places.of(problem, positions)
    W = random_starts(problem.rows, positions, starts, seed)
    if beamformers is not None:
        W = np.concatenate([beamformers, W], axis=1)
    tried = [at.climbed(w, ROUGH) for w in W.T]
    w = at.climbed(max(tried, key=at.gain), fine)
    received = at.received(w)
    sizes = np.sqrt(np.sum(np.abs(received) ** 2, axis=1))
    placement = Placement(positions, w / sizes.min(), at.gain(w), method="precoded")
    return Aimed(_along(received), placement)


@dataclass(frozen=True)
class _Places:
    """A problem at given places: channels (K, M, N) and covariance (N, N)."""

    problem: ClientArrays
    positions: Real
    channels: Complex
    covariance: Complex

    @classmethod
    def of(cls, problem: ClientArrays, positions: Real) -> _Places:
        return cls(
            problem, positions, problem.channels(positions), problem.rows.covariance(positions)
        )

    def received(self, w: Complex) -> Complex:
        """Return w^H G_k, shape (K, M)."""
        # no BLAS, whose rounding depends on where arrays lie in memory
        return np.asarray((self.channels * w.conj()).sum(axis=2))

    def gain(self, w: Complex) -> float:
        """Return t of a beamformer."""
        power = float((w.conj() * (self.covariance * w).sum(axis=1)).sum().real)
        return float(np.sum(np.abs(self.received(w)) ** 2, axis=1).min()) / power

    def climbed(self, w: Complex, steps: int) -> Complex:
        """Return a beamformer after so many steps, from one to the best for its precoders."""
        from airtune.placement.beamformer import climb_from

        value = self.gain(w)
        for _ in range(steps):
            problem = self.problem.precoded(_along(self.received(w)))
            new = climb_from(problem, self.positions, w[:, None])
            better = self.gain(new)
            if not better > value:
                break
            gained, w, value = better / value - 1, new, better
            if gained < SETTLED:
                break
        return w


def _along(received: Complex) -> Complex:
    """Return the unit vectors f_k along G_k^H w, shape (K, M), from w^H G_k."""
    sizes = np.sqrt(np.sum(np.abs(received) ** 2, axis=1, keepdims=True))
    return np.asarray(received.conj() / np.maximum(sizes, 1e-300))
