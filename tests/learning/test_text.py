"""Prompts and tokens."""

from __future__ import annotations

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


def test_long_records_lose_the_front_of_the_prompt_then_the_end_of_the_answer(
    encoder: Encoder,
) -> None:
    short = Encoder(encoder.tokenizer, 8)
    (whole,) = encoder.encode([RECORD])
    (cut,) = short.encode([RECORD])
    assert cut.ids == whole.ids[-8:]
    assert len(cut.ids) - cut.prompt == len(whole.ids) - whole.prompt
    (long,) = short.encode([Record("x", "", "9 8 7 6 5 4 3 2 1")])
    assert (len(long.ids), long.prompt) == (8, 1)
    assert long.ids[-1] != encoder.tokenizer.eos_token_id


def test_a_chat_template_is_used(encoder: Encoder) -> None:
    import copy

    tokenizer = copy.deepcopy(encoder.tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    chat = Encoder(tokenizer, 96)
    assert chat.prompt(RECORD) == "<user>Sort ascending.\n\n3 1 2<assistant>"


def test_a_start_token_that_the_tokenizer_adds_is_kept(encoder: Encoder) -> None:
    import copy

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
