"""Prompts and tokens."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from airtune.errors import InputError
from airtune.learning.data import Record
from airtune.learning.text import Encoder, alpaca_prompt

RECORD = Record("Sort ascending.", "3 1 2", "1 2 3", "sorting")


def test_the_prompt_is_alpaca_style() -> None:
    assert alpaca_prompt(RECORD) == (
        "### Instruction:\nSort ascending.\n\n### Input:\n3 1 2\n\n### Response:\n"
    )
    assert "### Input" not in alpaca_prompt(Record("Add 1 and 2.", "", "3"))


def test_prompt_and_answer_decode_to_the_text_and_the_end(encoder: Encoder) -> None:
    (example,) = encoder.encode([RECORD])
    prompt, response = example.ids[: example.prompt], example.ids[example.prompt :]
    assert encoder.tokenizer.decode(prompt) == alpaca_prompt(RECORD)
    assert encoder.tokenizer.decode(response[:-1]) == "1 2 3"
    assert response[-1] == encoder.tokenizer.eos_token_id
    assert example.label == "sorting"


def test_headings_are_one_token_and_digits_stand_alone(encoder: Encoder) -> None:
    tokens = encoder.tokenizer.tokenize("### Instruction:\n1234")
    assert len(tokens) == 5


def test_any_text_survives_the_tokenizer(encoder: Encoder) -> None:
    text = "Grüße, 世界! 🙂\n\ttab  two spaces  end "
    assert encoder.tokenizer.decode(encoder.tokenizer(text).input_ids) == text


def test_long_records_lose_the_end_of_a_long_answer_then_the_front_of_the_prompt(
    encoder: Encoder,
) -> None:
    short = Encoder(encoder.tokenizer, 8)
    (whole,) = encoder.encode([RECORD])
    (cut,) = short.encode([RECORD])
    assert len(cut.ids) - cut.prompt == len(whole.ids) - whole.prompt
    # Of the question the end stays, between the template's headings.
    prompt = encoder.tokenizer.decode(cut.ids[: cut.prompt])
    asked = prompt.removeprefix("### Instruction:\n").removesuffix("\n\n### Response:\n")
    assert asked and RECORD.instruction.endswith(asked)
    assert (len(cut.ids), cut.prompt) == (8, 4)
    (long,) = short.encode([Record("x", "", "9 8 7 6 5 4 3 2 1")])
    assert (len(long.ids), long.prompt) == (8, 3)
    assert encoder.tokenizer.decode(long.ids[:3]) == alpaca_prompt(Record("x", "", ""))
    assert long.ids[-1] != encoder.tokenizer.eos_token_id
    (both,) = short.encode([Record("x y z", "1 2 3", "9 8 7 6 5 4 3 2 1")])
    assert (len(both.ids), both.prompt) == (8, 4)
    (text,) = short.encode([Record("", "", "9 8 7 6 5 4 3 2 1")])
    assert (len(text.ids), text.prompt) == (8, 1)


def test_a_question_does_not_depend_on_its_answer(encoder: Encoder) -> None:
    short = Encoder(encoder.tokenizer, 12)
    asked = [short.question(replace(RECORD, output=text)) for text in ("", "3", "4 " * 40)]
    assert asked[0] == asked[1] == asked[2]
    (example,) = encoder.encode([RECORD])
    assert encoder.question(RECORD) == list(example.ids[: example.prompt])


def test_a_chat_template_is_used(encoder: Encoder) -> None:
    tokenizer = copy.deepcopy(encoder.tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    chat = Encoder(tokenizer, 96)
    assert chat.prompt(RECORD) == "<user>Sort ascending.\n\n3 1 2<assistant>"


def test_an_answer_ends_as_the_turns_of_its_chat_template_do(encoder: Encoder) -> None:
    from tokenizers import AddedToken

    tokenizer = copy.deepcopy(encoder.tokenizer)
    tokenizer.add_special_tokens({"extra_special_tokens": [AddedToken("<|turn|>", special=True)]})
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}<|turn|>\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    chat = Encoder(tokenizer, 96)
    (example,) = chat.encode([RECORD])
    turn = tokenizer.convert_tokens_to_ids("<|turn|>")
    assert example.ids[-1] == chat.end == turn != encoder.end
    # The same tokens as those of the whole conversation.
    talk = [("user", "Sort ascending.\n\n3 1 2"), ("assistant", RECORD.output)]
    messages = [{"role": role, "content": content} for role, content in talk]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.decode(example.ids) == text.rstrip("\n")
    assert Encoder(tokenizer, 96, "alpaca").end == encoder.end


def test_a_chat_template_that_refuses_a_record_is_told(encoder: Encoder) -> None:
    tokenizer = copy.deepcopy(encoder.tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}"
        "{{ raise_exception('no system role') }}{% endif %}{{ m.content }}{% endfor %}"
    )
    briefed = replace(RECORD, history=(("system", "Be brief."),))
    with pytest.raises(InputError, match=r"data\.template: .*no system role"):
        Encoder(tokenizer, 96).encode([briefed])


def test_a_start_token_that_the_tokenizer_adds_is_kept(encoder: Encoder) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = copy.deepcopy(encoder.tokenizer)
    tokenizer.bos_token = "<|pad|>"
    assert Encoder(tokenizer, 96).encode([RECORD]) == encoder.encode([RECORD])
    start = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|pad|> $A", special_tokens=[("<|pad|>", start)]
    )
    (example,) = Encoder(tokenizer, 96).encode([RECORD])
    assert example.ids == (start, *encoder.encode([RECORD])[0].ids)


def with_chat(encoder: Encoder) -> Any:
    tokenizer = copy.deepcopy(encoder.tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    return tokenizer


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("alpaca", "### Instruction:\nSort ascending.\n\n### Input:\n3 1 2\n\n### Response:\n"),
        ("plain", "Sort ascending.\n\n3 1 2\n"),
        ("chat", "<user>Sort ascending.\n\n3 1 2<assistant>"),
        ("auto", "<user>Sort ascending.\n\n3 1 2<assistant>"),
        ("Q: {instruction} ({input}) {x}\nA: ", "Q: Sort ascending. (3 1 2) {x}\nA: "),
    ],
)
def test_templates(encoder: Encoder, template: str, expected: str) -> None:
    assert Encoder(with_chat(encoder), 96, template).prompt(RECORD) == expected


def test_braces_in_a_record_are_no_places_of_the_template(encoder: Encoder) -> None:
    record = Record("Print {input}.", "{instruction}", "x")
    own = Encoder(encoder.tokenizer, 96, "{instruction}|{input}>")
    assert own.prompt(record) == "Print {input}.|{instruction}>"


def test_a_chat_template_that_is_not_there_is_told(encoder: Encoder) -> None:
    with pytest.raises(InputError, match=r"data\.template: 'chat'"):
        Encoder(encoder.tokenizer, 96, "chat")


def test_earlier_turns_are_part_of_the_prompt(encoder: Encoder) -> None:
    history = (("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello."))
    record = Record("Bye.", "", "Ciao.", history=history)
    chat = Encoder(with_chat(encoder), 96)
    assert chat.prompt(record) == (
        "<system>Be brief.<user>Hi.<assistant>Hello.<user>Bye.<assistant>"
    )
    assert alpaca_prompt(record) == (
        "### Instruction:\nBe brief.\n\n### Instruction:\nHi.\n\n### Response:\nHello.\n\n"
        "### Instruction:\nBye.\n\n### Response:\n"
    )


def test_empty_lines_of_earlier_turns_are_kept() -> None:
    history = (("user", "a\n\n\n\nb"), ("assistant", "c\n\n\n\n\nd"))
    prompt = alpaca_prompt(Record("Bye.", "", "Ciao.", history=history))
    assert prompt == (
        "### Instruction:\na\n\n\n\nb\n\n### Response:\nc\n\n\n\n\nd\n\n"
        "### Instruction:\nBye.\n\n### Response:\n"
    )


@pytest.mark.parametrize("template", ["alpaca", "plain", "chat", "Q {instruction} A"])
def test_the_loss_sees_the_answer_and_the_end_and_no_token_of_the_prompt(
    encoder: Encoder, template: str
) -> None:
    from airtune.learning.batches import collate

    records = [RECORD, Record("Say it.", "", "3 1 2 is what I say")]
    coder = Encoder(with_chat(encoder), 96, template)
    batch = collate(coder.encode(records))
    for row, record in enumerate(records):
        targets = batch.targets[batch.rows == row].tolist()
        assert targets[-1] == encoder.tokenizer.eos_token_id
        assert encoder.tokenizer.decode(targets[:-1]) == record.output
        # The tokens that predict: from the last of the prompt to the last of the answer.
        places = batch.columns[batch.rows == row]
        prompt = batch.ids[row, : int(places[0]) + 1]
        assert encoder.tokenizer.decode(prompt) == coder.prompt(record)
        assert batch.ids[row, places[1:]].tolist() == targets[:-1]


def test_plain_text_is_learnt_whole(encoder: Encoder) -> None:
    (example,) = encoder.encode([Record("", "", "Once upon a time.")])
    assert example.prompt == 1
    assert example.ids[0] == encoder.tokenizer.eos_token_id
    assert encoder.tokenizer.decode(example.ids[1:-1]) == "Once upon a time."


def test_worse_answers_are_encoded_with_the_same_prompt(encoder: Encoder) -> None:
    record = Record("Sort.", "2 1", "1 2", rejected="2 1")
    (better,), (worse,) = encoder.encode([record]), encoder.encode([record], rejected=True)
    assert better.ids[: better.prompt] == worse.ids[: worse.prompt]
    assert encoder.tokenizer.decode(worse.ids[worse.prompt : -1]) == "2 1"
