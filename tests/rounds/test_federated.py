"""The federated loop on a problem with a known answer."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.record import Cell
from airtune.registry import SCHEMES
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from airtune.study import compare, histories, outcomes
from quadratic import QuadraticLearner, run_with


def cell_of(folder: Path, scheme: str) -> Cell:
    return Cell(folder / scheme / "seed-0", scheme, 0)


def execute(
    scenario: Scenario, scheme: str, folder: Path, learner: QuadraticLearner | None = None
) -> FederatedRun:
    learner = learner or QuadraticLearner(scenario, 1)
    run = run_with(scenario, scheme, 1, learner)
    cell = cell_of(folder, scheme)
    cell_io.execute(run, cell, lambda line: None)
    cell_io.finish(run, cell, learner.samples(learner.initial_adapter(), 1))
    return run


def with_settings(scenario: Scenario, **changes: object) -> Scenario:
    data = scenario.to_dict()
    for path, value in changes.items():
        section = data
        *parents, last = path.split("__")
        for parent in parents:
            section = section[parent]
        section[last] = value
    return Scenario.model_validate(data)


def test_ideal_is_gradient_descent_on_the_weighted_mean(small_scenario, tmp_path) -> None:
    learner = QuadraticLearner(small_scenario, 1, noise=0.0)
    run = execute(small_scenario, "ideal", tmp_path, learner)
    theta = np.zeros(learner.size)
    for _ in range(small_scenario.training.rounds):
        theta -= 0.3 * (theta - learner.optimum)
    assert np.allclose(run.state.adapter, theta, atol=1e-5)


def test_every_scheme_learns_and_keeps_its_books(small_scenario, tmp_path) -> None:
    for name in SCHEMES:
        run = execute(small_scenario, name, tmp_path)
        lines = record.read_metrics(cell_of(tmp_path, name))
        assert [line["round"] for line in lines] == list(range(6))
        assert lines[-1]["loss"] < lines[0]["loss"]
        times, joules = ([line[key] for line in lines] for key in ("time_s", "energy_j"))
        assert all(b > a for a, b in itertools.pairwise(times))
        for key, total in (("round_latency_s", times), ("round_energy_j", joules)):
            parts = sum(sum(line[key].values()) for line in lines[1:])
            assert total[-1] == pytest.approx(total[0] + parts, rel=1e-12)
        assert run.state.latency_s.total == times[-1]


def test_a_round_is_booked_as_computed_by_hand(small_scenario, tmp_path) -> None:
    run = execute(small_scenario, "movable", tmp_path)
    line = record.read_metrics(cell_of(tmp_path, "movable"))[-1]
    plan, processor = run.plan, small_scenario.client_processor
    cycles = 1e9 / processor.flop_per_cycle * plan.batch_sizes
    assert line["round_latency_s"]["compute"] == pytest.approx(np.max(cycles / plan.frequencies))
    joules = np.sum(processor.kappa * plan.frequencies**2 * cycles)
    assert line["round_energy_j"]["compute"] == pytest.approx(joules)
    # 107 real entries in 54 complex symbols at 1 MHz, 0.9 of the grid
    assert line["round_latency_s"]["uplink"] == pytest.approx(54 / 0.9e6)
    limit = small_scenario.clients.count * 10e-3 * 54 / 0.9e6  # 10 dBm each
    assert 0 < line["round_energy_j"]["uplink"] <= limit * (1 + 1e-9)
    moved = line["moved_m"]
    assert line["round_latency_s"]["movement"] == pytest.approx(moved / 0.5)
    server = small_scenario.server_processor
    steps = 100 * 8 * 2e9 / server.flop_per_cycle
    start = record.read_metrics(cell_of(tmp_path, "movable"))[0]
    assert start["time_s"] == pytest.approx(steps / plan.server_frequency)
    assert start["energy_j"] == pytest.approx(server.kappa * plan.server_frequency**2 * steps)


def test_ideal_has_no_radio_cost(small_scenario, tmp_path) -> None:
    run = execute(small_scenario, "ideal", tmp_path)
    for parts in (run.state.latency_s, run.state.energy_j):
        assert parts.uplink == parts.downlink == parts.pilots == parts.movement == 0.0
        assert parts.compute > 0


def test_schemes_meet_the_same_channels_and_batches(small_scenario) -> None:
    learner = QuadraticLearner(small_scenario, 1)
    one, other = (run_with(small_scenario, name, 1, learner) for name in ("movable", "digital"))
    for index in (1, 4):
        a, b = one.repetition.radio(index).true.clients, other.repetition.radio(index).true.clients
        assert np.array_equal(a.gains, b.gains)
        assert np.array_equal(a.directions, b.directions)
    assert np.array_equal(one.plan.batch_sizes, other.plan.batch_sizes)


def test_another_seed_is_another_channel(small_scenario) -> None:
    learner = QuadraticLearner(small_scenario, 1)
    one, other = (run_with(small_scenario, "fixed", seed, learner) for seed in (1, 2))
    assert not np.allclose(
        one.repetition.radio(1).true.clients.gains, other.repetition.radio(1).true.clients.gains
    )


def test_a_client_with_a_broken_update_is_left_out_and_reported(small_scenario, tmp_path) -> None:
    broken = {(2, 0): True, (3, 0): True, (3, 1): True, (3, 2): True}
    for scheme in SCHEMES:
        learner = QuadraticLearner(small_scenario, 1, broken=broken)
        run = execute(small_scenario, scheme, tmp_path, learner)
        lines = record.read_metrics(cell_of(tmp_path, scheme))
        assert [line.get("dropped", []) for line in lines] == [[], [], [0], [0, 1, 2], [], []]
        assert lines[3]["round_latency_s"]["uplink"] == 0.0
        # the broadcast and the pilots come before a client drops out
        assert (lines[3]["round_latency_s"]["downlink"] > 0) == (scheme != "ideal")
        assert lines[3]["loss"] == lines[2]["loss"]
        assert np.isfinite(run.state.adapter).all()
        most = np.array([3, 4, 4])
        if scheme in (
            "cotaf",
            "obda",
            "non-coherent",
            "truncated",
            "massive-digital",
        ):  # weak clients may stay silent
            assert (run.state.participation <= most).all()
        else:
            assert run.state.participation.tolist() == most.tolist()


def test_realised_error_is_near_its_prediction(small_scenario, tmp_path) -> None:
    noisy = with_settings(small_scenario, clients__tx_power_dbm=-5.0, training__rounds=8)
    execute(noisy, "fixed", tmp_path)
    lines = record.read_metrics(cell_of(tmp_path, "fixed"))[1:]
    ratio = [10 ** ((line["mse_db"] - line["mse_predicted_db"]) / 10) for line in lines]
    # the mean of 8 x 107 squared Gaussians errs by sqrt(2 / 856) = 5 %
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.2)


def test_movable_beats_fixed_beats_nothing_in_aggregation_error(small_scenario, tmp_path) -> None:
    errors = {}
    for scheme in ("ideal", "movable", "fixed"):
        run = execute(small_scenario, scheme, tmp_path)
        lines = record.read_metrics(cell_of(tmp_path, scheme))[1:]
        errors[scheme] = np.mean([line["mse"] or 0.0 for line in lines])
        assert run.state.round == 5
    assert errors["ideal"] < errors["movable"] < errors["fixed"]


def test_power_backoff_saves_radio_energy_and_costs_error(small_scenario, tmp_path) -> None:
    learner = QuadraticLearner(small_scenario, 1)
    lines = {}
    for rho in (1.0, 0.25):
        run = run_with(small_scenario, "fixed", 1, learner)
        object.__setattr__(run.plan, "power_backoff", rho)
        lines[rho] = run.run_round()
    energy = {rho: line["round_energy_j"]["uplink"] for rho, line in lines.items()}
    assert energy[0.25] == pytest.approx(0.25 * energy[1.0])
    difference = lines[0.25]["mse_predicted_db"] - lines[1.0]["mse_predicted_db"]
    assert difference == pytest.approx(10 * np.log10(4))


def test_csi_error_misaligns(small_scenario, tmp_path) -> None:
    blurred = with_settings(small_scenario, radio__csi__angle_error_deg=10.0)
    clean = execute(small_scenario, "movable", tmp_path / "clean")
    rough = execute(blurred, "movable", tmp_path / "rough")
    mean = {
        folder: np.mean(
            [line["mse"] for line in record.read_metrics(cell_of(tmp_path / folder, "movable"))[1:]]
        )
        for folder in ("clean", "rough")
    }
    assert mean["rough"] > 2 * mean["clean"]
    assert clean.state.latency_s.uplink == rough.state.latency_s.uplink


def test_waveform_form_agrees_with_the_scalar_one(small_scenario, tmp_path) -> None:
    waveform = with_settings(small_scenario, aggregation__form="waveform", training__rounds=12)
    scalar = with_settings(small_scenario, training__rounds=12)
    figures = {}
    for name, scenario in (("waveform", waveform), ("scalar", scalar)):
        execute(scenario, "fixed", tmp_path / name)
        lines = record.read_metrics(cell_of(tmp_path / name, "fixed"))[1:]
        figures[name] = np.mean(
            [10 ** ((line["mse_db"] - line["mse_predicted_db"]) / 10) for line in lines]
        )
    assert figures["waveform"] == pytest.approx(1.0, abs=0.2)
    assert figures["scalar"] == pytest.approx(1.0, abs=0.2)


def test_own_plan_differs_where_the_air_takes_longer(small_scenario) -> None:
    """A budget that leaves the digital clients little time: higher clocks, or smaller batches."""
    small_scenario = with_settings(small_scenario, digital__access="tdma", digital__bits=8)
    learner = QuadraticLearner(small_scenario, 1)
    digital = run_with(small_scenario, "digital", 1, learner)
    link = digital.repetition.radio(1).at(digital.state.positions)
    forecast = digital.scheme.air.forecast(
        link, digital.repetition.omega, digital.repetition.matrix_sizes
    )
    fastest = 1e9 / 16 / 2e9  # seconds of a sample at the highest clock
    budget = digital.plan.latency_s.pretraining + 5 * (2 * forecast.uplink_s + 4 * fastest)
    own = with_settings(small_scenario, plan="own", budget__latency_s=budget)
    plans = {name: run_with(own, name, 1, learner).plan for name in ("ideal", "digital")}
    for plan in plans.values():
        assert plan.latency_s.total <= budget * (1 + 1e-9)
    # less time to compute: smaller batches, or faster clocks for the same ones
    work = {name: (p.batch_sizes.sum(), -p.frequencies.max()) for name, p in plans.items()}
    assert work["digital"] < work["ideal"]


def test_each_client_s_energy_is_booked_and_held_against_its_budget(
    small_scenario, tmp_path
) -> None:
    tight = with_settings(small_scenario, budget__client_energy_j=0.03)
    run = execute(tight, "fixed", tmp_path)
    cell = cell_of(tmp_path, "fixed")
    energy = sum(
        line["round_energy_j"][name]
        for line in record.read_metrics(cell)[1:]
        for name in ("compute", "uplink", "pilots")
    )
    assert run.state.client_energy_j.sum() == pytest.approx(energy)
    totals = record.read_json(cell.folder / "finished.json")
    worst = max(totals["client_energy_j"])
    assert totals["within_client_energy_budget"] == (worst <= 0.03)
    # the plan counts the power limit, the air uses what alignment needs: never more
    assert (run.state.client_energy_j <= run.plan.client_energy_j * 1.5).all()


def test_seeds_are_repetitions_with_quantiles(
    small_scenario, quadratic, no_figures, tmp_path
) -> None:
    scenario = with_settings(small_scenario, seeds=3, schemes=["movable", "fixed"])
    results = compare.compare(scenario, tmp_path / "run")
    assert list(results["schemes"]) == ["ideal", "movable", "fixed"]  # ideal sets the target
    cells = [
        outcomes.cell_figures(
            histories.read_cell(record.Cell(tmp_path / "run/fixed" / f"seed-{i}", "fixed", i)), {}
        )
        for i in range(3)
    ]
    losses = [figure["final_loss"] for figure in cells]
    assert len(set(losses)) == 3
    assert results["schemes"]["fixed"]["final_loss"]["median"] == pytest.approx(np.median(losses))
    history = results["schemes"]["fixed"]["history"]
    assert history[-1]["loss"] == pytest.approx(np.median(losses))
    assert set(results["headline"]["faster_pct"]["fixed"]) == {"median", "p10", "p90"}


def test_a_diverged_model_is_recorded_as_such(
    small_scenario, quadratic, no_figures, tmp_path
) -> None:
    hopeless = with_settings(
        small_scenario,
        clients__tx_power_dbm=-90.0,
        training__learning_rate=1e30,
        schemes=["ideal", "fixed"],
    )
    results = compare.compare(hopeless, tmp_path / "run")
    fixed = results["schemes"]["fixed"]
    assert fixed["diverged"] is True
    assert fixed["rounds_not_finite"] > 0
    # The last finite adapter is kept: its loss is a number, far above the start.
    assert fixed["final_loss"] > 1e30 * fixed["initial_loss"]
    assert fixed["rounds_to_target"] is None


@pytest.mark.parametrize(("scheme", "goes_on"), [("selection", True), ("movable", False)])
def test_only_what_is_carried_stays_where_the_plan_puts_it(
    small_scenario, scheme: str, goes_on: bool
) -> None:
    """`planning.movement: once` is about drives; switches choose anew in every round."""
    scenario = with_settings(
        small_scenario, planning__movement="once", radio__paths__doppler_hz=200.0
    )
    run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    places = []
    for _ in range(4):
        run.run_round()
        places.append(run.state.positions.tolist())
    assert (len({str(place) for place in places}) > 1) == goes_on


def test_antennas_that_move_when_needed_stay_while_they_hear_well(small_scenario) -> None:
    base = with_settings(small_scenario, radio__paths__doppler_hz=5.0, training__rounds=12)

    def course(**settings: object) -> list[tuple[list[list[float]], bool, float]]:
        scenario = with_settings(base, **settings)
        run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
        found = []
        for index in range(1, 13):
            weights, before = run.state.effective_weights, run.state.positions
            link = run.repetition.radio(index).at(before)
            error = -10 * np.log10(link.best_beamformer(weights).worst_gain)
            line = run.run_round()
            still = run.state.positions.tolist() == before.tolist()
            assert (line["round_latency_s"]["movement"] == 0) == still
            found.append((run.state.positions.tolist(), still, error))
        return found

    def planned(**settings: object) -> float:
        scenario = with_settings(base, **settings)
        run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
        return float(run.current.joint.expected.mse_star)

    each = course()
    limit = float(np.median([error for _, _, error in each]))
    asked = {"planning__movement": "when-needed", "planning__quality_db": limit}
    some = course(**asked)
    assert [still for _, still, _ in some] == [error <= limit for _, _, error in some]
    assert {still for _, still, _ in some} == {True, False}
    assert course(**asked | {"planning__quality_db": -300.0}) == each
    assert all(still for _, still, _ in course(**asked | {"planning__quality_db": 300.0}))
    # the plan does not count on less error than that with which the antennas stay
    assert planned(**asked) == pytest.approx(max(planned(), 10 ** (limit / 10)))
    assert planned(**asked | {"planning__quality_db": -300.0}) == planned()


def test_silent_clients_book_no_reports(small_scenario) -> None:
    joules = {}
    for threshold in (-300.0, *range(-30, 50, 5)):
        scenario = with_settings(small_scenario, aggregation__truncation_db=threshold)
        run = run_with(scenario, "truncated", 1, QuadraticLearner(scenario, 1))
        line = run.run_round()
        if line["transmitted"]:  # if nobody sends all have reported in vain
            joules[line["transmitted"]] = line["round_energy_j"]["pilots"]
    assert sorted(joules) == sorted(joules, key=joules.__getitem__)
    assert len(joules) >= 2
    assert max(joules) == 3
