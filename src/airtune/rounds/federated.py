"""The federated loop: rounds of one scheme, booked, evaluated and saved as they end.

One round (system model, section 1):

1. the propagation paths of the round become known;
2. the clients that transmit are selected;
3. the antennas move, with the clients' update scales of the last round;
4. the clients compute their updates at the planned batch sizes and clocks;
5. the air combines the updates;
6. the server decodes the weighted mean, steps, evaluates and books every component.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airtune import record
from airtune.bound.convergence import BoundConstants, participation_bias
from airtune.costs import Components, compute_energy, compute_time
from airtune.engines import LocalEngine, RoundUpdates
from airtune.errors import InputError
from airtune.learning.server import ServerOptimizer
from airtune.planning import replan
from airtune.planning.alternate import JointPlan
from airtune.planning.expected_radio import with_travel
from airtune.planning.plans import plan_run
from airtune.planning.repetition import Repetition
from airtune.planning.replan import CurrentPlan
from airtune.planning.result import Plan
from airtune.radio.movement import Movement
from airtune.rounds.state import State
from airtune.scenario import Scenario
from airtune.scheduling import POLICIES, Candidates, Choice, Policy
from airtune.schemes import SCHEMES, Link, Overheads, RadioRound, Reception, Scheme, Uploads

if TYPE_CHECKING:
    from airtune.learning.learner import Learner
    from airtune.learning.results import Evaluation

Metrics = dict[str, Any]
RoundDone = Callable[[Metrics], None]


class FederatedRun:
    """One scheme's rounds for one seed.

    Parameters
    ----------
    scenario : Scenario
    scheme : str
        Name of the scheme.
    seed : int
        Root of the random streams of this repetition.
    learner : Learner
        Model and data, prepared for the same seed.
    plan : JointPlan, optional
        Made with the same seed; planned here by default.
    constants : BoundConstants, optional
        Constants of the bound that the plan was made with; resolved here by default.
    """

    def __init__(
        self,
        scenario: Scenario,
        scheme: str,
        seed: int,
        learner: Learner,
        plan: JointPlan | None = None,
        constants: BoundConstants | None = None,
    ) -> None:
        self.scenario, self.seed, self.learner = scenario, seed, learner
        self.scheme: Scheme = SCHEMES[scheme]
        self.policy: Policy = POLICIES[scenario.clients.selection]
        self.engine = LocalEngine(learner)
        self.repetition = Repetition(scenario, seed, learner, known=constants)
        joint = plan_run(self.repetition, scheme) if plan is None else plan
        self.current = CurrentPlan.first(self.repetition, joint)
        self.state = State(
            adapter=learner.initial_adapter(),
            optimizer=ServerOptimizer(scenario.training.of(scheme), learner.size),
            positions=self.scheme.array.start(scenario, seed),
            effective_weights=self.repetition.weights(self.plan.participants),
            scaled_weights=self.repetition.omega.copy(),
            average_rates=np.zeros(scenario.clients.count),
            participation=np.zeros(scenario.clients.count, dtype=np.int64),
            client_energy_j=np.zeros(scenario.clients.count),
            latency_s=Components(pretraining=self.plan.latency_s.pretraining),
            energy_j=Components(pretraining=self.plan.energy_j.pretraining),
        )

    @property
    def plan(self) -> Plan:
        """The plan in current."""
        return self.current.joint.plan

    def run_round(self) -> Metrics:
        """Run the next round; the numbers are those of the module's list."""
        state, began = self.state, time.perf_counter()
        index = state.round + 1
        radio = self.repetition.radio(index)  # 1
        choice = self._select(radio)  # 2
        selected = choice.clients
        placed = self._place(radio)  # 3
        moved = self.repetition.movement(self.scheme.array, state.positions, placed)
        computed = self.engine.updates(  # 4
            state.adapter, selected, self.plan.batch_sizes, self.seed, index
        )
        link = self.scheme.array.link(radio, state.effective_weights, moved.positions)
        received = self._combine(link, computed, choice)  # 5
        transmitters = _transmitters(computed.clients, received)
        if received is not None:  # 6
            state.adapter = state.optimizer.step(state.adapter, received.mean)
            state.participation[transmitters] += 1
            state.memory |= received.memory
        state.round, state.positions = index, moved.positions
        silent = received is not None and received.transmitted is not None
        reporting = np.isin(selected, transmitters) if silent else None
        overheads = self.scheme.air.overheads(
            link, selected, self.repetition.matrix_sizes, reporting
        )
        latency, energy = self._book(computed.clients, selected, moved, overheads, received)
        state.latency_s += latency
        state.energy_j += energy
        evaluated = self.metrics(self._evaluate(index))
        return {
            **self._plan_anew(),
            **evaluated,
            "mse": None if received is None or received.mse is None else _finite(received.mse),
            "mse_db": _decibel(None if received is None else received.mse),
            "mse_predicted_db": _decibel(None if received is None else received.predicted_mse),
            "noise_std": None if received is None else received.noise_std,
            "exposure": None if received is None else received.exposure,
            "train_loss": None if computed.loss is None else _finite(computed.loss),
            "transmitted": len(transmitters),
            "clients": transmitters.tolist(),
            **self._participation(transmitters, choice),
            "dropped": list(computed.dropped),
            "moved_m": float(moved.distances_m.max()),
            "round_latency_s": latency.to_dict(),
            "round_energy_j": energy.to_dict(),
            "round_wall_s": time.perf_counter() - began,
        }

    def _plan_anew(self) -> Metrics:
        """Plan the remaining rounds anew if the air has drifted; what to report of it."""
        state = self.state
        spent = replan.Spent(
            round=state.round,
            positions=state.positions,
            latency_s=state.latency_s.total,
            movement_s=state.latency_s.movement,
            energy_j=state.energy_j.total,
            client_energy_j=state.client_energy_j,
        )
        found = replan.check(self.repetition, self.scheme.name, self.current, spent)
        if found is None:
            return {}
        self.current, told = found
        return {"replanned": told}

    def _place(self, radio: RadioRound) -> NDArray[np.float64]:
        """Return the antennas' places in the round, in no order."""
        state, array, joint = self.state, self.scheme.array, self.current.joint
        # what is switched, not carried, follows every round
        planning = self.scenario.planning
        if planning.movement != "once" or not array.moves:
            if array.moves and planning.movement == "when-needed" and self._hears(radio):
                return state.positions
            near = with_travel(radio, joint.expected.max_travel)
            return array.place(near, state.effective_weights, state.positions)
        if joint.scheme == self.scheme.name:
            return joint.expected.positions
        if state.round > 0:
            return state.positions
        return array.place(radio, state.effective_weights, state.positions)

    def _hears(self, radio: RadioRound) -> bool:
        """Tell whether the antennas hear well enough where they are (`planning.quality_db`)."""
        weights, sizes = self.state.effective_weights, self.repetition.matrix_sizes
        link = self.scheme.array.link(radio, weights, self.state.positions)
        expected = self.scheme.air.forecast(link, weights, sizes)
        backoff = self.plan.power_backoff if expected.backoff else 1.0
        error = expected.bias + (expected.mse - expected.bias) / backoff
        return error <= self.scenario.planning.quality

    def _select(self, radio: RadioRound) -> Choice:
        """Choose who transmits, and expect nu_k of them from their last reports."""
        state = self.state
        choice = self.policy.select(
            Candidates(
                radio=radio,
                clients=np.flatnonzero(self.plan.participants),
                limit=self.scenario.clients.limit,
                omega=self.repetition.omega,
                scaled_weights=state.scaled_weights,
                batch_sizes=self.plan.batch_sizes,
                average_rates=state.average_rates,
                array=self.scheme.array,
                positions=state.positions,
                constants=self.repetition.constants,
            )
        )
        if choice.average_rates is not None:
            state.average_rates = choice.average_rates
        state.effective_weights = choice.spread(state.scaled_weights)
        return choice

    def _combine(self, link: Link, computed: RoundUpdates, choice: Choice) -> Reception | None:
        """Send what there is to send; None when no client has a finite update."""
        sent = computed.clients
        if not len(sent) or not np.any(computed.updates):
            return None
        factors = choice.factors[np.isin(choice.clients, sent)]
        weights = self.repetition.omega[sent] * factors
        uploads = Uploads(
            computed.updates,
            sent,
            weights / weights.sum(),
            self.repetition.matrix_sizes,
            self.state.memory,
        )
        received = self.scheme.air.combine(uploads, link, self.plan.power_backoff)
        if received is not None and received.effective_weights is not None:
            self.state.effective_weights = received.effective_weights
            kept = 1.0 if len(sent) == len(choice.clients) else weights.sum()
            reported = kept * received.effective_weights[sent] / factors
            # who had nothing to send keeps the last scale that it had
            last = self.state.scaled_weights[sent]
            self.state.scaled_weights[sent] = np.where(reported > 0, reported, last)
        return received

    def _participation(self, sent: NDArray[np.int64], choice: Choice) -> Metrics:
        """Return the weight of those that transmit and the bias that the bound allows for it."""
        present = np.isin(np.arange(len(self.repetition.omega)), sent)
        unbiased = choice.bias_free and len(sent) == len(choice.clients)
        bias = participation_bias(self.repetition.constants, self.repetition.omega, present)
        return {
            "share": 1.0 if present.all() else float(self.repetition.omega[sent].sum()),
            "bias": 0.0 if unbiased else float(bias),
        }

    def _book(
        self,
        sent: NDArray[np.int64],
        selected: NDArray[np.int64],
        moved: Movement,
        overheads: Overheads,
        received: Reception | None,
    ) -> tuple[Components, Components]:
        """Return latency [s] and energy [J] of a round by component (system model, section 7)."""
        cycles = self.repetition.cycles_per_sample * self.plan.batch_sizes[selected]
        clocks = self.plan.frequencies[selected]
        computing = compute_energy(cycles, clocks, self.scenario.client_processor.kappa)
        uplink_j = np.zeros(0) if received is None else received.uplink_j
        self.state.client_energy_j[selected] += computing + overheads.pilot_j
        if received is not None:
            self.state.client_energy_j[sent] += uplink_j
        latency = Components(
            compute=float(np.max(compute_time(cycles, clocks))),
            uplink=0.0 if received is None else received.uplink_s,
            downlink=overheads.downlink_s,
            pilots=overheads.pilot_s,
            movement=moved.time_s,
        )
        energy = Components(
            compute=float(computing.sum()),
            uplink=float(uplink_j.sum()),
            downlink=overheads.downlink_j,
            pilots=float(overheads.pilot_j.sum()),
            movement=moved.energy_j,
        )
        return latency, energy

    def _evaluate(self, index: int) -> Evaluation | None:
        due = index % self.scenario.evaluation.every == 0 or index == self.current.last_round
        return self.learner.evaluate(self.state.adapter) if due else None

    def metrics(self, evaluation: Evaluation | None) -> Metrics:
        """Return the line of the round that has just ended, validation included if made."""
        scores = {} if evaluation is None else evaluation.domains
        return {
            "round": self.state.round,
            "time_s": self.state.latency_s.total,
            "energy_j": self.state.energy_j.total,
            "evaluated": evaluation is not None,
            "loss": None if evaluation is None else _finite(evaluation.loss),
            "perplexity": None if evaluation is None else _finite(evaluation.perplexity),
            "exact_match": None if evaluation is None else evaluation.exact_match,
            "domains": {
                name: {"loss": _finite(score.loss), "exact_match": score.exact_match}
                for name, score in scores.items()
            },
        }

    def execute(self, cell: record.Cell, round_done: RoundDone) -> None:
        """Run all rounds that the cell still lacks; metrics and a checkpoint after each.

        Parameters
        ----------
        cell : Cell
            Folder of this scheme and seed; a checkpoint in it is resumed.
        round_done : callable
            Called with the metrics of each round, those found on disk included.
        """
        saved = record.load_checkpoint(cell)
        if saved is not None:
            self._check_plan(cell)
            self.state.load(*saved)
            if "plan" in saved[2]:
                self.current = CurrentPlan.from_dict(saved[2]["plan"], self.repetition)
            round_done(record.read_metrics(cell)[-1])
        else:
            first = self.metrics(self.learner.evaluate(self.state.adapter))
            cell.folder.mkdir(parents=True, exist_ok=True)
            record.write_json(cell.folder / "plan.json", self.current.joint.to_dict())
            self.save(cell, {**first, "mse": None, "mse_db": None})
        while self.state.round < self.current.last_round:
            line = self.run_round()
            self.save(cell, line)
            round_done(line)

    def _check_plan(self, cell: record.Cell) -> None:
        """Refuse to go on under another plan than the one that the cell began with."""
        before, now = record.read_json(cell.folder / "plan.json"), self.plan.to_dict()
        same = before["batch"] == now["batch"] and before["rounds"] == now["rounds"]
        one, other = (np.array(plan["frequency_hz"]["clients"]) for plan in (before, now))
        if not same or not np.allclose(one, other, rtol=1e-9, atol=0.0):
            raise InputError(
                f"{cell.folder}: plan.json is not the plan that this version of airtune makes; "
                "resume with the version named in environment.json"
            )

    def save(self, cell: record.Cell, line: Metrics) -> None:
        """Append the line of the round that has just ended and replace the checkpoint."""
        record.append_metrics(cell, line)
        totals: dict[str, Any] = {
            "latency_s": self.state.latency_s.to_dict(),
            "energy_j": self.state.energy_j.to_dict(),
        }
        if self.current.round > 0:
            totals["plan"] = self.current.to_dict()
        record.save_checkpoint(cell, self.state.round, self.state.arrays(), totals)

    def finish(self, cell: record.Cell, before: Sequence[dict[str, str]]) -> None:
        """Save the adapter, sample answers, who holds what, the placement; mark the cell finished.

        Parameters
        ----------
        before : sequence of dict
            Answers of the model as it was before fine-tuning (`Learner.samples`).
        """
        self.learner.save_adapter(self.state.adapter, cell.folder / "adapter")
        record.write_json(cell.folder / "holdings.json", self.learner.holdings())
        after = self.learner.samples(self.state.adapter, len(before))
        record.write_json(
            cell.folder / "samples.json",
            [
                {**then, "before": then["answer"], "after": now["answer"]}
                for then, now in zip(before, after, strict=True)
            ],
        )
        if self.scheme.name != "ideal":
            radio, weights = self.repetition.radio(self.state.round), self.state.effective_weights
            link = self.scheme.array.link(radio, weights, self.state.positions)
            record.write_json(
                cell.folder / "placement.json", link.picture(self.state.effective_weights)
            )
        record.write_json(cell.folder / "finished.json", self.state.summary(self.scenario.budget))


def _transmitters(clients: NDArray[np.int64], received: Reception | None) -> NDArray[np.int64]:
    """Return who has sent: nobody if nothing was received."""
    if received is None:
        return clients[:0]
    return clients if received.transmitted is None else clients[received.transmitted]


def _decibel(value: float | None) -> float | None:
    return 10.0 * float(np.log10(value)) if value is not None and 0 < value < np.inf else None


def _finite(value: float) -> float | None:
    """Return a figure that JSON can hold: a model that has diverged has none."""
    return value if np.isfinite(value) else None
