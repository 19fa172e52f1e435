"""Repetition as a decision of the joint plan: the same plan as trying every number by itself."""

from __future__ import annotations

import numpy as np
import pytest

from airtune import record
from airtune.errors import InfeasibleError
from airtune.planning import plan_run
from airtune.rounds import cell_io
from planning.test_alternate import repetition_of
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings

LOUD = {
    "clients__tx_power_dbm": -25.0,
    "radio__bandwidth_hz": 2e3,
    "client_processor__flop_per_cycle": 2e3,
    "plan": "own",
}
"""Reports take half a minute, computing little, and an upload of 54 symbols 30 ms."""


def plans(scenario, scheme, most=5):
    """The plan that decides, and those with every number given."""
    free = with_settings(
        scenario, aggregation__repetition="planned", aggregation__repetition_max=most
    )
    given = []
    for n in range(1, most + 1):
        fixed = with_settings(scenario, aggregation__repetition=n)
        try:
            given.append(plan_run(repetition_of(fixed), scheme).plan)
        except InfeasibleError:
            break
    return plan_run(repetition_of(free), scheme), given


@pytest.mark.parametrize(
    ("scheme", "alignment"), [("fixed", "forcing"), ("fixed", "capped"), ("cotaf", "forcing")]
)
def test_the_plan_decides_as_trying_every_number_does(scheme, alignment, small_scenario) -> None:
    loud = with_settings(small_scenario, **LOUD, aggregation__alignment=alignment)
    chosen = []
    least = plan_run(repetition_of(loud), scheme).plan.latency_s.total
    for latency in (least + 0.01, least + 0.4, 2 * least):
        joint, given = plans(with_settings(loud, budget__latency_s=latency), scheme)
        bounds = [plan.bound.total for plan in given]
        assert joint.plan.bound.total == pytest.approx(min(bounds), rel=1e-12)
        assert joint.plan.repetition == 1 + int(np.argmin(bounds))
        assert [plan.repetition for plan in given] == [1, 2, 3, 4, 5][: len(given)]
        chosen.append(joint.plan.repetition)
    assert chosen == sorted(chosen)
    assert chosen[-1] == 5  # time enough for all that is allowed
    assert chosen[0] < 5


def test_a_planned_run_is_that_of_the_number_given(small_scenario, tmp_path) -> None:
    loud = with_settings(small_scenario, **LOUD, budget__latency_s=34.7)
    free = with_settings(loud, aggregation__repetition="planned")
    joint = plan_run(repetition_of(free), "fixed")
    count = joint.plan.repetition
    given = with_settings(loud, aggregation__repetition=count)
    assert count > 1
    lines = {}
    for name, scenario in (("free", free), ("given", given)):
        run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
        cell = record.Cell(tmp_path / name / "seed-0", "fixed", 0)
        cell_io.execute(run, cell, lambda line: None)
        lines[name] = [
            {k: v for k, v in line.items() if not k.endswith("_wall_s")}
            for line in record.read_metrics(cell)
        ]
        plan = record.read_document(cell.plan_file, record.documents.PlanDocument)
        assert plan.repetition == count
    assert lines["free"] == lines["given"]
    once = 54 / (2e3 * 0.9)
    assert lines["free"][-1]["round_latency_s"]["uplink"] == pytest.approx(count * once)


def test_a_shared_plan_repeats_for_every_analog_scheme_and_for_no_digital_one(
    small_scenario,
) -> None:
    scenario = with_settings(
        small_scenario, **{**LOUD, "plan": "shared"}, aggregation__repetition="planned"
    )
    repetition = repetition_of(scenario)
    joint = plan_run(repetition, "fixed")
    assert joint.plan.repetition == scenario.aggregation.repetition_max  # without any budget
    for name in ("movable", "fixed", "truncated", "cotaf", "obda"):
        air = repetition.planned_scheme(name, 7).air
        assert air.aggregation.sendings == 7
    for name in ("digital", "ideal"):
        assert repetition.planned_scheme(name, 7) is repetition.scheme(name)
    own = with_settings(scenario, plan="own")
    assert plan_run(repetition_of(own), "digital").plan.repetition == 1


def test_groups_repeat_in_every_slot(small_scenario) -> None:
    scenario = with_settings(
        small_scenario, **LOUD, aggregation__groups=2, aggregation__repetition="planned"
    )
    repetition = repetition_of(scenario)
    link = repetition.scheme("fixed").array
    at = link.link(repetition.radio(1), repetition.omega, link.start())
    once, thrice = (
        repetition.planned_scheme("fixed", n).air.forecast(
            at, repetition.omega, repetition.matrix_sizes
        )
        for n in (1, 3)
    )
    assert thrice.mse == pytest.approx(once.mse / 3)
    assert thrice.uplink_s == pytest.approx(3 * once.uplink_s)
