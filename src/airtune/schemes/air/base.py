"""Air interfaces: how the clients' updates become one, and what that costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from airtune.kinds import Floating, Integer, Mask, Real
from airtune.radio import links, scales
from airtune.radio.units import dbm_to_watt, noise_power
from airtune.schemes.link import Link

Memory = dict[int, Real]
"""What clients keep between rounds: rows of shape (d,), of those only that have sent."""


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
    matrix_sizes : ndarray, int, shape (B,)
        Entries of each adapter matrix.
    memory : mapping of int to ndarray, float, shape (d,)
        What the interface remembers of clients that have sent before, by index.
    """

    updates: Floating
    clients: Integer
    omega: Real
    matrix_sizes: Integer
    memory: Mapping[int, Real] = field(default_factory=dict)


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
    memory : mapping of int to ndarray, float, shape (d,)
        What to remember of the clients that have sent now.
    transmitted : ndarray, bool, shape (S,), or None
        Who has sent; None: everyone.
    noise_std : float or None
        Standard deviation of the air's noise per entry of the mean, the least of all blocks.
    exposure : float or None
        What one client adds to the mean, as a vector, over the noise per entry: the largest of all.
    """

    mean: Real
    uplink_j: Real
    uplink_s: float = 0.0
    effective_weights: Real | None = None
    mse: float | None = None
    predicted_mse: float | None = None
    memory: Memory = field(default_factory=dict)
    noise_std: float | None = None
    exposure: float | None = None
    transmitted: Mask | None = None


@dataclass(frozen=True)
class Forecast:
    """What a plan may expect of one round.

    Attributes
    ----------
    mse : float
        Squared error of the aggregate over ``v^2``, at full power.
    airtime_s : ndarray, float, shape (K,)
        How long each client uploads at full power [s].
    uplink_s : float
        What the uploads add to a round [s].
    backoff : bool
        Whether the interface can scale its powers down.
    bias : float
        The part of `mse` that does not average out: misaligned or silent clients, rounding to
        signs.  A back-off of the powers does not change it.
    """

    mse: float
    airtime_s: Real
    uplink_s: float
    backoff: bool
    bias: float = 0.0


class AirInterface(ABC):
    """Combines the updates of one round.

    Attributes
    ----------
    about : str
        One line for the table of schemes.
    reported_scalars : int
        Numbers that each client reports about each block before it sends.
    """

    about: str
    reported_scalars: ClassVar[int] = 0

    @abstractmethod
    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return what one round will cost and how exact it will be.

        `omega` has shape (K,); clients with 0 do not transmit.
        """

    @abstractmethod
    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Send the updates and decode their weighted mean; None if nobody could send."""

    def overheads(
        self, link: Link, clients: Integer, matrix_sizes: Integer, reporting: Mask | None = None
    ) -> Overheads:
        """Return pilots, reports and the broadcast that opens a round with these clients.

        `reporting`, shape (S,), tells who of them reports scales: not who stays silent, which the
        pilots decide.  None: everyone.
        """
        pilots = self.pilots(link, clients, matrix_sizes, reporting)
        radio = link.radio.scenario.radio
        bandwidth = radio.downlink_bandwidth_hz
        power = float(dbm_to_watt(radio.base_station_power_dbm))
        rate = links.downlink_rate(
            link.true.of(clients).channel,
            power,
            noise_power(radio.noise_psd_dbm_hz, bandwidth, radio.noise_figure_db),
            bandwidth,
            radio.efficiency,
            link.multicast_beamformer(clients),
        )
        downlink_s = int(matrix_sizes.sum()) * radio.downlink_bits / rate
        return Overheads(pilots.energies_j, pilots.time_s, downlink_s, power * downlink_s)

    def pilots(
        self, link: Link, clients: Integer, matrix_sizes: Integer, reporting: Mask | None = None
    ) -> links.Airtime:
        """Return the pilots and reports of these clients; `reporting` as in :meth:`overheads`."""
        radio = link.radio.scenario.radio
        powers = link.radio.powers[clients]
        pilots = links.pilot_airtime(radio.pilot_symbols_per_client, radio.bandwidth_hz, powers)
        bits = np.full(len(clients), float(self._reported_bits(link, matrix_sizes)))
        if reporting is not None:
            bits = np.where(reporting, bits, 0.0)
        reports = links.sequential_airtime(bits, single_user_rates(link, clients), powers)
        return links.Airtime(
            pilots.times_s + reports.times_s, pilots.energies_j + reports.energies_j
        )

    def _reported_bits(self, link: Link, matrix_sizes: Integer) -> int:
        settings = link.radio.scenario.aggregation
        blocks = 1 if settings.normalise == "global" else len(matrix_sizes)
        return scales.side_information_bits(blocks, settings.scale_bits, self.reported_scalars)


def squared_scale(uploads: Uploads) -> float:
    """Return ``v^2 = sum_b d_b v_b^2`` with one block a matrix, whatever the air's rule is."""
    reports = scales.report_scales(uploads.updates, uploads.matrix_sizes)
    deviations = scales.normalise_updates(reports, uploads.omega, "block").deviations
    return float(uploads.matrix_sizes @ deviations**2) or 1.0  # constant blocks have no scale


def relative_error(mean: Real, uploads: Uploads) -> float:
    """Return the squared error of a decoded mean over ``v^2``; comparable between schemes."""
    error = mean - uploads.omega @ uploads.updates.astype(np.float64)
    return float(error @ error) / squared_scale(uploads)


def single_user_rates(link: Link, clients: Integer) -> Real:
    """Return the uplink Shannon rates of clients that send alone, shape (S,) [bit/s]."""
    scenario, air = link.radio.scenario, link.true.of(clients)
    sinr = links.single_user_sinr(air.channel, air.covariance, link.radio.powers[clients])
    radio = scenario.radio
    return links.shannon_rate(
        sinr, radio.bandwidth_hz, radio.efficiency, scenario.digital.snr_gap_db
    )
