"""Numbers of a result: read tolerantly, written for people.

A figure in ``results.json`` is a number, null (never reached, not defined) or, over several seeds,
``{"median": x, "p10": x, "p90": x}`` whose members may be null too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

THIN = "\u202f"
MISSING = "–"

_LEAST, _MOST = 1e-12, 1e12
"""Outside of these a number is written with an exponent."""

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


@dataclass(frozen=True)
class Value:
    """A figure: its median over the seeds and the 10-90 % range, where there is one."""

    median: float | None
    p10: float | None = None
    p90: float | None = None
    spread: bool = False

    @property
    def known(self) -> bool:
        """Whether there is a number to show."""
        return self.median is not None


def number(raw: object) -> float | None:
    """Return `raw` as a finite float, or None where it is not one."""
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    return float(raw) if math.isfinite(raw) else None


def read(raw: object) -> Value:
    """Return a figure of ``results.json`` in any of its forms."""
    if isinstance(raw, Mapping):
        return Value(
            number(raw.get("median")), number(raw.get("p10")), number(raw.get("p90")), spread=True
        )
    return Value(number(raw))


def members(raw: object) -> dict[str, Value]:
    """Return the figures of a dictionary (component to figure), unknown ones as missing."""
    if not isinstance(raw, Mapping):
        return {}
    return {str(key): read(value) for key, value in raw.items()}


def total(parts: Mapping[str, Value]) -> float | None:
    """Return the sum of the medians, or None where nothing is known."""
    known = [part.median for part in parts.values() if part.median is not None]
    return math.fsum(known) if known else None


def significant(x: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, thousands set apart.

    An exponent stands only with what is far from any usual figure, as of a model that diverged.

    Examples
    --------
    >>> significant(1234.5), significant(1.2345e-3), significant(1.0142e304)
    ('1\u202f234', '0.00123', '1.01e304')
    """
    if x == 0:
        return "0"
    if not _LEAST <= abs(x) < _MOST:
        return _with_exponent(x, digits - 1)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(x))))
    # Rounding may add a digit (9.996 -> 10.0), which costs one decimal.
    rounded = round(x, decimals)
    if rounded:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{x:,.{decimals}f}".replace(",", THIN).replace("-", "−")


def count(x: float) -> str:
    """Write a count; a median of counts may lie between two."""
    return significant(x) if x >= 100 else f"{x:.1f}".removesuffix(".0")


def decimals(x: float, places: int) -> str:
    """Write a number with fixed decimals and a true minus sign; a huge one with an exponent."""
    if abs(x) >= _MOST:
        return _with_exponent(x, places)
    text = f"{x:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def _with_exponent(x: float, places: int) -> str:
    """Write a number as 1.23e45."""
    mantissa, _, exponent = f"{x:.{places}e}".partition("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")


def si(x: float, unit: str, digits: int = 3) -> str:
    """Write a quantity with the SI prefix that fits it."""
    # Times of a second and more are written in seconds, without kilo or mega.
    scale, prefix = (1.0, "") if unit == "s" and abs(x) >= 0.9995 else prefix_of(x)
    return f"{significant(x / scale, digits)}{THIN}{prefix}{unit}"


def prefix_of(x: float) -> tuple[float, str]:
    """Return the scale and the SI prefix in which `x` reads as 1 to 999."""
    for scale, prefix in _PREFIXES:
        # 0.9995 k would be written as 1000: three digits decide, not the bare value.
        if abs(x) >= 0.9995 * scale:
            return scale, prefix
    return (1.0, "") if x == 0 else _PREFIXES[-1]


def common_prefix(values: Iterable[float | None]) -> tuple[float, str]:
    """Return one scale and prefix for a column, so that its numbers compare at a glance."""
    sizes = sorted(abs(x) for x in values if x)
    return prefix_of(sizes[len(sizes) // 2]) if sizes else (1.0, "")


def seconds_unit(values: Iterable[float | None]) -> tuple[float, str]:
    """Return one unit of time for a column: ms, s, min or h."""
    sizes = sorted(abs(x) for x in values if x)
    if not sizes:
        return 1.0, "s"
    middle = sizes[len(sizes) // 2]
    for scale, unit, least in ((3600.0, "h", 3 * 3600.0), (60.0, "min", 600.0), (1.0, "s", 0.2)):
        if middle >= least:
            return scale, unit
    return 1e-3, "ms"
