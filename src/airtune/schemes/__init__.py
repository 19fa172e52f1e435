"""The schemes compared: an array policy and an air interface each (system model, section 9).

``airtune.registry.SCHEMES`` names them; the docs' page on schemes tells how to add one.
"""

from __future__ import annotations

from airtune.schemes.air.aligned import OverTheAir
from airtune.schemes.air.analog import Analog
from airtune.schemes.air.base import AirInterface
from airtune.schemes.air.cotaf import Cotaf
from airtune.schemes.air.digital import Digital
from airtune.schemes.air.feed_sign import FeedSign
from airtune.schemes.air.ideal import ErrorFree
from airtune.schemes.air.massive_digital import MassiveDigital
from airtune.schemes.air.messages import Forecast, Memory, Reception, Uploads
from airtune.schemes.air.non_coherent import NonCoherent
from airtune.schemes.air.one_bit import OneBit
from airtune.schemes.air.signalling import Broadcast, Overheads, Signalling
from airtune.schemes.air.truncated import Truncated
from airtune.schemes.arrays.base import ArrayPolicy, Effort, Travel
from airtune.schemes.arrays.fixed import (
    DoubledArray,
    HalfWavelengthArray,
    NoArray,
    RandomArray,
    SparseArray,
)
from airtune.schemes.arrays.movable import MovableArray
from airtune.schemes.arrays.selected import SelectedArray, SpreadSelectedArray
from airtune.schemes.arrays.surface import ReflectingSurface
from airtune.schemes.link import Link, RadioRound
from airtune.schemes.scheme import BuiltScheme, Scheme, register

IDEAL = Scheme("ideal", NoArray, ErrorFree, "upper reference")
MOVABLE = Scheme("movable", MovableArray, OverTheAir, "the proposal")
FIXED = Scheme("fixed", HalfWavelengthArray, OverTheAir, "Yang et al. 2020")
FIXED_2N = Scheme("fixed-2n", DoubledArray, OverTheAir, "Yang et al. 2020")
SPARSE = Scheme("sparse", SparseArray, OverTheAir, "Wang et al. 2023")
SELECTION = Scheme("selection", SpreadSelectedArray, OverTheAir, "Sanayei, Nosratinia 2004")
SELECTION_COMPACT = Scheme(
    "selection-compact", SelectedArray, OverTheAir, "Sanayei, Nosratinia 2004"
)
RANDOM_POSITION = Scheme("random-position", RandomArray, OverTheAir, "lower reference")
RIS = Scheme("ris", ReflectingSurface, OverTheAir, "Wang et al. 2022")
COTAF = Scheme("cotaf", HalfWavelengthArray, Cotaf, "Sery et al. 2021")
OBDA = Scheme("obda", HalfWavelengthArray, OneBit, "Zhu, Du et al. 2021")
NON_COHERENT = Scheme("non-coherent", HalfWavelengthArray, NonCoherent, "Şahin 2023")
MASSIVE_DIGITAL = Scheme("massive-digital", HalfWavelengthArray, MassiveDigital, "Qiao et al. 2024")
TRUNCATED = Scheme("truncated", HalfWavelengthArray, Truncated, "Zhu, Wang, Huang 2020")
DIGITAL = Scheme("digital", HalfWavelengthArray, Digital, "Alistarh et al. 2017")
DIGITAL_MOVABLE = Scheme("digital-movable", MovableArray, Digital, "Alistarh et al. 2017")
DIGITAL_SELECTION = Scheme(
    "digital-selection", SpreadSelectedArray, Digital, "Alistarh et al. 2017"
)
ZEROTH_ORDER = Scheme(
    "zeroth-order", HalfWavelengthArray, OverTheAir, "pAirZero 2026", forward_only=True
)
ZEROTH_ORDER_MOVABLE = Scheme(
    "zeroth-order-movable", MovableArray, OverTheAir, "pAirZero 2026", forward_only=True
)
ZEROTH_ORDER_DIGITAL = Scheme(
    "zeroth-order-digital", HalfWavelengthArray, Digital, "Qin et al. 2024", forward_only=True
)
FEEDSIGN = Scheme("feedsign", HalfWavelengthArray, FeedSign, "Cai et al. 2025", forward_only=True)

__all__ = [
    "AirInterface",
    "Analog",
    "ArrayPolicy",
    "Broadcast",
    "BuiltScheme",
    "Effort",
    "Forecast",
    "HalfWavelengthArray",
    "Link",
    "Memory",
    "MovableArray",
    "OverTheAir",
    "Overheads",
    "RadioRound",
    "Reception",
    "Scheme",
    "Signalling",
    "Travel",
    "Uploads",
    "register",
]
