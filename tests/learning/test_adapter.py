"""Adapters as flat vectors and as PEFT folders."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.learning.learner import Learner
from airtune.scenario.learning import Lora


def noisy(learner: Learner) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(learner.size)
    return (learner.initial_adapter() + 0.1 * noise).astype(np.float32)


def test_blocks_cover_the_vector_with_one_matrix_each(learner: Learner) -> None:
    ends = [block.start + block.size for block in learner.matrices]
    assert [block.start for block in learner.matrices] == [0, *ends[:-1]]
    assert ends[-1] == learner.size == len(learner.initial_adapter())
    assert all(np.prod(block.shape) == block.size for block in learner.matrices)
    # Two layers of seven adapted matrices, each with A and B.
    assert len(learner.matrices) == 28


def test_the_start_changes_nothing_and_is_a_copy(learner: Learner) -> None:
    start = learner.initial_adapter()
    for block in learner.matrices:
        part = start[block.start : block.start + block.size]
        assert bool(part.any()) == ("lora_A" in block.name)
    start[:] = 1
    assert not np.array_equal(start, learner.initial_adapter())


def test_a_saved_adapter_loads_in_peft_with_the_same_logits(
    learner: Learner, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from safetensors.numpy import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adapter = noisy(learner)
    learner.save_adapter(adapter, tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    folder = Path(learner._model.peft.peft_config["default"].base_model_name_or_path)
    assert config["base_model_name_or_path"] == folder.name
    base = AutoModelForCausalLM.from_pretrained(folder)
    loaded = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    ids = AutoTokenizer.from_pretrained(tmp_path / "adapter")(
        "### Instruction:\nSort ascending.", return_tensors="pt"
    ).input_ids
    learner.evaluate(adapter)
    with torch.no_grad():
        ours = learner._model.causal(input_ids=ids).logits
        theirs = loaded(input_ids=ids).logits
    assert torch.allclose(ours, theirs, atol=1e-6)
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    for block in learner.matrices:
        part = adapter[block.start : block.start + block.size].reshape(block.shape)
        assert np.array_equal(saved[block.name], part)


def test_unknown_target_layers_are_told(fresh: Any) -> None:
    from airtune.learning.model import AdapterModel

    with pytest.raises(
        InputError, match=r"target_modules: the model has no query; it has .*q_proj"
    ):
        AdapterModel(fresh, "base", Lora(target_modules=("query", "v_proj")), seed=1)


def test_parameters_are_counted_once(fresh: Any) -> None:
    from airtune.learning.model import count_parameters

    body, head = count_parameters(fresh)
    layer = 4 * 32 * 32 + 3 * 32 * 64 + 2 * 32
    assert head == 32 * fresh.config.vocab_size
    assert body == 2 * layer + 32


@pytest.mark.parametrize("entry", [np.nan, -np.inf])
def test_a_start_adapter_that_is_not_finite_is_refused_by_name(
    learner: Learner, tmp_path: Path, entry: float
) -> None:
    from airtune.learning.lora import AdapterShape, check_start, read_adapter

    adapter = noisy(learner)
    broken = learner.matrices[5]
    adapter[broken.start + 1] = entry
    learner.save_adapter(adapter, tmp_path / "start")
    lora, shape = learner.scenario.model.lora, AdapterShape(learner.matrices, {})
    with pytest.raises(InputError) as refused:
        read_adapter(tmp_path / "start", lora, shape)
    said = str(refused.value)
    with pytest.raises(InputError, match=re.escape(said)):
        check_start(tmp_path / "start", lora, shape)
    assert said.startswith("model.adapter: ") and len(said) <= 400
    assert "adapter_model.safetensors" in said and broken.name in said


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_start_adapter_of_pipes_or_without_a_file_is_refused_at_once(
    learner: Learner, tmp_path: Path, name: str
) -> None:
    from airtune.learning.lora import AdapterShape, check_start, read_adapter

    folder, settings = tmp_path / "start", learner.scenario.model.lora
    shape = AdapterShape(learner.matrices, {})
    learner.save_adapter(noisy(learner), folder)
    check_start(folder, settings, shape)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    open_end = os.open(folder / name, os.O_RDWR)  # so that a test that fails does not wait
    try:
        with pytest.raises(InputError, match=rf"^model\.adapter: .*{name} is no file"):
            read_adapter(folder, settings, shape)
        with pytest.raises(InputError, match=rf"^model\.adapter: .*{name} is no file"):
            check_start(folder, settings, shape)
    finally:
        os.close(open_end)
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"^model\.adapter: .*No such file.*{name}"):
        check_start(folder, settings, None)
