"""What is known of a repetition before its first round."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airtune.bound import calibrate
from airtune.bound.convergence import BoundConstants
from airtune.costs import FloatArray, Hardware, cycles_per_sample
from airtune.errors import InputError, shown
from airtune.kinds import Mask
from airtune.learning.twins import cost_twin
from airtune.planning.resources import PlanInputs, plan_inputs
from airtune.radio.channels import Channel
from airtune.radio.movement import Movement, movement, standing
from airtune.radio.quantisers import Quantised, Quantiser
from airtune.radio.quantisers.coding import Coding
from airtune.radio.units import wavelength
from airtune.registry import CHANNELS, POLICIES, SCHEMES
from airtune.scenario import Scenario
from airtune.scenario.base import CALIBRATE
from airtune.scenario.costs import CostTwin
from airtune.schemes import (
    AirInterface,
    ArrayPolicy,
    Broadcast,
    BuiltScheme,
    Link,
    RadioRound,
    Signalling,
)

SILENT_SYMBOLS = 10
"""Symbols of a round in which nobody sends, for each RF chain, where the scenario gives none."""

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
    def twin(self) -> CostTwin | None:
        """Whose costs are booked in place of those of the trained model; None: its own."""
        return cost_twin(self.scenario)

    @cached_property
    def flop_per_sample(self) -> float:
        """FLOP that are booked for one sample of a mini-batch.

        Raises
        ------
        InputError
            There is a cost twin, and the engine does not say what its samples cost per weight.
        """
        if self.twin is None:
            return self.sizes.flop_per_sample
        if self.sizes.flop_per_parameter is None:
            raise InputError(
                f"costs.model = {shown(self.twin.name)}: the engine "
                f"{shown(self.scenario.engine.name)} does not say what a sample costs for each "
                "weight (Sizes.flop_per_parameter); must be none with it"
            )
        return self.twin.parameters * self.sizes.flop_per_parameter

    @cached_property
    def cycles_per_sample(self) -> FloatArray:
        """Processor cycles that one sample of a mini-batch costs a client in a round."""
        return cycles_per_sample(
            self.flop_per_sample,
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
        pretraining, flop = self.sizes.pretraining_cost, self.sizes.pretraining_cost.flop_per_sample
        if self.twin is not None:
            flop = self.twin.parameters * pretraining.flop_per_parameter
        return plan_inputs(
            self.scenario,
            self.constants,
            omega=self.omega,
            cycles_per_sample=self.cycles_per_sample,
            data_sizes=self.sizes.data_sizes,
            pretraining_cycles_per_sample=flop / self.scenario.server_processor.flop_per_cycle,
            pretraining_steps=pretraining.steps,
            pretraining_batch=pretraining.batch_size,
        )

    @cached_property
    def hardware(self) -> Hardware:
        """What amplifiers and circuits draw."""
        return self.scenario.radio.hardware.resolved()

    def signalling(
        self,
        array: ArrayPolicy,
        candidates: NDArray[np.int64],
        reporting: Mask | None = None,
        report_bits: FloatArray | None = None,
        broadcast: Broadcast | None = None,
    ) -> Signalling:
        """Return who sends pilots and reports in a round, and how often.

        Parameters
        ----------
        array : ArrayPolicy
        candidates : ndarray, int
            Ascending indices of the clients that may be selected.
        reporting : ndarray, bool, shape (S,), optional
            Who of the selected ones reports scales.
        report_bits : ndarray, float, shape (S,), optional
            Length of their reports; in full by default.
        broadcast : Broadcast, optional
            Of quantised changes; by default the adapters as they are, to the selected clients.
        """
        radio, by_array = self.scenario.radio, self.scenario.radio.pilot_rule == "by-array"
        silent, chains = radio.silent_symbols, array.front_end.chains
        looks = POLICIES[self.scenario.clients.selection].looks_at_channels
        return Signalling(
            sounded=candidates if by_array and looks else None,
            soundings=array.soundings if by_array else 1,
            silent_symbols=(SILENT_SYMBOLS * chains if silent is None else silent)
            * (array.listenings if by_array else 1),
            reporting=reporting,
            report_bits=report_bits,
            broadcast=broadcast,
        )

    @cached_property
    def adapter_sizes(self) -> NDArray[np.int64]:
        """Entries of each matrix of the adapter, whatever of it is sent."""
        return np.array([matrix.size for matrix in self.sizes.matrices], dtype=np.int64)

    def broadcast_coding(self, air: AirInterface) -> Quantiser | None:
        """Return what rounds the change of the adapter for the broadcast; None: nothing does."""
        radio = self.scenario.radio
        if radio.downlink_quantizer == "none" or not air.broadcasts:
            return None
        return Coding(radio.downlink_quantizer, radio.downlink_bits, feedback=True).quantiser

    def expected_broadcast(
        self, air: AirInterface, participants: NDArray[np.int64]
    ) -> Broadcast | None:
        """Return the broadcast of a mean round; None where nothing is rounded.

        Parameters
        ----------
        air : AirInterface
        participants : ndarray, int
            Ascending indices of all clients that take part.
        """
        quantiser, sizes = self.broadcast_coding(air), self.adapter_sizes
        if quantiser is None:
            return None
        entries, count = int(sizes.sum()), len(sizes)
        whole = Quantised(
            np.zeros(entries),
            int(quantiser.expected_bits(sizes)),
            quantiser.group_bits * count,
            entries,
        )
        return Broadcast(participants, air.booked_bits(whole, count))

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

    def broadcast_link(
        self,
        array: ArrayPolicy,
        old: FloatArray,
        upload: Link,
        weights: FloatArray,
        true_old: FloatArray | None = None,
    ) -> Link:
        """Return the link of the broadcast that opens a round.

        Antennas that move while the clients compute are still at their old places; what is switched
        is set for the round already.

        Parameters
        ----------
        array : ArrayPolicy
        old : ndarray, float, shape (N, 2)
            Places before the round [wavelengths].
        upload : Link
            With the antennas where they are for the upload.
        weights : ndarray, float, shape (K,)
            nu_k of the last round.
        true_old : ndarray, float, shape (N, 2), optional
            Where the antennas stood before the round, where drives have missed [wavelengths].
        """
        if not (self.scenario.planning.overlap and array.moves):
            return upload
        return replace(array.link(upload.radio, weights, old), true_positions=true_old)

    def movement(
        self, policy: ArrayPolicy, old: NDArray[np.float64], new: NDArray[np.float64]
    ) -> Movement:
        """Return the shortest movement between two sets of positions; none without drives."""
        if not policy.moves:
            return standing(new)
        drive = self.scenario.array.drives
        return movement(
            old,
            new,
            wavelength_m=wavelength(self.scenario.radio.carrier_hz),
            speed_mps=drive.speed_mps,
            drive_power_w=drive.power_w,
            stuck=policy.stuck,
        )


def calibrated(scenario: Scenario) -> bool:
    """Whether a constant of the bound is to be calibrated on the model."""
    return CALIBRATE in scenario.bound.model_dump().values()
