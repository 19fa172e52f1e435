"""Majority votes by energy: no phase is known to anybody, the stronger of two resources wins.

References
----------
.. [1] A. Şahin, "Distributed learning over a wireless network with non-coherent majority vote
   computation", IEEE Transactions on Wireless Communications 22(11), 2023.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from airtune.kinds import Complex, Floating, Real
from airtune.radio.gaussian import complex_normal
from airtune.radio.impairments import Impairments, impair
from airtune.radio.transmission import Air

RESOURCES = 2
"""Resources of an entry: one for each sign."""

CHUNK_ENTRIES = 1 << 13
"""Entries handled at once."""


def level_powers(gains: Real, weights: Real, limits: Real) -> Real:
    """Return transmit powers with which the clients arrive with energies as their weights.

    ``p_k = omega_k c / beta_k`` with the largest c that all limits allow: a client has to know how
    much its signal is attenuated, not by which phase.

    Parameters
    ----------
    gains : ndarray, float, shape (S,)
        beta_k, mean power of the client's channel over the antennas.
    weights : ndarray, float, shape (S,)
        omega_k; a client with 0 is silent.
    limits : ndarray, float, shape (S,)
        P_k [W].

    Returns
    -------
    ndarray, float, shape (S,)
        [W]

    Examples
    --------
    The second client is attenuated four times as much, and sends at its limit:

    >>> level_powers(np.array([1.0, 0.25]), np.array([0.5, 0.5]), np.ones(2)).tolist()
    [0.25, 1.0]
    """
    active = weights > 0
    powers = np.zeros(len(weights))
    needed = weights[active] / gains[active]
    powers[active] = needed / np.max(needed / limits[active], initial=np.finfo(float).tiny)
    return powers


def decide(
    signs: Floating,
    powers: Real,
    air: Air,
    rng: np.random.Generator,
    *,
    times: int = 1,
    impairments: Impairments | None = None,
    known: Air | None = None,
) -> tuple[Real, Real]:
    """Send votes and compare the energies that arrive for either sign [1]_.

    Each entry has two resources.  A client sends on the one of its sign, at twice its average power
    and with a phase that is drawn anew each time; the other one it leaves empty.  The base station
    compares ``y^H R^-1 y`` of both, with R as it knows it.

    Parameters
    ----------
    signs : ndarray, float, shape (S, d)
        Positive for yes, else no.
    powers : ndarray, float, shape (S,)
        Average transmit powers p_k [W].
    air : Air
        The true channels of these clients, interference and noise.
    rng : Generator
        Of phases, noise and interference.
    times : int
        How often each vote is sent, one time after the other before the next vote; energies add
        up.
    impairments : Impairments, optional
        Amplifiers that clip and uploads that break off.  Phases do not matter, nor do timing errors
        within the guard interval, which are phases on either resource.
    known : Air, optional
        As the base station believes it to be, for R; by default as it is.

    Returns
    -------
    decision : ndarray, float, shape (d,)
        Energy for yes less energy for no.
    average_powers : ndarray, float, shape (S,)
        As realised [W].

    Examples
    --------
    Two against one, all heard equally well, in quiet air; a single no is outvoted in most draws:

    >>> air = Air(np.ones((3, 1), complex), np.zeros((0, 1), complex), np.zeros(0), noise=1e-3)
    >>> votes = np.tile([[1.0], [1.0], [-1.0]], 2000)
    >>> decision, powers = decide(votes, np.ones(3), air, np.random.default_rng(1))
    >>> bool(np.mean(decision > 0) > 0.6), powers.round(9).tolist()
    (True, [1.0, 1.0, 1.0])
    """
    decision, energies = np.zeros(signs.shape[1]), np.zeros(len(signs))
    inverse = np.linalg.inv((known or air).covariance)
    for _ in range(times):
        start = 0
        for sent, arriving in _pieces(signs, powers, rng, impairments):
            received = _antennas(np.sqrt(RESOURCES * powers)[:, None] * arriving, air, rng)
            energy = np.einsum("nm,nm->m", received.conj(), inverse @ received).real
            stop = start + len(energy) // RESOURCES
            decision[start:stop] += energy[::2] - energy[1::2]
            energies += np.sum(np.abs(sent) ** 2, axis=1)
            start = stop
    slots = RESOURCES * signs.shape[1] * times
    return decision, RESOURCES * powers * energies / max(slots, 1)


def _pieces(
    signs: Floating, powers: Real, rng: np.random.Generator, impairments: Impairments | None
) -> Iterator[tuple[Complex, Complex]]:
    """Yield what is sent and what arrives of unit symbols, shape (S, 2 n), yes before no."""

    def symbols() -> Iterable[Complex]:
        for start in range(0, signs.shape[1], CHUNK_ENTRIES):
            piece = signs[:, start : start + CHUNK_ENTRIES]
            phases = np.exp(2j * np.pi * rng.random(piece.shape))
            yes = piece > 0
            both = np.stack([np.where(yes, phases, 0.0), np.where(yes, 0.0, phases)], axis=2)
            yield both.reshape(len(piece), -1)

    if impairments is None:
        for piece in symbols():
            yield piece, piece
        return
    still = np.zeros(len(signs))
    harmless = replace(impairments, phases=still, delays=still)
    amplitudes = np.sqrt(RESOURCES * powers)
    yield from impair(symbols(), harmless, amplitudes, RESOURCES * signs.shape[1])


def _antennas(transmitted: Complex, air: Air, rng: np.random.Generator) -> Complex:
    """Return what the antennas receive, shape (N, n)."""
    length = transmitted.shape[1]
    thermal = np.sqrt(air.noise) * complex_normal((air.channel.shape[1], length), rng)
    others = complex_normal((len(air.interference), length), rng)
    amplitudes = np.sqrt(air.interference_powers)[:, None]
    others = air.interference.T @ (amplitudes * others)
    return np.asarray(air.channel.T @ transmitted + thermal + others)


def agreement(
    powers: Real, air: Air, rng: np.random.Generator, *, times: int = 1, draws: int = 4000
) -> Real:
    """Return ``E[s sigma_k]`` for the decided sign s and each client's vote, by sampling.

    The votes are fair and independent.

    Parameters
    ----------
    powers : ndarray, float, shape (S,)
        p_k [W]; 0 does not vote.
    air : Air
    rng : Generator
    times : int
        How often each vote is sent.
    draws : int
        Votes that are drawn; the standard error is at most ``1 / sqrt(draws)``.

    Returns
    -------
    ndarray, float, shape (S,)
    """
    votes = np.where(rng.random((len(powers), draws)) < 0.5, -1.0, 1.0)
    decision, _ = decide(votes, powers, air, rng, times=times)
    own = votes @ np.where(decision > 0, 1.0, -1.0) / draws
    return np.where(powers > 0, own, 0.0)
