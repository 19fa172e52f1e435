"""Settings of the base station's antennas and of what moves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from airtune.scenario.base import Count, NonNegative, Positive, Settings
from airtune.scenario.rotation import Rotation
from airtune.scenario.units import Quantity


@dataclass(frozen=True)
class Drive:
    """What carries an antenna.

    Attributes
    ----------
    speed_mps : float  [m/s]
    power_w : float  [W]
        While it moves.
    grid : float  [wavelengths]
        Distance of the places along x and y; 0: any place.
    """

    speed_mps: float
    power_w: float
    grid: float = 0.0


DRIVES = {
    "pixel": Drive(speed_mps=1e5, power_w=5e-3, grid=0.1),
    "actuator": Drive(speed_mps=0.5, power_w=0.5),
    "stepper": Drive(speed_mps=0.1, power_w=5.0),
    "custom": Drive(speed_mps=0.5, power_w=0.5),
}
"""Drives by name; the numbers of `custom` are replaced by what the scenario gives."""


class Array(Settings):
    """The base station's movable antennas; positions in wavelengths."""

    antennas: Annotated[int, Field(ge=1, le=1024)] = Field(4, description="antennas N")
    region: Annotated[tuple[NonNegative, NonNegative], Quantity("wavelengths", 0.01, 1e4)] = Field(
        (4.0, 4.0), description="box [A_x, A_y] that the antennas move in; A_y = 0 is a line"
    )
    spacing: Annotated[Positive, Quantity("wavelengths", 1e-3, 1e2)] = Field(
        0.5, description="least distance D between two antennas"
    )
    drive: Literal["pixel", "actuator", "stepper", "custom"] = Field(
        "actuator",
        description="what carries the antennas: switched ports on a grid (pixel), a linear "
        "actuator, a stepper motor, or what speed_mps and drive_power_w say (custom)",
    )
    speed_mps: Annotated[Positive | None, Quantity("m/s", 1e-6, 100, usual=0.5)] = Field(
        None, description="speed of a moving antenna; null is that of the drive"
    )
    drive_power_w: Annotated[NonNegative | None, Quantity("W", 1e-6, 1e4)] = Field(
        None, description="power of one moving drive; null is that of the drive"
    )
    grid: Annotated[NonNegative | None, Quantity("wavelengths", 1e-3, 10)] = Field(
        None,
        description="distance of the places that an antenna can take, along x and y; 0 is any "
        "place, null what the drive allows",
    )
    field_pilots: Count = Field(
        3,
        description="pilots that movable antennas need to know the paths, in those of an array "
        "that stands still (needs radio.pilot_rule = by-array)",
    )
    selection_places: Annotated[int, Field(ge=2, le=8)] = Field(
        4, description="scheme `selection`: antennas to choose from, for each of the N"
    )
    element: Literal["isotropic", "tr38901"] = Field(
        "isotropic",
        description="pattern of each antenna: all directions before the array alike, or the 8 dBi "
        "of 3GPP TR 38.901, Table 7.3-1; from behind 30 dB less than ahead",
    )
    rotation: Rotation = Rotation()

    @model_validator(mode="after")
    def _check_drive(self) -> Self:
        if self.drive == "custom" and (self.speed_mps is None or self.drive_power_w is None):
            needs = {"speed_mps": "speed_mps (m/s)", "drive_power_w": "drive_power_w (W)"}
            lacking = [what for name, what in needs.items() if getattr(self, name) is None]
            raise ValueError(f"drive = custom: needs numbers for {' and '.join(lacking)}")
        return self

    @property
    def drives(self) -> Drive:
        """What carries the antennas: figures of the drive, but for what is set here."""
        base = DRIVES[self.drive]
        return Drive(
            speed_mps=base.speed_mps if self.speed_mps is None else self.speed_mps,
            power_w=base.power_w if self.drive_power_w is None else self.drive_power_w,
            grid=base.grid if self.grid is None else self.grid,
        )
