"""Updates that stay with their clients: the air hears their scales and one sum of their symbols.

Clients apply to their own symbols what the beamformer would make of them, ``w^H h_k b_k``, and the
sum of the products is the noiseless signal after it (system model, section 4); the rest of the air
is drawn here, as :mod:`airtune.radio.over_the_air` draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from airtune.kinds import Complex, Floating, Integer, Mask, Real
from airtune.radio.gaussian import complex_normal
from airtune.radio.over_the_air import Aggregate
from airtune.radio.scales import Normalisation, Scales, pack, unpack
from airtune.radio.transmission import Air, Transmission

NEGLIGIBLE = 1e-9
"""Misalignment over nu_k below which the sum that arrives is the sum that was meant."""

LARGEST = 2.0**31 - 1
"""Largest whole number of a sum."""


@dataclass(frozen=True)
class Weighing:
    """What clients make of their updates for one sum.

    Attributes
    ----------
    clients : ndarray, int, shape (S,)
    gains : ndarray, complex, shape (S,)
        What the air makes of each client's symbols.
    factors, means : ndarray, float, shape (S, B)
        Entries of a scale group are sent as their factor times what they are above the mean.
    sizes : ndarray, int, shape (B,)
        Entries of each scale group.
    sent : ndarray, bool, shape (B,)
        Which groups are sent.
    step : float
        Steps of the whole numbers as which the sum is made: it stays below 2^31 of them.
    """

    clients: Integer
    gains: Complex
    factors: Real
    means: Real
    sizes: Integer
    sent: Mask
    step: float

    @property
    def length(self) -> int:
        """Real numbers of a sum: two for each symbol."""
        return 2 * -(-int(self.sizes[self.sent].sum()) // 2)

    def of(self, chosen: Mask) -> Weighing:
        """Return what some of the clients are told."""
        return replace(
            self,
            clients=self.clients[chosen],
            gains=self.gains[chosen],
            factors=self.factors[chosen],
            means=self.means[chosen],
        )

    def symbols(self, update: Floating, row: int) -> Complex:
        """Return the weighed symbols of the client of a row.

        Parameters
        ----------
        update : ndarray, float, shape (n,)
        row : int
            Index into `clients`.

        Returns
        -------
        ndarray, complex, shape (length / 2,)
        """
        groups = np.repeat(np.arange(len(self.sizes)), self.sizes)
        entries = self.sent[groups]
        group = groups[entries]
        centred = update[entries] - self.means[row, group]
        return np.asarray(self.gains[row] * pack(self.factors[row, group] * centred))


class Lost(list[int]):
    """Clients that were lost while a sum was made, so that it cannot be read."""


Ask = Callable[[Weighing], Real | Lost]
"""Returns the sum over the clients, shape (length,), or who is lost: nobody, if none was made."""


@dataclass(frozen=True)
class HeldUpdates:
    """Updates of which the server knows scales and may ask for one sum a round.

    Attributes
    ----------
    clients : ndarray, int, shape (S,)
    sizes : ndarray, int, shape (B,)
        Entries of each block of what is sent.
    means, deviations : ndarray, float, shape (S, B)
        As the clients report them.
    ask : callable
        See :data:`Ask`.
    lost : list of int
        Clients that were lost while the sum was made; all selections share it.
    """

    clients: Integer
    sizes: Integer
    means: Real
    deviations: Real
    ask: Ask
    lost: list[int] = field(default_factory=list)

    def of(self, chosen: Integer | Mask) -> HeldUpdates:
        """Return those of some of the clients."""
        return replace(
            self,
            clients=self.clients[chosen],
            means=self.means[chosen],
            deviations=self.deviations[chosen],
        )

    @property
    def silent(self) -> bool:
        """Whether all updates are 0."""
        return not (self.means.any() or self.deviations.any())

    def scales(self, sizes: Integer) -> Scales:
        """Return the scales of the updates by block, or of one group of all entries.

        Raises
        ------
        ValueError
            The groups are neither.

        Examples
        --------
        >>> held = HeldUpdates(
        ...     np.array([4]), np.array([2, 2]), np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]]),
        ...     lambda weighing: Lost(),
        ... )  # of the update 1, 3, -1, 1
        >>> whole = held.scales(np.array([4]))
        >>> whole.means.tolist(), whole.deviations.round(4).tolist()
        ([[1.0]], [[1.4142]])
        """
        if np.array_equal(sizes, self.sizes):
            return Scales(self.sizes, self.means, self.deviations)
        total = int(self.sizes.sum())
        if sizes.tolist() != [total]:
            raise ValueError(f"groups of {sizes.tolist()} entries for blocks of {self.sizes}")
        shares = self.sizes / total
        means = self.means @ shares
        squares = (self.deviations**2 + (self.means - means[:, None]) ** 2) @ shares
        return Scales(sizes, means[:, None], np.sqrt(squares)[:, None])

    def summed(self, common: Normalisation, gains: Complex) -> Complex | None:
        """Return ``sum_k gains_k x_k`` of the symbols x_k of these clients.

        With n numbers d_i of mean m and deviation s, the sum over i of (d_i - c)^2 is
        n (s^2 + (m - c)^2), for whatever mean c the server holds: no number is farther from c than
        the root of that.  So what clients measure bounds the sum, and no client has to tell its
        largest entry.

        Parameters
        ----------
        common : Normalisation
            Its scales are those that the server holds of these clients, maybe as bits stand for
            them.
        gains : ndarray, complex, shape (S,)

        Returns
        -------
        ndarray, complex, shape (ceil(d / 2),), or None
            None: it cannot be read.
        """
        factors = common.symbol_factors
        measured = self.scales(common.scales.sizes)
        farthest = np.hypot(measured.deviations, measured.means - common.scales.means)
        reach = factors * np.sqrt(common.scales.sizes) * farthest
        limit = float(np.abs(gains) @ reach.max(axis=1))
        step = 1.001 * limit / (LARGEST - len(self.clients)) if limit > 0 else 1.0
        weighing = Weighing(
            self.clients,
            np.asarray(gains, np.complex128),
            factors,
            common.scales.means,
            common.scales.sizes,
            common.sent,
            step,
        )
        if not weighing.length:
            return np.zeros(0, np.complex128)
        summed = self.ask(weighing)
        if isinstance(summed, Lost):
            self.lost.extend(summed)
            return None
        return np.ascontiguousarray(summed).view(np.complex128)


def decode(symbols: Complex, common: Normalisation) -> Real:
    """Return the mean that a sum of symbols stands for, shape (d,) (system model, section 4)."""
    groups = np.repeat(np.arange(len(common.sent)), common.scales.sizes)
    entries = common.sent[groups]
    decoded = np.repeat(common.means, common.scales.sizes)
    group = groups[entries]
    decoded[entries] += np.sqrt(common.group_errors)[group] * unpack(symbols, len(group))
    return decoded


@dataclass(frozen=True)
class HeldSum:
    """What has arrived of updates that stay with their clients.

    Attributes
    ----------
    aggregate : Aggregate
        Its realised errors are NaN where `exact` is None.
    exact : ndarray, float, shape (d,), or None
        The mean without noise; None where the clients were not aligned: nobody knows it then.
    """

    aggregate: Aggregate
    exact: Real | None


def aggregate_held(
    held: HeldUpdates,
    normalisation: Normalisation,
    transmission: Transmission,
    air: Air,
    rng: np.random.Generator,
) -> HeldSum | None:
    """Send updates over the air that stay with their clients, and decode their weighted mean.

    With the same generator noise and interference are those of
    :func:`airtune.radio.over_the_air.aggregate`.

    Returns
    -------
    HeldSum or None
        None: the sum could not be read.
    """
    common, w = normalisation, transmission.beamformer
    weights = common.effective_weights
    noise_mse = float((w.conj() @ air.covariance @ w).real)
    aligned = (air.channel @ w.conj()) * transmission.scalars  # w^H h_k b_k
    misalignment = aligned - weights
    right = bool((np.abs(misalignment) <= NEGLIGIBLE * weights.max(initial=0.0)).all())
    summed = held.summed(common, aligned)
    if summed is None:
        return None
    noise = np.sqrt(noise_mse) * complex_normal(summed.shape, rng)
    sent = np.flatnonzero(common.sent)
    group = np.repeat(sent, common.scales.sizes[sent])
    squares = unpack(noise, len(group)) ** 2
    errors = np.bincount(group, weights=squares, minlength=len(common.sent))
    errors = errors if right else np.full(len(errors), np.nan)
    total = float(common.scales.sizes @ common.deviations**2) or 1.0
    off = np.abs(misalignment)
    aggregate = Aggregate(
        mean=decode(summed + noise, common),
        symbols=common.symbols,
        powers=transmission.powers,
        average_powers=transmission.powers * common.symbol_powers,
        misalignment=misalignment,
        noise_mse=noise_mse,
        predicted_mse=noise_mse + float(off @ off),
        squared_bias=common.squared_bias(off),
        realised_mse=float(errors.sum()) / max(common.entries, 1),
        group_mse=np.where(common.sent, errors / common.scales.sizes, 0.0),
        relative_error=float(errors @ common.group_errors) / total,
    )
    return HeldSum(aggregate, decode(summed, common) if right else None)
