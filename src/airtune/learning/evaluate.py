"""Validation: loss and the shares of right answers and tokens from one forward pass; answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airtune.learning.batches import like_lengths
from airtune.learning.data import Record
from airtune.learning.model import LanguageModel
from airtune.learning.results import DomainScore, Evaluation
from airtune.learning.text import Encoder, Example
from airtune.learning.workers import Workers

LONGEST_ANSWER = 64


def evaluate(
    model: LanguageModel, examples: Sequence[Example], batch_size: int, workers: Workers
) -> Evaluation:
    """Score the model on validation examples, with one forward pass per batch.

    Exact match needs no generation.  Greedy decoding reproduces the reference, end token included,
    if and only if the argmax at every response position, with the reference as context, is the
    reference token: up to the first difference both see the same context.  Token accuracy is the
    share of the positions where it is, over all records.

    Parameters
    ----------
    model : LanguageModel
        Model with its adapter loaded.
    examples : sequence of Example
        Validation examples, at least one.
    batch_size : int
        Examples of one forward pass.
    workers : Workers
        Compute the batches side by side.

    Examples
    --------
    A model that takes four tokens for equally likely and always guesses 5:

    >>> from airtune.learning.batches import collate
    >>> class Guess:
    ...     batch = staticmethod(collate)
    ...     def score(self, batch):
    ...         return torch.full(batch.targets.shape, math.log(4)), batch.targets == 5
    >>> examples = [Example((1, 5), prompt=1, label="a"), Example((1, 5, 6), prompt=1, label="b")]
    >>> scores = evaluate(Guess(), examples, batch_size=2, workers=Workers(1, 0))
    >>> round(scores.perplexity, 3), scores.exact_match, scores.domains["b"].exact_match
    (4.0, 0.5, 0.0)
    >>> round(scores.token_accuracy, 3)
    0.667
    """

    def score(group: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        batch = model.batch([examples[i] for i in group])
        losses, hit = model.score(batch)
        missed = (~hit).double()
        count = len(batch.lengths)
        return (
            np.bincount(batch.rows, losses.double(), minlength=count).astype(np.float64),
            np.bincount(batch.rows, missed, minlength=count).astype(np.float64),
        )

    sums, wrong = np.zeros(len(examples)), np.zeros(len(examples))
    groups = like_lengths(examples, batch_size)
    scores = workers.map(score, groups, lambda group: len(examples[group[-1]].ids) * len(group))
    for chosen, (loss, missed) in zip(groups, scores, strict=True):
        sums[chosen], wrong[chosen] = loss, missed
    hits = wrong == 0
    lengths = np.array([example.learnt_tokens for example in examples])
    names = np.array([e.label for e in examples])
    domains = {str(n): _score(sums, hits, lengths, names == n) for n in np.unique(names)}
    total = _score(sums, hits, lengths, np.ones(len(examples), bool))
    perplexity = math.exp(min(total.loss, 700.0))
    right = float(1.0 - wrong.sum() / lengths.sum())
    return Evaluation(total.loss, perplexity, total.exact_match, domains, token_accuracy=right)


def _score(
    sums: NDArray[np.float64],
    hits: NDArray[np.bool_],
    lengths: NDArray[np.int64],
    chosen: NDArray[np.bool_],
) -> DomainScore:
    return DomainScore(
        loss=float(sums[chosen].sum() / lengths[chosen].sum()),
        exact_match=float(hits[chosen].mean()),
        records=int(chosen.sum()),
        tokens=int(lengths[chosen].sum()),
    )


def greedy_answer(causal: Any, encoder: Encoder, record: Record) -> str:
    """Return the model's greedy answer to a record's prompt, at most 64 tokens long.

    Of what the model writes white space is kept, such as the indentation of code.
    """
    prompt = torch.tensor([encoder.question(record)], device=causal.device)
    with torch.inference_mode():
        answer = causal.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=LONGEST_ANSWER,
            do_sample=False,
            eos_token_id=encoder.end,
            pad_token_id=encoder.end,
            **encoder.stopping,
        )
    return encoder.answer(answer[0, prompt.shape[1] :].tolist())
