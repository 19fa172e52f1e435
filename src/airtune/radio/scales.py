"""Scales of the updates, group powers, effective weights and packing (system model, section 4).

A *scale group* is a set of entries that share one mean and one standard deviation: an adapter
matrix, or under ``aggregation.normalise: global`` all of them at once.  Its index is b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from airtune.kinds import Complex, Floating, Integer, Mask, Real

Normalise = Literal["block", "loaded", "global"]

LEAST = 1e-8
"""Effective weight over the largest one below which a client stays silent.

Single precision holds no more of it in the sum, and beamformers cannot be computed with clients
that are too far apart (:data:`airtune.placement.values.SPAN_DB`).
"""


@dataclass(frozen=True)
class Scales:
    """What each client reports about its update: two scalars a scale group.

    Attributes
    ----------
    sizes : ndarray, int, shape (B,)
        Entries d_b of each group.
    means, deviations : ndarray, float, shape (K, B)
        Mean m_kb and standard deviation v_kb.
    """

    sizes: Integer
    means: Real
    deviations: Real


@dataclass(frozen=True)
class Normalisation:
    """The common scales that the server sets from the reports.

    Attributes
    ----------
    scales : Scales
        Reports of the clients that transmit.
    weights : ndarray, float, shape (K,)
        omega_k, sum 1.
    means, deviations : ndarray, float, shape (B,)
        m_b and v_b of the weighted sum.
    powers : ndarray, float, shape (B,)
        Group powers pi_b; 0 for groups that are not sent.
    sent : ndarray, bool, shape (B,)
        Groups with v_b > 0.
    entries : int
        d: real entries sent, over all groups sent.
    effective_weights : ndarray, float, shape (K,)
        nu_k; a client with 0 stays silent, and so does one below `LEAST` of the largest.
    """

    scales: Scales
    weights: Real
    means: Real
    deviations: Real
    powers: Real
    sent: Mask
    entries: int
    effective_weights: Real

    @property
    def symbols(self) -> int:
        """Complex symbols of one upload, ``ceil(d / 2)``."""
        return -(-self.entries // 2)

    @property
    def symbol_powers(self) -> Real:
        """Mean power of each client's symbols x_k, shape (K,): 1 unless precoding leaves slack."""
        nu = self.effective_weights
        shares = np.where(nu > 0, self.weights / np.where(nu > 0, nu, 1.0), 0.0)
        relative = self.scales.deviations / np.where(self.sent, self.deviations, 1.0)
        lengths = np.where(self.sent, self.scales.sizes, 0)
        energies = relative**2 @ (lengths * self.powers)
        return np.asarray(shares**2 * energies / max(self.entries, 1))

    def squared_bias(self, errors: Real) -> float:
        """Return the most that coefficients off by `errors` can do to the mean, squared.

        Client k's part of an entry of group b is ``(omega_k / nu_k) (d_kb - m_kb)`` times its
        coefficient.  How the parts are correlated is not known, so by the triangle inequality it is
        ``sum_b d_b (sum_k |e_k| omega_k v_kb / nu_k)^2`` over the groups sent.  A symbol of which
        the two entries are of two groups is taken for one of each: its part out of phase is not
        told apart by the deviations.

        Parameters
        ----------
        errors : ndarray, float, shape (K,)
            ``|e_k|``, e.g. of ``e_k = w^H h_k b_k - nu_k``.

        Returns
        -------
        float
            Squared distance of the whole aggregate over :attr:`total_error`; 0 where that is 0.
        """
        if not self.total_error:
            return 0.0
        nu = self.effective_weights
        parts = np.where(nu > 0, errors * self.weights / np.where(nu > 0, nu, 1.0), 0.0)
        off = np.where(self.sent, parts @ self.scales.deviations, 0.0)
        return float(self.scales.sizes @ off**2) / self.total_error

    @property
    def symbol_factors(self) -> Real:
        """What entries above their mean are multiplied with in x_k, shape (K, B); 0 if not sent.

        ``sqrt(pi_b) (omega_k / nu_k) / v_b``
        """
        nu = self.effective_weights
        shares = np.where(nu > 0, self.weights / np.where(nu > 0, nu, 1.0), 0.0)
        factors = np.zeros(len(self.sent))
        factors[self.sent] = 1.0 / np.sqrt(self.group_errors[self.sent])  # sqrt(pi_b) / v_b
        return np.asarray(shares[:, None] * factors)

    @property
    def group_errors(self) -> Real:
        """Error per real entry of each group at MSE 1, ``v_b^2 / pi_b``, shape (B,)."""
        safe = np.where(self.sent, self.powers, 1.0)
        return np.asarray(np.where(self.sent, self.deviations**2 / safe, 0.0))

    @property
    def total_error(self) -> float:
        """Squared error of the whole aggregate at MSE 1, ``sum_b d_b v_b^2 / pi_b``."""
        return float(self.scales.sizes @ self.group_errors)


def group_sizes(sizes: Sequence[int], normalise: Normalise) -> Integer:
    """Return the lengths d_b of the scale groups.

    Parameters
    ----------
    sizes : sequence of int
        Entries of each adapter matrix.
    normalise : {'block', 'loaded', 'global'}
        One group a matrix, or for `global` one group of the whole update.

    Returns
    -------
    ndarray, int, shape (B,)

    Examples
    --------
    >>> group_sizes([300, 41], "block").tolist(), group_sizes([300, 41], "global").tolist()
    ([300, 41], [341])
    """
    lengths = np.asarray(sizes, dtype=np.int64)
    return lengths.sum(keepdims=True) if normalise == "global" else lengths


def report_scales(updates: Floating, sizes: npt.ArrayLike) -> Scales:
    """Measure the mean and standard deviation of each group of each update.

    Parameters
    ----------
    updates : ndarray, float, shape (K, d)
        Updates d_k.
    sizes : array_like, int, shape (B,)
        Group lengths in the order of the entries, sum d.

    Returns
    -------
    Scales

    Raises
    ------
    ValueError
        If the lengths do not add up to d, or an update has a NaN or an infinity.

    Examples
    --------
    Two clients and two adapter matrices of two entries:

    >>> scales = report_scales(np.array([[1.0, 3.0, 0.0, 0.0], [0.0, 4.0, -1.0, 1.0]]), [2, 2])
    >>> scales.means.tolist(), scales.deviations.tolist()
    ([[2.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [2.0, 1.0]])
    """
    lengths = np.asarray(sizes, dtype=np.int64)
    if lengths.sum() != updates.shape[1] or (lengths < 1).any():
        raise ValueError(f"groups of {lengths.sum()} entries for updates of {updates.shape[1]}")
    ends = np.cumsum(lengths)
    means = np.empty((len(updates), len(lengths)))
    deviations = np.empty_like(means)
    for k, update in enumerate(updates):
        for b, (end, size) in enumerate(zip(ends, lengths, strict=True)):
            group = update[end - size : end]
            means[k, b] = group.mean(dtype=np.float64)
            deviations[k, b] = group.std(dtype=np.float64)
    broken = np.flatnonzero(~np.isfinite(deviations).all(axis=1))
    if broken.size:
        raise ValueError(f"updates of clients {broken.tolist()} are not finite")
    return Scales(lengths, means, deviations)


def side_information_bits(groups: int, scale_bits: int, scalars: int = 2) -> int:
    """Return the bits of one client's report: two scalars a group, or as many as given."""
    return scalars * groups * scale_bits


def normalise_updates(
    scales: Scales, weights: npt.ArrayLike, normalise: Normalise
) -> Normalisation:
    """Return the common scales, group powers and effective weights (system model, section 4).

    ``m_b = sum_k omega_k m_kb``, ``v_b^2 = sum_k omega_k v_kb^2``,
    ``nu_k^2 = (omega_k^2 / d) sum_b d_b pi_b v_kb^2 / v_b^2``.

    Group powers, with ``sum_b d_b pi_b = d`` over the groups sent: `block` and `global` take
    ``pi_b = 1`` (equal relative error), `loaded` takes pi_b proportional to v_b, which minimises
    ``sum_b d_b v_b^2 / pi_b`` (Lagrange).

    Parameters
    ----------
    scales : Scales
        Reports of the K clients that transmit.
    weights : array_like, float, shape (K,)
        omega_k >= 0, sum 1.
    normalise : {'block', 'loaded', 'global'}
        Rule of the group powers.  `global` expects the scales of one group
        (:func:`group_sizes`).

    Returns
    -------
    Normalisation

    Raises
    ------
    ValueError
        If the weights are not a convex combination of K clients, or `global` has many groups.

    Examples
    --------
    Two clients of equal weight; the second has the larger update and so the larger nu_k:

    >>> scales = report_scales(np.array([[1.0, 3.0, 0.0, 0.0], [0.0, 4.0, -1.0, 1.0]]), [2, 2])
    >>> common = normalise_updates(scales, [0.5, 0.5], "block")
    >>> common.means.tolist(), common.deviations.round(3).tolist()
    ([2.0, 0.0], [1.581, 0.707])
    >>> common.effective_weights.round(3).tolist(), common.symbols
    ([0.224, 0.671], 2)
    """
    omega = np.asarray(weights, dtype=np.float64)
    if omega.shape != (len(scales.means),) or (omega < 0).any() or abs(omega.sum() - 1) > 1e-9:
        raise ValueError(f"weights must be {len(scales.means)} numbers >= 0 of sum 1, got {omega}")
    if normalise == "global" and len(scales.sizes) != 1:
        raise ValueError(f"global normalisation of {len(scales.sizes)} groups: take one group")
    deviations = np.sqrt(omega @ scales.deviations**2)
    sent, entries, powers = _group_powers(scales.sizes, deviations, normalise)
    lengths = np.where(sent, scales.sizes, 0)
    relative = scales.deviations / np.where(sent, deviations, 1.0)
    shares = lengths * powers / max(entries, 1)
    nu = omega * np.sqrt(relative**2 @ shares)
    return Normalisation(
        scales=scales,
        weights=omega,
        means=omega @ scales.means,
        deviations=deviations,
        powers=powers,
        sent=sent,
        entries=entries,
        effective_weights=np.where(nu >= LEAST * nu.max(initial=0.0), nu, 0.0),
    )


def precode_updates(scales: Scales, weights: npt.ArrayLike, normalise: Normalise) -> Normalisation:
    """Return the scales of precoding by the largest norm: v_b as max_k rms_kb, no means.

    All clients share one factor a group, set by the client whose update is largest, so that
    each keeps its power limit and nobody's update is scaled apart from the others; nu_k = omega_k.
    `global` is the precoding of Sery et al. (2021), with the norms of the round
    for their expectations.  With several groups different clients may be the largest in each, and
    then nobody would send with full power: all factors are raised together until one does.

    Parameters
    ----------
    scales : Scales
        Reports of the K clients that transmit.
    weights : array_like, float, shape (K,)
        omega_k >= 0, sum 1.
    normalise : {'block', 'loaded', 'global'}
        Rule of the group powers, as in :func:`normalise_updates`.

    Returns
    -------
    Normalisation
        `scales.means` are 0 and `scales.deviations` the root mean squares of the entries.
    """
    omega = np.asarray(weights, dtype=np.float64)
    about_zero = norms(scales)
    rms = about_zero.deviations
    top = rms.max(axis=0)
    sent, entries, powers = _group_powers(scales.sizes, top, normalise)
    lengths = np.where(sent, scales.sizes, 0)
    loads = (rms / np.where(sent, top, 1.0)) ** 2 @ (lengths * powers) / max(entries, 1)
    if entries:
        top = top * np.sqrt(loads.max())
    return Normalisation(
        scales=about_zero,
        weights=omega,
        means=np.zeros(len(top)),
        deviations=top,
        powers=powers,
        sent=sent,
        entries=entries,
        effective_weights=omega,
    )


def norms(scales: Scales) -> Scales:
    """Return the root mean squares of the entries in place of deviations; the means are 0."""
    rms = np.sqrt(scales.deviations**2 + scales.means**2)
    return Scales(scales.sizes, np.zeros_like(rms), rms)


def _group_powers(sizes: Integer, deviations: Real, normalise: Normalise) -> tuple[Mask, int, Real]:
    """Return the groups sent, their entries d, and the powers pi_b of a rule."""
    sent = deviations > 0
    lengths = np.where(sent, sizes, 0)
    entries = int(lengths.sum())
    powers = sent.astype(np.float64)
    if normalise == "loaded" and entries:
        powers = entries * deviations / (lengths @ deviations)
    return sent, entries, powers


def pack(entries: Real) -> Complex:
    """Pack real entries two by two into complex symbols, factor ``1 / sqrt(2)``.

    Parameters
    ----------
    entries : ndarray, float, shape (..., n)
        Real entries; odd n is padded with one 0.

    Returns
    -------
    ndarray, complex, shape (..., ceil(n / 2))
        Unit-power entries give unit-power symbols.
    """
    if entries.shape[-1] % 2:
        entries = np.concatenate([entries, np.zeros((*entries.shape[:-1], 1))], axis=-1)
    return np.ascontiguousarray(entries * np.sqrt(0.5)).view(np.complex128)


def unpack(symbols: Complex, length: int) -> Real:
    """Return the first `length` real entries of packed symbols: the inverse of :func:`pack`.

    Parameters
    ----------
    symbols : ndarray, complex, shape (..., n)
        Symbols.
    length : int
        Entries, ``2 n`` or ``2 n - 1``.

    Returns
    -------
    ndarray, float, shape (..., length)
    """
    return np.asarray(np.ascontiguousarray(symbols).view(np.float64)[..., :length] * np.sqrt(2.0))
