"""Runs on a learner at hand, as the benchmarks need them."""

from __future__ import annotations

from airtune.engines import LocalEngine
from airtune.learning.learner import Learner
from airtune.learning.sizes import sizes_of
from airtune.planning.alternate import JointPlan
from airtune.planning.repetition import Repetition
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario


def repetition_on(learner: Learner, scenario: Scenario, seed: int) -> Repetition:
    """Return the repetition of a scenario; constants of the bound are calibrated if it asks so."""
    return Repetition.open(scenario, seed, lambda *given: learner, sizes=sizes_of(learner))


def run_on(
    learner: Learner, scenario: Scenario, scheme: str, seed: int, plan: JointPlan | None = None
) -> FederatedRun:
    """Return the run of a scheme."""
    repetition = repetition_on(learner, scenario, seed)
    return FederatedRun(repetition, scheme, LocalEngine.over(learner), plan)
