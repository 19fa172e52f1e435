"""Talks and rows for the tests of what data sets hold."""

from __future__ import annotations

from typing import Any

from airtune.learning.data import LeftOut, Record, RecordError
from airtune.learning.formats import to_records
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
