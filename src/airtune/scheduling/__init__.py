"""Who transmits in a round: the selection policies (system model, section 1, step 2).

``airtune.registry.POLICIES`` names them; the docs' page on selection tells how to add one.
"""

from __future__ import annotations

from airtune.scheduling.base import Candidates, Choice, Policy, choose, renormalised, strongest
from airtune.scheduling.best_channel import BestChannel
from airtune.scheduling.everybody import Everybody
from airtune.scheduling.joint import Joint
from airtune.scheduling.proportional_fair import ProportionalFair
from airtune.scheduling.uniform_random import UniformRandom

EVERYBODY = Everybody()
RANDOM = UniformRandom()
BEST_CHANNEL = BestChannel()
PROPORTIONAL_FAIR = ProportionalFair()
JOINT = Joint()

__all__ = [
    "BEST_CHANNEL",
    "EVERYBODY",
    "JOINT",
    "PROPORTIONAL_FAIR",
    "RANDOM",
    "Candidates",
    "Choice",
    "Policy",
    "choose",
    "renormalised",
    "strongest",
]
