"""Text is kept as it is given, and what cannot be used is left out with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.learning.talking import ASKED, NAN, assistant, read, system, user

from airtune.errors import InputError
from airtune.learning.data import Record
from airtune.learning.formats import read_records
from airtune.learning.rows import read_rows
from airtune.learning.talks import normalised_pair, read_talk
from airtune.learning.text import Encoder
from airtune.scenario.learning import Data

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
        match=r"holds no record: left out 2, first at .*talks\.jsonl:1 because it has no",
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


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
SAID = WORDS.filter(lambda text: bool(text.strip()))
ROLES = st.sampled_from(["system", "user", "assistant", "tool", "developer"])
# Who answers must have been told something: a talk whose last turn is blank is left out.
TURNS = st.tuples(st.lists(st.tuples(ROLES, WORDS), max_size=5), st.tuples(ROLES, SAID)).map(
    lambda parts: [*parts[0], parts[1]]
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


@pytest.mark.parametrize("groups", [100, 1000])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_nested_texts_are_read_over_several_groups(
    tmp_path: Path, groups: int, version: str
) -> None:
    """Batches end elsewhere than groups do: 256 rows and a hundred or a thousand."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    text = pyarrow.string()
    kinds = {
        "list": pyarrow.list_(text),
        "turns": pyarrow.list_(pyarrow.struct([("role", text), ("content", text)])),
        "map": pyarrow.map_(text, text),
    }
    rows = [
        {
            "list": [f"a {number % 7}"] * (number % 3),
            "turns": [{"role": "user", "content": f"what is {number}?"}],
            "map": [("key", f"b {number % 5}")],
        }
        for number in range(2500)
    ]
    path = tmp_path / "data.parquet"
    table = pyarrow.Table.from_pylist(rows, pyarrow.schema(list(kinds.items())))
    parquet.write_table(table, path, row_group_size=groups, data_page_version=version)
    found = [dict(row) for _, row in read_rows(path)]
    assert found == rows
