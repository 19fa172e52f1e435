"""The contract of an air interface: how the clients' updates become one, and what that costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from airtune.kinds import Floating, Integer, Mask, Real
from airtune.radio import access, links, scales
from airtune.radio.units import dbm_to_watt, noise_power
from airtune.scenario import Aggregation, Digital, Radio, Scenario
from airtune.schemes.air.signalling import Overheads, Signalling
from airtune.schemes.link import Link

Memory = dict[int, Real]
"""What clients remember between rounds: rows of shape (d,), of those only that have sent."""


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
class Reception:
    """What the server decodes, and what the air cost.

    Attributes
    ----------
    mean : ndarray, float, shape (d,)
        Decoded weighted mean of the updates.
    uplink_j : ndarray, float, shape (S,)
        Radiated energy of each client that transmits [J].
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
        Standard deviation of the air's noise per entry of the mean, the least of all scale groups.
    exposure : float or None
        What one client adds to the mean, as a vector, over the noise per entry: the largest of all.
    sending_s : ndarray, float, shape (S,), or None
        How long each client sends [s]; None: `uplink_s`, but for those who are silent.
    report_bits : ndarray, float, shape (S,), or None
        Length of the report of each client [bit]; None: in full.
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
    sending_s: Real | None = None
    report_bits: Real | None = None

    @property
    def times_s(self) -> Real:
        """How long each client sends, shape (S,) [s]."""
        if self.sending_s is not None:
            return self.sending_s
        sends = np.ones(len(self.uplink_j)) if self.transmitted is None else self.transmitted
        return np.asarray(self.uplink_s * sends)


@dataclass(frozen=True)
class Forecast:
    """What a plan may expect of one round.

    Attributes
    ----------
    mse : float
        Squared error of the aggregate over ``v^2``, at full power.
    airtime_s : ndarray, float, shape (K,)
        Energy that each client radiates at full power, over this power [s].
    uplink_s : float
        What the uploads add to a round [s].
    backoff : bool
        Whether the interface can scale its powers down.
    bias : float
        The part of `mse` that does not average out: misaligned or silent clients, rounding to
        signs.  A back-off of the powers does not change it.
    sending_s : ndarray, float, shape (K,), or None
        How long each client sends [s], at full power or below; None: `airtime_s`.
    """

    mse: float
    airtime_s: Real
    uplink_s: float
    backoff: bool
    bias: float = 0.0
    sending_s: Real | None = None


@dataclass(frozen=True)
class AirInterface(ABC):
    """Combines the updates of one round.

    An interface holds the settings that it needs and no state; what it has to remember between
    rounds goes out with `Reception.memory` and comes back with `Uploads.memory`.  :meth:`build`
    makes it from a scenario.  All energies are radiated ones, beside them are the times in which
    each client sends: :mod:`airtune.costs` makes electrical energy of both.

    Attributes
    ----------
    radio, aggregation, digital : Radio, Aggregation, Digital
        Sections of the scenario.
    about : str
        Of the class: one line for the table of schemes.
    inexact : str
        Of the class: in words for model cards, the errors with which the mean arrives; empty where
        there are none, None where nothing is said.
    reported_scalars : int
        Of the class: numbers that each client reports about each scale group before it sends.

    Examples
    --------
    The exact mean, sent by each client in turn as 32-bit numbers:

    >>> class Uncompressed(AirInterface):
    ...     about = "32-bit entries, one client after the other"
    ...
    ...     def times(self, link, clients, entries):
    ...         return 32 * entries / self.single_user_rates(link, clients)
    ...
    ...     def forecast(self, link, omega, matrix_sizes):
    ...         times, clients = np.zeros(len(omega)), np.flatnonzero(omega > 0)
    ...         times[clients] = self.times(link, clients, matrix_sizes.sum())
    ...         return Forecast(0.0, times, float(times.sum()), backoff=False)
    ...
    ...     def combine(self, uploads, link, backoff):
    ...         times = self.times(link, uploads.clients, uploads.updates.shape[1])
    ...         joules = link.radio.powers[uploads.clients] * times
    ...         return Reception(uploads.omega @ uploads.updates, joules, float(times.sum()))
    """

    radio: Radio
    aggregation: Aggregation
    digital: Digital
    about: ClassVar[str]
    inexact: ClassVar[str | None] = None
    reported_scalars: ClassVar[int] = 0

    @classmethod
    def build(cls, scenario: Scenario) -> Self:
        """Return the interface of a scenario."""
        return cls(scenario.radio, scenario.aggregation, scenario.digital)

    @abstractmethod
    def forecast(self, link: Link, omega: Real, matrix_sizes: Integer) -> Forecast:
        """Return what one round will cost and how exact it will be.

        Parameters
        ----------
        link : Link
            The radio of the round with the antennas in place.
        omega : ndarray, float, shape (K,)
            Weights; clients with 0 do not transmit.
        matrix_sizes : ndarray, int, shape (B,)
            Entries of each adapter matrix.
        """

    @abstractmethod
    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Send the updates and decode their weighted mean.

        Parameters
        ----------
        uploads : Uploads
            Finite updates of at least one client.
        link : Link
            Powers and beamformers follow what is perceived, the signals go over the true air.
        backoff : float
            rho in (0, 1]: share of the power limits that is used.

        Returns
        -------
        Reception or None
            None if nobody could send: the round has no update then, and its pilots are paid.
        """

    def overheads(
        self,
        broadcast: Link,
        upload: Link,
        clients: Integer,
        matrix_sizes: Integer,
        signalling: Signalling | None = None,
    ) -> Overheads:
        """Return pilots, reports and the broadcast of a round.

        Parameters
        ----------
        broadcast : Link
            Of the broadcast that opens the round, with the antennas where they were when it was
            sent: at their old positions if they move while the clients compute, at the new ones
            if they move first (then it is `upload` itself).
        upload : Link
            Of pilots, reports and updates, with the antennas at the positions of the round.
        clients : ndarray, int, shape (S,)
            The clients selected for the round.
        matrix_sizes : ndarray, int, shape (B,)
            Entries of each adapter matrix.
        signalling : Signalling, optional
            Who sends pilots and reports; by default every selected client, once.
        """
        pilots = self.pilots(upload, clients, matrix_sizes, signalling)
        downlink_s, downlink_j = self._downlink(broadcast, clients, int(matrix_sizes.sum()))
        return replace(pilots, downlink_s=downlink_s, downlink_j=downlink_j)

    def _downlink(self, link: Link, clients: Integer, entries: int) -> tuple[float, float]:
        """Return time [s] and energy [J] of the broadcast of the adapters to these clients."""
        radio = self.radio
        bandwidth = radio.downlink_bandwidth_hz
        power = float(dbm_to_watt(radio.base_station_power_dbm))
        precoded = radio.downlink_precoding == "multicast"
        rate = links.downlink_rate(
            link.true.of(clients).channel,
            power,
            noise_power(radio.noise_psd_dbm_hz, bandwidth, radio.noise_figure_db),
            bandwidth,
            radio.efficiency,
            link.multicast_beamformer(clients) if precoded else None,
        )
        downlink_s = entries * radio.downlink_bits / rate
        return downlink_s, power * downlink_s

    def pilots(
        self,
        link: Link,
        clients: Integer,
        matrix_sizes: Integer,
        signalling: Signalling | None = None,
    ) -> Overheads:
        """Return pilots and reports of a round, without the broadcast.

        Pilots are sent in turn, each after the other; then come the reports.

        Parameters
        ----------
        link : Link
            Of the upload.
        clients, matrix_sizes, signalling
            As in :meth:`overheads`.
        """
        radio, signalling = self.radio, signalling or Signalling()
        senders = signalling.senders(clients)
        powers = link.radio.powers[senders]
        symbols = radio.pilot_symbols_per_client * signalling.soundings
        pilots = links.pilot_airtime(symbols, radio.bandwidth_hz, powers)
        sounded = signalling.sends_pilots(senders)
        reports = self._reports(link, clients, matrix_sizes, signalling)
        times, joules = np.zeros(len(senders)), np.zeros(len(senders))
        selected = np.isin(senders, clients)
        times[selected], joules[selected] = reports.times_s, reports.energies_j
        in_turn = pilots.times_s * sounded
        times, joules = in_turn + times, pilots.energies_j * sounded + joules
        together_s = float(in_turn.sum()) + reports.time_s
        pilot_s = together_s if reports.simultaneous else float(times.sum())
        return Overheads(
            pilot_j=joules,
            pilot_s=pilot_s + signalling.silent_symbols / radio.bandwidth_hz,
            senders=senders,
            sending_s=times,
        )

    def _reports(
        self, link: Link, clients: Integer, matrix_sizes: Integer, signalling: Signalling
    ) -> links.Airtime:
        """Return the reports of the selected clients: in turn, or all at once."""
        bits = signalling.report_bits
        if bits is None:
            bits = np.full(len(clients), float(self.reported_bits(matrix_sizes)))
        if signalling.reporting is not None:
            bits = np.where(signalling.reporting, bits, 0.0)
        powers = link.radio.powers[clients]
        if self.aggregation.scale_reports == "joint":
            return self._joint_reports(link, clients, bits)
        rates = self.single_user_rates(link, clients)
        return links.sequential_airtime(bits, rates, powers)

    def _joint_reports(self, link: Link, clients: Integer, bits: Real) -> links.Airtime:
        """Return reports that all clients with any bits send at the same time."""
        times, joules = np.zeros(len(clients)), np.zeros(len(clients))
        some = np.flatnonzero(bits > 0)
        if len(some):
            sent = access.upload(self.uplink(link, clients[some]), bits[some], "sdma")
            times[some], joules[some] = sent.times_s, sent.energies_j
        return links.Airtime(times, joules, simultaneous=True)

    def uplink(self, link: Link, clients: Integer) -> access.Uplink:
        """Return the uplink of these clients as it is, for messages in bits."""
        air = link.true.of(clients)
        return access.Uplink(
            channel=air.channel,
            covariance=air.covariance,
            powers=link.radio.powers[clients],
            bandwidth_hz=self.radio.bandwidth_hz,
            efficiency=self.radio.efficiency,
            gap_db=self.digital.snr_gap_db,
        )

    def single_user_rates(self, link: Link, clients: Integer) -> Real:
        """Return the uplink Shannon rates of clients that send alone, shape (S,) [bit/s]."""
        air = link.true.of(clients)
        sinr = links.single_user_sinr(air.channel, air.covariance, link.radio.powers[clients])
        return links.shannon_rate(
            sinr, self.radio.bandwidth_hz, self.radio.efficiency, self.digital.snr_gap_db
        )

    def reported_bits(self, matrix_sizes: Integer) -> int:
        """Return the length of a client's report of its scales in full [bit]."""
        settings = self.aggregation
        groups = 1 if settings.normalise == "global" else len(matrix_sizes)
        return scales.side_information_bits(groups, settings.scale_bits, self.reported_scalars)


def squared_scale(uploads: Uploads) -> float:
    """Return ``v^2 = sum_b d_b v_b^2`` with one group a matrix, whatever the air's rule is."""
    reports = scales.report_scales(uploads.updates, uploads.matrix_sizes)
    deviations = scales.normalise_updates(reports, uploads.omega, "block").deviations
    return float(uploads.matrix_sizes @ deviations**2) or 1.0  # constant updates have no scale


def relative_error(mean: Real, uploads: Uploads) -> float:
    """Return the squared error of a decoded mean over ``v^2``; comparable between schemes."""
    error = mean - uploads.omega @ uploads.updates.astype(np.float64)
    return float(error @ error) / squared_scale(uploads)
