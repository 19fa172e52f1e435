"""How long the paths last, against how long antennas move and clients compute."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from airtune.planning.alternate import JointPlan
from airtune.planning.repetition import Repetition

COHERENCE = 0.423
"""Coherence time times the largest Doppler shift [1]_.

.. [1] T. Rappaport, "Wireless Communications", 2nd edition, Prentice Hall 2002, equation 5.40.c:
   the geometric mean of 1 / f and of 9 / (16 pi f), where the square of Clarke's J0 is 1/2.
"""


@dataclass(frozen=True)
class Coherence:
    """Times of a planned round that places get old in.

    Attributes
    ----------
    max_doppler_hz : float
        The largest Doppler shift [Hz].
    coherence_s : float
        0.423 over it [s].
    move_s, compute_s : float
        How long the antennas move to new places, and how long the slowest client computes [s].
    overlap : bool
        Whether they do so at the same time.
    """

    max_doppler_hz: float
    coherence_s: float
    move_s: float
    compute_s: float
    overlap: bool = True

    @property
    def age_s(self) -> float:
        """How old the paths of the round's beginning are when the clients send [s]."""
        both = self.move_s, self.compute_s
        return max(both) if self.overlap else sum(both)

    @classmethod
    def of(cls, repetition: Repetition, joint: JointPlan) -> Coherence | None:
        """Return the times of a plan.

        None where nothing moves, the channel does not tell, or its paths stay for a whole round
        (block fading), whatever that takes.
        """
        doppler, plan = repetition.paths.max_doppler_hz, joint.plan
        if not doppler or not repetition.paths.turns:
            return None
        move_s, compute_s = joint.expected.costs.move_s, plan.latency_s.compute / plan.rounds
        overlap = repetition.scenario.planning.overlap
        return cls(doppler, COHERENCE / doppler, move_s, compute_s, overlap)

    def to_dict(self) -> dict[str, Any]:
        """Return the times in plain JSON types."""
        return {name: value for name, value in asdict(self).items() if name != "overlap"}

    def sentence(self) -> str:
        """Say them, and whether places are for paths that have changed when they are reached."""
        old = self.age_s > self.coherence_s
        return (
            f"Coherence time {self.coherence_s:.3g} s (largest Doppler shift "
            f"{self.max_doppler_hz:.3g} Hz); a round's movement takes {self.move_s:.3g} s, its "
            f"computing {self.compute_s:.3g} s: "
            + ("paths change meanwhile (see radio.csi.age_s)" if old else "paths last that long")
        )
