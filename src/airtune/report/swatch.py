"""A scheme's line and marker as a small drawing, for tables and controls."""

from __future__ import annotations

from typing import Any

from airtune.report import style


def swatch(name: str) -> Any:
    """Return a scheme's line and marker as a small drawing, for tables."""
    from markupsafe import Markup

    look = style.scheme_style(name)
    dash = "" if isinstance(look.dash, str) else " ".join(f"{1.6 * x:g}" for x in look.dash[1])
    return Markup(
        '<svg class="swatch" viewBox="0 0 30 10" aria-hidden="true">'
        '<line x1="0" y1="5" x2="30" y2="5" stroke="{0}" stroke-width="2" stroke-dasharray="{1}"/>'
        '<path d="{2}" fill="{0}"/></svg>'
    ).format(look.color, dash or "none", _MARKERS.get(look.marker, _MARKERS["d"]))


_MARKERS = {
    "o": "M11 5a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "s": "M11.5 1.5h7v7h-7z",
    "D": "M15 0.6l4.4 4.4l-4.4 4.4l-4.4 -4.4z",
    "^": "M15 0.8l4.4 8h-8.8z",
    "v": "M15 9.2l4.4 -8h-8.8z",
    "<": "M10.8 5l8 -4.4v8.8z",
    ">": "M19.2 5l-8 -4.4v8.8z",
    "d": "M15 0.4l3 4.6l-3 4.6l-3 -4.6z",
    "P": "M13.6 1h2.8v2.6h2.6v2.8h-2.6v2.6h-2.8v-2.6h-2.6v-2.8h2.6z",
    "X": "M12.5 1l2.5 2.4l2.5-2.4l1.6 1.6l-2.5 2.4l2.5 2.4l-1.6 1.6l-2.5-2.4l-2.5 2.4"
    "l-1.6-1.6l2.5-2.4l-2.5-2.4z",
    "h": "M15 0.6l3.8 2.2v4.4l-3.8 2.2l-3.8 -2.2v-4.4z",
    "p": "M15 0.8l4.2 3l-1.6 5h-5.2l-1.6 -5z",
    "*": "M15 0.4l1.2 3.2h3.4l-2.7 2.1l1 3.4l-2.9 -2l-2.9 2l1 -3.4l-2.7 -2.1h3.4z",
}
