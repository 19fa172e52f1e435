"""Over-the-air aggregation: all clients send at once, the antennas receive the weighted sum.

Equations of the system model, section 4.  Two forms of the same air: `scalar` draws the noise after
the beamformer (cost in proportion to K d), `waveform` builds what every antenna receives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from airtune.radio.array import channel as channel_at
from airtune.radio.array import covariance
from airtune.radio.kinds import Complex, Floating, Integer, Real
from airtune.radio.paths import Block
from airtune.radio.scales import Normalisation, pack, unpack
from airtune.radio.units import interferer_powers, receiver_noise
from airtune.scenario import Radio

Form = Literal["scalar", "waveform"]

CHUNK_SYMBOLS = 1 << 14
"""Symbols handled at once: keeps the working set small and the result independent of memory."""


@dataclass(frozen=True)
class Air:
    """The true air at the antennas' places.

    Attributes
    ----------
    channel : ndarray, complex, shape (K, N)
        h_k of the clients that transmit.
    interference : ndarray, complex, shape (J, N)
        v_j of the interferers; J may be 0.
    interference_powers : ndarray, float, shape (J,)
        q_j [W].
    noise : float
        sigma^2 [W]; 0 for noiseless air.
    """

    channel: Complex
    interference: Complex
    interference_powers: Real
    noise: float

    def of(self, clients: npt.ArrayLike) -> Air:
        """Return the same air for a selection of the clients (indices)."""
        return replace(self, channel=self.channel[np.asarray(clients, dtype=np.int64)])

    @property
    def covariance(self) -> Complex:
        """Noise-plus-interference covariance R, shape (N, N) [W]."""
        return covariance(self.interference, self.interference_powers, self.noise)


@dataclass(frozen=True)
class Transmission:
    """Receive beamformer and transmit scalars.

    Attributes
    ----------
    beamformer : ndarray, complex, shape (N,)
        w, back-off included.
    scalars : ndarray, complex, shape (K,)
        b_k [sqrt(W)]; 0 for a silent client.
    """

    beamformer: Complex
    scalars: Complex

    @property
    def powers(self) -> Real:
        """Average transmit powers ``|b_k|^2``, shape (K,) [W]."""
        return np.abs(self.scalars) ** 2


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
        ``e_k = w^H h_k b_k - nu_k`` with the true channel; 0 with perfect CSI.
    noise_mse : float
        ``w^H R w``.
    predicted_mse : float
        ``w^H R w + e^H C e``.
    realised_mse : float
        Mean over the real entries sent of their squared error over ``v_b^2 / pi_b``; its
        expectation is `predicted_mse`.  0 when nothing was sent.
    block_mse : ndarray, float, shape (B,)
        The same by block; 0 for blocks not sent.
    relative_error : float
        Squared error of the whole aggregate over ``sum_b d_b v_b^2``; comparable between rules
        of the block powers.  0 when nothing was sent.
    """

    mean: Real
    symbols: int
    powers: Real
    average_powers: Real
    misalignment: Complex
    noise_mse: float
    predicted_mse: float
    realised_mse: float
    block_mse: Real
    relative_error: float


def air_at(block: Block, positions: Real, radio: Radio) -> Air:
    """Return the air that antennas at `positions` meet in a block.

    Parameters
    ----------
    block : Block
        Paths of the round: the true ones, or the perceived ones for the planner's view.
    positions : ndarray, float, shape (N, 2)
        Antenna positions [wavelengths].
    radio : Radio
        Section ``radio`` of the scenario (noise and interferers' power).

    Returns
    -------
    Air
    """
    return Air(
        channel=channel_at(block.clients, positions),
        interference=channel_at(block.interferers, positions),
        interference_powers=interferer_powers(radio.interferers),
        noise=receiver_noise(radio),
    )


def uniform_forcing(
    channel: Complex,
    beamformer: Complex,
    effective_weights: Real,
    powers: Real,
    backoff: float = 1.0,
) -> Transmission:
    """Align all clients, ``b_k = nu_k / (w^H h_k)``, with the strongest use of the power limits.

    w is scaled (its direction stays) so that the weakest client just meets its limit,
    ``min_k P_k |w^H h_k|^2 / nu_k^2 = 1 / rho`` (system model, section 5): then ``|b_k|^2 <= rho
    P_k`` for all, and the MSE is 1/rho of the one at full power.

    Parameters
    ----------
    channel : ndarray, complex, shape (K, N)
        h_k as known to the server.
    beamformer : ndarray, complex, shape (N,)
        Direction of w.
    effective_weights : ndarray, float, shape (K,)
        nu_k; clients with 0 stay silent.
    powers : ndarray, float, shape (K,)
        Power limits P_k [W].
    backoff : float
        rho in (0, 1].

    Returns
    -------
    Transmission

    Raises
    ------
    ValueError
        If rho is outside (0, 1], or w is blind to a client that has to transmit.
    """
    if not 0.0 < backoff <= 1.0:
        raise ValueError(f"power back-off must be in (0, 1], got {backoff}")
    received = channel @ beamformer.conj()  # w^H h_k
    active = effective_weights > 0
    scalars = np.zeros(len(channel), dtype=np.complex128)
    if not active.any():
        return Transmission(beamformer, scalars)
    gains = np.sqrt(powers[active]) * np.abs(received[active]) / effective_weights[active]
    if not gains.min() > 0:
        raise ValueError("the beamformer does not hear every client: no alignment is possible")
    scale = 1.0 / (np.sqrt(backoff) * gains.min())
    scalars[active] = effective_weights[active] / (scale * received[active])
    return Transmission(scale * beamformer, scalars)


def symbol_correlation(updates: Floating, normalisation: Normalisation) -> Complex:
    """Measure the correlation C of the clients' symbols, ``C_jk = mean(x_j^* x_k)``.

    Parameters
    ----------
    updates : ndarray, float, shape (K, d_all)
        Updates.
    normalisation : Normalisation
        Their common scales.

    Returns
    -------
    ndarray, complex, shape (K, K)
        Hermitian; the diagonal is 1 (0 for silent clients).
    """
    total = np.zeros((len(updates), len(updates)), dtype=np.complex128)
    for _, _, symbols in _chunks(updates, normalisation):
        total += symbols.conj() @ symbols.T
    return 2.0 * total / max(normalisation.entries, 1)


def aggregate(
    updates: Floating,
    normalisation: Normalisation,
    transmission: Transmission,
    air: Air,
    rng: np.random.Generator,
    *,
    form: Form = "scalar",
    correlation: Complex | None = None,
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
        Correlation C of the prediction (:func:`symbol_correlation`); the identity by default.

    Returns
    -------
    Aggregate
    """
    blocks, w = normalisation, transmission.beamformer
    weights = blocks.effective_weights  # nu_k
    noise_mse = float((w.conj() @ air.covariance @ w).real)
    aligned = (air.channel @ w.conj()) * transmission.scalars  # w^H h_k b_k
    misalignment = aligned - weights
    amplitudes = np.sqrt(blocks.block_errors)  # v_b / sqrt(pi_b)
    decoded = np.repeat(blocks.means, blocks.scales.sizes)
    energies = np.zeros(len(updates))
    errors = np.zeros(len(blocks.scales.sizes))
    for entries, block, symbols in _chunks(updates, blocks):
        if form == "waveform":
            received = _antennas(symbols, transmission.scalars, air, rng)
            estimate = w.conj() @ received
        else:
            estimate = aligned @ symbols + np.sqrt(noise_mse) * _noise(symbols.shape[1:], rng)
        decoded[entries] += amplitudes[block] * unpack(estimate, len(block))
        error = unpack(estimate - weights @ symbols, len(block))
        errors += np.bincount(block, weights=error**2, minlength=len(errors))
        energies += np.sum(np.abs(symbols) ** 2, axis=1)
    C = np.eye(len(updates)) if correlation is None else correlation
    total = float(blocks.scales.sizes @ blocks.deviations**2) or 1.0  # no error without entries
    return Aggregate(
        mean=decoded,
        symbols=blocks.symbols,
        powers=transmission.powers,
        average_powers=transmission.powers * energies / max(blocks.symbols, 1),
        misalignment=misalignment,
        noise_mse=noise_mse,
        predicted_mse=noise_mse + float((misalignment.conj() @ C @ misalignment).real),
        realised_mse=float(errors.sum()) / max(blocks.entries, 1),
        block_mse=np.where(blocks.sent, errors / blocks.scales.sizes, 0.0),
        relative_error=float(errors @ blocks.block_errors) / total,
    )


def _chunks(
    updates: Floating, normalisation: Normalisation
) -> Iterator[tuple[slice | Integer, Integer, Complex]]:
    """Yield the upload piece by piece: entries, their blocks, and the symbols x_k (K, n).

    x_k packs ``sqrt(pi_b) (omega_k / nu_k) (d_kb - m_kb) / v_b`` over the blocks sent.
    """
    blocks = normalisation
    nu = blocks.effective_weights
    shares = np.where(nu > 0, blocks.weights / np.where(nu > 0, nu, 1.0), 0.0)
    factors = np.zeros(len(blocks.sent))
    factors[blocks.sent] = 1.0 / np.sqrt(blocks.block_errors[blocks.sent])  # sqrt(pi_b) / v_b
    scales = shares[:, None] * factors  # (K, B)
    block_of = np.repeat(np.arange(len(blocks.sent)), blocks.scales.sizes)
    kept = np.flatnonzero(blocks.sent[block_of])
    contiguous = len(kept) == len(block_of)
    for start in range(0, len(kept), 2 * CHUNK_SYMBOLS):
        stop = min(start + 2 * CHUNK_SYMBOLS, len(kept))
        entries = slice(start, stop) if contiguous else kept[start:stop]
        block = block_of[entries]
        centred = updates[:, entries] - blocks.scales.means[:, block]
        yield entries, block, pack(scales[:, block] * centred)


def _antennas(symbols: Complex, scalars: Complex, air: Air, rng: np.random.Generator) -> Complex:
    """Return what the antennas receive, ``y = sum_k h_k b_k x_k + z``, shape (N, n)."""
    length = symbols.shape[1]
    wanted = air.channel.T @ (scalars[:, None] * symbols)
    thermal = np.sqrt(air.noise) * _noise((air.channel.shape[1], length), rng)
    others = _noise((len(air.interference), length), rng)
    amplitudes = np.sqrt(air.interference_powers)[:, None]
    return np.asarray(wanted + thermal + air.interference.T @ (amplitudes * others))


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> Complex:
    """Return independent CN(0, 1) numbers."""
    return pack(rng.standard_normal((*shape[:-1], 2 * shape[-1])))
