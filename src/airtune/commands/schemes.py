"""``airtune schemes``: the table of schemes."""

from __future__ import annotations

from airtune.commands.terminal import show_rows
from airtune.errors import InputError
from airtune.registry import SCHEMES


def list_schemes() -> None:
    """Print each scheme with its array, its air interface and where it comes from.

    A scheme of another package that cannot be loaded has a row that says so and why.
    """
    columns = ("scheme", "array", "air interface", "from")
    show_rows(columns, [_row(name) for name in SCHEMES], width=130)


def _row(name: str) -> tuple[str, str, str, str]:
    from rich.markup import escape

    try:
        scheme = SCHEMES[name]
    except InputError as error:
        reason = str(error).removeprefix(f"scheme {name!r}: ")
        return escape(name), "cannot be loaded", escape(reason), ""
    parts = (getattr(scheme, part, None) for part in ("array", "air"))
    array, air = (str(getattr(part, "about", "")) for part in parts)
    return escape(name), escape(array), escape(air), escape(str(getattr(scheme, "source", "")))
