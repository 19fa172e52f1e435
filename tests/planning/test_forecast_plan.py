"""Joint plans that minimise what is predicted, on the quadratic learner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from airtune.bound.forecast_constants import SIGNS
from airtune.engines import LocalEngine
from airtune.errors import InputError
from airtune.planning import JointPlan, Repetition, plan_run
from airtune.planning.budgets import OneRound, first_way, planned_round
from airtune.planning.draws import WALK, walk_of_blocks
from airtune.planning.expected_radio import RadioTurn
from airtune.planning.movement_choice import moving
from airtune.planning.objective import Objective
from airtune.planning.pareto import pareto_front
from airtune.planning.pilot import Pilot, objective_of
from airtune.planning.replan import CurrentPlan, Spent, objective_of_rest
from airtune.radio.channels import Channel
from airtune.radio.channels.base import Block, Paths
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from airtune.schemes import Travel
from airtune.schemes.air.coding import CHI
from airtune.schemes.arrays.base import Effort
from airtune.schemes.broadcast import broadcast_rates
from planning.forecasts import CURVE
from quadratic import QuadraticLearner
from rounds.test_federated import with_settings

PILOT = Pilot(tuple(CURVE[:9].tolist()), (8, 8, 8), 0.4, 8.7, "clients", 1.0, 1.0)


def planned(small: Scenario, scheme: str = "movable", **changes: object) -> Repetition:
    given = {
        "training__server_optimizer": "adam",
        "training__rounds": 40,
        "planning__rounds": "planned",
        "plan": "own",
    }
    scenario = with_settings(small, **{**given, **changes})
    learner = QuadraticLearner(scenario, 1)
    return Repetition(scenario, 1, learner, pilot=PILOT)  # type: ignore[arg-type]


def joint_of(small: Scenario, name: str, scheme: str = "movable", **changes: object) -> JointPlan:
    return plan_run(planned(small, planning__objective=name, **changes), scheme)


def test_each_objective_is_best_at_its_own(small_scenario: Scenario) -> None:
    plans = {n: joint_of(small_scenario, n).plan for n in ("time", "energy", "energy-delay")}
    costs = {}
    for name, plan in plans.items():
        forecast = plan.forecast
        assert forecast is not None and forecast.time_s is not None
        assert forecast.energy_j is not None and forecast.rounds is not None
        costs[name] = np.array([forecast.time_s, forecast.energy_j])
        assert forecast.rounds <= plan.rounds <= np.ceil(1.25 * np.ceil(forecast.rounds))
        # the books of the whole run at the share of the rounds to the target
        whole = plan.latency_s.total - plan.latency_s.movement
        assert forecast.time_s >= whole * forecast.rounds / plan.rounds * (1 - 1e-9)
    slack = 1.01  # the search ends at a small gap
    assert costs["time"][0] <= slack * min(cost[0] for cost in costs.values())
    assert costs["energy"][1] <= slack * min(cost[1] for cost in costs.values())
    least = min(cost.prod() for cost in costs.values())
    assert costs["energy-delay"].prod() <= slack * least


def test_every_scheme_has_its_own_constant(small_scenario: Scenario) -> None:
    noisy = joint_of(small_scenario, "time", "fixed").plan.forecast
    signs = joint_of(small_scenario, "time", "obda").plan.forecast
    coded = joint_of(small_scenario, "time", "digital")
    assert noisy is not None and signs is not None and coded.plan.forecast is not None
    assert noisy.chi == pytest.approx(4.1 * PILOT.gamma / 9.3)
    other = planned(small_scenario, planning__objective="time")
    half = with_settings(other.scenario, aggregation__payload="ffa")
    chi = objective_of(half, PILOT, other.constants, other.omega)
    assert chi is not None and chi.chi == pytest.approx(7.0 * PILOT.gamma / 9.3)
    assert signs.chi is None
    full = with_settings(small_scenario, training__batch_size_max=8)
    pace = joint_of(full, "loss", "obda").plan.forecast
    assert pace is not None and pace.burden == pytest.approx(SIGNS)
    assert coded.coding is not None
    kind = coded.coding.quantizer, coded.coding.feedback
    assert coded.plan.forecast.chi == CHI[kind]


@pytest.mark.slow
def test_the_front_falls_from_the_fastest_to_the_thriftiest(small_scenario: Scenario) -> None:
    repetition = planned(small_scenario, planning__objective="time", planning__rounds="fixed")
    points = pareto_front(repetition, plan_run(repetition, "selection"))
    times, joules = ([getattr(p, one) for p in points] for one in ("time_s", "energy_j"))
    assert len(points) >= 4
    assert np.all(np.diff(times) > 0) and np.all(np.diff(joules) < 0)
    assert points[0].objective in ("time", "energy-delay")
    assert points[0].to_dict()["plan"]["forecast"]["time_s"] == times[0]


def test_a_front_needs_a_target_in_reach(small_scenario: Scenario) -> None:
    repetition = planned(small_scenario, planning__objective="time", training__rounds=3)
    repetition = replace(repetition, pilot=replace(PILOT, gamma=400.0))
    joint = plan_run(repetition, "fixed")
    assert joint.plan.forecast is not None and joint.plan.forecast.rounds is None
    with pytest.raises(
        InputError, match=r"--pareto: no plan .* training\.rounds = 3: raise planning"
    ):
        pareto_front(repetition, joint)


def test_the_rest_of_a_run_goes_on_from_the_loss_that_was_measured(
    small_scenario: Scenario,
) -> None:
    repetition = planned(small_scenario, planning__objective="time")
    joint = plan_run(repetition, "selection")
    current, objective = CurrentPlan.first(repetition, joint), repetition.inputs.objective
    assert objective is not None and joint.plan.forecast is not None
    spent = Spent(4, np.zeros((3, 2)), 1.0, 0.0, 1.0, np.zeros(3), loss=float(CURVE[6]))
    rest = objective_of_rest(objective, current, spent)
    assert rest is not None
    assert rest.curve[0] == pytest.approx(CURVE[6])
    assert rest.needed == pytest.approx(objective.needed - 6)
    # without a loss it is the one that was predicted
    unseen = objective_of_rest(objective, current, replace(spent, loss=None))
    assert unseen is not None
    assert unseen.curve[0] == pytest.approx(joint.plan.forecast.losses[4])
    again = CurrentPlan.from_dict(current.to_dict(), repetition)
    assert again.joint.plan.forecast == joint.plan.forecast


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"planning__participation": "planned"}, "planning.participation = planned: needs"),
        ({"planning__pilot": "server"}, "needs planning.pilot_source"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    small_scenario: Scenario, changes: dict[str, object], said: str
) -> None:
    with pytest.raises((ValidationError, InputError), match=said):
        planned(small_scenario, planning__objective="time", **changes)


@pytest.mark.parametrize(
    ("pilot", "changes", "said"),
    [
        (None, {}, "planning.objective = time: needs the figures of a pilot"),
        (replace(PILOT, batches=(8, 8)), {}, "is of 2 clients; clients.count = 3"),
        (PILOT, {"planning__target_loss": 5.0}, "planning.target_loss = 5: must be below"),
    ],
)
def test_a_pilot_that_does_not_fit_is_refused(
    small_scenario: Scenario, pilot: Pilot | None, changes: dict[str, object], said: str
) -> None:
    repetition = planned(small_scenario, planning__objective="time", **changes)
    with pytest.raises(InputError, match=said):
        plan_run(replace(repetition, pilot=pilot), "fixed")


def test_the_air_of_a_forecast_is_the_mean_of_a_walk(small_scenario: Scenario) -> None:
    """The error and the way in each round are those of the walk; the first way is booked once."""
    changes = {"planning__quality_db": -200.0, "planning__overlap": True}
    repetition = planned(small_scenario, planning__objective="time", **changes)
    start = repetition.scheme("movable").array.start()
    everybody = np.ones(3, dtype=np.bool_)
    turn = RadioTurn(repetition, "movable", 1, start)
    air = turn.place(everybody)
    built, weights, places = repetition.scheme("movable"), air.weights, air.positions
    limit = repetition.scenario.placement.max_travel
    errors, ways, broadcasts, bits = [], [], [], repetition.scenario.radio.downlink_bits
    for radio in walk_of_blocks(repetition, 1, WALK):
        new = built.array.place(radio, weights, places, Travel(limit, 0.0), Effort(mode="fast"))
        moved = repetition.movement(built.array, places, new)
        # the antennas are still where they were when the round opens
        heard = built.array.link(radio, weights, places)
        rates = broadcast_rates(heard, np.arange(3), repetition.scenario.radio)
        broadcasts.append(bits * int(repetition.matrix_sizes.sum()) / float(rates.min()))
        places = moved.positions
        link = built.array.expected_link(radio, weights, places)
        errors.append(built.air.forecast(link, weights, repetition.matrix_sizes).mse)
        ways.append(moved.energy_j)
    assert air.mse_star + air.costs.misalignment == pytest.approx(np.mean(errors))
    assert air.costs.move_j == pytest.approx(np.mean(ways))
    assert air.costs.downlink_s == pytest.approx(np.mean(broadcasts))
    first = repetition.movement(built.array, start, air.positions)
    assert air.costs.first_move_j == pytest.approx(first.energy_j)
    bound = replace(
        turn, repetition=planned(small_scenario, planning__objective="bound", **changes)
    )
    alone = bound.place(everybody).costs  # each round as the first
    assert alone.first_move_j == alone.first_downlink_s == 0
    assert air.costs.first_downlink_s == max(0, alone.downlink_s - air.costs.downlink_s)
    assert air.costs.first_downlink_j == max(0, alone.downlink_j - air.costs.downlink_j)


@pytest.mark.parametrize("scheme", ["fixed", "selection", "digital"])
def test_arrays_without_drives_expect_a_mean_round_as_well(
    small_scenario: Scenario, scheme: str
) -> None:
    """Set anew in each drawn round: error, upload and broadcast; the first broadcast once."""
    repetition = planned(small_scenario, planning__objective="time")
    built = repetition.scheme(scheme)
    everybody, start = np.ones(3, dtype=np.bool_), built.array.start()
    turn = RadioTurn(repetition, scheme, 1, start)
    air, bits = turn.place(everybody), repetition.scenario.radio.downlink_bits
    sizes, places = repetition.matrix_sizes, air.positions
    found, broadcasts = [], []
    for radio in walk_of_blocks(repetition, 1, WALK):
        places = built.array.place(radio, air.weights, places, Travel(None, 0.0))
        link = built.array.expected_link(radio, air.weights, places)
        found.append(built.air.forecast(link, air.weights, sizes))
        rates = broadcast_rates(link, np.arange(3), repetition.scenario.radio)
        broadcasts.append(bits * int(sizes.sum()) / float(rates.min()))
    error = np.mean([one.mse for one in found])
    assert air.mse_star + air.costs.misalignment == pytest.approx(error)
    assert air.costs.uplink_s == pytest.approx(np.mean([one.uplink_s for one in found]))
    powers, amplifier = turn.radio.powers, repetition.hardware.client_pa_efficiency
    radiated = powers * np.mean([one.airtime_s for one in found], axis=0) / amplifier
    np.testing.assert_allclose(air.costs.uplink_j, radiated)
    assert air.costs.downlink_s == pytest.approx(np.mean(broadcasts))
    assert air.costs.move_s == air.costs.first_move_s == 0
    bound = replace(turn, repetition=planned(small_scenario, planning__objective="bound"))
    alone = bound.place(everybody).costs  # each round as the first
    assert air.costs.first_downlink_s == max(0, alone.downlink_s - air.costs.downlink_s)


def test_a_policy_that_was_chosen_lets_no_array_without_drives_stay(
    small_scenario: Scenario,
) -> None:
    """It is set anew in each drawn round whatever the drives of others do."""
    open_one = planned(small_scenario, planning__objective="time", planning__movement="planned")
    everybody = np.ones(3, dtype=np.bool_)
    start = open_one.scheme("selection").array.start()
    found = [
        RadioTurn(moving(open_one, policy), "selection", 1, start).place(everybody)
        for policy in ("once", "each-round")
    ]
    assert found[0].mse_star == found[1].mse_star
    assert found[0].costs.downlink_s == found[1].costs.downlink_s


class OneFade:
    """A channel whose first round is far worse than all those that are drawn after it."""

    def __init__(self, channel: Channel, loss_db: float) -> None:
        self.channel, self.gain = channel, 10 ** (-loss_db / 20)

    def __getattr__(self, name: str) -> object:
        return getattr(self.channel, name)

    def block(self, index: int) -> Block:
        block = self.channel.block(index)
        if index > 1:
            return block
        paths = [
            replace(one, clients=replace(one.clients, gains=self.gain * one.clients.gains))
            for one in (block.true, block.perceived)
        ]
        return Block(*paths)

    def ahead(self, now: Paths, blocks: int, rng: np.random.Generator) -> Paths:
        return self.channel.block(1).perceived


def test_a_fade_when_the_run_opens_is_counted_once(small_scenario: Scenario) -> None:
    """The first broadcast takes far longer than any other, and the forecast says so of it alone."""
    changes = {"planning__rounds_margin": 1.0, "planning__overlap": True}
    repetition = planned(small_scenario, planning__objective="time", **changes)
    faded = replace(repetition, channel=OneFade(repetition.paths, 25.0), _schemes={})
    clear, joint = (plan_run(one, "movable") for one in (repetition, faded))
    costs, plan, forecast = joint.expected.costs, joint.plan, joint.plan.forecast
    assert forecast is not None and forecast.time_s is not None and forecast.rounds is not None
    assert costs.first_downlink_s > 10 * costs.downlink_s
    assert plan.latency_s.downlink == pytest.approx(
        costs.first_downlink_s + plan.rounds * costs.downlink_s
    )
    assert plan.energy_j.downlink == pytest.approx(
        costs.first_downlink_j + plan.rounds * costs.downlink_j
    )
    # nothing but the first broadcast, which is in no other round, tells the two apart by much
    assert clear.plan.forecast is not None and clear.plan.forecast.time_s is not None
    pilots_s = forecast.rounds * costs.pilot_s  # those are the first round's
    others = forecast.time_s - costs.first_downlink_s - pilots_s
    assert others < 1.5 * clear.plan.forecast.time_s
    whole = planned_round(joint) * plan.rounds + first_way(joint)
    assert whole[0] == pytest.approx(plan.latency_s.total - plan.latency_s.pretraining)
    assert whole[1] == pytest.approx(plan.energy_j.total - plan.energy_j.pretraining)
    again = CurrentPlan.from_dict(CurrentPlan.first(faded, joint).to_dict(), faded)
    assert again.joint.expected.costs.first_downlink_s == costs.first_downlink_s
    # as it is kept by a run whose version knew no first broadcast
    before = CurrentPlan.first(faded, joint).to_dict()
    del before["costs"]["first_downlink_s"], before["costs"]["first_downlink_j"]
    assert CurrentPlan.from_dict(before, faded).joint.expected.costs.first_downlink_s == 0


def test_drives_that_cost_more_than_they_bring_stay(small_scenario: Scenario) -> None:
    """Planned by energy, without `planning.alternate`, and the run does as the plan says."""

    def by_energy(power_w: float, **more: object) -> tuple[Repetition, JointPlan]:
        drive = {"drive": "custom", "speed_mps": 0.5, "drive_power_w": power_w}
        changes = {f"array__{name}": value for name, value in drive.items()} | more
        repetition = planned(small_scenario, planning__objective="energy", **changes)
        return repetition, plan_run(repetition, "movable")

    _, cheap = by_energy(1e-3)
    assert cheap.plan.energy_j.movement > 0
    # too soft to be heard from where they are: ever shorter ways, but no rest
    _, needed = by_energy(1e3)
    ways = [entry.bound for entry in needed.trace]
    assert len(ways) > 2 and ways[-1] < 0.5 * ways[0]
    assert needed.expected.max_travel > 0
    repetition, dear = by_energy(1e3, clients__tx_power_dbm=40.0)
    assert dear.plan.energy_j.movement == 0
    assert dear.expected.max_travel == 0
    run = FederatedRun(
        repetition, "movable", LocalEngine.over(QuadraticLearner(repetition.scenario, 1)), dear
    )
    run.first_metrics()
    lines = [run.run_round() for _ in range(3)]
    assert all(line["round_energy_j"]["movement"] == 0 for line in lines)


@pytest.mark.parametrize("objective", ["time", "energy"])
def test_budgets_that_the_free_plan_keeps_are_kept(
    small_scenario: Scenario, objective: str
) -> None:
    """Dear, slow drives: the plan without budgets has short ways, and so has one within them."""
    drive = {"drive": "custom", "speed_mps": 0.02, "drive_power_w": 100.0}
    changes = {f"array__{name}": value for name, value in drive.items()}
    changes |= {"planning__objective": objective, "planning__overlap": False}
    changes["clients__tx_power_dbm"] = 40.0
    free = plan_run(planned(small_scenario, **changes), "movable").plan
    changes |= {"budget__latency_s": 1.02 * free.latency_s.total}
    changes |= {"budget__energy_j": 1.02 * free.energy_j.total}
    kept = plan_run(planned(small_scenario, **changes), "movable").plan
    assert kept.latency_s.total <= changes["budget__latency_s"] * (1 + 1e-9)
    assert kept.energy_j.total <= changes["budget__energy_j"] * (1 + 1e-9)


def test_the_round_ahead_is_that_of_its_paths(small_scenario: Scenario) -> None:
    """Budgets look at the known round and at its way, not at means over drawn ones."""
    repetition = planned(small_scenario, planning__objective="time")
    start, everybody = repetition.scheme("movable").array.start(), np.ones(3, dtype=np.bool_)
    ahead = OneRound(repetition, "movable", 1, start).place(everybody)
    moved = repetition.movement(repetition.scheme("movable").array, start, ahead.positions)
    assert ahead.costs.move_j == pytest.approx(moved.energy_j)
    assert ahead.costs.first_move_j == 0


@pytest.mark.parametrize("objective", ["time", "energy", "energy-delay"])
def test_still_air_is_planned_for_once(small_scenario: Scenario, objective: str) -> None:
    repetition = planned(
        small_scenario,
        planning__objective=objective,
        planning__movement="each-round",
        planning__replan_factor=1.5,
        planning__replan_every=1,
        radio__paths__doppler_hz=0.0,
        radio__paths__angle_drift_deg=0.0,
        training__rounds=8,
        planning__rounds="fixed",
    )
    joint = plan_run(repetition, "movable")
    learner = QuadraticLearner(repetition.scenario, 1)
    run = FederatedRun(repetition, "movable", LocalEngine.over(learner), joint)
    run.first_metrics()
    lines = [run.run_round() for _ in range(6)]
    assert not [line["replanned"] for line in lines if "replanned" in line]


def test_what_has_arrived_needs_no_more_rounds() -> None:
    objective = Objective("time", CURVE, 4.0, 5.0, 0.2, np.array([8.0, 8.0, 8.0]))
    assert objective.needed <= 0
    assert objective.rounds([1.0, np.inf]).tolist() == [0.0, 0.0]
