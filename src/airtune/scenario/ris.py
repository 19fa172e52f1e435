"""Settings of the reconfigurable surface."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from airtune.scenario.base import Decibel, Settings
from airtune.scenario.units import Quantity


class Ris(Settings):
    """Reconfigurable surface of the scheme `ris`."""

    elements: Annotated[int, Field(ge=1, le=10_000)] = Field(
        100, description="elements M, half a wavelength apart"
    )
    position_m: Annotated[tuple[float, float, float], Quantity("m", 1e-3, 1e5)] = Field(
        (30.0, 0.0, 40.0),
        description="place in m from the array: x and y in the array's plane, z ahead of it",
    )
    base_intercept_db: Annotated[float, Field(ge=0, le=300), Quantity("dB", 20, 250)] = Field(
        100.7, description="path loss from the surface to the base station at 1 km"
    )
    base_slope_db: Annotated[float, Field(gt=0, le=100), Quantity("dB/decade", 5, 90)] = Field(
        23.5, description="the same per decade of distance"
    )
    client_intercept_db: Annotated[float, Field(ge=0, le=300), Quantity("dB", 20, 250)] = Field(
        103.8, description="path loss from a client to the surface at 1 km"
    )
    client_slope_db: Annotated[float, Field(gt=0, le=100), Quantity("dB/decade", 5, 90)] = Field(
        20.9, description="the same per decade of distance"
    )
    rician_k_db: Annotated[Decibel, Quantity("dB", -60, 60)] = Field(
        10.0, description="line of sight over scattered power on both hops"
    )
    phase_bits: Annotated[Annotated[int, Field(ge=1, le=8)] | None, Quantity("bit", 1, 8)] = Field(
        None, description="resolution of the elements' phases; null is any phase"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(x**2 for x in self.position_m) < 1.0:
            raise ValueError(
                f"position_m = {list(self.position_m)}: must be at least 1 m from the array"
            )
        return self
