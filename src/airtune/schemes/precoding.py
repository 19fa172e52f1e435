"""Links of clients with several transmit antennas: how each client weighs them.

Every client sends one stream: all its antennas the same symbol, with factors f_k of length 1 times
the scalar b_k.  With f_k fixed it is a client of one antenna, whose paths have other gains; so what
knows one antenna serves several once the factors are set, by what the server believes of the paths:

- over the air, with the beamformer w and by maximum-ratio transmission, f_k along H_k^H w
  (:func:`aligned`; system model, section 5);
- for messages of its own, along the dominant right singular vector of the whitened channel
  R^{-1/2} H_k, which gives the largest SINR ``P_k max_f f^H H_k^H R^-1 H_k f`` of a client alone on
  the air (:func:`alone`; D. Tse, P. Viswanath, "Fundamentals of Wireless Communication", 2005,
  section 8.1: the strongest eigenmode).

Both leave links of clients with one antenna as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from airtune.kinds import Complex, Integer, Real
from airtune.placement import Problem
from airtune.placement.client_arrays import ClientArrays, aim_clients
from airtune.placement.client_places import dominant
from airtune.radio.channels.base import Block, Transmitters
from airtune.radio.transmission import Air
from airtune.schemes.link import Known, Link, RadioRound
from airtune.schemes.response import Response
from airtune.streams import torch_seed


def client_arrays(radio: RadioRound, effective_weights: Real) -> ClientArrays:
    """Return the placement problem of clients with several antennas.

    Parameters
    ----------
    radio : RadioRound
    effective_weights : ndarray, float, shape (K,)
        nu_k; clients with 0 are left out.
    """
    active = np.flatnonzero(effective_weights > 0)
    block = Block(*[_each_antenna(radio, active, radio.perceived)] * 2)
    each = replace(radio, block=block, client_antennas=1)
    powers, weights = (
        np.repeat(values[active], radio.client_antennas)
        for values in (radio.powers, effective_weights)
    )
    each = replace(each, budget=replace(radio.budget, client_powers=powers))
    return ClientArrays(each.problem(weights), radio.client_antennas)


def drawn_problem(radio: RadioRound, effective_weights: Real) -> Problem:
    """Return the problem whose paths are drawn: a row for each antenna of each client."""
    if radio.client_antennas == 1:
        return radio.problem(effective_weights)
    return client_arrays(radio, effective_weights).rows


def precoded(radio: RadioRound, precoders: Complex) -> RadioRound:
    """Return a round in which clients send with these factors, shape (K, M), as one antenna would.

    Parameters
    ----------
    radio : RadioRound
    precoders : ndarray, complex, shape (K, M)
        f_k, of length 1.
    """
    true, perceived = (
        Transmitters(one.clients.precoded(precoders, radio.client_spacing), one.interferers)
        for one in (radio.true, radio.perceived)
    )
    return replace(radio, block=Block(true, perceived), client_antennas=1)


def aligned(link: Link, effective_weights: Real) -> Link:
    """Return the link on which these clients send one sum over the air, with the best beamformer.

    Parameters
    ----------
    link : Link
    effective_weights : ndarray, float, shape (K,)
        nu_k; clients with 0 do not send.
    """
    radio = link.radio
    if radio.client_antennas == 1:
        return link
    active = np.flatnonzero(effective_weights > 0)
    precoders = _first_antennas(radio)
    if not len(active):
        return replace(link, radio=precoded(radio, precoders))
    seed = torch_seed(radio.seed, "beamformer", radio.round) % 2**31
    aimed = aim_clients(client_arrays(radio, effective_weights), link.positions, seed=seed)
    precoders[active] = aimed.precoders
    known = Known(effective_weights.copy(), aimed.placement)
    return replace(link, radio=precoded(radio, precoders), known=known)


def alone(link: Link, clients: Integer) -> Link:
    """Return the link on which each of some clients (indices) sends with its strongest eigenmode.

    What others send is not looked at: where several send at once it is met, not avoided.
    """
    radio = link.radio
    if radio.client_antennas == 1:
        return link
    precoders = _first_antennas(radio)
    channels, air = matrices(link, link.perceived, clients)
    covariance = air.covariance
    whitened = np.linalg.solve(covariance, channels.reshape(-1, len(covariance)).T)
    met = whitened.T.reshape(channels.shape)
    # entry (m, m') is h_m^H R^-1 h_m', with columns h_m of H_k
    precoders[clients] = dominant(np.einsum("kmn,kln->kml", channels.conj(), met))
    return replace(link, radio=precoded(radio, precoders))


def _first_antennas(radio: RadioRound) -> Complex:
    only = np.zeros((len(radio.powers), radio.client_antennas), dtype=np.complex128)
    only[:, 0] = 1.0
    return only


def _each_antenna(radio: RadioRound, clients: Integer, of: Transmitters) -> Transmitters:
    """Return each antenna of some clients as a client."""
    some = of.clients.of(clients)
    each = some.of_each_antenna(radio.client_antennas, radio.client_spacing)
    return Transmitters(each, of.interferers)


def matrices(link: Link, response: Response, clients: Integer) -> tuple[Complex, Air]:
    """Return H_k^T of some clients, shape (S, M, N), and the air of which they are rows."""
    each = _each_antenna(link.radio, clients, response.transmitters)
    air = replace(response, transmitters=each).everybody
    antennas = link.radio.client_antennas, air.channel.shape[1]
    return air.channel.reshape(len(clients), *antennas), air
