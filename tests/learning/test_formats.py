"""Data of many formats, from files, the hub and generators."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.learning.data import Record, hold_out
from airtune.learning.formats import load_records, pieces
from airtune.scenario import Scenario
from airtune.scenario.learning import Data

DOLLY = {
    "instruction": "When did it start?",
    "context": "It began in 1999.",
    "response": "In 1999.",
    "category": "closed_qa",
}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye."},
    {"role": "assistant", "content": "Ciao."},
    {"role": "user", "content": "?"},
]


def read(folder: Path, rows: Any, name: str = "data.jsonl", **settings: Any) -> list[Record]:
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return load_records(Data(source=str(path), **settings))


def test_dolly(tmp_path: Path) -> None:
    records = read(tmp_path, [DOLLY, {**DOLLY, "context": ""}], format="dolly")
    assert records[0] == Record("When did it start?", "It began in 1999.", "In 1999.", "closed_qa")
    assert records[1].input == ""


def test_alpaca_ignores_mapped_fields(tmp_path: Path) -> None:
    row = {"instruction": "Add.", "input": "1 2", "output": "3"}
    settings = {"format": "alpaca", "fields": {"instruction": "q"}}
    assert read(tmp_path, [row], **settings) == [Record("Add.", "1 2", "3")]


@pytest.mark.parametrize("kind", ["alpaca", "dolly"])
def test_a_label_of_ones_own_counts_with_every_format(tmp_path: Path, kind: str) -> None:
    row = {"instruction": "Add.", "output": "3", "response": "3", "category": "x", "topic": "sums"}
    settings = {"format": kind, "fields": {"label": "topic"}}
    assert read(tmp_path, [row], **settings) == [Record("Add.", "", "3", "sums")]


def test_an_answer_that_is_null_is_left_out(tmp_path: Path) -> None:
    rows = [{"instruction": "Add.", "input": None, "output": x} for x in (None, "3")]
    assert read(tmp_path, rows) == [Record("Add.", "", "3")]


def test_conversations_are_learnt_up_to_their_last_answer(tmp_path: Path) -> None:
    expected = Record(
        "Bye.",
        "",
        "Ciao.",
        history=(("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello.")),
    )
    assert read(tmp_path, [{"messages": TALK}], format="chat") == [expected]
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    shared = [{"from": names[m["role"]], "value": m["content"]} for m in TALK]
    settings = {"format": "chat", "fields": {"messages": "conversations"}}
    assert read(tmp_path, [{"conversations": shared}], **settings) == [expected]


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"talk": []}, r"no list 'messages' \(data\.fields\.messages\); it has talk"),
        (
            {"messages": [{"role": "robot", "content": "x"}]},
            r"has the role 'robot'; roles are system",
        ),
        ({"messages": ["x"]}, r"must hold messages"),
        ({"messages": TALK[:2]}, r"holds no record"),
    ],
)
def test_bad_conversations_are_told(tmp_path: Path, row: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        read(tmp_path, [row], format="chat")


def test_preferences_as_text_and_as_conversations(tmp_path: Path) -> None:
    text = {"prompt": "Hi.", "chosen": "Hello.", "rejected": "Go."}
    assert read(tmp_path, [text], format="preference") == [
        Record("Hi.", "", "Hello.", rejected="Go.")
    ]
    worse = [*TALK[:4], {"role": "assistant", "content": "Go."}]
    talk = {"chosen": TALK[:5], "rejected": worse}
    (record,) = read(tmp_path, [talk], format="preference")
    assert (record.instruction, record.output, record.rejected) == ("Bye.", "Ciao.", "Go.")
    assert record.history[0] == ("system", "Be brief.")
    with pytest.raises(InputError, match=r"no field 'rejected' \(data\.fields\.rejected\)"):
        read(tmp_path, [{"prompt": "x", "chosen": "y"}], format="preference")


def test_parquet_reads_the_same_as_jsonl(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    parquet.write_table(pyarrow.Table.from_pylist([DOLLY] * 3), tmp_path / "data.parquet")
    found = load_records(Data(source=str(tmp_path / "data.parquet"), format="dolly"))
    assert found == read(tmp_path, [DOLLY] * 3, format="dolly")
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(InputError, match=r"bad\.parquet is not a parquet file"):
        load_records(Data(source=str(tmp_path / "bad.parquet")))


def test_text_is_cut_into_pieces(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("one two three four five six\nseven\n\n\nanother part\n")
    found = load_records(Data(source=str(path), format="text", piece_characters=16))
    expected = ["one two three", " four five six\n", "seven", "another part"]
    assert [r.output for r in found] == expected
    assert [r.ends for r in found] == [False, False, True, True]
    assert not any(r.instruction or r.input for r in found)
    rows = read(tmp_path, [{"body": "abc"}], format="text", fields={"text": "body"})
    assert rows == [Record("", "", "abc")]


@given(st.text() | st.text(alphabet=" \nab"), st.integers(4, 40))
@example("0   \r\r", 4)
def test_pieces_make_up_the_text_again(text: str, size: int) -> None:
    found = pieces(text, size)
    assert "".join(found) == text
    for number, piece in enumerate(found):
        # Blanks may hang over; what is longer without them has been cut too late.
        assert len(piece.rstrip()) <= size
        assert piece.strip() or len(found) == 1 or number < len(found) - 1


def test_pieces_of_text_are_parted_into_training_and_validation() -> None:
    import numpy as np

    records = [Record("", "", f"text {i}") for i in range(20)]
    training, validation = hold_out(records, 0.2, np.random.default_rng(0))
    assert (len(training), len(validation)) == (16, 4)


def test_a_source_that_is_nothing_is_told(tmp_path: Path) -> None:
    for source in ("none.jsonl", str(tmp_path), "a b/c", "nowhere"):
        with pytest.raises(InputError, match=r"data\.source: .*allowed are 'sample'"):
            load_records(Data(source=source))
    odd = tmp_path / "data.csv"
    odd.write_text("a,b")
    with pytest.raises(InputError, match=r"data\.csv must end in \.json"):
        load_records(Data(source=str(odd)))


def test_a_hub_data_set_needs_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked = []

    def load(name: str, split: str) -> Any:
        asked.append((name, split))
        if name == "some/dolly":
            return datasets.Dataset.from_list([DOLLY])
        raise ConnectionError("no route\nmore")

    monkeypatch.setattr(datasets, "load_dataset", load)
    found = load_records(Data(source="some/dolly", format="dolly", split="test"))
    assert found[0].label == "closed_qa"
    with pytest.raises(InputError, match=r"'no/such' \(split 'train'\) is neither .*: no route$"):
        load_records(Data(source="no/such"))
    assert asked == [("some/dolly", "test"), ("no/such", "train")]


def test_reasoning_tasks_are_generated_and_labelled() -> None:
    pytest.importorskip("reasoning_gym", reason="the extra `tasks` is not installed")
    settings = Data(source="reasoning-gym", tasks=("chain_sum", "leg_counting"), task_records=7)
    found = load_records(settings)
    assert found == load_records(settings)
    assert [r.label for r in found] == ["chain_sum"] * 7 + ["leg_counting"] * 7
    first = found[0]
    digits = "".join(c for c in first.instruction.split("?")[0] if c in "0123456789+-")
    assert all(r.output for r in found) and digits
    with pytest.raises(InputError, match=r"data\.tasks = \['sums'\]: must name tasks.*chain_sum"):
        load_records(Data(source="reasoning-gym", tasks=("sums",)))


def test_the_small_model_reads_plain_text_too(
    scenario_with: Callable[..., Scenario], tmp_path: Path
) -> None:
    from airtune.learning.pretrain import corpus, small_model

    book, web = tmp_path / "book.txt", tmp_path / "web.jsonl"
    book.write_text("\n\n".join(f"Chapter {i}. It was the night of day {i}." for i in range(30)))
    web.write_text("\n".join(json.dumps({"text": f"Page {i} of the web."}) for i in range(30)))

    def scenario(*sources: Any) -> Scenario:
        phase = {"steps": 1, "batch_size": 4, "sources": [str(source) for source in sources]}
        return scenario_with(pretraining=phase)

    records, _ = corpus(scenario(book, web))
    assert {r.label for r in records} == {str(book), str(web)}
    assert len(corpus(scenario("sample", book))[0]) > len(records)

    def folder(*sources: Any) -> Path:
        return small_model(scenario(*sources), lambda text, fraction: None)

    made = folder(book, web)
    assert made.is_dir() and made == folder(book, web)
    book.write_text("Another book.")
    assert made != folder(book, web), "the model of other texts came from the cache"
    with pytest.raises(InputError, match=r"pretraining\.sources: none\.txt"):
        folder("none.txt")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"data": {"template": "fancy"}}, "one of auto, alpaca, chat, plain or a text with"),
        ({"data": {"sizes": [1, 2]}}, r"data\.sizes = \[1\.0, 2\.0\]: .*clients\.count = 10"),
        ({"data": {"sizes": [-1]}}, "greater than 0"),
    ],
)
def test_bad_settings_are_told(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Scenario.model_validate(settings)
