"""A run goes on with what it began with: sources, model, data, first adapter, bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airtune import memory, record
from airtune.commands import modules as importing
from airtune.errors import InputError
from airtune.record import inputs, modules, names, trees
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


def with_links(folder: Path) -> Scenario:
    """A model whose weights and whose own whereabouts are behind links."""
    settings(folder)
    (folder / "store").mkdir()
    (folder / "store" / "part.safetensors").write_bytes(b"weights")
    (folder / "model" / "parts").symlink_to(folder / "store")
    (folder / "model" / "latest").symlink_to(".")
    (folder / "store" / "up").symlink_to(folder / "model")
    return Scenario.model_validate({"model": {"source": str(folder / "model")}})


def test_what_lies_behind_linked_folders_counts(tmp_path: Path) -> None:
    scenario = with_links(tmp_path)
    run = record.create(tmp_path / "run", scenario, "run")
    record.check_inputs(run)
    assert set(record.file_digests(tmp_path / "model")) == {
        *("config.json", "model.safetensors", "templates/tool.jinja", "parts/part.safetensors")
    }
    (tmp_path / "store" / "part.safetensors").write_bytes(b"other__")
    with pytest.raises(InputError, match=r"model\.source = .*has been changed"):
        record.check_inputs(run)
    (tmp_path / "store" / "part.safetensors").write_bytes(b"weights")
    record.check_inputs(run)
    (tmp_path / "model" / "latest").unlink()
    (tmp_path / "model" / "latest").symlink_to("..")
    with pytest.raises(InputError, match=r"model\.source = .*has been changed"):
        record.check_inputs(run)


def test_a_run_whose_digest_has_no_links_goes_on(tmp_path: Path) -> None:
    scenario = with_links(tmp_path)
    run = record.create(tmp_path / "run", scenario, "run")
    content = record.read_json(run.folder / names.RUN)
    before = inputs.Fingerprints().of(scenario.model.source, whole=True, links=False)
    (tmp_path / "model" / "parts").unlink()
    (tmp_path / "model" / "latest").unlink()  # a folder without links has the digest that it had
    assert before == inputs.Fingerprints().of(scenario.model.source, whole=True, links=True)
    (tmp_path / "model" / "parts").symlink_to(tmp_path / "store")
    entry = {"path": scenario.model.source, "sha256": before, "whole": True}
    del content["sha256"]
    record.write_json(run.folder / names.RUN, {**content, "files": {"model.source": entry}})
    record.check_inputs(run)


@pytest.mark.parametrize(
    ("setting", "name", "part"),
    [
        ("model.source", "/", "holds no config.json"),
        ("model.source", "huge.gguf", "is no GGUF file"),
        ("model.adapter", "/", "holds no adapter_config.json"),
        ("data.source", "/", "is a folder; must be a file"),
        ("data.source", "huge.jsonl", "its records need about 900 GiB"),
        ("data.pretraining_corpus", "huge.txt", "its records need about 900 GiB"),
    ],
)
def test_what_no_run_can_use_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, name: str, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if name != "/":
        with Path(name).open("wb") as file:
            file.truncate(150 << 30)
    monkeypatch.setattr(memory, "total_bytes", lambda: 1 << 30)
    monkeypatch.setattr(inputs, "_fingerprint", lambda *_: pytest.fail("it was read"))
    section, last = setting.split(".")
    scenario = Scenario.model_validate({section: {last: name}})
    with pytest.raises(InputError, match=rf"^{setting} = .*{part}") as refused:
        record.create(tmp_path / "run", scenario, "run")
    assert len(str(refused.value)) <= 400
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match=part):
        record.swept_files(Scenario(), [scenario])


def test_folders_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(tmp_path)
    scenario = Scenario.model_validate({"model": {"source": str(tmp_path / "model")}})
    with (tmp_path / "model" / "model.safetensors").open("wb") as file:
        file.truncate(20 << 30)
    monkeypatch.setattr(memory, "total_bytes", lambda: 1 << 30)
    with pytest.raises(InputError, match=r"model\.source = .* even as weights of 4 bits, need"):
        record.create(tmp_path / "run", scenario, "run")
    monkeypatch.setattr(trees, "MOST_ENTRIES", 3)
    with pytest.raises(InputError, match="holds more than 3 files and folders"):
        record.create(tmp_path / "run", scenario, "run")


def test_a_run_goes_on_with_the_modules_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "own_package"
    package.mkdir()
    for name in ("__init__", "part"):
        (package / f"{name}.py").write_text("x = 1\n")
    (tmp_path / "own_module.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("airtune.registry.IMPORTED", imported := [])
    for module in (modules, importing):
        monkeypatch.setattr(module, "IMPORTED", imported)
    plain = record.create(tmp_path / "plain", Scenario(), "run")
    assert "modules" not in record.read_json(plain.folder / names.RUN)
    for name in ("own_module", "own_package", "sys"):
        importing.import_module(name)
    run = record.create(tmp_path / "run", Scenario(), "run")
    kept = record.read_json(run.folder / names.RUN)["modules"]
    assert kept["sys"] is None
    assert len(kept["own_module"]) == len(kept["own_package"]) == 64
    for opened in (run, plain):
        record.check_inputs(opened)
    for file in (tmp_path / "own_module.py", package / "part.py"):
        file.write_text("x = 2\n")
        with pytest.raises(InputError, match=r"--import own_\w+: .* changed since the run began"):
            record.check_inputs(run)
        file.write_text("x = 1\n")
    record.check_inputs(run)
    imported.remove("sys")
    with pytest.raises(InputError, match="go on with airtune --import sys resume"):
        record.check_inputs(run)
    record.check_inputs(plain)
