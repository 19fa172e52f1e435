"""Samples of the pre-training data: the small model's mixture, or a corpus of plain text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from airtune.errors import InputError
from airtune.learning.data import load_sample
from airtune.learning.pretrain import CONTEXT
from airtune.learning.text import Encoder, Example
from airtune.memory import PARSED, demand
from airtune.scenario.learning import Data

LEAST_TOKENS = 8


def mixture_examples(tokenizer: Any, random: np.random.Generator) -> list[Example]:
    """Return the small model's pre-training examples, shuffled, the tasks in turn."""
    examples = Encoder(tokenizer, CONTEXT).encode(load_sample("general"))
    order = random.permutation(len(examples))
    queues: dict[str, list[Example]] = {}
    for i in order:
        queues.setdefault(examples[i].label, []).append(examples[i])
    depth = min(len(queue) for queue in queues.values())
    return [queues[name][i] for i in range(depth) for name in sorted(queues)]


def corpus_examples(settings: Data, encoder: Encoder, random: np.random.Generator) -> list[Example]:
    """Return pieces of the corpus `data.pretraining_corpus` as examples, shuffled.

    A document is cut into pieces of `data.max_tokens` tokens.  The loss counts every token but the
    first of a piece, as pre-training does.

    Raises
    ------
    InputError
        There is no corpus, or it cannot be read or holds too little text.
    """
    if settings.pretraining_corpus is None:
        raise InputError(
            "data.pretraining_corpus = null: the data that a ready model was pre-trained on is not "
            "known; name a plain-text file (.txt or .jsonl) that is like it, or set bound.L0, mu0, "
            "eta0, sigma0_sq, delta_pre, L_x and W1 by numbers"
        )
    pieces = []
    for text in read_texts(Path(settings.pretraining_corpus)):
        ids = encoder.tokenizer(text, add_special_tokens=False).input_ids
        for start in range(0, len(ids), encoder.max_tokens):
            piece = ids[start : start + encoder.max_tokens]
            if len(piece) >= LEAST_TOKENS:
                pieces.append(Example(tuple(piece), 1, ""))
    if len(pieces) < 2:
        raise InputError(
            f"data.pretraining_corpus: {settings.pretraining_corpus} holds {len(pieces)} pieces of "
            f"at least {LEAST_TOKENS} tokens; at least 2 are needed"
        )
    return [pieces[i] for i in random.permutation(len(pieces))]


def read_texts(path: Path) -> list[str]:
    """Return the documents of a .txt file (blank lines between) or .jsonl file (field `text`).

    They are kept as they are given; line breaks at the ends of a part of a .txt file are no part
    of it.
    """
    name = "data.pretraining_corpus"
    if not path.is_file() or path.suffix not in (".txt", ".jsonl"):
        raise InputError(f"{name} = {str(path)!r}: must be an existing .txt or .jsonl file")
    try:
        demand(f"{name}: {path}: its documents", PARSED * path.stat().st_size)
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: {path} is not UTF-8 text ({error.reason})") from None
    except OSError as error:
        raise InputError(f"{name}: {path} cannot be read ({error.strerror})") from None
    if path.suffix == ".txt":
        return [part.strip("\n") for part in content.split("\n\n") if part.strip()]
    texts = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            text = str(json.loads(line)["text"])
            text.encode()
        except (ValueError, KeyError, TypeError, RecursionError):  # half a character: ValueError
            raise InputError(
                f"{name}: {path}, line {number}: must be a JSON object with a field 'text'"
            ) from None
        texts.append(text)
    return texts
