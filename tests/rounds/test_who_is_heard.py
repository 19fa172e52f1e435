"""Figures of a round count who was heard: poison, missing clients, uploads that are all cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from airtune.bound.faults import joint_bias
from airtune.report.faults import fault_rows, fault_words
from airtune.rounds.poisoning import Poisoning
from airtune.scenario import Scenario
from airtune.study import histories, outcomes
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import cell_of, execute, with_settings

POISON = {"kind": "scaling", "share": 0.34, "scale": 4.0}


def rounds_of(
    scenario: Scenario, scheme: str, count: int = 6
) -> tuple[QuadraticLearner, list[tuple[np.ndarray, dict[str, Any]]]]:
    """Return the learner, and of each round the adapter that it began with and its line."""
    learner = QuadraticLearner(scenario, 1, noise=0.0)
    run, lines = run_with(scenario, scheme, 1, learner), []
    for _ in range(count):
        adapter = run.state.adapter.astype(float)
        lines.append((adapter, run.run_round()))
    return learner, lines


@pytest.mark.parametrize("scheme", ["ideal", "digital"])
@pytest.mark.parametrize("when", ["before", "during"])
def test_poison_of_who_is_not_heard_has_no_bias(small_scenario, scheme: str, when: str) -> None:
    """By hand: (s - 1) times the updates of the poisoned who are there, in the mean of those."""
    scenario = with_settings(
        small_scenario,
        clients__count=6,
        faults__poison=POISON,
        faults__dropout={"share": 0.5, "when": when},
    )
    learner, rounds = rounds_of(scenario, scheme)
    poisoned = Poisoning.of(scenario, 1).clients(1)
    kinds = set()
    for adapter, line in rounds:
        there = np.setdiff1d(np.arange(6), line["missing"])
        weights = learner.data_sizes / max(learner.data_sizes[there].sum(), 1)
        harmful = np.intersect1d(poisoned, there)
        off = 3.0 * weights[harmful] @ (adapter - learner.optima[harmful])
        found = line["faults"]["poison_bias"]
        assert found == pytest.approx(off @ off, rel=1e-5)
        apart = min(1, 4 * (1 - line["share"]) ** 2) * scenario.bound.zeta_sq
        assert line["bias"] == pytest.approx(joint_bias(apart, found), rel=1e-6)
        kinds.add((len(harmful) > 0, len(there) > len(harmful)))
    assert {(True, True), (False, True)} <= kinds


def test_there_is_no_such_bias_under_a_rule_or_a_vote_nor_without_a_step(small_scenario) -> None:
    base = with_settings(small_scenario, faults__poison=POISON)
    ruled = with_settings(base, aggregation__robust="median", aggregation__groups=3)
    for scenario, schemes in ((ruled, ("ideal", "fixed")), (base, ("obda", "feedsign"))):
        for scheme in schemes:
            _, [(_, line)] = rounds_of(scenario, scheme, 1)
            assert line["faults"]["poison_bias"] is None
    gone = with_settings(ruled, faults__dropout={"share": 1.0, "when": "before"})
    for scheme in ("ideal", "fixed", "digital"):  # nothing is received
        _, [(_, line)] = rounds_of(gone, scheme, 1)
        assert line["share"] == 0
        assert line["faults"]["poison_bias"] is None
    wrong = with_settings(base, faults__poison__kind="label-noise")
    assert rounds_of(wrong, "ideal", 1)[1][0][1]["faults"]["poison_bias"] is None
    poison = {"kind": "scaling", "share": 0.3, "scale": 1000.0, "from_round": 7}
    stopped = with_settings(
        small_scenario, training__rounds=8, faults__poison=poison, training__anomaly_stop=8.0
    )
    lines = [line for _, line in rounds_of(stopped, "fixed", 8)[1]]
    assert [line["rejected"] for line in lines] == [False] * 6 + [True] * 2
    assert [line["faults"]["poison_bias"] for line in lines] == [0.0] * 8
    free = with_settings(stopped, training__anomaly_stop=None)
    assert rounds_of(free, "fixed", 7)[1][6][1]["faults"]["poison_bias"] > 1


def test_poison_alone_is_in_the_results_and_on_the_page(small_scenario, tmp_path) -> None:
    scenario = with_settings(small_scenario, training__rounds=2, faults__poison=POISON)
    execute(scenario, "fixed", tmp_path)
    figures = outcomes.cell_figures(histories.read_cell(cell_of(tmp_path, "fixed")), {})
    assert figures["faults"]["participation"] == 1.0
    assert figures["faults"]["bias"] >= figures["faults"]["poison_bias"] > 0
    assert fault_rows({"schemes": {"fixed": figures}}).rows
    assert "participation 100.0 %" in fault_words(figures)
    voted = tmp_path / "voted"
    execute(scenario, "obda", voted)
    figures = outcomes.cell_figures(histories.read_cell(cell_of(voted, "obda")), {})
    assert "bias" not in figures["faults"]  # of the poisoned client it is not known
    assert "bias of the bound" not in fault_words(figures)


def test_whose_update_is_not_finite_is_missing_without_any_fault(small_scenario) -> None:
    learner = QuadraticLearner(small_scenario, 1, broken={(2, 1): True})
    run = run_with(small_scenario, "fixed", 1, learner)
    lines = [run.run_round() for _ in range(3)]
    assert [line["missing"] for line in lines] == [[], [1], []]
    assert [line["dropped"] for line in lines] == [[], [1], []]
    assert not any("faults" in line for line in lines)


@pytest.mark.parametrize("scheme", ["digital", "feedsign"])
def test_a_round_of_which_nothing_arrives_is_paid_for(small_scenario, scheme: str) -> None:
    """Everybody sends a part: the slots are over, radiated is what was sent, nothing is learnt."""
    dropout = {"share": 0.85, "when": "during"}
    scenario = with_settings(small_scenario, faults__dropout=dropout, digital__access="tdma")
    whole = rounds_of(with_settings(scenario, faults__dropout={"share": 0.0}), scheme, 1)[1][0][1]
    learner = QuadraticLearner(scenario, 1)
    run = run_with(scenario, scheme, 1, learner)
    met = 0
    for _ in range(8):
        before, spent = run.state.adapter.copy(), run.state.client_energy_j.copy()
        line = run.run_round()
        if len(line["missing"]) < 3:
            continue
        met += 1
        assert line["clients"] == []
        assert (line["transmitted"], line["share"], line["mse"]) == (0, 0.0, None)
        assert np.array_equal(run.state.adapter, before)
        assert line["round_latency_s"]["uplink"] > 0.3 * whole["round_latency_s"]["uplink"]
        assert 0 < line["round_radiated_j"]["uplink"] < whole["round_radiated_j"]["uplink"]
        assert (run.state.client_energy_j > spent).all()
    assert met


@pytest.mark.parametrize("reports", ["sequential", "joint"])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_who_drops_out_before_the_upload_pays_its_pilots_and_no_report(
    small_scenario, reports: str, share: float
) -> None:
    scenario = with_settings(
        small_scenario, faults__dropout={"share": share}, aggregation__scale_reports=reports
    )
    run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
    radio, processor = scenario.radio, scenario.client_processor
    seconds = radio.pilot_symbols_per_client / radio.bandwidth_hz
    watt = 10 ** (scenario.clients.tx_power_dbm / 10 - 3)
    counts = set()
    for _ in range(5):
        before = run.state.client_energy_j.copy()
        line = run.run_round()
        out = line["faults"]["left_out"]
        cycles = 1e9 / processor.flop_per_cycle * run.plan.batch_sizes
        computed = processor.kappa * run.plan.frequencies**2 * cycles
        spent = run.state.client_energy_j - before
        assert spent[out] == pytest.approx((computed + watt * seconds)[out])
        silent = len(out) == 3
        assert silent == (line["round_latency_s"]["pilots"] == pytest.approx(3 * seconds))
        counts.add(len(out))
    assert counts == {3} if share == 1.0 else len(counts) > 1


@pytest.mark.parametrize("reports", ["sequential", "joint"])
@pytest.mark.parametrize("groups", [1, 3])
def test_where_everybody_is_silent_nobody_reports(
    small_scenario, reports: str, groups: int
) -> None:
    """Whose updates are zero is not silent: its report says so."""
    scenario = with_settings(
        small_scenario,
        aggregation__scale_reports=reports,
        aggregation__groups=groups,
        aggregation__truncation_db=90.0,
    )
    radio, count = scenario.radio, scenario.clients.count
    seconds = radio.pilot_symbols_per_client / radio.bandwidth_hz
    watt = 10 ** (scenario.clients.tx_power_dbm / 10 - 3)
    for _, line in rounds_of(scenario, "truncated", 3)[1]:
        assert (line["clients"], line["missing"]) == ([], [])
        assert line["round_latency_s"]["pilots"] == pytest.approx(count * seconds)
        assert line["round_radiated_j"]["pilots"] == pytest.approx(count * seconds * watt)
    learner = QuadraticLearner(scenario, 1, noise=0.0)
    learner.optima *= 0.0
    line = run_with(scenario, "truncated", 1, learner).run_round()
    assert line["clients"] == []
    assert line["round_latency_s"]["pilots"] > 2 * count * seconds
