"""A run goes on with what it began with: sources, model, data, first adapter, bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airtune import record
from airtune.errors import InputError
from airtune.record import inputs, names
from airtune.scenario import Scenario


def settings(folder: Path) -> Scenario:
    (folder / "paths.npz").write_bytes(b"paths")
    (folder / "tales.txt").write_text("Once upon a time.\n")
    (folder / "model" / "templates").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "templates/tool.jinja"):
        (folder / "model" / name).write_text("{}")
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    return Scenario.model_validate(
        {
            "model": {"adapter": str(folder / "adapter")},
            "radio": {"channel": "file", "channel_file": str(folder / "paths.npz")},
            "pretraining": {"sources": ["sample", str(folder / "tales.txt")]},
            "data": {"pretraining_corpus": str(folder / "tales.txt")},
        }
    )


@pytest.mark.parametrize(
    ("file", "setting"),
    [
        ("tales.txt", r"data\.pretraining_corpus|pretraining\.sources\[1\]"),
        ("adapter/adapter_config.json", r"model\.adapter"),
        ("paths.npz", r"radio\.channel_file"),
    ],
)
def test_each_file_of_the_settings_counts(tmp_path: Path, file: str, setting: str) -> None:
    run = record.create(tmp_path / "run", settings(tmp_path), "run")
    record.check_inputs(run)
    (tmp_path / file).write_text("another")
    with pytest.raises(InputError, match=f"({setting}) = .*has been changed since the run began"):
        record.check_inputs(run)
    (tmp_path / file).unlink()
    with pytest.raises(InputError, match=setting):
        record.check_inputs(run)


def test_pretraining_sources_are_among_them(tmp_path: Path) -> None:
    scenario = settings(tmp_path)
    data = scenario.data.model_copy(update={"pretraining_corpus": None})
    scenario = scenario.model_copy(update={"data": data})
    run = record.create(tmp_path / "run", scenario, "run")
    (tmp_path / "tales.txt").write_text("Once upon another time.\n")
    with pytest.raises(InputError, match=r"pretraining\.sources\[1\] = .*tales\.txt"):
        record.check_inputs(run)


def test_every_byte_and_every_folder_of_a_model_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_PIECE", 4)
    settings(tmp_path)
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(bytes(range(256)) * 8)
    scenario = Scenario.model_validate({"model": {"source": str(tmp_path / "model")}})
    run = record.create(tmp_path / "run", scenario, "run")
    for file in (weights, tmp_path / "model" / "templates" / "tool.jinja"):
        before = bytearray(file.read_bytes())
        changed = bytearray(before)
        changed[-1] ^= 1
        file.write_bytes(changed)
        with pytest.raises(InputError, match=r"model\.source"):
            record.check_inputs(run)
        file.write_bytes(before)
        record.check_inputs(run)


def test_a_run_of_an_older_version_is_checked_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_PIECE", 4)
    settings(tmp_path)
    (tmp_path / "model" / "model.safetensors").write_bytes(bytes(range(256)) * 8)
    scenario = Scenario.model_validate({"model": {"source": str(tmp_path / "model")}})
    run = record.create(tmp_path / "run", scenario, "run")
    content = record.read_json(run.folder / names.RUN)
    older = inputs.input_files(scenario, whole=False)["model.source"].model_dump(exclude={"whole"})
    del content["sha256"]
    record.write_json(run.folder / names.RUN, {**content, "files": {"model.source": older}})
    record.check_inputs(run)
    (tmp_path / "model" / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"model\.source"):
        record.check_inputs(run)


PREPARED: dict[str, Any] = {
    "pretraining": [3, 32],
    "model_folder": "cache/small-1",
    "made": True,
    "model": {"model.safetensors": "aa", "config.json": "bb"},
    "data": "cc",
    "adapter": "dd",
    "bound": "ee",
}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"model": {"model.safetensors": "ff", "config.json": "bb"}}, r"small-1/model\.safetensor"),
        ({"model": {"model.safetensors": "aa"}}, r"small-1/config\.json.*if its folder is deleted"),
        ({"data": "ff"}, r"data\.source"),
        ({"adapter": "ff"}, r"model\.adapter"),
        ({"bound": "ff"}, "constants of the bound"),
    ],
)
def test_what_a_repetition_works_on_stays(
    tmp_path: Path, change: dict[str, Any], part: str
) -> None:
    record.check_prepared(tmp_path, 0, PREPARED)
    record.check_prepared(tmp_path, 0, {**PREPARED, "model_folder": "moved/small-1"})
    record.check_prepared(tmp_path, 1, {**PREPARED, **change})
    record.check_prepared(tmp_path, 0, {**PREPARED, **change, "pretraining": [9, 32]})
    with pytest.raises(InputError, match=part) as refused:
        record.check_prepared(tmp_path, 0, {**PREPARED, **change})
    assert len(str(refused.value)) <= 400
    assert len(record.read_json(tmp_path / names.INPUTS)["prepared"]) == 3
