"""Alignment under capped powers: the least error that any linear transceiver reaches.

Uniform forcing lets the weakest client set the scale of all.  Here a client too weak to align sends
at full power and stays misaligned, and beamformer, scale and powers together minimise
``w^H R w + e^H e`` (system model, section 5), the sum of noise and misalignment [1]_ [2]_.

References
----------
.. [1] X. Cao, G. Zhu, J. Xu, K. Huang, "Optimized power control for over-the-air computation in
   fading channels", IEEE Transactions on Wireless Communications 19(11), 2020.
.. [2] W. Liu, X. Zang, Y. Li, B. Vucetic, "Over-the-air computation systems: optimization,
   analysis and scaling laws", IEEE Transactions on Wireless Communications 19(8), 2020.
"""

from __future__ import annotations

import numpy as np

from airtune.kinds import Complex, Real
from airtune.radio.transmission import Transmission

STARTS = 24
"""Random beamformers tried besides the one given and each client's matched filter."""

_SHORTLIST = 4
_ALTERNATIONS = 20


def capped_alignment(
    channel: Complex,
    covariance: Complex,
    beamformer: Complex,
    effective_weights: Real,
    powers: Real,
    *,
    seed: int = 0,
) -> Transmission:
    """Return the beamformer and transmit scalars of least noise plus misalignment.

    For given w the best b_k turns the phase and comes as close to nu_k as the limit allows, so
    what is left to minimise is ``f(w) = w^H R w + sum_k nu_k^2 max(0, 1 - |w^H g_k|)^2`` with
    ``g_k = sqrt(P_k) h_k / nu_k``.  Many beamformers are improved by turns (the minimum over w for
    given b_k is an MMSE receiver), the best of them and `beamformer` by BFGS.  Each step can only
    lower f, so the result is never worse than uniform forcing with `beamformer`.

    Parameters
    ----------
    channel : ndarray, complex, shape (K, N)
        h_k as known to the server.
    covariance : ndarray, complex, shape (N, N)
        R [W].
    beamformer : ndarray, complex, shape (N,)
        A beamformer to start from: that of uniform forcing.
    effective_weights : ndarray, float, shape (K,)
        nu_k; clients with 0 stay silent.
    powers : ndarray, float, shape (K,)
        Power limits P_k [W].
    seed : int
        For the random starts.

    Returns
    -------
    Transmission

    Examples
    --------
    A strong and a very weak client at one antenna.  Forcing both to arrive alike costs much noise;
    letting the weak one arrive too faint costs a quarter, the square of its weight:

    >>> from airtune.radio.transmission import uniform_forcing
    >>> channel, nu, limits = np.array([[1.0 + 0j], [0.01 + 0j]]), np.full(2, 0.5), np.ones(2)
    >>> forced = uniform_forcing(channel, np.ones(1, complex), nu, limits)
    >>> capped = capped_alignment(channel, 0.01 * np.eye(1), forced.beamformer, nu, limits)
    >>> for sent in (forced, capped):
    ...     noise = 0.01 * float(np.abs(sent.beamformer[0]) ** 2)  # w^H R w
    ...     missing = float(np.sum(np.abs(misalignment(channel, sent, nu)) ** 2))
    ...     print(f"{noise:.3f} {missing:.3f}")
    25.000 0.000
    0.002 0.245
    """
    active = effective_weights > 0
    if not active.any():
        return Transmission(beamformer, np.zeros(len(channel), dtype=np.complex128))
    nu = effective_weights[active]
    whitener = _whitener(covariance)
    # unit noise, and a unit for w in which a typical client is received with 1
    g = (np.sqrt(powers[active]) / nu)[:, None] * np.einsum(
        "kn,nm->km", channel[active], whitener.conj()
    )
    size = np.sqrt(np.mean(np.sum(np.abs(g) ** 2, axis=1)))
    g, noise = g / size, 1.0 / size**2
    rng = np.random.default_rng(seed)
    mixes = np.exp(2j * np.pi * rng.uniform(size=(STARTS, len(g))))
    mixes = mixes / np.sqrt(np.sum(np.abs(g) ** 2, axis=1))
    given = _unwhiten(whitener, beamformer)
    starts = np.concatenate([given[None], g, np.einsum("sk,kn->sn", mixes, g)])
    starts = _scaled(starts, g, nu, noise)
    improved = starts
    for _ in range(_ALTERNATIONS):
        improved = _scaled(_receivers(improved, g, nu, noise), g, nu, noise)
    values = _error(improved, g, nu, noise)
    shortlist = [starts[0], *improved[np.argsort(values, kind="stable")[:_SHORTLIST]]]
    ends = np.array([_descend(u, g, nu, noise) for u in shortlist])
    ends = _scaled(ends, g, nu, noise)
    best = ends[np.argmin(_error(ends, g, nu, noise))]
    w = np.einsum("nm,m->n", whitener, best) / size
    return Transmission(w, _capped_scalars(channel, w, effective_weights, powers))


def misalignment(channel: Complex, transmission: Transmission, effective_weights: Real) -> Complex:
    """Return ``e_k = w^H h_k b_k - nu_k``, shape (K,)."""
    received = (channel @ transmission.beamformer.conj()) * transmission.scalars
    return np.asarray(received - effective_weights)


def best_scale(gains: Real, effective_weights: Real, noise: float) -> float:
    """Return the a that minimises ``a^2 noise + sum_k nu_k^2 max(0, 1 - a gain_k)^2`` [1]_.

    The weakest l clients are capped; then ``a = sum_l nu^2 gain / (noise + sum_l nu^2 gain^2)``.
    The function is convex and its minimum is the best of these K values.

    Parameters
    ----------
    gains : ndarray, float, shape (K,)
        ``|w^H g_k|`` for the direction at hand.
    effective_weights : ndarray, float, shape (K,)
        nu_k.
    noise : float
        ``w^H R w``.
    """
    order = np.argsort(gains, kind="stable")
    a, square = gains[order], effective_weights[order] ** 2
    scales = np.cumsum(square * a) / (noise + np.cumsum(square * a**2))
    missing = np.maximum(0.0, 1.0 - scales[:, None] * a)
    return float(scales[np.argmin(scales**2 * noise + missing**2 @ square)])


def _capped_scalars(channel: Complex, w: Complex, nu: Real, powers: Real) -> Complex:
    """Return b_k: the phase of w^H h_k undone, the modulus nu_k / |w^H h_k| or the limit."""
    received = np.sum(channel * w.conj(), axis=1)
    modulus = np.maximum(np.abs(received), 1e-300)
    moduli = np.minimum(np.sqrt(powers), nu / modulus)
    return np.asarray(moduli * received.conj() / modulus)


def _error(u: Complex, g: Complex, nu: Real, noise: float) -> Real:
    """Return f of every row of u, shape (S,)."""
    missing = np.maximum(0.0, 1.0 - np.abs(_received(u, g)))
    return np.asarray(noise * np.sum(np.abs(u) ** 2, axis=1) + np.sum(nu**2 * missing**2, axis=1))


def _received(u: Complex, g: Complex) -> Complex:
    """Return u_s^H g_k, shape (S, K); sums without BLAS, whose rounding is not repeatable."""
    return np.asarray(np.einsum("sn,kn->sk", u.conj(), g))


def _scaled(u: Complex, g: Complex, nu: Real, noise: float) -> Complex:
    """Return each row of u at its best scale."""
    sizes = noise * np.sum(np.abs(u) ** 2, axis=1)
    gains = np.abs(_received(u, g))
    factors = [best_scale(a, nu, n) for a, n in zip(gains, sizes, strict=True)]
    return np.asarray(np.array(factors)[:, None] * u)


def _receivers(u: Complex, g: Complex, nu: Real, noise: float) -> Complex:
    """Return the MMSE receivers for the best powers of each row of u, shape (S, N)."""
    received = _received(u, g)
    moduli = np.maximum(np.abs(received), 1e-300)
    b = np.minimum(1.0, 1.0 / moduli) * received.conj() / moduli
    sent = b[:, :, None] * g  # (S, K, N)
    A = np.einsum("k,skn,skm->snm", nu**2, sent, sent.conj())
    A = A + noise * np.eye(g.shape[1])
    x = np.einsum("k,skn->sn", nu**2, sent)
    for n in range(g.shape[1]):  # elimination, all rows at once
        scale = 1.0 / A[:, n, n].real
        A[:, n], x[:, n] = A[:, n] * scale[:, None], x[:, n] * scale
        factor = A[:, :, n].copy()
        factor[:, n] = 0.0
        A = A - factor[:, :, None] * A[:, None, n]
        x = x - factor * x[:, None, n]
    return np.asarray(x)


def _descend(u: Complex, g: Complex, nu: Real, noise: float) -> Complex:
    """Return the end of a BFGS descent of f from u, never above it."""
    from scipy.optimize import minimize

    size = len(u)

    def loss(z: Real) -> tuple[float, Real]:
        v = z[:size] + 1j * z[size:]
        received = np.sum(g * v.conj(), axis=1)
        moduli = np.maximum(np.abs(received), 1e-300)
        missing = nu**2 * np.maximum(0.0, 1.0 - moduli)
        value = noise * float(z @ z) + float(np.sum(missing * np.maximum(0.0, 1.0 - moduli)))
        slope = 2.0 * noise * v - 2.0 * np.sum((missing / moduli * received.conj())[:, None] * g, 0)
        return value, np.concatenate([slope.real, slope.imag])

    start = np.concatenate([u.real, u.imag])
    optimum = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    end = optimum.x if optimum.fun < loss(start)[0] else start
    return np.asarray(end[:size] + 1j * end[size:])


def _whitener(covariance: Complex) -> Complex:
    """Return T with ``T^H R T = I`` by Gram-Schmidt, shape (N, N)."""
    T = np.zeros(covariance.shape, dtype=np.complex128)
    for n in range(len(covariance)):
        t = np.zeros(len(covariance), dtype=np.complex128)
        t[n] = 1.0
        for _ in range(2):  # twice is enough
            for m in range(n):
                t = t - np.sum(T[:, m].conj() * np.sum(covariance * t, axis=1)) * T[:, m]
        T[:, n] = t / np.sqrt(np.sum(t.conj() * np.sum(covariance * t, axis=1)).real)
    return T


def _unwhiten(whitener: Complex, w: Complex) -> Complex:
    """Return u with ``T u = w``; T is upper triangular."""
    u = np.zeros_like(w)
    for n in range(len(w) - 1, -1, -1):
        u[n] = (w[n] - np.sum(whitener[n, n + 1 :] * u[n + 1 :])) / whitener[n, n]
    return u
