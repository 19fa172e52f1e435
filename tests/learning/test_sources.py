"""Where models come from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.learning.learner import Learner, prepare
from airtune.scenario import Scenario
from airtune.scenario.file import load


def open_source(scenario: Scenario) -> Any:
    from airtune.learning.sources import open_model

    return open_model(scenario, lambda text, fraction: None)


@pytest.mark.parametrize("source", ["nowhere", "no/such/folder", "missing.gguf", "a b/c"])
def test_a_source_that_is_nothing_is_told(
    scenario_with: Callable[..., Scenario], source: str
) -> None:
    with pytest.raises(InputError, match=r"model\.source: .*allowed are 'small'"):
        open_source(scenario_with(model__source=source))


@pytest.mark.parametrize("name", ["smollm2", "openllama-3b"])
def test_a_shipped_scenario_says_how_to_get_its_weights(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scenario = load(name)
    assert scenario.model.obtain is not None
    with pytest.raises(
        InputError, match=r"model\.source: 'models/.* does not exist; get it"
    ) as told:
        open_source(scenario)
    assert scenario.model.obtain in str(told.value)
    text = (resources.files("airtune") / "scenarios" / f"{name}.yaml").read_text()
    assert scenario.model.obtain in text.replace("# ", "")


def test_a_folder_without_a_model_is_told(
    scenario_with: Callable[..., Scenario], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"model\.source: .*cannot be loaded"):
        open_source(scenario_with(model__source=str(tmp_path)))


def test_a_gguf_that_is_none_is_told(
    scenario_with: Callable[..., Scenario], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF is not what this is")
    with pytest.raises(InputError, match=r"model\.source: .*cannot be loaded"):
        open_source(scenario_with(model__source=str(broken), cache=str(tmp_path)))
    assert [p.name for p in tmp_path.iterdir()] == ["broken.gguf"]


def test_pickled_weights_are_refused(
    scenario_with: Callable[..., Scenario], learner: Learner, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = learner._model.peft.peft_config["default"].base_model_name_or_path
    model = AutoModelForCausalLM.from_pretrained(base)
    model.config.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin, a pickle.*allowed are safetensors"):
        open_source(scenario_with(model__source=str(tmp_path)))


def test_weights_of_another_shape_are_told(
    scenario_with: Callable[..., Scenario], learner: Learner, tmp_path: Path
) -> None:
    base = Path(learner._model.peft.peft_config["default"].base_model_name_or_path)
    for file in base.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 96}))
    with pytest.raises(InputError, match=r"model\.source: .*cannot be loaded: .*"):
        open_source(scenario_with(model__source=str(tmp_path)))


def test_records_that_are_too_long_for_the_model_are_told(
    scenario_with: Callable[..., Scenario], tmp_path: Path
) -> None:
    path = tmp_path / "data.jsonl"
    rows = ({"instruction": f"{i} " * 600, "output": f"{i}"} for i in range(20))
    path.write_text("\n".join(map(json.dumps, rows)))
    long = {"source": str(path), "partition": "iid", "max_tokens": 600}
    with pytest.raises(InputError, match=r"data\.max_tokens = 600: .* at most 512"):
        prepare(scenario_with(data=long, clients__count=2), seed=1)


def test_a_local_folder_and_a_local_file_make_a_learner(
    scenario_with: Callable[..., Scenario], learner: Learner, tmp_path: Path
) -> None:
    base = learner._model.peft.peft_config["default"].base_model_name_or_path
    path = tmp_path / "data.jsonl"
    path.write_text("".join(f'{{"instruction": "Say {i}.", "output": "{i}"}}\n' for i in range(40)))
    scenario = scenario_with(
        model__source=base, data__source=str(path), data__partition="iid", clients__count=4
    )
    found = prepare(scenario, seed=1)
    assert found.data_sizes.tolist() == [9, 9, 9, 9]
    assert found.client_labels == ("", "", "", "")
    assert found.pretraining_cost.steps == 0
    assert list(found.evaluate(found.initial_adapter()).domains) == [""]
    with pytest.raises(InputError, match=r"data\.partition"):
        prepare(scenario_with(model__source=base, data__source=str(path)), seed=1)


@pytest.mark.slow
def test_a_gguf_is_converted_in_portions_without_a_difference(
    gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from airtune.learning import gguf_file as conversion

    monkeypatch.setattr(conversion, "SHARD", 150_000_000)
    folder = conversion.convert_gguf(gguf_file, tmp_path)
    assert len(list(folder.glob("*.safetensors"))) > 3
    whole = AutoModelForCausalLM.from_pretrained(
        gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32, local_files_only=True
    )
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for (name, p), q in zip(whole.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q), name


@pytest.mark.slow
def test_smollm2_from_gguf_trains_on_its_chat_template(
    scenario_with: Callable[..., Scenario], gguf_file: Path, shared_data: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    scenario = scenario_with(
        model__source=str(gguf_file),
        model__lora__rank=4,
        cache=str(tmp_path),
        data__source=str(shared_data / "text" / "alpaca_sample.jsonl"),
        data__partition="iid",
        data__max_tokens=128,
        data__max_records=60,
        clients__count=2,
        evaluation__records=4,
    )
    learner = prepare(scenario, seed=1)
    (folder,) = tmp_path.iterdir()
    started = time.perf_counter()
    assert prepare(scenario, seed=1).size == learner.size
    assert time.perf_counter() - started < 20, "the second call converted the file again"
    tokenizer = learner._encoder.tokenizer
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    example = learner._clients[0][0]
    text = tokenizer.decode(example.ids[: example.prompt])
    assert text.endswith("<|im_start|>assistant\n")

    # The folder holds the dequantised weights that transformers reads from the file.
    loaded = AutoModelForCausalLM.from_pretrained(
        gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32, local_files_only=True
    )
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for (name, p), q in zip(loaded.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q), name

    adapter = learner.initial_adapter()
    before = learner.evaluate(adapter)
    assert before.loss < 3.0
    update = learner.client_update(adapter, 0, 2, seed=1, round_index=0)
    assert update.finite and np.linalg.norm(update.update) > 0
    learner.save_adapter(adapter, tmp_path / "adapter")
    assert folder.name in (tmp_path / "adapter" / "adapter_config.json").read_text()
