"""A finished run's model: the base with its adapter, to talk with or to merge into one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from airtune.errors import InputError
from airtune.learning.folders import readable
from airtune.learning.origin import base_name, save_tokenizer
from airtune.learning.quiet import quiet
from airtune.learning.sources import open_model
from airtune.scenario import Scenario

MADE_HERE = ("small", "gguf")
"""Beginnings of the names of models in the cache."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Tuned:
    """A base model with an adapter on it.

    Attributes
    ----------
    model : peft.PeftModel
    tokenizer : transformers tokenizer
    made_for : str
        Name of the base that the adapter was made for, where it is not the one that was opened: one
        that was trained or converted here with other versions of the libraries.  Else empty.
    """

    model: Any
    tokenizer: Any
    made_for: str = ""


def open_tuned(
    scenario: Scenario, adapter: Path, progress: Progress, *, dequantise: bool = False
) -> Tuned:
    """Open the base model of a scenario with an adapter on it.

    Parameters
    ----------
    scenario : Scenario
        Its model is opened as for training; one that is trained here is trained again where the
        cache has none.
    adapter : Path
        PEFT folder.
    progress : callable
        Called with a text and the fraction done.
    dequantise : bool
        Turn weights in 4 bits into full ones of the same values.

    Raises
    ------
    InputError
        The base cannot be opened.
    """
    base, tokenizer, name = open_model(scenario, progress)
    with quiet(), warnings.catch_warnings():
        # PEFT asks transformers for a name that is about to change.
        warnings.simplefilter("ignore", FutureWarning)
        if dequantise and getattr(base, "hf_quantizer", None) is not None:
            base = base.dequantize()
        model = _with_adapter(base, adapter)
    return Tuned(model, tokenizer, _made_for(base_name(adapter), name))


def _with_adapter(base: Any, adapter: Path) -> Any:
    """Return a base model with an adapter on it.

    Raises
    ------
    InputError
        The adapter cannot be loaded, or is none of this model.
    """
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(base, str(adapter)).eval()
    except Exception as error:  # PEFT and safetensors raise a dozen kinds
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{adapter}: the adapter cannot be loaded ({first[:120]}); delete finished.json beside "
            "it, and `airtune resume` of the run folder writes it anew"
        ) from error


def _made_for(before: str, now: str) -> str:
    before, now = Path(before).name, Path(now).name
    same_kind = before.partition("-")[0] == now.partition("-")[0]
    return before if same_kind and before.startswith(MADE_HERE) and before != now else ""


def save_merged(scenario: Scenario, adapter: Path, folder: Path, progress: Progress) -> str:
    """Write a base model with an adapter merged into its weights, in safetensors.

    The folder is one of plain transformers with the tokenizer.  Weights in 4 bits are dequantised
    before, to the values that training saw; those in bfloat16 stay so, and the sum is rounded.

    Parameters
    ----------
    scenario, adapter, progress
        As of :func:`open_tuned`.
    folder : Path
        Where to write.

    Returns
    -------
    str
        Name of the base that the adapter was made for where it is another one; else empty.

    Raises
    ------
    InputError
        The base cannot be opened, or the adapter is on a language head that is the embedding, too.
    """
    tuned = open_tuned(scenario, adapter, progress, dequantise=True)
    head, embedding = (
        getattr(layer, "weight", None)
        for layer in (tuned.model.get_output_embeddings(), tuned.model.get_input_embeddings())
    )
    adapted = hasattr(tuned.model.get_output_embeddings(), "lora_A")
    if adapted and head is embedding:
        raise InputError(
            "--merged: the adapter is on the language head, whose weights the embedding has, too, "
            "so that there is no merged model; share the adapter by itself"
        )
    with torch.no_grad(), quiet():
        merged = tuned.model.merge_and_unload()
        merged.config._name_or_path = ""
        merged.save_pretrained(folder)
    save_tokenizer(tuned.tokenizer, folder)
    readable(folder)
    return tuned.made_for
