"""GGUF files in portions against the whole that transformers makes of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.quants import _type_traits

from airtune.errors import InputError
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


TEMPLATE = "{% for m in messages %}<own>{{ m.content }}{% endfor %}"


@pytest.fixture
def with_tokenizer(tmp_path: Path) -> Path:
    """A one-layer LLaMA with a tokenizer and a chat template of its own, alone in its folder."""
    path, random = tmp_path / "alone" / "own.gguf", np.random.default_rng(0)
    path.parent.mkdir()
    tokens = ["<own-start>", "<own-end>", *map(chr, range(97, 123)), "ab"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("own")
    writer.add_context_length(64)
    writer.add_block_count(1)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * 27)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template(TEMPLATE)
    writer.add_tensor("token_embd.weight", random.random((len(tokens), 32), np.float32))
    writer.add_tensor("output_norm.weight", np.ones(32, np.float32))
    for name in NAMES:
        writer.add_tensor(f"blk.0.{name}.weight", random.random((32, 32), np.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def other_model(folder: Path) -> None:
    """Put all that a model may have beside its weights into a folder, of another model."""
    from transformers import GenerationConfig, Qwen2Config

    from airtune.learning.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(["another text"], 300)
    tokenizer.chat_template = "{% for m in messages %}<other>{{ m.content }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    Qwen2Config(vocab_size=300, hidden_size=64).save_pretrained(folder)
    GenerationConfig(eos_token_id=7).save_pretrained(folder)
    special = {"eos_token": "<other-end>", "bos_token": "<other-start>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "added_tokens.json").write_text('{"<other-added>": 300}')
    (folder / "vocab.json").write_text('{"x": 0}')
    (folder / "merges.txt").write_text("#version: 0.2\n")


def test_what_lies_beside_a_gguf_is_not_read(with_tokenizer: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    crowded = tmp_path / "crowded"
    crowded.mkdir()
    other_model(crowded)
    path = crowded / "own.gguf"
    path.write_bytes(with_tokenizer.read_bytes())
    alone, beside = (
        gguf_file.convert_gguf(file, tmp_path / "cache") for file in (with_tokenizer, path)
    )
    assert alone != beside
    names = sorted(file.name for file in alone.iterdir())
    assert names == sorted(file.name for file in beside.iterdir())
    assert {"tokenizer.json", "config.json", "model-00001.safetensors"} < set(names)
    for name in names:
        if name != "airtune.json":  # which file it was made of
            assert (alone / name).read_bytes() == (beside / name).read_bytes(), name
    tokenizer = AutoTokenizer.from_pretrained(beside)
    assert tokenizer.eos_token == "<own-end>"
    assert tokenizer.tokenize("abc") == ["ab", "c"]
    assert tokenizer.chat_template == TEMPLATE
    assert json.loads((beside / "config.json").read_text())["model_type"] == "llama"


def test_a_gguf_with_a_relative_path_or_a_link_is_read(
    with_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.gguf").symlink_to(with_tokenizer)
    monkeypatch.chdir(tmp_path)
    for path in (Path("alone/own.gguf"), Path("link.gguf")):
        folder = gguf_file.convert_gguf(path, tmp_path / "cache")
        assert (folder / "tokenizer.json").is_file()


def test_more_layers_than_a_file_can_hold_are_refused_at_once(
    with_tokenizer: Path, tmp_path: Path
) -> None:
    content = with_tokenizer.read_bytes()
    key = b"llama.block_count" + (4).to_bytes(4, "little")  # its type: uint32
    assert content.count(key + (1).to_bytes(4, "little")) == 1
    changed = tmp_path / "changed.gguf"
    changed.write_bytes(
        content.replace(key + (1).to_bytes(4, "little"), key + (2000).to_bytes(4, "little"))
    )
    began = time.process_time()
    with pytest.raises(InputError, match="num_hidden_layers = 2000; the files hold 11 tensors"):
        gguf_file.convert_gguf(changed, tmp_path / "cache")
    assert time.process_time() - began < 5


def test_weights_that_are_not_finite_are_refused_by_name(every_type: Path, tmp_path: Path) -> None:
    reader = gguf.GGUFReader(every_type)
    tensor = next(t for t in reader.tensors if t.tensor_type == TYPES[0] and "blk.0" in t.name)
    content = bytearray(every_type.read_bytes())
    content[tensor.data_offset : tensor.data_offset + 4] = np.float32(np.nan).tobytes()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(bytes(content))
    with pytest.raises(InputError) as refused:
        list(gguf_file._portions(broken, empty_model()))
    said = str(refused.value)
    assert said.startswith("model.source: ") and len(said) <= 400
    assert str(broken) in said and tensor.name in said
