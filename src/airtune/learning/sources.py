"""Where a model comes from: trained here, a local folder, a GGUF file, or the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from airtune.errors import InputError
from airtune.learning.data import load_sample
from airtune.learning.gguf_file import convert_gguf
from airtune.learning.pretrain import Progress, small_model
from airtune.learning.quiet import quiet, without_hints
from airtune.learning.tokenizer import train_tokenizer
from airtune.learning.weights import load_weights, random_weights
from airtune.scenario import Scenario

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
ALLOWED = "'small', a folder, a .gguf file or a hub id 'owner/name'"
SIMPLE_VOCABULARY = 512
UNREADABLE = (AttributeError, ImportError, KeyError, OSError, RuntimeError, TypeError, ValueError)


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
    path = Path(source)
    name = source
    if source == "small":
        name = str(small_model(scenario, progress))
    elif path.suffix == ".gguf" and path.is_file():
        progress("converting the GGUF file", 0.0)
        with _readable(source):
            name = str(convert_gguf(path.resolve(), Path(scenario.cache)))
    elif path.is_dir():
        name = str(path.resolve())
    elif path.suffix == ".gguf" or not HUB_ID.fullmatch(source) or scenario.model.obtain:
        hint = scenario.model.obtain
        raise InputError(
            f"model.source: {source!r} does not exist; "
            + (f"get it once with:  {hint}" if hint else f"allowed are {ALLOWED}")
        )
    options = {
        "local_files_only": not _is_hub(name),
        "trust_remote_code": scenario.model.trust_remote_code,
    }
    progress("loading the model", 1.0)
    with _readable(source):
        from transformers import AutoTokenizer

        if scenario.model.random_weights:
            model = random_weights(name, scenario.model, options, scenario.seed)
            tokenizer = _any_tokenizer(name, model.config.get_text_config().vocab_size, options)
        else:
            tokenizer = AutoTokenizer.from_pretrained(name, **options)
            model = load_weights(name, scenario.model, options)
    if tokenizer.eos_token_id is None:
        raise InputError(f"model.source: the tokenizer of {source!r} has no end token")
    return model, tokenizer, name


def _any_tokenizer(name: str, vocabulary: int, options: Mapping[str, Any]) -> Any:
    """Return the tokenizer of a model, or a simple one when only its configuration is there."""
    from transformers import AutoTokenizer

    if not _is_hub(name) and not list(Path(name).glob("tokenizer*")):
        records = load_sample("general")
        texts = (text for r in records for text in (r.instruction, r.input, r.output) if text)
        return train_tokenizer(texts, min(SIMPLE_VOCABULARY, vocabulary))
    return AutoTokenizer.from_pretrained(name, **options)


def _is_hub(name: str) -> bool:
    return not Path(name).is_dir()


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """Turn the errors of a model that cannot be loaded into one sentence; show no bars."""
    try:
        with quiet():
            yield
    except InputError:
        raise
    except (*UNREADABLE, SafetensorError) as error:
        first = str(error).strip().split("\n")[0]
        raise InputError(f"model.source: {source!r} cannot be loaded: {first}") from error
