"""What is known of a repetition before its first round."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from airtune.bound import calibrate
from airtune.bound.convergence import BoundConstants
from airtune.bound.payload import of_payload
from airtune.costs import FloatArray, Hardware, cycles_per_sample
from airtune.errors import InputError, shown
from airtune.kinds import Mask
from airtune.learning.payload import Payload, payload_of
from airtune.learning.twins import cost_twin
from airtune.planning.group_powers import REFERENCE, powers_at
from airtune.planning.resources import PlanInputs, plan_inputs
from airtune.planning.turning import Turning
from airtune.radio.channels import Channel
from airtune.radio.channels.turned import with_element
from airtune.radio.facing import AHEAD
from airtune.radio.measured import Sounding
from airtune.radio.movement import Movement, movement, standing
from airtune.radio.units import wavelength
from airtune.registry import CHANNELS, CLIENT_OBJECTIVES, POLICIES, SCHEMES
from airtune.scenario import Scenario
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
from airtune.schemes.aged import checked, outdated
from airtune.schemes.measured import measured

SILENT_SYMBOLS = 10
"""Symbols of a round in which nobody sends, for each RF chain, where the scenario gives none."""

if TYPE_CHECKING:
    from airtune.learning.learner import Prepare, Progress
    from airtune.learning.sizes import Sizes
    from airtune.planning.pilot import Pilot


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
        Source of the paths; by default the one that `radio.channel` names.
    pilot : Pilot, optional
        For a plan that minimises what is predicted: a few rounds without errors.
    own_payload : Payload, optional
        What a scheme sends whatever `aggregation.payload` is (:mod:`airtune.planning.forward`).
    facings : Turning, optional
        Where the array of a scheme faces that turns (:mod:`airtune.planning.facings`).
    movement_chosen : bool
        Whether the plan has chosen `planning.movement`; what it predicts follows the policy.
    """

    scenario: Scenario
    seed: int
    sizes: Sizes
    bound: BoundConstants | None = None
    channel: Channel | None = None
    pilot: Pilot | None = None
    own_payload: Payload | None = None
    facings: Turning | None = None
    movement_chosen: bool = False
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
            Makes the learner on which the bound is calibrated, where the scenario asks for it.
        progress : callable, optional
            Called with a text and the fraction done.
        sizes : Sizes, optional
            What an engine has returned; by default measured, without training anything.

        Raises
        ------
        InputError
            Model or data cannot be used, or a constant cannot be calibrated.
        """
        from airtune.learning import learner
        from airtune.learning.sizes import measure, sizes_of

        bound = None
        if scenario.bound.calibrated:
            made = (prepare or learner.prepare)(scenario, seed, progress)
            bound = calibrate.constants(scenario, seed, made, progress)
            sizes = sizes or sizes_of(made)
        return cls(scenario, seed, sizes or measure(scenario, seed), bound)

    @cached_property
    def paths(self) -> Channel:
        """Source of the propagation paths, block by block."""
        radio, channel = self.scenario.radio, self.channel
        if channel is None:
            channel = CHANNELS[radio.channel](radio, self.scenario.clients, self.seed)
        return with_element(checked(channel, radio), self.scenario.array, radio.channel)

    def scheme(self, name: str) -> BuiltScheme:
        """Return a scheme with the settings of this repetition, built once.

        Raises
        ------
        InputError
            If the name is unknown, or its array policy cannot meet the settings.
        """
        if name not in self._schemes:
            scenario = self.scenario
            if scenario.aggregation.normalise == "auto":
                chosen = scenario.aggregation.with_powers(self.group_powers)
                scenario = scenario.model_copy(update={"aggregation": chosen})
            built: BuiltScheme = SCHEMES[name].build(scenario, self.seed)
            air = self.booking(built.air, self.payload.largest)
            self._schemes[name] = built if air is built.air else replace(built, air=air)
        return self._schemes[name]

    @cached_property
    def group_powers(self) -> Literal["block", "loaded"]:
        """What `aggregation.normalise: auto` means: one choice for all schemes."""
        scheme, radio = SCHEMES[REFERENCE].build(self.scenario, self.seed), self.radio(1)
        straight = replace(radio, block=radio.block.facing(AHEAD))
        link = scheme.array.link(straight, self.omega, scheme.array.start())
        return powers_at(scheme.air.forecast(link, self.omega, self.matrix_sizes).mse)

    def planned_scheme(self, name: str, sendings: int) -> BuiltScheme:
        """Return a scheme; its symbols are sent as a plan says if that is left to the plan."""
        scheme = self.scheme(name)
        planned = self.scenario.aggregation.repetition == "planned"
        return scheme.repeating(sendings) if planned else scheme

    @cached_property
    def payload(self) -> Payload:
        """What is sent of an update; an InputError where it does not fit the adapter matrices."""
        given = self.scenario.aggregation
        return self.own_payload or payload_of(given, self.sizes.matrices, self.seed)

    def booking(self, air: AirInterface, part: str) -> AirInterface:
        """Return an interface that books a part of the payload, as a cost twin would send it."""
        twin = self.payload.booked(self.twin, part) if self.twin is not None else None
        return air if twin is None or twin == air.twin else air.booking(twin)

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
        """Numbers of each block that is sent, in a round of the payload's largest part."""
        return self.payload.blocks(self.payload.largest)

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
            self.flop_per_sample * self.payload.computing,
            self.scenario.client_processor.flop_per_cycle,
            self.scenario.training.local_steps,
        )

    @cached_property
    def constants(self) -> BoundConstants:
        """Constants of the convergence bound, for what the payload makes of an update."""
        given, payload = self.bound or calibrate.given_constants(self.scenario.bound), self.payload
        return of_payload(given, payload.share, payload.inflation, payload.amplification)

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
            pilot=self.pilot,
        )

    @cached_property
    def hardware(self) -> Hardware:
        """What amplifiers and circuits draw."""
        return self.scenario.radio.hardware.resolved(self.scenario.clients.antennas)

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
        radio, again = self.scenario.radio, self.remeasurements(array)
        by_array = radio.pilot_rule == "by-array"
        objective = CLIENT_OBJECTIVES[self.scenario.training.client_objective]
        looks = POLICIES[self.scenario.clients.selection].looks_at_channels
        return Signalling(
            sounded=candidates if by_array and looks else None,
            soundings=((array.soundings if by_array else 1) + again) * radio.resource_blocks,
            silent_symbols=self._silent_symbols(array)
            * ((self._listenings(array) if by_array else 1) + again),
            reporting=reporting,
            report_bits=report_bits,
            listeners=None if self.payload.broadcasts_all else candidates,
            vectors=2 if getattr(objective, "hears_control", False) else 1,
            broadcast=broadcast,
        )

    def _silent_symbols(self, array: ArrayPolicy) -> int:
        silent, blocks = self.scenario.radio.silent_symbols, self.scenario.radio.resource_blocks
        return (SILENT_SYMBOLS * array.front_end.chains if silent is None else silent) * blocks

    def _listenings(self, array: ArrayPolicy) -> int:
        """Return how often silent symbols come; measured ports are heard in turns."""
        ports = self.measures and array.ports() is not None
        return max(array.listenings, array.front_end.turns if ports else 1)

    @property
    def measures(self) -> bool:
        """Whether channels are measured where the antennas stand (`radio.csi.beamformer`)."""
        return self.scenario.radio.csi.beamformer == "measured"

    def refinements(self, array: ArrayPolicy) -> int:
        """Return how often the antennas are placed anew nearby in a round."""
        stays = self.scenario.planning.movement in ("once", "statistical")
        return self.scenario.placement.refinements if array.moves and not stays else 0

    def refinement_way(self, array: ArrayPolicy) -> float:
        """Return the longest way of all these steps together, and of one back [wavelengths]."""
        steps, settings = self.refinements(array), self.scenario
        return (steps + min(1, steps)) * settings.placement.nearby(settings.array.drives.grid)

    def remeasurements(self, array: ArrayPolicy) -> int:
        """Return how often pilots are sent once more because antennas or phases were set."""
        steps, ages = self.refinements(array), self.scenario.radio.csi.age_s == "round"
        back = min(1, steps) if ages else 0
        return 1 + steps + back if self.measures and (array.moves or array.trains) else 0

    def measured(
        self, link: Link, array: ArrayPolicy, clients: NDArray[np.int64], name: str
    ) -> Link:
        """Return a link as the server knows it when `clients` have sent pilots to its antennas.

        `name` is that of this measurement in the round.
        """
        radio, silent = self.scenario.radio, self._silent_symbols(array)
        sounding = Sounding(radio.pilot_symbols_per_client, silent, array.front_end.chains)
        csi = outdated(radio.csi, link.radio.age_s, self.paths.max_doppler_hz)
        return measured(link, clients, sounding, csi, name)

    def radio(self, round_index: int) -> RadioRound:
        """Return the true and the perceived paths of a round."""
        block, count = self.paths.block(round_index), self.scenario.clients.count
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
        opening: RadioRound | None = None,
    ) -> Link:
        """Return the link of the broadcast that opens a round.

        Antennas that move while the clients compute are still at their old places, and an array
        that turns at its old angles; others, and what is switched, are set for the round.

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
        opening : RadioRound, optional
            The round as it is known when it opens; by default as of the upload.
        """
        radio = upload.radio if opening is None else opening
        facings = None if opening is None else self.facings
        unturned = None if facings is None else facings.before(radio)
        if self.scenario.planning.overlap and (array.moves or unturned):
            places = old if array.moves else upload.positions
            return replace(array.link(unturned or radio, weights, places), true_positions=true_old)
        if upload.radio.age_s == 0.0:
            return upload
        return replace(upload, radio=array.link(radio, weights, upload.positions).radio)

    def movement(
        self, policy: ArrayPolicy, old: NDArray[np.float64], new: NDArray[np.float64]
    ) -> Movement:
        """Return the shortest movement between two sets of positions; none without drives."""
        if not policy.moves:
            return standing(new)
        return movement(
            old,
            new,
            wavelength_m=wavelength(self.scenario.radio.carrier_hz),
            speed_mps=self.scenario.array.drives.speed_mps,
            drive_power_w=self.scenario.array.drives.power_w,
            stuck=policy.stuck,
        )
