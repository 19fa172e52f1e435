"""Budgets that are kept while the air becomes worse than planned (`planning.keep_budgets`)."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airtune import record
from airtune.commands.plan import plan_and_show
from airtune.engines import LocalEngine
from airtune.errors import InputError
from airtune.planning import Repetition, plan_run
from airtune.planning.budgets import expected_rounds, first_way, planned_round
from airtune.planning.replan import CurrentPlan
from airtune.radio.channels.base import Block, Channel, Transmitters
from airtune.registry import SCHEMES
from airtune.report import page, style
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from airtune.study import histories, outcomes
from planning.test_forecast_plan import PILOT
from quadratic import QuadraticLearner
from rounds.test_federated import with_settings

NARROW = {
    "plan": "own",
    "pretraining__charge": False,
    "radio__bandwidth_hz": 2e4,
    "radio__downlink_bandwidth_hz": 2e5,
    "clients__tx_power_dbm": 0.0,
    "training__rounds": 6,
    "bound__G_sq": 0.1,
}
"""Uploads take as long as computing, so the air decides what a round costs."""

KINDS = ("latency_s", "energy_j", "client_energy_j")


class Worse(Channel):
    """The clients' paths of another channel, weaker from a round on."""

    def __init__(self, paths: Channel, loss_db: float, since: int) -> None:
        self.paths, self.loss_db, self.since = paths, loss_db, since

    def block(self, round_index: int) -> Block:
        block = self.paths.block(round_index)
        factor = 10 ** (-self.loss_db / 20) if round_index >= self.since else 1.0

        def weaker(all_paths: Transmitters) -> Transmitters:
            clients = replace(all_paths.clients, gains=factor * all_paths.clients.gains)
            return replace(all_paths, clients=clients)

        true = weaker(block.true)
        known = block.perceived is block.true
        return Block(true, true if known else weaker(block.perceived))


def run_of(
    scenario: Scenario, scheme: str, loss_db: float = 0.0, since: int = 2, seed: int = 1
) -> FederatedRun:
    learner = QuadraticLearner(scenario, seed)
    repetition = Repetition(scenario, seed, learner)  # type: ignore[arg-type]
    worse = Worse(repetition.paths, loss_db, since)
    repetition = replace(repetition, channel=worse, _schemes={})
    return FederatedRun(repetition, scheme, LocalEngine.over(learner))  # type: ignore[arg-type]


def binding(small: Scenario, scheme: str, share: float, *kinds: str, **more: object) -> Scenario:
    """A scenario whose budgets are a share of what the plan without any would spend."""
    scenario = with_settings(small, **NARROW | more)
    learner = QuadraticLearner(scenario, 1)
    plan = plan_run(Repetition(scenario, 1, learner), scheme).plan  # type: ignore[arg-type]
    loose = {
        "latency_s": plan.latency_s.total,
        "energy_j": plan.energy_j.total,
        "client_energy_j": float(plan.client_energy_j.max()),
    }
    return with_settings(scenario, **{f"budget__{kind}": share * loose[kind] for kind in kinds})


def finished(run: FederatedRun) -> list[dict[str, object]]:
    lines = [run.first_metrics()]
    while run.state.round < run.current.last_round:
        lines.append(run.run_round())
    return lines


def spent_over_budget(run: FederatedRun) -> float:
    budget = run.scenario.budget
    shares = [
        run.state.latency_s.total / (budget.latency_s or np.inf),
        run.state.energy_j.total / (budget.energy_j or np.inf),
        max(run.state.client_energy_j) / (budget.client_energy_j or np.inf),
    ]
    return float(max(shares))


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    scheme=st.sampled_from(["digital", "movable", "fixed"]),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True),
    loss_db=st.floats(-5, 30),
    since=st.integers(2, 5),
    rounds=st.integers(2, 8),
    more=st.sampled_from(
        [
            {},
            {"planning__rounds": "planned"},
            {"planning__movement": "each-round", "planning__overlap": True},
            {"planning__movement": "once"},
            {"radio__paths__doppler_hz": 0.3},
            {"clients__concurrency": 2, "clients__selection": "random"},
            {"radio__resource_blocks": 3},
            {"pretraining__charge": True},
        ]
    ),
)
def test_no_budget_is_exceeded_by_more_than_the_tolerance(
    small_scenario, scheme, kinds, loss_db, since, rounds, more
) -> None:
    scenario = binding(small_scenario, scheme, 1.0, *kinds, training__rounds=rounds, **more)
    run = run_of(scenario, scheme, loss_db, since)
    lines = finished(run)
    assert spent_over_budget(run) <= 1.05
    assert 1 <= run.state.round <= rounds
    assert lines[-1]["loss"] is not None
    if run.state.round < run.current.most_rounds:
        assert run.current.cut_by in kinds


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_every_scheme_keeps_its_budgets_in_fading(small_scenario, scheme: str) -> None:
    scenario = binding(small_scenario, scheme, 1.0, *KINDS, radio__paths__doppler_hz=0.2)
    run = run_of(scenario, scheme, 6.0)
    finished(run)
    assert spent_over_budget(run) <= 1.05


def late_fade(small: Scenario, **more: object) -> Scenario:
    return binding(small, "digital", 0.9, "latency_s", **more)


def test_a_run_ends_where_not_one_more_round_fits(small_scenario, tmp_path) -> None:
    scenario = late_fade(small_scenario, evaluation__every=4)
    run = run_of(scenario, "digital", 30.0, 3)
    cell = record.Cell(tmp_path / "digital" / "seed-0", "digital", 0)
    cell_io.execute(run, cell, lambda line: None)
    cell_io.finish(run, cell, run.engine.samples(run.engine.initial_adapter(), 1))
    lines = record.read_metrics(cell)
    assert len(lines) == 3  # round 3 would take more than all that is left
    assert lines[-1]["evaluated"]
    assert lines[-1]["replanned"] == {
        "budget": "latency_s",
        "projected": pytest.approx(lines[-1]["replanned"]["projected"]),
        "accepted": False,
        "ended": True,
    }
    figures = outcomes.cell_figures(histories.read_cell(cell), {}, scenario)
    assert (figures["rounds"], figures["stopped_by"], figures["ended"]) == (
        2,
        "latency_s",
        "budget",
    )
    assert [line["round"] for line in figures["history"]] == [0, 2]
    assert figures["within_latency_budget"]
    assert cell.adapter_folder.is_dir()

    with_the_rest = run_of(
        with_settings(scenario, planning__keep_budgets=False), "digital", 30.0, 3
    )
    finished(with_the_rest)
    assert with_the_rest.state.round == 6
    assert spent_over_budget(with_the_rest) > 2


@pytest.mark.parametrize(("loss_db", "stops"), [(30.0, (1, 2)), (10.0, (1, 2, 3, 5))])
def test_resume_is_bit_for_bit(small_scenario, tmp_path, loss_db: float, stops) -> None:
    scenario = late_fade(small_scenario)

    def execute(folder: str, stop: int | None) -> FederatedRun:
        run = run_of(scenario, "digital", loss_db, 3)

        def done(line: dict[str, object]) -> None:
            if line["round"] == stop:
                raise KeyboardInterrupt

        cell = record.Cell(tmp_path / folder, "digital", 0)
        cell_io.execute(run, cell, done)
        cell_io.finish(run, cell, run.engine.samples(run.engine.initial_adapter(), 1))
        return run

    def kept(folder: str) -> list[object]:
        cell = record.Cell(tmp_path / folder, "digital", 0)
        lines = [
            {k: v for k, v in line.items() if not k.endswith("_wall_s")}
            for line in record.read_metrics(cell)
        ]
        return [*lines, cell.finished_file.read_bytes()]

    whole = execute("whole", None)
    assert whole.current.asked == 6
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            execute(f"stopped-{stop}", stop)
        resumed = execute(f"stopped-{stop}", None)
        assert np.array_equal(resumed.state.adapter, whole.state.adapter)
        assert kept(f"stopped-{stop}") == kept("whole")


def test_given_rounds_become_the_most_that_fit(small_scenario) -> None:
    """No more rounds than fit, and no fewer: one more is refused by the plan of the rest."""
    scenario = binding(small_scenario, "digital", 0.9, "client_energy_j")
    run = run_of(scenario, "digital", 24.0, 3)
    lines = finished(run)
    cut = [line["replanned"] for line in lines if line.get("replanned", {}).get("accepted")]
    assert cut
    assert cut[0]["rounds"] < 4 == 6 - 2
    assert run.current.cut_by == "client_energy_j"


@pytest.mark.parametrize(
    "changes",
    [
        {"planning__keep_budgets": None},
        {"planning__keep_budgets": None, "plan": "shared", "budget__latency_s": 5.0},
        {"planning__keep_budgets": None, "plan": "own", "budget__latency_s": 100.0},
    ],
)
def test_nothing_changes_where_no_budget_binds_or_plans_are_shared(small_scenario, changes) -> None:
    base = with_settings(small_scenario, plan="own", radio__paths__doppler_hz=0.2)
    runs = []
    for keep in (None, False):
        scenario = with_settings(base, **changes | {"planning__keep_budgets": keep})
        run = run_of(scenario, "movable", 3.0)
        lines = finished(run)
        runs.append([{k: v for k, v in x.items() if not k.endswith("_wall_s")} for x in lines])
    assert runs[0] == runs[1]
    assert not any("replanned" in line for line in runs[0])


@pytest.mark.parametrize("movement", ["each-round", "once", "priced", "statistical"])
@pytest.mark.parametrize("overlap", [False, True])
def test_on_still_air_the_projection_is_the_plan(small_scenario, movement, overlap) -> None:
    """The figures of a round, times the rounds, with what is counted once, are the plan's."""
    scenario = binding(
        small_scenario,
        "movable",
        1.0,
        "latency_s",
        planning__movement=movement,
        planning__overlap=overlap,
        radio__paths__doppler_hz=0.0,
        radio__paths__angle_drift_deg=0.0,
    )
    run = run_of(scenario, "movable")
    joint = run.current.joint
    whole = planned_round(joint) * joint.plan.rounds + first_way(joint)
    plan = joint.plan
    assert whole[0] == pytest.approx(plan.latency_s.total - plan.latency_s.pretraining)
    assert whole[1] == pytest.approx(plan.energy_j.total - plan.energy_j.pretraining)
    assert whole[2:] == pytest.approx(plan.client_energy_j)
    if movement in ("once", "statistical"):
        assert first_way(joint)[1] > 0
    if movement == "once":
        run.run_round()
        ahead, each = expected_rounds(
            run.repetition, "movable", CurrentPlan.first(run.repetition, joint), run.state.spent()
        )
        assert each == pytest.approx(planned_round(joint), rel=1e-6)
        assert ahead == pytest.approx(planned_round(joint), rel=1e-3)  # broadcast from other places


@pytest.mark.parametrize("movement", ["statistical", "priced"])
def test_a_way_that_no_plan_has_is_looked_at_before_the_last_round(
    small_scenario, movement
) -> None:
    """One antenna, placed anew whenever its expected error grows, with little of the budget left.

    With `statistical` it went so far in the last round that the run ended 25 % over its budget.
    """
    scenario = with_settings(
        small_scenario,
        plan="own",
        array__antennas=1,
        planning__movement=movement,
        planning__drift_db=0.0,
        planning__draws=3,
        radio__paths__doppler_hz=0.3,
        pretraining__charge=False,
        budget__latency_s=2.0,
    )
    run = run_of(scenario, "movable", seed=12)
    finished(run)
    assert spent_over_budget(run) <= 1.05


def test_own_plans_are_needed(small_scenario) -> None:
    with pytest.raises(ValueError, match=r"planning\.keep_budgets = true: needs plan = own"):
        with_settings(small_scenario, planning__keep_budgets=True)


def test_what_cannot_be_kept_at_all_is_refused_before(small_scenario) -> None:
    scenario = binding(small_scenario, "digital", 1e-4, "latency_s", training__rounds=1)
    with pytest.raises(InputError, match=r"raise budget\.latency_s"):
        run_of(scenario, "digital")


def test_the_command_says_that_budgets_are_kept(
    small_scenario, quadratic, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(small_scenario.to_dict()))
    for overrides, kept in (
        (["plan=own", "budget.latency_s=100"], True),
        (["plan=own", "budget.latency_s=100", "planning.keep_budgets=false"], False),
        (["plan=own"], False),
        (["budget.latency_s=100"], False),
    ):
        plan_and_show(str(path), overrides, None, None, True)
        assert json.loads(capsys.readouterr().out)["keep_budgets"] is kept
    plan_and_show(str(path), ["plan=own", "budget.latency_s=100"], None, tmp_path / "plan", False)
    assert "the rest is planned anew within the budgets" in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.mark.parametrize(
    ("by", "text"),
    [
        (
            "latency_s",
            "Movable: ended after 12 rounds of 30 planned, so that budget.latency_s is kept.",
        ),
        ("plan", "Movable: ended after 12 rounds of 30 planned, so that its budgets are kept."),
    ],
)
def test_the_page_says_so(by: str, text: str) -> None:
    result = {"ended": "budget", "stopped_by": by, "rounds": 12, "plan": {"rounds": 30}}
    run = SimpleNamespace(schemes=[SimpleNamespace(name="movable", result=result)], results={})
    label = style.scheme_style("movable").label
    assert text.replace("Movable", label) in page._remarks(run)  # type: ignore[arg-type]
    result["ended"] = "plan"
    assert not any("ended" in said for said in page._remarks(run))  # type: ignore[arg-type]


def test_stragglers_are_reckoned_with_once_they_have_been_seen(small_scenario) -> None:
    over = {}
    for keep in (False, None):
        scenario = binding(
            small_scenario,
            "fixed",
            0.9,
            "latency_s",
            training__rounds=8,
            faults__stragglers__share=0.5,
            planning__keep_budgets=keep,
        )
        run = run_of(scenario, "fixed")
        finished(run)
        over[keep] = spent_over_budget(run)
    assert over[False] > 2
    assert over[None] <= 1.05


def test_a_plan_that_predicts_keeps_its_budgets(small_scenario) -> None:
    changes = {
        "training__rounds": 30,
        "training__server_optimizer": "adam",
        "planning__rounds": "planned",
        "planning__objective": "energy-delay",
    }
    scenario = with_settings(small_scenario, **NARROW | changes)
    learner = QuadraticLearner(scenario, 1)
    known = Repetition(scenario, 1, learner, pilot=PILOT)  # type: ignore[arg-type]
    plan, over = plan_run(known, "digital").plan, {}
    for keep in (False, None):
        budget = {"budget__latency_s": plan.latency_s.total, "planning__keep_budgets": keep}
        within = with_settings(scenario, **budget)
        known = Repetition(within, 1, learner, pilot=PILOT)  # type: ignore[arg-type]
        known = replace(known, channel=Worse(known.paths, 12.0, 2), _schemes={})
        run = FederatedRun(known, "digital", LocalEngine.over(learner))  # type: ignore[arg-type]
        lines = finished(run)
        over[keep] = spent_over_budget(run)
    assert over[False] > 2
    assert over[None] <= 1.05
    assert any("predicted_rounds" in line.get("replanned", {}) for line in lines)
