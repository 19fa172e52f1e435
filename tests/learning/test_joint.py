"""Several clients in one pass: against passes of single clients."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from airtune.learning.device import Device, is_there
from airtune.learning.joint import JointPass
from airtune.learning.learner import prepare
from airtune.learning.model import AdapterModel
from airtune.learning.objectives.sft import SupervisedFineTuning
from airtune.learning.own_factors import OWN
from airtune.learning.payload.base import entries_of
from airtune.record import Cell
from airtune.registry import CLIENT_OBJECTIVES
from airtune.rounds import cell_io
from airtune.scenario import Scenario
from quadratic import run_with

from .joint_parts import CLIENTS, SIZES, adapters_of, difference, model_of, parts_of

ACCELERATOR = next((kind for kind in ("cuda", "mps") if is_there(kind)), None)


@pytest.mark.parametrize(
    ("family", "sizes"),
    [
        *((name, (3, 1, 2)) for name in ("llama", "gpt2")),
        *(
            pytest.param(name, (3, 1, 2), marks=pytest.mark.slow)
            for name in ("qwen2", "gemma2", "opt", "granite")
        ),
        ("llama", (2, 2)),
    ],
)
def test_a_joint_pass_gives_each_client_the_gradient_of_its_own_pass(family, sizes) -> None:
    model = model_of(family)
    parts, flats = parts_of(sizes), adapters_of(model, len(sizes))
    expected = [model.gradient_at(*pair) for pair in zip(flats, parts, strict=True)]
    found = JointPass(model).gradients(flats, parts)
    for (loss, gradient), (other, reference) in zip(found, expected, strict=True):
        assert loss == pytest.approx(other, rel=1e-5)
        assert difference(gradient, reference) < 1e-5
    # Outside of a joint pass the layers are as they were.
    again = model.gradient_at(flats[0], parts[0])
    assert torch.equal(again[1], expected[0][1])


def test_a_broken_client_leaves_the_others_as_they_are() -> None:
    model = model_of("llama")
    parts, flats = parts_of((1, 3, 2)), adapters_of(model, 3)
    joint = JointPass(model)
    expected = joint.gradients(flats, parts)
    for broken in range(3):
        spoilt = [flat * np.nan if k == broken else flat for k, flat in enumerate(flats)]
        found = joint.gradients(spoilt, parts)
        assert np.isnan(found[broken][0])
        for k in {0, 1, 2} - {broken}:
            assert torch.equal(found[k][1], expected[k][1])


@pytest.mark.parametrize(("autocast", "tolerance"), [("bfloat16", 0.03), ("float16", 0.01)])
def test_in_lower_precision_it_is_near_the_full_one(autocast, tolerance) -> None:
    full, low = model_of("qwen2"), model_of("qwen2", Device("cpu", autocast))
    parts, flats = parts_of((3, 1)), adapters_of(full, 2)
    found = JointPass(low).gradients(flats, parts)
    for (_, gradient), flat, part in zip(found, flats, parts, strict=True):
        assert 0 < difference(gradient, full.gradient_at(flat, part)[1]) < tolerance


def test_layers_that_are_computed_again_follow_the_clients_adapters() -> None:
    plain, saving = model_of("llama"), model_of("llama", checkpointing=True)
    parts, flats = parts_of((3, 1)), adapters_of(plain, 2)
    expected = JointPass(plain).gradients(flats, parts)
    found = JointPass(saving).gradients(flats, parts)
    for (_, one), (_, other) in zip(found, expected, strict=True):
        assert difference(one, other) < 1e-5


def test_every_tensor_of_a_joint_pass_is_where_the_model_is(monkeypatch) -> None:
    """Fake tensors follow devices without one: an operation on two devices fails."""
    from torch._subclasses import FakeTensor, FakeTensorMode

    model = model_of("llama")
    joint, flats = JointPass(model), adapters_of(model, 2)
    model.peft.to("meta")
    model.device = Device("meta")
    read = []

    def known(tensor: torch.Tensor) -> list[float]:
        read.append((tensor.device.type, tuple(tensor.shape)))
        return [0.0] * len(tensor)

    monkeypatch.setattr(FakeTensor, "tolist", known)
    with FakeTensorMode(allow_non_fake_inputs=True):
        found = joint.gradients(flats, parts_of((3, 1)))
    assert read == [("cpu", (2,))]
    assert [gradient.device.type for _, gradient in found] == ["cpu", "cpu"]
    assert [gradient.shape for _, gradient in found] == [flats[0].shape] * 2


@pytest.mark.parametrize("autocast", ["none", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_adapters_in_wrong_places_are_noticed_at_the_start(family, autocast, monkeypatch) -> None:
    right = JointPass._run
    model = model_of(family, Device("cpu", autocast))
    monkeypatch.setattr(
        JointPass, "_run", lambda self, flats, parts: right(self, flats[::-1], parts)
    )
    with pytest.raises(ValueError, match="side by side"):
        JointPass(model)


@pytest.mark.skipif(ACCELERATOR is None, reason="no accelerator here")
@pytest.mark.parametrize("checkpointing", [False, True])
def test_an_accelerator_gives_the_processor_s_gradients(checkpointing) -> None:
    full = model_of("llama")
    there = JointPass(model_of("llama", Device(str(ACCELERATOR)), checkpointing))
    parts, flats = parts_of((3, 1, 2)), adapters_of(full, 3)
    found, again = (there.gradients(flats, parts) for _ in range(2))
    for (_, one), (_, other), flat, part in zip(found, again, flats, parts, strict=True):
        assert torch.equal(one, other)
        assert difference(one, full.gradient_at(flat, part)[1]) < 1e-4


@pytest.mark.parametrize(
    ("family", "targets"), [("qwen3-moe", "all-linear"), ("llama", ("q_proj", "lm_head"))]
)
def test_layers_that_do_not_see_all_tokens_are_refused(family, targets) -> None:
    model = model_of(family, targets=targets)
    flat, parts = adapters_of(model, 1)[0], parts_of((2,))
    before = model.gradient_at(flat, parts[0])[1]
    with pytest.raises(ValueError, match=r"side by side|another kind"):
        JointPass(model)
    assert torch.equal(model.gradient_at(flat, parts[0])[1], before)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aggregation__payload": "rolora", "training__local_steps": 2},
        *(
            pytest.param(changes, marks=pytest.mark.slow)
            for changes in (
                {"aggregation__payload": "ffa"},
                {"training__local_steps": 3, "training__clip_norm": 0.05},
                {"training__client_objective": "fedprox", "training__local_steps": 2},
                {"training__client_objective": "scaffold", "training__local_steps": 2},
            )
        ),
    ],
)
def test_a_round_is_that_of_single_clients(scenario_with, changes) -> None:
    alone = prepare(scenario_with(**changes), seed=3)
    joint = prepare(scenario_with(**changes, model__clients_per_pass=3), seed=3)
    assert alone._together is None
    adapter = alone.initial_adapter() + np.float32(0.01)
    states: list[dict[int, Any]] = [{}, {}]
    for number in (1, 2):
        one, other = (
            learner.client_updates(adapter, CLIENTS, SIZES, 3, number, own)
            for learner, own in zip((alone, joint), states, strict=True)
        )
        for a, b in zip(one, other, strict=True):
            assert (a.tokens, a.finite, set(a.state)) == (b.tokens, b.finite, set(b.state))
            assert b.loss == pytest.approx(a.loss, rel=1e-5)
            assert difference(b.update, a.update) < 1e-5
            assert np.array_equal(a.update == 0, b.update == 0)
        states = [dict(zip(CLIENTS, (u.state for u in done), strict=True)) for done in (one, other)]
    again = joint.client_updates(adapter, CLIENTS, SIZES, 3, 1)
    more = joint.client_updates(adapter, CLIENTS, SIZES, 3, 1)
    assert all(np.array_equal(a.update, b.update) for a, b in zip(again, more, strict=True))


def test_clients_with_factors_of_their_own_share_a_pass(scenario_with) -> None:
    steps = {"training__local_steps": 2}
    scenarios = (scenario_with(**steps), scenario_with(**steps, model__clients_per_pass=5))
    alone, joint = (prepare(scenario, seed=3) for scenario in scenarios)
    kept = entries_of(alone.matrices, "B")
    draw, adapter = np.random.default_rng(2), alone.initial_adapter()
    states = {k: {OWN: draw.normal(0, 0.1, len(kept)).astype(np.float32)} for k in CLIENTS}
    pairs = zip(
        *(one.client_updates(adapter, CLIENTS, SIZES, 3, 1, states) for one in (alone, joint)),
        strict=True,
    )
    for one, other in pairs:
        assert difference(other.update, one.update) < 1e-5
        assert difference(other.state[OWN], one.state[OWN]) < 1e-5
    # One that diverges sends nothing, and takes nothing of the others.
    before = joint.client_updates(adapter, CLIENTS, SIZES, 3, 1, states)
    states[1] = {OWN: np.full_like(states[1][OWN], 1e30)}
    after = joint.client_updates(adapter, CLIENTS, SIZES, 3, 1, states)
    assert [update.finite for update in after] == [True, False, True, True, True]
    assert not after[1].update.any()
    for k in set(CLIENTS) - {1}:
        assert np.array_equal(after[k].update, before[k].update)


def test_threads_do_not_load_each_other_s_factors(scenario_with, monkeypatch) -> None:
    """A model that works on padded batches holds one adapter at a time."""
    plain = AdapterModel.loss_and_gradient

    def late(self: AdapterModel, *given: Any) -> Any:
        time.sleep(0.05)
        return plain(self, *given)

    settings = {"model__autocast": "bfloat16", "model__device": "cpu"}
    one, two = (prepare(scenario_with(**settings, threads=count), seed=3) for count in (1, 2))
    kept, draw = entries_of(one.matrices, "B"), np.random.default_rng(2)
    states = {k: {OWN: draw.normal(0, 0.1, len(kept)).astype(np.float32)} for k in CLIENTS}
    monkeypatch.setattr(AdapterModel, "loss_and_gradient", late)
    done = [
        own.client_updates(own.initial_adapter(), CLIENTS, SIZES, 3, 1, states)
        for own in (one, two)
    ]
    assert all(np.array_equal(a.update, b.update) for a, b in zip(*done, strict=True))


@pytest.mark.slow
def test_threads_do_not_change_a_bit(scenario_with) -> None:
    settings = {"model__clients_per_pass": 2}
    done = [prepare(scenario_with(**settings, threads=threads), seed=3) for threads in (1, 2)]
    adapter = done[0].initial_adapter() + np.float32(0.01)
    one, other = (learner.client_updates(adapter, CLIENTS, SIZES, 3, 1) for learner in done)
    assert all(np.array_equal(a.update, b.update) for a, b in zip(one, other, strict=True))


def test_an_objective_that_asks_for_something_else_gets_it(scenario_with) -> None:
    class Halved(SupervisedFineTuning):
        """Weights of its own, of which a joint pass knows nothing."""

        def step(self, task: Any, flat: Any, examples: Any, state: Any) -> Any:
            weights = torch.full((len(examples),), 0.5)
            loss, gradient = task.model.gradient_at(flat, examples, weights=weights)
            return loss, gradient, state

    CLIENT_OBJECTIVES.add("halved", Halved())
    try:
        alone, joint = (
            prepare(scenario_with(training__client_objective="halved", **more), seed=3)
            for more in ({}, {"model__clients_per_pass": 4})
        )
        adapter = alone.initial_adapter() + np.float32(0.01)
        one, other = (own.client_updates(adapter, [0, 1], [3, 3], 3, 1) for own in (alone, joint))
    finally:
        CLIENT_OBJECTIVES.remove("halved")
    assert all(np.array_equal(a.update, b.update) for a, b in zip(one, other, strict=True))


def test_a_run_that_is_stopped_goes_on_to_the_same_bits(scenario_with, tmp_path) -> None:
    def scenario(count: int) -> Scenario:
        return scenario_with(
            model__clients_per_pass=count,
            schemes=["fixed"],
            clients__count=4,
            data__partition="iid",
            training__rounds=3,
            training__batch_size_max=4,
            evaluation__answers=0,
        )

    class StoppedError(Exception):
        pass

    def execute(count: int, name: str, stop_at: int | None = None) -> Any:
        made = scenario(count)
        run = run_with(made, "fixed", 1, prepare(made, 1))

        def tell(line: dict[str, Any]) -> None:
            if line["round"] == stop_at:
                raise StoppedError

        cell_io.execute(run, Cell(tmp_path / name / "fixed" / "seed-0", "fixed", 0), tell)
        return run.state

    alone, whole = execute(1, "alone"), execute(3, "whole")
    assert difference(whole.adapter, alone.adapter) < 1e-4
    with pytest.raises(StoppedError):
        execute(3, "stopped", stop_at=2)
    again = execute(3, "stopped")
    assert np.array_equal(again.adapter, whole.adapter)
    assert again.energy_j == whole.energy_j


@pytest.mark.parametrize("padding", [None, 2, 5])
def test_the_pass_at_the_start_meets_no_padding(padding, monkeypatch) -> None:
    """Its embedding can be zero, from which gradients of a deep model are not finite."""
    seen = set()
    real = AdapterModel.gradient_at

    def gradient_at(self, flat, examples):
        seen.update(token for example in examples for token in example.ids)
        return real(self, flat, examples)

    model = model_of("llama")
    model.causal.config.pad_token_id = padding
    monkeypatch.setattr(AdapterModel, "gradient_at", gradient_at)
    JointPass(model)
    assert len(seen) == 5
    assert padding not in seen
