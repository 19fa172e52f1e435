"""What goes wrong in a round: drawn here, applied where the loop of rounds says so.

Every draw is from the stream ``("faults", kind, round)`` of the repetition and for all K clients,
so that schemes that choose other clients meet the same faults; docs/faults.md has the models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from airtune.costs import Components, compute_time
from airtune.engines import RoundUpdates
from airtune.kinds import Integer, Mask, Real
from airtune.learning.results import ClientState
from airtune.radio.channels.base import Block
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.drives import Carriages
from airtune.radio.impairments import Impairments
from airtune.radio.movement import Movement
from airtune.radio.units import dbm_to_watt, from_db
from airtune.rounds.books import Booked, Computing
from airtune.rounds.fault_state import Adapter
from airtune.rounds.outages import Outages
from airtune.scenario import Faults, Scenario
from airtune.scenario.faults import Stragglers
from airtune.schemes import RadioRound
from airtune.streams import generator, torch_seed


@dataclass(frozen=True)
class RoundFaults:
    """What goes wrong in one round; None where that kind is off.

    Attributes
    ----------
    left_out : ndarray, bool, shape (K,), or None
        Who drops out before the upload.
    sent : ndarray, float, shape (K,), or None
        Share of the upload that each client sends; 1 is all.
    slow : ndarray, bool, shape (K,), or None
        Stragglers.
    missed : ndarray, bool, shape (K,), or None
        Who misses the broadcast.
    phases, delays : ndarray, float, shape (K,), or None
        Carrier phase [rad] and timing [symbols] of each client.
    report_factors : ndarray, float, shape (K,), or None
        Reported scales over the true ones.
    outdated : ndarray, bool, shape (K,), or None
        Whose channel the server knows as of the last round.
    jammed, restarted : bool or None
        Whether the jammer is on, and whether the round is lost and repeated.
    """

    left_out: Mask | None = None
    sent: Real | None = None
    slow: Mask | None = None
    missed: Mask | None = None
    phases: Real | None = None
    delays: Real | None = None
    report_factors: Real | None = None
    outdated: Mask | None = None
    jammed: bool | None = None
    restarted: bool | None = None

    def dropping(self, clients: Integer) -> Integer:
        """Return those of some clients that drop out before the upload."""
        return clients[:0] if self.left_out is None else clients[self.left_out[clients]]

    def cut(self, clients: Integer) -> Integer:
        """Return those of some clients whose upload breaks off."""
        return clients[:0] if self.sent is None else clients[self.sent[clients] < 1.0]


class FaultSource:
    """Draws what goes wrong, round by round.

    Parameters
    ----------
    scenario : Scenario
        Its sections ``faults``, ``clients`` and ``radio`` are read.
    seed : int
        Root of the repetition's streams.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.settings: Faults = scenario.faults
        self._scenario, self._seed = scenario, seed
        faults, count = scenario.faults, scenario.clients.count
        self._outages = {
            kind: Outages(settings, seed, kind, things)
            for kind, settings, things in (
                ("dropout", faults.dropout, count),
                ("broadcast", faults.broadcast, count),
                ("jammer", faults.jammer, 1),
            )
            if settings.share > 0
        }

    @property
    def drives(self) -> bool:
        """Whether drives miss."""
        return self.settings.antennas.drives

    @property
    def active(self) -> bool:
        """Whether anything can go wrong, by chance or on purpose."""
        poison = self.settings.poison
        return poison.active or self.settings != Faults(poison=poison)

    def of_round(self, index: int) -> RoundFaults:
        """Return what goes wrong in a round (1, 2, ...)."""
        faults = self.settings
        dropped, missed, jammed = map(self._out(index), ("dropout", "broadcast", "jammer"))
        during = faults.dropout.when == "during"
        sync, reports = faults.synchronisation, faults.side_information
        return RoundFaults(
            left_out=None if during else dropped,
            sent=self._cuts(index, dropped) if during and dropped is not None else None,
            slow=self._some("stragglers", index, faults.stragglers.share),
            missed=missed,
            phases=self._gaussian("phase", index, np.deg2rad(sync.phase_deg)),
            delays=self._delays(index, sync.timing),
            report_factors=self._factors(index, reports.share),
            outdated=self._some("csi", index, reports.csi_share),
            jammed=None if jammed is None else bool(jammed[0]),
            restarted=None
            if faults.restart.share == 0
            else bool(self._uniform("restart", index, 1)[0] < faults.restart.share),
        )

    def impairments(self, wrong: RoundFaults, clients: Integer, limits: Real) -> Impairments | None:
        """Return what goes wrong with the uploads of some clients; None if nothing can.

        Parameters
        ----------
        wrong : RoundFaults
        clients : ndarray, int, shape (S,)
        limits : ndarray, float, shape (K,)
            Power limits P_k [W].
        """
        given = (wrong.sent, wrong.phases, wrong.delays, wrong.report_factors)
        clip_db = self.settings.amplifier.clip_db
        if clip_db is None and all(one is None for one in given):
            return None
        defaults = (1.0, 0.0, 0.0, 1.0)
        sent, phases, delays, factors = (
            np.full(len(clients), default) if one is None else one[clients]
            for one, default in zip(given, defaults, strict=True)
        )
        return Impairments(limits[clients], phases, delays, sent, factors, clip_db)

    def radio(
        self, index: int, wrong: RoundFaults, of_round: Callable[[int], RadioRound]
    ) -> RadioRound:
        """Return the radio of a round with outdated channel knowledge and the jammer.

        Parameters
        ----------
        index : int
        wrong : RoundFaults
        of_round : callable
            Returns the radio of a round as it is without faults.
        """
        # the older round first: channels go on from round to round
        before = None if wrong.outdated is None else of_round(index - 1).perceived
        radio = of_round(index)
        if before is not None and wrong.outdated is not None:
            known = radio.perceived.replaced(wrong.outdated, before)
            radio = replace(radio, block=Block(radio.true, known))
        return self._jammed(radio) if wrong.jammed else radio

    def waiting(self, wrong: RoundFaults, clients: Integer, computing: Computing) -> Waiting | None:
        """Return how long the server waits for selected clients; None if nobody can be slow.

        Parameters
        ----------
        wrong : RoundFaults
        clients : ndarray, int, shape (S,)
        computing : Computing
            Of these clients, as planned.
        """
        if wrong.slow is None:
            return None
        return Waiting.of(computing, wrong.slow[clients], self.settings.stragglers)

    def carried(
        self, index: int, at: Carriages | None, old: Real, moved: Movement
    ) -> Carriages | None:
        """Return where the antennas stand after the movement of a round; None: as commanded.

        Parameters
        ----------
        index : int
        at : Carriages or None
            Before.
        old : ndarray, float, shape (N, 2)
            Commanded places before [wavelengths].
        moved : Movement
            As commanded.
        """
        if at is None:
            return None
        settings = self.settings.antennas
        errors = generator(self._seed, "faults", "drives", index).standard_normal(old.shape)
        now = at.moved(old, moved.positions, settings.backlash, settings.position_error * errors)
        return now.within(self._scenario.array.region)

    def _jammed(self, radio: RadioRound) -> RadioRound:
        settings = self.settings.jammer
        jammer = self._jammer.block(radio.round).true.interferers
        power = np.atleast_1d(dbm_to_watt(settings.power_dbm))
        budget = replace(
            radio.budget,
            interferer_powers=np.concatenate([radio.budget.interferer_powers, power]),
        )
        true, known = (one.with_interferer(jammer) for one in (radio.true, radio.perceived))
        if settings.known:
            return replace(radio, block=Block(true, known), budget=budget)
        return replace(radio, block=Block(true, radio.perceived), true_budget=budget)

    @cached_property
    def _jammer(self) -> BlockFading:
        """The jammer's paths: one station whose place is drawn once, fading as the others do."""
        radio, settings = self._scenario.radio, self.settings.jammer
        alone = radio.interferers.model_copy(update={"count": 1, "distance_m": settings.distance_m})
        return BlockFading(
            radio.model_copy(update={"interferers": alone}),
            self._scenario.clients.model_copy(update={"count": 1}),
            torch_seed(self._seed, "faults", "jammer"),
        )

    def _out(self, index: int) -> Callable[[str], Mask | None]:
        return lambda kind: self._outages[kind].at(index) if kind in self._outages else None

    def _uniform(self, kind: str, index: int, count: int | None = None) -> Real:
        size = self._scenario.clients.count if count is None else count
        return generator(self._seed, "faults", kind, index).uniform(size=size)

    def _some(self, kind: str, index: int, share: float) -> Mask | None:
        return None if share == 0 else np.asarray(self._uniform(kind, index) < share)

    def _gaussian(self, kind: str, index: int, deviation: float) -> Real | None:
        if deviation == 0:
            return None
        count = self._scenario.clients.count
        return deviation * generator(self._seed, "faults", kind, index).standard_normal(count)

    def _delays(self, index: int, deviation: float) -> Real | None:
        drawn = self._gaussian("timing", index, deviation)
        return None if drawn is None else np.clip(drawn, -1.0, 1.0)

    def _cuts(self, index: int, dropped: Mask) -> Real:
        """Return the share that is sent: uniform for who drops out."""
        return np.where(dropped, self._uniform("cut", index), 1.0)

    def _factors(self, index: int, share: float) -> Real | None:
        if share == 0:
            return None
        factor = float(np.sqrt(from_db(self.settings.side_information.factor_db)))
        drawn = generator(self._seed, "faults", "reports", index).uniform(
            size=(2, self._scenario.clients.count)
        )
        return np.where(drawn[0] < share, np.where(drawn[1] < 0.5, factor, 1.0 / factor), 1.0)


def updates_of(
    request: Callable[[Adapter, Integer], RoundUpdates],
    adapter: Adapter,
    stale: Mapping[int, Adapter],
    clients: Integer,
) -> RoundUpdates:
    """Return the updates of clients of which some work with older adapters.

    Parameters
    ----------
    request : callable
        Asks the engine for the updates of some clients at an adapter.
    adapter : ndarray, float32, shape (d,)
        The one that was broadcast.
    stale : mapping of int to ndarray, float32, shape (d,)
        Those of the clients that missed it.
    clients : ndarray, int, shape (S,)
        Ascending.
    """
    if not stale:
        return request(adapter, clients)
    groups: list[tuple[Adapter, list[int]]] = []
    for client in clients.tolist():
        held = stale.get(client, adapter)
        for one, members in groups:
            # by content: of a resumed run, what was one array in two rounds is two
            if one is held or np.array_equal(one, held):
                members.append(client)
                break
        else:
            groups.append((held, [client]))
    parts = [request(held, np.array(members)) for held, members in groups]
    whose = np.concatenate([part.clients for part in parts])
    order = np.argsort(whose, kind="stable")
    losses = [(part.loss, len(part.clients)) for part in parts if part.loss is not None]
    count = sum(size for _, size in losses)
    return RoundUpdates(
        updates=np.concatenate([part.updates for part in parts])[order],
        clients=whose[order],
        dropped=tuple(sorted(client for part in parts for client in part.dropped)),
        loss=sum(loss * size for loss, size in losses) / count if count else None,
        states={client: state for part in parts for client, state in part.states.items()},
        losses={client: loss for part in parts for client, loss in part.losses.items()},
        missing=tuple(sorted(client for part in parts for client in part.missing)),
    )


def remaining(computed: RoundUpdates, gone: Integer) -> RoundUpdates:
    """Return the updates without those of clients that do not get to send them."""
    kept = ~np.isin(computed.clients, gone)
    if kept.all():
        return computed
    return computed.of(kept)


def finished_states(computed: RoundUpdates, late: Integer) -> Mapping[int, ClientState]:
    """Return what clients remember of a round, less that of those who stopped at its deadline."""
    return {k: own for k, own in computed.states.items() if k not in late}


@dataclass(frozen=True)
class Waiting:
    """How long the server waits for those who compute.

    Attributes
    ----------
    times_s : ndarray, float, shape (S,)
        Of computing, of each selected client [s].
    planned_s : float
        Until the last would be done if nobody were slow [s].
    deadline_s : float
        When the server goes on [s]; infinite: it waits for all.
    """

    times_s: Real
    planned_s: float
    deadline_s: float

    @classmethod
    def of(cls, computing: Computing, slow: Mask, settings: Stragglers) -> Waiting:
        """Return the waiting of a round; `slow`, shape (S,), are the stragglers."""
        planned = compute_time(computing.cycles, computing.clocks)
        times = planned * np.where(slow, settings.slowdown, 1.0)
        longest = float(planned.max())
        deadline = np.inf if settings.deadline is None else settings.deadline * longest
        return cls(times, longest, deadline)

    @property
    def late(self) -> Mask:
        """Who is not done by the deadline, shape (S,)."""
        return np.asarray(self.times_s > self.deadline_s * (1 + 1e-12))

    def applied(self, computing: Computing) -> Computing:
        """Return what is computed in the time that the server waits.

        It ends with the last who is waited for, or at the deadline.  A slow client does the same
        work: its processor is shared, its energy is that of the plan; one that is left out stops at
        the deadline and has spent its part.
        """
        done = np.where(self.late, self.deadline_s / self.times_s, 1.0)
        end = min(float(self.times_s.max()), self.deadline_s)
        return replace(computing, end_s=end, done=done)


def booked_twice(booked: Booked) -> Booked:
    """Return the books of a round that was lost and done again; the antennas are there already."""
    twice: dict[str, Any] = {}
    for field in fields(booked):
        value = getattr(booked, field.name)
        if isinstance(value, Components):
            twice[field.name] = replace(2.0 * value, movement=value.movement)
        elif isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating):
            twice[field.name] = 2.0 * value
    return replace(booked, **twice)
