"""The schemes compared: an array policy and an air interface each (system model, section 9)."""

from __future__ import annotations

from dataclasses import dataclass

from airtune.schemes.arrays import (
    ArrayPolicy,
    HalfWavelengthArray,
    Link,
    MovableArray,
    RadioRound,
    RandomArray,
)
from airtune.schemes.interfaces import (
    AirInterface,
    DigitalTdma,
    ErrorFree,
    Forecast,
    Overheads,
    OverTheAir,
    Reception,
    Uploads,
)


@dataclass(frozen=True)
class Scheme:
    """A way to bring the clients' updates to the server.

    Attributes
    ----------
    name : str
    array : ArrayPolicy
        Where the antennas are.
    air : AirInterface
        How the updates are combined.
    """

    name: str
    array: ArrayPolicy
    air: AirInterface


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("ideal", HalfWavelengthArray(), ErrorFree()),
        Scheme("movable", MovableArray(), OverTheAir()),
        Scheme("fixed", HalfWavelengthArray(), OverTheAir()),
        Scheme("random-position", RandomArray(), OverTheAir()),
        Scheme("digital", HalfWavelengthArray(), DigitalTdma()),
    )
}

__all__ = [
    "SCHEMES",
    "AirInterface",
    "ArrayPolicy",
    "Forecast",
    "Link",
    "Overheads",
    "RadioRound",
    "Reception",
    "Scheme",
    "Uploads",
]
