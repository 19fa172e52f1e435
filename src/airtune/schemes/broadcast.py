"""The rates of the broadcast, by what clients receive with one antenna or several."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from airtune.kinds import Complex, Integer, Real
from airtune.placement.client_arrays import aim_clients
from airtune.radio import links
from airtune.radio.units import dbm_to_watt, noise_power
from airtune.scenario import Radio
from airtune.schemes.link import Link
from airtune.schemes.precoding import client_arrays, matrices
from airtune.streams import torch_seed


def broadcast_rates(link: Link, listeners: Integer, radio: Radio) -> Real:
    """Return the rates at which clients can decode the broadcast, the mean over resource blocks.

    A client with several antennas weighs what they receive by their channels (maximum-ratio
    combining).

    Parameters
    ----------
    link : Link
    listeners : ndarray, int, shape (S,)
    radio : Radio
        Section ``radio`` of the scenario.

    Returns
    -------
    ndarray, float, shape (S,)  [bit/s]
    """
    bandwidth = radio.downlink_bandwidth_hz
    power = float(dbm_to_watt(radio.base_station_power_dbm))
    precoded = radio.downlink_precoding == "multicast"
    rates = [
        links.downlink_rates(
            _channels(one, listeners),
            power,
            noise_power(radio.noise_psd_dbm_hz, bandwidth, radio.noise_figure_db),
            bandwidth,
            radio.efficiency,
            _beamformer(one, listeners) if precoded else None,
        )
        for one in link.over(bandwidth)
    ]
    return np.asarray(np.mean(rates, axis=0))


def _channels(link: Link, clients: Integer) -> Complex:
    """Return the true channels of some clients (indices), shape (S, N) or (S, M, N)."""
    if link.radio.client_antennas == 1:
        return link.true.of(clients).channel
    return matrices(link, link.true, clients)[0]


def _beamformer(link: Link, clients: Integer) -> Complex | None:
    """Return :meth:`Link.multicast_beamformer`, for clients that combine what they receive."""
    radio = link.radio
    if radio.client_antennas == 1:
        return link.multicast_beamformer(clients)
    chosen = np.zeros(len(radio.powers))
    chosen[clients] = 1.0
    problem = client_arrays(radio, chosen)
    rows = problem.rows
    quiet = replace(
        rows,
        powers=np.ones_like(rows.powers),
        noise=1.0,
        interferer_gains=rows.interferer_gains[:0],
        interferer_directions=rows.interferer_directions[:0],
        interferer_powers=rows.interferer_powers[:0],
    )
    seed = torch_seed(radio.seed, "multicast", radio.round) % 2**31
    best = aim_clients(replace(problem, rows=quiet), link.positions, seed=seed).placement
    channels, _ = matrices(link, link.perceived, clients)
    spread = np.sum(np.abs(channels) ** 2, axis=(1, 2)) / channels.shape[2]
    return best.beamformer if best.worst_gain > spread.min() else None
