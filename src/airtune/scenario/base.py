"""The base of all settings, and the kinds of numbers that they hold."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

Positive = Annotated[float, Field(gt=0)]


NonNegative = Annotated[float, Field(ge=0)]


Fraction = Annotated[float, Field(gt=0, le=1)]


Count = Annotated[int, Field(ge=1)]


Decibel = Annotated[float, Field(ge=-300, le=300)]


Range = tuple[float, float]


CALIBRATE = "calibrate"
"""In place of a constant of the bound: take it from the model and the data."""


def _constant(value: Any, check: ValidatorFunctionWrapHandler, *, strict: bool) -> Any:
    allowed = f"must be a number {'>' if strict else '>='} 0 or the word '{CALIBRATE}'"
    try:
        known = check(value)
    except ValidationError:
        raise ValueError(allowed) from None
    if known != CALIBRATE and (known < 0 or (strict and known == 0)):
        raise ValueError(allowed)
    return known


Constant = Annotated[float | Literal["calibrate"], WrapValidator(partial(_constant, strict=False))]


PositiveConstant = Annotated[
    float | Literal["calibrate"], WrapValidator(partial(_constant, strict=True))
]


class Settings(BaseModel):
    """Base of all sections: frozen, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_booleans_as_numbers(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for name, field in cls.model_fields.items():
                value = values.get(name)
                entries = value if isinstance(value, list | tuple) else [value]
                if field.annotation is not bool and any(isinstance(x, bool) for x in entries):
                    raise ValueError(f"{name} = {json.dumps(value)}: must not be a boolean")
        return values
