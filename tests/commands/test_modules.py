"""Modules and packages of the user's own, on the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airtune.commands.modules import import_module
from airtune.errors import InputError
from installed_package import install

SCHEME = """
from airtune.schemes import HalfWavelengthArray, OverTheAir, Scheme

PLAIN = Scheme("plain", HalfWavelengthArray, OverTheAir, "a paper [12]")
"""


def airtune(*arguments: str, path: Path) -> subprocess.CompletedProcess[str]:
    before = os.environ.get("PYTHONPATH", "")
    return subprocess.run(
        [sys.executable, "-m", "airtune.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(path), before]))},
    )


def test_schemes_lists_installed_ones_and_those_that_cannot_be_loaded(tmp_path: Path) -> None:
    install(tmp_path, "own_plain", "airtune.schemes", {"plain": "own_plain:PLAIN"}, SCHEME)
    install(tmp_path, "own_torn", "airtune.schemes", {"torn": "own_torn:X"}, "X = {}['[/x]']")
    install(tmp_path, "own_other", "airtune.schemes", {"other": "own_other:X"}, "X = 1")
    install(tmp_path, "own_bare", "airtune.schemes", {"bare": "own_bare"}, "def build(s, n): ...")
    install(tmp_path, "own_fixed", "airtune.schemes", {"fixed": "own_plain:PLAIN"})
    done = airtune("schemes", path=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines()]
    by_name = {row[1]: row[2:] for row in rows if len(row) > 2}
    assert by_name["plain"][2] == "a paper [12]"
    assert by_name["bare"][:3] == ["", "", ""]
    assert by_name["torn"][0] == by_name["other"][0] == "cannot be loaded"
    assert {"movable", "fixed", "digital"} <= set(by_name)
    text = " ".join(row[3] for row in rows if len(row) > 3)
    assert "own_torn:X of the package own_torn cannot be loaded (KeyError: '[/x]')" in text
    assert "own_other:X of the package own_other is no scheme: it has no method 'build'" in text
    assert done.stderr.count("of the package own_fixed is ignored") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nX = unknown", "(NameError: name 'unknown' is not defined at {file}, line 2)"),
        ("len(3)", "(TypeError: object of type 'int' has no len() at {file}, line 1)"),
        ("raise SystemExit(3)", "(SystemExit: 3 at {file}, line 1)"),
        ("import click\nraise click.Abort", "(Abort:  at {file}, line 2)"),
        ("raise ModuleNotFoundError('gone')", "(ModuleNotFoundError: gone at {file}, line 1)"),
    ],
)
def test_whatever_a_module_raises_is_one_message(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_raises.py").write_text(text)
    with pytest.raises(InputError) as refused:
        import_module("own_raises")
    expected = message.format(file=tmp_path / "own_raises.py")
    assert str(refused.value) == f"--import own_raises: cannot be imported {expected}"


def test_what_a_module_registers_wrongly_is_said_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_taken.py").write_text(
        "from airtune.registry import ENGINES\nENGINES.add('local', print)\n"
    )
    with pytest.raises(InputError, match=r"^--import own_taken: engine 'local' exists; choose"):
        import_module("own_taken")


def test_the_command_ends_with_code_2_and_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "own_raises.py").write_text("X = unknown\n")
    done = airtune("--import", "own_raises", "schemes", path=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("airtune: --import own_raises: cannot be imported (NameError: ")
    assert len(done.stderr.splitlines()) == 1
