"""The plan of a run: where the scheme's air and the convergence bound meet.

A :class:`Site` is what is known of a repetition before its first round.  The plan is made for the
air that a scheme meets there (system model, section 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airtune.errors import InputError
from airtune.planning import calibrate
from airtune.planning.bound import BoundConstants
from airtune.planning.cost import FloatArray, cycles_per_sample
from airtune.planning.plan import Run, describe_run, make_plan
from airtune.planning.result import FixedCosts, Plan
from airtune.radio.movement import Movement, movement, standing
from airtune.radio.paths import BlockFading, perceived_block
from airtune.radio.units import wavelength
from airtune.scenario import Scenario
from airtune.scheduling import POLICIES, Candidates, Choice
from airtune.schemes import SCHEMES, ArrayPolicy, RadioRound, Scheme

if TYPE_CHECKING:
    from airtune.learning.learner import Learner

PLANNING_SCHEME = "movable"
"""Whose air a shared plan is made for, whatever schemes are compared."""


@dataclass(frozen=True)
class Site:
    """Clients, air and costs of one repetition, the same for every scheme.

    Attributes
    ----------
    scenario : Scenario
    seed : int
        Root of the random streams of this repetition.
    learner : Learner
        Model and data, prepared for the same seed; only their sizes are read here.
    """

    scenario: Scenario
    seed: int
    learner: Learner

    @cached_property
    def channel(self) -> BlockFading:
        """Propagation paths, block by block."""
        return BlockFading(self.scenario.radio, self.scenario.clients, self.seed)

    @cached_property
    def omega(self) -> FloatArray:
        """Weights of the clients, shape (K,), sum 1."""
        sizes = self.learner.data_sizes
        return np.asarray(sizes / sizes.sum())

    def weights(self, participants: NDArray[np.bool_]) -> FloatArray:
        """Weights of the clients among these participants, shape (K,); 0 for the others."""
        if np.all(participants):
            return self.omega
        mine = np.where(participants, self.omega, 0.0)
        return np.asarray(mine / mine.sum())

    @cached_property
    def block_sizes(self) -> NDArray[np.int64]:
        """Entries of each adapter matrix."""
        return np.array([block.size for block in self.learner.blocks], dtype=np.int64)

    @cached_property
    def cycles_per_sample(self) -> FloatArray:
        """Processor cycles that one sample of a mini-batch costs a client in a round."""
        return cycles_per_sample(
            self.learner.flop_per_sample,
            self.scenario.client_processor.flop_per_cycle,
            self.scenario.training.local_steps,
        )

    @cached_property
    def constants(self) -> BoundConstants:
        """Constants of the convergence bound."""
        return calibrate.constants(self.scenario, self.seed, self.learner)

    @cached_property
    def run(self) -> Run:
        """What a plan is made for, whatever the air."""
        pretraining = self.learner.pretraining_cost
        return describe_run(
            self.scenario,
            self.constants,
            omega=self.omega,
            cycles_per_sample=self.cycles_per_sample,
            data_sizes=self.learner.data_sizes,
            pretraining_cycles_per_sample=pretraining.flop_per_sample
            / self.scenario.server_processor.flop_per_cycle,
            pretraining_steps=pretraining.steps,
            pretraining_batch=pretraining.batch_size,
        )

    def radio(self, round_index: int) -> RadioRound:
        """Return the true and the perceived paths of a round."""
        true = self.channel.block(round_index)
        seen = perceived_block(true, self.scenario.radio.csi, self.seed, round_index)
        return RadioRound(self.scenario, self.seed, round_index, true, seen)

    def movement(
        self, policy: ArrayPolicy, old: NDArray[np.float64], new: NDArray[np.float64]
    ) -> Movement:
        """Return the shortest movement between two sets of positions; none without drives."""
        if not policy.moves:
            return standing(new)
        array = self.scenario.array
        return movement(
            old,
            new,
            wavelength_m=wavelength(self.scenario.radio.carrier_hz),
            speed_mps=array.speed_mps,
            drive_power_w=array.drive_power_w,
        )


def plan_run(site: Site, scheme: str) -> Plan:
    """Plan the run of a scheme; a shared plan is that of :data:`PLANNING_SCHEME`.

    Raises
    ------
    InputError
        When a budget cannot be met; the message names the scheme, the budget and the least value
        that would do.
    """
    planned = PLANNING_SCHEME if site.scenario.plan == "shared" else scheme
    try:
        return _first_plan(site, planned)
    except InputError as error:
        raise InputError(f"plan of {planned!r}: {error}") from None


def _first_plan(site: Site, scheme_name: str) -> Plan:
    """Plan batches, clocks and back-off for the air that `scheme_name` meets at first."""
    scenario, scheme = site.scenario, SCHEMES[scheme_name]
    radio = site.radio(1)
    start = scheme.array.start(scenario, site.seed)
    choice = _first_choice(site, scheme, radio, start)
    weights = choice.spread(site.omega)
    positions = scheme.array.place(radio, weights, start)
    move = site.movement(scheme.array, start, positions)
    link = scheme.array.link(radio, weights, positions)
    forecast = scheme.air.forecast(link, weights, site.block_sizes)
    costs = scheme.air.overheads(link, choice.clients, site.block_sizes)
    everybody = np.broadcast_to(costs.pilot_j.mean(), weights.shape)
    return make_plan(
        site.run,
        forecast.mse,
        FixedCosts(
            uplink_s=forecast.uplink_s,
            downlink_s=costs.downlink_s,
            pilot_s=costs.pilot_s,
            move_s=move.time_s,
            uplink_j=radio.powers * forecast.airtime_s,
            pilot_j=costs.pilot_j if choice.holds_all(len(weights)) else everybody,
            downlink_j=costs.downlink_j,
            move_j=move.energy_j,
            backoff=forecast.backoff,
        ),
    )


def _first_choice(
    site: Site, scheme: Scheme, radio: RadioRound, positions: NDArray[np.float64]
) -> Choice:
    """Return who would transmit in the first round, at the largest batches."""
    scenario = site.scenario
    sizes = np.minimum(scenario.training.batch_size_max, site.learner.data_sizes)
    return POLICIES[scenario.clients.selection].select(
        Candidates(
            radio=radio,
            clients=np.arange(scenario.clients.count),
            limit=scenario.clients.limit,
            omega=site.omega,
            scaled_weights=site.omega,
            batch_sizes=sizes,
            average_rates=np.zeros(scenario.clients.count),
            array=scheme.array,
            positions=positions,
        )
    )
