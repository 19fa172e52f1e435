"""Adapter folders that training starts from, and those that check and run refuse alike."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.learning.learner import Learner, prepare
from airtune.scenario import Scenario


def noisy(learner: Learner) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(learner.size)
    return (learner.initial_adapter() + 0.05 * noise).astype(np.float32)


def adapter_folder(learner: Learner, tmp_path: Path) -> tuple[Path, np.ndarray]:
    adapter = noisy(learner)
    learner.save_adapter(adapter, tmp_path / "adapter")
    return tmp_path / "adapter", adapter


def test_training_starts_from_an_adapter_that_is_there(
    scenario_with: Callable[..., Scenario], learner: Learner, tmp_path: Path
) -> None:
    folder, adapter = adapter_folder(learner, tmp_path)
    found = prepare(scenario_with(model__adapter=str(folder)), seed=8)
    assert np.array_equal(found.initial_adapter(), adapter)
    assert not np.array_equal(prepare(scenario_with(), seed=8).initial_adapter(), adapter)


def test_an_adapter_may_be_stored_in_bf16(
    scenario_with: Callable[..., Scenario], learner: Learner, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder, adapter = adapter_folder(learner, tmp_path)
    file = folder / "adapter_model.safetensors"
    save_file({name: w.to(torch.bfloat16) for name, w in load_file(file).items()}, file)
    found = prepare(scenario_with(model__adapter=str(folder)), seed=8).initial_adapter()
    assert np.array_equal(found, torch.from_numpy(adapter).to(torch.bfloat16).float().numpy())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"r": 16}, r"model\.lora\.rank = 2: .*needs model\.lora\.rank=16, model\.lora\.alpha=4"),
        ({"lora_alpha": 32}, r"model\.lora\.alpha = 4.*model\.lora\.alpha=32"),
        ({"use_dora": True}, r"has use_dora; allowed is plain LoRA"),
        ({"peft_type": "IA3"}, r"has peft_type IA3"),
        ({"init_lora_weights": "pissa"}, r"has init_lora_weights; allowed is plain LoRA"),
        (None, r"model\.adapter: .*adapter_model\.safetensors"),
    ],
)
def test_an_adapter_that_does_not_fit_is_told(
    scenario_with: Callable[..., Scenario],
    learner: Learner,
    tmp_path: Path,
    change: dict[str, Any] | None,
    match: str,
) -> None:
    folder, _ = adapter_folder(learner, tmp_path)
    if change is None:
        (folder / "adapter_model.safetensors").unlink()
    else:
        file = folder / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=match):
        prepare(scenario_with(model__adapter=str(folder)), seed=1)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "weights that are rubbish": lambda folder: (folder / WEIGHTS).write_bytes(b"\xff" * 64),
    "weights that are empty": lambda folder: (folder / WEIGHTS).write_bytes(b""),
    "cut weights": lambda folder: os.truncate(folder / WEIGHTS, 3000),
    "a matrix that is missing": lambda folder: rewritten(folder, lambda w: w.popitem()),
    "a matrix that is too much": lambda folder: rewritten(folder, lambda w: w.update(one=ONES)),
    "a matrix of another shape": lambda folder: rewritten(
        folder, lambda w: w.update({next(iter(w)): ONES})
    ),
    "a NaN": lambda folder: rewritten(
        folder, lambda w: w.update({name: np.nan * w[name] for name in [*w][:1]})
    ),
    **{
        f"{name} = {value}": lambda folder, name=name, value=value: reconfigured(
            folder, {name: value}
        )
        for name, value in (
            ("use_dora", True),
            ("modules_to_save", ["lm_head"]),
            ("bias", "all"),
            ("alpha_pattern", {"q_proj": 3}),
            ("init_lora_weights", "pissa"),
            ("peft_type", "IA3"),
            ("use_rslora", True),
        )
    },
}
WEIGHTS, ONES = "adapter_model.safetensors", np.ones((3, 5), np.float32)


def rewritten(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def reconfigured(folder: Path, change: dict[str, Any]) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))


@pytest.fixture(scope="module")
def facts(scenario_with: Callable[..., Scenario]) -> Any:
    """What a check knows of the model, without its weights."""
    from airtune.study.preflight import Preflight, _facts

    return _facts(scenario_with(), Preflight(), 0)


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_and_run_refuse_an_adapter_with_the_same_words(
    scenario_with: Callable[..., Scenario],
    learner: Learner,
    facts: Any,
    tmp_path: Path,
    damage: str,
) -> None:
    from airtune.learning.lora import read_adapter, shape_of
    from airtune.study.preflight import _check_start

    folder, adapter = adapter_folder(learner, tmp_path)
    scenario = scenario_with(model__adapter=str(folder))
    lora, shape = scenario.model.lora, shape_of(learner._model.peft)
    _check_start(scenario, facts)
    assert np.array_equal(read_adapter(folder, lora, shape), adapter)
    DAMAGES[damage](folder)
    with pytest.raises(InputError) as refused:
        read_adapter(folder, lora, shape)
    said = str(refused.value)
    assert len(said) <= 400
    assert said.startswith("model.")
    with pytest.raises(InputError) as refused:
        _check_start(scenario, facts)
    assert str(refused.value) == said


def test_an_adapter_for_other_layers_is_told(
    scenario_with: Callable[..., Scenario], learner: Learner, tmp_path: Path
) -> None:
    folder, _ = adapter_folder(learner, tmp_path)
    scenario = scenario_with(
        model__adapter=str(folder),
        model__lora={"rank": 2, "alpha": 4.0, "target_modules": ["q_proj"]},
    )
    with pytest.raises(InputError, match=r"target_modules.*\"down_proj\""):
        prepare(scenario, seed=1)
