"""Pieces of Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a table in Markdown, its first `left` columns to the left."""
    rule = "|" + "|".join(["---"] * left + ["--:"] * (len(columns) - left)) + "|"
    head = ["| " + " | ".join(columns) + " |", rule]
    return "\n".join([*head, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def markdown_figure(name: str, title: str) -> str:
    """Return a figure that links to its vector form."""
    return f"[![{title}](figures/{name}.png)](figures/{name}.pdf)\n"


def listed(words: Sequence[str]) -> str:
    """Join words: a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
