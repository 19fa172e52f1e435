"""Powers of the scale groups, chosen by the predicted error (aggregation.normalise: auto)."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.planning import plan_run
from airtune.registry import SCHEMES
from planning.test_alternate import repetition_of
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings

AUTO = {"aggregation__normalise": "auto", "plan": "own"}


def error_of(scenario) -> float:
    """Predicted error of the fixed array, from the pieces."""
    repetition = repetition_of(with_settings(scenario, aggregation__normalise="block"))
    scheme = repetition.scheme("fixed")
    link = scheme.array.link(repetition.radio(1), repetition.omega, scheme.array.start())
    return scheme.air.forecast(link, repetition.omega, repetition.matrix_sizes).mse


@pytest.mark.parametrize(("offset_db", "chosen"), [(-0.1, "loaded"), (0.1, "block")])
def test_the_choice_turns_where_noise_costs_a_twentieth_of_the_rounds(
    offset_db, chosen, small_scenario
) -> None:
    # 1 + 5.7 MSE = 1.05^2, and the error falls in proportion to the clients' power
    limit, power = (1.05**2 - 1) / 5.7, small_scenario.clients.tx_power_dbm
    power += 10 * np.log10(error_of(small_scenario) / limit) + offset_db
    scenario = with_settings(small_scenario, clients__tx_power_dbm=float(power), **AUTO)
    repetition = repetition_of(scenario)
    assert repetition.group_powers == chosen
    rules = {repetition.scheme(name).air.aggregation.normalise for name in SCHEMES}
    assert rules == {chosen}
    assert plan_run(repetition, "movable").to_dict()["radio"]["normalise"] == chosen


def test_a_run_is_that_of_the_rule_chosen(small_scenario) -> None:
    weak = with_settings(small_scenario, clients__tx_power_dbm=-25.0, plan="own")
    adapters = {}
    for rule in ("auto", "loaded", "block"):
        scenario = with_settings(weak, aggregation__normalise=rule)
        run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
        run.run_round()
        adapters[rule] = run.state.adapter
    assert np.array_equal(adapters["auto"], adapters["loaded"])
    assert not np.array_equal(adapters["auto"], adapters["block"])


def test_a_scheme_by_itself_takes_block(small_scenario) -> None:
    scenario = with_settings(small_scenario, **AUTO)
    assert SCHEMES["fixed"].build(scenario, 1).air.aggregation.group_scales == "block"
