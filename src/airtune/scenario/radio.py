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
    Positive,
    Range,
    Registered,
    Settings,
)
from airtune.scenario.hardware import Hardware
from airtune.scenario.mobility import Mobility
from airtune.scenario.paths import Csi, Paths, check_range
from airtune.scenario.tr38901 import Tr38901
from airtune.scenario.units import Quantity


class Clients(Settings):
    """Who takes part."""

    count: Million = Field(10, description="registered clients K")
    tx_power_dbm: Annotated[Decibel | tuple[Decibel, ...], Quantity("dBm", -80, 60)] = Field(
        10.0, description="transmit power limit P_k in dBm; one number or one per client"
    )
    distance_m: Annotated[Range, Quantity("m", 1, 1e5)] = Field(
        (100.0, 500.0), description="cell ring: least and greatest distance to the base station"
    )
    antennas: Annotated[int, Field(ge=1, le=16)] = Field(
        1, description="transmit antennas M of each client, on a line; they share the power P_k"
    )
    antenna_spacing: Annotated[Positive, Quantity("wavelengths", 1e-2, 1e2)] = Field(
        0.5, description="distance of neighbouring antennas of a client in wavelengths"
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


class Radio(Settings):
    """Carrier, noise, path loss, fading and interference."""

    carrier_hz: Annotated[Positive, Quantity("Hz", 1e8, 1e12)] = Field(
        3.5e9, description="carrier frequency"
    )
    bandwidth_hz: Annotated[Positive, Quantity("Hz", 1e3, 1e11)] = Field(
        1e6, description="uplink bandwidth W"
    )
    resource_blocks: Annotated[int, Field(ge=1, le=256)] = Field(
        1,
        description="equal resource blocks I of the band, and of the broadcast's, each flat with "
        "the channel that path delays make of it, a beamformer of its own and 1/I of the powers; "
        "the antennas serve all of them",
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
        "M + 1 times for a surface of M elements (a few more with ris.phase_bits), "
        "array.field_pilots times for movable antennas, "
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
        "cdl-a to cdl-e: extra sionna), of clients that move by mobility (tracks), or a registered "
        "name",
    )
    channel_file: str | None = Field(
        None, description="channel = file: paths as `airtune channel` writes them (.npz)"
    )
    paths: Paths = Paths()
    mobility: Mobility = Mobility()
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
    def _check_resource_blocks(self) -> Self:
        if self.resource_blocks > 1 and self.csi.beamformer == "measured":
            raise ValueError(
                f"resource_blocks = {self.resource_blocks}: must be 1 with csi.beamformer = "
                "measured, which measures one channel for the whole band"
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
    def _check_age(self) -> Self:
        if self.csi.age_s != 0 and self.channel in ("block-fading", "file"):
            raise ValueError(
                f"csi.age_s = {self.csi.age_s}: must be 0 with channel = {self.channel}, whose "
                "paths stay for a whole round"
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
