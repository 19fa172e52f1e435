"""Several clients in one pass: against passes of single clients, and how memory splits them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from airtune.errors import FailedError, InputError
from airtune.learning import pass_memory, selected
from airtune.learning.device import CPU, Device, is_there
from airtune.learning.joint import JointPass
from airtune.learning.learner import prepare
from airtune.learning.model import AdapterModel
from airtune.learning.objectives.sft import SupervisedFineTuning
from airtune.learning.own_factors import OWN
from airtune.learning.pass_memory import Load, groups, load_of, memory_of
from airtune.learning.payload.base import entries_of
from airtune.learning.text import Example
from airtune.record import Cell
from airtune.registry import CLIENT_OBJECTIVES
from airtune.rounds import cell_io
from airtune.scenario import Scenario
from airtune.scenario.learning import Lora, Model
from quadratic import run_with

from .families import FAMILIES

ACCELERATOR = next((kind for kind in ("cuda", "mps") if is_there(kind)), None)
CLIENTS, SIZES = [0, 1, 2, 3, 4], [1, 4, 2, 4, 3]


def model_of(
    family: str, device: Device = CPU, checkpointing: bool = False, **lora: Any
) -> AdapterModel:
    import transformers

    torch.manual_seed(0)
    chosen = FAMILIES[family]
    causal = transformers.AutoModelForCausalLM.from_config(chosen.make()).eval()
    causal.requires_grad_(False)
    settings = Lora(rank=3, alpha=6.0, target_modules=lora.pop("targets", chosen.targets), **lora)
    return AdapterModel(causal, "base", settings, 5, checkpointing=checkpointing, device=device)


def parts_of(sizes: Sequence[int], seed: int = 0) -> list[list[Example]]:
    """Mini-batches of ragged lengths, with answers of one token and of many."""
    draw = np.random.default_rng(seed)

    def one() -> Example:
        length = int(draw.integers(4, 40))
        return Example(
            tuple(map(int, draw.integers(3, 396, length))), int(draw.integers(1, length)), ""
        )

    return [[one() for _ in range(size)] for size in sizes]


def adapters_of(model: AdapterModel, count: int) -> list[torch.Tensor]:
    draw = np.random.default_rng(1)
    away = draw.normal(scale=0.05, size=(count, model.size)).astype(np.float32)
    return [torch.from_numpy(model.initial + one) for one in away]


def difference(one: Any, other: Any) -> float:
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


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
    scenarios = (scenario_with(), scenario_with(model__clients_per_pass=5))
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__lora__dropout": 0.1}, r"model\.clients_per_pass = 4: .*dropout = 0, and it is"),
        (
            {"training__client_objective": "dpo", "data__format": "preference"},
            r"clients_per_pass = 4: training\.client_objective = dpo takes more than one pass",
        ),
    ],
)
def test_what_cannot_share_a_pass_is_refused(scenario_with, changes, message) -> None:
    from airtune.learning.selected import _check

    scenario = scenario_with(**changes, model__clients_per_pass=4)
    model = model_of("llama")
    with pytest.raises(InputError, match=message):
        selected.together(scenario, model, parts_of((2,))[0])
    with pytest.raises(ValueError):
        _check(scenario)
    auto = scenario.model_copy(
        update={"model": scenario.model.model_copy(update={"clients_per_pass": "auto"})}
    )
    assert selected.together(auto, model, parts_of((2,))[0]) is None


def test_what_cannot_share_a_pass_is_refused_before_a_model_is_made(
    scenario_with, tmp_path
) -> None:
    cache = tmp_path / "cache"
    refused = scenario_with(
        model__lora__dropout=0.1, model__clients_per_pass=4, cache=str(cache), data__max_records=200
    )
    with pytest.raises(InputError, match=r"model\.clients_per_pass = 4: .*dropout"):
        prepare(refused, seed=3)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("engine", "share"),
    [
        ({}, 1.0),
        ({"name": "ray"}, 1.0),
        ({"name": "ray", "gpus_per_worker": 0.25}, 0.25),
        ({"name": "local", "gpus_per_worker": 0.25}, 0.25),  # a cell of a sweep over Ray
        ({"name": "ray", "gpus_per_worker": 2}, 1.0),
        ({"name": "flower"}, None),
    ],
)
def test_processes_that_share_a_device_share_its_memory(
    scenario_with, engine, share, monkeypatch
) -> None:
    planned: list[float] = []
    monkeypatch.setattr(pass_memory, "device_bytes", lambda kind: 1e12)
    monkeypatch.setattr(pass_memory, "memory_of", lambda *given: planned.append(given[-1]))
    found = selected.together(scenario_with(engine=engine), model_of("llama"), parts_of((2,))[0])
    assert planned == ([] if share is None else [share * 1e12])
    assert (found is None) == (share is None)


def test_a_device_without_memory_left_is_said(scenario_with, monkeypatch) -> None:
    def full(self: JointPass, flats: Any, examples: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    joint = prepare(scenario_with(model__clients_per_pass=3), seed=3)
    monkeypatch.setattr(JointPass, "gradients", full)
    with pytest.raises(FailedError, match=r"clients_per_pass = 3: a pass of 3 .* below 3"):
        joint.client_updates(joint.initial_adapter(), CLIENTS, SIZES, 3, 1)


@pytest.mark.parametrize("value", [0, -1, 1.5, 10_001, "many", None, [2], float("nan")])
def test_other_values_are_refused(value) -> None:
    said = "must be auto or a whole number from 1 to 10000"
    with pytest.raises(ValueError, match=said):
        Model(clients_per_pass=value)


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


def test_a_device_s_memory_says_how_many_share_a_pass(scenario_with, monkeypatch) -> None:
    alone = prepare(scenario_with(), seed=3)
    adapter = alone.initial_adapter() + np.float32(0.01)
    expected = alone.client_updates(adapter, CLIENTS, SIZES, 3, 1)
    counted = []
    gradients = JointPass.gradients

    def counting(self: JointPass, flats: Any, examples: Any) -> Any:
        counted.append(len(flats))
        return gradients(self, flats, examples)

    monkeypatch.setattr(JointPass, "gradients", counting)
    room = 1e12

    def passes() -> tuple[Any, list[int]]:
        monkeypatch.setattr(pass_memory, "device_bytes", lambda kind: room)
        joint = prepare(scenario_with(), seed=3)
        counted.clear()
        found = joint.client_updates(adapter, CLIENTS, SIZES, 3, 1)
        for one, other in zip(found, expected, strict=True):
            assert difference(one.update, other.update) < 1e-5
        return joint._together, list(counted)

    whole, count = passes()
    assert count == [5]
    model = room - whole.memory.there
    room = model + whole.memory.needed([Load(4, 60, 60)] * 2)
    assert 1 < len(passes()[1]) < 5
    room = 1.0  # a client has a pass, whatever is there
    assert passes()[1] == [1] * 5


@pytest.mark.parametrize("autocast", ["none", "bfloat16"])
def test_the_memory_of_a_pass_is_foreseen(autocast) -> None:
    model = model_of("llama", Device("cpu", autocast))
    joint = JointPass(model)
    memory = memory_of(model, joint, 40, 1e9)
    parts = parts_of((4, 2, 3), seed=4)
    loads = [load_of([part]) for part in parts]
    kept = joint.saved_bytes(adapters_of(model, 3), parts)
    # Of response tokens only the logarithms are kept, and no gradients yet.
    responses = sum(load.responses for load in loads)
    foreseen = memory.needed(loads) - 3 * memory.client
    foreseen -= memory.response * responses * (1 - 1 / pass_memory.COPIES)
    assert foreseen == pytest.approx(kept, rel=0.15)
    weights = sum(w.numel() * w.element_size() for w in model.causal.parameters())
    assert memory.there < 1e9 - weights + 1


LOADS = st.lists(
    st.builds(Load, st.integers(1, 9), st.integers(2, 90), st.integers(1, 40)), max_size=12
)


@given(LOADS, st.none() | st.integers(1, 5), st.integers(1, 2000))
def test_groups_hold_every_client_once_and_find_room(given_loads, most, there) -> None:
    def fits(some: Sequence[Load]) -> bool:
        return sum(load.samples for load in some) * max(load.width for load in some) <= there

    found = groups(given_loads, most, fits)
    assert sorted(n for group in found for n in group) == list(range(len(given_loads)))
    for group in found:
        assert most is None or len(group) <= most
        assert len(group) == 1 or fits([given_loads[n] for n in group])
    for group, after in pairwise(found):
        # The next client had no place in the pass before.
        full = most is not None and len(group) == most
        assert full or not fits([given_loads[n] for n in (*group, after[0])])
