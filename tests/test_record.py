"""Run folders: atomic checkpoints, flushed metrics, refused folders."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from pydantic import ValidationError

from airtune import record
from airtune.errors import InputError
from airtune.record import checkpoint, documents
from airtune.record.version_1 import UNNAMED
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file


@pytest.fixture
def cell(tmp_path) -> record.Cell:
    return record.Cell(tmp_path / "movable" / "seed-0", "movable", 0)


def line(index: int) -> dict[str, object]:
    return {"round": index, "loss": 1.0 / (index + 1)}


def test_checkpoint_round_trip_is_exact(cell: record.Cell) -> None:
    arrays = {
        "a": np.random.default_rng(0).standard_normal((3, 4)),
        "b": np.arange(5, dtype=np.int64),
        "c": np.float32([np.pi, 1e-30]),
        "strided": np.arange(12.0).reshape(3, 4).T,
        "number": np.array(0.1 + 0.2),
        "count": np.int64(7),
    }
    record.append_metrics(cell, line(0))
    record.save_checkpoint(cell, 0, arrays, {"time_s": 0.1 + 0.2})
    loaded = record.load_checkpoint(cell)
    assert loaded is not None
    index, back, state = loaded
    assert index == 0
    assert state == {"time_s": 0.1 + 0.2}
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert np.array_equal(back[name], array)


def test_metrics_beyond_the_checkpoint_are_dropped(cell: record.Cell) -> None:
    record.append_metrics(cell, line(0))
    record.save_checkpoint(cell, 0, {"a": np.zeros(1)}, {})
    record.append_metrics(cell, line(1))  # killed before the checkpoint of round 1
    record.load_checkpoint(cell)
    assert [entry["round"] for entry in record.read_metrics(cell)] == [0]


def test_torn_last_line_is_ignored(cell: record.Cell) -> None:
    record.append_metrics(cell, line(0))
    with (cell.folder / "metrics.jsonl").open("a") as file:
        file.write('{"round": 1, "lo')
    assert record.read_metrics(cell) == [line(0)]


@pytest.mark.parametrize("victim", ["round-000001.safetensors", "state.json"])
def test_an_interrupted_checkpoint_leaves_the_last_one(
    cell: record.Cell, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    record.append_metrics(cell, line(0))
    record.save_checkpoint(cell, 0, {"a": np.zeros(3)}, {"x": 0})
    write = checkpoint.write_bytes

    def torn(path: Path, *args: object, **more: object) -> None:
        if path.name == victim:
            raise KeyboardInterrupt
        write(path, *args, **more)

    monkeypatch.setattr(checkpoint, "write_bytes", torn)
    with pytest.raises(KeyboardInterrupt):
        record.save_checkpoint(cell, 1, {"a": np.ones(3)}, {"x": 1})
    monkeypatch.undo()
    loaded = record.load_checkpoint(cell)
    assert loaded is not None
    assert loaded[0] == 0
    assert np.array_equal(loaded[1]["a"], np.zeros(3))


def test_only_two_generations_are_kept(cell: record.Cell) -> None:
    for index in range(4):
        record.save_checkpoint(cell, index, {"a": np.full(2, index)}, {})
    assert len(list((cell.folder / "checkpoint").glob("*.safetensors"))) == 2


def test_without_checkpoint_the_cell_starts_anew(cell: record.Cell) -> None:
    record.append_metrics(cell, line(0))
    assert record.load_checkpoint(cell) is None
    assert record.read_metrics(cell) == []


def test_folder_with_something_in_it_is_refused(tmp_path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="new or an empty folder"):
        record.create(tmp_path, Scenario(), "compare")
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_existing_run_hints_at_resume(tmp_path) -> None:
    record.create(tmp_path / "run", Scenario(), "compare")
    (tmp_path / "run" / "movable").mkdir()
    with pytest.raises(InputError, match="airtune resume"):
        record.create(tmp_path / "run", Scenario(), "compare")


def test_folder_without_a_cell_is_used_again_or_discarded(tmp_path) -> None:
    record.create(tmp_path / "run", Scenario(), "compare")
    again = record.create(tmp_path / "run", Scenario(seed=9), "run")
    assert record.open_folder(tmp_path / "run") == again
    record.discard_unused(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_file_in_the_place_of_the_folder_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match="cannot be written"):
            record.create(out, Scenario(), "compare")
    assert (tmp_path / "file").read_text() == "mine"


def test_open_folder_returns_what_was_created(tmp_path) -> None:
    scenario = Scenario(seed=5, seeds=2, schemes=("ideal", "fixed"))
    created = record.create(tmp_path / "run", scenario, "run")
    opened = record.open_folder(tmp_path / "run")
    assert opened == created
    assert [(cell.scheme, cell.seed) for cell in opened.cells] == [
        ("ideal", 0),
        ("fixed", 0),
        ("ideal", 1),
        ("fixed", 1),
    ]


def test_settings_that_were_changed_since_are_refused(tmp_path) -> None:
    record.create(tmp_path / "run", Scenario(seed=5), "run")
    path = tmp_path / "run" / "scenario.yaml"
    whole = path.read_text()
    path.write_text("# read by me\n" + whole)
    assert record.open_folder(tmp_path / "run").scenario.seed == 5
    path.write_text(whole.replace("seed: 5", "seed: 6"))
    with pytest.raises(InputError, match=r"scenario\.yaml: the settings are not those"):
        record.open_folder(tmp_path / "run")


def test_a_run_knows_where_it_was_begun(tmp_path, monkeypatch) -> None:
    begun = tmp_path / "project"
    begun.mkdir()
    monkeypatch.chdir(begun)
    record.create(tmp_path / "run", Scenario(), "run")
    monkeypatch.chdir(tmp_path)
    assert record.open_folder(tmp_path / "run").directory == begun
    begun.rmdir()
    assert record.open_folder(tmp_path / "run").directory == tmp_path


def test_resume_works_where_the_run_was_begun(tmp_path, monkeypatch) -> None:
    from airtune.commands import app
    from airtune.commands import run as jobs

    begun, seen = tmp_path / "project", []
    begun.mkdir()
    monkeypatch.chdir(begun)
    record.create(Path("run"), Scenario(), "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "execute", lambda run, *_: not seen.append((Path.cwd(), run.folder)))
    app.resume(Path("project/run"))
    assert seen == [(begun, begun / "run")]
    assert Path.cwd() == tmp_path


def test_changed_data_is_noticed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text("one\n")
    Path("model").mkdir()
    Path("model/config.json").write_text("{}")
    scenario = Scenario.model_validate(
        {"data": {"source": "a.jsonl"}, "model": {"source": "model"}}
    )
    run = record.create(Path("run"), scenario, "run")
    record.check_inputs(run)
    Path("model/config.json").write_text("[]")
    with pytest.raises(InputError, match=r"model\.source = model: the file has been changed"):
        record.check_inputs(run)
    Path("model/config.json").write_text("{}")
    Path("a.jsonl").write_text("two\n")
    with pytest.raises(InputError, match=r"data\.source = a\.jsonl: the file has been changed"):
        record.check_inputs(run)
    Path("a.jsonl").unlink()
    with pytest.raises(InputError, match="is gone"):
        record.check_inputs(run)


def test_large_files_are_read_in_pieces(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("airtune.record.inputs._PIECE", 4)
    file = tmp_path / "weights.gguf"
    file.write_bytes(b"GGUF" + bytes(range(256)) * 8)
    scenario = Scenario.model_validate({"model": {"source": str(file)}})
    run = record.create(tmp_path / "run", scenario, "run")
    record.check_inputs(run)
    changed = bytearray(file.read_bytes())
    changed[0] ^= 1
    file.write_bytes(changed)
    with pytest.raises(InputError, match="changed"):
        record.check_inputs(run)
    file.write_bytes(b"GGUF" + bytes(range(256)) * 9)
    with pytest.raises(InputError, match="changed"):
        record.check_inputs(run)


def test_a_run_without_a_fingerprint_opens(tmp_path) -> None:
    record.create(tmp_path / "run", Scenario(seed=5), "run")
    record.write_json(tmp_path / "run" / "run.json", {"kind": "run"})
    assert record.open_folder(tmp_path / "run").scenario.seed == 5


def test_other_folders_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        record.open_folder(tmp_path)


def test_json_refuses_nan(tmp_path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        record.write_json(tmp_path / "x.json", {"x": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_environment_names_versions() -> None:
    text = json.dumps(record.environment(Scenario()))
    assert "numpy" in text


@pytest.fixture
def version_1(tmp_path) -> Path:
    """A finished comparison made before run folders had a version."""
    folder = tmp_path / "old"
    with ZipFile(Path(__file__).with_name("record_version_1.zip")) as file:
        file.extractall(folder)
    return folder


def settings(section: dict[str, object], prefix: str = "") -> dict[str, str]:
    """Return all settings of a scenario by their dotted paths."""
    flat: dict[str, str] = {}
    for name, value in section.items():
        path = f"{prefix}{name}"
        flat |= settings(value, f"{path}.") if isinstance(value, dict) else {path: repr(value)}
    return flat


def assert_kept(before: object, after: object, where: str = "") -> None:
    """Everything that was there is there with its value; figures that are new may stand beside."""
    if isinstance(before, dict):
        assert isinstance(after, dict), where
        for key, value in before.items():
            if where or key != "scenario":
                assert_kept(value, after[key], f"{where}.{key}")
    elif isinstance(before, list):
        assert isinstance(after, list), where
        assert len(after) == len(before), where
        for index, value in enumerate(before):
            assert_kept(value, after[index], f"{where}[{index}]")
    else:
        assert after == before, where


def test_report_of_a_version_1_folder_is_what_it_was(version_1: Path) -> None:
    from airtune.commands.run import rebuild_reports

    before = record.read_json(version_1 / "results.json")
    assert record.open_folder(version_1).version == 1
    rebuild_reports([version_1])
    after = record.read_json(version_1 / "results.json")
    assert after.pop("schema_version") == record.SCHEMA_VERSION
    assert after.pop("run_schema_version") == 1
    # settings that are new stand at what the run was made with
    assert settings(after["scenario"]).items() >= settings(before["scenario"]).items()
    assert after.keys() == before.keys() | {"target_losses"}
    assert_kept(before, after)
    for path, value in UNNAMED.items():
        assert scenario_file.value_at(after["scenario"], path) == value
    page = (version_1 / "report.html").read_text()
    assert "Movable" in page
    assert "run folder of version 1" in page


@pytest.mark.parametrize("entry", [1, [], {"round": "first"}])
def test_a_damaged_line_of_the_metrics_is_named(cell: record.Cell, entry: object) -> None:
    record.append_metrics(cell, line(0))
    with cell.metrics_file.open("a") as file:
        file.write(f"\n{json.dumps(entry)}\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl: line 3 is not a "):
        record.read_history(cell)


def test_lists_of_entries_are_checked(cell: record.Cell) -> None:
    cell.folder.mkdir(parents=True)
    record.write_json(cell.samples_file, [{"prompt": "1 + 1", "score": 3}])
    (sample,) = record.read_documents(cell.samples_file, documents.Sample)
    assert (sample.prompt, sample.before) == ("1 + 1", None)
    record.write_json(cell.samples_file, [{}, {"prompt": 3}])
    with pytest.raises(InputError, match=r"entry 2 is not a sample \(prompt"):
        record.read_documents(cell.samples_file, documents.Sample)
    record.write_json(cell.samples_file, {})
    with pytest.raises(InputError, match="must hold a JSON list, holds a dict"):
        record.read_documents(cell.samples_file, documents.Sample)


def test_every_document_says_its_version(tmp_path) -> None:
    run = record.create(tmp_path / "run", Scenario(), "run")
    record.save_checkpoint(run.cells[0], 0, {}, {})
    state = run.cells[0].checkpoint_folder / record.names.CHECKPOINT_STATE
    for path in (run.folder / record.names.RUN, run.folder / record.names.ENVIRONMENT, state):
        assert record.read_json(path)["schema_version"] == record.SCHEMA_VERSION
    environment = record.read_json(run.folder / record.names.ENVIRONMENT)
    assert list(environment)[1:] == list(record.environment(Scenario()))


def test_a_damaged_checkpoint_is_named(cell: record.Cell) -> None:
    record.append_metrics(cell, line(0))
    record.save_checkpoint(cell, 0, {"a": np.zeros(3)}, {})
    file = next(cell.checkpoint_folder.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:5])
    with pytest.raises(InputError, match="seed-0: damaged"):
        record.load_checkpoint(cell)
    record.write_json(cell.checkpoint_folder / record.names.CHECKPOINT_STATE, {"round": 0})
    with pytest.raises(InputError, match=r"seed-0: damaged .*not a checkpoint \(arrays"):
        record.load_checkpoint(cell)


def test_unfinished_version_1_folder_names_what_resumes_it(version_1: Path) -> None:
    from airtune.commands import run as jobs

    (version_1 / "movable" / "seed-0" / "finished.json").unlink()
    before = (version_1 / "movable" / "seed-0" / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"version 1 is not resumed .*with airtune 0\.1\.0"):
        jobs.resume(version_1, False, lambda: False)
    assert (version_1 / "movable" / "seed-0" / "metrics.jsonl").read_bytes() == before


def test_folder_of_a_newer_version_is_refused(tmp_path) -> None:
    from airtune import report

    run = record.create(tmp_path / "run", Scenario(), "run")
    content = record.read_json(run.folder / "run.json")
    assert content["schema_version"] == record.SCHEMA_VERSION
    record.write_json(run.folder / "run.json", {"schema_version": 99})
    for open_it in (record.open_folder, report.build):
        with pytest.raises(InputError, match=r"version 99, newer than .* use airtune \d"):
            open_it(run.folder)


def test_one_process_at_a_time(tmp_path) -> None:
    with (
        record.lock(tmp_path),
        pytest.raises(InputError, match="another process"),
        record.lock(tmp_path),
    ):
        pass
    with record.lock(tmp_path):
        pass


def test_documents_are_written_as_they_are_with_their_version_in_front(tmp_path) -> None:
    path = tmp_path / "finished.json"
    content = {
        "rounds": 2,
        "latency_s": {"compute": 1, "uplink": 0.1 + 0.2},
        "energy_j": {},
        "participation": [2, 0],
        "within_latency_budget": True,
        "within_client_energy_budget": True,
        "a key of another package": [1, None],
    }
    record.write_document(path, documents.FinishedDocument, content)
    text = json.dumps({"schema_version": record.SCHEMA_VERSION, **content}, indent=1)
    assert path.read_text() == text + "\n"
    read = record.read_document(path, documents.FinishedDocument)
    assert read.model_dump(exclude_unset=True) == json.loads(text)
    assert json.dumps(read.latency_s) == json.dumps(content["latency_s"])
    with pytest.raises(ValidationError):
        record.write_document(path, documents.FinishedDocument, {"rounds": 2})
    path.write_text('{"rounds": "many"}')
    with pytest.raises(InputError, match=r"finished\.json: not a finished \(rounds"):
        record.read_document(path, documents.FinishedDocument)
