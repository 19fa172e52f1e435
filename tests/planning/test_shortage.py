"""Budgets that are told as least: they are enough, and clearly less is not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airtune.allocation import AdjustableBudget, conflict_of
from airtune.errors import InputError
from airtune.planning import plan_run
from airtune.planning.alternate import JointPlan
from airtune.scenario import Scenario
from planning.test_alternate import repetition_of
from planning.test_resources import plan
from rounds.test_federated import with_settings

KINDS = ("latency_s", "energy_j", "client_energy_j")
TOLD = r"budget\.(\w+)(?:\[\d+\])? = \S+ to at least ([0-9.e+-]+\d)"


def told_of(message: str) -> list[dict[str, float]]:
    """Return what a message tells: each entry is enough by itself."""
    assert len(message) <= 400
    found = {name: float(least) for name, least in re.findall(TOLD, message)}
    assert found, message
    return [found] if "together" in message else [{k: v} for k, v in found.items()]


def check_told(scenario: Scenario, scheme: str, budgets: dict[str, float]) -> bool:
    """Check what is told of budgets that are too small; return whether they are."""

    def planned(**values: float) -> JointPlan:
        given = {f"budget__{name}": value for name, value in (budgets | values).items()}
        return plan_run(repetition_of(with_settings(scenario, **given)), scheme)

    try:
        planned()
    except InputError as error:
        options = told_of(str(error))
    else:
        return False
    for option in options:
        joint = planned(**option)
        kept = budgets | option
        assert joint.plan.latency_s.total <= kept.get("latency_s", np.inf) * (1 + 1e-9)
        assert joint.plan.energy_j.total <= kept.get("energy_j", np.inf) * (1 + 1e-9)
        most = float(joint.plan.client_energy_j.max())
        assert most <= kept.get("client_energy_j", np.inf) * (1 + 1e-9)
        for name, least in option.items():
            if 0.9 * least > budgets[name]:
                with pytest.raises(InputError, match="to at least"):
                    planned(**option | {name: 0.9 * least})
    return True


def spent(scenario: Scenario, scheme: str) -> dict[str, float]:
    """Return what the plan without budgets counts."""
    free = plan_run(repetition_of(with_settings(scenario, budget__latency_s=None)), scheme).plan
    most = float(free.client_energy_j.max())
    return {
        "latency_s": free.latency_s.total,
        "energy_j": free.energy_j.total,
        "client_energy_j": most,
    }


@pytest.mark.slow
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    scheme=st.sampled_from(["movable", "digital-movable", "fixed", "digital", "selection"]),
    clients=st.integers(1, 4),
    antennas=st.integers(1, 3),
    rounds=st.sampled_from([1, 2, 6]),
    movement=st.sampled_from(["each-round", "when-needed", "once", "statistical"]),
    speed=st.sampled_from([0.005, 0.05, 0.5]),
    shares=st.dictionaries(st.sampled_from(KINDS), st.sampled_from([1e-3, 0.3, 0.8]), min_size=1),
    more=st.fixed_dictionaries(
        {
            "planning__overlap": st.booleans(),
            "planning__alternate": st.booleans(),
            "planning__participation": st.sampled_from(["all", "planned"]),
            "clients__concurrency": st.sampled_from([None, 1]),
            "clients__tx_power_dbm": st.sampled_from([-25.0, 10.0]),
        }
    ),
)
def test_what_is_told_is_enough_and_a_tenth_less_is_not(
    small_scenario, scheme, clients, antennas, rounds, movement, speed, shares, more
) -> None:
    scenario = with_settings(
        small_scenario,
        plan="own",
        clients__count=clients,
        array__antennas=antennas,
        array__speed_mps=speed,
        training__rounds=rounds,
        planning__movement=movement,
        planning__draws=2,
        digital__quantizer="uniform",
        digital__bits=4,
        digital__error_feedback=True,
        budget__latency_s=None,
        clients__selection="all" if more["clients__concurrency"] is None else "random",
        **more,
    )
    free = spent(scenario, scheme)
    check_told(scenario, scheme, {kind: share * free[kind] for kind, share in shares.items()})


def test_budgets_that_only_help_together_are_enough_as_told(small_scenario) -> None:
    """Less time costs more energy, so what each needs with the other lifted is too little."""
    scenario = with_settings(small_scenario, plan="own", budget__latency_s=None)
    free = spent(scenario, "fixed")
    budgets = {"latency_s": 1e-3 * free["latency_s"], "energy_j": 1e-3 * free["energy_j"]}
    assert check_told(scenario, "fixed", budgets)


def test_fewer_participants_are_told_of_where_they_may_be_planned(small_scenario) -> None:
    every = with_settings(small_scenario, plan="own", budget__latency_s=None)
    least = []
    for participation in ("all", "planned"):
        scenario = with_settings(every, planning__participation=participation)
        with pytest.raises(InputError) as caught:
            plan_run(repetition_of(with_settings(scenario, budget__energy_j=1e-6)), "fixed")
        least.append(told_of(str(caught.value))[0]["energy_j"])
        assert check_told(scenario, "fixed", {"energy_j": 1e-6})
    assert least[1] < least[0]


def test_ways_that_alternation_leaves_out_are_not_told_of(small_scenario) -> None:
    scenario = with_settings(
        small_scenario,
        plan="own",
        array__speed_mps=0.005,
        planning__alternate=True,
        planning__movement="each-round",
        budget__latency_s=None,
    )
    assert check_told(scenario, "movable", {"latency_s": 0.3})


def test_a_first_way_that_fits_beside_computing_costs_no_time() -> None:
    costs = {"move_s": 0.0, "move_j": 0.0, "first_move_j": 0.0, "overlap": True}
    with pytest.raises(InputError) as without:
        plan({"latency_s": 1.0}, **costs)
    with pytest.raises(InputError) as caught:
        plan({"latency_s": 1.0}, first_move_s=1e-4, **costs)
    assert str(caught.value) == str(without.value)


def test_of_many_clients_with_budgets_of_their_own_some_are_named() -> None:
    for values in ([1e-3] * 5, [1e-3, 1e-3, 1e-3, 1e-3, None]):
        more = r"and [1-4] more of budget\.client_energy_j to at least (\S+) each tog"
        with pytest.raises(InputError, match=more) as e:
            plan({"client_energy_j": values})
        said = str(e.value)
        assert len(said) <= 400
        told = [float(x) for x in re.findall(r"to at least ([0-9.e+-]+\d)", said)]
        assert len(told) == 4
        plan({"client_energy_j": [*told, told[3] if values[4] else None]})
        with pytest.raises(InputError, match=more) as e:
            plan({"client_energy_j": values, "latency_s": 1.234567e-3, "energy_j": 1.234567e-3})
        assert len(str(e.value)) <= 400
        assert "..." not in str(e.value)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    values=st.lists(st.floats(1e-3, 0.5), min_size=2, max_size=4),
    powers=st.lists(st.floats(0.2, 3.0), min_size=4, max_size=4),
)
def test_values_that_help_together_do_and_none_can_be_lower(values, powers) -> None:
    """Budgets that pay for each other: x^a y^b ... >= 1 with each at least 1 / 2."""

    def feasible(given: list[float]) -> bool:
        if min(given) < 0.5 + 1e-9:
            return False
        return float(np.dot(powers[: len(given)], np.log(given))) >= 0 or np.isinf(given).any()

    budgets = [AdjustableBudget(str(number), value) for number, value in enumerate(values)]
    conflict = conflict_of(feasible, budgets)
    assert conflict.jointly and len(conflict.budgets) == len(values)
    told = [least for _, least in conflict.budgets]
    assert feasible(told)
    for index in range(len(told)):
        less = [x * (1 - 1e-7) if other == index else x for other, x in enumerate(told)]
        assert not feasible(less)
