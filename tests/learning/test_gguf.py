"""GGUF files in portions against the whole that transformers makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.quants import _type_traits

from airtune.learning import gguf_file

WIDTH, LAYERS, HEADS = 256, 5, 4
NAMES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
TYPES = [gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16, *_type_traits]
"""Every type that gguf can dequantise."""


def raw(kind: gguf.GGMLQuantizationType, random: np.random.Generator) -> np.ndarray:
    """Bytes of a square weight of that type; half-precision scales in them stay small."""
    if kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16):
        dtype = np.float32 if kind == gguf.GGMLQuantizationType.F32 else np.float16
        return random.standard_normal((WIDTH, WIDTH)).astype(dtype)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return random.integers(0, 64, (WIDTH, WIDTH // block * size), dtype=np.uint8)


@pytest.fixture
def every_type(tmp_path: Path) -> Path:
    """A LLaMA whose linear layers have all types in turn."""
    path, random = tmp_path / "every.gguf", np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("every")
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_vocab_size(WIDTH)
    writer.add_tensor("token_embd.weight", raw(TYPES[0], random))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for number in range(LAYERS * len(NAMES)):
        kind = TYPES[number % len(TYPES)]
        layer, name = divmod(number, len(NAMES))
        writer.add_tensor(f"blk.{layer}.{NAMES[name]}.weight", raw(kind, random), raw_dtype=kind)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def empty_model() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(
        vocab_size=WIDTH,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        return LlamaForCausalLM(shape)


def test_every_type_has_the_bits_that_transformers_gives_it(
    every_type: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    assert len(TYPES) <= LAYERS * len(NAMES)
    # Two layers at a time.
    monkeypatch.setattr(gguf_file, "SHARD", 2 * 4 * WIDTH * (7 * WIDTH + 2))
    portions = list(gguf_file._portions(every_type, empty_model()))
    assert len(portions) > 2
    weights = {name: weight for portion in portions for name, weight in portion.items()}
    whole = load_gguf_checkpoint(str(every_type), return_tensors=True, model_to_load=empty_model())
    assert len(weights) == sum(map(len, portions)) == len(whole["tensors"])
    for name, expected in whole["tensors"].items():
        assert weights[name].numpy().tobytes() == expected.numpy().tobytes(), name
