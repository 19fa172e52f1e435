"""What commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airtune.errors import as_typed, spoken

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 110
"""Columns where the output is not a terminal but a file or a pipe."""


def console(width: int = WIDTH) -> Console:
    """Return a console as wide as the terminal or as COLUMNS says, else `width` columns."""
    from rich.console import Console

    return Console(width=shutil.get_terminal_size((width, 24)).columns)


def show(*parts: object, width: int = WIDTH) -> None:
    """Print tables and other parts that rich can draw, one below the other."""
    target = console(width)
    for part in parts:
        target.print(part)


def show_lines(lines: Iterable[str]) -> None:
    """Print sentences, each on a line of its own, wrapped between words; empty ones are left out.

    Nothing is read into them: brackets and file names are printed as they are.
    """
    from rich.text import Text

    show(*(Text(line, overflow="fold") for line in lines if line))


def show_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str | None = None,
    width: int = WIDTH,
) -> None:
    """Print rows of markup below the names of their columns, which may have units in brackets."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(*map(escape, columns), title=title)
    for row in rows:
        table.add_row(*row)
    show(table, width=width)


def warn(sentences: Iterable[str]) -> None:
    """Print warnings on stderr, each once and clipped."""
    for sentence in dict.fromkeys(sentences):
        print(spoken(f"warning: {sentence}"), file=sys.stderr)


def show_json(document: dict[str, Any]) -> None:
    """Print one JSON document; a number that JSON does not know is an error."""
    json.dump(document, sys.stdout, indent=1, allow_nan=False)
    print()


def resumption(folder: Path) -> str:
    """Return the command that goes on with a run, to be pasted into a shell.

    Examples
    --------
    >>> resumption(Path("runs/quickstart"))
    'airtune resume runs/quickstart'
    >>> print(resumption(Path("-my runs/1")))
    airtune resume './-my runs/1'
    >>> print(resumption(Path("red\\x1b[31m")))
    airtune resume $'red\\x1b[31m'
    """
    from airtune.record import quoted

    text = str(as_typed(folder))
    text = f"./{text}" if text.startswith("-") else text
    return f"airtune resume {quoted(text)}"
