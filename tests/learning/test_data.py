"""Instruction files, the shipped sample, held-out records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.learning.data import Record, hold_out, labels, load_sample, spread
from airtune.learning.formats import load_records
from airtune.scenario.learning import Data, Fields


def read_file(path: Path, fields: Fields, **settings: Any) -> list[Record]:
    return load_records(Data(source=str(path), fields=fields, **settings))


GOOD = {"instruction": "Add.", "input": "1 2", "output": "3"}


def written(folder: Path, text: str, name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_sample_has_ten_domains_with_distinct_prompts() -> None:
    domains = load_records(Data())
    assert len(labels(domains)) == 10
    prompts = {(r.label, r.instruction, r.input) for r in domains}
    assert len(prompts) == len(domains)


def test_domain_prompts_are_not_in_the_general_mixture() -> None:
    general = {(r.instruction, r.input) for r in load_sample("general")}
    assert not general & {(r.instruction, r.input) for r in load_sample("domains")}


def test_json_array_and_jsonl_read_the_same(tmp_path: Path) -> None:
    rows = [GOOD, {"instruction": "Echo.", "output": "a\u2028b"}]
    lines = "\ufeff" + "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"
    expected = [Record("Add.", "1 2", "3"), Record("Echo.", "", "a\u2028b")]
    assert read_file(written(tmp_path, lines), Fields()) == expected
    array = json.dumps(rows, indent=1)
    assert read_file(written(tmp_path, array, "data.json"), Fields()) == expected


def test_fields_are_mapped_and_numbers_become_text(tmp_path: Path) -> None:
    fields = Fields(instruction="q", input="context", output="a", label="topic")
    path = written(tmp_path, json.dumps({"q": " Add. ", "context": None, "a": 3, "topic": "sums"}))
    assert read_file(path, fields) == [Record(" Add. ", "", "3", "sums")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(GOOD) + "\n{bad\n", r"line 2: "),
        ('\n\n"x"\n', r"holds no record: .*data\.jsonl:3: it is not a JSON object"),
        (
            json.dumps({"instruction": "x", "answer": "y"}),
            r"no field 'output' \(data.fields.output\); it has answer",
        ),
        (json.dumps({**GOOD, "output": ["3"]}), r"'output' \(data.fields.output\) must be text"),
        ("[{}", r"line 1: "),
        ("[]", r"holds no record"),
        (json.dumps({**GOOD, "output": " "}), r"holds no record"),
    ],
)
def test_a_bad_file_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_file(written(tmp_path, text), Fields())
    assert "data." in str(error.value)


def test_a_missing_file_and_binary_data_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.source: .* does not exist; allowed are"):
        load_records(Data(source=str(tmp_path / "none.jsonl")))
    (tmp_path / "data.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_records(Data(source=str(tmp_path / "data.json")))


RECORDS = st.lists(
    st.builds(
        Record,
        st.sampled_from("abcdefgh"),
        st.sampled_from("xyz"),
        st.just("o"),
        st.sampled_from(["p", "q", ""]),
    ),
    min_size=2,
)


@given(RECORDS, st.floats(0.05, 0.9), st.integers(0, 99))
def test_held_out_prompts_are_never_trained_on(
    records: list[Record], fraction: float, seed: int
) -> None:
    try:
        training, validation = hold_out(records, fraction, np.random.default_rng(seed))
    except InputError:
        assert len({(r.instruction, r.input) for r in records}) < 2
        return
    assert sorted(map(repr, training + validation)) == sorted(map(repr, records))
    held = {(r.instruction, r.input) for r in validation}
    assert held and training
    assert not held & {(r.instruction, r.input) for r in training}


def test_every_label_gives_its_share() -> None:
    records = [Record(str(i), "", "o", "ab"[i % 2]) for i in range(100)]
    _, validation = hold_out(records, 0.2, np.random.default_rng(0))
    assert [sum(r.label == name for r in validation) for name in "ab"] == [10, 10]


def test_spread_takes_the_labels_in_turn() -> None:
    records = [Record(str(i), "", "o", "aaab"[i]) for i in range(4)]
    assert [r.instruction for r in spread(records, 3)] == ["0", "3", "1"]
    assert len(spread(records, 9)) == 4
