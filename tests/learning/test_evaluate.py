"""Evaluation against plain transformers and against real generation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from airtune.learning.data import Record
from airtune.learning.learner import Learner
from airtune.learning.text import Encoder, Example


def test_exact_match_is_what_generation_gives(
    half_trained: Any, encoder: Encoder, examples: list[Example], records: list[Record]
) -> None:
    from airtune.learning.evaluate import evaluate, greedy_answer
    from airtune.learning.model import LanguageModel
    from airtune.learning.workers import Workers

    found = evaluate(LanguageModel(half_trained), examples, 16, Workers(2, 0))
    answers = [greedy_answer(half_trained, encoder, record) for record in records]
    hits = [answer == record.output for answer, record in zip(answers, records, strict=True)]
    # The model must be neither ignorant nor perfect for this to say something.
    assert 0.1 < sum(hits) / len(hits) < 0.9
    assert found.exact_match == pytest.approx(sum(hits) / len(hits))
    assert found.token_accuracy is not None
    assert found.exact_match < found.token_accuracy < 1
    assert found.records == len(records)
    for name, score in found.domains.items():
        own = [hit for hit, record in zip(hits, records, strict=True) if record.label == name]
        assert score.exact_match == pytest.approx(sum(own) / len(own))
        assert score.records == len(own)


def test_loss_is_the_mean_over_response_tokens(fresh: Any, examples: list[Example]) -> None:
    import torch

    from airtune.learning.evaluate import evaluate
    from airtune.learning.model import LanguageModel
    from airtune.learning.workers import Workers

    total, tokens, right = 0.0, 0, 0
    for example in examples:
        ids = torch.tensor([example.ids])
        labels = ids.clone()
        labels[0, : example.prompt] = -100
        count = len(example.ids) - example.prompt
        with torch.no_grad():
            output = fresh(input_ids=ids, labels=labels)
        total += count * float(output.loss)
        guessed = output.logits[0, example.prompt - 1 : -1].argmax(-1)
        right += int((guessed == ids[0, example.prompt :]).sum())
        tokens += count
    found = evaluate(LanguageModel(fresh), examples, 7, Workers(2, 0))
    assert found.token_accuracy == pytest.approx(right / tokens)
    assert found.loss == pytest.approx(total / tokens, rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(found.loss))
    assert sum(score.records for score in found.domains.values()) == len(examples)


def test_a_model_that_scales_its_logits_takes_the_full_forward(examples: list[Example]) -> None:
    import torch
    from transformers import CohereConfig, CohereForCausalLM

    from airtune.learning.batches import collate
    from airtune.learning.model import LanguageModel

    torch.manual_seed(0)
    causal = CohereForCausalLM(
        CohereConfig(
            vocab_size=400,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            logit_scale=0.25,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    ).eval()
    batch = collate(examples[:3])
    with torch.no_grad():
        full = causal(input_ids=batch.ids).logits[batch.rows, batch.columns]
    model = LanguageModel(causal)
    assert torch.allclose(model.response_logits(batch), full, atol=1e-6)
    losses, hits = model.score(batch)
    reference = torch.nn.functional.cross_entropy(full, batch.targets, reduction="none")
    assert torch.allclose(losses, reference, atol=1e-6)
    assert torch.equal(hits, full.argmax(-1) == batch.targets)


def test_scoring_in_pieces_changes_nothing(
    fresh: Any, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from airtune.learning import model
    from airtune.learning.batches import collate

    batch = collate(examples)
    whole = model.LanguageModel(fresh).score(batch)
    monkeypatch.setattr(model, "PIECE", 7)
    pieces = model.LanguageModel(fresh).score(batch)
    assert torch.allclose(whole[0], pieces[0], atol=1e-5)
    assert torch.equal(whole[1], pieces[1])


@pytest.mark.parametrize("entry", [np.nan, np.inf, 3e38])
def test_adapters_beyond_all_numbers_are_scored_and_answer(learner: Learner, entry: float) -> None:
    adapter = np.full(learner.size, entry, np.float32)
    found = learner.evaluate(adapter)
    assert not np.isfinite(found.loss)
    assert found.exact_match == 0.0
    assert len(learner.samples(adapter, 1)) == 1
