"""The written-out passes against plain transformers and PEFT, and against PyTorch's autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.learning.text import Encoder, Example
from airtune.scenario import Scenario
from airtune.scenario.learning import Lora


def base_model(encoder: Encoder, **changes: Any) -> Any:
    """A tiny grouped-query LLaMA with random weights and norms that are not all ones."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shape: dict[str, Any] = {
        "vocab_size": len(encoder.tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "attention_bias": True,
        **changes,
    }
    torch.manual_seed(3)
    model = LlamaForCausalLM(LlamaConfig(**shape)).eval()
    for name, parameter in model.named_parameters():
        if "norm" in name or "bias" in name:
            torch.nn.init.normal_(parameter.data, 0.8, 0.3)
    return model


def adapted(base: Any, **lora: Any) -> tuple[Any, Any]:
    """Return the adapter model and a generic adapter: at the start A has no gradient."""
    import torch

    from airtune.learning.model import AdapterModel

    model = AdapterModel(base, "base", Lora(**{"rank": 3, "alpha": 5.0, **lora}), seed=1)
    noise = np.random.default_rng(0).standard_normal(model.size).astype(np.float32)
    return model, torch.from_numpy(model.initial + 0.1 * noise)


@pytest.fixture(scope="module")
def pair(encoder: Encoder) -> tuple[Any, Any]:
    return adapted(base_model(encoder))


def reference(model: Any, adapter: Any, examples: list[Example]) -> tuple[float, Any]:
    """Mean over samples of transformers' own loss and its gradient by autograd, unpadded."""
    import torch

    model.load(adapter.numpy())
    losses = []
    for example in examples:
        ids = torch.tensor([example.ids])
        labels = ids.clone()
        labels[0, : example.prompt] = -100
        losses.append(model.peft(input_ids=ids, labels=labels).loss)
    trained = [p for p in model.peft.parameters() if p.requires_grad]
    loss = torch.stack(losses).mean()
    parts = torch.autograd.grad(loss, trained)
    return loss.item(), torch.cat([part.reshape(-1) for part in parts])


def distance(one: Any, other: Any) -> float:
    return float((one - other).norm() / other.norm())


@settings(max_examples=12, deadline=None)
@given(chosen=st.lists(st.integers(0, 59), min_size=1, max_size=6, unique=True))
def test_the_gradient_is_that_of_transformers_and_peft(
    pair: tuple[Any, Any], examples: list[Example], chosen: list[int]
) -> None:
    model, adapter = pair
    assert model.packs
    own = [examples[i] for i in chosen]
    loss, gradient = model.gradient_at(adapter, own)
    expected, slope = reference(model, adapter, own)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert distance(gradient, slope) < 1e-5


@pytest.mark.parametrize("targets", [("q_proj",), ("v_proj", "down_proj"), ("o_proj", "up_proj")])
def test_any_target_layers(encoder: Encoder, examples: list[Example], targets: Any) -> None:
    model, adapter = adapted(base_model(encoder), target_modules=targets)
    assert model.packs
    loss, gradient = model.gradient_at(adapter, examples[:4])
    expected, slope = reference(model, adapter, examples[:4])
    assert loss == pytest.approx(expected, rel=1e-5)
    assert distance(gradient, slope) < 1e-5


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 59), min_size=2, max_size=7, unique=True), st.integers(1, 400))
def test_how_a_batch_is_cut_changes_nothing(
    pair: tuple[Any, Any], examples: list[Example], chosen: list[int], tokens: int
) -> None:
    from airtune.learning import model as module

    model, adapter = pair
    own = [examples[i] for i in chosen]
    loss, gradient = model.gradient_at(adapter, own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PASS", tokens)
        other_loss, other = model.gradient_at(adapter, own[::-1])
    assert other_loss == pytest.approx(loss, rel=1e-5)
    assert distance(other, gradient) < 1e-5


def test_a_packed_batch_scores_as_a_padded_one(
    pair: tuple[Any, Any], examples: list[Example]
) -> None:
    import torch

    from airtune.learning.batches import collate, pack

    model, adapter = pair
    model.load(adapter.numpy())
    packed, padded = model.score(pack(examples[:9])), model.score(collate(examples[:9]))
    assert torch.allclose(packed[0], padded[0], atol=1e-5)
    assert torch.equal(packed[1], padded[1])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(2, 9), st.integers(0, 1000))
def test_norm_and_loss_match_autograd(rows: int, width: int, seed: int) -> None:
    import torch

    from airtune.learning import fused

    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, width, generator=draw, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(width, generator=draw, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda t: fused._RmsNorm.apply(t, weight, 1e-5), (x,))
    head = torch.randn(11, width, generator=draw)
    targets = torch.randint(11, (rows,), generator=draw)
    shares = torch.rand(rows, generator=draw)
    state = x.detach().float().requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "PIECE", 2)
        loss = fused.response_loss(state, head, targets, shares)
    plain = torch.nn.functional.cross_entropy(state @ head.T, targets, reduction="none")
    expected = (plain * shares).sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    (found,), (slope,) = torch.autograd.grad(loss, state), torch.autograd.grad(expected, state)
    assert torch.allclose(found, slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 37, 300])
def test_large_products_in_both_directions(rows: int) -> None:
    import torch

    from airtune.learning import fused

    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(400, 300, generator=draw)
    assert weight.numel() >= fused.WORTH
    bias = torch.randn(400, generator=draw)
    x, g = torch.randn(rows, 300, generator=draw), torch.randn(rows, 400, generator=draw)
    for found, expected in [
        (fused.product(x, weight, bias), x.double() @ weight.double().t() + bias),
        (fused.product(g, weight.t()), g.double() @ weight.double()),
    ]:
        assert distance(found.double(), expected) < 1e-6
    assert torch.equal(fused.product(x, weight, bias), fused.product(x, weight, bias))


def test_dropout_is_that_of_peft(encoder: Encoder, examples: list[Example]) -> None:
    import torch

    model, adapter = adapted(base_model(encoder), dropout=0.4)
    _, gradient = model.gradient_at(adapter, examples[:1], torch.Generator().manual_seed(7))
    again = torch.Generator().manual_seed(7)

    class SameMasks(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            keep = torch.empty(x.shape[1:]).bernoulli_(0.6, generator=again)
            return x * keep / 0.6

    for module in model.peft.modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout["default"] = SameMasks()
    assert distance(gradient, reference(model, adapter, examples[:1])[1]) < 1e-5
    assert distance(gradient, model.gradient_at(adapter, examples[:1])[1]) > 0.1


def test_a_model_with_a_window_is_left_to_transformers(
    encoder: Encoder, examples: list[Example]
) -> None:
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(encoder.tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
    )
    model, adapter = adapted(MistralForCausalLM(config).eval())
    assert not model.packs
    loss, gradient = model.gradient_at(adapter, examples[:4])
    expected, slope = reference(model, adapter, examples[:4])
    assert loss == pytest.approx(expected, rel=1e-5)
    assert distance(gradient, slope) < 1e-5


def test_weights_in_4_bits_have_the_same_gradient(
    scenario_with: Callable[..., Scenario],
) -> None:
    pytest.importorskip("bitsandbytes")
    from airtune.learning.batches import collate
    from airtune.learning.learner import prepare

    learner = prepare(scenario_with(model__quantization="nf4"), seed=3)
    model, own = learner._model, learner._clients[0][:5]
    model.load(learner.initial_adapter() + np.float32(0.03))
    assert model.packs
    expected, slope = model.loss_and_gradient(collate(own))
    loss, gradient = model.gradient_at(model.flat.clone(), own)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert distance(gradient, slope) < 1e-5


def test_local_steps_with_dropout_do_not_depend_on_the_workers(
    scenario_with: Callable[..., Scenario],
) -> None:
    from airtune.learning.learner import prepare

    changes = {"training__local_steps": 2, "model__lora__dropout": 0.3}
    alone = prepare(scenario_with(**changes), seed=3)
    together = prepare(scenario_with(threads=3, **changes), seed=3)
    adapter = alone.initial_adapter() + np.float32(0.05)
    sizes = [5, 2, 4, 3, 6]
    one = alone.client_updates(adapter, range(5), sizes, seed=3, round_index=1)
    other = together.client_updates(adapter, range(5), sizes, seed=3, round_index=1)
    for first, second in zip(one, other, strict=True):
        assert first.update.tobytes() == second.update.tobytes()
        assert first.loss == second.loss
    # The adapter that is loaded is nobody's business.
    assert np.array_equal(alone.initial_adapter(), alone._model.flat.numpy())
