"""Air interfaces: how the clients' updates become one, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from airtune.planning.cost import over_the_air_time
from airtune.radio import digital, links, scales
from airtune.radio.kinds import Floating, Integer, Real
from airtune.radio.over_the_air import aggregate
from airtune.radio.transmission import uniform_forcing
from airtune.radio.units import dbm_to_watt, noise_power
from airtune.schemes.arrays import Link
from airtune.streams import generator


@dataclass(frozen=True)
class Uploads:
    """What the clients that transmit have to send.

    Attributes
    ----------
    updates : ndarray, float32, shape (S, d)
    clients : ndarray, int, shape (S,)
        Indices of these clients among all K.
    omega : ndarray, float, shape (S,)
        Their weights, sum 1.
    block_sizes : ndarray, int, shape (B,)
        Entries of each adapter matrix.
    memory : ndarray, float, shape (K, d), or None
        What the interface remembers of each client.
    """

    updates: Floating
    clients: Integer
    omega: Real
    block_sizes: Integer
    memory: Real | None = None


@dataclass(frozen=True)
class Overheads:
    """What a round costs besides the upload.

    Attributes
    ----------
    pilot_j : ndarray, float, shape (S,)
        Pilots and side information (reported scales) of each selected client [J].
    pilot_s : float
        Their airtime [s].
    downlink_s, downlink_j : float
        Broadcast of the adapters [s], [J].
    """

    pilot_j: Real
    pilot_s: float = 0.0
    downlink_s: float = 0.0
    downlink_j: float = 0.0


@dataclass(frozen=True)
class Reception:
    """What the server decodes, and what the air cost.

    Attributes
    ----------
    mean : ndarray, float, shape (d,)
        Decoded weighted mean of the updates.
    uplink_j : ndarray, float, shape (S,)
        Energy of each client that transmits [J].
    uplink_s : float
        Airtime [s].
    effective_weights : ndarray, float, shape (K,), or None
        nu_k as reported in this round.
    mse, predicted_mse : float or None
        Realised squared error of the aggregate over ``v^2 = sum_b d_b v_b^2``, and its
        prediction.
    memory : ndarray, float, shape (K, d), or None
    """

    mean: Real
    uplink_j: Real
    uplink_s: float = 0.0
    effective_weights: Real | None = None
    mse: float | None = None
    predicted_mse: float | None = None
    memory: Real | None = None


@dataclass(frozen=True)
class Forecast:
    """What a plan may expect of one round.

    Attributes
    ----------
    mse : float
        Error of the aggregate at full power.
    airtime_s : ndarray, float, shape (K,)
        How long each client uploads at full power [s].
    uplink_s : float
        What the uploads add to a round [s].
    backoff : bool
        Whether the interface can scale its powers down.
    """

    mse: float
    airtime_s: Real
    uplink_s: float
    backoff: bool


class AirInterface(Protocol):
    """Combines the updates of one round."""

    @property
    def about(self) -> str:
        """One line for the table of schemes."""

    def forecast(self, link: Link, omega: Real, block_sizes: Integer) -> Forecast:
        """Return what one round will cost and how exact it will be.

        `omega` has shape (K,); clients with 0 do not transmit.
        """

    def overheads(self, link: Link, clients: Integer, block_sizes: Integer) -> Overheads:
        """Return pilots, reports and downlink of a round with these clients, shape (S,)."""

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        """Send the updates and decode their weighted mean."""


@dataclass(frozen=True)
class ErrorFree:
    """The exact mean at no radio cost: the upper reference."""

    about: str = "error-free mean at no radio cost"

    def forecast(self, link: Link, omega: Real, block_sizes: Integer) -> Forecast:
        return Forecast(0.0, np.zeros(len(omega)), 0.0, backoff=False)

    def overheads(self, link: Link, clients: Integer, block_sizes: Integer) -> Overheads:
        return Overheads(np.zeros(len(clients)))

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        exact = uploads.omega @ uploads.updates.astype(np.float64)
        return Reception(exact, np.zeros(len(uploads.clients)))


@dataclass(frozen=True)
class OverTheAir:
    """Analog over-the-air computation with uniform forcing (system model, sections 4 and 5)."""

    about: str = "over-the-air computation, uniform forcing"

    def forecast(self, link: Link, omega: Real, block_sizes: Integer) -> Forecast:
        radio = link.radio.scenario.radio
        airtime = over_the_air_time(int(block_sizes.sum()), radio.bandwidth_hz, radio.efficiency)
        return Forecast(
            mse=1.0 / link.best_beamformer(omega).worst_gain,
            airtime_s=np.full(len(omega), airtime),
            uplink_s=airtime,
            backoff=True,
        )

    def overheads(self, link: Link, clients: Integer, block_sizes: Integer) -> Overheads:
        return _overheads(link, clients, block_sizes, _reported_bits(link, block_sizes))

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        scenario, radio = link.radio.scenario, link.radio.scenario.radio
        rule = scenario.aggregation.normalise
        sizes = scales.block_sizes(uploads.block_sizes.tolist(), rule)
        reports = scales.report_scales(uploads.updates, sizes)
        normalisation = scales.normalise_updates(reports, uploads.omega, rule)
        nu = np.zeros(scenario.clients.count)
        nu[uploads.clients] = normalisation.effective_weights
        transmission = uniform_forcing(
            link.perceived.of(uploads.clients).channel,
            link.best_beamformer(nu).beamformer,
            normalisation.effective_weights,
            link.radio.powers[uploads.clients],
            backoff,
        )
        received = aggregate(
            uploads.updates,
            normalisation,
            transmission,
            link.true.of(uploads.clients),
            generator(link.radio.seed, "noise", link.radio.round),
            form=scenario.aggregation.form,
        )
        airtime = over_the_air_time(normalisation.entries, radio.bandwidth_hz, radio.efficiency)
        predicted = received.predicted_mse * normalisation.total_error
        return Reception(
            mean=received.mean,
            uplink_j=received.powers * airtime,
            uplink_s=airtime,
            effective_weights=nu,
            mse=relative_error(received.mean, uploads),
            predicted_mse=predicted / squared_scale(uploads),
        )


@dataclass(frozen=True)
class DigitalTdma:
    """Quantised updates at the Shannon rate, one client after the other."""

    about: str = "quantised updates at the Shannon rate, TDMA"

    def forecast(self, link: Link, omega: Real, block_sizes: Integer) -> Forecast:
        clients, settings = np.arange(len(omega)), link.radio.scenario.digital
        bits = settings.bits * int(block_sizes.sum()) + digital.RANGE_BITS * len(block_sizes)
        sent = links.sequential_airtime(bits, _rates(link, clients), link.radio.powers)
        # A Gaussian block of n entries reaches about sqrt(2 ln n) deviations; a step of the grid
        # over that range errs by step^2 / 12.
        reach = np.sqrt(2 * np.log(np.maximum(block_sizes, 2)))
        step = 2 * reach / (2**settings.bits - 1)
        mse = float(omega @ omega) * float(block_sizes @ step**2) / (12 * float(block_sizes.sum()))
        return Forecast(mse, sent.times_s, float(sent.times_s[omega > 0].sum()), backoff=False)

    def overheads(self, link: Link, clients: Integer, block_sizes: Integer) -> Overheads:
        return _overheads(link, clients, block_sizes, 0)

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception:
        scenario, radio = link.radio.scenario, link.radio
        shape = (scenario.clients.count, uploads.updates.shape[1])
        memory = np.zeros(shape) if uploads.memory is None else uploads.memory.copy()
        mean, bits = np.zeros(shape[1]), np.zeros(len(uploads.clients))
        for i, (client, update) in enumerate(zip(uploads.clients, uploads.updates, strict=True)):
            rounding = generator(radio.seed, "quantisation", radio.round, int(client))
            quantised, memory[client] = digital.encode(
                update, memory[client], uploads.block_sizes, scenario.digital, rounding
            )
            mean += uploads.omega[i] * quantised.values
            bits[i] = quantised.bits
        sent = links.sequential_airtime(
            bits, _rates(link, uploads.clients), radio.powers[uploads.clients]
        )
        return Reception(
            mean=mean,
            uplink_j=sent.energies_j,
            uplink_s=sent.time_s,
            mse=relative_error(mean, uploads),
            memory=memory,
        )


def squared_scale(uploads: Uploads) -> float:
    """Return ``v^2 = sum_b d_b v_b^2`` with one block a matrix, whatever the air's rule is."""
    reports = scales.report_scales(uploads.updates, uploads.block_sizes)
    deviations = scales.normalise_updates(reports, uploads.omega, "block").deviations
    return float(uploads.block_sizes @ deviations**2) or 1.0  # constant blocks have no scale


def relative_error(mean: Real, uploads: Uploads) -> float:
    """Return the squared error of a decoded mean over ``v^2``; comparable between schemes."""
    error = mean - uploads.omega @ uploads.updates.astype(np.float64)
    return float(error @ error) / squared_scale(uploads)


def _reported_bits(link: Link, block_sizes: Integer) -> int:
    settings = link.radio.scenario.aggregation
    blocks = 1 if settings.normalise == "global" else len(block_sizes)
    return scales.side_information_bits(blocks, settings.scale_bits)


def _rates(link: Link, clients: Integer) -> Real:
    """Return the uplink Shannon rates of clients that send alone, shape (S,) [bit/s]."""
    scenario, air = link.radio.scenario, link.true.of(clients)
    sinr = links.single_user_sinr(air.channel, air.covariance, link.radio.powers[clients])
    radio = scenario.radio
    return links.shannon_rate(
        sinr, radio.bandwidth_hz, radio.efficiency, scenario.digital.snr_gap_db
    )


def _overheads(link: Link, clients: Integer, block_sizes: Integer, report_bits: int) -> Overheads:
    """Return pilots, reports and the broadcast of the adapters that opens the round."""
    radio = link.radio.scenario.radio
    powers = link.radio.powers[clients]
    pilots = links.pilot_airtime(radio.pilot_symbols_per_client, radio.bandwidth_hz, powers)
    reports = links.sequential_airtime(report_bits, _rates(link, clients), powers)
    bandwidth = radio.downlink_bandwidth_hz
    power = float(dbm_to_watt(radio.base_station_power_dbm))
    noise = noise_power(radio.noise_psd_dbm_hz, bandwidth, radio.noise_figure_db)
    channel = link.true.of(clients).channel
    rate = links.downlink_rate(channel, power, noise, bandwidth, radio.efficiency)
    downlink_s = int(block_sizes.sum()) * radio.downlink_bits / rate
    return Overheads(
        pilot_j=pilots.energies_j + reports.energies_j,
        pilot_s=pilots.time_s + reports.time_s,
        downlink_s=downlink_s,
        downlink_j=power * downlink_s,
    )
