"""Talks with a tuned model: prompts as in training, answers in pieces."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from airtune.learning import talk as module
from airtune.learning.data import Record
from airtune.learning.evaluate import greedy_answer
from airtune.learning.talk import Talk, _Answer, prompt_ids, stop_ids
from airtune.learning.text import Encoder
from airtune.learning.tuned import Tuned
from airtune.scenario import Scenario

CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario()


class Base:
    """A base model in the place of PEFT's: `disable_adapter` leaves nothing out."""

    def __init__(self, causal: Any) -> None:
        self.causal, self.config, self.device = causal, causal.config, causal.device
        self.without = 0

    def generate(self, **how: Any) -> Any:
        return self.causal.generate(**how)

    def disable_adapter(self) -> Any:
        from contextlib import nullcontext

        self.without += 1
        return nullcontext()


@pytest.fixture
def tuned(half_trained: Any, encoder: Encoder) -> Tuned:
    return Tuned(Base(half_trained), encoder.tokenizer)


def test_an_answer_is_the_greedy_one_of_evaluation_in_pieces(
    tuned: Tuned, scenario: Scenario, encoder: Encoder, records: list[Record], half_trained: Any
) -> None:
    lengths = []
    for record in records[:6]:
        question = "\n\n".join(part for part in (record.instruction, record.input) if part)
        plain = Record(question, "", "")
        pieces: list[str] = []
        answer = Talk(tuned, scenario, longest=64).ask(question, pieces.append)
        assert "".join(pieces) == answer
        assert answer.strip() == greedy_answer(half_trained, encoder, plain)
        lengths.append(len(pieces))
    assert max(lengths) > 1


@pytest.mark.parametrize("template", ["auto", "plain", "Q: {instruction}\nA: "])
def test_prompts_are_those_of_training(encoder: Encoder, template: str) -> None:
    own = Encoder(encoder.tokenizer, 96, template)
    turns = [("user", "Add 1 2."), ("assistant", "3"), ("user", "And 4?")]
    record = Record("And 4?", "", "7", history=(("user", "Add 1 2."), ("assistant", "3")))
    (example,) = own.encode([record])
    assert tuple(prompt_ids(own, turns)) == example.ids[: example.prompt]


def test_a_talk_goes_on_with_its_turns(tuned: Tuned, scenario: Scenario) -> None:
    talk = Talk(tuned, scenario, longest=8)
    one = talk.ask("What is 3 by 4?", lambda piece: None)
    other = talk.ask("And by 5?", lambda piece: None)
    assert talk.turns == [
        ("user", "What is 3 by 4?"),
        ("assistant", one),
        ("user", "And by 5?"),
        ("assistant", other),
    ]


def test_a_long_talk_forgets_its_front_and_keeps_room_for_the_answer(
    tuned: Tuned, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk, lengths = Talk(tuned, scenario, longest=16), []
    known = module.prompt_ids

    def counted(encoder: Encoder, turns: Any) -> list[int]:
        ids = known(encoder, turns)
        lengths.append(len(ids))
        return ids

    monkeypatch.setattr(module, "prompt_ids", counted)
    for _ in range(3):
        talk.ask("word " * 200, lambda piece: None)
    limit = tuned.model.config.max_position_embeddings
    assert lengths[0] < limit - 32 < lengths[-1] <= limit - 16


def test_the_untuned_model_answers_without_the_adapter(tuned: Tuned, scenario: Scenario) -> None:
    talk = Talk(tuned, scenario, longest=4)
    talk.ask("Add 1 2.", lambda piece: None)
    assert tuned.model.without == 0
    talk.ask("Add 1 2.", lambda piece: None, untuned=True)
    assert tuned.model.without == 1


def test_sampling_follows_its_seed(tuned: Tuned, scenario: Scenario) -> None:
    def said(seed: int) -> str:
        talk = Talk(tuned, scenario, longest=12, temperature=3.0, seed=seed)
        return talk.ask("Add 1 2.", lambda piece: None)

    assert said(1) == said(1)
    assert len({said(seed) for seed in range(5)}) > 1


def test_an_interrupted_answer_stays_as_far_as_it_came(tuned: Tuned, scenario: Scenario) -> None:
    def stop(piece: str) -> None:
        raise KeyboardInterrupt

    talk = Talk(tuned, scenario, longest=30)
    with pytest.raises(KeyboardInterrupt):
        talk.ask("What is 3 by 4?", stop)
    (_, (role, said)) = talk.turns
    assert role == "assistant" and len(said) < 30


class Bytes:
    """A tokenizer whose tokens are bytes; 0 is the end."""

    eos_token_id = 0

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        return bytes(i for i in ids if i).decode("utf-8", "replace")


def answer_to(text: str, stops: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(module, "stop_ids", lambda encoder: stops)
    pieces: list[str] = []
    answer = _Answer(SimpleNamespace(tokenizer=Bytes()), pieces.append)  # type: ignore[arg-type]
    answer.put(torch.tensor([[65, 66]]))
    for byte in text.encode():
        answer.put(torch.tensor([byte]))
    answer.end()
    return pieces


def test_characters_of_several_bytes_come_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer_to("aé€😀", [[0]], monkeypatch) == ["a", "é", "€", "😀"]


def test_an_end_of_several_tokens_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stops = [list(b"###"), [0]]
    assert answer_to("a#b##", stops, monkeypatch) == ["a", "#b", "##"]
    assert answer_to("ab###", stops, monkeypatch) == ["a", "b"]


def test_an_end_of_several_tokens_ends_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "stop_ids", lambda encoder: [[7, 8], [0]])
    answer = _Answer(SimpleNamespace(tokenizer=Bytes()), print)  # type: ignore[arg-type]
    assert answer.ended(torch.tensor([[1, 7, 8]])).all()
    assert not answer.ended(torch.tensor([[7, 8, 1]])).any()


def test_a_chat_template_ends_with_its_own_marker(encoder: Encoder) -> None:
    from copy import deepcopy

    tokenizer = deepcopy(encoder.tokenizer)
    tokenizer.chat_template = CHAT
    own = Encoder(tokenizer, 96)
    assert [tokenizer.convert_tokens_to_ids("<|end|>")] in stop_ids(own)
    text = tokenizer.decode(prompt_ids(own, [("user", "Hi.")]))
    assert text == "<|user|>Hi.<|end|><|assistant|>"
