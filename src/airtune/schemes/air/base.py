"""The contract of an air interface: how the clients' updates become one, and what that costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from airtune.kinds import Floating, Integer, Real
from airtune.radio import links, robust, scales
from airtune.radio.access import at_once
from airtune.radio.quantisers import Quantised
from airtune.radio.quantisers.coding import Coding
from airtune.radio.units import dbm_to_watt
from airtune.radio.uplink import Uplink
from airtune.scenario import Aggregation, Digital, Radio, Scenario
from airtune.scenario.costs import CostTwin
from airtune.schemes.air.messages import Forecast, Reception, Uploads
from airtune.schemes.air.signalling import Broadcast, Overheads, Signalling
from airtune.schemes.broadcast import broadcast_rates
from airtune.schemes.link import Link
from airtune.schemes.precoding import alone


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
    twin : CostTwin or None
        Whose uploads, reports and broadcast are booked; None: those of the trained model.  Errors,
        and the bits that are chosen by them, are those of the updates themselves in any case.
    about : str
        Of the class: one line for the table of schemes.
    inexact : str
        Of the class: in words for model cards, the errors with which the mean arrives; empty where
        there are none, None where nothing is said.
    reported_scalars : int
        Of the class: numbers that each client reports about each scale group before it sends.
    remembers_entries : bool
        Of the class: whether a client's memory has a number for each entry of the update, as error
        feedback has: it follows the entries that are sent (`aggregation.payload`).
    tells_apart : bool
        Of the class: whether the server decodes every client's own update.  Such an interface
        merges them by :meth:`merged`; any other is put into :class:`airtune.schemes.air.grouped.
        Grouped` where `aggregation.groups` asks for groups.
    plans_coding : bool
        Of the class: whether :meth:`fastest` may find a coding of the updates for :meth:`coded`.
    places_set_error : bool
        Of the class: whether places set the error of the mean; else they are chosen for rates.
    broadcasts : bool
        Of the class: whether clients get the broadcast that is booked (`radio.downlink_quantizer`).
    follows_no_law : bool
        Of the class: whether the mean is made of signs that are voted on, whose progress no law in
        the MSE describes.
    books_twins : bool
        Of the class: whether :meth:`forecast` and :meth:`combine` book the entries that
        :meth:`booked_entries` returns; without it the interface is refused where there is a twin.
    wideband : bool
        Of the class itself: whether it sends over each of `Link.subbands`, the resource blocks.
    client_arrays : bool
        Of the class itself: whether it serves clients with several antennas
        (:mod:`airtune.schemes.precoding`); without it it is refused where there are some.
    sends_signs : bool
        Of the class: whether the mean that is decoded holds signs alone, of one size.
    needs_a_sum : bool
        Of the class itself: whether scales and one sum are all that it needs (`Uploads.held`).

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
    twin: CostTwin | None = field(default=None, kw_only=True)
    about: ClassVar[str]
    inexact: ClassVar[str | None] = None
    reported_scalars: ClassVar[int] = 0
    remembers_entries: ClassVar[bool] = False
    tells_apart: ClassVar[bool] = False
    plans_coding: ClassVar[bool] = False
    places_set_error: ClassVar[bool] = True
    broadcasts: ClassVar[bool] = True
    books_twins: ClassVar[bool] = False
    follows_no_law: ClassVar[bool] = False
    sends_signs: ClassVar[bool] = False
    wideband: ClassVar[bool] = False
    client_arrays: ClassVar[bool] = False
    needs_a_sum: ClassVar[bool] = False

    @classmethod
    def build(cls, scenario: Scenario) -> Self:
        """Return the interface of a scenario."""
        return cls(scenario.radio, scenario.aggregation, scenario.digital)

    def repeating(self, count: int) -> Self:
        """Return the interface with every symbol sent `count` times; itself if it repeats none."""
        return self

    def booking(self, twin: CostTwin) -> Self:
        """Return this interface with another cost twin."""
        return replace(self, twin=twin)

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
            Powers and receivers follow what is perceived, the signals go over the true air.
        backoff : float
            rho in (0, 1]: share of the power limits that is used.

        Returns
        -------
        Reception or None
            None if nobody could send: the round has no update then, and its pilots are paid.
        """

    def predicted_error(self, forecast: Forecast, uploads: Uploads, backoff: float) -> float | None:
        """Return the error of the mean that the server expects before the updates are sent.

        Parameters
        ----------
        forecast : Forecast
            Of the round, by :meth:`forecast`.
        uploads : Uploads
            Only the clients' reports of their scales are used.
        backoff : float
            rho in (0, 1].

        Returns
        -------
        float or None
            Over v^2 of the round; None where the error is no noise on the mean, so that no law
            tells what it does to the steps of a server.
        """
        return forecast.error(backoff)

    def coded(self, coding: Coding) -> Self:
        """Return the interface with a coding of the updates; by itself it has none."""
        return self

    def fastest(
        self, link: Link, omega: Real, matrix_sizes: Integer, beside_s: float
    ) -> Coding | None:
        """Return the coding with which a run is there first; None: there is nothing to choose.

        Parameters
        ----------
        link, omega, matrix_sizes
            As in :meth:`forecast`.
        beside_s : float
            What a round takes besides the upload [s].
        """
        return None

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
            Who sends pilots and reports, by default every selected client, once; and who hears the
            broadcast, by default these.
        """
        pilots = self.pilots(upload, clients, matrix_sizes, signalling)
        entries = self.booked_entries(int(matrix_sizes.sum()), int(matrix_sizes.sum()))
        rules = signalling or Signalling()
        message = rules.broadcast
        if message is None:
            listeners = clients if rules.listeners is None else rules.listeners
            message = Broadcast(listeners, rules.vectors * entries * self.radio.downlink_bits)
        downlink_s, downlink_j = self._downlink(broadcast, message)
        return replace(pilots, downlink_s=downlink_s, downlink_j=downlink_j)

    def _downlink(self, link: Link, message: Broadcast) -> tuple[float, float]:
        """Return time [s] and energy [J] of the broadcast of the adapters to its listeners."""
        power = float(dbm_to_watt(self.radio.base_station_power_dbm))
        rates = broadcast_rates(link, message.listeners, self.radio)
        downlink_s = message.bits / float(rates.min())
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
        antennas = link.radio.client_antennas  # each of them sends the client's pilots in turn
        symbols = radio.pilot_symbols_per_client * signalling.soundings * antennas
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
        some = bits > 0
        sent = links.SILENT
        if some.any():
            sent = at_once(self.uplink(link, clients[some]), bits[some])
        times, joules = np.zeros((2, len(clients)))
        times[some], joules[some] = sent.times_s, sent.energies_j
        return replace(sent, times_s=times, energies_j=joules)

    def uplink(self, link: Link, clients: Integer) -> Uplink:
        """Return the uplink of these clients for messages in bits: true air, known receivers."""
        link = alone(link, clients)
        return Uplink.over(
            [one.true.of(clients) for one in link.subbands],
            [one.perceived.of(clients) for one in link.subbands],
            link.radio.powers[clients],
            (self.radio.bandwidth_hz, self.radio.efficiency),
            self.digital.snr_gap_db,
        )

    def single_user_rates(self, link: Link, clients: Integer) -> Real:
        """Return the uplink Shannon rates of clients that send alone, shape (S,) [bit/s]."""
        uplink = self.uplink(link, clients)
        return uplink.rates(uplink.alone())

    def reported_bits(self, matrix_sizes: Integer) -> int:
        """Return the length of a client's report of its scales in full [bit]."""
        settings = self.aggregation
        groups = 1 if settings.normalise == "global" else self.booked_matrices(len(matrix_sizes))
        return scales.side_information_bits(groups, settings.scale_bits, self.reported_scalars)

    def booked_entries(self, sent: int, total: int) -> int:
        """Return for how many entries an upload or a broadcast is booked.

        Parameters
        ----------
        sent : int
            Entries that are sent.
        total : int
            Entries d of the update.

        Returns
        -------
        int
            `sent`, or with a cost twin the same share of its entries.
        """
        return sent if self.twin is None else self.twin.entries_for(sent, total)

    def booked_bits(self, sent: Quantised, count: int) -> float:
        """Return the bits that are booked for quantised entries.

        Parameters
        ----------
        sent : Quantised
        count : int
            Its adapter matrices, each with a header.
        """
        payload = float(sent.payload_bits)
        if self.twin is not None and sent.entries:
            payload = payload * self.booked_entries(sent.entries, len(sent.values)) / sent.entries
        return payload + sent.header_bits / count * self.booked_matrices(count)

    def booked_matrices(self, count: int) -> int:
        """Return for how many adapter matrices, each with a scale, an upload is booked."""
        return count if self.twin is None else len(self.twin.matrix_sizes)
