"""``airtune diff``: what differs between runs, and their results side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airtune.commands.terminal import show_json, show_lines, show_rows
from airtune.errors import InputError, clip
from airtune.report import comparison
from airtune.study.difference import difference


def show_difference(folders: Sequence[Path], as_json: bool, page: Path | None = None) -> None:
    """Print the settings in which runs differ and their results, or one JSON document.

    With `page`, the same and figures of both are written there as one HTML file.

    Raises
    ------
    InputError
        There are fewer than two folders, one is not a run with results, or `page` is a folder.
    FailedError
        The page cannot be written.
    """
    if page is not None:
        _check_page(page, folders)
    found = difference(folders)
    if page is not None:
        comparison.build(found, folders, page)
    if as_json:
        show_json(found)
        return
    content = comparison.content_of(found)
    letters = content["letters"]
    show_lines(f"{called}: {folder} ({name})" for called, folder, name in comparison.listed(found))
    for title in ("Settings", "Environment"):
        if rows := content["differing"][title]:
            show_rows((title, *letters), _escaped(rows))
        elif title == "Settings":
            show_lines(["The settings are the same."])
    show_rows(("Scheme", "Figure", *letters), _escaped(_results(found["schemes"])))
    if page is not None:
        show_lines([f"Page: {page}"])


def _check_page(page: Path, folders: Sequence[Path]) -> None:
    """Refuse a page that is no file, or in one of the runs."""
    if page.is_dir():
        raise InputError(f"--page: {clip(page)} is a folder; must name a file")
    where = page.resolve()
    for folder in folders:
        if where.is_relative_to(folder.resolve()):
            raise InputError(f"--page: {clip(page)} is in the run folder {clip(folder)}")


def _results(schemes: Mapping[str, Mapping[str, Sequence[Any]]]) -> Iterator[tuple[str, ...]]:
    for scheme, figures in schemes.items():
        for index, row in enumerate(comparison.result_rows(figures)):
            yield (scheme if index == 0 else "", *row)


def _escaped(rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    from rich.markup import escape

    for row in rows:
        yield tuple(escape(cell) for cell in row)
