"""When, where and by what a run was begun (`airtune.record.machine`)."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from airtune import record
from airtune.record import machine
from airtune.scenario import Scenario


def test_the_environment_says_when_by_what_and_from_which_commit(tmp_path) -> None:
    found = record.environment(Scenario())
    began = datetime.fromisoformat(found["date"])
    assert timedelta(0) <= datetime.now(UTC) - began < timedelta(minutes=1)
    assert set(found) >= {"command", "commit", "commit_modified", "packages"}
    assert machine.commit(tmp_path) == {"commit": None, "commit_modified": None}
    # a checkout of its own: with a commit, then changed
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    (tmp_path / "file").write_text("one")
    for arguments in (["init", "-q"], ["add", "file"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], check=True)
    first = machine.commit(tmp_path)
    assert len(first["commit"]) == 40
    assert first["commit_modified"] is False
    (tmp_path / "file").write_text("two")
    assert machine.commit(tmp_path) == {**first, "commit_modified": True}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["/x/airtune", "compare", "a b.yaml"], "airtune compare 'a b.yaml'"),
        (["/x/airtune", "run", "--out", "a\nb\udcff"], r"airtune run --out $'a\x0ab\xff'"),
        (["/x/airtune/cli.py", "run"], "airtune run"),
        (["/x/pytest/__main__.py", "-q"], "pytest -q"),
        (["study.py", "--reduced"], "study.py --reduced"),
        (["/x/ipykernel_launcher.py", "-f", "/home/me/kernel.json"], None),
        (["-c"], None),
        ([], None),
    ],
)
def test_the_command_is_as_typed(arguments: list[str], told: str | None) -> None:
    assert machine.command(arguments) == told
