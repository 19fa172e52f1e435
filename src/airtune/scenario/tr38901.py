"""Settings of the channels by 3GPP TR 38.901."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airtune.scenario.base import Settings
from airtune.scenario.units import Quantity

Height = Annotated[float, Field(ge=1, le=150)]


class Tr38901(Settings):
    """Channels umi, uma, rma and cdl-a to cdl-e: where base station and clients stand."""

    base_height_m: Annotated[Height | None, Quantity("m", 1, 150)] = Field(
        None, description="height of the array; null is 10 (umi), 25 (uma), 35 (rma)"
    )
    client_height_m: Annotated[float, Field(ge=1, le=22.5), Quantity("m", 1, 22.5)] = Field(
        1.5, description="height of clients and interferers; at most 10 with rma"
    )
    sector_deg: Annotated[float, Field(gt=0, le=180), Quantity("deg", 1, 180)] = Field(
        120.0, description="clients and interferers stand within this angle before the array"
    )
    indoor: Annotated[float, Field(ge=0, le=1), Quantity("", 0.01, 1)] = Field(
        0.0, description="share of clients inside buildings, with low penetration loss"
    )
    sight: Literal["random", "always", "never"] = Field(
        "random",
        description="line of sight by the report's probability, for all or for none of those "
        "outdoors",
    )
    pattern: Literal["omni", "sector"] = Field(
        "omni", description="antennas of the array: all directions alike, or the report's 8 dBi"
    )
