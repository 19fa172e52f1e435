"""Talks with a tuned model: prompts as in training, answers in pieces."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from airtune.errors import InputError
from airtune.learning.data import Record
from airtune.learning.evaluate import greedy_answer
from airtune.learning.talk import Talk, _Answer
from airtune.learning.text import Encoder
from airtune.learning.tuned import Tuned
from airtune.scenario import Scenario

CHAT = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n==\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario()


class Base:
    """A base model in the place of PEFT's: `disable_adapter` leaves nothing out."""

    def __init__(self, causal: Any) -> None:
        self.causal, self.config, self.device = causal, causal.config, causal.device
        self.without = 0

    def to(self, kind: str) -> Base:
        assert kind == "cpu"
        return self

    def generate(self, **how: Any) -> Any:
        self.how = how
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
    known = Encoder.chat_prompt

    def counted(encoder: Encoder, turns: Any) -> list[int]:
        ids = known(encoder, turns)
        lengths.append(len(ids))
        return ids

    monkeypatch.setattr(Encoder, "chat_prompt", counted)
    for _ in range(5):
        talk.ask("word " * 60, lambda piece: None)
    limit = tuned.model.config.max_position_embeddings
    assert lengths[0] < limit // 2 < lengths[-1] <= max(lengths) <= limit - 16


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
    all_special_tokens = ("\0",)

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        kept = (i for i in ids if i or not skip_special_tokens)
        return bytes(kept).decode("utf-8", "replace")


def answer_to(text: str, marker: str = "", lead: str = "") -> list[str]:
    """Return the pieces of an answer whose tokens are bytes."""
    chat = SimpleNamespace(lead=lead, special_tokens=[])
    encoder = SimpleNamespace(tokenizer=Bytes(), marker=marker, chat=chat, end=0)
    encoder.answer = lambda ids: Encoder.answer(encoder, ids)  # type: ignore[arg-type]
    pieces: list[str] = []
    answer = _Answer(encoder, pieces.append)  # type: ignore[arg-type]
    answer.put(torch.tensor([[65, 66]]))
    for byte in text.encode():
        answer.put(torch.tensor([byte]))
    answer.end()
    return pieces


def test_characters_of_several_bytes_come_whole() -> None:
    assert answer_to("aé€😀\0") == ["a", "é", "€", "😀"]


def test_an_end_that_is_a_text_is_never_shown() -> None:
    assert answer_to("a#b##", "###") == ["a", "#b", "##"]
    assert answer_to("ab###", "###") == ["a", "b"]
    assert answer_to("ab\n##", "\n###") == ["a", "b", "\n##"]


def test_what_opens_an_answer_is_not_shown() -> None:
    assert answer_to("<t></t>ab", lead="<t></t>") == ["a", "b"]
    assert "".join(answer_to("<t>why</t>ab", lead="<t></t>")) == "<t>why</t>ab"


def test_a_talk_ends_at_the_marker_of_its_template(half_trained: Any, encoder: Encoder) -> None:
    """A template that closes turns with a text: generation stops there."""
    from copy import deepcopy

    tokenizer = deepcopy(encoder.tokenizer)
    tokenizer.chat_template = CHAT
    tuned = Tuned(Base(half_trained), tokenizer)
    talk = Talk(tuned, Scenario(), longest=200)
    assert talk._encoder.marker == "\n=="
    answer = talk.ask("What is 3 by 4?", lambda piece: None)
    assert "==" not in answer
    assert tuned.model.how["stop_strings"] == ["\n=="]


def test_a_turn_that_cannot_be_written_is_not_part_of_the_talk(
    tuned: Tuned, scenario: Scenario
) -> None:
    from copy import deepcopy

    tokenizer = deepcopy(tuned.tokenizer)
    tokenizer.chat_template = (
        "{% if messages|length > 2 %}{{ raise_exception('one turn only') }}{% endif %}" + CHAT
    )
    talk = Talk(Tuned(tuned.model, tokenizer), scenario, longest=4)
    talk.ask("Hi.", lambda piece: None)
    before = list(talk.turns)
    with pytest.raises(InputError, match="one turn only"):
        talk.ask("And?", lambda piece: None)
    assert talk.turns == before
