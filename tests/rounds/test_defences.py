"""Poisoned clients in the rounds, and what stands against them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune import record
from airtune.engines import RoundUpdates
from airtune.report import page, run_folder
from airtune.rounds import cell_io
from airtune.rounds.anomaly import FLOOR, judge
from airtune.rounds.poisoning import Poisoning
from airtune.scenario import Poison, Scenario, Training
from airtune.study import compare
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import cell_of, execute, with_settings

UPDATES = np.random.default_rng(0).standard_normal((4, 50)).astype(np.float32)


def sent(clip_norm: float | None = None, round_index: int = 1, **poison: Any) -> RoundUpdates:
    """What clients 0, 2, 5 and 9 of ten send."""
    poisoning = Poisoning(Poison(**poison), 10, 1, clip_norm)
    computed = RoundUpdates(UPDATES, np.array([0, 2, 5, 9]), (), 1.0, {2: {"x": np.ones(1)}})
    before = UPDATES.copy()
    after = poisoning.sent(computed, round_index)
    assert np.array_equal(UPDATES, before)
    return after


def test_nothing_is_touched_where_nobody_is_poisoned() -> None:
    for poison in ({}, {"kind": "scaling", "share": 0}, {"kind": "label-noise", "share": 1}):
        assert sent(**poison).updates is UPDATES
    assert sent(kind="scaling", share=1, from_round=2).updates is UPDATES


@pytest.mark.parametrize("scale", [None, 2.5])
def test_each_kind_sends_what_it_says(scale: float | None) -> None:
    exact, factor = UPDATES.astype(float), scale or 1.0
    flipped = sent(kind="sign-flip", share=1, scale=scale).updates
    assert np.allclose(flipped, -factor * exact, rtol=1e-6)
    scaled = sent(kind="scaling", share=1, scale=scale).updates
    assert np.allclose(scaled, (scale or 10.0) * exact, rtol=1e-6)
    noise = sent(kind="random", share=1, scale=scale).updates.astype(float)
    norms = np.linalg.norm(noise, axis=1) / np.linalg.norm(exact, axis=1)
    assert np.allclose(norms, factor, rtol=1e-5)
    cosines = np.sum(noise * exact, axis=1) / np.linalg.norm(noise, axis=1)
    assert np.abs(cosines / np.linalg.norm(exact, axis=1)).max() < 0.6
    again = sent(kind="random", share=1, scale=scale, round_index=2).updates
    assert not np.allclose(noise, again)


def test_only_poisoned_clients_send_something_else() -> None:
    for share in (0.3, 0.6):
        poisoned = Poison(kind="scaling", share=share).clients(10, 1)
        after = sent(kind="scaling", share=share).updates
        for row, client in enumerate((0, 2, 5, 9)):
            same = np.array_equal(after[row], UPDATES[row])
            assert same == (client not in poisoned)


def test_the_server_clips_what_is_longer_than_it_takes() -> None:
    after = sent(clip_norm=0.5, kind="scaling", share=1)
    assert np.allclose(np.linalg.norm(after.updates, axis=1), 0.5, rtol=1e-6)
    assert np.array_equal(
        sent(clip_norm=1e6, kind="scaling", share=1).updates, sent(kind="scaling", share=1).updates
    )


def test_a_harmful_update_that_is_not_finite_is_dropped() -> None:
    poisoning = Poisoning(Poison(kind="scaling", share=1, scale=1e12), 10, 1, None)
    large = UPDATES * np.float32(1e35)
    after = poisoning.sent(
        RoundUpdates(large, np.array([0, 2, 5, 9]), (), 1.0, {2: {"x": np.ones(1)}}), 1
    )
    assert after.dropped == (0, 2, 5, 9)
    assert after.updates.shape == (0, 50)
    assert not after.states


def test_rounds_without_the_fault_are_as_they_were(small_scenario, tmp_path) -> None:
    """Settings of defences and of the fault that are off change no bit and no line."""
    base = with_settings(small_scenario, training__rounds=3, digital__access="tdma")
    off = with_settings(
        base,
        faults__poison={"kind": "none", "share": 0.5, "scale": 3.0},
        aggregation__trim=0.3,
        training__anomaly_window=7,
    )
    for scheme in ("fixed", "digital"):
        one, other = (execute(s, scheme, tmp_path / str(n)) for n, s in enumerate((base, off)))
        assert np.array_equal(one.state.adapter, other.state.adapter)
        lines = [record.read_metrics(cell_of(tmp_path / n, scheme)) for n in ("0", "1")]
        for line, again in zip(*lines, strict=True):
            line.pop("round_wall_s", None), again.pop("round_wall_s", None)
            assert line == again
            assert not {"poisoned", "rejected", "rule_shift_db"} & set(line)


def test_the_same_clients_are_poisoned_for_every_scheme_and_told(small_scenario) -> None:
    scenario = with_settings(
        small_scenario, faults__poison={"kind": "sign-flip", "share": 0.3, "from_round": 3}
    )
    told = set()
    for scheme in ("ideal", "fixed", "digital"):
        run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
        lines = [run.run_round() for _ in range(4)]
        assert [line["poisoned"] for line in lines[:2]] == [[], []]
        assert lines[2]["poisoned"] == lines[3]["poisoned"]
        told.add(tuple(lines[3]["poisoned"]))
    assert len(told) == 1
    assert len(told.pop()) == 1


def losses(scenario: Scenario, scheme: str, rounds: int = 8) -> list[float]:
    """Loss above the least one after each round."""
    run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    return [run.run_round()["loss"] - 1.0 for _ in range(rounds)]


def test_rules_stand_against_scaling_where_the_server_can_compare(small_scenario) -> None:
    """Nine alike clients, two of them poisoned; groups of one client tell everybody apart."""
    base = with_settings(
        small_scenario,
        clients__count=9,
        clients__tx_power_dbm=20.0,
        training__rounds=8,
        aggregation__trim=0.3,
        digital__access="tdma",
        faults__poison={"kind": "scaling", "share": 0.2, "scale": 30.0},
    )
    for scheme, groups in (("digital", 1), ("fixed", 9)):
        plain = with_settings(base, aggregation__groups=groups)
        undefended = losses(plain, scheme)[-1]
        for rule in ("median", "trimmed-mean", "geometric-median"):
            held = losses(with_settings(plain, aggregation__robust=rule), scheme)[-1]
            assert held < 0.5
            assert held < 0.01 * undefended
    # one sum leaves nothing to compare
    summed = with_settings(base, aggregation__robust="median")
    assert losses(summed, "fixed") == losses(base, "fixed")


NORMS = st.lists(st.floats(0.1, 10.0), min_size=0, max_size=14)


@given(NORMS, st.floats(0.01, 1e3), st.floats(0.5, 20.0))
def test_the_anomaly_test_is_the_one_that_is_described(
    norms: list[float], norm: float, factor: float
) -> None:
    settings = Training(anomaly_stop=factor, anomaly_window=8)
    known = np.array(norms[-8:])
    verdict = judge(np.array([0.6 * norm, -0.8 * norm]), known, settings)
    assert verdict is not None
    assert verdict.norm == pytest.approx(norm)
    if len(known) < 5:
        assert verdict.limit is None
        assert verdict.accepted
    else:
        middle = np.median(known)
        mad = np.median(np.abs(known - middle))
        limit = middle + factor * max(1.4826 * mad, FLOOR * middle)
        assert verdict.limit == pytest.approx(limit)
        assert verdict.accepted == (verdict.norm <= verdict.limit)
    after = [*known.tolist(), verdict.norm][-8:] if verdict.accepted else known.tolist()
    assert verdict.norms.tolist() == after


def test_what_is_not_finite_makes_no_step() -> None:
    verdict = judge(np.array([np.nan]), np.zeros(0), Training(anomaly_stop=5))
    assert verdict is not None
    assert not verdict.accepted
    assert verdict.metrics() == {"rejected": True, "mean_norm": None, "mean_norm_limit": None}
    assert judge(np.array([1.0]), np.zeros(0), Training()) is None
    never = judge(np.array([1.0]), np.full(5, 1e3), Training(anomaly_stop=1e308))
    assert never is not None  # a limit beyond all numbers, which JSON cannot hold
    assert never.metrics() == {"rejected": False, "mean_norm": 1.0, "mean_norm_limit": None}


def attacked(scenario: Scenario, **changes: Any) -> Scenario:
    """Clients that begin to send a thousandfold of their update in round 8 of 12."""
    poison = {"kind": "scaling", "share": 0.3, "scale": 1000.0, "from_round": 8}
    return with_settings(scenario, training__rounds=12, faults__poison=poison, **changes)


def test_a_round_out_of_line_makes_no_step_and_is_told(
    small_scenario, quadratic, tmp_path, monkeypatch
) -> None:
    scenario = attacked(small_scenario, training__anomaly_stop=8.0, schemes=["ideal", "fixed"])
    run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
    places, lines, spent = [run.state.adapter.copy()], [], []
    for _ in range(12):
        lines.append(run.run_round())
        places.append(run.state.adapter.copy())
        spent.append(run.state.optimizer_state["steps"].item())
    assert [line["rejected"] for line in lines] == [False] * 7 + [True] * 5
    for index, line in enumerate(lines):
        still = np.array_equal(places[index], places[index + 1])
        assert still == line["rejected"]
        assert line["round_latency_s"]["uplink"] > 0  # it was sent, and is paid for
    assert spent[-1] == spent[6] == 7
    assert lines[11]["mean_norm"] > lines[11]["mean_norm_limit"]
    monkeypatch.setattr(compare, "publish", lambda folder: None)  # no figures
    results = compare.compare(scenario, tmp_path / "run")
    assert results["schemes"]["fixed"]["rejected_rounds"] == 5
    said = page._remarks(run_folder.load(tmp_path / "run"))
    assert (
        "Poisoned: 1 of 3 clients, which sent a multiple of their update from round 8 on." in said
    )
    told = "5 of 12 rounds without a step (anomaly stop) left the adapter as it was."
    assert f"Ideal: {told}" in said
    assert sum("without a step" in sentence for sentence in said) == 2  # one for each scheme


@pytest.mark.parametrize(
    ("scheme", "changes"),
    [
        ("fixed", {"training__anomaly_stop": 8.0}),
        ("movable", {"aggregation__groups": 3, "aggregation__robust": "median"}),
        ("digital", {"aggregation__robust": "trimmed-mean", "training__anomaly_stop": 2.0}),
    ],
)
def test_resume_is_bit_for_bit(small_scenario, tmp_path, scheme: str, changes: dict) -> None:
    scenario = attacked(small_scenario, **changes)
    whole = execute(scenario, scheme, tmp_path / "whole")

    def stop(line: dict[str, object]) -> None:
        if line["round"] == 9:
            raise KeyboardInterrupt

    first = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    with pytest.raises(KeyboardInterrupt):
        cell_io.execute(first, cell_of(tmp_path / "stopped", scheme), stop)
    resumed = execute(scenario, scheme, tmp_path / "stopped")
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)
    assert np.array_equal(resumed.state.accepted_norms, whole.state.accepted_norms)

    def timeless(folder: str) -> list[dict[str, object]]:
        lines = record.read_metrics(cell_of(tmp_path / folder, scheme))
        return [{k: v for k, v in line.items() if not k.endswith("_wall_s")} for line in lines]

    assert timeless("stopped") == timeless("whole")
