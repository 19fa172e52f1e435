"""What a base model is called elsewhere, and adapter folders that can be passed on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.learning import origin
from airtune.learning.learner import Learner, prepare
from airtune.scenario import Scenario
from airtune.scenario.learning import Model


def folder_with(path: Path, named: str | None) -> Path:
    path.mkdir(parents=True)
    content = {} if named is None else {"_name_or_path": named}
    (path / "config.json").write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("place", "named", "expected"),
    [
        ("models/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M"),
        ("models/smollm2-135m", "HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M"),
        # The configuration of a tuned model names what it was tuned from: another model.
        ("models/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M", None),
        ("models/mine", "/home/me/models/mine", None),
        ("models/mine", None, None),
        ("models--Qwen--Qwen3-0.6B/snapshots/c1899d", None, "Qwen/Qwen3-0.6B"),
    ],
)
def test_a_folder_has_an_id_where_something_says_it(
    tmp_path: Path, place: str, named: str | None, expected: str | None
) -> None:
    folder = folder_with(tmp_path / place, named)
    assert origin.hub_id(Model(source=str(folder))) == expected
    assert origin.hub_id(Model(source=str(folder), hub_id="a/b")) == "a/b"
    assert origin.shared_name(Model(source=str(folder)), folder) == (expected or folder.name)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("general.source.huggingface.repository", "gpt/gpt2", "gpt/gpt2"),
        ("general.source.url", "https://huggingface.co/gpt/gpt2", "gpt/gpt2"),
        ("general.source.url", "https://example.org/gpt/gpt2", None),
        ("general.base_model.0.repo_url", "https://huggingface.co/gpt/gpt2", None),
    ],
)
def test_a_gguf_file_has_the_id_of_what_it_was_made_from(
    tmp_path: Path, field: str, value: str, expected: str | None
) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string(field, value)
    writer.add_tensor("token_embd.weight", np.ones((2, 2), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert origin.hub_id(Model(source=str(path))) == expected


def test_what_is_no_model_has_no_id(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"no")
    assert origin.hub_id(Model(source=str(tmp_path / "broken.gguf"))) is None
    assert origin.hub_id(Model(source="small")) is None


def test_a_model_below_the_present_folder_is_named_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert origin.shared_name(Model(), tmp_path / "models" / "mine") == "models/mine"
    assert origin.shared_name(Model(), tmp_path.parent / "other") == "other"


@given(
    st.lists(st.sampled_from(["..", "a", "b c", "home", "~", "C:\\x"]), min_size=1), st.booleans()
)
def test_no_name_leads_out_of_the_present_folder(parts: list[str], absolute: bool) -> None:
    name = origin.without_place("/" * absolute + "/".join(parts))
    assert not Path(name).is_absolute() and not name.startswith(("/", "~", "C:"))
    assert ".." not in Path(name).parts[:-1]


def test_an_adapter_notes_that_its_base_takes_images(learner: Learner, tmp_path: Path) -> None:
    from transformers import AutoConfig

    from airtune.learning.weights import empty_model

    (tmp_path / "adapter_config.json").write_text('{"auto_mapping": null}')
    tokenizer = learner._encoder.tokenizer
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    for kind, expected in {
        "llama": "AutoModelForCausalLM",
        "llava": "AutoModelForImageTextToText",
    }.items():
        parts = {"text_config": {"model_type": "llama", **small, "intermediate_size": 8}}
        config = AutoConfig.for_model(kind, **(parts if kind == "llava" else small))
        base, _ = empty_model(config, trust_remote_code=False)
        origin.complete(tmp_path, Model(), tokenizer, base)
        assert origin.opened_by(tmp_path) == expected
    noted = json.loads((tmp_path / "adapter_config.json").read_text())["auto_mapping"]
    assert noted["base_model_class"] == "LlavaForConditionalGeneration"


def test_an_adapter_folder_tells_nothing_of_this_machine(learner: Learner, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = tmp_path / "adapter"
    learner.save_adapter(learner.initial_adapter(), folder)
    base = Path(learner._model.peft.peft_config["default"].base_model_name_or_path)
    assert base.is_absolute()
    for file in folder.iterdir():
        if file.suffix in (".json", ".jinja"):
            text = file.read_text()
            assert str(base.parent) not in text and str(Path.home()) not in text, file
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base.name
    assert config["target_modules"] == sorted(config["target_modules"])
    # Whoever saves again from the same model still has the folder on this machine.
    assert learner._model.peft.peft_config["default"].base_model_name_or_path == str(base)
    loaded = AutoTokenizer.from_pretrained(folder)
    text = "### Instruction:\nAdd 1 and 2.\n\n### Response:\n3"
    assert loaded(text).input_ids == learner._encoder.tokenizer(text).input_ids


def test_the_chat_template_goes_along(learner: Learner, tmp_path: Path) -> None:
    from copy import deepcopy

    from transformers import AutoTokenizer

    encoder = deepcopy(learner._encoder)
    encoder.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    replace(learner, _encoder=encoder).save_adapter(learner.initial_adapter(), tmp_path / "a")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "a")
    assert loaded.chat_template == encoder.tokenizer.chat_template


def test_a_run_starts_from_a_shared_adapter(
    scenario_with: Callable[..., Scenario], learner: Learner, tmp_path: Path
) -> None:
    adapter = learner.initial_adapter() + np.float32(0.01)
    learner.save_adapter(adapter, tmp_path / "adapter")
    found = prepare(scenario_with(model__adapter=str(tmp_path / "adapter")), seed=9)
    assert np.array_equal(found.initial_adapter(), adapter)
