"""The manual page of models and data: every example is read as a user would have it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from airtune.learning.formats import load_records
from airtune.scenario.file import parse
from airtune.scenario.learning import Data

PAGE = Path(__file__).parents[2] / "docs" / "models-and-data.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SETTINGS = [text for kind, text in BLOCKS if kind == "yaml"]
WITH_RECORD = [
    (BLOCKS[i][1], BLOCKS[i + 1][1])
    for i in range(len(BLOCKS) - 1)
    if BLOCKS[i][0] == "yaml" and BLOCKS[i + 1][0] == "json"
]


@pytest.mark.parametrize("text", SETTINGS)
def test_every_example_of_settings_is_a_scenario(text: str) -> None:
    assert parse(yaml.safe_load(text))


@pytest.mark.parametrize(("settings", "row"), WITH_RECORD)
def test_every_example_of_a_record_is_read(settings: str, row: str, tmp_path: Path) -> None:
    data = parse(yaml.safe_load(settings)).data
    path = tmp_path / data.source
    path.write_text(row)
    (record,) = load_records(data.model_copy(update={"source": str(path)}))
    assert record.output in row
    values = [str(value) for value in json.loads(row).values()]
    for part in (record.instruction, record.input, record.label, record.rejected):
        assert any(part in value for value in values)


def test_each_format_has_an_example() -> None:
    shown = {parse(yaml.safe_load(settings)).data.format for settings, _ in WITH_RECORD}
    assert shown == set(Data.model_fields["format"].annotation.__args__)


def test_a_pickled_checkpoint_is_converted_as_the_page_says(
    fresh: Any, encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from airtune.learning.weights import load_weights
    from airtune.scenario.learning import Model

    folder = tmp_path / "models" / "open_llama_3b_v2"
    fresh.config.save_pretrained(folder)
    torch.save(fresh.state_dict(), folder / "pytorch_model.bin")
    monkeypatch.chdir(tmp_path)
    (code,) = (text for kind, text in BLOCKS if kind == "python")
    exec(code, {})
    options = {"local_files_only": True, "trust_remote_code": False}
    loaded = load_weights(str(folder), Model(), options).state_dict()
    for name, weight in fresh.state_dict().items():
        assert torch.equal(loaded[name], weight), name
