"""The fixed array with a reconfigurable surface beside it.

References
----------
.. [1] Z. Wang et al., "Federated learning via intelligent reflecting surface", IEEE Transactions on
   Wireless Communications 21(2), 2022.
.. [2] W. Ni, Y. Liu, Z. Yang, H. Tian, X. Shen, "Federated learning in multi-RIS-aided systems",
   IEEE Internet of Things Journal 9(12), 2022.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from airtune.costs import FrontEnd
from airtune.errors import InputError
from airtune.kinds import Integer, Real
from airtune.radio.array import channel
from airtune.radio.channels.base import Block, Paths, Transmitters
from airtune.radio.layouts import fixed_array
from airtune.radio.surface import Hops, Surface, SurfaceFading
from airtune.radio.training import Scene, learnt_direct, learnt_hops, soundings, train
from airtune.scenario import Scenario
from airtune.schemes.arrays.base import ArrayPolicy, Trial
from airtune.schemes.arrays.phases import Reflection, configure
from airtune.schemes.link import Link, RadioRound
from airtune.schemes.measured import with_known
from airtune.streams import generator, torch_seed


@dataclass(frozen=True)
class Learnt:
    """What pilots have told of a round.

    Attributes
    ----------
    round : int
    clients : ndarray, int, shape (S,)
        Who sent them.
    direct : Paths
        Of these clients, without the surface.
    hops : Hops
        Of these clients, by way of the surface.
    """

    round: int
    clients: Integer
    direct: Paths
    hops: Hops

    def surface(self, believed: Surface) -> Surface:
        """Return the surface as it is known now: all but the clients heard as believed."""
        known = self.hops.surface()
        incident = believed.incident.copy()
        incident[self.clients] = known.incident
        return replace(known, incident=incident, interference=believed.interference)

    def paths(self, believed: Transmitters) -> Transmitters:
        """Return the paths without the surface as they are known now."""
        return Transmitters(
            with_known(believed.clients, self.clients, self.direct), believed.interferers
        )


@dataclass(frozen=True)
class ReflectingSurface(ArrayPolicy):
    """Half-wavelength array, and a surface whose phases serve the weakest client [1]_ [2]_.

    The phases are set anew each round for the weights of the last one (as movable antennas are),
    the beamformer for those of this round.  Switching takes no time; what the surface draws is
    `radio.hardware.surface_w`, and pilots for the M elements are booked with
    `radio.pilot_rule: by-array`.

    Attributes
    ----------
    fading : SurfaceFading
        The hops by way of the surface; a round follows from the one before.
    phase_bits : int or None
        Resolution of the phases; None: any phase.
    learnt : Learnt or None
        What the pilots of a round have told, where the server measures.
    """

    about: ClassVar[str] = "half-wavelength array and a surface"
    rotates: ClassVar[bool] = False
    fading: SurfaceFading
    phase_bits: int | None
    learnt: Learnt | None = None

    @classmethod
    def build(cls, scenario: Scenario, seed: int) -> Self:
        """Return the policy of a repetition.

        Raises
        ------
        InputError
            The antennas have patterns: what the surface reflects is drawn without any.
        """
        if scenario.array.element != "isotropic":
            raise InputError(
                f"array.element = {scenario.array.element}: must be isotropic with the scheme ris, "
                "whose hops by way of the surface know no patterns; leave it out (schemes)"
            )
        fading = SurfaceFading(scenario.ris, scenario.radio, scenario.clients, seed)
        return cls(scenario.array, fading, scenario.ris.phase_bits)

    @property
    def front_end(self) -> FrontEnd:
        """N chains, and the controller of the surface."""
        return FrontEnd(chains=self.array.antennas, surface=True)

    @property
    def soundings(self) -> int:
        """One for each training configuration; M + 1 channels, that without the surface too."""
        return soundings(self.fading.elements, self.phase_bits is not None)

    @property
    def trains(self) -> bool:
        """Yes: the channels by way of the elements are measured before the phases are chosen."""
        return True

    def trained(self, radio: RadioRound, clients: Integer, trial: Trial) -> ReflectingSurface:
        """Return the surface with the most probable paths after a training.

        Interferers send no pilots: their channels by way of the surface are as believed.
        """
        true, believed = (
            replace(hops, clients=hops.clients.of(clients))
            for hops in self.fading.hops(radio.round)
        )
        scenes = [
            Scene(
                Transmitters(paths.clients.of(clients), paths.interferers),
                hops.surface().widened(len(paths.interferers.gains)),
                budget,
                trial.positions,
            )
            for paths, hops, budget in (
                (radio.true, true, radio.true_budget or radio.budget),
                (radio.perceived, believed, radio.budget),
            )
        ]
        rng = generator(radio.seed, "trained", radio.round)
        told = train(
            scenes[0],
            radio.powers[clients] * trial.pilots,
            rng,
            stepped_phases=self.phase_bits is not None,
            dead=trial.dead,
        )
        # the hops stay for a round, so that beliefs on them do not grow old
        hops = learnt_hops(believed, told, scenes[1], self.fading.csi)
        direct = learnt_direct(scenes[1].direct.clients, told, scenes[1], trial.csi)
        return replace(self, learnt=Learnt(radio.round, clients, direct, hops))

    def start(self) -> Real:
        """Return the half-wavelength array."""
        return fixed_array(self.array.antennas, self.array.region)

    def link(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Link:
        """Return what the antennas receive directly and by way of the surface."""
        true, perceived = self.fading.surface(radio.round)
        if self.learnt is not None and self.learnt.round == radio.round:
            perceived = self.learnt.surface(perceived)
            radio = replace(radio, block=Block(radio.true, self.learnt.paths(radio.perceived)))
        true = true.widened(len(radio.true.interferers.gains))
        perceived = perceived.widened(len(radio.perceived.interferers.gains))
        phases = configure(
            reflection(radio, perceived, effective_weights, positions),
            bits=self.phase_bits,
            seed=torch_seed(radio.seed, "phases", radio.round) % 2**31,
        ).phases
        block = Block(
            true=true.reflect(radio.true, phases),
            perceived=perceived.reflect(radio.perceived, phases),
        )
        return replace(radio, block=block).at(positions)


def reflection(
    radio: RadioRound, surface: Surface, effective_weights: Real, positions: Real
) -> Reflection:
    """Return what the phases decide on, for the clients of weight > 0 as the server sees them.

    Parameters
    ----------
    radio : RadioRound
    surface : Surface
        As the server perceives it.
    effective_weights : ndarray, float, shape (K,)
        nu_k of the last round.
    positions : ndarray, float, shape (N, 2)
        Antenna positions [wavelengths].
    """
    active = np.flatnonzero(effective_weights > 0)
    scale = (np.sqrt(radio.powers[active]) / effective_weights[active])[:, None]
    direct = radio.perceived
    strength = np.sqrt(radio.budget.interferer_powers)[:, None]
    return Reflection(
        direct=scale * channel(direct.clients.of(active), positions),
        incident=scale * surface.incident[active],
        interference=strength * channel(direct.interferers, positions),
        interference_incident=strength * surface.interference,
        to_antennas=surface.to_antennas(positions),
        noise=radio.budget.noise,
    )
