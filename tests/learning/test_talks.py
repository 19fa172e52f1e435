"""Conversations in the shapes that data sets have."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.learning.talking import NAN, assistant, read, system, tool, user

from airtune.errors import InputError


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
        ([user(""), assistant("x")], "it asks nothing"),
        ([user("Q"), assistant("a"), user(" "), assistant("x")], "it asks nothing"),
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
        ({"x" * 5000: 1}, r"it has x+\.\.\.\(5000 characters\)$"),
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
