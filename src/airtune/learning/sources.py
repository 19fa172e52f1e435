"""Where a model comes from: trained here, a local folder, a GGUF file, or the hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from airtune.errors import InputError, clip
from airtune.learning.data import load_sample
from airtune.learning.gguf_file import config_and_tokenizer, convert_gguf
from airtune.learning.origin import HUB_ID
from airtune.learning.pretrain import Progress, small_model
from airtune.learning.quiet import quiet, reports_on_success, without_hints
from airtune.learning.tokenizer import train_tokenizer
from airtune.learning.weights import empty_model, load_weights, random_weights, without_weights
from airtune.scenario import Scenario

ALLOWED = "'small', a folder, a .gguf file or a hub id 'owner/name'"
SIMPLE_VOCABULARY = 512


def open_model(scenario: Scenario, progress: Progress) -> tuple[Any, Any, str]:
    """Return the base model, its tokenizer, and the folder or hub id that names it.

    Parameters
    ----------
    scenario : Scenario
        `model.source`: ``small``, a folder, a ``.gguf`` file or a hub id.  Only a hub id may use
        the network.  `model.dtype`, `model.quantization` and `model.random_weights` say what its
        weights become.
    progress : callable
        Called with a text and the fraction done.

    Raises
    ------
    InputError
        The source is none of these, cannot be loaded, or its tokenizer has no end token.
    """
    without_hints()
    source = scenario.model.source
    if source == "small":
        name = str(small_model(scenario, progress))
    elif _is_gguf(source):
        progress("converting the GGUF file", 0.0)
        with _readable(source):
            name = str(convert_gguf(Path(source).resolve(), Path(scenario.cache)))
    else:
        name = _folder_or_hub_id(scenario)
    options = _options(scenario, name)
    progress("loading the model", 1.0)
    with _readable(source):
        if scenario.model.random_weights:
            model = random_weights(name, scenario.model, options, scenario.seed)
            tokenizer = _any_tokenizer(name, model.config.get_text_config().vocab_size, options)
        else:
            tokenizer = _any_tokenizer(name, None, options)
            model = load_weights(name, scenario.model, options)
    _check_end(tokenizer, source)
    return model, tokenizer, name


def open_shape(scenario: Scenario) -> tuple[Any, Any]:
    """Return the model without its weights (device ``meta``), and its tokenizer.

    Nothing is trained or converted, and of a hub model only configuration and tokenizer are read.

    Raises
    ------
    InputError
        As :func:`open_model`, but for what is wrong with weights.
    """
    without_hints()
    source = scenario.model.source
    if source == "small":
        from airtune.learning.pretrain import corpus, fresh_model

        tokenizer = corpus(scenario)[1]
        with torch.device("meta"):
            return fresh_model(scenario.model.small, tokenizer, 0), tokenizer
    trust = scenario.model.trust_remote_code
    if _is_gguf(source):
        with _readable(source):
            config, tokenizer = config_and_tokenizer(Path(source))
            base = empty_model(config, trust_remote_code=trust)[0]
    else:
        name = _folder_or_hub_id(scenario)
        options = _options(scenario, name)
        with _readable(source):
            base, config = without_weights(name, options)
            vocabulary = config.get_text_config().vocab_size
            made = scenario.model.random_weights
            tokenizer = _any_tokenizer(name, vocabulary if made else None, options)
    _check_end(tokenizer, source)
    return base, tokenizer


def _is_gguf(source: str) -> bool:
    return Path(source).suffix == ".gguf" and Path(source).is_file()


def _folder_or_hub_id(scenario: Scenario) -> str:
    source = scenario.model.source
    path = Path(source)
    if path.is_dir():
        return str(path.resolve())
    if path.suffix == ".gguf" or not HUB_ID.fullmatch(source) or scenario.model.obtain:
        hint = scenario.model.obtain
        raise InputError(
            f"model.source: {source!r} does not exist; "
            + (f"get it once with:  {hint}" if hint else f"allowed are {ALLOWED}")
        )
    return source


def _options(scenario: Scenario, name: str) -> dict[str, bool]:
    trust = scenario.model.trust_remote_code
    return {"local_files_only": not _is_hub(name), "trust_remote_code": trust}


def _check_end(tokenizer: Any, source: str) -> None:
    if tokenizer.eos_token_id is None:
        raise InputError(f"model.source: the tokenizer of {source!r} has no end token")


def _any_tokenizer(name: str, vocabulary: int | None, options: Mapping[str, Any]) -> Any:
    """Return the tokenizer of a model.

    Where one may be made, it has at most `vocabulary` tokens, and only the configuration is there.
    """
    from transformers import AutoTokenizer

    if vocabulary is not None and not _is_hub(name) and not list(Path(name).glob("tokenizer*")):
        records = load_sample("general")
        texts = (text for r in records for text in (r.instruction, r.input, r.output) if text)
        return train_tokenizer(texts, min(SIMPLE_VOCABULARY, vocabulary))
    return AutoTokenizer.from_pretrained(name, **options)


def folder_of(name: str) -> Path | None:
    """Return the folder that a model was read from; of a hub id, its snapshot in the hub's cache.

    Parameters
    ----------
    name : str
        Folder or hub id, as :func:`open_model` returns it.

    Returns
    -------
    Path or None
        None where there is no such folder.
    """
    if Path(name).is_dir():
        return Path(name)
    if not HUB_ID.fullmatch(name):
        return None
    from transformers.utils import cached_file

    try:
        with quiet():
            found = cached_file(name, "config.json", local_files_only=True)
    except (OSError, ValueError):
        return None
    return None if found is None else Path(found).parent


def _is_hub(name: str) -> bool:
    return not Path(name).is_dir()


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """Turn the errors of a model that cannot be loaded into one sentence; show no bars."""
    try:
        with quiet(), reports_on_success():
            yield
    except (InputError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # of files: a dozen kinds, down to the panics of Rust libraries
        first = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"model.source: {source!r} cannot be loaded: {clip(first)}") from error
