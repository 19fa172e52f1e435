"""Every command and option explains itself, with -h as with --help; widths of what is printed."""

from __future__ import annotations

import pytest
import typer.main
from click.testing import CliRunner

from airtune.commands.app import app
from airtune.commands.terminal import show_lines, show_rows

COMMANDS = ("", *typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_short_or_long(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = typer.main.get_command(app)
    short, long = (
        CliRunner().invoke(command, [*name.split(), option]) for option in ("-h", "--help")
    )
    assert short.exit_code == long.exit_code == 0
    assert short.output == long.output
    assert "Usage:" in short.output
    assert "-h" in short.output
    assert max(map(len, short.output.splitlines())) <= 80


def test_output_is_as_wide_as_columns_say(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "word " * 40
    monkeypatch.setenv("COLUMNS", "60")
    show_lines([text, "", "[bold]as it is[/bold]"])
    show_rows(("one", "two"), [("1", text)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert "[bold]as it is[/bold]" in lines
    assert all(set(line.split()) <= {"word"} for line in lines[:4])
    monkeypatch.delenv("COLUMNS")
    show_lines([text])
    assert 100 < max(map(len, capsys.readouterr().out.splitlines())) <= 110
