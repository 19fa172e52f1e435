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
from functools import lru_cache

import numpy as np

from airtune.kinds import Real
from airtune.radio.array import channel
from airtune.radio.layouts import fixed_array
from airtune.radio.surface import Surface, SurfaceFading
from airtune.radio.units import interferer_powers, receiver_noise
from airtune.scenario import Clients, Radio, Ris, Scenario
from airtune.schemes.arrays.base import ArrayPolicy
from airtune.schemes.arrays.phases import Reflection, configure
from airtune.schemes.link import Link, RadioRound
from airtune.streams import torch_seed


@dataclass(frozen=True)
class ReflectingSurface(ArrayPolicy):
    """Half-wavelength array, and a surface whose phases serve the weakest client [1]_ [2]_.

    The phases are set anew each round for the weights of the last one (as movable antennas are),
    the beamformer for those of this round.  Switching, pilots for the M elements, and what the
    elements draw are not counted: in favour of this baseline.
    """

    about: str = "half-wavelength array and a surface"

    def start(self, scenario: Scenario, seed: int) -> Real:
        return fixed_array(scenario.array.antennas, scenario.array.region)

    def link(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Link:
        scenario = radio.scenario
        fading = _fading(scenario.ris, scenario.radio, scenario.clients, radio.seed)
        true, seen = fading.surface(radio.round)
        found = configure(
            reflection(radio, seen, effective_weights, positions),
            bits=scenario.ris.phase_bits,
            seed=torch_seed(radio.seed, "phases", radio.round) % 2**31,
        )
        return replace(
            radio,
            true=true.reflect(radio.true, found.phases),
            perceived=seen.reflect(radio.perceived, found.phases),
        ).at(positions)


def reflection(
    radio: RadioRound, surface: Surface, effective_weights: Real, positions: Real
) -> Reflection:
    """Return what the phases decide on, for the clients of weight > 0 as the server sees them."""
    heard = np.flatnonzero(effective_weights > 0)
    scale = (np.sqrt(radio.powers[heard]) / effective_weights[heard])[:, None]
    block, settings = radio.perceived, radio.scenario.radio
    strength = np.sqrt(interferer_powers(settings.interferers))[:, None]
    return Reflection(
        direct=scale * channel(block.clients.of(heard), positions),
        incident=scale * surface.incident[heard],
        interference=strength * channel(block.interferers, positions),
        interference_incident=strength * surface.interference,
        to_antennas=surface.to_antennas(positions),
        noise=receiver_noise(settings),
    )


@lru_cache(maxsize=4)
def _fading(ris: Ris, radio: Radio, clients: Clients, seed: int) -> SurfaceFading:
    """Return the surface's hops of a repetition; kept, for a round follows from the one before."""
    return SurfaceFading(ris, radio, clients, seed)
