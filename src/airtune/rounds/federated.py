"""The federated loop: rounds of one scheme for one seed (system model, section 1)."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from airtune.bound.faults import staleness_bias
from airtune.costs import Components
from airtune.engines import Engine, RoundUpdates
from airtune.learning.results import Evaluation
from airtune.planning import budgets
from airtune.planning.aggregation import exact_of
from airtune.planning.alternate import JointPlan
from airtune.planning.plans import with_plan
from airtune.planning.repetition import Repetition
from airtune.planning.replan import CurrentPlan
from airtune.planning.result import Plan
from airtune.radio.drives import Carriages
from airtune.radio.impairments import Impairments
from airtune.registry import POLICIES, SERVER_OPTIMIZERS
from airtune.rounds import anomaly, faults, places, rates, scores
from airtune.rounds.books import Computing, Electronics, book_round
from airtune.rounds.broadcast import broadcast
from airtune.rounds.client_metrics import kept_metrics
from airtune.rounds.fault_metrics import FaultOutcome, fault_metrics
from airtune.rounds.fault_state import FaultState
from airtune.rounds.metrics import Metrics, RoundOutcome, outcome_metrics, progress_metrics
from airtune.rounds.places import Standing
from airtune.rounds.poisoning import Poisoning
from airtune.rounds.senders import (
    averages,
    check_updates,
    misalignment,
    report_bits,
    scaled_weights,
    who_reports,
    who_transmitted,
)
from airtune.rounds.sending import Sending
from airtune.rounds.state import State
from airtune.scheduling import Candidates, Choice, Policy, choose
from airtune.schemes import AirInterface, BuiltScheme, Forecast, Link, RadioRound, Uploads


class FederatedRun:
    """One scheme's rounds for one seed.

    Nothing here reads or writes files: see :mod:`airtune.rounds.cell_io`.

    Parameters
    ----------
    repetition : Repetition
        Clients, channel and costs of the seed.
    scheme : str
        Name of the scheme.
    engine : Engine
        Started with the same scenario and seed; computes updates and evaluates adapters.
    plan : JointPlan, optional
        Made for this repetition; planned here by default.

    Attributes
    ----------
    state : State
        All that changes from round to round.
    current : CurrentPlan
        The plan that the rounds follow now.
    """

    def __init__(
        self, repetition: Repetition, scheme: str, engine: Engine, plan: JointPlan | None = None
    ) -> None:
        repetition, joint = with_plan(repetition, scheme, plan)
        scenario = repetition.scenario
        self.scenario, self.seed = scenario, repetition.seed
        self.repetition, self.engine = repetition, engine
        self.scheme_name = repetition.scheme(scheme).name
        self.policy: Policy = POLICIES[scenario.clients.selection]
        self.sending = Sending.of(
            repetition,
            SERVER_OPTIMIZERS[scenario.training.server_optimizer],
            scenario.training.of(scheme),
            exact_of(repetition, repetition.scheme(scheme).air),
        )
        self.training = self.sending.training
        self.faults = faults.FaultSource(scenario, repetition.seed)
        self.poisoning = Poisoning.of(scenario, repetition.seed)
        self._told = set[int]()  # of whom warnings have been given
        self.current = CurrentPlan.first(repetition, joint)
        adapter, clients = engine.initial_adapter(), scenario.clients.count
        start, drives = self.scheme.array.start(), self.faults.drives and self.scheme.array.moves
        turns = self.sending.turns(adapter)
        first = self.sending.payload.part(1)
        self.state = State(
            adapter=adapter,
            optimizer_state=turns.pop(first).optimizer_state,
            part=first,
            resting=turns,
            control=self.sending.first_control(adapter),
            base=self.sending.first_base(),
            positions=start,
            faults=FaultState(carriages=Carriages.homed(start) if drives else None),
            effective_weights=repetition.weights(self.plan.participants),
            scaled_weights=repetition.omega.copy(),
            average_rates=np.zeros(clients),
            participation=np.zeros(clients, dtype=np.int64),
            client_energy_j=np.zeros(clients),
            latency_s=Components(pretraining=self.plan.latency_s.pretraining),
            energy_j=Components(pretraining=self.plan.energy_j.pretraining),
        )

    @property
    def plan(self) -> Plan:
        """Batches, clocks, back-off and participants of the current plan."""
        return self.current.joint.plan

    @property
    def scheme(self) -> BuiltScheme:
        """Array policy and air interface, which codes and repeats as the current plan says."""
        planned = self.repetition.planned_scheme(self.scheme_name, self.plan.repetition)
        return planned.coded(self.current.joint.coding)

    @property
    def _air(self) -> AirInterface:
        """The interface as it books the part of the payload that has its turn."""
        return self.sending.booking(self.scheme.air, self.state.part)

    def run_round(self) -> Metrics:
        """Run the next round and return its metrics.

        The steps are those of the system model, section 1, in its order.
        """
        state, repetition, array = self.state, self.repetition, self.scheme.array
        began, index = time.perf_counter(), state.round + 1
        wrong, sending = self.faults.of_round(index), self.sending
        state.turn_to(sending.payload.part(index))
        air, sizes = self._air, sending.payload.blocks(state.part)

        # 1  The propagation paths of the round become known, up to the error of the pilots.
        radio = self.faults.radio(index, wrong, repetition.radio)

        # 2  The scheduler picks who transmits; their effective weights nu_k are expected from
        #    their last reports.
        choice = choose(self.scenario.clients.selection, self.policy, self._candidates(radio))
        if choice.average_rates is not None:
            state.average_rates = choice.average_rates
        state.effective_weights = choice.spread(state.scaled_weights)

        # 3  The server broadcasts the adapter; its cost is booked below with that of the pilots.
        #    Who misses it works with the last one that it has.
        participants = np.flatnonzero(self.plan.participants)
        sent = broadcast(repetition, air, state, participants, wrong.missed)
        adapter, state.clients_copy, state.heard = sent.adapter, sent.copy, 0
        state.faults = state.faults.after_broadcast(index, adapter, wrong.missed)
        stale = state.faults.stale(index, choice.clients)

        # 4  The selected clients compute their updates, and the antennas move.
        computed = faults.updates_of(partial(self._request, index), adapter, stale, choice.clients)
        check_updates(computed, choice.clients, self.scenario.engine.name)
        self.engine.check_round(computed, choice.clients)
        honest = sending.coded(computed, index)
        computed = self.poisoning.sent(honest, index)
        old_positions, before = state.positions, state.faults.carriages
        carried = partial(self.faults.carried, index, before, old_positions)
        planned = self._computing(choice.clients)
        waiting = self.faults.waiting(wrong, choice.clients, planned)
        computing = planned if waiting is None else waiting.applied(planned)
        now = self._standing(computing)
        there = places.arrive(now, radio, self._forecast, choice.clients, carried)
        moved, link, state.placed_error = there.moved, there.link, there.aim.placed_error
        if there.carriages is not None:
            state.faults = replace(state.faults, carriages=there.carriages)
        state.positions = moved.positions

        #    Who drops out or is late does not get to send; who is late has not done its steps.
        left_out = wrong.dropping(choice.clients)
        late = choice.clients[:0] if waiting is None else choice.clients[waiting.late]
        state.client_states |= sending.kept(faults.finished_states(computed, late))
        arrived = faults.remaining(computed, np.concatenate([left_out, late]))

        # 5  The clients report their scales and transmit at the same time; the antennas receive
        #    the sum.
        before_moving = repetition.broadcast_link(
            array,
            old_positions,
            link,
            state.effective_weights,
            None if before is None else before.actual,
            radio,
        )
        impairments = self.faults.impairments(wrong, arrived.clients, radio.powers)
        uploads = self._uploads(arrived, choice, impairments)
        received, training = None, self.training
        if uploads is not None:
            backoff, forecast = self.plan.power_backoff, partial(self._forecast, link)
            training = rates.of_round(training, air, forecast, uploads, backoff)
            received = air.combine(uploads, link, backoff)
        transmitters = who_transmitted(arrived.clients, received)

        # 6  The server decodes the mean and takes a step; what clients reported and remember is
        #    stored for the next round.  An anomalous mean makes no step; one that is not finite is
        #    left out, with what was reported.
        verdict, stepped, rejected = None, True, received is None or received.lost
        if received is not None and not received.lost:
            if np.isfinite(received.mean).all():
                verdict = anomaly.judge(received.mean, state.accepted_norms, self.training)
            rejected = verdict is not None and not verdict.accepted
            stepped = rejected or sending.step(state, received, training, index)
            if stepped:
                sending.memorise(state, air, received, index)
                if not rejected:
                    weight = float(repetition.omega[transmitters].sum())
                    sending.follow(state, received.mean, weight, index)
                if verdict is not None:
                    state.accepted_norms = verdict.norms
                if received.effective_weights is not None:
                    state.scaled_weights = scaled_weights(
                        self.repetition.omega,
                        state.scaled_weights,
                        arrived.clients,
                        choice,
                        received.effective_weights,
                    )
                    state.effective_weights = received.effective_weights
        made = stepped and not rejected
        state.participation[transmitters] += 1
        state.round = index

        #    It books every component.
        overheads = air.overheads(
            before_moving,
            link,
            choice.clients,
            sizes,
            repetition.signalling(
                array,
                participants,
                who_reports(choice.clients, arrived.clients, received, nothing=uploads is None),
                report_bits(choice.clients, arrived.clients, received),
                sent.message,
            ),
        )
        electronics = Electronics(repetition.hardware, array.front_end)
        overlap = self.scenario.planning.overlap
        booked = book_round(computing, moved, overheads, received, electronics, overlap=overlap)
        if wrong.restarted:
            booked = faults.booked_twice(booked)
        state.latency_s += booked.latency_s
        state.energy_j += booked.energy_j
        state.move_s += booked.move_s
        client_j = booked.before_upload_j(choice.clients, len(repetition.omega))
        state.client_energy_j += client_j
        if received is not None:
            state.client_energy_j[arrived.clients] += booked.uplink_j
            client_j[arrived.clients] += booked.uplink_j

        #    It evaluates the adapter, and plans the remaining rounds anew if a budget would not be
        #    kept or the air drifts.
        evaluation = self._evaluate(index)
        spent = state.spent(None if evaluation is None else evaluation.loss)
        replanned = budgets.check(repetition, self.scheme.name, self.current, spent)
        if replanned is not None:
            self.current = replanned[0]
            evaluation = evaluation or self._evaluate(index)  # where the run ends here

        happened = None
        if self.faults.active:
            cut = wrong.cut(arrived.clients)
            heard = transmitters if made else transmitters[:0]
            shares = dict(zip(heard.tolist(), self._weights(heard, choice), strict=True))
            learnt = np.setdiff1d(heard, cut)
            weights, mean = self._weights(learnt, choice), averages(air)
            happened = FaultOutcome(
                wrong,
                choice.clients,
                left_out,
                late,
                cut=cut,
                stale=stale,
                squared_bias=misalignment(air, received if made else None),
                stale_bias=staleness_bias(repetition.constants, adapter, stale, shares),
                poisons=self.poisoning.settings.active,
                poison_bias=self.poisoning.bias(honest, computed, learnt, weights, averaged=mean),
            )
        outcome = RoundOutcome(
            choice,
            computed,
            transmitters,
            received,
            moved,
            booked,
            product_bias=sending.product_bias(
                adapter, arrived, self._weights(arrived.clients, choice), index
            ),
            refused=not stepped,
            made_step=made,
            faults=happened,
        )
        return {
            **({} if replanned is None else {"replanned": replanned[1]}),
            **progress_metrics(state, evaluation),
            **outcome_metrics(outcome, repetition.constants, repetition.omega),
            **({} if happened is None else {"faults": fault_metrics(happened, array, state)}),
            **self.poisoning.metrics(index),
            **there.aim.metrics(),
            **({} if verdict is None else verdict.metrics()),
            **rates.rate_metrics(training, stepped=made),
            **kept_metrics(outcome, array, link, state, old_positions, arrived.clients, client_j),
            "round_wall_s": time.perf_counter() - began,
        }

    def first_metrics(self) -> Metrics:
        """Return the metrics of the adapter before the first round."""
        evaluation = self._evaluate(0)
        return {**progress_metrics(self.state, evaluation), "mse": None, "mse_db": None}

    def _candidates(self, radio: RadioRound) -> Candidates:
        """Return what the scheduler knows in a round."""
        return Candidates(
            radio=radio,
            clients=np.flatnonzero(self.plan.participants),
            limit=self.scenario.clients.limit,
            omega=self.repetition.omega,
            scaled_weights=self.state.scaled_weights,
            batch_sizes=self.plan.batch_sizes,
            average_rates=self.state.average_rates,
            array=self.scheme.array,
            positions=self.state.positions,
            constants=self.repetition.constants,
            unbiased=self.scenario.clients.unbiased,
            fair_window=self.scenario.clients.fair_window,
        )

    def _standing(self, computing: Computing) -> Standing:
        """Return what decides where the antennas go while the clients compute."""
        state = self.state
        return Standing(
            self.repetition,
            self.scheme,
            self.current,
            state.round,
            state.positions,
            state.effective_weights,
            state.placed_error,
            computing.time_s,
        )

    def _forecast(self, link: Link) -> Forecast:
        """Return the forecast of a round for the weights that are expected of the selected."""
        sizes = self.sending.payload.blocks(self.state.part)
        return self._air.forecast(link, self.state.effective_weights, sizes)

    def _weights(self, clients: NDArray[np.int64], choice: Choice) -> NDArray[np.float64]:
        """Return omega_k of these of the chosen clients times the factors of the choice."""
        return self.repetition.omega[clients] * choice.factors[np.isin(choice.clients, clients)]

    def _uploads(
        self, computed: RoundUpdates, choice: Choice, impairments: Impairments | None
    ) -> Uploads | None:
        """Return what there is to send; None when no client has a finite, non-zero update."""
        if not len(computed.clients) or computed.nothing:
            return None
        weights = self._weights(computed.clients, choice)
        return Uploads(
            computed.updates,
            computed.clients,
            weights / weights.sum(),
            self.sending.payload.blocks(self.state.part),
            self.sending.memory(self.state, self._air, self.state.round + 1),
            impairments,
            held=computed.held,
            told=self._told,
        )

    def _request(
        self, index: int, adapter: NDArray[np.float32], clients: NDArray[np.int64]
    ) -> RoundUpdates:
        """Ask the engine for the updates of clients at the adapter that they have."""
        batches, states = self.plan.batch_sizes, self.sending.client_states(self.state, clients)
        return self.engine.updates(adapter, clients, batches, self.seed, index, states)

    def _computing(self, clients: NDArray[np.int64]) -> Computing:
        """Return what the selected clients compute in a round of the current plan."""
        return Computing(
            cycles=self.repetition.cycles_per_sample * self.plan.batch_sizes[clients],
            clocks=self.plan.frequencies[clients],
            kappa=self.scenario.client_processor.kappa,
        )

    def _evaluate(self, index: int) -> Evaluation | None:
        """Evaluate the adapter where the round asks for it; the last and the first always do."""
        if index % self.scenario.evaluation.every and index != self.current.last_round:
            return None
        weights = self.repetition.weights(self.plan.participants)
        return scores.evaluate(self.engine, self.state, self.sending.own_entries, weights)
