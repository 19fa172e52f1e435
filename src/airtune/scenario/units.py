"""Numbers with units: ``3.5GHz``, ``20 ms``, ``0dBm``, ``-174 dBm/Hz``.

A setting has one unit, which its name ends in, and the scenario holds a plain number of it.  Text
with another unit of the same dimension is converted when it is read, in decimal arithmetic with 40
digits: ``3.5GHz`` and ``3.5e9`` are the same number.

A setting declares its unit, with the range in which its values are plausible, as a
:class:`Quantity` in its annotation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

_NUMBER = r"[-+\u2212]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?"
_WITH_UNIT = re.compile(rf"\s*({_NUMBER})\s*(\S.*?)?\s*", re.DOTALL)
_LONGEST = 120
"""Most characters of a number with its unit."""

_NOT_FINITE = ("nan", "inf", "infinity")
"""What Python reads as numbers without a finite value."""

_DECIMAL = Context(prec=40, traps=[])
"""Overflow and the logarithm of what is not positive give infinity and NaN instead of raising."""


@dataclass(frozen=True)
class Linear:
    """A unit that is a multiple of the dimension's coherent unit."""

    factor: Decimal


@dataclass(frozen=True)
class Level:
    """A unit in decibels over a reference, in the dimension's coherent unit."""

    reference: Decimal


Unit = Linear | Level


def _linear(**factors: str | int) -> dict[str, Unit]:
    return {name: Linear(Decimal(factor)) for name, factor in factors.items()}


def _prefixed(unit: str, prefixes: str) -> dict[str, Unit]:
    """Return a unit with SI prefixes; a space stands for none."""
    powers = {"p": -12, "n": -9, "u": -6, "m": -3, " ": 0, "k": 3, "M": 6, "G": 9, "T": 12}
    return {f"{x.strip()}{unit}": Linear(Decimal(1).scaleb(powers[x])) for x in prefixes}


def _one(*names: str) -> dict[str, Unit]:
    """Return several names of one unit."""
    return {name: Linear(Decimal(1)) for name in names}


_PI = Decimal("3.14159265358979323846264338327950288419716939937510")

DIMENSIONS: tuple[dict[str, Unit], ...] = (
    _prefixed("Hz", " kMGTm"),
    _prefixed("s", " munp") | _linear(min=60, h=3600),
    _prefixed("W", " munkM") | {"dBm": Level(Decimal("1e-3")), "dBW": Level(Decimal(1))},
    {
        **{f"dBm/{x}Hz": Level(Decimal(f"1e{p}")) for x, p in (("", -3), ("k", -6), ("M", -9))},
        "dBW/Hz": Level(Decimal(1)),
        **{f"{x}W/Hz": Linear(Decimal(f"1e{p}")) for x, p in (("", 0), ("m", -3))},
    },
    _prefixed("J", " munkM")
    | {f"{x}Wh": Linear(Decimal(3600).scaleb(p)) for x, p in (("", 0), ("m", -3), ("k", 3))},
    _prefixed("m", " kmun") | _linear(cm="0.01"),
    _linear(**{"m/s": "1", "cm/s": "0.01", "mm/s": "0.001", "um/s": "1e-6"})
    | {"km/h": Linear(_DECIMAL.divide(Decimal(1), Decimal("3.6")))},
    _one("deg", "°")
    | {x: Linear(_DECIMAL.divide(Decimal(n), _PI)) for x, n in (("rad", 180), ("mrad", "0.18"))},
    _one("deg/s", "°/s") | {"rad/s": Linear(_DECIMAL.divide(Decimal(180), _PI))},
    _one("dB"),
    _one("dB/decade", "dB"),
    _one("dB/wavelength", "dB"),
    _one("wavelengths", "wavelength", "lambda", "λ"),
    _one("bit", "bits"),
    _one("FLOP/cycle"),
    _one("W/Hz3", "W/Hz^3", "J/Hz2", "J/Hz^2"),
    {"": Linear(Decimal(1)), "%": Linear(Decimal("0.01"))},
)
"""Units by dimension; the first of each is the one that settings are named after, but for power."""

_SPELLED = {
    "hertz": "Hz",
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("minute", "minutes"), "min"),
    **dict.fromkeys(("hour", "hours"), "h"),
    **dict.fromkeys(("watt", "watts"), "W"),
    **dict.fromkeys(("joule", "joules"), "J"),
    **dict.fromkeys(("meter", "meters", "metre", "metres"), "m"),
    **dict.fromkeys(("degree", "degrees"), "deg"),
    **dict.fromkeys(("mps", "m/sec"), "m/s"),
    **dict.fromkeys(("kmh", "kph"), "km/h"),
}
"""Other spellings, in lower case."""


def units_of(base: str) -> Mapping[str, Unit]:
    """Return the units of the dimension that a unit belongs to, by name.

    Examples
    --------
    >>> list(units_of("Hz"))
    ['Hz', 'kHz', 'MHz', 'GHz', 'THz', 'mHz']
    """
    return next(units for units in DIMENSIONS if base in units)


def to_base(text: str, base: str) -> float | None:
    """Read a number with a unit.

    Parameters
    ----------
    text : str
        As in ``"3.5GHz"``, ``"1e3 kHz"``; blanks do not matter.
    base : str
        Unit of the number returned.

    Returns
    -------
    float or None
        Correctly rounded.  None where the text is a number alone.

    Raises
    ------
    ValueError
        It is no number with a unit of this dimension; says what is allowed.

    Examples
    --------
    >>> to_base("3.5GHz", "Hz"), to_base("200 mW", "dBm"), to_base("23dBm", "W")
    (3500000000.0, 23.010299956639813, 0.19952623149688797)
    >>> to_base("3.5e9", "Hz") is None
    True
    >>> to_base("20 ms", "deg")
    Traceback (most recent call last):
    ...
    ValueError: must be a number in deg, or a number with one of the units deg, °, rad, mrad
    """
    match = _WITH_UNIT.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(_allowed(base))
    number, written = match.groups()
    if written is None:
        return None
    units = units_of(base)
    name = _named(written, units, base)
    value = convert(Decimal(number.replace("\u2212", "-")), units[name], units[base])
    if value.is_nan() or (value.is_infinite() and isinstance(units[name], Linear)):
        raise ValueError(f"must be greater than 0 {name} and not too large for a number in {base}")
    return float(value)


def convert(number: Decimal, given: Unit, wanted: Unit) -> Decimal:
    """Convert a number between two units of one dimension; NaN or infinity where there is none."""
    ten = Decimal(10)
    if isinstance(given, Linear):
        coherent = _DECIMAL.multiply(number, given.factor)
        if isinstance(wanted, Linear):
            return _DECIMAL.divide(coherent, wanted.factor)
        ratio = _DECIMAL.divide(coherent, wanted.reference)
        return _DECIMAL.multiply(ten, _DECIMAL.log10(ratio))
    if isinstance(wanted, Level):
        ratio = _DECIMAL.divide(given.reference, wanted.reference)
        return _DECIMAL.add(number, _DECIMAL.multiply(ten, _DECIMAL.log10(ratio)))
    power = _DECIMAL.power(ten, _DECIMAL.divide(number, ten))
    return _DECIMAL.divide(_DECIMAL.multiply(power, given.reference), wanted.factor)


def _named(written: str, units: Mapping[str, Unit], base: str) -> str:
    """Return the unit that is meant: as written, spelled out, or in another case where clear."""
    name = unicodedata.normalize("NFKC", written).replace("μ", "u")  # both signs of micro
    name = name if name == "λ" else re.sub(r"\s+", "", name)
    if name not in units:
        name = _SPELLED.get(name.casefold(), name)
    if name in units:
        return name
    alike = [unit for unit in units if unit.casefold() == name.casefold()]
    if len(alike) > 1:
        raise ValueError(f"{' or '.join(alike)}? {_allowed(base)}")
    # m and M are a thousandth and a million: another case of them is no slip
    if not alike or (name[0] in "mM" and name[0] != alike[0][0]):
        raise ValueError(_allowed(base))
    return alike[0]


def _allowed(base: str) -> str:
    others = [unit for unit in units_of(base) if unit]
    number = f"a number in {base}" if base else "a number"
    which = f"the unit {others[0]}" if len(others) == 1 else f"one of the units {', '.join(others)}"
    return f"must be {number}, or a number with {which}"


@dataclass(frozen=True)
class Quantity:
    """The unit of a setting, and the range outside which a value is likely a slip.

    It stands in the setting's annotation: ``Annotated[Positive, Quantity("Hz", 1e8, 1e12)]``.

    Attributes
    ----------
    unit : str
        A name of :data:`DIMENSIONS`; empty for a share, which may be given in %.
    low, high : float
        Least and greatest plausible value [unit]; of linear units 0 is always plausible, and the
        sign does not count.
    words : tuple of str
        What may stand in place of a number.
    otherwise : str
        What is said of a value that is neither, instead of the units.
    usual : float, optional
        A usual value [unit] of settings without a default of their own.
    """

    unit: str
    low: float
    high: float
    words: tuple[str, ...] = ()
    otherwise: str = ""
    usual: float | None = None

    @property
    def is_level(self) -> bool:
        """Whether the unit counts decibels, so that 0 is a value like any other."""
        return self.unit.startswith("dB")

    @property
    def computable(self) -> tuple[float, float]:
        """Least and greatest size of a number other than 0 that is read at all [unit].

        A billionth of the least and a billion times the greatest plausible value, so that products
        and ratios of settings stay far inside double precision.  Levels in decibels are limited by
        the settings themselves.
        """
        return (self.low or self.high) * 1e-9, self.high * 1e9

    def check(self, value: Any) -> Any:
        """Refuse numbers, alone or in a list, that are too small or too large to compute with.

        Raises
        ------
        ValueError
            Says what is allowed.
        """
        if isinstance(value, list | tuple):
            for entry in value:
                self.check(entry)
        elif isinstance(value, int | float) and not self.is_level and value != 0:
            low, high = self.computable
            if not low <= abs(value) <= high:
                unit = f" {self.unit}" if self.unit else ""
                raise ValueError(
                    f"is no number to compute with; must be {low:g} .. {high:g}{unit} in size"
                )
        return value

    def read(self, value: Any) -> Any:
        """Turn numbers with units into numbers, also in a list; leave the rest as it is.

        Raises
        ------
        ValueError
            Text is no number of this unit.
        """
        if isinstance(value, list | tuple):
            return type(value)(self.read(entry) for entry in value)
        if isinstance(value, str):
            for word in self.words:
                if value.strip().casefold() == word:
                    return word
            if value.strip().casefold().lstrip("+-") in _NOT_FINITE:
                return value  # as any number that is not finite, it is refused by its kind
            try:
                number = to_base(value, self.unit)
            except ValueError as error:
                raise ValueError(self.otherwise or str(error)) from None
            return value if number is None else number
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        checked = core_schema.no_info_after_validator_function(self.check, handler(source))
        return core_schema.no_info_before_validator_function(self.read, checked)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Numbers, as text with a unit too, wherever the setting takes a number."""
        read: dict[str, Any] = _with_text(handler(schema), self.pattern())
        return read

    def pattern(self) -> str:
        """Return the regular expression of numbers with this unit, as in JSON schemas."""
        names = [re.escape(name).replace("\\ ", " ") for name in units_of(self.unit) if name]
        return rf"^\s*{_NUMBER}\s*({'|'.join(names)})?\s*$"


def _with_text(schema: Any, pattern: str) -> Any:
    """Add text of a pattern beside every number of a JSON schema."""
    if isinstance(schema, list):
        return [_with_text(entry, pattern) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("number", "integer"):
        outer = {x: schema[x] for x in ("title", "description", "default") if x in schema}
        inner = {name: value for name, value in schema.items() if name not in outer}
        return {"anyOf": [inner, {"type": "string", "pattern": pattern}], **outer}
    return {
        name: _with_text(entry, pattern) if name in ("anyOf", "items", "prefixItems") else entry
        for name, entry in schema.items()
    }
