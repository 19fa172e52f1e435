"""Faults in the loop of rounds, against what the models say by hand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.placement import beamform
from airtune.registry import SCHEMES
from airtune.report.faults import fault_rows
from airtune.rounds import cell_io
from airtune.rounds.faults import FaultSource
from airtune.scenario import Scenario
from airtune.study import histories, outcomes
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import cell_of, execute, with_settings

EVERYTHING: dict[str, Any] = {
    "dropout": {"share": 0.3, "burst_rounds": 2.0, "when": "during"},
    "stragglers": {"share": 0.3, "slowdown": 3.0, "deadline": 2.0},
    "antennas": {"stuck": 1, "dead": 1, "position_error": 0.01, "backlash": 0.02},
    "synchronisation": {"phase_deg": 10.0, "timing": 0.05},
    "amplifier": {"clip_db": 3.0},
    "jammer": {"share": 0.5, "power_dbm": 10.0},
    "broadcast": {"share": 0.4, "burst_rounds": 2.0},
    "side_information": {"share": 0.2, "factor_db": 6.0, "csi_share": 0.3},
    "restart": {"share": 0.3},
}


def lines_of(scenario: Scenario, scheme: str, folder: Path) -> list[dict[str, Any]]:
    execute(scenario, scheme, folder)
    return record.read_metrics(cell_of(folder, scheme))


def timeless(folder: Path, scheme: str) -> list[dict[str, Any]]:
    lines = record.read_metrics(cell_of(folder, scheme))
    return [{k: v for k, v in line.items() if not k.endswith("_wall_s")} for line in lines]


def rounds_of(scenario: Scenario, scheme: str, count: int = 5) -> list[dict[str, Any]]:
    run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    return [run.run_round() for _ in range(count)]


@pytest.mark.parametrize("scheme", ["movable", "digital"])
def test_resume_is_bit_for_bit_with_everything_wrong(small_scenario, tmp_path, scheme: str) -> None:
    scenario = with_settings(small_scenario, faults=EVERYTHING, training__rounds=6)
    whole = execute(scenario, scheme, tmp_path / "whole")

    class KilledError(Exception):
        """Stands for the end of the process."""

    def kill(line: dict[str, object]) -> None:
        if line["round"] == 4:
            raise KilledError

    first = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    with pytest.raises(KilledError):
        cell_io.execute(first, cell_of(tmp_path / "killed", scheme), kill)
    resumed = execute(scenario, scheme, tmp_path / "killed")
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)
    assert timeless(tmp_path / "killed", scheme) == timeless(tmp_path / "whole", scheme)
    one, other = (run.state.arrays() for run in (resumed, whole))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_every_scheme_runs_with_everything_wrong_and_meets_the_same(
    small_scenario, tmp_path
) -> None:
    scenario = with_settings(small_scenario, faults=EVERYTHING, training__rounds=2)
    told = {}
    for scheme in SCHEMES:
        lines = lines_of(scenario, scheme, tmp_path)
        assert lines[-1]["round"] == 2
        assert all(np.isfinite(line["loss"]) for line in lines)
        told[scheme] = [line["faults"] for line in lines[1:]]
    shared = ("cut", "slow", "late", "stale", "wrong_reports", "outdated_csi", "jammed")
    for name in (*shared, "restarted", "phase_rms_deg", "timing_rms"):
        values = [[line[name] for line in lines] for lines in told.values()]
        assert all(value == values[0] for value in values)
    assert [line["dead_antennas"] for line in told["movable"]] == [
        told["fixed"][0]["dead_antennas"]
    ] * 2
    assert any(line["out_of_place_rms"] > 0 for line in told["movable"])
    assert "out_of_place_rms" not in told["fixed"][0]


def test_what_happened_is_counted_in_the_results_and_on_the_page(small_scenario, tmp_path) -> None:
    scenario = with_settings(small_scenario, faults=EVERYTHING, training__rounds=4)
    lines = lines_of(scenario, "movable", tmp_path)
    figures = outcomes.cell_figures(histories.read_cell(cell_of(tmp_path, "movable")), {})
    counted = figures["faults"]
    assert counted["cut"] == sum(len(line["faults"]["cut"]) for line in lines[1:])
    assert counted["restarted"] == sum(line["faults"]["restarted"] for line in lines[1:])
    assert counted["dead_antennas"] == counted["stuck_antennas"] == 1
    whole = [3 - len(line["missing"]) for line in lines[1:]]
    assert counted["participation"] == pytest.approx(np.mean(whole) / 3)
    sheet = fault_rows({"schemes": {"movable": figures}})
    shown = dict(zip(sheet.columns, (cell.text for cell in sheet.rows[0].cells), strict=True))
    assert shown["Dead antennas"] == "1"
    assert shown["Participation [%]"] == f"{100 * np.mean(whole) / 3:.1f}"
    plain = outcomes.over_seeds([figures, figures])["faults"]
    assert plain["cut"]["median"] == counted["cut"]


def test_without_faults_there_is_nothing_of_them(small_scenario, tmp_path) -> None:
    lines = lines_of(small_scenario, "fixed", tmp_path)
    assert all("faults" not in line for line in lines)
    assert [line["missing"] for line in lines[1:]] == [[]] * 5
    figures = outcomes.cell_figures(histories.read_cell(cell_of(tmp_path, "fixed")), {})
    assert "faults" not in figures
    assert fault_rows({"schemes": {"fixed": figures}}).rows == ()
    run = run_with(small_scenario, "fixed", 1, QuadraticLearner(small_scenario, 1))
    assert not any(name.startswith("faults.") for name in run.state.arrays())


@pytest.mark.parametrize("when", ["before", "during"])
def test_the_mean_of_packets_is_that_of_those_who_remain(small_scenario, when: str) -> None:
    """Of the error-free scheme: gradient descent on the mean of the clients who are there."""
    scenario = with_settings(
        small_scenario, clients__count=6, faults__dropout={"share": 0.4, "when": when}
    )
    learner = QuadraticLearner(scenario, 1, noise=0.0)
    run, theta = run_with(scenario, "ideal", 1, learner), np.zeros(learner.size)
    missing = []
    for _ in range(5):
        line = run.run_round()
        there = np.setdiff1d(np.arange(6), line["missing"])
        weights = learner.data_sizes[there] / learner.data_sizes[there].sum()
        theta = theta - 0.3 * (theta - weights @ learner.optima[there])
        missing.append(line["missing"])
        assert line["share"] == pytest.approx(learner.data_sizes[there].sum() / 75)
        absent = 1 - line["share"]
        assert line["bias"] == pytest.approx(min(1, 4 * absent**2) * scenario.bound.zeta_sq)
    assert np.allclose(run.state.adapter, theta, atol=1e-5)
    assert any(missing)


def test_who_drops_out_before_is_planned_around_and_during_is_missed(small_scenario) -> None:
    """Known: the others are aligned, as without faults. Unknown: a part of the sum is missing."""
    errors, shares = {}, {}
    for when in ("before", "during"):
        scenario = with_settings(
            small_scenario,
            clients__count=6,
            clients__tx_power_dbm=23.0,
            faults__dropout={"share": 0.4, "when": when},
        )
        lines = rounds_of(scenario, "fixed")
        hit = [line for line in lines if line["missing"]]
        errors[when] = np.mean([line["faults"]["squared_bias"] for line in hit])
        shares[when] = [line["share"] for line in hit]
        assert all(line["mse"] > 0 for line in hit)
        for line in hit:
            ratio = 10 ** ((line["mse_db"] - line["mse_predicted_db"]) / 10)
            assert 0.3 < ratio < 3
    assert errors["before"] < 1e-12 < errors["during"]
    assert max(shares["before"]) < 1
    assert min(shares["during"]) == 1.0  # their symbols were there for a part of the upload


@pytest.mark.parametrize("deadline", [None, 2.0])
def test_stragglers_are_waited_for_until_the_deadline(small_scenario, deadline) -> None:
    slow = {"share": 0.5, "slowdown": 5.0, "deadline": deadline}
    scenario = with_settings(small_scenario, faults__stragglers=slow, clients__count=6)
    run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
    processor = scenario.client_processor
    seen = set()
    for _ in range(5):
        line = run.run_round()
        cycles = 1e9 / processor.flop_per_cycle * run.plan.batch_sizes
        planned = cycles / run.plan.frequencies
        joules = processor.kappa * run.plan.frequencies**2 * cycles
        stragglers = line["faults"]["slow"]
        times = planned.copy()
        times[stragglers] *= 5.0
        limit = np.inf if deadline is None else deadline * planned.max()
        late = np.flatnonzero(times > limit)
        assert line["faults"]["late"] == line["missing"] == late.tolist()
        assert line["round_latency_s"]["compute"] == pytest.approx(min(times.max(), limit))
        done = np.minimum(1.0, limit / times)
        assert line["round_energy_j"]["compute"] == pytest.approx(joules @ done)
        assert line["clients"] == np.setdiff1d(np.arange(6), late).tolist()
        seen |= set(stragglers)
    assert seen
    assert run.state.energy_j.compute + run.state.energy_j.pilots + run.state.energy_j.uplink == (
        pytest.approx(run.state.client_energy_j.sum())
    )


def test_a_round_that_is_lost_costs_twice_and_learns_once(small_scenario) -> None:
    plain = rounds_of(small_scenario, "movable")
    again = rounds_of(with_settings(small_scenario, faults__restart={"share": 1.0}), "movable")
    for once, twice in zip(plain, again, strict=True):
        assert twice["loss"] == once["loss"]
        for name in ("round_latency_s", "round_energy_j"):
            for part, value in once[name].items():
                factor = 1 if part == "movement" else 2
                assert twice[name][part] == pytest.approx(factor * value)


def test_who_misses_the_broadcast_works_with_the_last_adapter_it_has(small_scenario) -> None:
    scenario = with_settings(
        small_scenario, clients__count=5, faults__broadcast={"share": 0.5, "burst_rounds": 2.0}
    )
    learner = QuadraticLearner(scenario, 1, noise=0.0)
    run = run_with(scenario, "ideal", 1, learner)
    source = FaultSource(scenario, 1)
    weights = learner.data_sizes / learner.data_sizes.sum()
    theta, held, kept = np.zeros(learner.size), np.zeros((5, learner.size)), []
    for index in range(1, 8):
        line = run.run_round()
        missed = source.of_round(index).missed
        held[~missed] = theta
        stale = np.flatnonzero(missed).tolist()
        assert line["faults"]["stale"] == stale
        ways = np.linalg.norm(held - theta, axis=1)
        expected = (scenario.bound.L * weights @ ways) ** 2
        assert line["faults"]["stale_bias"] == pytest.approx(expected, rel=1e-4, abs=1e-9)
        theta = theta - 0.3 * weights @ (held - learner.optima)
        kept.append(len(run.state.faults.adapters))
    assert np.allclose(run.state.adapter, theta, atol=1e-4)
    # not one copy a client: those who are in step share one
    assert max(kept) <= 4


def test_a_jammer_is_heard_and_a_known_one_is_nulled(small_scenario) -> None:
    jammed = {"share": 1.0, "power_dbm": 20.0}
    quiet = with_settings(small_scenario, radio__interferers__count=0, array__antennas=4)
    errors = {}
    for known in (None, False, True):
        changes = {} if known is None else {"faults__jammer": {**jammed, "known": known}}
        lines = rounds_of(with_settings(quiet, **changes), "fixed")
        errors[known] = 10 * np.log10(np.mean([line["mse"] for line in lines]))
        for line in lines:
            assert ("faults" in line) == (known is not None)
            assert line["mse_db"] == pytest.approx(line["mse_predicted_db"], abs=1.5)
    assert errors[None] < errors[True] < errors[False] - 3


@pytest.mark.parametrize("scheme", ["movable", "selection", "digital"])
def test_the_strongest_jammer_that_is_allowed_is_computed_with(small_scenario, scheme: str) -> None:
    for known in (True, False):
        jammer = {"share": 1.0, "power_dbm": 10.0, "distance_m": [1.0, 2.0], "known": known}
        lines = rounds_of(with_settings(small_scenario, faults__jammer=jammer), scheme, 2)
        assert [line["faults"]["jammed"] for line in lines] == [True, True]
        with pytest.raises(ValueError, match=r"power_dbm = 11: arrives 101 dB over the noise"):
            with_settings(small_scenario, faults__jammer={**jammer, "power_dbm": 11.0})


def test_a_jammer_comes_and_goes_with_its_share(small_scenario) -> None:
    scenario = with_settings(small_scenario, faults__jammer={"share": 0.5})
    source = FaultSource(scenario, 1)
    on = [bool(source.of_round(index).jammed) for index in range(1, 201)]
    assert np.mean(on) == pytest.approx(0.5, abs=5 * np.sqrt(0.25 / 200))
    run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
    radio = run.repetition.radio
    for index in range(1, 6):
        wrong = source.of_round(index)
        heard = source.radio(index, wrong, radio)
        count = len(heard.true.interferers.gains)
        assert count == 2 + bool(wrong.jammed)
        assert len(heard.perceived.interferers.gains) == 2
        assert len((heard.true_budget or heard.budget).interferer_powers) == count


def test_dead_antennas_that_are_known_leave_a_smaller_array(small_scenario) -> None:
    scenario = with_settings(small_scenario, array__antennas=4, faults__antennas={"dead": 2})
    for scheme in ("fixed", "selection", "movable"):
        run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
        line = run.run_round()
        assert run.state.positions.shape == (2, 2)
        link = run.repetition.radio(1).at(run.state.positions)
        best = beamform(
            link.radio.problem(run.state.effective_weights), run.state.positions, seed=3
        )
        assert 10 ** (line["mse_predicted_db"] / 10) == pytest.approx(
            run_noise(run, best.worst_gain, line), rel=0.02
        )
    whole = SCHEMES["fixed"].build(small_scenario, 1).array.start()
    assert len(whole) == 3


def run_noise(run: Any, gain: float, line: dict[str, Any]) -> float:
    """1 / t at the plan's back-off, in the units of the metrics (block scales: v^2 is that)."""
    return 1.0 / gain / run.plan.power_backoff


@pytest.mark.parametrize("scheme", ["ideal", "digital", "obda", "fixed"])
def test_a_cell_without_a_figure_of_misalignment_has_its_results(
    small_scenario, tmp_path: Path, scheme: str
) -> None:
    ruled = {"groups": 2, "robust": "median"}
    scenario = with_settings(small_scenario, faults__dropout={"share": 0.4}, aggregation=ruled)
    execute(scenario, scheme, tmp_path)
    figures = outcomes.cell_figures(histories.read_cell(cell_of(tmp_path, scheme)), {})
    assert "squared_bias" not in figures["faults"]
    assert 0 < figures["faults"]["participation"] < 1
    assert fault_rows({"schemes": {scheme: figures}}).rows


def test_dead_antennas_that_are_not_known_misalign(small_scenario) -> None:
    errors = {}
    for known in (True, False):
        dead = {"dead": 1, "dead_known": known}
        scenario = with_settings(
            small_scenario, array__antennas=4, clients__tx_power_dbm=23.0, faults__antennas=dead
        )
        lines = rounds_of(scenario, "fixed")
        errors[known] = np.mean([line["mse"] for line in lines])
        biases = [line["faults"]["squared_bias"] for line in lines]
        assert (max(biases) < 1e-12) == known
        assert len(lines[0]["faults"]["dead_antennas"]) == 1
    assert errors[False] > 2 * errors[True]


def test_stuck_antennas_stay_and_the_others_are_placed_around_them(small_scenario) -> None:
    scenario = with_settings(
        small_scenario, array__antennas=4, faults__antennas={"stuck": 2}, placement__max_travel=0.5
    )
    run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
    start = run.state.positions.copy()
    lines = [run.run_round() for _ in range(3)]
    stuck = lines[0]["faults"]["stuck_antennas"]
    assert len(stuck) == 2
    assert np.array_equal(run.state.positions[stuck], start[stuck])
    others = np.setdiff1d(np.arange(4), stuck)
    assert (np.abs(run.state.positions - start)[others] > 1e-3).any()
    gaps = [np.linalg.norm(a - b) for a, b in itertools.combinations(run.state.positions, 2)]
    assert min(gaps) >= 0.5 - 1e-9
    # it is a choice among fewer places: between not moving and moving all
    still = rounds_of(with_settings(scenario, faults__antennas={"stuck": 4}), "movable", 1)[0]
    free = rounds_of(with_settings(scenario, faults__antennas={"stuck": 0}), "movable", 1)[0]
    assert free["mse_predicted_db"] <= lines[0]["mse_predicted_db"] + 0.3
    assert lines[0]["mse_predicted_db"] < still["mse_predicted_db"]
    assert still["moved_m"] == 0.0


@pytest.mark.parametrize(
    "missing", [{"position_error": 0.05}, {"backlash": 0.05}], ids=lambda one: next(iter(one))
)
def test_drives_that_miss_misalign_the_movable_array_alone(small_scenario, missing) -> None:
    scenario = with_settings(small_scenario, clients__tx_power_dbm=23.0, faults__antennas=missing)
    for scheme, misses in (("movable", True), ("fixed", False)):
        lines = rounds_of(scenario, scheme)
        biases = [line["faults"]["squared_bias"] for line in lines]
        assert (min(biases) > 1e-6) == misses
    books = [
        [line["round_energy_j"]["movement"] for line in rounds_of(one, "movable")]
        for one in (scenario, with_settings(scenario, faults__antennas={}))
    ]
    assert books[0][0] == books[1][0]  # the drives are paid for where they were sent


def test_outdated_channels_are_those_of_the_last_round(small_scenario) -> None:
    scenario = with_settings(small_scenario, faults__side_information={"csi_share": 0.5})
    run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
    source, met = FaultSource(scenario, 1), 0
    for index in range(1, 5):
        wrong = source.of_round(index)
        last = run.repetition.radio(index - 1).perceived.clients.gains.copy()
        radio = source.radio(index, wrong, run.repetition.radio)
        now = run.repetition.radio(index).true.clients.gains
        expected = np.where(wrong.outdated[:, None], last, now)
        assert np.array_equal(radio.perceived.clients.gains, expected)
        assert np.array_equal(radio.true.clients.gains, now)
        met += int(wrong.outdated.sum())
    assert met


def test_digital_rates_fall_where_amplifiers_clip(small_scenario) -> None:
    strong = with_settings(small_scenario, clients__tx_power_dbm=30.0)
    linear = rounds_of(strong, "digital", 1)[0]
    clipped = rounds_of(with_settings(strong, faults__amplifier={"clip_db": 0.0}), "digital", 1)[0]
    assert clipped["round_latency_s"]["uplink"] > 1.2 * linear["round_latency_s"]["uplink"]
    turned = rounds_of(
        with_settings(strong, faults__synchronisation={"phase_deg": 40.0, "timing": 0.1}),
        "digital",
        1,
    )[0]
    assert turned["round_latency_s"] == linear["round_latency_s"]
    assert turned["loss"] == linear["loss"]


def test_the_forms_of_the_air_agree_in_the_loop(small_scenario) -> None:
    wrong = {name: EVERYTHING[name] for name in ("dropout", "synchronisation", "amplifier")}
    ratios = {}
    for form in ("scalar", "waveform"):
        scenario = with_settings(small_scenario, aggregation__form=form, faults=wrong)
        lines = rounds_of(scenario, "fixed", 12)
        ratios[form] = [10 ** ((x["mse_db"] - x["mse_predicted_db"]) / 10) for x in lines]
    assert np.mean(ratios["scalar"]) == pytest.approx(np.mean(ratios["waveform"]), abs=0.25)
