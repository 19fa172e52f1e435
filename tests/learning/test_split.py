"""What is left out by the template, and who holds the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.learning import learner as learning
from airtune.learning.data import LeftOut, Record, RecordError
from airtune.learning.learner import prepare
from airtune.learning.sizes import measure
from airtune.learning.split import encoded_split, shares_of, sift, split_records
from airtune.learning.text import Example
from airtune.scenario import Scenario


def records_of(count: int) -> list[Record]:
    return [
        Record(f"Q{n}", "", f"A{n}", "ab"[n % 2], place=f"data.jsonl:{n + 1}") for n in range(count)
    ]


class Encoder:
    """Encodes all records but those of some numbers, and counts how often."""

    def __init__(self, refused: set[int]) -> None:
        self.refused = {f"Q{number}" for number in refused}
        self.encoded: list[str] = []

    def __call__(self, records: Sequence[Record]) -> list[Example]:
        for record in records:
            if record.instruction in self.refused:
                raise RecordError(record.place, "it is refused")
        self.encoded += [record.instruction for record in records]
        return [Example((1, int(record.instruction[1:])), 1, record.label) for record in records]


@given(st.integers(4, 30), st.sets(st.integers(0, 29)), st.integers(0, 9))
def test_the_rest_is_split_as_if_the_others_were_not_there(
    count: int, refused: set[int], seed: int
) -> None:
    scenario = Scenario.model_validate({"evaluation": {"records": 5}})
    records = records_of(count)
    usable = [record for record in records if int(record.instruction[1:]) not in refused]
    if len({r.prompt for r in usable}) < 2:
        return
    found = encoded_split(scenario, records, [], seed, Encoder(refused))
    training, validation = split_records(scenario, usable, seed)
    assert (list(found.training), list(found.validation)) == (training, validation)
    # In the order of the file, each with its own example.
    numbers = [int(record.instruction[1:]) for record in found.training]
    assert numbers == sorted(numbers)
    for kept, examples in (
        (found.training, found.training_examples),
        (found.validation, found.validation_examples),
    ):
        assert [f"Q{e.ids[1]}" for e in examples] == [record.instruction for record in kept]
    # Of those that are held out and never evaluated none needs to be known.
    places = [int(one.place.rpartition(":")[2]) - 1 for one in found.left_out]
    assert places == sorted(places) and set(places) <= refused
    used = {record.instruction for record in (*found.training, *found.validation)}
    assert not used & {f"Q{number}" for number in refused}


def test_others_take_the_places_of_those_left_out() -> None:
    scenario = Scenario.model_validate({"data": {"max_records": 20}, "evaluation": {"records": 20}})
    refused = set(range(0, 60, 3))
    encode = Encoder(refused)
    found = encoded_split(scenario, records_of(60), [], 1, encode)
    assert len(found.training) + len(found.validation) == 20
    assert 0 < len(found.left_out) <= len(refused)
    assert len(encode.encoded) == len(set(encode.encoded)), "a record was encoded twice"


def test_the_first_that_is_left_out_is_the_first_of_the_file() -> None:
    scenario = Scenario.model_validate({})
    before = [LeftOut("data.jsonl:31", "it has no answer")]
    found = encoded_split(scenario, records_of(30), before, 1, Encoder({4, 2}))
    assert [one.place for one in found.left_out] == [
        "data.jsonl:3",
        "data.jsonl:5",
        "data.jsonl:31",
    ]


def test_strict_data_are_refused_with_the_place() -> None:
    scenario = Scenario.model_validate({"data": {"strict": True}})
    with pytest.raises(InputError, match=r"data\.jsonl:5: it is refused \(data\.strict = true"):
        encoded_split(scenario, records_of(30), [], 1, Encoder({4}))
    assert encoded_split(scenario, records_of(30), [], 1, Encoder(set())).left_out == ()


def test_nothing_left_is_told() -> None:
    scenario = Scenario.model_validate({})
    with pytest.raises(
        InputError,
        match=r"holds no record: left out 6, first at data\.jsonl:1 because it is refused",
    ):
        encoded_split(scenario, records_of(6), [], 1, Encoder(set(range(6))))
    with pytest.raises(InputError, match="two different prompts"):
        encoded_split(scenario, records_of(6), [], 1, Encoder(set(range(5))))


def test_records_are_sifted_in_order() -> None:
    found, refused = sift(Encoder({1, 3}), records_of(5))
    assert [record.instruction for record, _ in found] == ["Q0", "Q2", "Q4"]
    assert [(record.instruction, one.place) for record, one in refused] == [
        ("Q1", "data.jsonl:2"),
        ("Q3", "data.jsonl:4"),
    ]


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """Talks of which some need a chat template, one has no answer and one does not fit."""
    path = tmp_path / "talks.jsonl"
    rows: list[Any] = []
    for number in range(40):
        talk = [{"role": "user", "content": f"Add {number} and {number % 7}."}]
        if number in (5, 17):
            talk.append({"role": "tool", "content": "3"})
        if number == 30:
            talk.insert(0, {"role": "system", "content": "be brief " * 60})
        talk.append({"role": "assistant", "content": "" if number == 9 else f"{2 * number}"})
        rows.append({"messages": talk})
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def scenario_of(scenario_with: Callable[..., Scenario], source: Path, **data: Any) -> Scenario:
    settings = {"source": str(source), "format": "chat", "partition": "iid"} | data
    settings["max_tokens"] = 48
    return scenario_with(data=settings, clients__count=4)


def test_plans_and_learners_leave_the_same_out(
    scenario_with: Callable[..., Scenario], talks: Path
) -> None:
    scenario = scenario_of(scenario_with, talks)
    made, planned = prepare(scenario, seed=2), measure(scenario, 2)
    assert made.data_sizes.tolist() == planned.data_sizes.tolist()
    assert made.flop_per_sample == planned.flop_per_sample
    assert made.matrices == planned.matrices
    found = made.left_out()
    assert found["count"] == 4
    lines = [int(one["place"].rpartition(":")[2]) for one in found["records"]]
    assert lines == [6, 10, 18, 31]
    whys = [one["why"] for one in found["records"]]
    assert whys[0] == whys[2] == "a turn of 'tool' needs a model with a chat template"
    assert whys[1] == "it has no answer" and "does not fit into data.max_tokens = 48" in whys[3]
    assert made.data_sizes.sum() + len(made._validation) <= 36


def test_plans_of_pairs_agree_too(scenario_with: Callable[..., Scenario], tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": f"Say {n}.", "chosen": f"{n}", "rejected": f"{n if n == 3 else f'no, {n}'}"}
        for n in range(30)
    ]
    # The same within data.max_tokens.
    rows.append({"prompt": "Say.", "chosen": "9 " * 60, "rejected": "9 " * 61})
    path.write_text("\n".join(map(json.dumps, rows)))
    scenario = scenario_with(
        data={
            "source": str(path), "format": "preference", "partition": "iid", "max_tokens": 48,
            "validation_fraction": 0.2,
        },
        training={"objective": "dpo"},
        clients__count=3,
    )  # fmt: skip
    made, planned = prepare(scenario, seed=2), measure(scenario, 2)
    assert made.data_sizes.tolist() == planned.data_sizes.tolist()
    assert made.flop_per_sample == planned.flop_per_sample
    whys = [one["why"] for one in made.left_out()["records"]]
    assert "both answers are the same" in whys[0] and "the same within data.max_tokens" in whys[1]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"strict": True}, r"talks\.jsonl:10: it has no answer \(data\.strict = true"),
        ({"max_records": 3}, "clients"),
        ({"partition": "domain"}, "domain"),
    ],
)
def test_what_cannot_be_is_told_before_a_model_is_opened(
    scenario_with: Callable[..., Scenario],
    talks: Path,
    changes: dict[str, Any],
    match: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def opened(*arguments: Any) -> Any:
        raise AssertionError("a model was opened")

    monkeypatch.setattr("airtune.learning.sources.open_model", opened)
    if hasattr(learning, "open_model"):
        monkeypatch.setattr(learning, "open_model", opened)
    with pytest.raises(AssertionError, match="opened"):
        prepare(scenario_of(scenario_with, talks), seed=2)
    with pytest.raises(InputError, match=match):
        prepare(scenario_of(scenario_with, talks, **changes), seed=2)


def test_too_few_are_told_once_the_template_has_left_some_out(
    scenario_with: Callable[..., Scenario], tmp_path: Path
) -> None:
    path = tmp_path / "talks.jsonl"
    rows = [
        {
            "messages": [
                {"role": "user" if n < 3 else "tool", "content": f"Add {n}."},
                {"role": "assistant", "content": f"{n}"},
            ]
        }
        for n in range(20)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError):
        prepare(scenario_of(scenario_with, path), seed=2)


def test_shares_are_of_what_is_left() -> None:
    scenario = Scenario.model_validate({"data": {"partition": "iid"}, "clients": {"count": 3}})
    found = encoded_split(scenario, records_of(30), [], 1, Encoder({1, 2, 3}))
    owned = shares_of(scenario, found.training, 1)
    assert np.array_equal(np.sort(np.concatenate(owned)), np.arange(len(found.training)))
