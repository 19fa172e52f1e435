"""The base of all settings, and the kinds of values that they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import core_schema

from airtune.registry import Registry
from airtune.scenario.allowed import allowed

Positive = Annotated[float, Field(gt=0)]


NonNegative = Annotated[float, Field(ge=0)]


Fraction = Annotated[float, Field(gt=0, le=1)]


Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


Million = Annotated[int, Field(ge=1, le=1_000_000)]
"""What a study keeps a list of: clients, rounds."""


Decibel = Annotated[float, Field(ge=-300, le=300)]


Range = tuple[float, float]


CALIBRATE = "calibrate"
"""In place of a constant of the bound: take it from the model and the data."""

ALIASES = {
    "fp32": "float32",
    "f32": "float32",
    "float": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "f16": "float16",
    "half": "float16",
}
"""Other words for the choices of a setting, where the setting has the choice."""


def _constant(value: Any, check: ValidatorFunctionWrapHandler, *, strict: bool) -> Any:
    sign = ">" if strict else ">="
    allowed = f"must be a number {sign} 0 (1e-30 .. 1e30) or the word '{CALIBRATE}'"
    try:
        known = check(value)
    except ValidationError:
        raise ValueError(allowed) from None
    if known == CALIBRATE:
        return known
    if known < 0 or known > 1e30 or (known < 1e-30 and (strict or known > 0)):
        raise ValueError(allowed)
    return known


Constant = Annotated[float | Literal["calibrate"], WrapValidator(partial(_constant, strict=False))]


PositiveConstant = Annotated[
    float | Literal["calibrate"], WrapValidator(partial(_constant, strict=True))
]


def _plain(word: str) -> str:
    """Return what two spellings of one word have in common."""
    return word.strip().casefold().replace("_", "-").removeprefix("torch.")


def chosen(word: str, choices: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Return the choice that is meant by a word, or the word itself if it is none.

    The case of letters does not count, nor whether an underscore or a hyphen is used.

    Examples
    --------
    >>> chosen("Movable", ("ideal", "movable")), chosen("BF16", ("float32", "bfloat16"))
    ('movable', 'bfloat16')
    >>> chosen("moveable", ("ideal", "movable"))
    'moveable'
    """
    if word in choices:
        return word
    plain = _plain(word)
    alike = [one for one in choices if _plain(one) in (plain, ALIASES.get(plain))]
    return alike[0] if len(alike) == 1 else word


@dataclass(frozen=True)
class Registered:
    """Text that names an object of a registry; an unknown name is kept, and refused on use."""

    registry: Registry

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        read = partial(chosen, choices=self.registry)
        return core_schema.no_info_after_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Offer the built-in names; others can be registered."""
        outer = handler(schema)
        inner = {"type": outer.pop("type")}
        return {"anyOf": [{"enum": list(self.registry.built_in)}, inner], **outer}


def folder_name(name: str) -> str:
    """Refuse a name that is no plain name of a folder, as one that leads out of the run folder.

    Raises
    ------
    ValueError
        Says what is allowed.

    Examples
    --------
    >>> folder_name("digital-movable")
    'digital-movable'
    >>> folder_name("../movable")
    Traceback (most recent call last):
    ...
    ValueError: must have letters, digits, '.', '_' and '-' only, at most 100, a letter or digit \
first
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ValueError(
            "must have letters, digits, '.', '_' and '-' only, at most 100, a letter or digit first"
        )
    return name


def _choices(annotation: Any) -> Iterator[str]:
    """Yield the texts that a setting may be, where there is a list of them."""
    if get_origin(annotation) is Literal:
        yield from (x for x in get_args(annotation) if isinstance(x, str))
    else:
        for part in get_args(annotation):
            yield from _choices(part)


@cache
def _settings_with_choices(section: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    found = {n: tuple(_choices(f.annotation)) for n, f in section.model_fields.items()}
    return {name: choices for name, choices in found.items() if choices}


class Settings(BaseModel):
    """Base of all sections: frozen, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans_as_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        annotation = cls.model_fields[name].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return value  # refused as what is no section
        kinds = get_args(annotation)
        may, entries = annotation is bool or bool in kinds, [value]
        if isinstance(value, list | tuple):
            entries = list(value)
        elif isinstance(value, Mapping) and get_origin(annotation) is dict:
            may, entries = bool in get_args(kinds[1]), list(value.values())
        if not may and any(isinstance(x, bool) for x in entries):
            wanted = allowed(cls.model_json_schema()["properties"][name])
            which = "not a boolean" if isinstance(value, bool) else "with no boolean"
            raise ValueError(f"must be {wanted}, {which}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_choices(cls, values: Any) -> Any:
        """Take the choices of a setting in any case, and other words for them."""
        if not isinstance(values, dict):
            return values
        read = {
            name: chosen(values[name], choices)
            for name, choices in _settings_with_choices(cls).items()
            if isinstance(values.get(name), str)
        }
        return {**values, **read} if read else values
