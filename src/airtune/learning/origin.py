"""What a base model is called elsewhere, and adapter folders that another machine understands."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

from airtune.errors import InputError
from airtune.learning.quiet import quiet
from airtune.scenario.learning import Model

ABSOLUTE = re.compile(r"[/\\~]|[A-Za-z]:")
# Of PEFT.
CONFIG = "adapter_config.json"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
TEXT_CLASS, IMAGES_CLASS = "AutoModelForCausalLM", "AutoModelForImageTextToText"
SNAPSHOT = re.compile(r"models--([\w.-]+?)--([\w.-]+)")
HUB_ADDRESS = re.compile(r"^https?://huggingface\.co/([^/?#]+/[^/?#]+)")
# What transformers notes of how a tokenizer was loaded here.
LOCAL = ("is_local", "local_files_only", "name_or_path")
# What a GGUF file was made from, not what that was trained from: `general.base_model` is another.
GGUF_FIELDS = (
    "general.source.huggingface.repository",
    "general.source.repo_url",
    "general.source.url",
    "general.repo_url",
    "general.url",
)


def hub_id(settings: Model) -> str | None:
    """Return the id of a base model on the hub; None where nothing says it.

    Parameters
    ----------
    settings : Model
        `hub_id` comes first, then a `source` that is an id, a GGUF file that names what it was made
        from, and a folder.  A snapshot of the hub's cache carries the id in its path.  The
        configuration of a folder may name an id, which is often that of the model that it was tuned
        from; it counts only where the folder has the same name.

    Examples
    --------
    >>> hub_id(Model(source="HuggingFaceTB/SmolLM2-135M"))
    'HuggingFaceTB/SmolLM2-135M'
    >>> hub_id(Model(source="smol.gguf", hub_id="HuggingFaceTB/SmolLM2-135M"))
    'HuggingFaceTB/SmolLM2-135M'
    """
    if settings.hub_id is not None:
        return settings.hub_id
    source = Path(settings.source)
    if source.suffix == ".gguf" and source.is_file():
        return _gguf_id(source.resolve())
    if source.is_dir():
        return _folder_id(source.resolve())
    return settings.source if HUB_ID.fullmatch(settings.source) else None


def _folder_id(folder: Path) -> str | None:
    for part in folder.parts:
        snapshot = SNAPSHOT.fullmatch(part)
        if snapshot:
            return f"{snapshot[1]}/{snapshot[2]}"
    try:
        named = json.loads((folder / "config.json").read_text(encoding="utf-8"))["_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(named, str) or not HUB_ID.fullmatch(named):
        return None
    return named if named.split("/")[1].lower() == folder.name.lower() else None


@functools.cache
def _gguf_id(path: Path) -> str | None:
    import gguf

    try:
        with quiet():
            reader = gguf.GGUFReader(path)
    except (OSError, ValueError):
        return None
    for name in GGUF_FIELDS:
        field = reader.get_field(name)
        text = str(field.contents()) if field is not None else ""
        address = HUB_ADDRESS.match(text)
        text = address[1] if address else text
        if HUB_ID.fullmatch(text):
            return text
    return None


def shared_name(settings: Model, folder: Path | str) -> str:
    """Return how an adapter names its base: an id of the hub, else a name without this machine.

    That name is the path relative to the present folder where the model lies below it, else the
    last part of the path.

    Examples
    --------
    >>> shared_name(Model(source="/home/me/models/my-llama"), "/home/me/models/my-llama")
    'my-llama'
    """
    found = hub_id(settings)
    if found is not None:
        return found
    path = Path(folder)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        return path.relative_to(Path.cwd()).as_posix()
    return without_place(str(folder))


def without_place(text: str) -> str:
    """Return a path that leads out of the present folder as its last part, other texts unchanged.

    Examples
    --------
    >>> without_place("/home/me/talks.jsonl"), without_place("data/talks.jsonl")
    ('talks.jsonl', 'data/talks.jsonl')
    """
    parts = re.split(r"[/\\]", text)
    if not ABSOLUTE.match(text) and ".." not in parts:
        return text
    inside = [part for part in parts if part.strip(".") and not ABSOLUTE.match(part)]
    return inside[-1] if inside else ""


def complete(folder: Path, settings: Model, tokenizer: Any, base: Any) -> None:
    """Make a PEFT folder one that can be passed on: the base by a name, and the tokenizer's files.

    Parameters
    ----------
    folder : Path
        As :meth:`airtune.learning.model.AdapterModel.save` writes it.
    settings : Model
    tokenizer : transformers tokenizer
        Saved with its chat template.
    base : transformers model
        The class of one that takes images is noted as PEFT notes it, for :func:`opened_by`.
    """
    rename_base(folder, shared_name(settings, base_name(folder)))
    if _auto_class(type(base).__name__) != TEXT_CLASS:
        file = folder / CONFIG
        config = json.loads(file.read_text(encoding="utf-8"))
        kind = {"base_model_class": type(base).__name__, "parent_library": type(base).__module__}
        _write(file, {**config, "auto_mapping": kind})
    save_tokenizer(tokenizer, folder)


def opened_by(folder: Path) -> str:
    """Return the class of transformers that opens the base model of an adapter folder.

    Returns
    -------
    str
        ``AutoModelForCausalLM``, or ``AutoModelForImageTextToText`` where the folder says that the
        base takes images.
    """
    kind = _config(folder).get("auto_mapping")
    return _auto_class(str(kind.get("base_model_class") if isinstance(kind, dict) else None))


def _auto_class(model: str) -> str:
    from transformers.models.auto import modeling_auto as known

    text = known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()
    images = known.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values()
    return IMAGES_CLASS if model in images and model not in text else TEXT_CLASS


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write a tokenizer without notes of how it was loaded on this machine."""
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    kept = json.loads(file.read_text(encoding="utf-8"))
    _write(file, {name: value for name, value in kept.items() if name not in LOCAL})


def base_name(folder: Path) -> str:
    """Return what an adapter folder calls its base model; nothing where it does not say."""
    return str(_config(folder).get("base_model_name_or_path") or "")


def rank_of(folder: Path) -> tuple[int, float] | None:
    """Return rank and alpha of an adapter folder; None where it does not say."""
    config = _config(folder)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if isinstance(rank, int) and isinstance(alpha, int | float):
        return rank, float(alpha)
    return None


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def rename_base(folder: Path, name: str) -> None:
    """Let an adapter folder call its base model `name`.

    The target layers, which PEFT keeps as a set, get an order of their own.
    """
    file = folder / CONFIG
    config = _config(folder)
    if not config:
        raise InputError(f"{file}: is not the configuration of an adapter; put back a whole copy")
    config["base_model_name_or_path"] = name
    if isinstance(config.get("target_modules"), list):
        config["target_modules"] = sorted(config["target_modules"])
    _write(file, config)


def _write(file: Path, content: dict[str, Any]) -> None:
    # As transformers and PEFT write these files, so that what does not change stays the same bytes.
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    file.write_text(text + "\n" * file.read_text(encoding="utf-8").endswith("\n"), encoding="utf-8")
