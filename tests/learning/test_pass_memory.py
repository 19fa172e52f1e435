"""Which clients share a pass: what the settings ask for, and how memory splits them."""

from __future__ import annotations

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
from airtune.learning.device import Device
from airtune.learning.joint import JointPass
from airtune.learning.learner import prepare
from airtune.learning.pass_memory import Load, groups, load_of, memory_of
from airtune.scenario.learning import Model

from .joint_parts import CLIENTS, SIZES, adapters_of, difference, model_of, parts_of


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
