"""What the page says of poisoned clients and defences."""

from __future__ import annotations

from typing import Any

from airtune.report.defences import remarks
from airtune.scenario import Scenario


def results(schemes: dict[str, dict[str, Any]], **changes: Any) -> dict[str, Any]:
    scenario = Scenario().to_dict()
    for section, values in changes.items():
        scenario[section] |= values
    return {"scenario": scenario, "schemes": schemes}


BOTH: dict[str, dict[str, Any]] = {"ideal": {}, "movable": {}, "fixed": {}, "digital": {}}


def test_a_run_without_either_says_nothing() -> None:
    assert remarks(results(BOTH)) == []
    assert remarks({}) == []
    assert remarks({"scenario": {"faults": {}}, "schemes": {"gone": {"rejected_rounds": 0}}}) == []


def test_the_poisoned_are_counted() -> None:
    poison = {"kind": "label-noise", "share": 0.25, "scale": None, "from_round": 1}
    (said,) = remarks(results(BOTH, faults={"poison": poison}))
    assert said == "Poisoned: 3 of 10 clients, which learnt from wrong answers."
    (said,) = remarks(results(BOTH, faults={"poison": poison | {"from_round": 4}}))
    assert said.endswith("wrong answers from round 4 on.")
    assert remarks(results(BOTH, faults={"poison": poison | {"share": 0.0}})) == []


def test_it_is_said_for_whom_a_rule_held() -> None:
    said = remarks(results(BOTH, aggregation={"robust": "median"}))
    assert len(said) == 2
    assert said[0].startswith("The median of the clients' updates")
    assert said[0].endswith("Ideal, Digital.")
    assert "Movable" in said[1]
    assert "aggregation.groups = 1" in said[1]
    said = remarks(results(BOTH, aggregation={"robust": "trimmed-mean", "groups": 5}))
    assert said[1].startswith("Sums of 5 groups, one slot each, the trimmed mean of which")
    (said_of_mean,) = remarks(results(BOTH, aggregation={"groups": 2}))
    assert "and their mean" in said_of_mean


def test_rounds_without_a_step_are_counted() -> None:
    schemes = {"fixed": {"rejected_rounds": 1}, "movable": {"rejected_rounds": {"median": 3.0}}}
    one, other = remarks(results(schemes))
    assert "1 round without a step" in one
    assert "3 rounds without a step" in other
