"""Channels that are measured where the antennas stand, and the paths that agree with them.

The paths that a server believes in are wrong by the errors of angles and gains; what decides about
a beamformer is the channel at N places, which pilots tell directly.  Both are put together: the
paths are a Gaussian prior about what is believed, the measurement is linear in the channel at the
antennas, and the most probable paths are those of least squares (Gauss-Newton) [1]_.  They agree
with the measurement where the antennas stand and say what is to be expected nearby.

Interference is measured in silent symbols: the sample covariance, of which as many parts as there
are interferers stand out from the noise, which is known [2]_.  A covariance tells its factors up to
a rotation only; the one nearest to what is believed is taken (orthogonal Procrustes problem [3]_).

References
----------
.. [1] S. M. Kay, "Fundamentals of Statistical Signal Processing: Estimation Theory", chapters 8
   and 12, 1993.
.. [2] M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", Journal of the
   Royal Statistical Society B 61(3), 1999: the likelihood's maximum for a given number of factors.
.. [3] P. H. Schoenemann, "A generalized solution of the orthogonal Procrustes problem",
   Psychometrika 31, 1966.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import block_diag

from airtune.kinds import Complex, Real
from airtune.radio.array import channel, covariance, response
from airtune.radio.channels.base import Paths, Transmitters
from airtune.radio.gaussian import complex_normal
from airtune.radio.transmission import Air
from airtune.scenario import Csi

STEPS = 3
"""Gauss-Newton steps: errors of a few per cent and parts of a degree are nearly linear."""


@dataclass(frozen=True)
class Sounding:
    """How often each thing is measured.

    Attributes
    ----------
    pilots : int
        Pilot symbols of each client, at least 1.
    silent : int
        Symbols in which nobody of the cell sends; 0: interference is not measured.
    chains : int or None
        Antennas that are heard at the same time; the others are heard in further turns, each with
        pilots and silent symbols of its own.  None, the default: all at once.
    """

    pilots: int
    silent: int
    chains: int | None = None


@dataclass(frozen=True)
class Measurement:
    """Channels as measured, and how well.

    Attributes
    ----------
    clients : ndarray, complex, shape (K, N)
        h_k with the error of its pilots.
    client_errors : ndarray, float, shape (K,)
        Their error covariances are these times `covariance`: ``1 / (P_k tau)``.
    covariance : ndarray, complex, shape (N, N)
        R as measured [W]; 0 between antennas that were not heard at the same time.
    interference : ndarray, complex, shape (J, N), or None
        v_j as measured; None where interference was not.
    interference_errors : ndarray, float, shape (J,)
        Their error covariances are these times `covariance`: ``1 / (q_j n)``.
    """

    clients: Complex
    client_errors: Real
    covariance: Complex
    interference: Complex | None
    interference_errors: Real


def measure(
    air: Air, believed: Air, powers: Real, sounding: Sounding, rng: np.random.Generator
) -> Measurement:
    """Measure the channels of the true air.

    Parameters
    ----------
    air : Air
        As it is, of all K clients.
    believed : Air
        As the server believes it; its noise and its powers of the interferers are used, and its
        interference to tell who is who.
    powers : ndarray, float, shape (K,)
        Transmit powers P_k of the pilots [W].
    sounding : Sounding
    rng : Generator
        Source of noise and interference.
    """
    antennas = air.channel.shape[1]
    chains = sounding.chains or antennas
    turns = []
    for first in range(0, antennas, chains):
        heard = slice(first, first + chains)
        turns.append(_turn(air.heard_by(heard), believed.heard_by(heard), powers, sounding, rng))
    return turns[0] if len(turns) == 1 else _together(turns)


def _together(turns: Sequence[Measurement]) -> Measurement:
    """Put the measurements of all turns together; between turns noise and interference differ."""
    vectors = [turn.interference for turn in turns if turn.interference is not None]
    return replace(
        turns[0],
        clients=np.concatenate([turn.clients for turn in turns], axis=1),
        covariance=block_diag(*(turn.covariance for turn in turns)),
        interference=np.concatenate(vectors, axis=1) if vectors else None,
    )


def _turn(
    air: Air, believed: Air, powers: Real, sounding: Sounding, rng: np.random.Generator
) -> Measurement:
    """Measure the channels at antennas that are heard at the same time."""
    factor = np.linalg.cholesky(air.covariance)
    errors = 1.0 / (powers * sounding.pilots)
    noise = complex_normal(air.channel.shape, rng) @ factor.T
    clients = air.channel + np.sqrt(errors)[:, None] * noise
    count, strengths = len(believed.interference), np.sqrt(believed.interference_powers)
    if sounding.silent == 0 or count == 0:
        return Measurement(clients, errors, believed.covariance, None, np.zeros(count))
    heard = factor @ complex_normal((len(factor), sounding.silent), rng)
    sample = heard @ heard.conj().T / sounding.silent
    found = _factors(sample, believed.noise, (strengths[:, None] * believed.interference).T)
    measured = covariance(found.T, np.ones(count), believed.noise)
    with np.errstate(divide="ignore", invalid="ignore"):
        vectors = np.where(strengths[:, None] > 0, found.T / strengths[:, None], 0.0)
        spread = np.where(strengths > 0, 1.0 / (strengths**2 * sounding.silent), np.inf)
    return Measurement(clients, errors, measured, vectors, spread)


def _factors(sample: Complex, noise: float, believed: Complex) -> Complex:
    """Return V (N, J) with ``V V^H`` the interference in a sample covariance, nearest to belief."""
    values, vectors = np.linalg.eigh(sample)
    rank = min(believed.shape)
    strong = np.sqrt(np.maximum(values[::-1][:rank] - noise, 0.0))
    parts = vectors[:, ::-1][:, :rank] * strong
    left, _, right = np.linalg.svd(parts.conj().T @ believed, full_matrices=False)
    return np.asarray(parts @ (left @ right))


def updated(
    believed: Transmitters, positions: Real, measurement: Measurement, csi: Csi
) -> Transmitters:
    """Return the most probable paths after a measurement at `positions`.

    Parameters
    ----------
    believed : Transmitters
        Before it.
    positions : ndarray, float, shape (N, 2)
        Where the antennas stand [wavelengths].
    measurement : Measurement
    csi : Csi
        Section ``radio.csi`` of the scenario: how wrong beliefs are.

    Examples
    --------
    A path whose gain is believed 10 % too large, measured without noise:

    >>> paths = Paths(np.array([[1.1 + 0j]]), np.zeros((1, 1, 2)), np.zeros((1, 1)))
    >>> known = Transmitters(paths, paths.of(np.arange(0)))
    >>> told = Measurement(np.ones((1, 2)), np.array([1e-9]), np.eye(2), None, np.zeros(0))
    >>> csi = Csi(gain_error=0.1)
    >>> after = updated(known, np.array([[0.0, 0.0], [0.5, 0.0]]), told, csi)
    >>> after.clients.gains.round(4).tolist()
    [[(1+0j)]]
    """
    factor = np.linalg.cholesky(measurement.covariance)
    whitener: Complex = np.linalg.inv(factor).astype(np.complex128)
    clients = fitted(
        believed.clients, positions, measurement.clients, (whitener, measurement.client_errors), csi
    )
    others = believed.interferers
    if measurement.interference is not None:
        heard = (whitener, measurement.interference_errors)
        others = fitted(others, positions, measurement.interference, heard, csi)
    return Transmitters(clients, others)


def fitted(
    paths: Paths, positions: Real, wanted: Complex, noise: tuple[Complex, Real], csi: Csi
) -> Paths:
    """Return the paths of the largest posterior density; `noise`: whitener and relative errors."""
    wrong = deviations(paths, csi)
    if not wrong.any() or not len(wanted):
        return paths
    whitener, errors = noise
    scale = 1.0 / np.sqrt(errors)[:, None]  # 0 for who was not measured
    steps, current = np.zeros(wrong.shape), paths
    for _ in range(STEPS):
        turned = wrong[:, :, None] * slopes(current, positions)  # (K, 4 L, N)
        G = real(scale[:, :, None] * (turned @ whitener.T))
        missing = real(scale * ((wanted - channel(current, positions)) @ whitener.T))
        missing = missing + np.einsum("kpm,kp->km", G, steps)
        gram = np.einsum("kpm,kpn->kmn", G, G) + np.eye(G.shape[2])
        steps = np.einsum("kpm,km->kp", G, np.linalg.solve(gram, missing[:, :, None])[:, :, 0])
        current = stepped(paths, wrong * steps)
    return current


def deviations(paths: Paths, csi: Csi) -> Real:
    """Return how wrong each number may be, shape (K, 4 L): Re, Im of the gains, u_x, u_y."""
    sizes = np.abs(paths.gains)
    gains = sizes * csi.gain_error / np.sqrt(2.0)
    angles = np.where(sizes > 0, np.deg2rad(csi.angle_error_deg), 0.0)
    return np.concatenate([gains, gains, angles, angles], axis=1)


def slopes(paths: Paths, positions: Real) -> Complex:
    """Return the derivatives of the channel by the numbers of `deviations`, (K, 4 L, N)."""
    waves = response(paths, positions)
    turned = 2j * np.pi * paths.gains[:, :, None] * waves
    if paths.distances is not None:  # a spherical wave turns less where it comes from nearby
        bend, square = 1.0 / paths.distances[..., None], (positions**2).sum(axis=-1)
        stretch = np.sqrt(1.0 - 2.0 * bend * (paths.directions @ positions.T) + bend**2 * square)
        turned = turned * (1.0 / stretch + bend / (2j * np.pi * stretch**2))
    x, y = positions.T
    return np.concatenate([waves, 1j * waves, turned * x, turned * y], axis=1)


def real(values: Complex) -> Real:
    """Return real and imaginary parts side by side along the last axis."""
    return np.concatenate([values.real, values.imag], axis=-1)


def stepped(paths: Paths, changes: Real) -> Paths:
    """Return paths with changes (K, 4 L) added; directions stay on the half sphere."""
    real, imaginary, x, y = np.split(changes, 4, axis=1)
    directions = paths.directions + np.stack([x, y], axis=-1)
    length = np.linalg.norm(directions, axis=-1, keepdims=True)
    return replace(
        paths,
        gains=paths.gains + real + 1j * imaginary,
        directions=directions / np.maximum(1.0, length),
    )
