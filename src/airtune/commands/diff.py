"""``airtune diff``: what differs between runs, and their results side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airtune.commands.terminal import show_json, show_lines, show_rows
from airtune.errors import clip
from airtune.study.difference import TITLES, difference


def show_difference(folders: Sequence[Path], as_json: bool) -> None:
    """Print the settings in which runs differ and their results, or one JSON document.

    Raises
    ------
    InputError
        There are fewer than two folders, or one is not a run with results.
    """
    found = difference(folders)
    if as_json:
        show_json(found)
        return
    called = [f"{chr(ord('A') + n)}" if n < 26 else str(n) for n in range(len(folders))]
    show_lines(
        f"{name}: {clip(run['folder'])} ({run['scenario']})"
        for name, run in zip(called, found["runs"], strict=True)
    )
    for title, rows in (("Settings", found["settings"]), ("Environment", found["environment"])):
        if rows:
            table = [(path, *map(_plain, values)) for path, values in rows.items()]
            show_rows((title, *called), _escaped(table))
        elif title == "Settings":
            show_lines(["The settings are the same."])
    show_rows(("Scheme", "Figure", *called), _escaped(_results(found["schemes"])))


def _results(schemes: Mapping[str, Mapping[str, Sequence[Any]]]) -> Iterator[tuple[str, ...]]:
    for scheme, figures in schemes.items():
        shown = [(name, figures[name]) for name in TITLES if name in figures]
        known = [(name, row) for name, row in shown if any(x is not None for x in row)]
        for number, (name, row) in enumerate(known):
            yield (scheme if number == 0 else "", TITLES[name], *map(_number, row))


def _number(value: Any) -> str:
    """Return a figure with four digits, the median where there are several seeds."""
    if isinstance(value, Mapping):
        value = value.get("median")
    return "-" if value is None else f"{value:.4g}"


def _plain(value: Any) -> str:
    return "-" if value is None else clip(value)


def _escaped(rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    from rich.markup import escape

    for row in rows:
        yield tuple(escape(cell) for cell in row)
