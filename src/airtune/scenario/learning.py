"""Settings of the model, the data, pre-training, training and evaluation."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, computed_field, model_validator

from airtune.errors import clip, shown
from airtune.registry import CLIENT_OBJECTIVES, SCHEMES, SERVER_OPTIMIZERS
from airtune.scenario.base import (
    Count,
    Million,
    NonNegative,
    Positive,
    Registered,
    Settings,
    chosen,
)
from airtune.scenario.units import Quantity

TEMPLATES = ("auto", "alpaca", "chat", "plain")

TAKEN = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "conversations",
        "documents",
        "max_length",
        "messages",
        "padding",
        "raise_exception",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "sanitize_control_tokens",
        "self",
        "strftime_now",
        "tokenize",
        "tokenizer_kwargs",
        "tools",
        "truncation",
    }
)
"""Arguments of ``apply_chat_template`` and names that it gives a template: no variables of one."""


def _template(value: Any) -> Any:
    """Take the names of templates in any case; a template of one's own stays as it is."""
    return chosen(value, TEMPLATES) if isinstance(value, str) else value


def _clients(value: Any) -> Any:
    word = chosen(value, ("auto",)) if isinstance(value, str) else value
    if word == "auto":
        return word
    if type(value) not in (int, float) or value % 1 or not 1 <= value <= 10_000:
        raise ValueError("must be auto or a whole number from 1 to 10000")
    return int(value)


class Lora(Settings):
    """Low-rank adapters (peft)."""

    rank: Annotated[int, Field(ge=1, le=65_536)] = Field(8, description="rank r")
    alpha: Positive = Field(16.0, description="scale alpha; the adapter is multiplied by alpha/r")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="LoRA dropout")
    rslora: bool = Field(False, description="multiply by alpha/sqrt(r) instead (rsLoRA)")
    target_modules: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        description="layers that carry an adapter; `all-linear`: all but the language head",
    )


class SmallLlama(Settings):
    """Shape of the LLaMA that is trained from scratch when `model.source` is `small`."""

    hidden: Annotated[int, Field(ge=1, le=65_536)] = Field(160, description="hidden size")
    layers: Annotated[int, Field(ge=1, le=1000)] = Field(3, description="decoder layers")
    heads: Annotated[int, Field(ge=1, le=4096)] = Field(5, description="attention heads")
    intermediate: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        448, description="width of the feed-forward layers"
    )
    vocabulary: Annotated[int, Field(ge=300, le=1_000_000)] = Field(
        512, description="tokens of the BPE"
    )

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
    hub_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")] | None = Field(
        None, description="hub id of `source` where that is a file or a folder, for model cards"
    )
    licence: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")] | None = Field(
        None, description="licence of `source` for model cards, as the hub spells it (apache-2.0)"
    )
    small: SmallLlama = SmallLlama()
    random_weights: bool = Field(
        False, description="draw weights for the configuration of `source`, to measure its shape"
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="precision of the base model; adapters are always float32"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="where the model is: auto takes a GPU (cuda, mps) where there is one"
    )
    autocast: Literal["none", "bfloat16", "float16"] = Field(
        "none",
        description="precision of products in forward and backward passes; adapters, updates and "
        "losses stay float32",
    )
    clients_per_pass: Annotated[
        Annotated[int, Field(ge=1, le=10_000)] | Literal["auto"], BeforeValidator(_clients)
    ] = Field(
        "auto",
        description="clients whose samples go through the base model in one forward and backward "
        "pass; auto: on cuda as many as the memory holds, elsewhere and with engine.name flower 1",
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
        "`chat` conversations; `text` without prompts; `preference` for the client objective dpo",
    )
    fields: Fields = Fields()
    split: str = Field("train", description="split of a hub data set")
    tasks: tuple[str, ...] = Field((), description="tasks of reasoning-gym, each a domain")
    task_records: Million = Field(500, description="records generated of each task")
    piece_characters: Annotated[int, Field(ge=16, le=10_000_000)] = Field(
        400, description="format text: documents are cut at white space into pieces this long"
    )
    template: Annotated[str, BeforeValidator(_template)] = Field(
        "auto",
        description="prompt: `chat` (the tokenizer's), `alpaca`, `plain`, `auto` (chat if there is "
        "one, else alpaca), or a text of your own with {instruction} and {input}",
    )
    template_options: dict[str, bool | int | float | str] = Field(
        default_factory=dict,
        description="variables of the chat template, such as {enable_thinking: false}",
    )
    turns: Literal["last", "all"] = Field(
        "last",
        description="what is learnt of a talk: its last answer, or every turn of the assistant",
    )
    date: datetime.date | None = Field(
        None,
        description="day that a chat template is told which asks for it (YYYY-MM-DD); null: the "
        "day on which the run was begun",
    )
    strict: bool = Field(
        False, description="refuse data with a record that cannot be used; false leaves it out"
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
    validation_fraction: Annotated[float, Field(gt=0, lt=1), Quantity("", 1e-5, 1)] = Field(
        0.1, description="share of the records held out for validation"
    )
    max_tokens: Annotated[int, Field(ge=8, le=1_000_000)] = Field(
        96,
        description="longest sequence; of a longer one the answer loses its end, down to half "
        "of this, then the talk its oldest turns and the question its front",
    )
    max_records: Count | None = Field(None, description="use at most so many records")
    pretraining_corpus: str | None = Field(
        None,
        description="plain text like what a ready model was pre-trained on: .txt (blank lines "
        "between documents) or .jsonl (field `text`); needed to calibrate the change of data",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if taken := sorted(set(self.template_options) & TAKEN):
            raise ValueError(
                f"template_options = {shown(self.template_options)}: must not set "
                f"{', '.join(taken)}, which the program decides; allowed are variables that the "
                "model's chat template reads, such as enable_thinking"
            )
        if self.template not in TEMPLATES and "{instruction}" not in self.template:
            raise ValueError(
                f"template = {shown(self.template)}: must be one of {', '.join(TEMPLATES)} or a "
                "text with {instruction}"
            )
        return self


class Pretraining(Settings):
    """Phase 1: centralised pre-training of the small model at the server."""

    steps: int = Field(2000, ge=0, le=10_000_000, description="optimiser steps T0")
    batch_size: Million = Field(32, description="batch size B0")
    learning_rate: Positive = Field(2e-3, description="peak AdamW learning rate")
    sources: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("sample",),
        description="what it reads: `sample` (shipped instruction tasks) and files of plain text "
        "(.txt, or JSON, JSONL or parquet with a field `text`), in equal shares by task and file",
    )
    charge: bool = Field(True, description="book its latency and energy in every scheme")


class Training(Settings):
    """Phase 2: federated fine-tuning."""

    client_objective: Annotated[str, Registered(CLIENT_OBJECTIVES)] = Field(
        "sft",
        description="what clients minimise; sft: cross-entropy of the answers; dpo: direct "
        "preference optimisation on pairs of answers (data.format: preference); fedprox: sft with "
        "a pull towards the global adapter; scaffold: sft with control variates",
    )
    beta: Positive = Field(0.1, description="dpo: pull towards the model at the start")
    proximal: Positive = Field(0.1, description="fedprox: pull mu towards the global adapter")
    rounds: Million = Field(30, description="federated rounds T")
    local_steps: Million = Field(1, description="local steps H; 1 sends the gradient")
    local_learning_rate: Positive = Field(0.1, description="learning rate of local steps (H > 1)")
    client_optimizer: Literal["sgd", "adamw"] = Field(
        "sgd", description="optimiser of local steps (H > 1); adamw begins anew each round"
    )
    client_weight_decay: NonNegative = Field(
        0.0, description="client_optimizer adamw: decay of the weights per unit of its rate"
    )
    batch_size_max: Million = Field(16, description="largest mini-batch B_max of a client")
    clip_norm: Positive | None = Field(None, description="clip a client's update to this norm")
    anomaly_stop: Positive | None = Field(
        None,
        description="make no step in a round whose decoded mean has a norm above median + so many "
        "robust standard deviations (1.4826 MAD) of the last accepted rounds; null: no test",
    )
    anomaly_window: Annotated[int, Field(ge=5)] = Field(
        10, description="anomaly_stop: accepted rounds that it looks back on, at least 5 of them"
    )
    server_optimizer: Annotated[str, Registered(SERVER_OPTIMIZERS)] = Field(
        "adam", description="server optimiser (FedOpt): sgd, momentum, adam or yogi"
    )
    learning_rate: Positive = Field(1e-2, description="server learning rate eta")
    learning_rates: dict[Annotated[str, Registered(SCHEMES)], Positive] = Field(
        default_factory=dict, description="eta of single schemes, by name, where it differs"
    )
    learning_rate_rule: Literal["fixed", "noise-aware"] = Field(
        "fixed",
        description="eta in every round; or times min(sqrt(1 + 5.7 MSE), 1.4) where the predicted "
        "MSE is below 0.5 (for adam, yogi and others that divide by a second moment)",
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="momentum: its factor")
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="adam, yogi: beta1")
    beta2: Annotated[float, Field(ge=0, lt=1)] = Field(0.99, description="adam, yogi: beta2")
    epsilon: Positive = Field(
        1e-8, description="adam, yogi: added to the root; large means closer to momentum (tau)"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_older_name(cls, values: Any) -> Any:
        """Take `objective` for `client_objective`, and both where they say the same."""
        if not isinstance(values, dict) or "objective" not in values:
            return values
        values = dict(values)
        older = values.pop("objective")
        newer = values.setdefault("client_objective", older)
        if newer != older:
            raise ValueError(
                f"client_objective = {clip(newer)} and objective = {clip(older)}: "
                "two names of one setting; must not differ"
            )
        return values

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def objective(self) -> str:
        """`client_objective` under its older name, for readers of older documents."""
        return self.client_objective

    def of(self, scheme: str) -> Training:
        """Return the settings of one scheme: with its own learning rate, if it has one."""
        rate = self.learning_rates.get(scheme, self.learning_rate)
        return self.model_copy(update={"learning_rate": rate})


class Evaluation(Settings):
    """Validation of the global model."""

    every: Count = Field(1, description="rounds between evaluations (the last is always made)")
    records: Count = Field(400, description="validation records used, spread over the domains")
    batch_size: Million = Field(50, description="records evaluated at once")
    answers: Annotated[int, Field(ge=0, le=10_000)] = Field(
        8, description="answers written before and after fine-tuning"
    )
