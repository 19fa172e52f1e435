"""Tuned models opened again, and merged into plain ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from airtune.errors import InputError
from airtune.learning.learner import Learner, prepare
from airtune.learning.tuned import open_tuned, save_merged
from airtune.scenario import Scenario
from tuned_run import trained

IDS = torch.arange(3, 19)[None]


def silent(text: str, fraction: float) -> None:
    pass


def saved(learner: Learner, folder: Path) -> tuple[Path, torch.Tensor]:
    """Save a trained adapter, and return its folder and what the model says with it."""
    adapter = trained(learner)
    learner.save_adapter(adapter, folder)
    learner._model.load(adapter)
    with torch.no_grad():
        return folder, learner._model.causal(input_ids=IDS).logits.float()


def plain_logits(folder: Path) -> torch.Tensor:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        return model(input_ids=IDS).logits.float()


@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        ({}, 1e-5),
        ({"model__lora__rslora": True, "model__lora__target_modules": "all-linear"}, 1e-5),
        ({"model__quantization": "nf4", "model__small__hidden": 64}, 1e-4),
        ({"model__dtype": "bfloat16"}, 0.1),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_merged_model_says_what_base_and_adapter_say(
    scenario_with: Callable[..., Scenario],
    tmp_path: Path,
    changes: dict[str, Any],
    tolerance: float,
) -> None:
    from transformers import AutoTokenizer

    scenario = scenario_with(**changes)
    learner = prepare(scenario, seed=1)
    with torch.no_grad():
        learner._model.load(learner.initial_adapter())
        before = learner._model.causal(input_ids=IDS).logits.float()
    adapter, expected = saved(learner, tmp_path / "adapter")
    assert save_merged(scenario, adapter, tmp_path / "merged", silent) == ""
    found = plain_logits(tmp_path / "merged")
    assert (found - expected).abs().max() < tolerance
    assert (found - before).abs().max() > 3 * tolerance
    names = {path.name for path in (tmp_path / "merged").iterdir()}
    modes = {path.stat().st_mode for path in (*adapter.iterdir(), *(tmp_path / "merged").iterdir())}
    assert len(modes) == 1  # whoever may read the configuration may read the weights
    assert "model.safetensors" in names and "adapter_config.json" not in names
    for name in ("config.json", "tokenizer_config.json"):
        assert str(tmp_path) not in (tmp_path / "merged" / name).read_text()
    text = "### Instruction:\nAdd."
    loaded = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert loaded(text).input_ids == learner._encoder.tokenizer(text).input_ids


def test_a_head_that_is_the_embedding_cannot_be_merged(
    scenario_with: Callable[..., Scenario], tmp_path: Path
) -> None:
    scenario = scenario_with(model__lora__target_modules=["q_proj", "lm_head"])
    adapter, _ = saved(prepare(scenario, seed=1), tmp_path / "adapter")
    with pytest.raises(InputError, match=r"--merged: the adapter is on the language head"):
        save_merged(scenario, adapter, tmp_path / "merged", silent)
    assert not (tmp_path / "merged").exists()


def test_an_opened_model_is_the_one_of_training(
    scenario_with: Callable[..., Scenario], learner: Learner, tmp_path: Path
) -> None:
    adapter, expected = saved(learner, tmp_path / "adapter")
    tuned = open_tuned(scenario_with(), adapter, silent)
    with torch.no_grad():
        assert torch.allclose(tuned.model(input_ids=IDS).logits, expected, atol=1e-5)
    assert tuned.made_for == ""


def test_a_base_made_anew_by_other_versions_is_told(
    scenario_with: Callable[..., Scenario], learner: Learner, tmp_path: Path
) -> None:
    adapter, _ = saved(learner, tmp_path / "adapter")
    other = scenario_with(pretraining__steps=2)
    tuned = open_tuned(other, adapter, silent)
    base = Path(learner._model.peft.peft_config["default"].base_model_name_or_path).name
    assert tuned.made_for == base


def test_a_gguf_base_is_merged_dequantised(
    scenario_with: Callable[..., Scenario], learner: Learner, tmp_path: Path
) -> None:
    path = tiny_gguf(tmp_path / "tiny.gguf", learner._encoder.tokenizer)
    scenario = scenario_with(model__source=str(path), cache=str(tmp_path / "cache"))
    adapter, expected = saved(prepare(scenario, seed=1), tmp_path / "adapter")
    save_merged(scenario, adapter, tmp_path / "merged", silent)
    assert torch.allclose(plain_logits(tmp_path / "merged"), expected, atol=1e-5)


def tiny_gguf(path: Path, tokenizer: Any) -> Path:
    """Write a LLaMA of one layer in GGUF, its weights in 8 bits, with a byte-pair tokenizer."""
    import json

    import gguf

    width, inner, heads, random = 64, 128, 2, np.random.default_rng(0)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if t.startswith(("<|", "###")) else 1 for t in tokens])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_bos_token_id(tokenizer.eos_token_id)

    def add(name: str, rows: int, columns: int) -> None:
        weight = (random.standard_normal((rows, columns)) / columns**0.5).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quantize(weight, kind), raw_dtype=kind)

    add("token_embd.weight", len(tokens), width)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}.weight", width, width)
    for name in ("ffn_gate", "ffn_up"):
        add(f"blk.0.{name}.weight", inner, width)
    add("blk.0.ffn_down.weight", width, inner)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
