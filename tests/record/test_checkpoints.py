"""Checkpoints: digests of everything, two generations, and nothing stale."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airtune import record
from airtune.errors import DamageWarning, InputError

ROUNDS = 3


def arrays(index: int) -> dict[str, np.ndarray]:
    return {"adapter": np.arange(4.0) + index, "steps": np.array(index)}


def make(folder: Path) -> record.Cell:
    cell = record.Cell(folder / "movable" / "seed-0", "movable", 0)
    for index in range(ROUNDS + 1):
        record.append_metrics(cell, {"round": index, "loss": 1.0 / (index + 1)})
        record.save_checkpoint(cell, index, arrays(index), {"energy_j": 0.1 * index})
    return cell


@pytest.fixture
def cell(tmp_path: Path) -> record.Cell:
    return make(tmp_path)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_generations_are_kept(cell: record.Cell) -> None:
    assert names_in(cell.checkpoint_folder) == [
        "previous.json",
        "round-000002.safetensors",
        "round-000003.safetensors",
        "state.json",
    ]
    loaded = record.load_checkpoint(cell)
    assert loaded is not None
    assert loaded[0] == ROUNDS


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    victim=st.sampled_from(["checkpoint/state.json", "checkpoint/round-000003.safetensors"]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_no_flipped_bit_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, victim: str, place: float, bit: int
) -> None:
    cell = make(tmp_path_factory.mktemp("flip"))
    path = cell.folder / victim
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.warns() as said:
        loaded = record.load_checkpoint(cell)
        if not said.list:  # only how the JSON is laid out has changed
            import warnings

            warnings.warn("nothing", DamageWarning, stacklevel=1)
    assert loaded is not None
    index, back, state = loaded
    assert index in (ROUNDS - 1, ROUNDS)
    assert (index == ROUNDS) == (str(said[0].message) == "nothing")
    assert all(np.array_equal(back[name], value) for name, value in arrays(index).items())
    assert state == {"energy_j": 0.1 * index}
    assert [line["round"] for line in record.read_metrics(cell)] == list(range(index + 1))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"round": 1e999}'])
def test_a_damaged_generation_falls_back_to_the_one_before(
    cell: record.Cell, content: bytes
) -> None:
    (cell.checkpoint_folder / "state.json").write_bytes(content)
    with pytest.warns(DamageWarning, match=r"state\.json.*round 2"):
        loaded = record.load_checkpoint(cell)
    assert loaded is not None
    assert loaded[0] == ROUNDS - 1
    # the run goes on as it would have, and the next checkpoint has that one before it
    record.append_metrics(cell, {"round": ROUNDS, "loss": 1.0 / (ROUNDS + 1)})
    record.save_checkpoint(cell, ROUNDS, arrays(ROUNDS), {"energy_j": 0.1 * ROUNDS})
    assert names_in(cell.checkpoint_folder) == names_in(make(cell.folder.parent).checkpoint_folder)
    again = record.load_checkpoint(cell)
    assert again is not None
    assert again[0] == ROUNDS


def test_without_a_whole_generation_it_says_what_to_do(cell: record.Cell) -> None:
    for path in cell.checkpoint_folder.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"round-000003\.safetensors.*delete it to start anew"):
        record.load_checkpoint(cell)


@pytest.mark.parametrize("round_index", range(ROUNDS + 1))
def test_damaged_metrics_are_noticed(cell: record.Cell, round_index: int) -> None:
    lines = cell.metrics_file.read_text().splitlines()
    lines[round_index] = lines[round_index].replace("0.", "1.").replace("1.0", "2.0")
    cell.metrics_file.write_text("".join(f"{line}\n" for line in lines))
    if round_index == ROUNDS:
        with pytest.warns(DamageWarning, match=r"metrics\.jsonl"):
            loaded = record.load_checkpoint(cell)
        assert loaded is not None
        assert loaded[0] == ROUNDS - 1
    else:
        with pytest.raises(InputError, match=r"metrics\.jsonl"):
            record.load_checkpoint(cell)


def test_a_kill_between_state_and_clean_up_leaves_nothing(cell: record.Cell) -> None:
    folder, before = cell.checkpoint_folder, names_in(cell.checkpoint_folder)
    (folder / "round-000001.safetensors").write_bytes(b"stale")
    (folder / "round-000004.safetensors").write_bytes(b"newer than its state")
    (folder / "round-000005.safetensors.0123abcd.tmp").write_bytes(b"half")
    (folder / "state.json.tmp").write_bytes(b"half, of an older version")
    (folder / ".tmpG8lozL").write_bytes(b"")  # of safetensors, of an older version
    (folder / "notes.txt").write_text("of the user")
    record.load_checkpoint(cell)
    assert names_in(folder) == sorted([*before, "notes.txt"])


def test_arrays_are_written_under_names_of_ours(
    cell: record.Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of the process's files is there when it is killed, the next one knows it."""
    seen = set[str]()
    replace = Path.replace

    def replaced(path: Path, target: Path) -> Path:
        seen.update(names_in(cell.checkpoint_folder))
        return replace(path, target)

    def refused(*arguments: object) -> None:
        raise AssertionError("has a temporary file of its own")

    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr("safetensors.numpy.save_file", refused)
    record.save_checkpoint(cell, ROUNDS + 1, {"adapter": np.ones(3)}, {})
    file = cell.checkpoint_folder / f"round-{ROUNDS + 1:06d}.safetensors"
    assert any(name.startswith(file.name) and name.endswith(".tmp") for name in seen)
    assert file.stat().st_mode == (cell.checkpoint_folder / "state.json").stat().st_mode
    record.load_checkpoint(cell)
    assert not list(cell.checkpoint_folder.glob("*.tmp"))


def test_a_kill_between_the_generations_costs_a_round(cell: record.Cell) -> None:
    state = cell.checkpoint_folder / "state.json"
    state.replace(cell.checkpoint_folder / "previous.json")
    loaded = record.load_checkpoint(cell)
    assert loaded is not None
    assert loaded[0] == ROUNDS


def test_a_checkpoint_of_an_older_version_is_read(cell: record.Cell) -> None:
    folder = cell.checkpoint_folder
    document = json.loads((folder / "state.json").read_text())
    older = {key: document[key] for key in ("schema_version", "round", "arrays", "state")}
    (folder / "state.json").write_text(json.dumps(older))
    (folder / "previous.json").unlink()
    with pytest.warns(DamageWarning, match=r"state\.json: has no seal"):
        loaded = record.load_checkpoint(cell)
    assert loaded is not None
    assert loaded[0] == ROUNDS
    assert names_in(folder) == ["round-000003.safetensors", "state.json"]


def test_a_checkpoint_that_has_lost_its_seal_is_not_taken(cell: record.Cell) -> None:
    state = cell.checkpoint_folder / "state.json"
    document = json.loads(state.read_text())
    del document["sha256"]
    state.write_text(json.dumps({**document, "state": {}}))
    with pytest.warns(DamageWarning, match="lost its seal.*going on from the one before"):
        loaded = record.load_checkpoint(cell)
    assert loaded is not None
    assert loaded[0] == ROUNDS - 1


def test_arrays_elsewhere_are_not_read(cell: record.Cell) -> None:
    folder = cell.checkpoint_folder
    document = json.loads((folder / "state.json").read_text())
    document.pop("sha256")
    (folder / "previous.json").unlink()
    (folder / "state.json").write_text(json.dumps({**document, "arrays": "../../x.safetensors"}))
    with pytest.raises(InputError, match="not a checkpoint"):
        record.load_checkpoint(cell)


@pytest.mark.parametrize(
    ("links", "call"), [*((True, call) for call in range(5)), *((False, call) for call in range(4))]
)
def test_a_stop_within_a_checkpoint_leaves_the_newest_state_by_its_name(
    cell: record.Cell, monkeypatch: pytest.MonkeyPatch, call: int, links: bool
) -> None:
    """Stopped before the first call that gives a file another name (0), or after one of them."""
    folder, done = cell.checkpoint_folder, 0

    def stopped(work: Any) -> Any:
        def try_it(*args: Any, **more: Any) -> None:
            nonlocal done
            if call:
                work(*args, **more)
            done += 1
            if done == max(call, 1):
                raise KeyboardInterrupt

        return try_it

    def none(*args: Any, **more: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    record.append_metrics(cell, {"round": ROUNDS + 1, "loss": 0.1})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", stopped(Path.replace))
        patch.setattr(os, "link", stopped(os.link) if links else none)
        record.save_checkpoint(cell, ROUNDS + 1, arrays(ROUNDS + 1), {"energy_j": 0.4})
    assert links <= (folder / "state.json").exists()
    loaded = record.load_checkpoint(cell)
    assert loaded is not None
    assert loaded[0] >= (ROUNDS if links else ROUNDS - 1)
    record.save_checkpoint(cell, ROUNDS + 1, arrays(ROUNDS + 1), {"energy_j": 0.4})
    again = record.load_checkpoint(cell)
    assert again is not None
    assert again[0] == ROUNDS + 1
    assert not list(folder.glob("*.tmp"))
