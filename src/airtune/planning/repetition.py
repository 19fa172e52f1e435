"""What is known of a repetition before its first round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from airtune.bound import calibrate
from airtune.bound.convergence import BoundConstants
from airtune.costs import FloatArray, cycles_per_sample
from airtune.planning.resources import PlanInputs, plan_inputs
from airtune.radio.channels import Channel
from airtune.radio.movement import Movement, movement, standing
from airtune.radio.units import wavelength
from airtune.registry import CHANNELS, SCHEMES
from airtune.scenario import Scenario
from airtune.scenario.base import CALIBRATE
from airtune.schemes import ArrayPolicy, BuiltScheme, RadioRound

if TYPE_CHECKING:
    from airtune.learning.learner import Learner, Prepare
    from airtune.learning.sizes import Sizes


@dataclass(frozen=True)
class Repetition:
    """Clients, air and costs of one repetition, the same for every scheme.

    Attributes
    ----------
    scenario : Scenario
    seed : int
        Root of the random streams of this repetition.
    learner : Learner or Sizes
        Model and data of the same seed, or their sizes only: enough to plan with, unless a constant
        of the bound is to be calibrated.
    progress : callable, optional
        Follows a calibration: called with a text and the fraction done.
    known : BoundConstants, optional
        Constants of the bound from an earlier run; resolved from the scenario by default.
    channel : Channel, optional
        Source of the propagation paths; by default the one that `radio.channel` names.
    """

    scenario: Scenario
    seed: int
    learner: Learner | Sizes
    progress: Callable[[str, float], None] | None = None
    known: BoundConstants | None = None
    channel: Channel | None = None
    _schemes: dict[str, BuiltScheme] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(
        cls,
        scenario: Scenario,
        seed: int,
        progress: Callable[[str, float], None] | None = None,
        prepare: Prepare | None = None,
    ) -> Repetition:
        """Return the repetition with the learner that rounds need, or with sizes if they will do.

        Sizes will do while pre-training is still to be planned, unless a constant of the bound is
        to be calibrated on the model.
        """
        from airtune.learning import learner, sizes

        if scenario.planning.pretraining == "fixed" or calibrated(scenario):
            made = (prepare or learner.prepare)(scenario, seed, progress)
            return cls(scenario, seed, made, progress)
        return cls(scenario, seed, sizes.measure(scenario, seed), progress)

    @cached_property
    def _channel(self) -> Channel:
        """Propagation paths, block by block."""
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
        sizes = self.learner.data_sizes
        return np.asarray(sizes / sizes.sum())

    def weights(self, participants: NDArray[np.bool_]) -> FloatArray:
        """Weights of the clients among these participants, shape (K,); 0 for the others."""
        if np.all(participants):
            return self.omega
        mine = np.where(participants, self.omega, 0.0)
        return np.asarray(mine / mine.sum())

    @cached_property
    def matrix_sizes(self) -> NDArray[np.int64]:
        """Entries of each adapter matrix."""
        return np.array([matrix.size for matrix in self.learner.matrices], dtype=np.int64)

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
        if self.known is not None:
            return self.known
        return calibrate.constants(
            self.scenario, self.seed, cast("Learner", self.learner), self.progress
        )

    @cached_property
    def inputs(self) -> PlanInputs:
        """What a plan is made for, whatever the air."""
        pretraining = self.learner.pretraining_cost
        return plan_inputs(
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
        block = self._channel.block(round_index)
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
        )


def calibrated(scenario: Scenario) -> bool:
    """Whether a constant of the bound is to be calibrated on the model."""
    return CALIBRATE in scenario.bound.model_dump().values()
