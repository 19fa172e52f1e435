"""Section ``placement`` of a scenario."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from airtune.scenario.base import Positive, Settings
from airtune.scenario.units import Quantity


def _lower(value: Any) -> Any:
    """Take a name in any case where all names are written in small letters."""
    return value.strip().lower() if isinstance(value, str) else value


class PlacementSettings(Settings):
    """How the positions and the beamformer are found."""

    mode: Literal["fast", "default", "exhaustive"] = Field(
        "default", description="effort of the placement solver"
    )
    method: Annotated[str, BeforeValidator(_lower)] = Field(
        "auto", description="solver of the placement; auto is the best measured"
    )
    max_travel: Annotated[Positive | None, Quantity("wavelengths", 1e-4, 1e4)] = Field(
        None,
        description="longest travel of an antenna between two rounds in wavelengths; null is no "
        "limit",
    )
    travel_price_db: Annotated[float, Field(ge=0, le=1e9), Quantity("dB/wavelength", 0, 100)] = (
        Field(0.0, description="gain in dB that one more wavelength of travel must bring")
    )
    robust: Literal["none", "sampled", "worst-case"] = Field(
        "none",
        description="places, and beamformers that are not measured, are the best for the paths as "
        "they are believed (none), for the weakest client in the worst of robust_samples "
        "channels with errors of radio.csi over the mean of their interference (sampled), or for "
        "the worst errors of every transmitter within robust_deviations (worst-case)",
    )
    robust_samples: Annotated[int, Field(ge=2, le=64)] = Field(
        8,
        description="robust = sampled or worst-case: channels that are solved for together, at "
        "most, the believed one among them",
    )
    robust_deviations: Annotated[Positive, Field(le=100)] = Field(
        2.0,
        description="robust = worst-case: radius of each transmitter's ball of errors in standard "
        "deviations of radio.csi",
    )
    refinements: Annotated[int, Field(ge=0, le=10)] = Field(
        0,
        description="times in a round that the antennas are placed anew nearby with what has been "
        "measured where they stand, and measured again (needs radio.csi.beamformer = measured)",
    )
    refinement_travel: Annotated[Positive, Quantity("wavelengths", 1e-3, 10)] = Field(
        0.1,
        description="longest way of an antenna in such a step, besides max_travel; on a grid no "
        "less than 1.5 of its pitches",
    )

    def nearby(self, grid: float) -> float:
        """Return the longest way in a step of refinement on drives of this pitch [wavelengths]."""
        return max(self.refinement_travel, 1.5 * grid)
