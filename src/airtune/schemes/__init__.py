"""The schemes compared: an array policy and an air interface each (system model, section 9)."""

from __future__ import annotations

from dataclasses import dataclass

from airtune.errors import InputError
from airtune.schemes.analog import OverTheAir
from airtune.schemes.arrays import (
    ArrayPolicy,
    HalfWavelengthArray,
    Link,
    MovableArray,
    RadioRound,
    RandomArray,
)
from airtune.schemes.digital import Digital
from airtune.schemes.interfaces import (
    AirInterface,
    ErrorFree,
    Forecast,
    Memory,
    Overheads,
    Reception,
    Uploads,
)
from airtune.schemes.one_bit import OneBit
from airtune.schemes.other_arrays import SelectedArray, SparseArray
from airtune.schemes.surface import ReflectingSurface
from airtune.schemes.truncated import Cotaf, Truncated


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
    source : str
        Paper that it comes from, for the table of schemes.
    """

    name: str
    array: ArrayPolicy
    air: AirInterface
    source: str = ""


_HALF, _DOUBLE = HalfWavelengthArray(), HalfWavelengthArray("2N half-wavelength array", factor=2)

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("ideal", HalfWavelengthArray("none"), ErrorFree(), "upper reference"),
        Scheme("movable", MovableArray(), OverTheAir(), "the proposal"),
        Scheme("fixed", _HALF, OverTheAir(), "Yang et al. 2020"),
        Scheme("fixed-2n", _DOUBLE, OverTheAir(), "Yang et al. 2020"),
        Scheme("sparse", SparseArray(), OverTheAir(), "Wang et al. 2023"),
        Scheme("selection", SelectedArray(), OverTheAir(), "Sanayei, Nosratinia 2004"),
        Scheme("random-position", RandomArray(), OverTheAir(), "lower reference"),
        Scheme("ris", ReflectingSurface(), OverTheAir(), "Wang et al. 2022"),
        Scheme("cotaf", _HALF, Cotaf(), "Sery et al. 2021"),
        Scheme("obda", _HALF, OneBit(), "Zhu, Du et al. 2021"),
        Scheme("truncated", _HALF, Truncated(), "Zhu, Wang, Huang 2020"),
        Scheme("digital", _HALF, Digital(), "Alistarh et al. 2017"),
    )
}
"""Schemes by name; :func:`register` adds one."""


def register(scheme: Scheme) -> Scheme:
    """Make a scheme of one's own known under its name in this process.

    The command line imports the module that calls it with ``airtune --import MODULE COMMAND``.

    Raises
    ------
    InputError
        If the name is taken.
    """
    if scheme.name in SCHEMES:
        raise InputError(f"scheme {scheme.name!r} exists; choose another name")
    SCHEMES[scheme.name] = scheme
    return scheme


__all__ = [
    "SCHEMES",
    "AirInterface",
    "ArrayPolicy",
    "Forecast",
    "HalfWavelengthArray",
    "Link",
    "Memory",
    "OverTheAir",
    "Overheads",
    "RadioRound",
    "Reception",
    "Scheme",
    "Uploads",
    "register",
]
