"""Pieces of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import manual


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a table as text with an empty line behind it; see :func:`manual.table`."""
    return "\n".join(manual.table(columns, rows, left)) + "\n"


def markdown_figure(name: str, title: str) -> str:
    """Return a figure that links to its vector form."""
    return f"[![{title}](figures/{name}.png)](figures/{name}.pdf)\n"


def listed(words: Sequence[str]) -> str:
    """Join words: a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
