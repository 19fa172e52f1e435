"""Settings of the channel `tracks`: how clients and interferers move."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from airtune.errors import clip, shown
from airtune.scenario.base import NonNegative, Settings
from airtune.scenario.units import Quantity

Speed = Annotated[float, Field(ge=0, le=1e4)]


class Mobility(Settings):
    """Channel tracks: where clients and interferers are at any time; distances in m."""

    track: Literal["straight", "random-waypoint", "file"] = Field(
        "straight",
        description="straight on in a random direction; to random points of the ring, one after "
        "the other; or the places of track_file",
    )
    speed_mps: Annotated[Speed | tuple[Speed, ...], Quantity("m/s", 1e-3, 350)] = Field(
        1.0, description="speed of the clients; one number or one per client (not for a file)"
    )
    interferer_speed_mps: Annotated[Speed, Quantity("m/s", 1e-3, 350)] = Field(
        1.0, description="speed of the interferers; with a file: where this does not have them"
    )
    pause_s: Annotated[NonNegative, Quantity("s", 1e-3, 1e5, usual=10.0)] = Field(
        0.0, description="random-waypoint: rest at each point"
    )
    track_file: str | None = Field(
        None,
        description="track = file: .npz with times (T,) in s, clients (T, K, 3) and, if they move "
        "by it, interferers (T, J, 3) in m: x, y in the plane of the array, z before it",
    )
    sector_deg: Annotated[float, Field(gt=0, le=180), Quantity("deg", 1, 180)] = Field(
        120.0, description="they start, and random points lie, within this angle before the array"
    )
    base_height_m: Annotated[float, Field(ge=0, le=1000), Quantity("m", 1, 150)] = Field(
        10.0, description="height of the array, which hangs on a wall"
    )
    client_height_m: Annotated[float, Field(ge=0, le=1000), Quantity("m", 0.5, 150)] = Field(
        1.5, description="height of clients and interferers"
    )
    shadowing_distance_m: Annotated[float, Field(ge=0.01, le=1e6), Quantity("m", 1, 500)] = Field(
        50.0,
        description="distance over which the correlation of the shadowing falls to 1/e; 3GPP TR "
        "38.901: 10 to 13 (urban micro), 37 to 50 (urban macro), 37 to 120 (rural macro)",
    )

    @model_validator(mode="after")
    def _check_file(self) -> Self:
        if (self.track == "file") != (self.track_file is not None):
            name = "null" if self.track_file is None else clip(self.track_file)
            raise ValueError(
                f"track = {self.track}, track_file = {name}: track = file needs a track_file, and "
                "no other track has one"
            )
        return self

    def check_count(self, clients: int) -> None:
        """Refuse speeds of another number of clients.

        Raises
        ------
        ValueError
        """
        if isinstance(self.speed_mps, tuple) and len(self.speed_mps) != clients:
            raise ValueError(
                f"radio.mobility.speed_mps = {shown(list(self.speed_mps))}: must be one number or "
                f"a list of clients.count = {clients}"
            )
