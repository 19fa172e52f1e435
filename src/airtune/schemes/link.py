"""One round's radio as a scheme sees it: before the antennas are placed, and with them in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from airtune.errors import InputError
from airtune.kinds import Complex, Integer, Real
from airtune.placement import Placement, Problem, ProblemError, beamform
from airtune.placement.problem import evaluate, normalise
from airtune.radio.array import SINGLE
from airtune.radio.channels.base import Block, Paths, Transmitters
from airtune.radio.plane_waves import interpolated, tangent
from airtune.radio.units import LinkBudget
from airtune.scenario import Scenario
from airtune.schemes.given_paths import check_paths, of_antennas
from airtune.schemes.response import Response
from airtune.schemes.robust import Robust, stacked
from airtune.streams import generator, torch_seed


@dataclass(frozen=True)
class AntennaRegion:
    """Where antennas may be placed.

    Attributes
    ----------
    antennas : int
        Number N of antennas.
    size : tuple of two floats
        A_x, A_y of the box [0, A_x] x [0, A_y], in wavelengths.
    spacing : float
        Least distance D of two antennas [wavelengths].
    """

    antennas: int
    size: tuple[float, float]
    spacing: float


@dataclass(frozen=True)
class RadioRound:
    """The radio of one round, before the antennas are placed.

    Attributes
    ----------
    seed : int
        Root of the repetition's streams.
    round : int
        1 to T.
    block : Block
        Paths of the round, true and as the server perceives them.
    budget : LinkBudget
        Powers of clients and interferers, and the noise.
    region : AntennaRegion
        Where movable antennas may be placed.
    true_budget : LinkBudget, optional
        The powers as they are, where the server believes in others.
    age_s : float
        How old what the server perceives is [s].
    robust : Robust, optional
        Errors of what is perceived for which places and beamformers are chosen.
    bandwidth_hz : float
        W, of the uplink [Hz].
    resource_blocks : int
        I, into which the bands of uplink and broadcast are cut.
    client_antennas : int
        M of each client.  Above 1 there is no channel vector of a client until its antennas are
        weighed (:mod:`airtune.schemes.precoding`).
    client_spacing : float
        Distance of neighbouring antennas of a client [wavelengths].
    """

    seed: int
    round: int
    block: Block
    budget: LinkBudget
    region: AntennaRegion
    true_budget: LinkBudget | None = None
    age_s: float = 0.0
    robust: Robust | None = None
    bandwidth_hz: float = 0.0
    resource_blocks: int = 1
    client_antennas: int = 1
    client_spacing: float = 0.5

    @classmethod
    def of(cls, scenario: Scenario, seed: int, round_index: int, block: Block) -> RadioRound:
        """Return the radio of a round of a scenario.

        Parameters
        ----------
        scenario : Scenario
            Its sections ``radio``, ``clients``, ``array`` and ``faults.antennas`` are read.
        seed : int
            Root of the repetition's streams.
        round_index : int
        block : Block
            What the channel gives for this round.

        Raises
        ------
        InputError
            The paths hold no numbers, powers too far apart to compute with, or no departures.
        """
        array, budget = scenario.array, LinkBudget.of(scenario.radio, scenario.clients)
        block = of_antennas(block, scenario)
        try:
            for transmitters in {id(x): x for x in (block.true, block.perceived)}.values():
                check_paths(transmitters, budget, array.antennas)
        except ProblemError as error:
            raise InputError(
                f"the air of round {round_index}: {error} (settings of clients.tx_power_dbm and "
                "radio)"
            ) from error
        antennas = array.antennas - scenario.faults.antennas.missing
        region = AntennaRegion(antennas, array.region, array.spacing)
        radio = scenario.radio
        return cls(
            seed,
            round_index,
            block,
            budget,
            region,
            robust=Robust.of(scenario),
            bandwidth_hz=radio.bandwidth_hz,
            resource_blocks=radio.resource_blocks,
            client_antennas=scenario.clients.antennas,
            client_spacing=scenario.clients.antenna_spacing,
        )

    @cached_property
    def subbands(self) -> tuple[RadioRound, ...]:
        """The round in each resource block of the uplink, as if the whole band were like it.

        Powers and noise stay those of the whole band: P_k / I over the noise of a share 1/I of the
        band is the same ratio.  The round itself where there is one block, or no path has a delay.
        """
        return self.over(self.bandwidth_hz)

    def over(self, bandwidth_hz: float) -> tuple[RadioRound, ...]:
        """Return the same for the resource blocks of another band about the carrier [Hz]."""
        blocks = self.block.subbands(bandwidth_hz, self.resource_blocks)
        if len(blocks) == 1:
            return (self,)
        return tuple(replace(self, block=one, resource_blocks=1) for one in blocks)

    @property
    def middle(self) -> RadioRound:
        """The round in the resource block in the middle, the upper one of two: what is drawn."""
        return self.subbands[len(self.subbands) // 2]

    @property
    def true(self) -> Transmitters:
        """The paths as they are."""
        return self.block.true

    @property
    def perceived(self) -> Transmitters:
        """The paths as the server believes them to be."""
        return self.block.perceived

    @property
    def powers(self) -> Real:
        """Power limits P_k, shape (K,) [W]."""
        return self.budget.client_powers

    @property
    def near(self) -> bool:
        """Whether the server knows of spherical wave fronts."""
        both = (self.perceived.clients, self.perceived.interferers)
        return any(paths.distances is not None for paths in both)

    def problem(
        self, effective_weights: Real, places: Real | None = None, *, slopes: bool = False
    ) -> Problem:
        """Return the placement problem of these clients (system model, section 5).

        It holds plane waves; spherical ones are replaced by plane ones that agree with them in the
        middle of the region, or at some places.

        Parameters
        ----------
        effective_weights : ndarray, float, shape (K,)
            nu_k; clients with 0 are left out.
        places : ndarray, float, shape (P, 2), optional
            Where spherical waves are met exactly [wavelengths].
        slopes : bool, optional
            Meet there also how they change with the places.

        Raises
        ------
        InputError
            The settings of radio, clients or array make no problem that can be computed with.
        """
        return self._problem(self.perceived, effective_weights, places, slopes)

    def chosen_for(
        self, effective_weights: Real, places: Real | None = None, *, slopes: bool = False
    ) -> Problem:
        """Return the problem that places are chosen for (`placement.robust`).

        That of :meth:`problem`, or the same with sampled errors of what is perceived.
        """
        if self.robust is None:
            return self.problem(effective_weights, places, slopes=slopes)
        return stacked(
            [self._problem(one, effective_weights, places, slopes) for one in self._sampled]
        )

    def settled(
        self,
        effective_weights: Real,
        solved: Callable[[Problem], Placement],
        places: Real | None = None,
    ) -> Placement:
        """Return the answer of a solver to what places are chosen for (`placement.robust`).

        That to :meth:`chosen_for`, or the one whose worst errors are the least bad.

        Raises
        ------
        InputError
            Worst errors of spherical waves are asked for.
        """
        if self.robust is None or self.robust.deviations is None:
            return solved(self.chosen_for(effective_weights, places))
        if self.near:
            raise InputError(
                "placement.robust = worst-case: must be none or sampled with spherical waves, "
                "which the distances of these paths tell of"
            )
        rng = generator(self.seed, "robust", self.round)
        return self.robust.withstood(self.problem(effective_weights), solved, rng)[0]

    @cached_property
    def _sampled(self) -> list[Transmitters]:
        """What is perceived and the same with sampled errors, for whichever clients and places."""
        if self.robust is None:
            return [self.perceived]
        return self.robust.drawn(self.perceived, generator(self.seed, "robust", self.round))

    def _problem(
        self, believed: Transmitters, effective_weights: Real, places: Real | None, slopes: bool
    ) -> Problem:
        if self.client_antennas > 1:
            raise InputError(f"clients.antennas = {self.client_antennas}: {SINGLE}")
        active = np.flatnonzero(effective_weights > 0)
        paths = self._plane(believed.clients.of(active), places, slopes)
        interferers = self._plane(believed.interferers, places, slopes)
        try:
            return Problem(
                gains=paths.gains,
                directions=paths.directions,
                weights=effective_weights[active],
                powers=self.powers[active],
                noise=self.budget.noise,
                interferer_gains=interferers.gains,
                interferer_directions=interferers.directions,
                interferer_powers=self.budget.interferer_powers,
                antennas=self.region.antennas,
                region=np.asarray(self.region.size),
                spacing=self.region.spacing,
            )
        except ProblemError as error:
            # Weights nu follow the sizes of the updates that clients report.
            raise InputError(
                f"the air of round {self.round}: {error}. P: clients.tx_power_dbm; a: radio; nu: "
                "sizes of the clients' updates, too far apart; lower faults.poison.scale, or bound "
                "them by training.clip_norm"
            ) from error

    def _plane(self, paths: Paths, places: Real | None, slopes: bool) -> Paths:
        if places is None:
            return tangent(paths, np.asarray(self.region.size) / 2.0)
        return interpolated(paths, places, slopes=slopes)

    def at(self, positions: Real) -> Link:
        """Return the radio of the round with the antennas at `positions`."""
        return Link(self, positions)


@dataclass(frozen=True)
class Known:
    """The best receive beamformer for some weights nu_k, shape (K,), where it is known before."""

    effective_weights: Real
    placement: Placement


@dataclass(frozen=True)
class Link:
    """The radio of one round with the antennas in place.

    Attributes
    ----------
    radio : RadioRound
    positions : ndarray, float, shape (N, 2)
        Antenna positions as the server believes them to be [wavelengths].
    true_positions : ndarray, float, shape (N, 2), optional
        Where the antennas are, where drives have missed [wavelengths].
    dead : ndarray, int, optional
        Antennas that hear nobody and of which the server does not know it.
    known : Known, optional
        A beamformer that has been found before.
    """

    radio: RadioRound
    positions: Real
    true_positions: Real | None = None
    dead: Integer | None = None
    known: Known | None = None

    @cached_property
    def true(self) -> Response:
        """The air as it is."""
        positions = self.positions if self.true_positions is None else self.true_positions
        budget = self.radio.true_budget or self.radio.budget
        return Response(self.radio.true, positions, budget, self.dead)

    @cached_property
    def perceived(self) -> Response:
        """The air as the server believes it to be."""
        return Response(self.radio.perceived, self.positions, self.radio.budget)

    @cached_property
    def subbands(self) -> tuple[Link, ...]:
        """The link in each resource block of the uplink; itself where they are alike."""
        return self.over(self.radio.bandwidth_hz)

    def over(self, bandwidth_hz: float) -> tuple[Link, ...]:
        """Return the link in each resource block of a band about the carrier [Hz]."""
        if self.radio.resource_blocks == 1:
            return (self,)
        uplink = bandwidth_hz == self.radio.bandwidth_hz
        radios = self.radio.subbands if uplink else self.radio.over(bandwidth_hz)
        return (self,) if len(radios) == 1 else tuple(replace(self, radio=one) for one in radios)

    @property
    def middle(self) -> Link:
        """The link in the resource block in the middle, the upper one of two: what is drawn."""
        return self.subbands[len(self.subbands) // 2]

    def best_beamformer(self, effective_weights: Real) -> Placement:
        """Return the best receive beamformer for these positions and weights nu_k, shape (K,).

        With `placement.robust` it is the best for sampled errors, and its gain that of the paths as
        they are perceived.  Several resource blocks have one each: this is for one of them.
        """
        known = self.known
        if known and np.array_equal(known.effective_weights, effective_weights):
            return known.placement
        problem = self.radio.problem(effective_weights, self.positions)
        if self.radio.robust is None or not self.radio.robust.sets_beamformers:
            return self._beamform(problem)
        best = self.chosen(effective_weights)
        return replace(
            best,
            beamformer=normalise(problem, self.positions, best.beamformer),
            worst_gain=evaluate(problem, self.positions, best.beamformer),
        )

    def chosen(self, effective_weights: Real) -> Placement:
        """Return the beamformer and gain by which places are judged when they are chosen."""
        return self.radio.settled(effective_weights, self._beamform, self.positions)

    def _beamform(self, problem: Problem) -> Placement:
        seed = torch_seed(self.radio.seed, "beamformer", self.radio.round) % 2**31
        return beamform(problem, self.positions, seed=seed)

    def multicast_beamformer(self, clients: Integer) -> Complex | None:
        """Return the beamformer of the broadcast to these clients (indices), shape (N,).

        It maximises the gain of the weakest of them as the server perceives their channels, by
        reciprocity the max-min problem of the uplink without interferers.  None: spreading the
        power over all antennas by a space-time block code serves the weakest better.
        """
        chosen = np.zeros(len(self.radio.powers))
        chosen[clients] = 1.0
        problem = self.radio.problem(chosen, self.positions)
        quiet = replace(
            problem,
            powers=np.ones_like(problem.powers),
            noise=1.0,
            interferer_gains=problem.interferer_gains[:0],
            interferer_directions=problem.interferer_directions[:0],
            interferer_powers=problem.interferer_powers[:0],
        )
        seed = torch_seed(self.radio.seed, "multicast", self.radio.round) % 2**31
        best = beamform(quiet, self.positions, seed=seed)
        spread = np.mean(np.abs(self.perceived.of(clients).channel) ** 2, axis=1)
        return best.beamformer if best.worst_gain > spread.min() else None
