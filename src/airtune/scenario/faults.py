"""Settings of what goes wrong: clients, antennas, amplifiers, the spectrum, the server.

Everything is off by default.  What is drawn comes from streams of its own, the same for every
scheme of a comparison; docs/faults.md has the models and their sources.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from airtune.errors import shown
from airtune.scenario.base import Settings
from airtune.scenario.paths import check_range
from airtune.scenario.poison import Poison
from airtune.scenario.radio import Radio
from airtune.scenario.units import Quantity

Share = Annotated[float, Field(ge=0, le=1), Quantity("", 1e-4, 1)]


class Outages(Settings):
    """What comes and goes: a share of the rounds, alone or in bursts."""

    share: Share = Field(
        0.0, description="share of the rounds in which it happens, in the long run"
    )
    burst_rounds: Annotated[float, Field(ge=1, le=1e6)] | None = Field(
        None,
        description="mean length of an outage in rounds (two-state Markov chain); null: each round "
        "is drawn by itself",
    )

    @model_validator(mode="after")
    def _check_bursts(self) -> Self:
        bursts, share = self.burst_rounds, self.share
        if bursts is not None and share > bursts / (bursts + 1):
            raise ValueError(
                f"share = {share:.9g}: must be at most burst_rounds / (burst_rounds + 1) = "
                f"{bursts / (bursts + 1):.9g}, for an outage begins at most in every round without "
                "one"
            )
        return self


class Dropout(Outages):
    """Clients that drop out of a round."""

    when: Literal["before", "during"] = Field(
        "before",
        description="before the upload: the server knows, and weights and beamformer are those of "
        "the others; during it: the symbols stop at a random point and the server does not know",
    )


class Stragglers(Settings):
    """Clients whose computing takes longer than planned."""

    share: Share = Field(0.0, description="share of the clients that are slow in a round")
    slowdown: Annotated[float, Field(ge=1, le=1e6)] = Field(
        4.0, description="factor on their time of computing"
    )
    deadline: Annotated[float, Field(ge=1, le=1e6)] | None = Field(
        None,
        description="a client is left out that needs more than this multiple of what the slowest "
        "client of the round would take to compute as planned; null: everybody waits for all",
    )


class Antennas(Settings):
    """Antennas of the base station that do not move or do not hear, and drives that miss."""

    stuck: Annotated[int, Field(ge=0, le=100_000)] = Field(
        0, description="antennas that do not move from where they are parked"
    )
    dead: Annotated[int, Field(ge=0, le=100_000)] = Field(
        0, description="antennas that receive noise only, and send nothing"
    )
    dead_known: bool = Field(
        True, description="the server leaves dead antennas out, or goes on as if they worked"
    )
    position_error: Annotated[float, Field(ge=0, le=10), Quantity("wavelengths", 1e-5, 1)] = Field(
        0.0,
        description="standard deviation of a place in x and in y after a movement, in wavelengths",
    )
    backlash: Annotated[float, Field(ge=0, le=10), Quantity("wavelengths", 1e-5, 1)] = Field(
        0.0, description="play of the drives in x and in y, in wavelengths"
    )

    @property
    def missing(self) -> int:
        """Antennas that the server does without."""
        return self.dead if self.dead_known else 0

    @property
    def drives(self) -> bool:
        """Whether drives miss."""
        return self.position_error > 0 or self.backlash > 0


class Synchronisation(Settings):
    """How well the clients' symbols are in step at the base station."""

    phase_deg: Annotated[float, Field(ge=0, le=360), Quantity("deg", 1e-2, 180)] = Field(
        0.0, description="standard deviation of a client's carrier phase in a round"
    )
    timing: Annotated[float, Field(ge=0, le=0.5), Quantity("", 1e-5, 0.5)] = Field(
        0.0, description="standard deviation of a client's delay, as a share of a symbol"
    )


class Amplifier(Settings):
    """The clients' power amplifiers."""

    clip_db: Annotated[Annotated[float, Field(ge=-20, le=60)] | None, Quantity("dB", -5, 30)] = (
        Field(
            None,
            description="power at which symbols are clipped, in dB above the power limit of "
            "averages; null: never",
        )
    )


MOST_OVER_NOISE_DB = 100.0
"""Largest mean power of a jammer over the receiver's noise, at its least distance."""


class Jammer(Outages):
    """An interferer that is switched on in some rounds."""

    power_dbm: Annotated[float, Field(ge=-300, le=90), Quantity("dBm", -80, 90)] = Field(
        23.0, description="its transmit power"
    )
    distance_m: Annotated[tuple[float, float], Quantity("m", 1, 1e6)] = Field(
        (200.0, 600.0), description="least and greatest distance; place and direction are drawn"
    )
    known: bool = Field(
        False, description="whether it is in the noise covariance R that the server believes in"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_range("distance_m", self.distance_m, low=1.0)
        return self

    def check_strength(self, radio: Radio) -> None:
        """Refuse a jammer that the receiver's arithmetic cannot hold beside its noise.

        Fading and shadowing have some 30 dB left to what can be computed with.

        Raises
        ------
        ValueError
        """
        if self.share == 0:
            return
        distance_km = self.distance_m[0] / 1e3
        loss = radio.path_loss_intercept_db + radio.path_loss_slope_db * math.log10(distance_km)
        noise = radio.noise_psd_dbm_hz + 10 * math.log10(radio.bandwidth_hz)
        over = self.power_dbm - loss - noise - radio.noise_figure_db
        if over > MOST_OVER_NOISE_DB:
            raise ValueError(
                f"faults.jammer.power_dbm = {self.power_dbm:g}: arrives {over:.0f} dB over the "
                f"noise from faults.jammer.distance_m = {self.distance_m[0]:g} m; allowed are "
                f"{MOST_OVER_NOISE_DB:g} dB"
            )


class Broadcast(Outages):
    """Clients that miss the broadcast and work with the last adapter that they received."""


class SideInformation(Settings):
    """What clients report and what the server knows of their channels."""

    share: Share = Field(0.0, description="share of the reports of a round that arrive wrong")
    factor_db: Annotated[float, Field(gt=0, le=100), Quantity("dB", 0.1, 100)] = Field(
        12.0,
        description="by how much (20 log10 of the factor), up or down: a flipped bit of a binary "
        "exponent is 6, 12, 24 ... dB",
    )
    csi_share: Share = Field(
        0.0, description="share of the clients whose channel the server knows as of the last round"
    )


class Restart(Settings):
    """Rounds that the server loses and repeats from its last checkpoint."""

    share: Share = Field(0.0, description="share of the rounds that are done twice")


class Faults(Settings):
    """What goes wrong in the rounds; nothing by default."""

    dropout: Dropout = Dropout()
    stragglers: Stragglers = Stragglers()
    antennas: Antennas = Antennas()
    synchronisation: Synchronisation = Synchronisation()
    amplifier: Amplifier = Amplifier()
    jammer: Jammer = Jammer()
    broadcast: Broadcast = Broadcast()
    side_information: SideInformation = SideInformation()
    restart: Restart = Restart()
    poison: Poison = Poison()

    @property
    def of_the_waveform(self) -> tuple[str, ...]:
        """Settings that change a waveform in time, for which one carrier is modelled."""
        found = {
            "faults.synchronisation.timing": self.synchronisation.timing > 0,
            "faults.amplifier.clip_db": self.amplifier.clip_db is not None,
        }
        return tuple(name for name, there in found.items() if there)

    def check_antennas(self, antennas: int) -> None:
        """Refuse more dead or stuck antennas than there are.

        Parameters
        ----------
        antennas : int
            `array.antennas`.

        Raises
        ------
        ValueError
            Names the setting, its value and what is allowed.
        """
        dead, stuck = self.antennas.dead, self.antennas.stuck
        if dead >= antennas:
            raise ValueError(
                f"faults.antennas.dead = {shown(dead)}: must be less than array.antennas = "
                f"{antennas}"
            )
        if stuck > antennas - dead:
            raise ValueError(
                f"faults.antennas.stuck = {shown(stuck)}: must be at most the {antennas - dead} "
                "antennas that are not dead"
            )
