"""What is given and what is learnt of a talk, against what the template renders."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest
from tests.learning.chat_families import TALKS, Family, Refused, Turns
from tests.learning.chat_families_more import FAMILIES
from tests.learning.chat_tokenizers import tokenizer_of

from airtune.errors import InputError
from airtune.learning.data import Record
from airtune.learning.talks import read_talk
from airtune.learning.text import Encoder, Example

DAY = datetime.date(2026, 2, 3)
TALK_NAMES = ("system", "two turns", "empty system")


def set_clock(monkeypatch: pytest.MonkeyPatch, day: datetime.date) -> None:
    """Let templates that ask for the time be told another day."""
    from transformers.utils import chat_template_utils

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls(day.year, day.month, day.day, 9)

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)


def messages(talk: Turns) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in talk]


def record_of(talk: Turns) -> Record:
    return read_talk(messages(talk), "messages", None, "talks.jsonl:7")


def encoder_of(family: Family, kind: str = "bytes", **settings: Any) -> Encoder:
    settings = {"date": DAY, "options": family.options} | settings
    return Encoder(tokenizer_of(family, kind), settings.pop("max_tokens", 512), **settings)


def parts(encoder: Encoder, example: Example) -> tuple[str, str]:
    """What is given and what is learnt, as text; one range is learnt."""
    ((start, stop),) = example.learnt
    decode = encoder.tokenizer.decode
    return decode(example.ids[:start]), decode(example.ids[start:stop])


def rendered_ids(encoder: Encoder, talk: Turns, options: dict[str, Any]) -> list[int]:
    found = encoder.tokenizer.apply_chat_template(messages(talk), tokenize=True, **options)
    return list(found["input_ids"])


@pytest.mark.parametrize("number", range(3), ids=TALK_NAMES)
@pytest.mark.parametrize("name", FAMILIES)
def test_prompt_and_answer_are_what_the_template_writes(
    name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, talk = FAMILIES[name], TALKS[number]
    expected = family.expected[number]
    set_clock(monkeypatch, DAY)
    encoder = encoder_of(family)
    if isinstance(expected, Refused):
        with pytest.raises(InputError, match=rf"talks\.jsonl:7: .*{expected.match}") as refusal:
            encoder.encode([record_of(talk)])
        assert "\n" not in str(refusal.value)
        return
    prompt, learnt = expected
    tokenizer = encoder.tokenizer
    whole = tokenizer.apply_chat_template(messages(talk), tokenize=False, **family.options)
    assert whole.startswith(prompt + learnt), "the text that is expected is not what is rendered"
    assert encoder.prompt(record_of(talk)) == prompt
    (example,) = encoder.encode([record_of(talk)])
    ids = list(example.ids)
    if family.appended:
        assert ids.pop() == encoder.end == tokenizer.eos_token_id
    assert ids == rendered_ids(encoder, talk, family.options)[: len(ids)]
    assert_mask(encoder, example, whole, prompt + learnt, len(prompt))


def assert_mask(encoder: Encoder, example: Example, whole: str, text: str, prompt: int) -> None:
    """The tokens that lie within the prompt are given, those up to the end of `text` learnt."""
    found = encoder.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    places = found["offset_mapping"]
    assert example.prompt == sum(stop <= prompt for _, stop in places)
    learnt = sum(start < len(text) for start, _ in places)
    assert list(example.ids)[:learnt] == found["input_ids"][:learnt]
    appended = [encoder.end] if not encoder.chat or not encoder.chat.closing else []
    assert list(example.ids)[learnt:] == appended
    assert example.skipped == ()


SOME = ("llama-3.2", "qwen3", "mistral", "glm-4", "vicuna", "lines", "gpt-oss")
MARKER = "a marker that is no special token"


@pytest.mark.parametrize("kind", ["sentence piece", "sentence piece, first word", "words"])
@pytest.mark.parametrize("name", [*SOME, MARKER])
def test_other_tokenizers_give_and_learn_the_same_text(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = FAMILIES[name]
    set_clock(monkeypatch, DAY)
    encoder = encoder_of(family, kind)
    for talk, expected in zip(TALKS, family.expected, strict=True):
        assert not isinstance(expected, Refused)
        (example,) = encoder.encode([record_of(talk)])
        whole = encoder.tokenizer.apply_chat_template(
            messages(talk), tokenize=False, **family.options
        )
        assert_mask(encoder, example, whole, "".join(expected), len(expected[0]))


@pytest.mark.parametrize("kind", ["bytes, blanks not in the offsets", "slow"])
@pytest.mark.parametrize("name", [*SOME, MARKER, "phi-3"])
def test_places_that_are_not_told_or_without_blanks_change_nothing(name: str, kind: str) -> None:
    family = FAMILIES[name]
    talks = [*TALKS, (*TALKS[1][:-1], ("assistant", "    return x\n"))]
    records = [record_of(talk) for talk in talks]
    assert encoder_of(family, kind).encode(records) == encoder_of(family).encode(records)


def test_an_end_that_is_one_token_with_the_line_break_after_it_is_learnt_as_that_token() -> None:
    encoder = encoder_of(FAMILIES[MARKER])
    (example,) = encoder.encode([record_of(TALKS[0])])
    assert encoder.tokenizer.decode(example.ids[-1:]).endswith(">\n")
    assert encoder.stopping["stop_strings"] == ["</turn>"]
    assert encoder.answer(example.ids[example.prompt :]) == "Blue."


def test_white_space_that_a_special_token_holds_is_given() -> None:
    """What follows `<|assistant|>` is part of that token, the indentation of code too."""
    encoder = encoder_of(FAMILIES["phi-3"])
    talk = (("user", "Hi."), ("assistant", "    return x"))
    (example,) = encoder.encode([record_of(talk)])
    opened = encoder.tokenizer.convert_tokens_to_ids("<|assistant|>")
    assert example.ids[example.prompt - 1] == opened
    assert parts(encoder, example)[1] == "return x<|end|>"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_written_answer_is_read_without_what_surrounds_it(name: str) -> None:
    family = FAMILIES[name]
    if isinstance(family.expected[1], Refused):
        pytest.skip("the template is refused")
    encoder = encoder_of(family)
    (example,) = encoder.encode([record_of(TALKS[1])])
    assert encoder.answer(example.ids[example.prompt :]) == "It is 3."
    assert encoder.question(record_of(TALKS[1])) == list(example.ids[: example.prompt])


@pytest.mark.parametrize("name", FAMILIES)
def test_code_keeps_its_indentation_unless_the_template_takes_it(name: str) -> None:
    family = FAMILIES[name]
    if isinstance(family.expected[1], Refused) or family.swallows:
        pytest.skip("the template is refused, or its tokens hold blanks")
    encoder = encoder_of(family)
    code = "    if x:\n        return y"
    (example,) = encoder.encode([record_of((("user", "Hi."), ("assistant", code)))])
    learnt = parts(encoder, example)[1]
    trims = ("trim", "content'].strip")
    assert (code if not any(t in family.template for t in trims) else code.strip()) in learnt


# Every turn of the assistant


@pytest.mark.parametrize(
    ("name", "first", "between"),
    [
        ("llama-3.2", "Hello!<|eot_id|>", "<|start_header_id|>user<|end_header_id|>"),
        ("qwen2.5", "Hello!<|im_end|>", "\n<|im_start|>user\n"),
        ("gemma-2", "Hello!<end_of_turn>", "\n<start_of_turn>user\n"),
        ("mistral", " Hello!</s>", "[INST] What"),
        ("glm-4", "\nHello!", "<|user|>\n"),
        ("chatml without the flag", "<|im_start|>assistant\nHello!<|im_end|>", "\n<|im_start|>"),
        ("command-r", "Hello!<|END_OF_TURN_TOKEN|>", "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>"),
    ],
)
def test_every_turn_of_the_assistant_can_be_learnt(name: str, first: str, between: str) -> None:
    family = FAMILIES[name]
    expected = family.expected[1]
    assert not isinstance(expected, Refused)
    last, every = encoder_of(family), encoder_of(family, turns="all")
    (one,), (example,) = last.encode([record_of(TALKS[1])]), every.encode([record_of(TALKS[1])])
    assert example.ids == one.ids
    texts = [every.tokenizer.decode(example.ids[a:b]) for a, b in example.learnt]
    assert texts == [first, expected[1] + (every.tokenizer.eos_token if family.appended else "")]
    ((start, stop),) = example.skipped
    skipped = every.tokenizer.decode(example.ids[start:stop])
    assert skipped.startswith(between) and "What is 1 and 2?" in skipped
    # The last answer is learnt as it is alone.
    assert example.learnt[-1] == one.learnt[0]
    # A talk with one answer is the same.
    short = [record_of(TALKS[1][:2])]
    assert every.encode(short) == last.encode(short)


@pytest.mark.parametrize("name", ["qwen3", "gpt-oss"])
def test_answers_that_are_written_otherwise_later_are_not_all_learnt(name: str) -> None:
    encoder = encoder_of(FAMILIES[name], turns="all")
    with pytest.raises(InputError, match=r"talks\.jsonl:7: .*writes answer 1 in another way once"):
        encoder.encode([record_of(TALKS[1])])
    assert encoder.encode([record_of(TALKS[2])])


def test_all_turns_need_a_chat_template() -> None:
    tokenizer = tokenizer_of(FAMILIES["qwen2.5"])
    with pytest.raises(InputError, match=r"data\.turns = all: .*allowed besides is last"):
        Encoder(tokenizer, 64, "alpaca", turns="all")


# The date


@pytest.mark.parametrize("name", ["llama-3.2", "granite-3", "smollm3", "gpt-oss"])
def test_another_clock_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family = FAMILIES[name]
    set_clock(monkeypatch, DAY)
    encoder = encoder_of(family)
    records = [record_of(TALKS[1])]
    before = encoder.encode(records)
    set_clock(monkeypatch, datetime.date(1999, 12, 31))
    assert encoder.encode(records) == before == encoder_of(family).encode(records)
    assert encoder_of(family, date=datetime.date(2026, 2, 4)).encode(records) != before
    # The clock of others goes on.
    text = encoder.tokenizer.apply_chat_template(
        messages(TALKS[1]), tokenize=False, **family.options
    )
    assert "1999" in text and "2026" not in text


def test_a_refused_talk_leaves_the_clock_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    family = FAMILIES["llama-3.2"]
    template = "{{ strftime_now('%Y') }}" + (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "{{ m.content }}{% endfor %}"
    )
    set_clock(monkeypatch, datetime.date(1999, 12, 31))
    encoder = encoder_of(replace(family, template=template))
    with pytest.raises(InputError, match=r"refuses it \(no\)"):
        encoder.encode([record_of(TALKS[0])])
    talk = messages(TALKS[1])
    assert encoder.tokenizer.apply_chat_template(talk, tokenize=False).startswith("1999")


def test_the_template_for_tools_is_told_the_same_day() -> None:
    """Of a family with several templates the one for tools is taken where there are tools."""
    encoder = encoder_of(FAMILIES["command-r"])
    encoder.tokenizer.chat_template = {
        "default": CHATML_DATED,
        "tool_use": CHATML_DATED.replace("Day", "{{ tools[0].function.name }} on"),
    }
    tool = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    record = read_talk(messages(TALKS[1]), "messages", [tool], "talks.jsonl:7")
    assert "weather on 2026-02-03" in encoder.prompt(record)
    assert "Day 2026-02-03" in encoder.prompt(record_of(TALKS[1]))


CHATML_DATED = (
    "Day {{ strftime_now('%Y-%m-%d') }}{% for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_options_reach_the_template() -> None:
    think = encoder_of(FAMILIES["qwen3"]).prompt(record_of(TALKS[2]))
    plain = encoder_of(FAMILIES["qwen3 that does not think"]).prompt(record_of(TALKS[2]))
    assert plain == think + "<think>\n\n</think>\n\n"
    high = encoder_of(FAMILIES["gpt-oss"], options={"reasoning_effort": "high"})
    assert "Reasoning: high<|end|>" in high.prompt(record_of(TALKS[2]))


# What is thought, called and said by others


def test_thoughts_are_learnt_where_the_template_writes_them() -> None:
    talk = [*messages(TALKS[0][:2]), {"role": "assistant", "content": "Blue."}]
    for key, name, written in (
        ("reasoning_content", "qwen3", "<think>\nSky\n</think>\n\nBlue.<|im_end|>"),
        (
            "thinking",
            "gpt-oss",
            "<|channel|>analysis<|message|>Sky<|end|><|start|>assistant<|channel|>final"
            "<|message|>Blue.<|return|>",
        ),
    ):
        record = read_talk([*talk[:2], talk[2] | {key: "Sky"}], "messages", None, "a:1")
        encoder = encoder_of(FAMILIES[name])
        (example,) = encoder.encode([record])
        assert parts(encoder, example)[1] == written
        with pytest.raises(InputError, match=rf"a:1: .*does not write its '{key}'"):
            encoder_of(FAMILIES["qwen2.5"]).encode([record])
    inside = replace(record_of(TALKS[0]), output="<think>\nSky\n</think>\n\nBlue.")
    encoder = encoder_of(FAMILIES["qwen3"])
    assert parts(encoder, encoder.encode([inside])[0])[1] == inside.output + "<|im_end|>"


def test_an_answer_that_the_template_shortens_is_refused() -> None:
    family = FAMILIES["deepseek-v3"]
    cut = family.template.replace(
        "message.content + '<｜end", "message.content.split('</think>')[-1] + '<｜end"
    )
    assert cut != family.template
    record = replace(record_of(TALKS[0]), output="<think>Sky</think>Blue.")
    with pytest.raises(InputError, match=r"does not write its answer as it is given"):
        encoder_of(replace(family, template=cut)).encode([record])
    assert encoder_of(family).encode([record])


CALL = {"type": "function", "function": {"name": "weather", "arguments": {"town": "Bern"}}}
TOOL_TALK = [
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "12 C"},
    {"role": "assistant", "content": "It is 12 C."},
]


def test_tool_calls_are_learnt_or_given_where_the_template_writes_them() -> None:
    encoder = encoder_of(FAMILIES["qwen2.5"])
    (called,) = encoder.encode([read_talk(TOOL_TALK[:2], "messages", None, "a:1")])
    assert parts(encoder, called)[1] == (
        '<tool_call>\n{"name": "weather", "arguments": {"town": "Bern"}}\n</tool_call><|im_end|>'
    )
    (answered,) = encoder.encode([read_talk(TOOL_TALK, "messages", None, "a:1")])
    prompt, learnt = parts(encoder, answered)
    assert "</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\n12 C\n" in prompt
    assert learnt == "It is 12 C.<|im_end|>"
    every = encoder_of(FAMILIES["qwen2.5"], turns="all")
    (both,) = every.encode([read_talk(TOOL_TALK, "messages", None, "a:1")])
    assert len(both.learnt) == 2


@pytest.mark.parametrize(
    ("name", "talk", "match"),
    [
        ("zephyr", TOOL_TALK[:2], r"does not write its (tool call \(weather\)|answer)"),
        ("zephyr", TOOL_TALK, r"does not write its tool call \(weather\)"),
        ("mistral", TOOL_TALK, "does not write|roles are supported"),
        # Written as a role's name, a turn is not lost.
        ("deepseek-v3", [TOOL_TALK[0], *TOOL_TALK[2:]], "does not write a turn of 'tool'"),
        (
            "deepseek-v3",
            # What is said stands elsewhere too; the turn is lost all the same.
            [{"role": "user", "content": "Is it 12 C?"}, *TOOL_TALK[2:]],
            "does not write a turn of 'tool'",
        ),
        (
            "llama-3.2",
            [TOOL_TALK[0], TOOL_TALK[1] | {"tool_calls": [CALL, CALL]}],
            "only supports single tool-calls",
        ),
        (
            "llama-3.2",
            [TOOL_TALK[0], TOOL_TALK[1] | {"content": "Let me look."}],
            "does not write its answer as it is given",
        ),
        ("gpt-oss", [{"role": "system", "content": "Hm."}, *TOOL_TALK[2:]], "a turn of 'tool'"),
        ("gemma-3", [*TOOL_TALK[:1], *TOOL_TALK[:1], *TOOL_TALK[3:]], "roles must alternate"),
    ],
)
def test_talks_that_a_template_does_not_write_are_refused(
    name: str, talk: list[dict[str, Any]], match: str
) -> None:
    record = read_talk(talk, "messages", None, "talks.jsonl:7")
    with pytest.raises(InputError, match=rf"^data\.source: talks\.jsonl:7: .*({match})"):
        encoder_of(FAMILIES[name]).encode([record])


def test_a_template_that_cannot_be_read_or_fails_is_told() -> None:
    family = FAMILIES["zephyr"]
    for template, match in (
        ("{% for", "cannot be read"),
        ("{{ messages[9].content }}", "refuses it"),
        ("{{ 1 + messages[0].content }}", "refuses it"),
        ("{{ 1 / 0 }}", "refuses it"),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "refuses it"),
        ("nothing of it", "does not write"),
    ):
        with pytest.raises(InputError, match=match):
            encoder_of(replace(family, template=template)).encode([record_of(TALKS[0])])
