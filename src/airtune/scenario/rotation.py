"""Settings of arrays that turn as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airtune.scenario.base import Count, Decibel, NonNegative, Positive, Settings
from airtune.scenario.units import Quantity

Yaw = Annotated[float, Field(ge=0, le=180)]
Pitch = Annotated[float, Field(ge=0, le=90)]
How = Literal["none", "mounted", "turned"]


class Rotation(Settings):
    """The array as a whole: it faces where many blocks are received best; angles in deg."""

    movable: How = Field(
        "none",
        description="arrays whose antennas move: straight ahead (none), put up at the best "
        "angle before the first round, at no cost (mounted), or turned by drives (turned)",
    )
    others: How = Field(
        "none", description="all other arrays but those with a surface: the same choice"
    )
    largest_deg: Annotated[tuple[Yaw, Pitch, Yaw], Quantity("deg", 0.1, 180)] = Field(
        (60.0, 30.0, 0.0),
        description="largest yaw (to the side), pitch (up and down) and roll (about the axis "
        "ahead), each either way",
    )
    every: Count | None = Field(
        None, description="turned: rounds from one turn to the next; null is once, in round 1"
    )
    draws: Annotated[int, Field(ge=1, le=1000)] = Field(
        4, description="blocks drawn from the channel's law for which angles are chosen"
    )
    least_gain_db: Annotated[Decibel, Field(ge=0), Quantity("dB", 0, 10)] = Field(
        0.5, description="what other angles must gain on blocks drawn anew, or the array stays"
    )
    speed_dps: Annotated[Positive, Quantity("deg/s", 0.01, 1000)] = Field(
        30.0, description="speed of a drive that turns the array about one of the three axes"
    )
    drive_power_w: Annotated[NonNegative, Quantity("W", 1e-3, 1e4)] = Field(
        10.0, description="power of one such drive while it turns"
    )

    def check_movement(self, movement: str) -> None:
        """Refuse that a plan chooses how antennas move whose array turns by how they move.

        Raises
        ------
        ValueError
            Names both settings.
        """
        if movement == "planned" and self.movable != "none":
            raise ValueError(
                f"planning.movement = planned: must be another with array.rotation.movable = "
                f"{self.movable}, whose angles depend on it"
            )
