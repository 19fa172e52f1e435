"""Places and beamformers for errors of what is believed (`placement.robust`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from airtune.memory import demand
from airtune.placement import Placement, Problem
from airtune.radio.channels.base import Paths, Transmitters
from airtune.radio.channels.csi import perceived_paths
from airtune.scenario import Csi, Scenario
from airtune.schemes.worst_case import ErrorSet, Worst, withstand


@dataclass(frozen=True)
class Robust:
    """What places are chosen for besides the paths that are believed.

    Attributes
    ----------
    csi : Csi
        Section ``radio.csi`` of the scenario: how wrong beliefs are.
    samples : int
        S, channels that are looked at, the believed one among them.
    deviations : float, optional
        Radius of the set whose worst errors they are, in standard deviations; None: they are drawn.
    """

    csi: Csi
    samples: int
    deviations: float | None = None

    @classmethod
    def of(cls, scenario: Scenario) -> Robust | None:
        """Return what a scenario asks for; None where there is nothing to allow for."""
        placement, csi = scenario.placement, scenario.radio.csi
        if placement.robust == "none" or (csi.gain_error == 0 and csi.angle_error_deg == 0):
            return None
        worst = placement.robust == "worst-case"
        deviations = placement.robust_deviations if worst else None
        return cls(csi, placement.robust_samples, deviations)

    @property
    def sets_beamformers(self) -> bool:
        """Whether beamformers rest on the same beliefs, and are not measured afterwards."""
        return self.csi.beamformer == "paths"

    def withstood(
        self, believed: Problem, solved: Callable[[Problem], Placement], rng: np.random.Generator
    ) -> tuple[Placement, Worst]:
        """Return the answer whose worst errors are the least bad, and these.

        Parameters
        ----------
        believed : Problem
            Of plane waves.
        solved : callable
            Solves a problem.
        rng : Generator
            Where the searches for the worst errors start.

        Raises
        ------
        InputError
            The channels would not fit into memory.
        """
        self._demand(believed.gains.size + believed.interferer_gains.size)
        errors = ErrorSet(
            self.csi.gain_error, np.deg2rad(self.csi.angle_error_deg), self.deviations or 0.0
        )
        return withstand(believed, errors, lambda some: solved(stacked(some)), self.samples, rng)

    def _demand(self, paths: int) -> None:
        demand(
            f"placement.robust_samples = {self.samples}: {self.samples} samples of {paths} paths",
            64.0 * self.samples * paths,
        )

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
        self._demand(believed.clients.gains.size + believed.interferers.gains.size)
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
