"""``airtune chat``: talk with the tuned model of a run in the terminal."""

from __future__ import annotations

import contextlib
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airtune import record
from airtune.commands import signals
from airtune.commands.push import other_base
from airtune.commands.tuned import finished_cell, scenario_of
from airtune.errors import InputError, spoken

if TYPE_CHECKING:
    from rich.console import Console

    from airtune.learning.talk import Talk

HELP = (
    "/base switches between the tuned and the untuned model, /new begins a new talk, /exit or "
    "Ctrl-D ends; Ctrl-C stops an answer"
)


@dataclass(frozen=True)
class Manner:
    """How the model answers.

    Attributes
    ----------
    untuned : bool
        Whether the base model answers without its adapter.
    max_tokens : int
        Most tokens of an answer.
    temperature : float
        Of the sampling; 0 takes the likeliest token.
    """

    untuned: bool = False
    max_tokens: int = 256
    temperature: float = 0.0


def chat(
    run_dir: Path, scheme: str | None, seed: int, manner: Manner, prompt: str | None = None
) -> None:
    """Talk with the tuned model of a run.

    With a prompt, print the answer and end.  Where the input is no terminal, each of its lines is a
    turn, and only answers are printed.

    Parameters
    ----------
    run_dir : Path
        Run folder.
    scheme : str or None
        By default ``movable`` where it is in the run.
    seed : int
        Number of the repetition.
    manner : Manner
    prompt : str, optional
        The only turn.

    Raises
    ------
    InputError
        The run has no such model, or its base cannot be opened.
    """
    from rich.console import Console

    run = record.open_folder(run_dir.absolute())
    cell = finished_cell(run, scheme, seed)
    notes = Console(stderr=True)
    with contextlib.chdir(run.directory), notes.status("opening the model") as status:
        from airtune.learning.talk import Talk
        from airtune.learning.tuned import open_tuned

        def progress(text: str, fraction: float) -> None:
            status.update(f"{text} {fraction:.0%}")

        scenario = scenario_of(run, cell)
        tuned = open_tuned(scenario, cell.adapter_folder, progress)
        talk = Talk(tuned, scenario, manner.max_tokens, manner.temperature)
    if tuned.made_for:
        print(spoken(f"note: {other_base(tuned.made_for)}"), file=sys.stderr)
    conversation = _Conversation(talk, cell.scheme, manner.untuned)
    if prompt is not None:
        conversation.answer(prompt)
    elif sys.stdin.isatty():
        conversation.at_terminal(Console(highlight=False))
    else:
        for line in _lines():
            if not conversation.turn(line):
                break


class _Conversation:
    """A talk and what is typed into it."""

    def __init__(self, talk: Talk, tuned: str, untuned: bool) -> None:
        self.talk, self.tuned, self.untuned = talk, tuned, untuned

    @property
    def speaker(self) -> str:
        return "untuned" if self.untuned else self.tuned

    def answer(self, question: str) -> None:
        """Print an answer as it comes."""
        if not question.strip():
            raise InputError("--prompt: must not be empty")
        try:
            self.talk.ask(question, _write, untuned=self.untuned)
        finally:
            _write("\n")

    def turn(self, line: str, say: Console | None = None) -> bool:
        """Take a line: an order, or a turn of the user; return whether the talk goes on."""
        order = line.strip()
        if order == "/exit":
            return False
        if order == "/base":
            self.untuned = not self.untuned
            if say:
                say.print(f"now: {self.speaker}", style="dim")
        elif order == "/new":
            self.talk.turns.clear()
        elif order == "/help" and say:
            say.print(HELP, style="dim")
        elif order:
            if say:
                say.print(f"{self.speaker}> ", end="", style="bold cyan", markup=False)
            self.answer(line)
        return True

    def at_terminal(self, console: Console) -> None:
        """Ask for turns until the user ends the talk."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  # gives the prompt a history

        console.print(HELP, style="dim")
        going = True
        while going:
            try:
                going = self.turn(console.input("[bold]you> [/]"), console)
            except EOFError:
                console.print()
                return
            except InputError as error:
                console.print(str(error), style="red", markup=False)
            except KeyboardInterrupt:
                signals.answered()
                console.print("(stopped; Ctrl-D or /exit ends)", style="dim")


def _lines() -> Iterator[str]:
    for line in sys.stdin:
        yield line.rstrip("\r\n")


def _write(text: str) -> None:
    """Print a piece of an answer; a terminal gets no control characters, which could steer it."""
    if sys.stdout.isatty():
        text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")
    sys.stdout.write(text.encode("utf-8", "replace").decode("utf-8"))
    sys.stdout.flush()
