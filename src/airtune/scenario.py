"""Every setting of a study, once: typed, documented, validated; YAML in, YAML out.

A :class:`Scenario` is frozen data.  The description of each field is its documentation: it is what
``airtune init`` writes beside the value and what the manual prints.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Range = tuple[float, float]


class Settings(BaseModel):
    """Base of all sections: frozen, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_booleans_as_numbers(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for name, field in cls.model_fields.items():
                if isinstance(values.get(name), bool) and field.annotation is not bool:
                    raise ValueError(f"{name} = {str(values[name]).lower()}: must not be a boolean")
        return values


def _check_range(name: str, pair: Range, *, low: float = 0.0) -> None:
    if not low <= pair[0] <= pair[1]:
        raise ValueError(
            f"{name} = {list(pair)}: must be two increasing numbers, the first >= {low:g}"
        )


class Clients(Settings):
    """Who takes part."""

    count: Count = Field(10, description="registered clients K")
    tx_power_dbm: float | tuple[float, ...] = Field(
        10.0, description="transmit power limit P_k in dBm; one number or one per client"
    )
    distance_m: Range = Field(
        (100.0, 500.0), description="cell ring: least and greatest distance to the base station"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.tx_power_dbm, tuple) and len(self.tx_power_dbm) != self.count:
            raise ValueError(
                f"tx_power_dbm = {list(self.tx_power_dbm)}: must be one number or a list "
                f"of count = {self.count}"
            )
        _check_range("distance_m", self.distance_m, low=1.0)
        return self


class Interferers(Settings):
    """Transmitters outside the cell on the same spectrum."""

    count: int = Field(2, ge=0, description="number of interferers J")
    tx_power_dbm: float = Field(23.0, description="transmit power q_j in dBm")
    distance_m: Range = Field((600.0, 1000.0), description="least and greatest distance in m")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range("distance_m", self.distance_m, low=1.0)
        return self


class Paths(Settings):
    """Small-scale propagation: the paths of the field-response model."""

    fading: Literal["rayleigh", "rician"] = Field(
        "rayleigh", description="equal-power random paths, or one line-of-sight path besides"
    )
    count: Count = Field(
        10, description="scattered paths L of each client or interferer (line of sight besides)"
    )
    rician_k_db: float = Field(6.0, description="line-of-sight over scattered power (rician only)")
    angles: Literal["uniform", "cluster"] = Field(
        "uniform", description="directions over the half sphere, or clustered around the client"
    )
    angle_spread_deg: Positive = Field(15.0, description="standard deviation within a cluster")
    delay_spread_s: NonNegative = Field(1e-7, description="mean of the exponential path delays")
    doppler_hz: NonNegative = Field(
        0.3,
        description="largest Doppler shift; with block_interval_s it sets the round-to-round "
        "correlation J0(2 pi doppler_hz block_interval_s) of the path gains",
    )
    block_interval_s: Positive = Field(1.0, description="time between the blocks of two rounds")
    angle_drift_deg: NonNegative = Field(
        1.0, description="standard deviation of a direction's change from round to round"
    )


class Csi(Settings):
    """Channel-state error: the placement sees perturbed paths, the air uses the true ones."""

    angle_error_deg: NonNegative = Field(0.0, description="standard deviation of angle errors")
    gain_error: NonNegative = Field(
        0.0, description="standard deviation of path gain errors, relative to the gain"
    )


class Radio(Settings):
    """Carrier, noise, path loss, fading and interference."""

    carrier_hz: Positive = Field(3.5e9, description="carrier frequency")
    bandwidth_hz: Positive = Field(1e6, description="uplink bandwidth W")
    downlink_bandwidth_hz: Positive = Field(1e7, description="bandwidth of the broadcast")
    downlink_bits: Annotated[int, Field(ge=8, le=32)] = Field(
        16, description="bits of one adapter entry in the broadcast"
    )
    efficiency: Fraction = Field(
        0.9, description="share of the time-frequency grid that carries data (cyclic prefix, guard)"
    )
    noise_figure_db: NonNegative = Field(9.0, description="receiver noise figure")
    noise_psd_dbm_hz: float = Field(-174.0, description="thermal noise density")
    base_station_power_dbm: float = Field(30.0, description="downlink power P_BS")
    path_loss_intercept_db: float = Field(128.1, description="path loss at 1 km")
    path_loss_slope_db: Positive = Field(37.6, description="path loss per decade of distance")
    shadowing_db: NonNegative = Field(8.0, description="standard deviation of the shadowing")
    pilot_symbols_per_client: int = Field(
        8, ge=0, description="pilot symbols sent by each client in each round"
    )
    paths: Paths = Paths()
    interferers: Interferers = Interferers()
    csi: Csi = Csi()


class Array(Settings):
    """The base station's movable antennas; positions in wavelengths."""

    antennas: Count = Field(4, description="antennas N")
    region: tuple[NonNegative, NonNegative] = Field(
        (4.0, 4.0), description="box [A_x, A_y] that the antennas move in; A_y = 0 is a line"
    )
    spacing: Positive = Field(0.5, description="least distance D between two antennas")
    speed_mps: Positive = Field(0.5, description="speed of a moving antenna")
    drive_power_w: NonNegative = Field(0.5, description="power of one moving drive")


class Aggregation(Settings):
    """Over-the-air aggregation (system model, section 4)."""

    normalise: Literal["block", "loaded", "global"] = Field(
        "block",
        description="one scale per adapter matrix (block), with block powers by "
        "scale (loaded), or one scale for the whole update (global)",
    )
    form: Literal["scalar", "waveform"] = Field(
        "scalar", description="draw the noise after the beamformer, or simulate every antenna"
    )
    scale_bits: Annotated[int, Field(ge=8, le=32)] = Field(
        16, description="bits for each reported mean or standard deviation (side information)"
    )


class Digital(Settings):
    """Digital baseline: quantised updates, one client after the other (TDMA)."""

    bits: Annotated[int, Field(ge=1, le=16)] = Field(8, description="bits per entry")
    error_feedback: bool = Field(True, description="clients add the last quantisation error")
    snr_gap_db: NonNegative = Field(0.0, description="gap of the code to the Shannon rate")


class PlacementSettings(Settings):
    """How the positions and the beamformer are found."""

    mode: Literal["fast", "default", "exhaustive"] = Field(
        "default", description="effort of the placement solver"
    )
    method: str = Field("auto", description="solver of the placement; auto is the best measured")
    max_travel: Positive | None = Field(
        None, description="longest way of an antenna between two rounds in wavelengths"
    )
    travel_price_db: NonNegative = Field(
        0.0, description="gain in dB that one more wavelength of way must bring"
    )


class Lora(Settings):
    """Low-rank adapters (peft)."""

    rank: Count = Field(8, description="rank r")
    alpha: Positive = Field(16.0, description="scale alpha; the adapter is multiplied by alpha/r")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="LoRA dropout")
    target_modules: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1,
        description="layers that carry an adapter",
    )


class SmallLlama(Settings):
    """Shape of the LLaMA that is trained from scratch when `model.source` is `small`."""

    hidden: Count = Field(160, description="hidden size")
    layers: Count = Field(3, description="decoder layers")
    heads: Count = Field(5, description="attention heads")
    intermediate: Count = Field(448, description="width of the feed-forward layers")
    vocabulary: Annotated[int, Field(ge=300)] = Field(512, description="tokens of the BPE")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise ValueError(
                f"hidden = {self.hidden}: must be an even multiple of heads = {self.heads}"
            )
        return self


class Model(Settings):
    """The causal language model."""

    source: str = Field(
        "small", description="`small` (trained here), a local folder, a .gguf file or a hub id"
    )
    small: SmallLlama = SmallLlama()
    lora: Lora = Lora()
    trust_remote_code: bool = Field(False, description="allow code from the hub to run")


class Fields(Settings):
    """Names of the fields of an instruction file."""

    instruction: str = Field("instruction", description="field of the instruction")
    input: str = Field("input", description="field of the optional further input")
    output: str = Field("output", description="field of the answer")
    label: str | None = Field(None, description="field that names the domain of a record")


class Data(Settings):
    """Instruction data and how the clients share it."""

    source: str = Field(
        "sample", description="`sample` (shipped instruction tasks) or a local JSON/JSONL file"
    )
    fields: Fields = Fields()
    partition: Literal["domain", "iid", "dirichlet"] = Field(
        "domain", description="one domain per client, at random, or Dirichlet over the domains"
    )
    dirichlet_alpha: Positive = Field(0.5, description="concentration of the Dirichlet partition")
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share of the records held out for validation"
    )
    max_tokens: Annotated[int, Field(ge=8)] = Field(
        96, description="longest sequence; of a longer one the front of the prompt is cut"
    )
    max_records: Count | None = Field(None, description="use at most so many records")


class Pretraining(Settings):
    """Phase 1: centralised pre-training of the small model at the server."""

    steps: int = Field(2000, ge=0, description="optimiser steps T0")
    batch_size: Count = Field(32, description="batch size B0")
    learning_rate: Positive = Field(2e-3, description="peak AdamW learning rate")
    charge: bool = Field(True, description="book its latency and energy in every scheme")


class Training(Settings):
    """Phase 2: federated fine-tuning."""

    rounds: Count = Field(30, description="federated rounds T")
    local_steps: Count = Field(1, description="local steps H; 1 sends the gradient")
    local_learning_rate: Positive = Field(0.1, description="learning rate of local steps (H > 1)")
    batch_size_max: Count = Field(16, description="largest mini-batch B_max of a client")
    clip_norm: Positive | None = Field(None, description="clip a client's update to this norm")
    server_optimizer: Literal["sgd", "adam"] = Field("adam", description="server optimiser")
    learning_rate: Positive = Field(1e-2, description="server learning rate eta")
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="Adam beta1")
    beta2: Annotated[float, Field(ge=0, lt=1)] = Field(0.99, description="Adam beta2")


class Evaluation(Settings):
    """Validation of the global model."""

    every: Count = Field(1, description="rounds between evaluations (the last is always made)")
    records: Count = Field(400, description="validation records used, spread over the domains")
    batch_size: Count = Field(50, description="records evaluated at once")


class Processor(Settings):
    """Clock and energy law: time = cycles/f, energy = kappa f^2 cycles."""

    flop_per_cycle: Positive = Field(16.0, description="FLOP per cycle phi")
    f_min_hz: Positive = Field(3e8, description="lowest clock")
    f_max_hz: Positive | tuple[Positive, ...] = Field(
        2e9, description="highest clock; one number or one per client"
    )
    kappa: Positive = Field(2.5e-28, description="effective capacitance: power = kappa f^3")

    @model_validator(mode="after")
    def _check(self) -> Self:
        tops = self.f_max_hz if isinstance(self.f_max_hz, tuple) else (self.f_max_hz,)
        if any(top < self.f_min_hz for top in tops):
            raise ValueError(f"f_max_hz = {self.f_max_hz}: must be >= f_min_hz = {self.f_min_hz:g}")
        return self


class Server(Settings):
    """The edge server's processor; one clock."""

    flop_per_cycle: Positive = Field(64.0, description="FLOP per cycle phi_0")
    f_min_hz: Positive = Field(1e9, description="lowest clock")
    f_max_hz: Positive = Field(3e9, description="highest clock")
    kappa: Positive = Field(1e-27, description="effective capacitance: power = kappa f^3")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.f_max_hz < self.f_min_hz:
            raise ValueError(f"f_max_hz = {self.f_max_hz}: must be >= f_min_hz = {self.f_min_hz:g}")
        return self


class Budget(Settings):
    """Budgets of the plan; null is no limit."""

    latency_s: Positive | None = Field(None, description="total latency tau_max")
    client_energy_j: Positive | None = Field(None, description="energy E_k of each client")


class Bound(Settings):
    """Constants of the convergence bound (system model, section 6)."""

    L: Positive = Field(4.0, description="smoothness of the fine-tuning loss")
    mu: Positive = Field(0.5, description="Polyak-Lojasiewicz constant")
    eta: Positive = Field(0.1, description="step size of the bound, eta <= 1/L")
    sigma_g_sq: NonNegative = Field(4.0, description="per-sample gradient variance")
    zeta_sq: NonNegative = Field(1.0, description="heterogeneity of the clients' gradients")
    G_sq: NonNegative = Field(8.0, description="largest squared scale of the updates G^2")
    L0: Positive = Field(4.0, description="smoothness of the pre-training loss")
    mu0: Positive = Field(0.05, description="PL constant of the pre-training loss")
    eta0: Positive = Field(0.1, description="step size of pre-training, eta0 <= 1/L0")
    sigma0_sq: NonNegative = Field(4.0, description="gradient variance of pre-training")
    delta_pre: NonNegative = Field(6.0, description="gap of the untrained model")
    L_x: NonNegative = Field(0.5, description="Lipschitz constant of the loss in the embedding")
    W1: NonNegative = Field(1.0, description="Wasserstein-1 distance, pre-training to fine-tuning")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.mu > self.L or self.mu0 > self.L0:
            raise ValueError(f"mu = {self.mu:g}, mu0 = {self.mu0:g}: must be <= L and <= L0")
        if self.eta * self.L > 1 + 1e-12:
            raise ValueError(f"eta = {self.eta:g}: must be <= 1/L = {1 / self.L:g}")
        if self.eta0 * self.L0 > 1 + 1e-12:
            raise ValueError(f"eta0 = {self.eta0:g}: must be <= 1/L0 = {1 / self.L0:g}")
        return self


class Scenario(Settings):
    """One study: who fine-tunes what over which air, within which budgets."""

    name: str = Field(
        "scenario", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the run folders"
    )
    seed: int = Field(1, ge=0, description="root of every random stream")
    seeds: Count = Field(1, description="repetitions with independent streams")
    schemes: tuple[str, ...] = Field(
        ("ideal", "movable", "fixed", "random-position", "digital"),
        min_length=1,
        description="schemes to compare (`airtune schemes` lists them)",
    )
    plan: Literal["shared", "own"] = Field(
        "shared", description="one plan of batches and clocks for all schemes, or one for each"
    )
    threads: Count = Field(2, description="processor threads used for learning")
    cache: str = Field(".cache/airtune", description="folder for pre-trained models")
    clients: Clients = Clients()
    radio: Radio = Radio()
    array: Array = Array()
    aggregation: Aggregation = Aggregation()
    digital: Digital = Digital()
    placement: PlacementSettings = PlacementSettings()
    model: Model = Model()
    data: Data = Data()
    pretraining: Pretraining = Pretraining()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    client_processor: Processor = Processor()
    server_processor: Server = Server()
    budget: Budget = Budget()
    bound: Bound = Bound()

    @model_validator(mode="after")
    def _check(self) -> Self:
        top = self.client_processor.f_max_hz
        if isinstance(top, tuple) and len(top) != self.clients.count:
            raise ValueError(
                f"client_processor.f_max_hz = {list(top)}: must be one number or a list of "
                f"clients.count = {self.clients.count}"
            )
        if len(set(self.schemes)) != len(self.schemes):
            raise ValueError(f"schemes = {list(self.schemes)}: must not repeat")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON types."""
        return self.model_dump(mode="json")
