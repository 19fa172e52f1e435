"""What a round's line of metrics keeps to be drawn: the antennas, and each client's figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio import links
from airtune.radio.gain_map import as_levels, places_along, weakest_gain_db
from airtune.rounds.metrics import RoundOutcome
from airtune.rounds.state import State
from airtune.schemes import ArrayPolicy, Link
from airtune.schemes.precoding import alone, drawn_problem

DIGITS = 4
"""Significant digits of clients' figures, and decimals of positions [wavelengths]."""

MOST_CLIENTS = 100
"""Figures of single clients are kept of rounds that select so many at most; 4 kB a line."""


def kept_metrics(
    outcome: RoundOutcome,
    array: ArrayPolicy,
    link: Link,
    state: State,
    before: Real,
    senders: Integer,
    joules: Real,
) -> dict[str, Any]:
    """Return what a round's line of metrics keeps to be drawn.

    A round of more than :data:`MOST_CLIENTS` clients keeps no figures of single clients.

    Parameters
    ----------
    outcome : RoundOutcome
    array : ArrayPolicy
    link : Link
        Of the upload; an array without receivers has no radio to tell of.
    state : State
        After the round.
    before : ndarray, float, shape (N, 2)
        Where the antennas were in the round before [wavelengths].
    senders : ndarray, int, shape (S',)
        Clients that got to send.
    joules : ndarray, float, shape (K,)
        Energy of every client in this round [J].
    """
    clients, losses, received = outcome.choice.clients, outcome.computed.losses, outcome.received
    few = len(clients) <= MOST_CLIENTS
    if not array.front_end.chains:
        return {"per_client": client_metrics(clients, joules, losses)} if few else {}
    kept = array_metrics(array, link, state.round, before, state.effective_weights)
    if not few:
        return kept
    aligned = None if received is None else received.alignment
    alignment = None if aligned is None else dict(zip(senders.tolist(), aligned, strict=True))
    return {**kept, "per_client": client_metrics(clients, joules, losses, link, alignment)}


def array_metrics(
    array: ArrayPolicy, link: Link, index: int, before: Real, weights: Real
) -> dict[str, Any]:
    """Return the places of the antennas where they have moved, and the gain map of a moving array.

    Parameters
    ----------
    array : ArrayPolicy
    link : Link
        Of the upload.
    index : int
        Number of the round, from 1.
    before : ndarray, float, shape (N, 2)
        Where the antennas were in the round before [wavelengths].
    weights : ndarray, float, shape (K,)
        nu_k of the round.
    """
    line: dict[str, Any] = {}
    if index == 1 or not np.array_equal(before, link.positions):
        line["positions"] = np.round(link.positions, DIGITS).tolist()
    if array.moves and np.any(weights > 0):
        line["gain_map"] = gain_map(link, weights)
    return line


def gain_map(link: Link, weights: Real) -> dict[str, Any]:
    """Return the weakest client's gain over the region, one byte a point.

    Parameters
    ----------
    link : Link
    weights : ndarray, float, shape (K,)
        nu_k; clients with 0 do not count.

    Returns
    -------
    dict
        As :class:`airtune.record.round_documents.GainMap` has it.
    """
    radio = link.middle.radio
    problem = drawn_problem(radio, weights)
    x, y = (places_along(float(side)) for side in problem.region)
    level = weakest_gain_db(
        (np.sqrt(problem.powers) / problem.weights)[:, None] * problem.gains,
        problem.directions,
        np.sqrt(problem.interferer_powers)[:, None] * problem.interferer_gains,
        problem.interferer_directions,
        problem.noise,
        x,
        y,
        client_antennas=radio.client_antennas,
    )
    return as_levels(level)


def client_metrics(
    clients: Integer,
    joules: Real,
    losses: dict[int, float],
    link: Link | None = None,
    alignment: dict[int, float] | None = None,
) -> dict[str, Any]:
    """Return the figures of the selected clients, in columns.

    Parameters
    ----------
    clients : ndarray, int, shape (S,)
        The selected clients.
    joules : ndarray, float, shape (K,)
        Energy of every client in this round [J].
    losses : dict of int to float
        Training losses by client; of some or none.
    link : Link, optional
        Of the upload; None where there is no radio.
    alignment : dict of int to float, optional
        By client, as :class:`airtune.schemes.Reception` has it.

    Examples
    --------
    >>> client_metrics(np.array([0, 2]), np.array([0.1, 0.0, 0.123456]), {2: 1.5})
    {'clients': [0, 2], 'energy_j': [0.1, 0.1235], 'loss': [None, 1.5]}
    """
    chosen = clients.tolist()
    columns: dict[str, Any] = {"clients": chosen, "energy_j": _short(joules[clients])}
    if losses:
        columns["loss"] = _short(losses.get(client, np.nan) for client in chosen)
    if link is None:
        return columns
    airs = [one.true.of(clients) for one in alone(link, clients).subbands]
    powers = (link.radio.true_budget or link.radio.budget).client_powers[clients]
    gains = [np.mean(np.abs(air.channel) ** 2, axis=1) for air in airs]
    ratios = [links.single_user_sinr(air.channel, air.covariance, powers) for air in airs]
    columns["gain_db"] = _decibels(np.mean(gains, axis=0))
    columns["snr_db"] = _decibels(np.mean(ratios, axis=0))
    if alignment is not None:
        columns["alignment"] = _short(alignment.get(client, np.nan) for client in chosen)
    return columns


def _decibels(ratios: Real) -> list[float | None]:
    """Return ratios in dB with two decimals; None for what is not positive and finite."""
    return [
        round(10.0 * float(np.log10(x)), 2) if 0 < x < np.inf else None for x in ratios.tolist()
    ]


def _short(values: Iterable[float] | Real) -> list[float | None]:
    """Return numbers with few digits; None for what is not finite."""
    return [float(f"{x:.{DIGITS}g}") if np.isfinite(x) else None for x in map(float, values)]
