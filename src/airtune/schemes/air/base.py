"""The contract of an air interface: how the clients' updates become one, and what that costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from airtune.kinds import Floating, Integer, Mask, Real
from airtune.radio import links, robust, scales
from airtune.radio.impairments import Impairments
from airtune.radio.units import dbm_to_watt, noise_power
from airtune.scenario import Aggregation, Digital, Radio, Scenario
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
    impairments : Impairments or None
        What goes wrong with the uploads; None: nothing.
    slot : int or None
        Which slot of the round they are sent in, where groups of clients have one each: it names
        the noise; None where all send at once.
    """

    updates: Floating
    clients: Integer
    omega: Real
    matrix_sizes: Integer
    memory: Mapping[int, Real] = field(default_factory=dict)
    impairments: Impairments | None = None
    slot: int | None = None

    def of(self, chosen: Integer, omega: Real) -> Uploads:
        """Return the uploads of some of these clients.

        Parameters
        ----------
        chosen : ndarray, int
            Indices into the S clients.
        omega : ndarray, float
            Their weights, sum 1.
        """
        return replace(
            self,
            updates=self.updates[chosen],
            clients=self.clients[chosen],
            omega=omega,
            impairments=None if self.impairments is None else self.impairments.of(chosen),
        )

    @property
    def whole(self) -> Mask:
        """Whose upload does not break off, shape (S,)."""
        if self.impairments is None:
            return np.ones(len(self.clients), dtype=np.bool_)
        return self.impairments.whole


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
        Radiated energy of each client that transmits [J].
    uplink_s : float
        Airtime [s].
    effective_weights : ndarray, float, shape (K,), or None
        nu_k as reported in this round.
    mse, predicted_mse : float or None
        Realised squared error of the aggregate over ``v^2 = sum_b d_b v_b^2``, and its
        prediction.  Under a rule of `aggregation.robust` the error is that against the same rule
        on exact updates, and there is no prediction.
    memory : mapping of int to ndarray, float, shape (d,)
        What to remember of the clients that have sent now.
    transmitted : ndarray, bool, shape (S,), or None
        Whose update is in the mean: not of those who stay silent or whose packet is lost; None:
        everyone.
    noise_std : float or None
        Standard deviation of the air's noise per entry of the mean, the least of all scale groups.
    exposure : float or None
        What one client adds to the mean, as a vector, over the noise per entry: the largest of all.
    squared_bias : float or None
        Squared distance of the mean's expectation over the noise from the weighted mean of the
        updates, from misaligned clients and wrong reports; None where it is not known.
    rule_shift : float or None
        Squared distance, over v^2, of what `aggregation.robust` makes of the exact updates (or of
        the exact means of the groups) from their weighted mean; None where no rule applies.
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
    squared_bias: float | None = None
    rule_shift: float | None = None


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


@dataclass(frozen=True)
class AirInterface(ABC):
    """Combines the updates of one round.

    An interface holds the settings that it needs and no state; what it has to remember between
    rounds goes out with `Reception.memory` and comes back with `Uploads.memory`.  :meth:`build`
    makes it from a scenario.  All energies are radiated ones; :mod:`airtune.costs` and the loop of
    rounds book them.

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
    tells_apart : bool
        Of the class: whether the server decodes every client's own update.  Such an interface
        merges them by :meth:`merged`; any other is put into :class:`airtune.schemes.air.grouped.
        Grouped` where `aggregation.groups` asks for groups.

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
    tells_apart: ClassVar[bool] = False

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

    def merged(self, values: Floating, weights: Real) -> Real:
        """Merge what the server tells apart, by `aggregation.robust`.

        Parameters
        ----------
        values : ndarray, float, shape (n, d)
            Decoded updates of the clients, or means of groups.
        weights : ndarray, float, shape (n,)
            Sum 1.

        Returns
        -------
        ndarray, float, shape (d,)
        """
        settings = self.aggregation
        return robust.merged(values, weights, settings.robust, settings.trim)

    def expected_errors(self, weights: Real, mse: Real, bias: Real) -> tuple[float, float]:
        """Return the error that clients' updates of these errors merge to, and the bias in it.

        Parameters
        ----------
        weights : ndarray, float, shape (n,)
            Sum 1.
        mse, bias : ndarray, float, shape (n,)
            As in :func:`airtune.radio.robust.expected_errors`.
        """
        settings = self.aggregation
        spreads = np.ones(len(weights))
        return robust.expected_errors(weights, spreads, mse, bias, settings.robust, settings.trim)

    def overheads(
        self,
        broadcast: Link,
        upload: Link,
        clients: Integer,
        matrix_sizes: Integer,
        reporting: Mask | None = None,
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
        reporting : ndarray, bool, shape (S,), optional
            Who of them reports scales: not who stays silent, which the pilots decide.  By default
            everyone.
        """
        pilots = self.pilots(upload, clients, matrix_sizes, reporting)
        downlink_s, downlink_j = self._downlink(broadcast, clients, int(matrix_sizes.sum()))
        return Overheads(pilots.energies_j, pilots.time_s, downlink_s, downlink_j)

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
        self, link: Link, clients: Integer, matrix_sizes: Integer, reporting: Mask | None = None
    ) -> links.Airtime:
        """Return the pilots and reports of these clients.

        Parameters
        ----------
        link : Link
            Of the upload.
        clients, matrix_sizes, reporting
            As in :meth:`overheads`.
        """
        radio, powers = self.radio, link.radio.powers[clients]
        pilots = links.pilot_airtime(radio.pilot_symbols_per_client, radio.bandwidth_hz, powers)
        bits = np.full(len(clients), float(self._reported_bits(matrix_sizes)))
        if reporting is not None:
            bits = np.where(reporting, bits, 0.0)
        reports = links.sequential_airtime(bits, self.single_user_rates(link, clients), powers)
        return links.Airtime(
            pilots.times_s + reports.times_s, pilots.energies_j + reports.energies_j
        )

    def single_user_rates(self, link: Link, clients: Integer) -> Real:
        """Return the uplink Shannon rates of clients that send alone, shape (S,) [bit/s]."""
        air = link.true.of(clients)
        sinr = links.single_user_sinr(air.channel, air.covariance, link.radio.powers[clients])
        return links.shannon_rate(
            sinr, self.radio.bandwidth_hz, self.radio.efficiency, self.digital.snr_gap_db
        )

    def _reported_bits(self, matrix_sizes: Integer) -> int:
        settings = self.aggregation
        groups = 1 if settings.normalise == "global" else len(matrix_sizes)
        return scales.side_information_bits(groups, settings.scale_bits, self.reported_scalars)
