"""Token ids against the rows that a model has for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airtune.errors import InputError
from airtune.learning.text import Example


def check_ids(source: str, base: Any, tokenizer: Any, examples: Iterable[Example]) -> None:
    """Refuse examples with a token that the model has no row for.

    A tokenizer may know more tokens than the model, as long as no example holds one of those.

    Parameters
    ----------
    source : str
        `model.source`.
    base : transformers.PreTrainedModel
        The model; on the device ``meta`` too.
    tokenizer : transformers tokenizer
        It made the ids.
    examples : iterable of Example
        All that the model will see.

    Raises
    ------
    InputError
        An id is beyond the rows of the token embedding, or of the language head.

    Examples
    --------
    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> config = LlamaConfig(vocab_size=8, num_hidden_layers=1)
    >>> with torch.device("meta"):
    ...     base = LlamaForCausalLM(config)
    >>> check_ids("folder", base, tokenizer=None, examples=[Example((3, 7), prompt=1, label="")])
    """
    largest = max((max(example.ids) for example in examples), default=-1)
    rows = token_rows(base)
    if largest < rows:
        return
    token = str(tokenizer.convert_ids_to_tokens(largest))[:40]
    raise InputError(
        f"model.source: {source!r} has rows for {rows} tokens, but the data or its template holds "
        f"{token!r} with id {largest}; use the tokenizer that "
        "belongs to the weights, or give the model these rows once with "
        f"model.resize_token_embeddings({max(len(tokenizer), largest + 1)}) and save it"
    )


def token_rows(base: Any) -> int:
    """Return how many tokens a model knows: the rows of its token embedding and language head."""
    rows = int(base.get_input_embeddings().weight.shape[0])
    head = base.get_output_embeddings()
    return min(rows, int(getattr(head, "out_features", rows)))
