"""Places and beamformers for sampled errors of what is believed (`placement.robust`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from airtune.memory import demand
from airtune.placement import Problem
from airtune.radio.channels.base import Paths, Transmitters
from airtune.radio.channels.csi import perceived_paths
from airtune.scenario import Csi, Scenario


@dataclass(frozen=True)
class Robust:
    """What places are chosen for besides the paths that are believed.

    Attributes
    ----------
    csi : Csi
        Section ``radio.csi`` of the scenario: how wrong beliefs are.
    samples : int
        S, channels that are looked at, the believed one among them.
    """

    csi: Csi
    samples: int

    @classmethod
    def of(cls, scenario: Scenario) -> Robust | None:
        """Return what a scenario asks for; None where nothing is to be sampled."""
        placement, csi = scenario.placement, scenario.radio.csi
        if placement.robust == "none" or (csi.gain_error == 0 and csi.angle_error_deg == 0):
            return None
        return cls(csi, placement.robust_samples)

    @property
    def sets_beamformers(self) -> bool:
        """Whether beamformers rest on the same beliefs, and are not measured afterwards."""
        return self.csi.beamformer == "paths"

    def drawn(self, believed: Transmitters, rng: np.random.Generator) -> list[Transmitters]:
        """Return what is believed, and S - 1 times the same with errors by the law of `radio.csi`.

        Parameters
        ----------
        believed : Transmitters
        rng : Generator
            Source of the errors.

        Raises
        ------
        InputError
            They would not fit into memory.
        """
        paths = believed.clients.gains.size + believed.interferers.gains.size
        demand(
            f"placement.robust_samples = {self.samples}: {self.samples} samples of {paths} paths",
            64.0 * self.samples * paths,
        )
        wrong = [
            Transmitters(
                perceived_paths(believed.clients, self.csi, rng),
                perceived_paths(believed.interferers, self.csi, rng),
            )
            for _ in range(self.samples - 1)
        ]
        return [believed, *wrong]

    def problem(self, believed: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem whose answer is best for all sampled channels of plane waves at once.

        Parameters
        ----------
        believed : Problem
        rng : Generator
            Source of the errors of the S - 1 other samples.
        """
        both = (
            (believed.gains, believed.directions),
            (believed.interferer_gains, believed.interferer_directions),
        )
        paths = (Paths(gains, turned, np.zeros(gains.shape)) for gains, turned in both)
        return stacked(
            [
                replace(
                    believed,
                    gains=one.clients.gains,
                    directions=one.clients.directions,
                    interferer_gains=one.interferers.gains,
                    interferer_directions=one.interferers.directions,
                )
                for one in self.drawn(Transmitters(*paths), rng)
            ]
        )


def stacked(samples: Sequence[Problem]) -> Problem:
    """Return the problem whose answer is best for S channels at once.

    Each client stands in it S times, with the channel of each sample, and each interferer S times
    with 1/S of its power.  So one pair (r, w) maximises

        min_{k, s} |w^H g_ks(r)|^2 / (w^H Rbar(r) w),   Rbar = mean_s R_s:

    the gain of the weakest client in the worst sample over the noise and interference that are to
    be expected (sample average of the errors' law, Shapiro et al., 2009).

    Parameters
    ----------
    samples : sequence of Problem
        Of the same clients, interferers and region.
    """
    first, copies = samples[0], len(samples)
    return replace(
        first,
        gains=np.concatenate([one.gains for one in samples]),
        directions=np.concatenate([one.directions for one in samples]),
        weights=np.tile(first.weights, copies),
        powers=np.tile(first.powers, copies),
        interferer_gains=np.concatenate([one.interferer_gains for one in samples]),
        interferer_directions=np.concatenate([one.interferer_directions for one in samples]),
        interferer_powers=np.tile(first.interferer_powers, copies) / copies,
    )
