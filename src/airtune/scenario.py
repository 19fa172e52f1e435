"""Every setting of a study, once: typed, documented, validated; YAML in, YAML out.

A :class:`Scenario` is frozen data.  The description of each field is its documentation: it is what
``airtune init`` writes beside the value and what the manual prints.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from airtune.scenario_planning import Bound, Budget, Calibration, Planning
from airtune.scenario_radio import (
    Aggregation,
    Array,
    Clients,
    Count,
    Csi,
    Digital,
    Interferers,
    NonNegative,
    Paths,
    Positive,
    Radio,
    Ris,
    Settings,
)

__all__ = [
    "Aggregation",
    "Array",
    "Bound",
    "Budget",
    "Calibration",
    "Clients",
    "Csi",
    "Data",
    "Digital",
    "Evaluation",
    "Fields",
    "Interferers",
    "Lora",
    "Model",
    "Paths",
    "PlacementSettings",
    "Planning",
    "Pretraining",
    "Processor",
    "Radio",
    "Ris",
    "Scenario",
    "Server",
    "Settings",
    "SmallLlama",
    "Training",
]


TEMPLATES = ("auto", "alpaca", "chat", "plain")


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
    rslora: bool = Field(False, description="multiply by alpha/sqrt(r) instead (rsLoRA)")
    target_modules: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        description="layers that carry an adapter; `all-linear`: all but the language head",
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
    obtain: str | None = Field(
        None, description="command that gets `source` once; it is shown when `source` is missing"
    )
    small: SmallLlama = SmallLlama()
    random_weights: bool = Field(
        False, description="draw weights for the configuration of `source`, to measure its shape"
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="precision of the base model; adapters are always float32"
    )
    quantization: Literal["none", "nf4"] = Field(
        "none", description="nf4: linear layers of the base in 4-bit NormalFloat (bitsandbytes)"
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute each layer in the backward pass: less memory, a third slower"
    )
    lora: Lora = Lora()
    adapter: str | None = Field(
        None, description="PEFT folder of an adapter to start from; `lora` must say the same"
    )
    trust_remote_code: bool = Field(False, description="allow code from the hub to run")


class Fields(Settings):
    """Names of the fields of a data file."""

    instruction: str = Field("instruction", description="field of the instruction")
    input: str = Field("input", description="field of the optional further input")
    output: str = Field("output", description="field of the answer")
    label: str | None = Field(None, description="field that names the domain of a record")
    text: str = Field("text", description="format text: field of the text")
    messages: str = Field("messages", description="format chat: field of the conversation")
    prompt: str = Field("prompt", description="format preference: field of the prompt")
    chosen: str = Field("chosen", description="format preference: field of the better answer")
    rejected: str = Field("rejected", description="format preference: field of the worse answer")


class Data(Settings):
    """Instruction data and how the clients share it."""

    source: str = Field(
        "sample",
        description="`sample` (shipped instruction tasks), `reasoning-gym` (tasks generated), a "
        "JSON, JSONL, parquet or text file, or a hub data set 'owner/name'",
    )
    format: Literal["instruction", "alpaca", "dolly", "chat", "text", "preference"] = Field(
        "instruction",
        description="`instruction` by the names in `fields`; `alpaca` and `dolly` have their own; "
        "`chat` conversations; `text` without prompts; `preference` for training.objective dpo",
    )
    fields: Fields = Fields()
    split: str = Field("train", description="split of a hub data set")
    tasks: tuple[str, ...] = Field((), description="tasks of reasoning-gym, each a domain")
    task_records: Count = Field(500, description="records generated of each task")
    piece_characters: Annotated[int, Field(ge=16)] = Field(
        400, description="format text: documents are cut at white space into pieces this long"
    )
    template: str = Field(
        "auto",
        description="prompt: `chat` (the tokenizer's), `alpaca`, `plain`, `auto` (chat if there is "
        "one, else alpaca), or a text of your own with {instruction} and {input}",
    )
    partition: Literal["domain", "iid", "dirichlet", "size"] = Field(
        "domain",
        description="one domain per client, at random, Dirichlet over the domains, or by size",
    )
    dirichlet_alpha: Positive = Field(0.5, description="concentration of the Dirichlet partition")
    sizes: tuple[Positive, ...] | None = Field(
        None, description="partition size: shares of the clients; null is a power law"
    )
    size_exponent: NonNegative = Field(
        1.0, description="power law of the sizes: client k has a share of 1/k^exponent"
    )
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share of the records held out for validation"
    )
    max_tokens: Annotated[int, Field(ge=8)] = Field(
        96,
        description="longest sequence; of a longer one the answer loses its end, down to half "
        "of this, then the prompt its front",
    )
    max_records: Count | None = Field(None, description="use at most so many records")
    pretraining_corpus: str | None = Field(
        None,
        description="plain text like what a ready model was pre-trained on: .txt (blank lines "
        "between documents) or .jsonl (field `text`); needed to calibrate the change of data",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.template not in TEMPLATES and "{instruction}" not in self.template:
            raise ValueError(
                f"template = {self.template!r}: must be one of {', '.join(TEMPLATES)} or a text "
                "with {instruction}"
            )
        return self


class Pretraining(Settings):
    """Phase 1: centralised pre-training of the small model at the server."""

    steps: int = Field(2000, ge=0, description="optimiser steps T0")
    batch_size: Count = Field(32, description="batch size B0")
    learning_rate: Positive = Field(2e-3, description="peak AdamW learning rate")
    sources: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("sample",),
        description="what it reads: `sample` (shipped instruction tasks) and files of plain text "
        "(.txt, or JSON, JSONL or parquet with a field `text`), in equal shares by task and file",
    )
    charge: bool = Field(True, description="book its latency and energy in every scheme")


class Training(Settings):
    """Phase 2: federated fine-tuning."""

    objective: Literal["sft", "dpo"] = Field(
        "sft",
        description="sft: cross-entropy of the answers; dpo: direct preference optimisation on "
        "pairs of answers (data.format: preference)",
    )
    beta: Positive = Field(0.1, description="dpo: pull towards the model at the start")
    rounds: Count = Field(30, description="federated rounds T")
    local_steps: Count = Field(1, description="local steps H; 1 sends the gradient")
    local_learning_rate: Positive = Field(0.1, description="learning rate of local steps (H > 1)")
    batch_size_max: Count = Field(16, description="largest mini-batch B_max of a client")
    clip_norm: Positive | None = Field(None, description="clip a client's update to this norm")
    server_optimizer: Literal["sgd", "momentum", "adam", "yogi"] = Field(
        "adam", description="server optimiser (FedOpt)"
    )
    learning_rate: Positive = Field(1e-2, description="server learning rate eta")
    learning_rates: dict[str, Positive] = Field(
        default_factory=dict, description="eta of single schemes, by name, where it differs"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="momentum: its factor")
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="adam, yogi: beta1")
    beta2: Annotated[float, Field(ge=0, lt=1)] = Field(0.99, description="adam, yogi: beta2")
    epsilon: Positive = Field(
        1e-8, description="adam, yogi: added to the root; large means closer to momentum (tau)"
    )

    def of(self, scheme: str) -> Training:
        """Return the settings of one scheme: with its own learning rate, if it has one."""
        rate = self.learning_rates.get(scheme, self.learning_rate)
        return self.model_copy(update={"learning_rate": rate})


class Evaluation(Settings):
    """Validation of the global model."""

    every: Count = Field(1, description="rounds between evaluations (the last is always made)")
    records: Count = Field(400, description="validation records used, spread over the domains")
    batch_size: Count = Field(50, description="records evaluated at once")
    answers: Annotated[int, Field(ge=0)] = Field(
        8, description="answers written before and after fine-tuning"
    )


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
    """The edge server's accelerator; one clock (as set: 2 TFLOP/s at 10 W, 4 TFLOP/s at 80 W)."""

    flop_per_cycle: Positive = Field(2048.0, description="FLOP per cycle phi_0")
    f_min_hz: Positive = Field(1e9, description="lowest clock")
    f_max_hz: Positive = Field(2e9, description="highest clock")
    kappa: Positive = Field(1e-26, description="effective capacitance: power = kappa f^3")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.f_max_hz < self.f_min_hz:
            raise ValueError(f"f_max_hz = {self.f_max_hz}: must be >= f_min_hz = {self.f_min_hz:g}")
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
    ris: Ris = Ris()
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
    planning: Planning = Planning()
    bound: Bound = Bound()
    calibration: Calibration = Calibration()

    @model_validator(mode="after")
    def _check(self) -> Self:
        top = self.client_processor.f_max_hz
        if isinstance(top, tuple) and len(top) != self.clients.count:
            raise ValueError(
                f"client_processor.f_max_hz = {list(top)}: must be one number or a list of "
                f"clients.count = {self.clients.count}"
            )
        budget = self.budget.client_energy_j
        if isinstance(budget, tuple) and len(budget) != self.clients.count:
            raise ValueError(
                f"budget.client_energy_j = {json.dumps(budget)}: must be one number or a list of "
                f"clients.count = {self.clients.count}"
            )
        if self.planning.replan_factor is not None and self.plan != "own":
            raise ValueError(
                f"planning.replan_factor = {self.planning.replan_factor:g}: needs plan = own, "
                "for schemes that plan anew no longer share a plan"
            )
        if self.planning.pretraining == "planned" and not (
            self.pretraining.charge and self.model.source == "small"
        ):
            raise ValueError(
                "planning.pretraining = planned: needs pretraining.charge = true and "
                "model.source = small"
            )
        if self.training.objective == "dpo" and (
            self.data.format != "preference" or self.model.lora.dropout > 0
        ):
            raise ValueError(
                "training.objective = dpo: needs data.format = preference and "
                f"model.lora.dropout = 0, not {self.data.format} and {self.model.lora.dropout:g}"
            )
        if self.data.sizes is not None and len(self.data.sizes) != self.clients.count:
            raise ValueError(
                f"data.sizes = {list(self.data.sizes)}: must be a list of clients.count = "
                f"{self.clients.count}"
            )
        if len(set(self.schemes)) != len(self.schemes):
            raise ValueError(f"schemes = {list(self.schemes)}: must not repeat")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON types."""
        return self.model_dump(mode="json")
