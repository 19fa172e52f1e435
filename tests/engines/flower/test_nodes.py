"""What a node tells and opens: what its own user allows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airtune.engines.flower import allowed, frames
from airtune.engines.flower.members import member_of
from airtune.engines.flower.node import Node
from airtune.errors import InputError
from airtune.scenario import Scenario


def beginning(scenario: dict) -> bytes:
    return frames.pack({"do": "begin", "run": "r", "message": "m", "scenario": scenario, "seed": 1})


@pytest.mark.parametrize(
    ("data", "row"),
    [
        ({"fields": {"label": "patient"}}, {"instruction": "What?", "output": "That."}),
        ({"format": "dolly"}, {"instruction": "What?", "context": "", "response": "That."}),
    ],
)
def test_labels_are_told_only_if_the_node_s_user_names_their_field(
    settings, tmp_path: Path, data, row
) -> None:
    """A run that declares a private field to be the label learns nothing of it."""
    rows = [{**row, "patient": f"secret {n}", "category": f"secret {n}"} for n in range(6)]
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    asked = Scenario.model_validate(settings | {"data": {**settings["data"], **data}}).to_dict()
    body = Node((1,), file, settings["cache"]).answer(beginning(asked))
    assert b"secret" not in body
    assert member_of("4", body, 3).holdings == {"labels": [""], "counts": [[0], [6], [0]]}
    told = member_of(
        "4", Node((1,), file, settings["cache"], "patient").answer(beginning(asked)), 3
    )
    assert told.holdings["labels"] == [f"secret {n}" for n in range(6)]
    # A field of texts is no label.
    rows = [{**one, "patient": "secret " * 20} for one in rows]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    body = Node((1,), file, settings["cache"], "patient").answer(beginning(asked))
    assert b"secret" not in body
    with pytest.raises(InputError, match=r"--label: .* 1 different values, .* of 140 characters"):
        member_of("4", body, 3)


def test_what_is_wrong_with_a_node_s_records_is_told_to_its_user_only(settings, tmp_path) -> None:
    file, told = tmp_path / "own.jsonl", []
    file.write_text('{"secret name": 1}\n')
    node = Node((1,), file, settings["cache"], tell=told.append)
    body = node.answer(beginning(Scenario.model_validate(settings).to_dict()))
    assert b"secret" not in body
    with pytest.raises(InputError, match="the records of --data cannot be used; the node has told"):
        member_of("4", body, 3)
    assert "secret name" in told[0]


@pytest.mark.parametrize(
    "named",
    [
        {"model": {"source": "{}/model"}},
        {"model": {"source": "owner/name"}},
        {"model": {"adapter": "{}/adapter"}},
        {"pretraining": {"sources": ["sample", "{}/diary.txt"]}},
        {"data": {"source": "{}/diary.jsonl"}},
        {"data": {"source": "{}/open/../diary.jsonl"}},
        {"data": {"source": "{}/open/link.jsonl"}},
    ],
)
def test_a_node_opens_what_its_user_allows_and_nothing_else(settings, tmp_path, named) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "diary.jsonl").write_text("secret")
    (tmp_path / "open" / "link.jsonl").symlink_to(tmp_path / "diary.jsonl")
    named = json.loads(json.dumps(named).replace("{}", str(tmp_path)))
    whole = {name: settings.get(name, {}) | own for name, own in named.items()}
    scenario = Scenario.model_validate(settings | whole)
    node = Node((), None, settings["cache"], allowed=[str(tmp_path / "open")])
    with pytest.raises(InputError, match=r"this node does not open it; .* --allow"):
        member_of("4", node.answer(beginning(scenario.to_dict())), 3)
    ((setting, value),) = allowed.named(scenario)
    assert setting.split(".")[0] in named
    allowed.check_allowed(scenario, [value])


def test_a_hub_id_is_no_part_of_a_folder_of_its_owner_s_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    scenario = Scenario(model={"source": "owner/name"})
    for folders in (["owner"], ["."], [str(tmp_path)]):
        with pytest.raises(InputError, match=r"'owner/name': this node does not open it"):
            allowed.check_allowed(scenario, folders)
    allowed.check_allowed(scenario, ["owner/name"])
    (tmp_path / "owner" / "name").mkdir()
    allowed.check_allowed(scenario, ["owner"])
