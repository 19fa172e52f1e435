"""Settings of the schemes that send updates in bits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from airtune.scenario.base import Decibel, Settings
from airtune.scenario.units import Quantity

PLANNED: Literal["planned"] = "planned"
"""In place of a choice: the one of least predicted time is taken."""

EXACT_PRODUCTS = ("flora", "fedex")
"""Values of `digital.aggregation` that aggregate the products of the factors exactly."""

_BITS = "must be a whole number from 1 to 16, auto or planned"
_SHARE = "must be a share above 0 and at most 1, or planned"
_FEEDBACK = "must be true, false or planned"


def _bits(value: Any) -> Any:
    if value in ("auto", PLANNED):
        return value
    if type(value) not in (int, float) or value % 1 or not 1 <= value <= 16:
        raise ValueError(_BITS)
    return int(value)


def _share(value: Any) -> Any:
    if value != PLANNED and not (type(value) in (int, float) and 0 < value <= 1):
        raise ValueError(_SHARE)
    return value


def _feedback(value: Any) -> Any:
    word = value.strip().casefold() if isinstance(value, str) else value
    read = {"true": True, "false": False}.get(word, word) if isinstance(word, str) else word
    if not isinstance(read, bool) and read != PLANNED:
        raise ValueError(_FEEDBACK)
    return read


class Digital(Settings):
    """Digital baseline: quantised updates at the Shannon rate."""

    access: Literal["best", "tdma", "ofdma", "sdma"] = Field(
        "best",
        description="one client after the other, side by side in frequency, or all at once with "
        "successive decoding; best takes the one that ends first, each round",
    )
    quantizer: Literal["uniform", "lloyd-max", "entropy", "top-k", "planned"] = Field(
        PLANNED,
        description="a grid over the largest entry (uniform, as before there were others), levels "
        "of least error (lloyd-max), a grid with entropy coding (entropy), the largest entries "
        "(top-k), or the one of the last three with the least predicted time (planned)",
    )
    bits: Annotated[
        Annotated[int, Field(ge=1, le=16)] | Literal["auto", "planned"],
        BeforeValidator(_bits),
        Quantity("bit", 1, 16, ("auto", "planned"), _BITS),
    ] = Field(
        PLANNED,
        description="bits per entry (top-k: per entry that is kept); auto takes the fewest of 4, "
        "8, 16 that quality_db asks, planned those of least predicted time",
    )
    quality_db: Annotated[Decibel, Quantity("dB", -150, 30)] = Field(
        -20.0, description="bits = auto: largest quantisation error, in dB of the updates' scale"
    )
    top_share: Annotated[
        Annotated[float, Field(gt=0, le=1)] | Literal["planned"],
        BeforeValidator(_share),
        Quantity("", 1e-4, 1, ("planned",), _SHARE),
    ] = Field(
        PLANNED, description="top-k: share of the entries of each adapter matrix that is kept"
    )
    error_feedback: Annotated[bool | Literal["planned"], BeforeValidator(_feedback)] = Field(
        PLANNED, description="clients add the last quantisation error"
    )
    aggregation: Literal["mean", "flora", "fedex", "fedsa"] = Field(
        "mean",
        description="schemes digital, digital-movable, digital-selection: the mean of the factors "
        "A and B apart, stacked factors (flora), the mean with what it misses of the products put "
        "into the frozen weights (fedex), or the mean of A with B kept by each client (fedsa)",
    )
    vector: Annotated[int, Field(ge=1, le=16), Quantity("", 1, 8)] = Field(
        2, description="massive-digital: entries V that one word of the code book stands for"
    )
    codewords: Annotated[int, Field(ge=2, le=256), Quantity("", 2, 128)] = Field(
        8,
        description="massive-digital: words N of the code book, each with a resource of its own: "
        "N / (2 V) symbols an entry",
    )
    snr_gap_db: Annotated[float, Field(ge=0, le=100), Quantity("dB", 0, 40)] = Field(
        0.0, description="gap of the code to the Shannon rate"
    )
