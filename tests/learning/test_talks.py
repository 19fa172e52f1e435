"""Conversations and pairs of answers in the shapes that data sets have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.learning.data import LeftOut, Record, RecordError
from airtune.learning.formats import read_records, to_records
from airtune.learning.pairs import encode_pairs
from airtune.learning.talks import normalised_pair, read_talk
from airtune.learning.text import Encoder
from airtune.scenario.learning import Data

NAN = float("nan")


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def system(text: Any) -> dict[str, Any]:
    return {"role": "system", "content": text}


def tool(text: Any, role: str = "tool") -> dict[str, Any]:
    return {"role": role, "content": text}


def read(*rows: Any, **settings: Any) -> tuple[list[Record], list[LeftOut]]:
    places = ((f"data.jsonl:{number}", row) for number, row in enumerate(rows, 1))
    return to_records(places, Data(**settings))


def pair(row: dict[str, Any], **fields: Any) -> Record:
    """The record of a preference row; the message, if it is left out."""
    good = {fields.get("prompt", "prompt"): "Q", "chosen": "yes", "rejected": "no"}
    (record, *_), left_out = read(row, good, format="preference", fields=fields)
    if left_out:
        assert left_out[0].place == "data.jsonl:1"
        raise RecordError("", left_out[0].why)
    return record


CALL = {"type": "function", "function": {"name": "sum", "arguments": {"a": 1}}}
ASKED = [user("Q")]
SPOKEN = [system("S"), user("A"), assistant("B"), user("Q")]
SPOKEN_TURNS = (("system", "S"), ("user", "A"), ("assistant", "B"), ("user", "Q"))


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        # Texts.
        ({"prompt": "Q", "chosen": "yes", "rejected": "no"}, (("user", "Q"),)),
        # TRL, explicit prompt.
        (
            {"prompt": ASKED, "chosen": [assistant("yes")], "rejected": [assistant("no")]},
            (("user", "Q"),),
        ),
        (
            {"prompt": SPOKEN, "chosen": [assistant("yes")], "rejected": [assistant("no")]},
            SPOKEN_TURNS,
        ),
        # TRL, implicit prompt.
        (
            {"chosen": [*SPOKEN, assistant("yes")], "rejected": [*SPOKEN, assistant("no")]},
            SPOKEN_TURNS,
        ),
        (
            {
                "prompt": None,
                "chosen": [*SPOKEN, assistant("yes")],
                "rejected": [*SPOKEN, assistant("no")],
            },
            SPOKEN_TURNS,
        ),
        # UltraFeedback: the prompt is a text and stands in the talks too, with more before it.
        (
            {
                "prompt": "Q",
                "chosen": [*ASKED, assistant("yes")],
                "rejected": [*ASKED, assistant("no")],
            },
            (("user", "Q"),),
        ),
        (
            {
                "prompt": "Q",
                "chosen": [system("S"), *ASKED, assistant("yes")],
                "rejected": [system("S"), *ASKED, assistant("no")],
            },
            (("system", "S"), ("user", "Q")),
        ),
        (
            {
                "prompt": "A",
                "chosen": [*SPOKEN, assistant("yes")],
                "rejected": [*SPOKEN, assistant("no")],
            },
            SPOKEN_TURNS,
        ),
        # The prompt holds all of the talk, and the answers begin with some or all of it.
        (
            {
                "prompt": SPOKEN,
                "chosen": [*SPOKEN, assistant("yes")],
                "rejected": [*SPOKEN, assistant("no")],
            },
            SPOKEN_TURNS,
        ),
        (
            {
                "prompt": SPOKEN,
                "chosen": [*SPOKEN[1:], assistant("yes")],
                "rejected": [*SPOKEN[-1:], assistant("no")],
            },
            SPOKEN_TURNS,
        ),
        # Only the system in the prompt.
        (
            {
                "prompt": [system("S")],
                "chosen": [*ASKED, assistant("yes")],
                "rejected": [*ASKED, assistant("no")],
            },
            (("system", "S"), ("user", "Q")),
        ),
        # The prompt ends on the assistant's turn.
        (
            {
                "prompt": SPOKEN[:3],
                "chosen": [user("Q"), assistant("yes")],
                "rejected": [user("Q"), assistant("no")],
            },
            SPOKEN_TURNS,
        ),
        (
            {
                "prompt": SPOKEN[:3],
                "chosen": [assistant("yes")],
                "rejected": [assistant("no")],
            },
            SPOKEN_TURNS[:3],
        ),
        # Talks and a text.
        (
            {"prompt": SPOKEN, "chosen": "yes", "rejected": [assistant("no")]},
            SPOKEN_TURNS,
        ),
        # Names of others.
        (
            {
                "prompt": [{"from": "human", "value": "Q"}],
                "chosen": [{"from": "gpt", "value": "yes"}],
                "rejected": [{"from": "model", "value": "no"}],
            },
            (("user", "Q"),),
        ),
    ],
)
def test_histories_of_pairs_are_kept(row: dict[str, Any], turns: Any) -> None:
    record = pair(row)
    assert (record.turns, record.output, record.rejected) == (turns, "yes", "no")
    assert record.worse is None or record.worse.turns == turns


def test_fields_of_other_names_are_read() -> None:
    """Orca DPO pairs: question, chosen, rejected as texts."""
    row = {"question": "Q", "chosen": "yes", "rejected": "no", "system": ""}
    assert pair(row, prompt="question").turns == (("user", "Q"),)


def test_each_answer_keeps_its_own_talk_where_they_differ() -> None:
    row = {
        "chosen": [user("A"), assistant("B"), user("C"), assistant("yes")],
        "rejected": [user("A"), assistant("X"), user("Y"), assistant("no")],
    }
    record = pair(row)
    assert record.turns == (("user", "A"), ("assistant", "B"), ("user", "C"))
    assert record.worse is not None
    assert record.worse.turns == (("user", "A"), ("assistant", "X"), ("user", "Y"))
    assert (record.output, record.worse.output, record.rejected) == ("yes", "no", "no")


def test_pairs_of_different_talks_are_encoded_each_with_its_own(encoder: Encoder) -> None:
    record = pair(
        {
            "prompt": "A",
            "chosen": [user("A"), assistant("B"), user("C"), assistant("yes")],
            "rejected": [user("A"), assistant("no")],
        }
    )
    (found,) = encode_pairs(encoder, [record])
    decode = encoder.tokenizer.decode
    assert "Response:\nB\n\n### Instruction:\nC" in decode(found.ids[: found.prompt])
    assert decode(found.worse.ids[: found.worse.prompt]) == (
        "### Instruction:\nA\n\n### Response:\n"
    )
    assert decode(found.worse.ids[found.worse.prompt : -1]) == "no"


def test_both_answers_of_a_pair_answer_the_same_cut_question(encoder: Encoder) -> None:
    question = " ".join(f"word{n}" for n in range(20))
    record = Record(question, "", "yes", rejected="no " * 30)
    short = Encoder(encoder.tokenizer, 32)
    (found,) = encode_pairs(short, [record])
    assert found.ids[: found.prompt] == found.worse.ids[: found.worse.prompt]
    assert len(found.worse.ids) == 32 and len(found.ids) <= 32
    assert found.ids[-1] == short.end
    # And as given where all fits.
    (whole,) = encode_pairs(Encoder(encoder.tokenizer, 400), [record])
    assert question in encoder.tokenizer.decode(whole.ids)


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"prompt": "Q", "chosen": "same", "rejected": "same"}, "both answers are the same"),
        (
            {"chosen": [*SPOKEN, assistant("x")], "rejected": [*SPOKEN, assistant("x")]},
            "both answers are the same",
        ),
        ({"prompt": "Q", "chosen": "", "rejected": "no"}, "no better answer"),
        ({"prompt": "Q", "chosen": "yes", "rejected": " \n"}, "no worse answer"),
        ({"prompt": "Q", "chosen": None, "rejected": "no"}, "no better answer"),
        ({"prompt": "Q", "chosen": "yes", "rejected": NAN}, "no worse answer"),
        ({"prompt": NAN, "chosen": "yes", "rejected": "no"}, "answer has nothing before it"),
        ({"prompt": "", "chosen": "yes", "rejected": "no"}, "answer has nothing before it"),
        ({"chosen": "yes", "rejected": "no"}, r"no field 'prompt' \(data\.fields\.prompt\)"),
        ({"prompt": "Q", "chosen": "yes"}, r"no field 'rejected'"),
        ({"prompt": "Q", "chosen": [], "rejected": "no"}, "no better answer"),
        ({"prompt": "Q", "chosen": {"a": 1}, "rejected": "no"}, "'chosen' .* must be text"),
        (
            {"prompt": "Q", "chosen": [*ASKED, assistant(""), user("?")], "rejected": "no"},
            "the better talk ends on a turn of 'user'",
        ),
        (
            {"prompt": "Q", "chosen": "yes", "rejected": [*ASKED, assistant(" ")]},
            "no worse answer",
        ),
        ({"chosen": [assistant("yes")], "rejected": [assistant("no")]}, "nothing before it"),
        # Talks that are not the prompt's.
        (
            {"prompt": "Q", "chosen": [user("R"), assistant("yes")], "rejected": "no"},
            "the better talk does not go on from the prompt",
        ),
        (
            {"prompt": ASKED, "chosen": "yes", "rejected": [system("S"), *ASKED, assistant("x")]},
            "the worse talk does not go on from the prompt",
        ),
        (
            {
                "prompt": [user("A"), assistant("B")],
                "chosen": [user("A"), assistant("yes")],
                "rejected": [user("A"), assistant("no")],
            },
            "the better talk does not go on from the prompt",
        ),
        (
            {"prompt": SPOKEN, "chosen": [*SPOKEN[:2], assistant("yes")], "rejected": "no"},
            "the better talk does not go on from the prompt",
        ),
        ({"prompt": [{"role": "robot", "content": "x"}], "chosen": "y", "rejected": "n"}, "robot"),
    ],
)
def test_pairs_that_cannot_be_used_are_left_out(row: dict[str, Any], match: str) -> None:
    with pytest.raises(RecordError, match=match):
        pair(row)


def test_tool_calls_and_tools_of_pairs_are_kept() -> None:
    """A call may be preferred to a text, and no text to a call."""
    row = {
        "tools": [{"type": "function", "function": {"name": "sum"}}],
        "prompt": ASKED,
        "chosen": [assistant(None, tool_calls=[CALL])],
        "rejected": [assistant("I cannot.")],
    }
    record = pair(row)
    assert json.loads(record.calls) == {"tool_calls": [CALL]}
    assert record.worse is not None and record.worse.calls == ""
    assert json.loads(record.tools) == json.loads(record.worse.tools) == row["tools"]
    turned = pair(row | {"chosen": row["rejected"], "rejected": row["chosen"]})
    assert turned.worse is not None and json.loads(turned.worse.calls) == {"tool_calls": [CALL]}


def test_a_worse_answer_may_be_a_call_alone() -> None:
    from tests.learning.chat_families_more import FAMILIES
    from tests.learning.chat_tokenizers import tokenizer_of

    chat = Encoder(tokenizer_of(FAMILIES["qwen2.5"]), 400)
    record = pair(
        {
            "prompt": ASKED,
            "chosen": [assistant("I know.")],
            "rejected": [assistant("", tool_calls=[CALL])],
        }
    )
    (found,) = encode_pairs(chat, [record])
    learnt = chat.tokenizer.decode(found.worse.ids[found.worse.prompt :])
    assert learnt.startswith('<tool_call>\n{"name": "sum"')


# Conversations


@pytest.mark.parametrize(
    ("messages", "history", "question"),
    [
        ([user(" Q\n"), assistant("x")], (), " Q\n"),
        ([system(""), user("Q"), assistant("x")], (("system", ""),), "Q"),
        ([user("Q"), assistant("a"), assistant("x")], (("user", "Q"), ("assistant", "a")), ""),
        ([system("S"), assistant("x")], (("system", "S"),), ""),
        ([user("Q"), tool("12"), assistant("x")], (("user", "Q"), ("tool", "12")), ""),
        (
            [user("Q"), tool("12", "observation"), assistant("x")],
            (("user", "Q"), ("tool", "12")),
            "",
        ),
        (
            [{"role": "developer", "content": "D"}, user("Q"), assistant("x")],
            (("developer", "D"),),
            "Q",
        ),
        ([user([{"type": "text", "text": "Q"}]), assistant("x")], (), "Q"),
        ([user(["Q", {"text": "!"}]), assistant([{"type": "text", "text": "x"}])], (), "Q!"),
        ([user(""), assistant("x")], (("user", ""),), ""),
        ([user("Q"), assistant("x"), user("bye"), system("z")], (), "Q"),
        ([{"role": "User", "content": "Q"}, assistant("x")], (), "Q"),
        ([{"role": None, "from": "human", "content": None, "value": "Q"}, assistant("x")], (), "Q"),
    ],
)
def test_talks_keep_their_turns(messages: Any, history: Any, question: str) -> None:
    (record,), left_out = read({"messages": messages}, format="chat")
    assert not left_out
    assert (record.history, record.instruction, record.output) == (history, question, "x")


IMAGE = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What is it?"}]


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        ([user("Q"), assistant("a"), user("R"), assistant("")], "no answer"),
        ([user("Q"), assistant(" \n\t")], "no answer"),
        ([user("Q")], "no answer"),
        ([], "no answer"),
        ([assistant("x")], "nothing before it"),
        ([user("Q"), assistant(None)], "message 2 of 'messages' has no content"),
        ([user(NAN), assistant("x")], "message 1 of 'messages' has no content"),
        ([{"role": "user"}, assistant("x")], "message 1 of 'messages' has no content"),
        ([user("Q"), {"role": "robot", "content": "x"}], "has the role 'robot'; roles are system"),
        ([user("Q"), tool("x", "function_call")], "has the role 'function_call'"),
        ([{"content": "Q"}, assistant("x")], "has the role 'None'"),
        (["Q", assistant("x")], "must hold messages"),
        ([user(IMAGE), assistant("x")], "a part of type 'image', no text"),
        ([user([1]), assistant("x")], "no text"),
        ([user({"text": "Q"}), assistant("x")], "a content that is no text"),
        ([user(3), assistant("x")], "a content that is no text"),
        ([user("Q"), assistant("", name="Bob")], "no answer"),
        ([user("Q"), assistant("", tool_calls=[])], "no answer"),
        ([user("Q"), assistant("", tool_calls=5)], "'tool_calls' that are no list of objects"),
        ([user("Q"), assistant("", tool_calls=["sum"])], "'tool_calls' that are no list"),
        (
            [user("Q"), assistant("", function_call={"name": "f"}), user("R"), assistant("x")],
            "message 2 of 'messages' has a 'function_call'",
        ),
        ([user("Q\ud83d"), assistant("x")], r"half a character \(\\ud83d\)"),
        ([user("Q"), assistant("x\udc00")], r"half a character \(\\udc00\)"),
        (
            [user("Q"), assistant("x", tool_calls=[{"function": {"name": "f", "\ud83d": 1}}])],
            r"half a character \(\\ud83d\)",
        ),
        ([{"role": "\ud83d", "content": "Q"}, assistant("x")], r"has the role '\\ud83d'"),
    ],
)
def test_talks_that_cannot_be_used_are_left_out_with_their_place(messages: Any, match: str) -> None:
    good = {"messages": [user("Q"), assistant("good")]}
    rows = (good, {"messages": messages}, good)
    records, (left_out,) = read(*rows, format="chat")
    assert [record.output for record in records] == ["good", "good"]
    assert left_out.place == "data.jsonl:2"
    assert re.search(match, left_out.why), left_out.why
    left_out.why.encode()
    with pytest.raises(InputError, match=r"data\.source: data\.jsonl:2: .*data\.strict = true"):
        read(*rows, format="chat", strict=True)


@pytest.mark.parametrize(
    ("row", "match"),
    [
        (5, "not a JSON object"),
        ({"messages": "Q"}, "no list 'messages'"),
        ({"\ud83d": 1}, r"it has \\ud83d"),
        ({"x" * 5000: 1}, r"it has x+\.\.\.$"),
        ({"messages": [user("Q"), assistant("x")], "tools": "{"}, "tools are no JSON"),
        ({"messages": [user("Q"), assistant("x")], "tools": [1]}, "must be a list of objects"),
        ({"messages": [user("Q"), assistant("x")], "tools": {"a": 1}}, "must be a list of objects"),
        ({"messages": [user("Q"), assistant("x")], "tools": [{"\ud83d": {}}]}, "half a char"),
        ({"messages": [user("Q"), assistant("x")], "tools": [{"a": object()}]}, "JSON"),
    ],
)
def test_rows_that_cannot_be_used_are_left_out(row: Any, match: str) -> None:
    good = {"messages": [user("Q"), assistant("good")]}
    _, (left_out,) = read(row, good, format="chat")
    assert re.search(match, left_out.why), left_out.why
    left_out.why.encode()
    assert len(left_out.why) < 400


@pytest.mark.parametrize("tools", [None, NAN, "", "[]", []])
def test_no_tools_are_none(tools: Any) -> None:
    row = {"messages": [user("Q"), assistant("x")], "tools": tools}
    (record,), left_out = read(row, format="chat")
    assert record.tools == "" and not left_out


HALF = "a\ud83db"


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("instruction", {"instruction": HALF, "output": "x"}),
        ("instruction", {"instruction": "Q", "input": HALF, "output": "x"}),
        ("instruction", {"instruction": "Q", "output": HALF}),
        ("text", {"text": HALF}),
        ("preference", {"prompt": HALF, "chosen": "yes", "rejected": "no"}),
        ("preference", {"prompt": "Q", "chosen": HALF, "rejected": "no"}),
        ("preference", {"prompt": "Q", "chosen": "yes", "rejected": HALF}),
        # In the talk of the worse answer only.
        (
            "preference",
            {"chosen": [*ASKED, assistant("yes")], "rejected": [user(HALF), assistant("no")]},
        ),
        (
            "preference",
            {
                "prompt": ASKED,
                "chosen": [assistant("yes")],
                "rejected": [assistant("", tool_calls=[{"function": {"name": HALF}}])],
            },
        ),
        (
            "preference",
            {
                "chosen": [*ASKED, assistant("yes")],
                "rejected": [system(HALF), *ASKED, assistant("no")],
            },
        ),
    ],
)
def test_half_characters_are_left_out_wherever_they_are(kind: str, row: dict[str, Any]) -> None:
    good = {
        "instruction": "Q", "output": "x", "text": "x", "prompt": "Q", "chosen": "y",
        "rejected": "n",
    }  # fmt: skip
    records, (left_out,) = read(row, good, format=kind)
    assert len(records) == 1 and "half a character (\\ud83d)" in left_out.why


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"instruction": "Q", "input": NAN, "output": "x"}, ("Q", "", "x")),
        ({"instruction": NAN, "input": "1 2", "output": "x"}, ("", "1 2", "x")),
        ({"instruction": " Q", "input": "\t1", "output": "    x\n"}, (" Q", "\t1", "    x\n")),
        ({"instruction": 1, "input": 2.5, "output": 0}, ("1", "2.5", "0")),
        ({"instruction": "Q", "output": "nan"}, ("Q", "", "nan")),
    ],
)
def test_fields_are_kept_as_given(row: dict[str, Any], expected: tuple[str, ...]) -> None:
    (record,), left_out = read(row)
    assert not left_out
    assert (record.instruction, record.input, record.output) == expected


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"instruction": "Q", "output": NAN}, "no answer"),
        ({"instruction": "Q", "output": None}, "no answer"),
        ({"instruction": "Q", "output": "  \n"}, "no answer"),
        ({"instruction": NAN, "input": None, "output": "x"}, "it asks nothing: 'instruction'"),
        ({"instruction": " ", "output": "x"}, "it asks nothing"),
        ({"instruction": "Q", "output": ["x"]}, "must be text"),
    ],
)
def test_instructions_that_cannot_be_used_are_left_out(row: dict[str, Any], match: str) -> None:
    _, (left_out,) = read(row, {"instruction": "Q", "output": "x"})
    assert left_out.place == "data.jsonl:1" and match in left_out.why


def test_what_is_left_out_is_counted_with_the_first_place(tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    rows = [
        {"messages": [user("Q"), assistant("x")]},
        {"messages": [user("Q"), assistant("")]},
        {"messages": [user("Q"), {"role": "robot", "content": "x"}]},
    ]
    path.write_text("\n\n".join(map(json.dumps, rows)))
    settings = {"source": str(path), "format": "chat"}
    records, left_out = read_records(Data(**settings))
    assert len(records) == 1
    assert [one.place for one in left_out] == [f"{path}:3", f"{path}:5"]
    path.write_text("\n\n".join(map(json.dumps, rows[1:])))
    with pytest.raises(
        InputError,
        match=r"holds no record .*: left out 2, first at .*talks\.jsonl:1 because it has no",
    ):
        read_records(Data(**settings))


def test_parquet_holds_what_json_does_not(tmp_path: Path) -> None:
    import datetime

    import pyarrow
    from pyarrow import parquet

    call = {"function": {"name": "f", "arguments": {"when": datetime.date(2026, 1, 1)}}}
    rows = [
        {"messages": [user("Q") | {"tool_calls": None}, assistant("x", tool_calls=None)]},
        {"messages": [user("Q") | {"tool_calls": None}, assistant(None, tool_calls=[call])]},
    ]
    path = tmp_path / "data.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    records, (left_out,) = read_records(Data(source=str(path), format="chat"))
    assert [record.turns for record in records] == [(("user", "Q"),)]
    assert left_out.place.endswith("row 2") and "JSON" in left_out.why


# Properties

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
SAID = WORDS.filter(lambda text: bool(text.strip()))
TURNS = st.lists(
    st.tuples(st.sampled_from(["system", "user", "assistant", "tool", "developer"]), WORDS),
    min_size=1,
    max_size=6,
)


@given(TURNS, SAID)
def test_a_talk_is_kept_as_it_is_given(turns: list[tuple[str, str]], answer: str) -> None:
    messages = [{"role": role, "content": text} for role, text in (*turns, ("assistant", answer))]
    record = read_talk(messages, "messages", None, "a:1")
    assert (*record.turns, ("assistant", record.output)) == (*turns, ("assistant", answer))


@given(TURNS, SAID, SAID, st.integers(0, 6))
def test_pairs_are_the_same_however_they_are_cut(
    turns: list[tuple[str, str]], better: str, worse: str, start: int
) -> None:
    """Prompt and answers, whole talks, or the prompt with talks that begin within it."""
    if better == worse:
        return
    expected = (tuple(turns), better, worse)
    tails: list[list[Any]] = [[("assistant", text)] for text in (better, worse)]
    shapes: list[tuple[Any, Any, Any]] = [
        (turns, better, worse),
        (turns, *tails),
        ("", *([*turns, *tail] for tail in tails)),
        (turns, *([*turns, *tail] for tail in tails)),
        (turns, *([*turns[start:], *tail] for tail in tails)),
    ]
    for prompt, chosen, rejected in shapes:
        record = normalised_pair(prompt, chosen, rejected, "a:1")
        assert (record.turns, record.output, record.rejected) == expected
        assert record.worse is None


@given(SAID, SAID)
def test_every_character_of_an_answer_is_learnt(
    learnt_as: Callable[[Record], str], question: str, answer: str
) -> None:
    assert learnt_as(Record(question, "", answer)) == answer + "<|end|>"


@pytest.fixture(scope="module")
def learnt_as(encoder: Encoder) -> Callable[[Record], str]:
    long = Encoder(encoder.tokenizer, 100_000, "plain")

    def learnt(record: Record) -> str:
        (example,) = long.encode([record])
        # Without what the question shares with the answer in one token.
        text = str(long.tokenizer.decode(example.ids))
        prompt = long.prompt(record)
        assert text.startswith(prompt)
        assert len(long.tokenizer.decode(example.ids[: example.prompt])) <= len(prompt)
        return text[len(prompt) :]

    return learnt


@given(
    st.text(st.sampled_from("ab \n\t.\u00e9\U0001f642"), min_size=1).filter(
        lambda t: t.strip() != ""
    ),
    st.integers(16, 40),
)
def test_pieces_of_a_document_are_learnt_as_the_document(
    long_encoder: Encoder, text: str, size: int
) -> None:
    records, _ = read({"text": text}, format="text", piece_characters=size)
    assert "".join(record.output for record in records) == text
    assert [record.ends for record in records] == [False] * (len(records) - 1) + [True]
    examples = long_encoder.encode(records)
    end = long_encoder.tokenizer.eos_token_id
    for record, example in zip(records, examples, strict=True):
        assert example.prompt == 1
        answer = example.ids[1:-1] if record.ends else example.ids[1:]
        assert long_encoder.tokenizer.decode(answer) == record.output
        assert (example.ids[-1] == end) == record.ends


@pytest.fixture(scope="module")
def long_encoder(encoder: Encoder) -> Encoder:
    return Encoder(encoder.tokenizer, 100_000)
