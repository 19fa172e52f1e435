"""The decoder of a model, and where text does not go."""

from __future__ import annotations

from typing import Any

import pytest

from airtune.learning.text_path import layers_without_text, states_before_head, text_decoder

from .families import FAMILIES


def made(name: str, **changes: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(FAMILIES[name].make(**changes)).eval()


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("llama", "LlamaModel"),
        ("opt", "OPTDecoder"),
        ("llama4", "Llama4TextModel"),
        ("gemma3-mm", "Gemma3TextModel"),
        ("mamba", "MambaModel"),
        ("gpt2", "GPT2Model"),
    ],
)
def test_the_decoder_gives_last_hidden_states_of_tokens(name: str, decoder: str) -> None:
    import torch

    model = made(name)
    found = text_decoder(model)
    assert type(found).__name__ == decoder
    ids = torch.arange(3, 12)[None]
    with torch.no_grad():
        states = found(input_ids=ids).last_hidden_state
        assert torch.allclose(model.lm_head(states), model(input_ids=ids).logits, atol=1e-6)
    assert states_before_head(model)


@pytest.mark.parametrize("name", ["gemma2", "cohere", "granite"])
def test_scaled_and_capped_logits_are_found_though_they_are_small(name: str) -> None:
    import torch

    model = made(name, initializer_range=1e-3)
    with torch.no_grad():
        assert float(model(input_ids=torch.arange(3, 12)[None]).logits.abs().max()) < 1
    assert not states_before_head(model)


def test_a_plain_model_has_no_layer_without_text() -> None:
    assert layers_without_text(made("llama")) == []
    assert layers_without_text(made("qwen2-moe")) == []


def test_towers_and_their_projections_are_without_text() -> None:
    import torch
    from transformers import AutoModelForCausalLM

    expected = ["model.vision_tower", "model.multi_modal_projector"]
    assert layers_without_text(made("gemma3-mm")) == expected
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(FAMILIES["gemma3-mm"].make())
    assert layers_without_text(empty) == expected


def test_a_choice_of_experts_leaves_none_out() -> None:
    import torch

    class Choice(torch.nn.Module):
        """Sends every token to the second of three experts."""

        def __init__(self) -> None:
            super().__init__()
            self.experts = torch.nn.ModuleList(torch.nn.Linear(32, 32) for _ in range(3))
            self.idle = torch.nn.Linear(32, 32)

        def forward(self, states: Any) -> Any:
            return self.experts[1](states)

    model = made("llama")
    model.model.layers[0].mlp = Choice()
    assert layers_without_text(model) == ["model.layers.0.mlp.idle"]


def test_a_model_that_needs_an_image_is_told() -> None:
    from airtune.errors import InputError

    model = made("llama")
    plain = model.model.forward

    def forward(*given: Any, pixel_values: Any = None, **more: Any) -> Any:
        if pixel_values is None:
            raise ValueError("You have to specify pixel_values")
        return plain(*given, **more)

    model.model.forward = forward
    with pytest.raises(InputError, match=r"model\.source: .* on text alone: .*pixel_values"):
        layers_without_text(model)
