"""Tiny models of real families against plain transformers and PEFT."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.learning.text import Example
from airtune.scenario.learning import Lora, Model, Training

from .families import FAMILIES, PACKED, Family

OFTEN = ("llama", "qwen2", "qwen3", "gemma", "gpt-neox", "falcon", "opt", "qwen3-moe", "llama4")
"""Families of the ordinary suite; all of them run as slow tests."""
NAMED: dict[str, tuple[str, ...]] = {
    "qwen2": ("q_proj", "v_proj", "up_proj"),
    "qwen3": ("k_proj", "o_proj", "down_proj"),
    "gemma": ("q_proj", "gate_proj"),
    "gpt-neox": ("query_key_value", "dense_4h_to_h"),
    "falcon": ("query_key_value",),
    "opt": ("q_proj", "fc1"),
    "gemma3-mm": ("q_proj", "lm_head"),
}
MEDIA = ("gemma3-mm", "llama4-mm", "mllama", "qwen2-vl", "qwen3.5", "llava", "fuyu")
TOWER = re.compile(r"vision|visual|projector|cross_attn")


def some_examples() -> list[Example]:
    """Examples that are longer than every window, with answers of one token and of many."""
    draw = np.random.default_rng(0)
    shape = [(30, 10), (21, 1), (12, 9), (40, 39)]
    return [Example(tuple(map(int, draw.integers(3, 396, n))), p, "") for n, p in shape]


EXAMPLES = some_examples()


def saved(family: Family, folder: Path) -> Any:
    """Save a model with random weights; return what transformers opens it with."""
    import torch
    import transformers as t

    config = family.make()
    causal = type(config) in t.MODEL_FOR_CAUSAL_LM_MAPPING
    opens = t.AutoModelForCausalLM if causal else t.AutoModelForImageTextToText
    # Of several media a whole model is saved, also where a part of it is a causal one.
    whole = type(config) in t.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    torch.manual_seed(0)
    model = (t.AutoModelForImageTextToText if whole else opens).from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Norms that are not all ones, biases that are not zero.
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return opens


def adapted(folder: Path, start: Path | None = None, **lora: Any) -> tuple[Any, np.ndarray]:
    """Open a model as a run does; return it with a generic adapter."""
    from airtune.learning.model import AdapterModel
    from airtune.learning.weights import load_weights

    options = {"local_files_only": True, "trust_remote_code": False}
    base = load_weights(str(folder), Model(), options)
    model = AdapterModel(base, folder, Lora(rank=2, alpha=3.0, **lora), seed=1, start=start)
    noise = np.random.default_rng(0).standard_normal(model.size)
    return model, (model.initial + 0.1 * noise).astype(np.float32)


def plain_gradient(peft: Any) -> tuple[float, dict[str, Any]]:
    """Mean over samples of transformers' own loss, unpadded, and its gradient by name."""
    import torch

    losses = []
    for example in EXAMPLES:
        ids = torch.tensor([example.ids])
        labels = ids.clone()
        labels[0, : example.prompt] = -100
        losses.append(peft(input_ids=ids, labels=labels).loss)
    loss = torch.stack(losses).mean()
    trained = [(n, p) for n, p in peft.named_parameters() if p.requires_grad]
    parts = torch.autograd.grad(loss, [p for _, p in trained], allow_unused=True)
    names = (name.replace(".default.", ".") for name, _ in trained)
    return float(loss.detach()), dict(zip(names, parts, strict=True))


def compare_with_plain(family: Family, folder: Path) -> Any:
    """Compare a client's update and the saved adapter; return the model."""
    import torch
    from peft import PeftModel

    from airtune.learning.client import client_update

    opens = saved(family, folder)
    model, adapter = adapted(folder, target_modules=family.targets)
    result = client_update(
        model, adapter, EXAMPLES, Training(), batch_size=4, seed=1, round_index=0, client=0
    )
    model.save(adapter, folder / "adapter")
    base = opens.from_pretrained(folder, dtype=torch.float32)
    peft = PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True).eval()
    loss, parts = plain_gradient(peft)
    assert sorted(parts) == sorted(matrix.name for matrix in model.matrices)
    gradient = np.concatenate(
        [
            np.zeros(m.size) if parts[m.name] is None else parts[m.name].numpy().reshape(-1)
            for m in model.matrices
        ]
    )
    assert result.finite
    assert result.loss == pytest.approx(loss, rel=1e-5)
    error = np.linalg.norm(result.update - gradient) / np.linalg.norm(gradient)
    assert error < 1e-5
    ids = torch.tensor([EXAMPLES[0].ids])
    model.load(adapter)
    with torch.no_grad():
        ours, theirs = model.causal(input_ids=ids).logits, peft(input_ids=ids).logits
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    return model


@pytest.mark.parametrize("name", OFTEN)
def test_update_and_saved_adapter_are_those_of_transformers_and_peft(
    name: str, tmp_path: Path
) -> None:
    model = compare_with_plain(FAMILIES[name], tmp_path)
    assert model.packs == (name in PACKED)


@pytest.mark.parametrize("name", NAMED)
def test_so_they_are_with_some_layers_by_name(name: str, tmp_path: Path) -> None:
    model = compare_with_plain(replace(FAMILIES[name], targets=NAMED[name]), tmp_path)
    adapted_layers = {matrix.name.rsplit(".", 3)[1] for matrix in model.matrices}
    assert adapted_layers == set(NAMED[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in OFTEN])
def test_many_families(name: str, tmp_path: Path) -> None:
    model = compare_with_plain(FAMILIES[name], tmp_path)
    assert model.packs == (name in PACKED)


def test_a_family_of_several_media_is_adapted_in_its_text_decoder_only(tmp_path: Path) -> None:
    model = compare_with_plain(FAMILIES["gemma3-mm"], tmp_path)
    towers = [n for n, _ in model.causal.named_modules() if n.endswith("vision_tower")]
    assert towers, "there is a tower to stay out of"
    assert all(".language_model." in matrix.name for matrix in model.matrices)
    assert len(model.matrices) == 2 * 2 * 7


@pytest.mark.slow
@pytest.mark.parametrize("name", MEDIA)
@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "v_proj")])
def test_no_adapter_outside_of_the_way_of_text(name: str, targets: Any, tmp_path: Path) -> None:
    if name == "fuyu" and targets != "all-linear":
        targets = ("query_key_value",)
    saved(FAMILIES[name], tmp_path)
    model, adapter = adapted(tmp_path, target_modules=targets)
    assert not [matrix.name for matrix in model.matrices if TOWER.search(matrix.name)]
    _, gradient = model.gradient_at(model.flat.clone().copy_(_tensor(adapter)), EXAMPLES)
    for matrix in model.matrices:
        assert bool(gradient[matrix.start : matrix.start + matrix.size].any()), matrix.name


def _tensor(adapter: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(adapter)


def test_a_target_in_the_tower_alone_is_told(tmp_path: Path) -> None:
    saved(FAMILIES["gemma3-mm"], tmp_path)
    with pytest.raises(InputError, match=r"has no fc1 that text runs through; it has .*q_proj"):
        adapted(tmp_path, target_modules=("q_proj", "fc1"))


def test_what_peft_refuses_is_told_with_what_it_allows(tmp_path: Path) -> None:
    saved(FAMILIES["mamba"], tmp_path)
    with pytest.raises(InputError, match=r"PEFT refuses .*'out_proj'.*, of in_proj, .*x_proj$"):
        adapted(tmp_path, target_modules="all-linear")


def test_the_default_layers_of_a_mixture_are_its_experts_too(tmp_path: Path) -> None:
    saved(FAMILIES["qwen3-moe"], tmp_path)
    model, _ = adapted(tmp_path)
    assert sum("experts" in matrix.name for matrix in model.matrices) == 2 * 2 * 2
    with pytest.raises(InputError, match=r"PEFT refuses .*ParamWrapper.*lora_dropout"):
        adapted(tmp_path, dropout=0.1)


def test_stacked_experts_are_trained_by_several_threads_as_by_one(tmp_path: Path) -> None:
    from airtune.learning.batches import collate

    saved(FAMILIES["qwen3-moe"], tmp_path)
    model, adapter = adapted(tmp_path, target_modules="all-linear")
    assert any("experts" in matrix.name for matrix in model.matrices)
    model.load(adapter)
    batches = [collate([example]) for example in EXAMPLES] * 4
    alone = [model.loss_and_gradient(batch) for batch in batches]
    start = threading.Barrier(4)

    def compute(batch: Any) -> Any:
        start.wait(timeout=60)
        return model.loss_and_gradient(batch)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(compute, batches))
    for (loss, gradient), (again, same) in zip(alone, together, strict=True):
        assert loss == again
        assert np.array_equal(gradient.numpy(), same.numpy())


def test_a_plan_counts_the_matrices_that_a_run_has(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from airtune.learning.lora import adapter_shape, shape_of

    for name in ("gemma3-mm", "gpt2", "deepseek-v3"):
        folder = tmp_path / name
        saved(FAMILIES[name], folder)
        model, _ = adapted(folder, target_modules="all-linear")
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(FAMILIES[name].make())
        settings = Lora(rank=2, alpha=3.0, target_modules="all-linear")
        found = adapter_shape(empty, settings)
        assert (found, found.matrices) == (shape_of(model.peft), model.matrices)


def test_layers_that_the_loss_does_not_depend_on_have_a_gradient_of_zero(tmp_path: Path) -> None:
    # Its shared blocks have an adapter of their own for each place; some serve no place.
    model = compare_with_plain(FAMILIES["zamba2"], tmp_path)
    _, gradient = model.gradient_at(model.flat.clone(), EXAMPLES)
    idle = [m for m in model.matrices if not gradient[m.start : m.start + m.size].any()]
    assert 0 < len(idle) < len(model.matrices)


@pytest.mark.parametrize("name", ["qwen3-moe", "gemma3-mm"])
def test_training_goes_on_from_a_saved_adapter(name: str, tmp_path: Path) -> None:
    from airtune.learning.lora import check_start, shape_of

    saved(FAMILIES[name], tmp_path)
    model, adapter = adapted(tmp_path, target_modules="all-linear")
    model.save(adapter, tmp_path / "adapter")
    again, _ = adapted(tmp_path, tmp_path / "adapter", target_modules="all-linear")
    assert np.array_equal(again.initial, adapter)
    shape = shape_of(model.peft)
    assert bool(shape.patterns["rank_pattern"]) == (name == "qwen3-moe")  # stacked experts
    check_start(tmp_path / "adapter", model.settings, shape)
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"rank_pattern": {"q_proj": 3}}))
    with pytest.raises(InputError, match="has rank_pattern; allowed is plain LoRA"):
        adapted(tmp_path, tmp_path / "adapter", target_modules="all-linear")
    with pytest.raises(InputError, match="has rank_pattern; allowed is plain LoRA"):
        check_start(tmp_path / "adapter", model.settings, shape)


def test_the_manual_names_the_families_that_are_tested() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models-and-data.md").read_text(encoding="utf-8")
    paragraph = page.partition("<!-- families -->")[2].strip().partition("\n\n")[0]
    assert re.findall(r"`([^`]+)`", paragraph) == list(FAMILIES)
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"{len(FAMILIES)} families of models are tested" in " ".join(readme.split())
