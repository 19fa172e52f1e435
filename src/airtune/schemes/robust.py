"""Places and beamformers for sampled errors of what is believed (`placement.robust`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement import Problem
from airtune.radio.channels.base import Paths
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

    def problem(self, believed: Problem, rng: np.random.Generator) -> Problem:
        """Return the problem whose answer is best for all sampled channels at once.

        Each client stands in it S times, with the channel of each sample, and each interferer S
        times with 1/S of its power.  So one pair (r, w) maximises

            min_{k, s} |w^H g_ks(r)|^2 / (w^H Rbar(r) w),   Rbar = mean_s R_s:

        the gain of the weakest client in the worst sample over the noise and interference that are
        to be expected (sample average of the errors' law, Shapiro et al., 2009).

        Parameters
        ----------
        believed : Problem
        rng : Generator
            Source of the errors of the S - 1 other samples.
        """
        copies = self.samples
        gains, directions = self._drawn(believed.gains, believed.directions, rng)
        others = self._drawn(believed.interferer_gains, believed.interferer_directions, rng)
        return replace(
            believed,
            gains=gains,
            directions=directions,
            weights=np.tile(believed.weights, copies),
            powers=np.tile(believed.powers, copies),
            interferer_gains=others[0],
            interferer_directions=others[1],
            interferer_powers=np.tile(believed.interferer_powers, copies) / copies,
        )

    def _drawn(
        self, gains: Complex, directions: Real, rng: np.random.Generator
    ) -> tuple[Complex, Real]:
        """Return the believed paths and S - 1 with errors, one set after the other."""
        believed = Paths(gains, directions, np.zeros(gains.shape))
        wrong = [perceived_paths(believed, self.csi, rng) for _ in range(self.samples - 1)]
        every = [believed, *wrong]
        return (
            np.concatenate([one.gains for one in every]),
            np.concatenate([one.directions for one in every]),
        )
