"""The schemes compared: an array policy and an air interface each (system model, section 9)."""

from __future__ import annotations

from dataclasses import dataclass

from airtune.errors import InputError
from airtune.schemes.air.aligned import OverTheAir
from airtune.schemes.air.base import AirInterface, Forecast, Memory, Overheads, Reception, Uploads
from airtune.schemes.air.cotaf import Cotaf
from airtune.schemes.air.digital import Digital
from airtune.schemes.air.ideal import ErrorFree
from airtune.schemes.air.one_bit import OneBit
from airtune.schemes.air.truncated import Truncated
from airtune.schemes.arrays.base import ArrayPolicy
from airtune.schemes.arrays.fixed import HalfWavelengthArray, RandomArray, SparseArray
from airtune.schemes.arrays.movable import MovableArray
from airtune.schemes.arrays.selected import SelectedArray
from airtune.schemes.arrays.surface import ReflectingSurface
from airtune.schemes.link import Link, RadioRound


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
