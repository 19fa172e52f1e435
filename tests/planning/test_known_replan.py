"""Plans of the rest by `planning.replan_factor`, of arrays without drives, by what is predicted."""

from __future__ import annotations

from airtune.engines import LocalEngine
from airtune.planning import Repetition
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from planning.test_forecast_plan import PILOT
from quadratic import QuadraticLearner
from rounds.test_federated import with_settings


def test_one_fade_does_not_plan_the_rest(small_scenario: Scenario) -> None:
    """The present round is compared with drawn ones, and the rest is planned for such, too."""
    scenario = with_settings(
        small_scenario,
        training__server_optimizer="adam",
        training__rounds=40,
        planning__rounds="planned",
        plan="own",
        planning__objective="time",
        planning__replan_factor=1.5,
        planning__replan_every=2,
        clients__tx_power_dbm=20.0,
    )
    learner = QuadraticLearner(scenario, 4)
    repetition = Repetition(scenario, 4, learner, pilot=PILOT)  # type: ignore[arg-type]
    run = FederatedRun(repetition, "fixed", LocalEngine.over(learner))  # type: ignore[arg-type]
    told = []
    while run.state.round < run.current.last_round:
        told.append(run.run_round().get("replanned"))
    assert sum(one is not None for one in told) <= 4  # nine where one round told of the rest
    assert run.state.round < 40
