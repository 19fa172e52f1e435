"""Over-the-air aggregation: all clients send at once, the antennas receive the weighted sum.

Equations of the system model, section 4.  Two forms of the same air: `scalar` draws the noise after
the beamformer (cost in proportion to K d), `waveform` builds what every antenna receives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee
from typing import Literal

import numpy as np

from airtune.kinds import Complex, Floating, Integer, Real
from airtune.radio.gaussian import complex_normal
from airtune.radio.impairments import Arrival, Impairments, Meter, impair
from airtune.radio.scales import Normalisation, pack, unpack
from airtune.radio.transmission import Air, Transmission

Form = Literal["scalar", "waveform"]

ALIGNED = 1e-12
"""Misalignment over the largest weight that is rounding."""
CHUNK_SYMBOLS = 1 << 14
"""Symbols handled at once: keeps the working set small and the result independent of memory."""


@dataclass(frozen=True)
class Aggregate:
    """What the server decodes, and how well the prediction met it.

    Attributes
    ----------
    mean : ndarray, float, shape (d_all,)
        Decoded weighted mean of the updates.
    symbols : int
        Complex symbols sent, ``ceil(d / 2)``.
    powers : ndarray, float, shape (K,)
        Transmit powers ``|b_k|^2`` [W].
    average_powers : ndarray, float, shape (K,)
        Power of each client as realised, averaged over the symbols of this upload [W].
    misalignment : ndarray, complex, shape (K,)
        ``e_k = w^H h_k b_k - nu_k`` with the true channel; 0 with perfect CSI.  With impairments
        ``w^H h_k b_k`` is multiplied with the gain that they left the symbols.
    noise_mse : float
        ``w^H R w``.
    predicted_mse : float
        ``w^H R w + e^H C e``, with impairments and their distortion.
    squared_bias : float
        The most that the part of the error that is no noise can be, however the updates are
        correlated: a bias.  By the triangle inequality over the clients, group by group, from
        what is off of each client's part (:func:`parts_off`); 0 where all arrive aligned.
    realised_mse : float
        Mean over the real entries sent of their squared error over ``v_b^2 / pi_b``; its
        expectation is `predicted_mse`.  0 when nothing was sent.
    group_mse : ndarray, float, shape (B,)
        The same by scale group; 0 for groups not sent.
    relative_error : float
        Squared error of the whole aggregate over ``sum_b d_b v_b^2``; comparable between rules
        of the group powers.  0 when nothing was sent.
    parts : tuple of Aggregate
        Of each resource block, where there are several (:mod:`airtune.radio.wide_air`).
    """

    mean: Real
    symbols: int
    powers: Real
    average_powers: Real
    misalignment: Complex
    noise_mse: float
    predicted_mse: float
    squared_bias: float
    realised_mse: float
    group_mse: Real
    relative_error: float
    parts: tuple[Aggregate, ...] = ()


def aggregate(
    updates: Floating,
    normalisation: Normalisation,
    transmission: Transmission,
    air: Air,
    rng: np.random.Generator,
    *,
    form: Form = "scalar",
    correlation: Complex | None = None,
    impairments: Impairments | None = None,
) -> Aggregate:
    """Send the updates over the air and decode their weighted mean (system model, section 4).

    ``xhat = w^H (sum_k h_k b_k x_k + z)`` and ``dhat_b = m_b + v_b / sqrt(pi_b) sqrt(2) (Re, Im)
    xhat``.  The channel is the true one, whatever b_k and w were computed from.

    Parameters
    ----------
    updates : ndarray, float, shape (K, d_all)
        Updates of the clients that transmit.
    normalisation : Normalisation
        Their common scales.
    transmission : Transmission
        Beamformer and transmit scalars.
    air : Air
        True channels, interference and noise.
    rng : Generator
        Source of noise and interference.
    form : {'scalar', 'waveform'}
        Draw ``w^H z ~ CN(0, w^H R w)``, or build the signal of every antenna.
    correlation : ndarray, complex, shape (K, K), optional
        Correlation of the symbols for the prediction, ``C_jk = mean(x_j^* x_k)``; the identity by
        default.
    impairments : Impairments, optional
        What goes wrong with the clients' symbols.

    Returns
    -------
    Aggregate

    Examples
    --------
    Two clients and one antenna in noiseless air: the mean arrives as it is.

    >>> from airtune.radio.scales import normalise_updates, report_scales
    >>> from airtune.radio.transmission import uniform_forcing
    >>> updates = np.array([[1.0, 2.0, 3.0, 4.0], [3.0, 0.0, 1.0, 2.0]])
    >>> common = normalise_updates(report_scales(updates, [4]), [0.5, 0.5], "block")
    >>> air = Air(np.array([[1.0], [0.5j]]), np.zeros((0, 1), complex), np.zeros(0), noise=0.0)
    >>> sent = uniform_forcing(air.channel, np.ones(1), common.effective_weights, np.ones(2))
    >>> aggregate(updates, common, sent, air, np.random.default_rng(1)).mean.round(6).tolist()
    [2.0, 1.0, 2.0, 3.0]
    """
    common, w = normalisation, transmission.beamformer
    weights = common.effective_weights  # nu_k
    noise_mse = float((w.conj() @ air.covariance @ w).real)
    aligned = (air.channel @ w.conj()) * transmission.scalars  # w^H h_k b_k
    off_by_rounding = ALIGNED * weights.max(initial=0.0)
    perfect = impairments is None and bool((np.abs(aligned - weights) <= off_by_rounding).all())
    amplitudes = np.sqrt(common.group_errors)  # v_b / sqrt(pi_b)
    decoded = np.repeat(common.means, common.scales.sizes)
    energies = np.zeros(len(updates))
    errors = np.zeros(len(common.scales.sizes))
    off = np.zeros((len(updates), len(common.scales.sizes)))
    meter = Meter(len(updates))
    for entries, group, symbols, arriving in _uploads(
        updates, common, transmission, impairments, meter
    ):
        if form == "waveform":
            received = _antennas(arriving, transmission.scalars, air, rng)
            estimate = w.conj() @ received
        else:
            estimate = aligned @ arriving + np.sqrt(noise_mse) * complex_normal(
                symbols.shape[1:], rng
            )
        decoded[entries] += amplitudes[group] * unpack(estimate, len(group))
        error = unpack(estimate - weights @ symbols, len(group))
        errors += np.bincount(group, weights=error**2, minlength=len(errors))
        energies += np.sum(np.abs(symbols) ** 2, axis=1)
        if not perfect:
            apart = _apart(aligned, arriving, weights, symbols, len(group))
            off += [np.bincount(group, weights=one**2, minlength=len(errors)) for one in apart]
    total = float(common.scales.sizes @ common.deviations**2) or 1.0  # no error without entries
    arrival = None if impairments is None else meter.arrival()
    average_powers = transmission.powers * energies / max(common.symbols, 1)
    if arrival is not None:
        average_powers = transmission.powers * arrival.sent_powers
    misalignment = (aligned if arrival is None else aligned * arrival.gains) - weights
    wrong = _systematic(aligned, misalignment, correlation, arrival)
    most = np.sqrt(off).sum(axis=0) ** 2
    return Aggregate(
        mean=decoded,
        symbols=common.symbols,
        powers=transmission.powers,
        average_powers=average_powers,
        misalignment=misalignment,
        noise_mse=noise_mse,
        predicted_mse=noise_mse + wrong,
        squared_bias=float(most @ common.group_errors) / (common.total_error or 1.0),
        realised_mse=float(errors.sum()) / max(common.entries, 1),
        group_mse=np.where(common.sent, errors / common.scales.sizes, 0.0),
        relative_error=float(errors @ common.group_errors) / total,
    )


def _systematic(
    aligned: Complex,
    misalignment: Complex,
    correlation: Complex | None,
    arrival: Arrival | None,
) -> float:
    """Return the predicted error besides the noise."""
    C = np.eye(len(aligned)) if correlation is None else correlation
    if arrival is None:
        return float((misalignment.conj() @ C @ misalignment).real)
    e = np.sqrt(arrival.symbol_powers) * misalignment
    return float((e.conj() @ C @ e).real) + float(np.abs(aligned) ** 2 @ arrival.distortion)


def parts_off(
    updates: Floating,
    normalisation: Normalisation,
    transmission: Transmission,
    air: Air,
    impairments: Impairments | None,
) -> Iterator[tuple[slice | Integer, Real]]:
    """Yield piece by piece what is off of each client's part of the sum.

    ``w^H h_k b_k y_k - nu_k x_k`` of its symbols x_k and of what arrives in their place, y_k.
    Parameters are those of :func:`aggregate`.

    Yields
    ------
    entries : slice or ndarray of int
        Of the updates.
    off : ndarray, float, shape (K, n)
        For each real entry, in units of the symbols.
    """
    nu = normalisation.effective_weights
    aligned = (air.channel @ transmission.beamformer.conj()) * transmission.scalars
    pieces = _uploads(updates, normalisation, transmission, impairments, Meter(len(updates)))
    for entries, group, symbols, arriving in pieces:
        yield entries, _apart(aligned, arriving, nu, symbols, len(group))


def _apart(aligned: Complex, arriving: Complex, nu: Real, symbols: Complex, length: int) -> Real:
    return unpack(aligned[:, None] * arriving - nu[:, None] * symbols, length)


def _uploads(
    updates: Floating,
    common: Normalisation,
    transmission: Transmission,
    impairments: Impairments | None,
    meter: Meter,
) -> Iterator[tuple[slice | Integer, Integer, Complex, Complex]]:
    """Yield the upload piece by piece: entries, groups, symbols x_k, and what arrives for them."""
    if impairments is None:
        for entries, group, symbols in _chunks(updates, common):
            yield entries, group, symbols, symbols
        return
    restraint = impairments.restraint(transmission.powers, common.symbol_powers)[:, None]
    meant, faulty = tee(_chunks(updates, common))
    pieces = (restraint * symbols for _, _, symbols in faulty)
    arriving = impair(pieces, impairments, np.abs(transmission.scalars), common.symbols)
    for (entries, group, symbols), (sent, arrived) in zip(meant, arriving, strict=True):
        meter.add(symbols, sent, arrived)
        yield entries, group, symbols, arrived


def _chunks(
    updates: Floating, normalisation: Normalisation
) -> Iterator[tuple[slice | Integer, Integer, Complex]]:
    """Yield the upload piece by piece: entries, their groups, and the symbols x_k (K, n).

    x_k packs ``sqrt(pi_b) (omega_k / nu_k) (d_kb - m_kb) / v_b`` over the groups sent.
    """
    common = normalisation
    scales = common.symbol_factors
    group_of = np.repeat(np.arange(len(common.sent)), common.scales.sizes)
    sent = np.flatnonzero(common.sent[group_of])
    contiguous = len(sent) == len(group_of)
    for start in range(0, len(sent), 2 * CHUNK_SYMBOLS):
        stop = min(start + 2 * CHUNK_SYMBOLS, len(sent))
        entries = slice(start, stop) if contiguous else sent[start:stop]
        group = group_of[entries]
        centred = updates[:, entries] - common.scales.means[:, group]
        yield entries, group, pack(scales[:, group] * centred)


def _antennas(symbols: Complex, scalars: Complex, air: Air, rng: np.random.Generator) -> Complex:
    """Return what the antennas receive, ``y = sum_k h_k b_k x_k + z``, shape (N, n)."""
    length = symbols.shape[1]
    wanted = air.channel.T @ (scalars[:, None] * symbols)
    thermal = np.sqrt(air.noise) * complex_normal((air.channel.shape[1], length), rng)
    others = complex_normal((len(air.interference), length), rng)
    amplitudes = np.sqrt(air.interference_powers)[:, None]
    return np.asarray(wanted + thermal + air.interference.T @ (amplitudes * others))
