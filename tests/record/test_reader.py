"""One reader for every document: the file, what is wrong, and what to do; never a traceback."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune import record
from airtune.errors import DamageWarning, InputError
from airtune.record import documents, files, names
from airtune.scenario import Scenario
from airtune.study.histories import read_cell

DAMAGED = {
    "empty": b"",
    "cut": b'{"schema_version": 2, "kind": "ru',
    "not UTF-8": b'{"kind": "\xff"}',
    "half a character": b'{"kind": "\\ud800"}',
    "deep": b"[" * 100_000,
    "digits": b'{"rounds": ' + b"1" * 5000 + b"}",
    "infinite": b'{"rounds": 1e999}',
    "not a number": b'{"rounds": NaN}',
    "a list": b"[]",
    "a number": b"3",
    "other types": b'{"kind": 3, "rounds": "many", "seed": {}, "prepared": {}}',
}
KINDS = {
    names.RUN: documents.RunDocument,
    names.INPUTS: documents.InputsDocument,
    names.FINISHED: documents.FinishedDocument,
    names.PLAN: documents.PlanDocument,
    names.PLACEMENT: documents.PlacementDocument,
    "infeasible-0.json": documents.InfeasibleDocument,
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_document_is_one_sentence(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    path.write_bytes(DAMAGED[damage])
    with pytest.raises(InputError) as refused:
        record.read_document(path, KINDS[name])
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(files.remedy(path))
    assert files.remedy(path)
    assert len(message) <= 400
    message.encode("utf-8")


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    try:
        read = files.parse_json(content, "x.json:")
    except InputError as error:
        assert str(error).startswith("x.json: not valid JSON")
    else:
        json.dumps(read, allow_nan=False, ensure_ascii=False).encode("utf-8")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "nothing")
    (tmp_path / "null").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "nowhere", "null"):
        with pytest.raises(InputError, match=f"{name}: cannot be read"):
            record.read_json(tmp_path / name)


def test_a_document_of_enormous_size_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGEST", 10)
    (tmp_path / "x.json").write_text("[" + "1, " * 10 + "1]")
    with pytest.raises(InputError, match="at most 10 are read"):
        record.read_json(tmp_path / "x.json")


def test_a_seal_is_of_content_not_of_layout(tmp_path: Path) -> None:
    path = tmp_path / names.HOLDINGS
    content = {"labels": ["a"], "counts": [[1]]}
    record.write_document(path, documents.HoldingsDocument, content, sealed=True)
    sealed = json.loads(path.read_text())
    path.write_text(json.dumps(sealed, sort_keys=True))
    assert record.read_document(path, documents.HoldingsDocument).counts == [[1]]
    path.write_text(json.dumps({**sealed, "counts": [[2]]}))
    with pytest.raises(InputError, match="has been changed or damaged since it was written"):
        record.read_document(path, documents.HoldingsDocument)


@pytest.fixture
def finished(tmp_path: Path) -> record.Cell:
    cell = record.Cell(tmp_path / "fixed" / "seed-0", "fixed", 0)
    record.append_metrics(cell, {"round": 0, "evaluated": True, "loss": 1.5})
    plan = {"rounds": {}, "batch": {}, "frequency_hz": {}, "bound": {}}
    plan |= {"latency_s": {}, "energy_j": {}}
    record.write_document(cell.plan_file, documents.PlanDocument, plan)
    record.write_json(cell.samples_file, [])
    cell.adapter_folder.mkdir()
    (cell.adapter_folder / "adapter_config.json").write_text("{}")
    summary = {"rounds": 0, "latency_s": {}, "energy_j": {}, "participation": [0]}
    within = ("latency", "client_energy", "energy")
    record.finish_cell(cell, {**summary, **{f"within_{name}_budget": True for name in within}})
    return cell


def test_a_finished_cell_is_as_it_was(finished: record.Cell) -> None:
    assert record.check_cell(finished).rounds == 0
    assert record.check_cell(finished, adapter=True).rounds == 0
    (finished.adapter_folder / "adapter_config.json").write_text("[]")
    record.check_cell(finished)
    with pytest.raises(
        InputError, match=r"adapter_config\.json: has been changed .*finished\.json"
    ):
        record.check_cell(finished, adapter=True)
    text = finished.metrics_file.read_text()
    finished.metrics_file.write_text(text.replace("1.5", "1.4"))
    with pytest.raises(InputError, match=r"metrics\.jsonl: has been changed"):
        record.check_cell(finished)


def test_of_an_adapter_of_one_client_it_is_said_what_to_do(finished: record.Cell) -> None:
    file = finished.adapter_folder / "clients" / "0" / "adapter_config.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    record.finish_cell(finished, json.loads(finished.finished_file.read_text()))
    file.write_text("[]")
    with pytest.raises(InputError, match=r"0/adapter_config\.json: has been .*; delete finished"):
        record.check_cell(finished, adapter=True)


def test_a_plan_without_its_seal_is_told_by_whoever_reads_it(finished: record.Cell) -> None:
    with pytest.warns(DamageWarning, match=r"plan\.json: has no seal"):
        read_cell(finished)


def test_a_cell_without_its_digests_or_its_seal_is_refused(finished: record.Cell) -> None:
    """Both came with the same version: where one is gone, the other says so."""
    text = finished.metrics_file.read_text()
    finished.metrics_file.write_text(text.replace("1.5", "1.4"))
    digests = finished.digests_file.read_bytes()
    finished.digests_file.unlink()
    with pytest.raises(InputError, match=r"digests\.json: cannot be read .*finished\.json"):
        record.check_cell(finished)
    unseal(finished.finished_file, rounds=7)
    with pytest.warns(DamageWarning, match=r"finished\.json: has no seal"):
        assert record.check_cell(finished).rounds == 7
    finished.digests_file.write_bytes(digests)
    with (
        pytest.warns(DamageWarning),
        pytest.raises(InputError, match=r"finished\.json: has lost its seal"),
    ):
        record.check_cell(finished)


def unseal(path: Path, **changes: object) -> None:
    document = {**json.loads(path.read_text()), **changes}
    del document["sha256"]
    path.write_text(json.dumps(document))


def test_a_seal_that_is_gone_is_told(tmp_path: Path) -> None:
    run = record.create(tmp_path / "run", Scenario(), "run")
    unseal(run.folder / names.RUN)
    with pytest.warns(DamageWarning, match=r"run\.json: has no seal"):
        record.open_folder(run.folder)
    unsealed = json.loads((run.folder / names.RUN).read_text())
    unsealed.pop("schema_version")  # as in version 1, which has none
    (run.folder / names.RUN).write_text(json.dumps(unsealed))
    with warnings.catch_warnings(action="error"):
        assert record.open_folder(run.folder).version == 1


@pytest.mark.parametrize("version", [True, 1.0, "1", 0, -1, None])
def test_nothing_but_a_version_stands_for_a_version(tmp_path: Path, version: object) -> None:
    """`true` would be read as 1, and documents of version 1 bear no seal."""
    run = record.create(tmp_path / "run", Scenario(), "run")
    unseal(run.folder / names.RUN, schema_version=version, kind="compare")
    with pytest.raises(InputError, match=r"run\.json: .*schema_version"):
        record.open_folder(run.folder)


def test_a_document_that_is_gone_is_told(finished: record.Cell) -> None:
    finished.samples_file.unlink()
    with pytest.warns(DamageWarning, match=r"samples\.json: is gone"):
        record.check_cell(finished)
    finished.plan_file.unlink()
    with pytest.raises(InputError, match=r"plan\.json: cannot be read"):
        record.check_cell(finished)


@pytest.mark.parametrize(
    "content", [b"\xff\n", b"[" * 100_000 + b"\n", b'{"round": NaN}\n', b"3\n"]
)
def test_a_broken_line_is_named_with_its_number(tmp_path: Path, content: bytes) -> None:
    cell = record.Cell(tmp_path, "fixed", 0)
    cell.metrics_file.write_bytes(b'{"round": 0}\n\n' + content + b'{"round": 2')
    for read in (record.read_metrics, record.read_history):
        with pytest.raises(InputError, match=r"metrics\.jsonl: line 3 is not .*delete the folder"):
            read(cell)


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_head_of_a_run_is_one_sentence(tmp_path: Path, damage: str) -> None:
    run = record.create(tmp_path / "run", Scenario(), "run")
    for name in (names.RUN, names.SCENARIO):
        before = (run.folder / name).read_bytes()
        (run.folder / name).write_bytes(DAMAGED[damage])
        with pytest.raises(InputError) as refused:
            record.open_folder(run.folder)
        assert name in str(refused.value)
        (run.folder / name).write_bytes(before)
    (run.folder / names.ENVIRONMENT).write_bytes(DAMAGED[damage])
    if damage == "other types":
        return
    with pytest.raises(InputError, match=r"environment\.json: .*delete it"):
        record.read_environment(run.folder)
    (run.folder / names.ENVIRONMENT).unlink()
    assert record.read_environment(run.folder) == {}
