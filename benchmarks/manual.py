"""Tables that benchmarks write into the manual, between marks that name them.

>>> table(["scheme", "loss"], [["fixed", "1.2"]])
['| scheme | loss |', '|---|--:|', '| fixed | 1.2 |']
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], left: int | None = 1) -> list[str]:
    """Return the lines of a table in Markdown.

    Parameters
    ----------
    columns : sequence of str
    rows : iterable of sequences of str
    left : int, optional
        So many columns, the first ones, are to the left and the others to the right; None: all
        are to the left.
    """
    left = len(columns) if left is None else left
    rule = "|" + "|".join(["---"] * left + ["--:"] * (len(columns) - left)) + "|"
    head = ["| " + " | ".join(columns) + " |", rule]
    return [*head, *("| " + " | ".join(row) + " |" for row in rows)]


def put(page: Path, name: str, text: str) -> None:
    """Put text between ``<!-- name -->`` and ``<!-- end of name -->`` of a page.

    Parameters
    ----------
    page : Path
    name : str
        What the marks say; each must be there once.
    text : str
        Replaces whatever stood between.

    Raises
    ------
    ValueError
        A mark is missing, there twice, or in the wrong order; the page stays as it was.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before = page.read_text(encoding="utf-8")
    if [before.count(begin), before.count(end)] != [1, 1]:
        raise ValueError(f"{page}: needs {begin} and {end} once each")
    head, rest = before.split(begin)
    if end not in rest:
        raise ValueError(f"{page}: {end} stands before {begin}")
    tail = rest.split(end)[1]
    page.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")
