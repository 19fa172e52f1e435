"""Talking with the tuned model of a run in the terminal."""

from __future__ import annotations

import io
import signal
import sys

import pytest
from rich.console import Console

from airtune.commands import signals
from airtune.commands.chat import Manner, _Conversation, chat
from airtune.errors import InputError

SHORT = Manner(max_tokens=6)


def test_a_prompt_has_one_answer(tuned, capsys) -> None:
    run, _ = tuned
    chat(run.folder, "fixed", 0, SHORT, prompt="Add 1 2.")
    one = capsys.readouterr()
    chat(run.folder, None, 0, SHORT, prompt="Add 1 2.")
    assert one.out == capsys.readouterr().out  # both cells hold the same adapter
    assert one.out.strip() and "note" not in one.err
    with pytest.raises(InputError, match="--prompt: must not be empty"):
        chat(run.folder, None, 0, SHORT, prompt=" ")


def test_lines_of_a_pipe_are_turns(tuned, capsys, monkeypatch) -> None:
    run, _ = tuned
    chat(run.folder, None, 0, SHORT, prompt="Add 1 2.")
    first = capsys.readouterr().out
    chat(run.folder, None, 0, Manner(True, 6), prompt="Add 1 2.")
    untuned = capsys.readouterr().out
    assert first != untuned
    lines = "Add 1 2.\n\n/new\n/base\nAdd 1 2.\n/new\n/base\nAdd 1 2.\n/exit\nAdd 1 2.\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    chat(run.folder, None, 0, SHORT)
    assert capsys.readouterr().out == first + untuned + first


def test_the_second_turn_knows_the_first(tuned, capsys, monkeypatch) -> None:
    run, _ = tuned
    monkeypatch.setattr(sys, "stdin", io.StringIO("Add 1 2.\nAnd 4?\n"))
    chat(run.folder, None, 0, SHORT)
    talk = capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.StringIO("Add 1 2.\n/new\nAnd 4?\n"))
    chat(run.folder, None, 0, SHORT)
    assert talk != capsys.readouterr().out


class Scripted:
    """A talk that says back what it is asked, and stops where the script says."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, str]] = []
        self.asked: list[tuple[str, bool]] = []

    def ask(self, question: str, show, *, untuned: bool = False) -> str:
        self.asked.append((question, untuned))
        if question == "stop":
            signal.raise_signal(signal.SIGINT)
        show(f"<{question}>")
        return question


class Typing(Console):
    """A terminal at which lines are typed; the end of the list is Ctrl-D."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(file=io.StringIO(), width=100)
        self.lines = iter(lines)

    def input(self, *args: object, **options: object) -> str:
        line = next(self.lines, None)
        if line is None:
            raise EOFError
        if line == "^C":
            raise KeyboardInterrupt
        return line

    @property
    def shown(self) -> str:
        return self.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("last", [["/exit", "never"], []])
def test_a_terminal_takes_orders_and_survives_an_interrupt(last: list[str], capsys) -> None:
    talk = Scripted()
    known = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    typed = Typing(["[b]hi", "/base", "again", "stop", "^C", "/help", "", *last])
    signals.interrupt()
    try:
        _Conversation(talk, "movable", False).at_terminal(typed)  # type: ignore[arg-type]
    finally:
        for number, handler in known:
            signal.signal(number, handler)
    assert not signals.interrupted()  # a later error is not said to be one
    assert talk.asked == [("[b]hi", False), ("again", True), ("stop", True)]
    assert capsys.readouterr().out == "<[b]hi>\n<again>\n\n"
    assert "movable>" in typed.shown and "untuned>" in typed.shown
    assert typed.shown.count("(stopped; Ctrl-D or /exit ends)") == 2
    assert typed.shown.count("/base switches") == 2


def test_an_interrupt_ends_a_prompt(tuned, monkeypatch) -> None:
    from airtune.learning.talk import Talk

    def stopped(self: Talk, *args: object, **options: object) -> str:
        raise KeyboardInterrupt

    run, _ = tuned
    monkeypatch.setattr(Talk, "ask", stopped)
    with pytest.raises(KeyboardInterrupt):
        chat(run.folder, None, 0, SHORT, prompt="Add 1 2.")
