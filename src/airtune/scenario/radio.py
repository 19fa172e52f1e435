"""Settings of the clients, the radio and the antennas."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from airtune.errors import clip, shown
from airtune.registry import CHANNELS, POLICIES
from airtune.scenario.base import (
    Count,
    Decibel,
    Fraction,
    Million,
    NonNegative,
    Positive,
    Range,
    Registered,
    Settings,
)
from airtune.scenario.hardware import Hardware
from airtune.scenario.tr38901 import Tr38901
from airtune.scenario.units import Quantity


def check_range(name: str, pair: Range, *, low: float = 0.0) -> None:
    if not low <= pair[0] <= pair[1]:
        raise ValueError(
            f"{name} = {shown(list(pair))}: must be two increasing numbers, the first >= {low:g}"
        )


class Clients(Settings):
    """Who takes part."""

    count: Million = Field(10, description="registered clients K")
    tx_power_dbm: Annotated[Decibel | tuple[Decibel, ...], Quantity("dBm", -80, 60)] = Field(
        10.0, description="transmit power limit P_k in dBm; one number or one per client"
    )
    distance_m: Annotated[Range, Quantity("m", 1, 1e5)] = Field(
        (100.0, 500.0), description="cell ring: least and greatest distance to the base station"
    )
    concurrency: Count | None = Field(
        None, description="most clients that transmit together in a round; null is all"
    )
    selection: Annotated[str, Registered(POLICIES)] = Field(
        "all",
        description="who they are: how the clients of a round are chosen (all, random, "
        "best-channel, proportional-fair, joint, or a policy of one's own)",
    )
    fair_window: Annotated[float, Field(gt=1)] = Field(
        10.0, description="rounds over which proportional-fair averages the rates served"
    )
    unbiased: bool = Field(
        False,
        description="random: draw by data size, with replacement, and average evenly, so that the "
        "expected mean is the mean over all clients",
    )

    @property
    def limit(self) -> int:
        """Most clients that transmit together."""
        return self.count if self.concurrency is None else self.concurrency

    @model_validator(mode="after")
    def _check_selection(self) -> Self:
        if self.limit > self.count:
            raise ValueError(
                f"concurrency = {self.concurrency}: must be at most count = {self.count}"
            )
        if self.selection == "all" and self.limit < self.count:
            raise ValueError(
                f"selection = all: must be random, best-channel, proportional-fair or joint "
                f"where concurrency = {self.concurrency} is less than count = {self.count}"
            )
        if self.unbiased and self.selection != "random":
            raise ValueError(f"unbiased = true: needs selection = random, not {self.selection}")
        return self

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.tx_power_dbm, tuple) and len(self.tx_power_dbm) != self.count:
            raise ValueError(
                f"tx_power_dbm = {shown(list(self.tx_power_dbm))}: must be one number or a list "
                f"of count = {self.count}"
            )
        check_range("distance_m", self.distance_m, low=1.0)
        return self


class Interferers(Settings):
    """Transmitters outside the cell on the same spectrum."""

    count: int = Field(2, ge=0, le=1000, description="number of interferers J")
    tx_power_dbm: Annotated[Decibel, Quantity("dBm", -80, 90)] = Field(
        23.0, description="transmit power q_j in dBm"
    )
    distance_m: Annotated[Range, Quantity("m", 1, 1e6)] = Field(
        (600.0, 1000.0), description="least and greatest distance in m"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_range("distance_m", self.distance_m, low=1.0)
        return self


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
        "that move are placed by the believed paths and take pilots and silent symbols once more",
    )


class Radio(Settings):
    """Carrier, noise, path loss, fading and interference."""

    carrier_hz: Annotated[Positive, Quantity("Hz", 1e8, 1e12)] = Field(
        3.5e9, description="carrier frequency"
    )
    bandwidth_hz: Annotated[Positive, Quantity("Hz", 1e3, 1e11)] = Field(
        1e6, description="uplink bandwidth W"
    )
    downlink_bandwidth_hz: Annotated[Positive, Quantity("Hz", 1e3, 1e11)] = Field(
        1e7, description="bandwidth of the broadcast"
    )
    downlink_bits: Annotated[int, Field(ge=2, le=32), Quantity("bit", 2, 32)] = Field(
        16,
        description="bits of one adapter entry in the broadcast; 8 to 32 where nothing is rounded, "
        "2 to 16 with lloyd-max",
    )
    downlink_quantizer: Literal["none", "uniform", "lloyd-max"] = Field(
        "none",
        description="all schemes but ideal: the adapters are broadcast as they are, booked with "
        "downlink_bits (none); or their change since the last broadcast is rounded, and the server "
        "adds what was lost the next time",
    )
    downlink_precoding: Literal["multicast", "space-time"] = Field(
        "multicast",
        description="broadcast with the max-min beamformer of the clients that take part, or by a "
        "space-time block code, which needs no channel knowledge and has no array gain",
    )
    efficiency: Annotated[Fraction, Quantity("", 0.01, 1)] = Field(
        0.9, description="share of the time-frequency grid that carries data (cyclic prefix, guard)"
    )
    noise_figure_db: Annotated[float, Field(ge=0, le=60), Quantity("dB", 0, 40)] = Field(
        9.0, description="receiver noise figure"
    )
    noise_psd_dbm_hz: Annotated[Decibel, Quantity("dBm/Hz", -220, -80)] = Field(
        -174.0, description="thermal noise density"
    )
    base_station_power_dbm: Annotated[Decibel, Quantity("dBm", -40, 90)] = Field(
        30.0, description="downlink power P_BS"
    )
    path_loss_intercept_db: Annotated[float, Field(ge=0, le=300), Quantity("dB", 20, 250)] = Field(
        128.1, description="path loss at 1 km"
    )
    path_loss_slope_db: Annotated[float, Field(gt=0, le=100), Quantity("dB/decade", 5, 90)] = Field(
        37.6, description="path loss per decade of distance"
    )
    shadowing_db: Annotated[float, Field(ge=0, le=40), Quantity("dB", 0, 25)] = Field(
        8.0, description="standard deviation of the shadowing"
    )
    pilot_symbols_per_client: int = Field(
        8, ge=0, le=1_000_000, description="pilot symbols sent by each client in each round"
    )
    pilot_rule: Literal["equal", "by-array"] = Field(
        "by-array",
        description="who sends pilots, and how often: each selected client once whatever the array "
        "is (equal), or as the array needs to know its channels: once for each N ports of a pool, "
        "M + 1 times for a surface of M elements, array.field_pilots times for movable antennas, "
        "by all who may be selected where the choice looks at the channels (by-array)",
    )
    silent_symbols: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="symbols of a round in which nobody sends, for the noise and interference to "
        "be measured (movable antennas: array.field_pilots times as many); null is 10 for each "
        "RF chain",
    )
    channel: Annotated[str, Registered(CHANNELS)] = Field(
        "block-fading",
        description="where the propagation paths come from: drawn by the settings of paths "
        "(block-fading), read from channel_file (file), drawn by 3GPP TR 38.901 (umi, uma, rma, "
        "cdl-a to cdl-e: extra sionna), or a registered name",
    )
    channel_file: str | None = Field(
        None, description="channel = file: paths as `airtune channel` writes them (.npz)"
    )
    paths: Paths = Paths()
    tr38901: Tr38901 = Tr38901()
    interferers: Interferers = Interferers()
    csi: Csi = Csi()
    hardware: Hardware = Hardware()

    @model_validator(mode="after")
    def _check_pilots(self) -> Self:
        if self.csi.beamformer == "measured" and self.pilot_symbols_per_client == 0:
            raise ValueError(
                "csi.beamformer = measured: needs pilot_symbols_per_client of at least 1, not 0"
            )
        return self

    @model_validator(mode="after")
    def _check_channel_file(self) -> Self:
        if (self.channel == "file") != (self.channel_file is not None):
            name = "null" if self.channel_file is None else clip(self.channel_file)
            raise ValueError(
                f"channel = {clip(self.channel)}, channel_file = {name}: channel = file needs a "
                "channel_file, and no other channel has one"
            )
        return self

    @model_validator(mode="after")
    def _check_downlink_bits(self) -> Self:
        low, high = {"none": (8, 32), "uniform": (2, 32), "lloyd-max": (2, 16)}[
            self.downlink_quantizer
        ]
        if not low <= self.downlink_bits <= high:
            raise ValueError(
                f"downlink_bits = {self.downlink_bits}: must be {low} to {high} with "
                f"downlink_quantizer = {self.downlink_quantizer}"
            )
        return self


PLANNED_PAYLOAD: Literal["planned"] = "planned"
"""In place of a payload: the one of least predicted value is taken."""


def _sendings(value: Any) -> Any:
    whole = type(value) in (int, float) and value >= 1 and value % 1 == 0
    if value != "planned" and not whole:
        raise ValueError("must be a whole number >= 1, or planned")
    return value if value == "planned" else int(value)


class Aggregation(Settings):
    """Over-the-air aggregation (system model, section 4)."""

    normalise: Literal["block", "loaded", "global", "auto"] = Field(
        "block",
        description="one scale per adapter matrix (block), with group powers by "
        "scale (loaded), or one scale for the whole update (global); auto: loaded where the noise "
        "is predicted to cost the fixed array 5 % of its rounds or more, else block",
    )
    form: Literal["scalar", "waveform"] = Field(
        "scalar", description="draw the noise after the beamformer, or simulate every antenna"
    )
    scale_bits: Annotated[int, Field(ge=8, le=32), Quantity("bit", 8, 32)] = Field(
        16, description="bits for each reported mean or standard deviation (side information)"
    )
    scale_reports: Literal["sequential", "joint"] = Field(
        "joint",
        description="clients report their scales in full, one after the other; or all at once at "
        "the rates of simultaneous reception, after the first report with half of the bits for the "
        "change since the last one (both ends then use the figures as rounded)",
    )
    repetition: Annotated[Count | Literal["planned"], BeforeValidator(_sendings)] = Field(
        1,
        description="times n_rep that every analog symbol is sent, with fresh noise and "
        "interference, and averaged; planned: as the plan of the run decides",
    )
    repetition_max: Annotated[int, Field(ge=1, le=1000)] = Field(
        16, description="repetition = planned: most times that the plan may send a symbol"
    )
    alignment: Literal["forcing", "capped"] = Field(
        "forcing",
        description="all clients aligned (unbiased), or those too weak send at full power and "
        "stay misaligned, with the least error",
    )
    truncation_db: Annotated[
        Decibel | Literal["auto"],
        Quantity(
            "dB", -100, 100, ("auto",), "must be a number or auto, or a number with the unit dB"
        ),
    ] = Field(
        "auto",
        description="schemes truncated, cotaf, obda: received SNR in dB below which a client stays "
        "silent; auto takes the threshold of least estimated error",
    )
    groups: Count = Field(
        1,
        description="schemes over the air: the clients are split at random each round into so many "
        "groups, each with a slot, a beamformer and scales of its own; G times the airtime",
    )
    robust: Literal["none", "median", "trimmed-mean", "geometric-median"] = Field(
        "none",
        description="how the server merges what it can tell apart, the clients' updates (digital "
        "and ideal) or the sums of the groups (over the air): their weighted mean, or a rule that "
        "single outliers cannot drag away",
    )
    trim: Annotated[float, Field(ge=0, le=0.49), Quantity("", 1e-3, 0.5)] = Field(
        0.2, description="trimmed-mean: share of the weight that is cut off at each end"
    )
    payload: Literal["lora", "ffa", "rolora", "mask", "subspace", "planned"] = Field(
        "lora",
        description="what is sent of an update: both factors of LoRA, B alone (ffa), B and A in "
        "turn (rolora), random entries (mask), coefficients in random subspaces (subspace); or the "
        "one of least predicted value (planned: needs planning.objective other than bound)",
    )
    payload_size: Annotated[int, Field(ge=1, le=10**12)] | None = Field(
        None,
        description="mask, subspace: numbers n that a client sends in a round; planned: these two "
        "are tried with it, and not without",
    )
    payload_step: Positive | None = Field(
        None,
        description="factor of training.learning_rate; null is the payload's own, found on the "
        "quickstart's model: lora 1, ffa 2, rolora 1, mask 4, subspace 1",
    )

    @model_validator(mode="after")
    def _check_payload(self) -> Self:
        sized, size = self.payload in ("mask", "subspace"), self.payload_size
        if sized and size is None:
            raise ValueError(
                f"payload = {self.payload}: needs payload_size, the numbers that a client sends"
            )
        if size is not None and not sized and self.payload != PLANNED_PAYLOAD:
            raise ValueError(
                f"payload_size = {clip(size)}: needs payload = mask, subspace or planned, not "
                f"{self.payload}"
            )
        if self.payload == PLANNED_PAYLOAD and self.payload_step is not None:
            step = f"payload_step = {clip(self.payload_step)}"
            raise ValueError(f"{step}: must be null with payload = planned: each has its own")
        return self

    def with_powers(self, rule: Literal["block", "loaded"]) -> Aggregation:
        """Return the section with the scales of this rule where they are chosen automatically."""
        if self.normalise != "auto":
            return self
        return self.model_copy(update={"normalise": rule})

    @property
    def group_scales(self) -> Literal["block", "loaded", "global"]:
        """The rule of scales and powers; `block` where it has yet to be chosen."""
        return "block" if self.normalise == "auto" else self.normalise

    @property
    def sendings(self) -> int:
        """Times that a symbol is sent; once where a plan has yet to decide."""
        return 1 if self.repetition == "planned" else self.repetition
