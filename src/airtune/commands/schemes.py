"""``airtune schemes``: the table of schemes."""

from __future__ import annotations

from airtune.commands.terminal import show_rows
from airtune.registry import SCHEMES


def list_schemes() -> None:
    """Print each scheme with its array, its air interface and where it comes from."""
    show_rows(
        ("scheme", "array", "air interface", "from"),
        ((s.name, s.array.about, s.air.about, s.source) for s in SCHEMES.values()),
        width=130,
    )
