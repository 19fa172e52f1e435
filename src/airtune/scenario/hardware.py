"""Settings of the electronics: what amplifiers and circuits draw (system model, section 7)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airtune import costs
from airtune.scenario.base import Fraction, NonNegative, Settings
from airtune.scenario.units import Quantity

_Share = Annotated[Fraction | None, Quantity("", 0.01, 1)]
_Watt = Annotated[NonNegative | None, Quantity("W", 1e-6, 1e4)]


class Hardware(Settings):
    """What amplifiers and circuits draw; null takes the value of the profile."""

    profile: Literal["radiated", "small-cell", "macro"] = Field(
        "small-cell",
        description="radiated energy only (ideal amplifiers, no circuits), or the electrical "
        "energy of a small cell or of a macro base station",
    )
    pa_efficiency: _Share = Field(
        None, description="radiated over drawn power of the base station's amplifiers"
    )
    client_pa_efficiency: _Share = Field(
        None, description="radiated over drawn power of a client's amplifier"
    )
    chain_w: _Watt = Field(None, description="power of one RF chain of the base station in W")
    lo_w: _Watt = Field(None, description="power of the base station's oscillator in W")
    client_w: _Watt = Field(
        None, description="power of a client's circuits while it sends in W, for each antenna"
    )
    switch_w: _Watt = Field(
        None, description="power of the switch of one port (schemes that select antennas) in W"
    )
    surface_w: _Watt = Field(
        None, description="power of the controller of a reconfigurable surface in W"
    )
    site_w: _Watt = Field(
        None,
        description="fixed power of the site in W, charged while the base station is on the air",
    )

    def resolved(self, client_antennas: int = 1) -> costs.Hardware:
        """Return the figures: those of the profile, but for what is set here.

        Parameters
        ----------
        client_antennas : int
            RF chains of a client, which draw `client_w` each.
        """
        given = self.model_dump(exclude={"profile"})
        base = costs.PROFILES[self.profile]
        figures = {name: getattr(base, name) if x is None else x for name, x in given.items()}
        figures["client_w"] *= client_antennas
        return costs.Hardware(**figures)
