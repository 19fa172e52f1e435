"""The model card of a finished cell: README.md of its adapter folder.

Everything in it comes from the run folder, and nothing from the clock or from this machine, so that
a resumed run has the card of an uninterrupted one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from airtune import record
from airtune.errors import InputError
from airtune.learning.origin import HUB_ID, base_name, hub_id, opened_by, rank_of, without_place
from airtune.record import Cell, names
from airtune.record.course import diverged, never_stepped, rounds_without_step
from airtune.record.documents import EnvironmentDocument, MetricsLine
from airtune.registry import SCHEMES
from airtune.scenario import Scenario

CARD = "README.md"
PAPER = "https://arxiv.org/abs/2506.00011"
TAGS = ("airtune", "federated-learning", "lora", "over-the-air-computation")
FILES = (".json", ".jsonl", ".parquet", ".txt")
NO_PATHS = {"template"}
"""Settings that are text and may begin like a path."""
PACKAGES = ("airtune", "torch", "transformers", "peft")
"""Whose versions the card names."""
NO_PLACE = {"cache", "threads"}
"""Settings of the machine, which the card leaves out."""


@dataclass(frozen=True)
class Subject:
    """What a card is of.

    Attributes
    ----------
    scenario : Scenario
    cell : Cell
        Its rounds are over.
    base : str
        Name of the base model: a hub id, or what the adapter calls it.
    on_hub : bool
        Whether `base` is a hub id.
    place : str
        Where the reader has the files from: a hub id, or words for this folder.
    merged : bool
        Whether the whole model is in the folder, and the adapter in a folder `adapter` of it.
    subfolder : str
        Folder of `place` where the files are; empty for the place itself.
    """

    scenario: Scenario
    cell: Cell
    base: str
    on_hub: bool
    place: str
    merged: bool = False
    subfolder: str = ""


def of_run(scenario: Scenario, cell: Cell) -> Subject:
    """Return what the card in a cell's own adapter folder is of."""
    found = hub_id(scenario.model)
    named = found or base_name(cell.adapter_folder) or without_place(scenario.model.source)
    place = Path(cell.scheme, cell.folder.name, names.ADAPTER).as_posix()
    return Subject(scenario, cell, named, found is not None, place)


def adapter_of(about: Subject) -> Subject:
    """Return what the card beside the adapter itself is of."""
    return replace(about, merged=False, subfolder=names.ADAPTER if about.merged else "")


def base_on_hub(folder: Path) -> str | None:
    """Return the hub id that the card in an adapter folder gives for the base, as of the run's end.

    Returns
    -------
    str or None
        Empty where the card says that there is none; None where there is no card of airtune's.
    """
    try:
        head = (folder / CARD).read_text(encoding="utf-8").split("---\n")[1]
        data = yaml.safe_load(head)
    except (OSError, ValueError, IndexError, yaml.YAMLError):
        return None
    if not isinstance(data, dict) or TAGS[0] not in (data.get("tags") or ()):
        return None
    return str(data.get("base_model") or "")


def write(about: Subject, folder: Path) -> None:
    """Write the card into a folder; a card that is there is replaced."""
    (folder / CARD).write_text(text(about, folder), encoding="utf-8")


def text(about: Subject, folder: Path) -> str:
    """Return the card: metadata in YAML as the hub reads it, then Markdown.

    Parameters
    ----------
    about : Subject
    folder : Path
        Folder with the tokenizer, whose chat template decides what `data.template` auto means.
    """
    lines = record.read_history(about.cell)
    parts = [
        f"---\n{_metadata(about)}\n---\n",
        _head(about),
        _results(lines),
        _loading(about, _template(about.scenario, folder)),
        _air(about, lines),
        _origin(about),
        f"## Reference\n\nFederated fine-tuning over the air with movable antennas: {PAPER}\n",
    ]
    return "\n".join(parts)


def _metadata(about: Subject) -> str:
    from huggingface_hub import ModelCardData

    model, source = about.scenario.model, about.scenario.data.source
    local = Path(source).exists() or Path(source).suffix in FILES
    more: dict[str, Any] = {}
    if about.on_hub:
        more["base_model_relation"] = "finetune" if about.merged else "adapter"
    data = ModelCardData(
        base_model=about.base if about.on_hub else None,
        datasets=[source] if HUB_ID.fullmatch(source) and not local else None,
        library_name="transformers" if about.merged else "peft",
        license=model.licence or "unknown",
        pipeline_tag="text-generation",
        tags=list(TAGS),
        **more,
    )
    return str(data.to_yaml())


def _head(about: Subject) -> str:
    scenario, cell = about.scenario, about.cell
    lora, data = scenario.model.lora, scenario.data
    targets = lora.target_modules
    what = "A language model with its LoRA adapter merged in" if about.merged else "A LoRA adapter"
    rows = {
        "base model": f"`{about.base}`" + ("" if about.on_hub else ", not on the hub (below)"),
        "licence of the base model": model_licence(scenario),
        "scheme": f"`{cell.scheme}`, repetition {cell.seed} (seed {scenario.seed + cell.seed})",
        **_radio(cell.scheme),
        "rounds": str(record.read_history(cell)[-1].round),
        "clients": str(scenario.clients.count),
        "data": f"`{without_place(data.source)}`, format {data.format}, "
        f"shared among the clients by {data.partition}",
        "objective": scenario.training.client_objective,
        "LoRA": f"{_rank(about)}, on "
        + (targets if isinstance(targets, str) else ", ".join(sorted(targets))),
        "weights of the base in training": scenario.model.dtype
        + (", 4-bit NormalFloat" if scenario.model.quantization == "nf4" else ""),
    }
    return (
        f"# {scenario.name}, {cell.scheme}\n\n{what}, fine-tuned by {scenario.clients.count} "
        "clients in a simulation of federated learning over a wireless channel.\n\n"
        + _table(("", ""), rows.items())
    )


def _rank(about: Subject) -> str:
    """Return rank and scale of the adapter that was written, which may be another than trained."""
    lora = about.scenario.model.lora
    trained = f"rank {lora.rank}, alpha {lora.alpha:g}{', rsLoRA' if lora.rslora else ''}"
    written = rank_of(about.cell.adapter_folder)
    if written is None or written[0] == lora.rank:
        return trained
    rank, alpha = written
    return f"rank {rank}, alpha {alpha:g} (trained with {trained})"


def _radio(scheme: str) -> dict[str, str]:
    """Return what the array and the air interface of a scheme are, where they say it."""
    parts = {"antennas": "array", "air interface": "air"}
    found = {name: getattr(_part(scheme, part), "about", "") for name, part in parts.items()}
    return {name: str(about) for name, about in found.items() if about}


def _part(scheme: str, name: str) -> Any:
    """Return the `array` or the `air` of a scheme; None where it is not known here."""
    try:
        return getattr(SCHEMES[scheme], name, None)
    except InputError:  # of a module that is not imported now
        return None


def model_licence(scenario: Scenario) -> str:
    """Return the licence of the base model in words."""
    return scenario.model.licence or "unknown; look it up before you pass this model on"


def _results(lines: list[MetricsLine]) -> str:
    scored = [line for line in lines if line.evaluated]
    first, last = scored[0], scored[-1]
    if any(line.preference_accuracy is not None for line in scored):
        figures = {"preference loss": "loss", "preference accuracy": "preference_accuracy"}
    else:
        figures = {
            "loss [nat per token]": "loss",
            "perplexity": "perplexity",
            "exact match": "exact_match",
        }
    rows = [
        (label, _figure(first.number(name)), _figure(last.number(name)))
        for label, name in figures.items()
    ]
    warned = "The run diverged: its loss did not fall. Do not use this model.\n\n"
    return (
        f"## Results\n\n{warned if diverged(lines) else ''}{_steps(lines)}"
        f"On the held-out records, before and after {last.round} rounds:\n\n"
        + _table(("", "before", "after"), rows)
    )


def _steps(lines: list[MetricsLine]) -> str:
    """Say how many rounds made no step; nothing for none, and where it is not known."""
    lost, done = rounds_without_step(lines), lines[-1].round
    if never_stepped(lines) and not diverged(lines):
        return "No round made a step: the server has learnt nothing. Do not use this model.\n\n"
    return f"{lost} of {done} rounds made no step.\n\n" if lost else ""


def _figure(value: float | None) -> str:
    return "none (diverged)" if value is None else f"{value:.4g}"


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _template(scenario: Scenario, folder: Path) -> str:
    template = scenario.data.template
    if template != "auto":
        return template
    try:
        inside = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        inside = {}
    has_own = (folder / "chat_template.jinja").exists() or bool(inside.get("chat_template"))
    return "chat" if has_own else "alpaca"


_PROMPTS = {
    "chat": "The tokenizer's own chat template.",
    "alpaca": "`### Instruction:\\n{instruction}\\n\\n### Response:\\n`, where there is further "
    "input `\\n\\n### Input:\\n{input}` after the instruction.",
    "plain": "`{instruction}\\n\\n{input}\\n`, the middle only where there is further input.",
}


def _loading(about: Subject, template: str) -> str:
    model, options = about.scenario.model, ""
    kind = opened_by(about.cell.adapter_folder)
    imports = [kind, "AutoTokenizer"]
    inside = f', subfolder="{about.subfolder}"' if about.subfolder else ""
    if model.dtype != "float32":
        options += f', dtype="{model.dtype}"'
    if model.quantization == "nf4" and not about.merged:
        imports.insert(2, "BitsAndBytesConfig")
        options += ", quantization_config=nf4"
    code = [f"from transformers import {', '.join(imports)}", ""]
    if about.merged:
        code.append(f'model = {kind}.from_pretrained("{about.place}"{options})')
    else:
        code.insert(0, "from peft import PeftModel")
        if "nf4" in options:
            code.append('nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")')
        if not about.on_hub:
            code.append("# The base model is not on the hub: see below.")
        code += [
            f'base = {kind}.from_pretrained("{about.base}"{options})',
            f'model = PeftModel.from_pretrained(base, "{about.place}"{inside})',
        ]
    code.append(f'tokenizer = AutoTokenizer.from_pretrained("{about.place}"{inside})')
    prompt = _PROMPTS.get(template, f"`{json.dumps(template, ensure_ascii=False)}`")
    adapter = " The adapter by itself is in the folder `adapter`." if about.merged else ""
    return (
        "## Use\n\n```python\n" + "\n".join(code) + "\n```\n\n"
        f"Prompts, as in training: {prompt}{adapter}\n"
    )


def _air(about: Subject, lines: list[MetricsLine]) -> str:
    errors = [line.mse for line in lines if line.mse is not None]
    mean = sum(errors) / len(errors) if errors else None
    cause = getattr(_part(about.cell.scheme, "air"), "inexact", None)
    if mean is None and cause != "":
        said = "With what error the updates of this run arrived is not known.\n"
    elif not mean:
        said = "The updates of this run arrived without error.\n"
    else:
        said = (
            f"What the server learnt from is {_merged(about)} with "
            f"{cause or 'the errors of the air interface'}: its squared error over the power of "
            f"the updates was {10 * math.log10(mean):.1f} dB in the mean over the rounds.\n"
        )
    poison = about.scenario.faults.poison
    if poison.active:
        clients = about.scenario.clients.count
        poisoned = len(poison.clients(clients, about.scenario.seed + about.cell.seed))
        said += f"Of the {clients} simulated clients {poisoned} were poisoned ({poison.kind}).\n"
    return f"## The air\n\n{said}"


def _merged(about: Subject) -> str:
    """Say what the server makes of the updates, or of the sums of groups of them."""
    settings = about.scenario.aggregation
    apart = getattr(_part(about.cell.scheme, "air"), "tells_apart", False)
    if settings.robust == "none" or not (apart or settings.groups > 1):
        return "the weighted sum of the updates"
    rule = settings.robust.replace("-", " ")
    return f"the {rule} of the {'updates' if apart else f'sums of {settings.groups} groups'}"


def _origin(about: Subject) -> str:
    scenario, scheme = about.scenario, about.cell.scheme
    if scenario.model.source == "small":
        small, phase = scenario.model.small, scenario.pretraining
        base = (
            f"The base model `{about.base}` is a LLaMA (layers: {small.layers}, width: "
            f"{small.hidden}, tokens: {small.vocabulary}) that airtune trains from scratch, "
            f"{phase.steps} steps of {phase.batch_size} samples. It is on no hub: the command "
            "below makes it again, to the bit with the same versions of torch and transformers.\n\n"
        )
    elif not about.on_hub:
        base = f"The base model `{about.base}` was a local file or folder.\n\n"
    else:
        base = ""
    own = yaml.safe_dump(settings(scenario), sort_keys=False, width=90, allow_unicode=True)
    return (
        f"## How it was made\n\n{base}With the settings below in `{names.SCENARIO}`:\n\n"
        f"```\nairtune run {names.SCENARIO} --scheme {scheme}\n```\n\n"
        f"{_versions(about.cell)}```yaml\n{own}```\n"
    )


def settings(scenario: Scenario) -> dict[str, Any]:
    """Return the settings that differ from their defaults, without paths of this machine.

    Examples
    --------
    >>> settings(Scenario(name="mine", data={"source": "/home/me/talks.jsonl"}))
    {'name': 'mine', 'data': {'source': 'talks.jsonl'}}
    """
    default = Scenario().to_dict()
    own = {k: v for k, v in scenario.to_dict().items() if k not in NO_PLACE}
    own["model"]["obtain"] = None  # a command of the owner's, which may say anything
    if scenario.data.template not in ("auto", "chat") or scenario.model.source == "small":
        own["data"]["date"] = None  # which only a chat template may ask for
    changed: dict[str, Any] = _changed(own, default)
    return changed


def _changed(own: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in own.items():
        before = default.get(name)
        if value == before:
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            result[name] = _changed(value, before)
        elif isinstance(value, list):
            result[name] = [without_place(v) if isinstance(v, str) else v for v in value]
        else:
            path = isinstance(value, str) and name not in NO_PATHS
            result[name] = without_place(value) if path else value
    # The older name says the same again.
    if "client_objective" in result:
        result.pop("objective", None)
    return result


def _versions(cell: Cell) -> str:
    """Return the versions that the run began with, which need not be those of this machine."""
    try:
        file = cell.folder.parents[1] / names.ENVIRONMENT
        packages = record.read_document(file, EnvironmentDocument).packages
    except InputError:
        return ""
    known = [f"{name} {packages[name]}" for name in PACKAGES if packages.get(name)]
    return f"Versions: {', '.join(known)}.\n\n" if known else ""
