"""What is known of a repetition before its first round."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airtune.bound import calibrate
from airtune.bound.convergence import BoundConstants
from airtune.costs import FloatArray, cycles_per_sample
from airtune.errors import InputError
from airtune.planning.resources import PlanInputs, plan_inputs
from airtune.radio.channels import Channel
from airtune.radio.movement import Movement, movement, standing
from airtune.radio.units import wavelength
from airtune.registry import CHANNELS, SCHEMES
from airtune.scenario import Scenario
from airtune.scenario.base import CALIBRATE
from airtune.schemes import ArrayPolicy, BuiltScheme, RadioRound

if TYPE_CHECKING:
    from airtune.learning.learner import Prepare, Progress
    from airtune.learning.sizes import Sizes


@dataclass(frozen=True)
class Repetition:
    """Clients, air and costs of one repetition, the same for every scheme.

    Attributes
    ----------
    scenario : Scenario
    seed : int
        Root of the random streams of this repetition.
    sizes : Sizes
        Adapter matrices, records of the clients, and what a sample costs.
    bound : BoundConstants, optional
        Constants of the bound where they were calibrated; by default those of the scenario.
    channel : Channel, optional
        Source of the propagation paths; by default the one that `radio.channel` names.
    """

    scenario: Scenario
    seed: int
    sizes: Sizes
    bound: BoundConstants | None = None
    channel: Channel | None = None
    _schemes: dict[str, BuiltScheme] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(
        cls,
        scenario: Scenario,
        seed: int,
        prepare: Prepare | None = None,
        progress: Progress | None = None,
        sizes: Sizes | None = None,
    ) -> Repetition:
        """Return the repetition of a scenario; constants that are to be calibrated are.

        Parameters
        ----------
        scenario : Scenario
        seed : int
        prepare : callable, optional
            Makes the learner on which constants of the bound are calibrated, where the scenario
            asks for it; :func:`airtune.learning.learner.prepare` by default.
        progress : callable, optional
            Called with a text and the fraction done.
        sizes : Sizes, optional
            What an engine has returned; by default they are measured without training anything.

        Raises
        ------
        InputError
            Model or data cannot be used, or a constant cannot be calibrated.
        """
        from airtune.learning import learner
        from airtune.learning.sizes import measure, sizes_of

        bound = None
        if calibrated(scenario):
            made = (prepare or learner.prepare)(scenario, seed, progress)
            bound = calibrate.constants(scenario, seed, made, progress)
            sizes = sizes or sizes_of(made)
        return cls(scenario, seed, sizes or measure(scenario, seed), bound)

    @cached_property
    def paths(self) -> Channel:
        """Source of the propagation paths, block by block."""
        if self.channel is not None:
            return self.channel
        radio = self.scenario.radio
        built: Channel = CHANNELS[radio.channel](radio, self.scenario.clients, self.seed)
        return built

    def scheme(self, name: str) -> BuiltScheme:
        """Return a scheme with the settings of this repetition, built once.

        Raises
        ------
        InputError
            If the name is unknown, or its array policy cannot meet the settings.
        """
        if name not in self._schemes:
            self._schemes[name] = SCHEMES[name].build(self.scenario, self.seed)
        return self._schemes[name]

    @cached_property
    def omega(self) -> FloatArray:
        """Weights of the clients, shape (K,), sum 1."""
        records = self.sizes.data_sizes
        return np.asarray(records / records.sum())

    def weights(self, participants: NDArray[np.bool_]) -> FloatArray:
        """Weights of the clients among these participants, shape (K,); 0 for the others."""
        if np.all(participants):
            return self.omega
        mine = np.where(participants, self.omega, 0.0)
        return np.asarray(mine / mine.sum())

    @cached_property
    def matrix_sizes(self) -> NDArray[np.int64]:
        """Entries of each adapter matrix."""
        return np.array([matrix.size for matrix in self.sizes.matrices], dtype=np.int64)

    @cached_property
    def cycles_per_sample(self) -> FloatArray:
        """Processor cycles that one sample of a mini-batch costs a client in a round."""
        return cycles_per_sample(
            self.sizes.flop_per_sample,
            self.scenario.client_processor.flop_per_cycle,
            self.scenario.training.local_steps,
        )

    @cached_property
    def constants(self) -> BoundConstants:
        """Constants of the convergence bound."""
        return self.bound or calibrate.given_constants(self.scenario.bound)

    @cached_property
    def inputs(self) -> PlanInputs:
        """What a plan is made for, whatever the air."""
        pretraining = self.sizes.pretraining_cost
        return plan_inputs(
            self.scenario,
            self.constants,
            omega=self.omega,
            cycles_per_sample=self.cycles_per_sample,
            data_sizes=self.sizes.data_sizes,
            pretraining_cycles_per_sample=pretraining.flop_per_sample
            / self.scenario.server_processor.flop_per_cycle,
            pretraining_steps=pretraining.steps,
            pretraining_batch=pretraining.batch_size,
        )

    def radio(self, round_index: int) -> RadioRound:
        """Return the true and the perceived paths of a round."""
        block = self.paths.block(round_index)
        count = self.scenario.clients.count
        given = {len(one.clients.gains) for one in (block.true, block.perceived)}
        if given != {count}:
            raise InputError(
                f"radio.channel = {self.scenario.radio.channel!r}: gives the paths of "
                f"{min(given)} clients in round {round_index}; clients.count = {count}"
            )
        return RadioRound.of(self.scenario, self.seed, round_index, block)

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
            stuck=policy.stuck,
        )


def calibrated(scenario: Scenario) -> bool:
    """Whether a constant of the bound is to be calibrated on the model."""
    return CALIBRATE in scenario.bound.model_dump().values()
