"""Settings of the propagation paths, and of what the server knows of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from airtune.errors import shown
from airtune.scenario.base import Decibel, NonNegative, Positive, Range, Settings
from airtune.scenario.units import Quantity


def check_range(name: str, pair: Range, *, low: float = 0.0) -> None:
    if not low <= pair[0] <= pair[1]:
        raise ValueError(
            f"{name} = {shown(list(pair))}: must be two increasing numbers, the first >= {low:g}"
        )


class Paths(Settings):
    """Small-scale propagation: the paths of the field-response model."""

    fading: Literal["rayleigh", "rician"] = Field(
        "rayleigh", description="equal-power random paths, or one line-of-sight path besides"
    )
    count: Annotated[int, Field(ge=1, le=10_000)] = Field(
        10, description="scattered paths L of each client or interferer (line of sight besides)"
    )
    rician_k_db: Annotated[Decibel, Quantity("dB", -60, 60)] = Field(
        6.0, description="line-of-sight over scattered power (rician only)"
    )
    angles: Literal["uniform", "cluster"] = Field(
        "uniform", description="directions over the half sphere, or clustered around the client"
    )
    angle_spread_deg: Annotated[Positive, Quantity("deg", 1e-3, 360)] = Field(
        15.0, description="standard deviation within a cluster"
    )
    delay_spread_s: Annotated[NonNegative, Quantity("s", 1e-11, 1e-3)] = Field(
        1e-7, description="mean of the exponential path delays"
    )
    scatterer_distance_m: Annotated[Range | None, Quantity("m", 0.1, 1e5)] = Field(
        None,
        description="least and greatest distance of scatterers in m, which makes wave fronts "
        "spherical, the line of sight's by the client's distance; null: plane waves",
    )
    doppler_hz: Annotated[NonNegative, Quantity("Hz", 1e-5, 1e5)] = Field(
        0.3,
        description="largest Doppler shift; with block_interval_s it sets the round-to-round "
        "correlation J0(2 pi doppler_hz block_interval_s) of the path gains",
    )
    block_interval_s: Annotated[Positive, Quantity("s", 1e-6, 1e5)] = Field(
        1.0, description="time between the blocks of two rounds"
    )
    angle_drift_deg: Annotated[NonNegative, Quantity("deg", 1e-5, 180)] = Field(
        1.0, description="standard deviation of a direction's change from round to round"
    )

    @model_validator(mode="after")
    def _check_scatterers(self) -> Self:
        if self.scatterer_distance_m is not None:
            check_range("scatterer_distance_m", self.scatterer_distance_m, low=0.1)
        return self


class Csi(Settings):
    """Channel-state error: the placement sees perturbed paths, the air uses the true ones."""

    angle_error_deg: Annotated[float, Field(ge=0, le=180), Quantity("deg", 1e-5, 180)] = Field(
        0.0, description="standard deviation of angle errors"
    )
    gain_error: Annotated[float, Field(ge=0, le=10), Quantity("", 1e-6, 10)] = Field(
        0.0, description="standard deviation of path gain errors, relative to the gain"
    )
    beamformer: Literal["paths", "measured"] = Field(
        "paths",
        description="beamformers and powers from the paths as they are believed, or from channels "
        "that the pilots of the round tell at the antennas, with the noise of the pilots; antennas "
        "that move are placed by the believed paths and take pilots and silent symbols once more, "
        "as a surface does, whose phases are chosen by pilots in training configurations",
    )
    age_s: Annotated[
        NonNegative | Literal["round"],
        Quantity(
            "s", 1e-6, 1e4, ("round",), "must be a number or round, or a number with a unit of time"
        ),
    ] = Field(
        0.0,
        description="age of the paths that places are chosen by when the clients send, in s, or as "
        "long as the selected clients compute and the antennas move (round); beamformers and "
        "powers are as old, but for measured ones; needs a channel in which rays turn with time",
    )
