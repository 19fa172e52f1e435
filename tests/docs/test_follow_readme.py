"""The script that follows the README finds its commands, and makes them small."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "follow_readme.py"))


def test_every_command_of_the_list_is_found() -> None:
    found = SCRIPT["commands"]((ROOT / "README.md").read_text(encoding="utf-8"))
    names = {command.split()[1] for command in found if command.startswith("airtune ")}
    expected = {"init", "check", "compare", "run", "sweep", "resume", "report", "chat", "plan"}
    assert expected | {"calibrate", "place", "schemes"} <= names
    assert not any("#" in command or command.startswith("pip ") for command in found)


def test_settings_are_added_and_the_newest_run_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "my-20261231-000000").mkdir(parents=True)
    small = SCRIPT["small"]
    words = small("airtune run my.yaml --scheme movable", tmp_path)
    assert words[1:5] == ["run", "my.yaml", "--scheme", "movable"]
    assert "training.rounds=2" in words and f"cache={tmp_path}" in words
    words = small("airtune resume runs/my-20260101-120000", tmp_path)
    assert words[1:] == ["resume", str(Path("runs", "my-20261231-000000"))]
    assert "--set" not in small("airtune plan --problem problem.json", tmp_path)
