"""Arrays with antennas that are dead or do not move (section ``faults.antennas``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from airtune.costs import FrontEnd
from airtune.kinds import Integer, Real
from airtune.scenario import Scenario
from airtune.schemes.arrays.base import ArrayPolicy, Effort, Travel, Trial
from airtune.schemes.link import Link, RadioRound
from airtune.streams import generator


@dataclass(frozen=True)
class FaultyArray(ArrayPolicy):
    """Another policy with antennas that are dead or stuck, the same ones in all rounds of a seed.

    Dead antennas that the server knows are taken out: the policy places the others.  Those that it
    does not know are placed as if they worked; they hear nobody and send nothing.  Indices are
    those of the antennas that the server works with.

    Attributes
    ----------
    policy : ArrayPolicy
        Of the whole array.
    travel : Travel
        As the scenario sets it; used where a round does not say.
    working : ndarray, int
        Antennas of the whole array that the server works with.
    deaf : ndarray, int
        Those of them that are dead.
    held : tuple of int
        Those of them that do not move.
    dead : tuple of int
        All dead antennas, as the whole array counts them.
    """

    about: ClassVar[str] = "with dead or stuck antennas"
    policy: ArrayPolicy
    travel: Travel
    working: Integer
    deaf: Integer
    held: tuple[int, ...]
    dead: tuple[int, ...]

    @property
    def stuck_of_all(self) -> list[int]:
        """Antennas that do not move, as the whole array counts them."""
        return [int(n) for n in self.working[list(self.held)]]

    @property
    def stuck(self) -> tuple[int, ...]:
        """Antennas that do not move."""
        return self.held

    @property
    def front_end(self) -> FrontEnd:
        """That of the policy; the chains of antennas that are taken out are switched off."""
        whole = self.policy.front_end
        taken = len(self.dead) - len(self.deaf)
        return replace(whole, chains=max(whole.chains - taken, 0))

    @property
    def soundings(self) -> int:
        """Those of the policy, with the chains that are left."""
        return max(self.policy.soundings, self.front_end.turns)

    @property
    def listenings(self) -> int:
        """Those of the policy."""
        return self.policy.listenings

    @property
    def trains(self) -> bool:
        """That of the policy."""
        return self.policy.trains

    def trained(self, radio: RadioRound, clients: Integer, trial: Trial) -> ArrayPolicy:
        """Return the same of the policy with what its pilots have told."""
        trial = replace(trial, dead=self.deaf if len(self.deaf) else None)
        return replace(self, policy=self.policy.trained(radio, clients, trial))

    def ports(self) -> Real | None:
        """Those of the policy."""
        return self.policy.ports()

    def start(self) -> Real:
        """Return the positions of the antennas that the server works with."""
        return self.policy.start()[self.working]

    def place(
        self,
        radio: RadioRound,
        effective_weights: Real,
        positions: Real,
        travel: Travel | None = None,
        effort: Effort | None = None,
    ) -> Real:
        """Return the positions of the policy, in the order of the antennas; stuck ones stay."""
        if not self.held:
            return self.policy.place(radio, effective_weights, positions, travel, effort)
        travel = replace(self.travel if travel is None else travel, stuck=self.held)
        placed = self.policy.place(radio, effective_weights, positions, travel, effort).copy()
        placed[list(self.held)] = positions[list(self.held)]
        return placed

    def place_average(
        self,
        radios: Sequence[RadioRound],
        effective_weights: Real,
        positions: Real,
        travel: Travel | None = None,
    ) -> Real:
        """Return the positions of the policy for many blocks; stuck antennas stay."""
        if not self.held:
            return self.policy.place_average(radios, effective_weights, positions, travel)
        travel = replace(self.travel if travel is None else travel, stuck=self.held)
        placed = self.policy.place_average(radios, effective_weights, positions, travel).copy()
        placed[list(self.held)] = positions[list(self.held)]
        return placed

    def link(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Link:
        """Return the link of the policy, deaf antennas in its true air."""
        link = self.policy.link(radio, effective_weights, positions)
        return replace(link, dead=self.deaf) if len(self.deaf) else link

    def expected_link(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Link:
        """Return the link of the policy: who does not know of deaf antennas plans without them."""
        return self.policy.link(radio, effective_weights, positions)


class FaultyMovableArray(FaultyArray):
    """The same of a policy with drives."""

    moves: ClassVar[bool] = True


def with_faults(policy: ArrayPolicy, scenario: Scenario, seed: int) -> ArrayPolicy:
    """Return the policy with the antennas of a scenario that are dead or stuck; as it is without.

    Which they are is drawn from the stream ``("faults", "antennas")``, the dead ones first: arrays
    of as many antennas have the same.

    Parameters
    ----------
    policy : ArrayPolicy
    scenario : Scenario
        Its sections ``faults.antennas`` and ``placement`` are read.
    seed : int
        Root of the repetition's streams.
    """
    faults, placement = scenario.faults.antennas, scenario.placement
    stuck = faults.stuck if policy.moves else 0
    if not faults.dead and not stuck:
        return policy
    count = len(policy.start())
    drawn = generator(seed, "faults", "antennas").permutation(count)
    dead, held = drawn[: faults.dead], drawn[faults.dead : faults.dead + stuck]
    working = np.arange(count)
    if faults.dead_known:
        working = np.setdiff1d(working, dead)
    kind = FaultyMovableArray if policy.moves else FaultyArray
    return kind(
        array=policy.array,
        policy=policy,
        travel=Travel(placement.max_travel, placement.travel_price_db),
        working=working,
        deaf=np.flatnonzero(np.isin(working, dead)),
        held=tuple(np.flatnonzero(np.isin(working, held)).tolist()),
        dead=tuple(sorted(dead.tolist())),
    )
