"""Model folders, adapters, GGUF files and data that are broken or beyond any size."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from airtune.errors import MESSAGE, InputError
from airtune.learning.formats import LONGEST_RECORD, pieces, read_records
from airtune.learning.lora import CONFIG, AdapterShape, read_adapter
from airtune.learning.rows import read_rows
from airtune.learning.sources import open_model, open_shape
from airtune.scenario import Data, Scenario
from airtune.scenario.learning import Lora


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaMA with its weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from airtune.learning.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(["Say hello"], vocabulary=300)
    tokenizer.save_pretrained(folder)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": len(tokenizer)}
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**shape, **heads)).save_pretrained(folder)
    return folder


def changed(model: Path, folder: Path, **config: Any) -> Scenario:
    shutil.copytree(model, folder)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return Scenario(model={"source": str(folder)}, cache=str(folder / "cache"))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"num_hidden_layers": 100_000}, "num_hidden_layers = 100000; at most 2048"),
        ({"hidden_size": 10**13}, "a model of .* weights"),
        ({"num_attention_heads": 0}, "cannot be loaded"),
        ({"hidden_size": -16}, "cannot be loaded"),
        ({"hidden_size": "wide"}, "cannot be loaded"),
        ({"vocab_size": -1}, "cannot be loaded"),
        ({"model_type": "x" * 5000}, "cannot be loaded"),
    ],
)
def test_impossible_shapes(model: Path, config: dict[str, Any], words: str, tmp_path: Path) -> None:
    began = time.perf_counter()
    with pytest.raises(InputError, match=words) as caught:
        open_shape(changed(model, tmp_path / "model", **config))
    assert len(str(caught.value)) <= MESSAGE
    assert time.perf_counter() - began < 20


def test_weights_that_do_not_fit_are_not_made(model: Path, tmp_path: Path) -> None:
    scenario = changed(model, tmp_path / "model", intermediate_size=10**10)
    with pytest.raises(InputError, match=r"weights in float32 need about .* GiB"):
        open_model(scenario, lambda text, part: None)


def test_more_layers_than_the_files_can_hold_are_refused_at_once(
    model: Path, tmp_path: Path
) -> None:
    scenario = changed(model, tmp_path / "model", num_hidden_layers=2000)
    began = time.process_time()
    with pytest.raises(InputError, match=r"num_hidden_layers = 2000; the files hold 1\d tensors"):
        open_model(scenario, lambda text, part: None)
    assert time.process_time() - began < 3


def test_weights_that_are_not_there_are_named_in_one_message(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scenario = changed(model, tmp_path / "model", num_hidden_layers=2)
    with pytest.raises(InputError, match=r"the files lack the weights model\.layers\.1\."):
        open_model(scenario, lambda text, part: None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff" * 64, b"[" * 100_000])
def test_broken_files_of_a_model(model: Path, name: str, content: bytes, tmp_path: Path) -> None:
    scenario = changed(model, tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be loaded"):
        open_model(scenario, lambda text, part: None)


ODD_TARGETS = '{"peft_type": "LORA", "target_modules": [1, "a"]}'


@pytest.mark.parametrize("content", ["[]", "3", ODD_TARGETS, "[" * 99_999], ids=range(4))
def test_broken_settings_of_an_adapter(content: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    (tmp_path / CONFIG).write_text(content)
    save_file({"a": torch.zeros(2)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(InputError, match=r"model\.(adapter|lora)"):
        read_adapter(tmp_path, Lora(), AdapterShape((), {}))


@pytest.mark.parametrize("size", [0, 4, 23, 60])
def test_cut_headers_of_gguf(size: int, tmp_path: Path) -> None:
    head = b"GGUF\x03\0\0\0" + (1).to_bytes(8, "little") + (2**60).to_bytes(8, "little")
    file = tmp_path / "cut.gguf"
    file.write_bytes((head + b"\x20\0\0\0\0\0\0\0general.architecture\x08\0\0\0" * 2)[:size])
    scenario = Scenario(model={"source": str(file)}, cache=str(tmp_path / "cache"))
    for door in (open_shape, lambda one: open_model(one, lambda text, part: None)):
        with pytest.raises(InputError, match="cannot be loaded"):
            door(scenario)


def test_nested_lines_and_halves_of_characters(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"instruction": ' + "[" * 200_000 + "}")
    with pytest.raises(InputError, match="line 1"):
        read_rows(path)
    path.write_text(
        '{"instruction": "\\ud800", "output": "x"}\n{"instruction": "a", "output": "b"}'
    )
    records, left_out = read_records(Data(source=str(path)))
    assert len(records) == len(left_out) == 1


def test_long_records_are_left_out_and_long_documents_cut(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    long = {"instruction": "word " * (LONGEST_RECORD // 4), "output": "x", "text": "y"}
    path.write_text("\n".join(map(json.dumps, (long, {"instruction": "a", "output": "b"}))))
    records, left_out = read_records(Data(source=str(path)))
    assert [record.output for record in records] == ["b"]
    assert left_out[0].why.startswith("it has 2500005 characters, more than 2000000")
    began = time.perf_counter()
    text = "word and word\n" * 400_000
    cut = pieces(text, 400)
    assert "".join(cut) == text
    assert time.perf_counter() - began < 10
