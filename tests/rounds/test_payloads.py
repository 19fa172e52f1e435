"""Rounds that send part of the updates (`aggregation.payload`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.engines import RoundUpdates
from airtune.errors import InputError
from airtune.learning.payload import PAYLOADS
from airtune.learning.results import AdapterMatrix
from airtune.registry import SERVER_OPTIMIZERS
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from quadratic import QuadraticLearner, run_with

SHAPES = (("q.lora_A", (2, 20)), ("q.lora_B", (15, 2)), ("v.lora_A", (1, 7)), ("v.lora_B", (30, 1)))
SCHEMES = ("ideal", "fixed", "digital", "obda", "cotaf", "truncated")
OTHERS = (
    *("movable", "fixed-2n", "sparse", "selection", "selection-compact", "random-position", "ris"),
    *("non-coherent", "massive-digital", "digital-movable", "digital-selection"),
)
"""Of other arrays, and other sums: what is sent is the same for all."""


class Factors(QuadraticLearner):
    """A quadratic loss over two layers of LoRA: 47 entries of A and 60 of B."""

    def __post_init__(self) -> None:
        self.sizes = tuple(rows * columns for _, (rows, columns) in SHAPES)
        super().__post_init__()
        self.matrices = tuple(
            AdapterMatrix(f"{name}.weight", shape, matrix.start, matrix.size)
            for (name, shape), matrix in zip(SHAPES, self.matrices, strict=True)
        )


def with_payload(scenario: Scenario, name: str, size: int = 24, **changes: Any) -> Scenario:
    data = scenario.to_dict()
    data["aggregation"]["payload"] = name
    if PAYLOADS[name].sized:
        data["aggregation"]["payload_size"] = size
    for path, value in changes.items():
        section = data
        *parents, last = path.split("__")
        for parent in parents:
            section = section[parent]
        section[last] = value
    return Scenario.model_validate(data)


def run_of(scenario: Scenario, scheme: str) -> FederatedRun:
    return run_with(scenario, scheme, 1, Factors(scenario, 1))


def moved_in(run: FederatedRun) -> np.ndarray:
    """Run a round and return which entries it has moved."""
    before = run.state.adapter.copy()
    run.run_round()
    return np.flatnonzero(run.state.adapter != before)


@pytest.mark.parametrize("name", list(PAYLOADS))
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_moves_what_is_sent_and_learns(small_scenario, name, scheme) -> None:
    run = run_of(with_payload(small_scenario, name, 60, aggregation__payload_step=1.0), scheme)
    payload, first = run.sending.payload, run.first_metrics()["loss"]
    for index in (1, 2, 3, 4):
        moved = moved_in(run)
        entries = payload.entries(index)
        assert len(moved) > 0
        assert entries is None or np.isin(moved, entries).all()
        if entries is not None:
            assert len(moved) > 0.9 * len(entries)
    assert run.engine.evaluate(run.state.adapter).loss < first


@pytest.mark.parametrize("scheme", OTHERS)
@pytest.mark.parametrize("name", ["rolora", "mask"])
def test_every_array_and_sum_moves_what_is_sent(small_scenario, name, scheme) -> None:
    run = run_of(with_payload(small_scenario, name), scheme)
    for index in (1, 2):
        moved, entries = moved_in(run), run.sending.payload.entries(index)
        assert len(moved) > 0.9 * len(entries) and np.isin(moved, entries).all()


@pytest.mark.parametrize("optimizer", list(SERVER_OPTIMIZERS))
@pytest.mark.parametrize("name", list(PAYLOADS))
def test_every_server_optimiser_moves_what_is_sent(small_scenario, name, optimizer) -> None:
    steps = {"training__learning_rate": 0.05, "aggregation__payload_step": 1.0}
    scenario = with_payload(small_scenario, name, 60, training__server_optimizer=optimizer, **steps)
    run = run_of(scenario, "ideal")
    first = run.first_metrics()["loss"]
    for index in (1, 2, 3, 4):
        moved, entries = moved_in(run), run.sending.payload.entries(index)
        assert len(moved) > 0 and (entries is None or np.isin(moved, entries).all())
    assert run.engine.evaluate(run.state.adapter).loss < first


@pytest.mark.parametrize("name", ["ffa", "rolora", "mask"])
def test_the_error_free_step_is_that_of_the_mean_on_the_entries_sent(small_scenario, name) -> None:
    scenario = with_payload(small_scenario, name, aggregation__payload_step=1.0)
    run = run_of(scenario, "ideal")
    learner = run.engine.learner
    omega = run.repetition.omega
    for index in (1, 2, 3):
        before = run.state.adapter.copy()
        updates = learner.client_updates(before, [0, 1, 2], run.plan.batch_sizes, 1, index)
        mean = omega @ np.array([u.update for u in updates], np.float64)
        run.run_round()
        expected = np.zeros(len(before))
        entries = run.sending.payload.entries(index)
        expected[entries] = 0.3 * mean[entries]
        assert np.allclose(before - run.state.adapter, expected, atol=1e-6)


def test_halves_take_turns_each_with_its_own_moments(small_scenario) -> None:
    run = run_of(with_payload(small_scenario, "rolora", training__server_optimizer="adam"), "fixed")
    b, a = (run.sending.payload.parts[name] for name in "BA")
    for index in range(1, 6):
        resting = {
            n: {k: v.copy() for k, v in run.state.resting[n].optimizer_state.items()}
            for n in run.state.resting
        }
        part = "BA"[(index + 1) % 2]
        assert np.isin(moved_in(run), {"A": a, "B": b}[part]).all()
        assert run.state.part == part
        assert int(run.state.optimizer_state["steps"].item()) == (index + 1) // 2
        assert len(run.state.optimizer_state["first"]) == len({"A": a, "B": b}[part])
        (other,) = run.state.resting
        if other in resting:
            for key, value in run.state.resting[other].optimizer_state.items():
                assert np.array_equal(value, resting[other][key])


def test_moments_of_entries_that_are_not_sent_rest(small_scenario) -> None:
    run = run_of(with_payload(small_scenario, "mask", training__server_optimizer="adam"), "fixed")
    for index in (1, 2, 3):
        before = {k: v.copy() for k, v in run.state.optimizer_state.items()}
        entries = run.sending.payload.entries(index)
        run.run_round()
        after, rest = run.state.optimizer_state, np.ones(len(run.state.adapter), bool)
        rest[entries] = False
        for moment in ("first", "second"):
            assert np.array_equal(after[moment][rest], before[moment][rest])
            assert not np.any(after[moment][entries] == before[moment][entries])


def test_error_feedback_of_entries_that_are_not_sent_rests(small_scenario) -> None:
    changes = {"digital__bits": 2, "digital__error_feedback": True}
    run = run_of(with_payload(small_scenario, "mask", **changes), "digital")
    run.run_round()
    first = run.state.memory[0].copy()
    assert np.isin(np.flatnonzero(first), run.sending.payload.entries(1)).all()
    run.run_round()
    rest = np.setdiff1d(np.arange(len(first)), run.sending.payload.entries(2))
    assert np.array_equal(run.state.memory[0][rest], first[rest])
    halves = run_of(with_payload(small_scenario, "rolora", **changes), "digital")
    halves.run_round()
    halves.run_round()
    assert len(halves.state.memory[0]) == 47
    assert len(halves.state.resting["B"].memory[0]) == 60
    coefficients = run_of(with_payload(small_scenario, "subspace", **changes), "digital")
    coefficients.run_round()
    assert coefficients.state.memory == {}


def stop_after(last: int) -> Callable[[dict[str, Any]], None]:
    def stop(line: dict[str, Any]) -> None:
        if line["round"] == last:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("name", list(PAYLOADS))
@pytest.mark.parametrize("scheme", ["fixed", pytest.param("digital", marks=pytest.mark.slow)])
def test_a_run_resumes_bit_for_bit(small_scenario, tmp_path: Path, name: str, scheme: str) -> None:
    changes = {
        "training__server_optimizer": "adam",
        "training__learning_rate": 0.05,
        "training__rounds": 7,
        "training__anomaly_stop": 6.0,
        "aggregation__scale_reports": "joint",
        "digital__bits": 3,
    }
    scenario = with_payload(small_scenario, name, **changes)
    cells = [record.Cell(tmp_path / part / scheme / "seed-0", scheme, 0) for part in ("a", "b")]
    whole = run_of(scenario, scheme)
    cell_io.execute(whole, cells[0], lambda line: None)

    for last in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            cell_io.execute(run_of(scenario, scheme), cells[1], stop_after(last))
    resumed = run_of(scenario, scheme)
    cell_io.execute(resumed, cells[1], lambda line: None)
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)
    for one, other in zip(
        resumed.state.arrays().items(), whole.state.arrays().items(), strict=True
    ):
        assert one[0] == other[0]
        assert np.array_equal(one[1], other[1]), one[0]


def test_books_are_those_of_what_is_sent(small_scenario) -> None:
    sent = {"lora": [107, 107], "ffa": [60, 60], "rolora": [60, 47], "mask": [24, 24]}
    sent["subspace"] = sent["mask"]
    rates = {}
    for name, numbers in sent.items():
        run = run_of(with_payload(small_scenario, name), "fixed")
        for count in numbers:
            line = run.run_round()
            assert line["round_latency_s"]["uplink"] == pytest.approx(-(-count // 2) / 0.9e6)
            rates.setdefault(count, []).append(line["round_latency_s"]["downlink"] / count)
        assert run.plan.latency_s.uplink == pytest.approx(5 * -(-numbers[0] // 2) / 0.9e6)
    first_round = [values[0] for values in rates.values()]
    assert np.allclose(rates[24][0], rates[107][0])
    assert np.allclose(first_round[0], rates[60][0])
    coded = {"digital__quantizer": "uniform", "digital__bits": 4, "digital__access": "tdma"}
    digital = with_payload(small_scenario, "mask", **coded)
    lora = with_payload(small_scenario, "lora", **coded)
    times = [run_of(s, "digital").run_round()["round_latency_s"]["uplink"] for s in (digital, lora)]
    # 4 bits a number and a range of 32 bits for each of four blocks
    assert times[0] / times[1] == pytest.approx((24 * 4 + 4 * 32) / (107 * 4 + 4 * 32))


def test_all_participants_follow_broadcasts_of_a_part(small_scenario) -> None:
    changes = {"clients__selection": "random", "clients__concurrency": 1}
    for name, everybody in (("lora", False), ("ffa", False), ("rolora", True), ("mask", True)):
        run = run_of(with_payload(small_scenario, name, 100, **changes), "fixed")
        lines = [run.run_round() for _ in range(4)]
        rates = [
            run.sending.payload.blocks("BA"[i % 2] if name == "rolora" else "").sum()
            / line["round_latency_s"]["downlink"]
            for i, line in enumerate(lines)
        ]
        alone = run_of(with_payload(small_scenario, name, 100), "fixed")
        all_rates = [
            alone.sending.payload.blocks("BA"[i % 2] if name == "rolora" else "").sum()
            / alone.run_round()["round_latency_s"]["downlink"]
            for i in range(4)
        ]
        assert np.allclose(rates, all_rates) == everybody


def test_a_twin_books_its_own_payload(small_scenario) -> None:
    symbols = {}
    for name in PAYLOADS:
        run = run_of(
            with_payload(small_scenario, name, 48, costs__model="openllama-3b-qv"), "fixed"
        )
        lines = [run.run_round() for _ in range(2)]
        symbols[name] = [line["round_latency_s"]["uplink"] * 0.9e6 for line in lines]
    assert symbols["lora"] == pytest.approx([2662400 / 2] * 2)
    assert symbols["ffa"] == pytest.approx([2662400 / 4] * 2)
    assert sum(symbols["rolora"]) == pytest.approx(2662400 / 2)
    assert symbols["mask"] == pytest.approx([2662400 * 48 / 107 / 2] * 2, rel=1e-5)
    assert symbols["subspace"] == symbols["mask"]


def test_each_payload_has_its_own_step(small_scenario) -> None:
    for name, factor in {"lora": 1, "ffa": 2, "rolora": 1, "mask": 4, "subspace": 1}.items():
        assert run_of(with_payload(small_scenario, name), "ideal").training.learning_rate == (
            0.3 * factor
        )
    changed = with_payload(small_scenario, "mask", aggregation__payload_step=0.5)
    assert run_of(changed, "ideal").training.learning_rate == 0.15


def test_the_bound_is_that_of_what_is_sent(small_scenario) -> None:
    constants = {
        name: run_of(with_payload(small_scenario, name, 60), "fixed").repetition.constants
        for name in PAYLOADS
    }
    whole = constants["lora"]
    assert constants["ffa"] == whole  # its constants are those of the loss over B
    for name, share in (("rolora", 0.5), ("mask", 60 / 107)):
        assert constants[name].mu == pytest.approx(share * whole.mu)
        assert constants[name].G_sq == pytest.approx(share * whole.G_sq)
    assert constants["subspace"].L > 2 * whole.L
    assert constants["subspace"].eta <= 1 / constants["subspace"].L


@pytest.mark.parametrize("name", list(PAYLOADS))
def test_what_is_sent_has_the_sensitivity_of_the_accountant(small_scenario, name: str) -> None:
    """A client adds at most omega_k C to the mean of what is sent, whose noise is the metric's."""
    run = run_of(with_payload(small_scenario, name, 60, training__clip_norm=1.0), "fixed")
    random = np.random.default_rng(0)
    for index in (1, 2):
        updates = random.standard_normal((40, 107)).astype(np.float32)
        updates /= np.linalg.norm(updates, axis=1, keepdims=True)
        computed = RoundUpdates(updates, np.arange(40), (), 1.0)
        sent = run.sending.coded(computed, index).updates.astype(np.float64)
        assert np.linalg.norm(sent, axis=1).max() <= 1 + 1e-6
        assert run.run_round()["noise_std"] > 0


@pytest.mark.parametrize("name", list(PAYLOADS))
def test_groups_robust_rules_and_poison_work_on_what_is_sent(small_scenario, name: str) -> None:
    changes = {
        "aggregation__groups": 3,
        "aggregation__robust": "median",
        "faults__poison": {"kind": "random", "share": 0.34},
    }
    run = run_of(with_payload(small_scenario, name, **changes), "fixed")
    for _ in range(3):
        line = run.run_round()
        assert np.isfinite(line["loss"])


def test_payload_and_size_go_together(small_scenario) -> None:
    data = small_scenario.to_dict()
    for payload, size, said in (
        ("mask", None, r"payload = mask: needs payload_size"),
        ("ffa", 10, r"payload_size = 10: needs payload = mask, subspace or planned, not ffa"),
    ):
        data["aggregation"] |= {"payload": payload, "payload_size": size}
        with pytest.raises(ValueError, match=said):
            Scenario.model_validate(data)
    with pytest.raises(InputError, match=r"aggregation.payload_size = 108: must be from 4, .*107"):
        run_of(with_payload(small_scenario, "mask", 108), "fixed")


@pytest.mark.parametrize("scheme", ["fixed", "digital"])
def test_who_would_send_an_infinity_is_dropped(small_scenario, scheme: str) -> None:
    """Coefficients are sums of entries: they overflow where the entries do not."""
    scenario = with_payload(small_scenario, "subspace")
    learner = Factors(scenario, 1)
    learner.optima[1] *= 3e37
    run = run_with(scenario, scheme, 1, learner)
    line = run.run_round()
    assert line["dropped"] == [1]
    assert np.isfinite(run.state.adapter).all() and run.state.adapter.any()
