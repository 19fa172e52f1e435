"""Who transmits in a round: the selection policies (system model, section 1, step 2)."""

from __future__ import annotations

from airtune.scheduling.candidates import Candidates, Choice
from airtune.scheduling.joint import Joint
from airtune.scheduling.policies import (
    BestChannel,
    Everybody,
    Policy,
    ProportionalFair,
    UniformRandom,
)

POLICIES: dict[str, Policy] = {
    "all": Everybody(),
    "random": UniformRandom(),
    "best-channel": BestChannel(),
    "proportional-fair": ProportionalFair(),
    "joint": Joint(),
}

__all__ = ["POLICIES", "Candidates", "Choice", "Policy"]
