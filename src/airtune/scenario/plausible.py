"""Numbers that are allowed but likely slips of a unit: a carrier of 3.5 Hz, a speed of 500 m/s."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from airtune.errors import clip
from airtune.scenario.scenario import Scenario
from airtune.scenario.units import Linear, Quantity, convert, units_of


def implausible(scenario: Scenario) -> list[str]:
    """Say which numbers lie far outside what is plausible for their setting.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    list of str
        One sentence for each setting, with the unit that was likely meant where there is one.

    Examples
    --------
    >>> implausible(Scenario())
    []
    >>> implausible(Scenario(array={"speed_mps": 500}))
    ['array.speed_mps = 500 m/s is far above what is plausible (1e-6 .. 100 m/s); did you mean \
500mm/s?']
    """
    return list(_of_section(scenario, ""))


def quantity_of(field: FieldInfo) -> Quantity | None:
    """Return the unit and the plausible range of a setting, if it has a unit."""
    return next((x for x in field.metadata if isinstance(x, Quantity)), None)


def _of_section(section: BaseModel, prefix: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        quantity = quantity_of(field)
        if isinstance(value, BaseModel):
            yield from _of_section(value, f"{prefix}{name}.")
        elif quantity is not None:
            for number in value if isinstance(value, tuple) else (value,):
                side = _side(number, quantity)
                if side is not None:
                    yield _sentence(f"{prefix}{name}", number, side, quantity, field.default)
                    break


def _side(number: Any, quantity: Quantity) -> str | None:
    """Say on which side of the plausible range a number lies, None if it is in it or no number."""
    if not isinstance(number, int | float) or (number == 0 and not quantity.is_level):
        return None
    size = number if quantity.is_level else abs(number)
    if size < quantity.low:
        return "below"
    return "above" if size > quantity.high else None


def _sentence(path: str, number: float, side: str, quantity: Quantity, default: Any) -> str:
    unit = f" {quantity.unit}" if quantity.unit else ""
    low, high = _short(quantity.low), _short(quantity.high)
    meant = _likely(number, quantity, default)
    hint = f"; did you mean {meant}?" if meant else ""
    return (
        f"{path} = {clip(_short(number))}{unit} is far {side} what is plausible "
        f"({low} .. {high}{unit}){hint}"
    )


def _likely(number: float, quantity: Quantity, default: Any) -> str | None:
    """Return the number with the unit that brings it nearest to what is usual, or None."""
    units = units_of(quantity.unit)
    usual = _usual(quantity, default)
    found: list[tuple[float, str]] = []
    for name, unit in units.items() if 0.01 <= abs(number) < 1e5 else ():
        value = float(convert(Decimal(repr(number)), unit, units[quantity.unit]))
        if name and math.isfinite(value) and value != 0 and _side(value, quantity) is None:
            same_kind = isinstance(unit, Linear) and not quantity.is_level
            away = abs(math.log10(abs(value) / usual)) if same_kind else abs(value - usual)
            found.append((away, f"{_short(number)}{name}"))
    if quantity.is_level and _side(-number, quantity) is None:
        return f"{_short(-number)} {quantity.unit}"
    return min(found)[1] if found else None


def _usual(quantity: Quantity, default: Any) -> float:
    """Return a usual value: the default, what is stated, or the middle of the plausible range."""
    first = default[0] if isinstance(default, tuple) else default
    if first is None:
        first = quantity.usual
    if isinstance(first, int | float) and (first or quantity.is_level):
        return float(first) if quantity.is_level else abs(float(first))
    if quantity.is_level:
        return (quantity.low + quantity.high) / 2
    return math.sqrt(quantity.low * quantity.high) or 1.0


def _short(number: float) -> str:
    """Write a number with few characters: 1e8, 3.5, 0.001."""
    mantissa, e, exponent = f"{number:.6g}".partition("e")
    if not e and number and abs(number) >= 1e4 and number == float(f"{number:.2g}"):
        mantissa, e, exponent = f"{number:.1e}".partition("e")
        mantissa = mantissa.removesuffix(".0")
    return f"{mantissa}e{int(exponent)}" if e else mantissa
