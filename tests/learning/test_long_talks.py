"""Talks that are longer than `data.max_tokens`."""

from __future__ import annotations

import copy
import datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.learning.chat_families_more import FAMILIES
from tests.learning.chat_tokenizers import tokenizer_of

from airtune.learning.data import Record, RecordError
from airtune.learning.pairs import encode_pairs
from airtune.learning.text import Encoder

DAY = datetime.date(2026, 2, 3)


@cache
def encoder_of(name: str, max_tokens: int, template: str = "auto", **more: Any) -> Encoder:
    family = FAMILIES[name]
    kind = more.pop("kind", "bytes")
    options = family.options if template == "auto" else {}
    return Encoder(
        tokenizer_of(family, kind), max_tokens, template, date=DAY, options=options, **more
    )


def with_start(encoder: Encoder, start: str) -> Any:
    """Let the tokenizer begin every text with a token, as that of LLaMA 2."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(encoder.tokenizer)
    number = tokenizer.convert_tokens_to_ids(start)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, number)]
    )
    return tokenizer


LONG = " ".join(f"word{n}" for n in range(60))


@pytest.mark.parametrize(
    ("name", "opening", "closing"),
    [
        ("mistral", "<s>[INST] ", "[/INST]"),
        ("gemma-3", "<bos><start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n"),
        ("zephyr", "<|user|>\n", "</s>\n<|assistant|>\n"),
        ("glm-4", "[gMASK]<sop><|user|>\n", "<|assistant|>"),
        ("deepseek-v3", "<｜begin▁of▁sentence｜><｜User｜>", "<｜Assistant｜>"),
        ("qwen3", "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
        ("vicuna", "<s>USER: ", " ASSISTANT:"),
    ],
)
@pytest.mark.parametrize("kind", ["bytes", "slow"])
def test_a_long_question_loses_its_front_within_what_the_template_writes(
    name: str, opening: str, closing: str, kind: str
) -> None:
    encoder = encoder_of(name, 64, kind=kind)
    record = Record(LONG, "", "Blue.")
    (example,) = encoder.encode([record])
    text = encoder.tokenizer.decode(example.ids[: example.prompt])
    assert text.startswith(opening) and text.endswith(closing)
    asked = text.removeprefix(opening).removesuffix(closing)
    assert asked and LONG.endswith(asked)
    # No more is cut than must be: some tokens at most are spared.
    assert 64 - 8 <= len(example.ids) <= 64
    assert encoder.question(record)[: len(encoder.tokenizer(opening)["input_ids"])] == list(
        encoder.tokenizer(opening, add_special_tokens=False)["input_ids"]
    )


@pytest.mark.parametrize("template", ["alpaca", "plain", "Q: {instruction}\nA: "])
def test_the_start_token_of_a_tokenizer_is_kept(template: str) -> None:
    tokenizer = with_start(encoder_of("vicuna", 64, template), "<s>")
    encoder = Encoder(tokenizer, 64, template)
    (example,) = encoder.encode([Record(LONG, "", "Blue.")])
    assert example.ids.count(tokenizer.bos_token_id) == 1
    assert example.ids[0] == tokenizer.bos_token_id and len(example.ids) <= 64
    text = tokenizer.decode(example.ids[1 : example.prompt])
    opening = encoder.prompt(Record("@", "", "")).partition("@")[0]
    assert text.startswith(opening)
    assert LONG.endswith(text.removeprefix(opening).split("\n")[0])


def test_the_oldest_turns_go_first_and_those_of_the_system_stay() -> None:
    history = [("system", "Be brief.")]
    for number in range(12):
        history += [("user", f"Question {number}?"), ("assistant", f"Answer {number}.")]
    record = Record("The last?", "", "Yes.", history=tuple(history))
    texts = []
    for limit in (120, 160, 240):
        encoder = encoder_of("qwen2.5", limit)
        (example,) = encoder.encode([record])
        assert len(example.ids) <= limit
        text = encoder.tokenizer.decode(example.ids)
        assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")
        kept = [number for number in range(12) if f"Question {number}?" in text]
        assert kept == list(range(12 - len(kept), 12))
        assert [number for number in range(12) if f"Answer {number}." in text] == kept
        assert "user\nThe last?<|im_end|>" in text and text.endswith("Yes.<|im_end|>")
        texts.append(len(kept))
    assert texts == sorted(texts) and texts[0] < texts[-1]


def test_a_talk_of_very_many_turns_is_cut_too() -> None:
    turns = (("user", "Hi."), ("assistant", "Hello!")) * 300
    encoder = encoder_of("zephyr", 64)
    (example,) = encoder.encode([Record("Name a colour.", "", "Blue.", history=turns)])
    assert len(example.ids) <= 64
    assert "Name a colour." in encoder.tokenizer.decode(example.ids)


def test_a_system_that_does_not_fit_is_told() -> None:
    encoder = encoder_of("qwen2.5", 48)
    record = Record("Hi.", "", "Yo.", history=(("system", LONG),), place="a.jsonl:3")
    match = r"a\.jsonl:3: its prompt .*does not fit into data\.max_tokens = 48"
    with pytest.raises(RecordError, match=match):
        encoder.encode([record])
    with pytest.raises(RecordError, match=match):
        encoder.question(record)


def test_what_a_tool_answers_long_loses_its_front_and_what_was_asked_stays() -> None:
    turns = (("user", "Hi."), ("assistant", "Hello!"), ("user", "Look there."), ("tool", LONG))
    encoder = encoder_of("zephyr", 64)
    (example,) = encoder.encode([Record("", "", "Blue.", history=turns)])
    text = encoder.tokenizer.decode(example.ids)
    asked, _, rest = text.removeprefix("<|user|>\n").partition("</s>\n<|tool|>\n")
    assert asked and "Look there.".endswith(asked)
    assert LONG.endswith(rest.partition("</s>")[0]) and "word59</s>" in rest
    assert len(example.ids) <= 64


NAMES = ("mistral", "gemma-3", "zephyr", "glm-4", "qwen3", "phi-3", "vicuna", "lines", "gpt-oss")
TEXTS = st.text(st.sampled_from("ab .\n<|>é🙂"), max_size=40) | st.just(LONG)
TALKS = st.tuples(
    st.lists(st.tuples(st.just("system"), TEXTS), max_size=1),
    st.lists(st.tuples(TEXTS, TEXTS), max_size=4),
    TEXTS,
    TEXTS.filter(str.strip),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    TALKS,
    st.integers(8, 64),
    st.sampled_from(NAMES),
    st.sampled_from(["auto", "auto", "alpaca", "plain", "Q: {instruction}\nA: "]),
    st.sampled_from(["bytes", "slow", "sentence piece"]),
)
def test_no_talk_is_longer_than_allowed(
    talk: Any, limit: int, name: str, template: str, kind: str
) -> None:
    system, before, question, answer = talk
    history = [*system]
    for asked, said in before:
        history += [("user", asked), ("assistant", said)]
    record = Record(question, "", answer, history=tuple(history), place="a.jsonl:3")
    coders = [encoder_of(name, limit, template, kind=kind)]
    if template == "auto" and name in ("mistral", "zephyr", "glm-4"):
        coders.append(encoder_of(name, limit, template, kind=kind, turns="all"))
    for encoder in coders:
        whole = encoder_of(name, 10_000, template, kind=kind, turns=encoder.turns)
        try:
            (example,) = encoder.encode([record])
        except RecordError as error:
            assert error.left_out.place == "a.jsonl:3"
            assert "data.max_tokens" in error.left_out.why or "template" in error.left_out.why
            continue
        (long,) = whole.encode([record])
        assert 1 <= example.prompt < len(example.ids) <= limit
        assert all(0 < start < stop <= len(example.ids) for start, stop in example.learnt)
        assert example.cut == (len(long.ids) > limit)
        if not example.cut:
            assert example == long
        # A template may leave an empty turn out, with what the talk would open with.
        opened = not history or history[0][1].strip()
        if record.turns and opened and template in ("auto", "alpaca"):
            assert example.ids[0] == long.ids[0]
        asked_tokens = encoder.question(record)
        assert 1 <= len(asked_tokens) < limit
        pair = Record(question, "", answer, history=tuple(history), rejected=answer + " No")
        if encoder.turns == "last":
            try:
                (found,) = encode_pairs(encoder, [pair])
            except RecordError:
                continue
            assert max(len(found.ids), len(found.worse.ids)) <= limit
