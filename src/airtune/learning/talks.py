"""Talks of several turns, and pairs of answers to them, as data sets write them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airtune.learning.data import Record, RecordError, Turn

# Speakers of a conversation, as data sets call them; a template decides which it can write.
ROLES = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "function": "function",
    "ipython": "ipython",
}
# What else a message may hold and templates write.
EXTRAS = ("name", "tool_calls", "tool_call_id", "reasoning_content", "thinking", "reasoning")


def read_turns(messages: Sequence[Any], name: str, place: str) -> list[Turn]:
    """Return the turns of a list of messages, text as it is given.

    Parameters
    ----------
    messages : sequence of dict
        With ``role`` and ``content``, or ``from`` and ``value``; a content may be a list of parts
        of text, and may be missing beside tool calls.
    name : str
        Field that holds them, for messages.
    place : str
        Of the record, for messages.

    Raises
    ------
    RecordError
        A message has no role that is known, or a content that is no text.

    Examples
    --------
    >>> read_turns([{"from": "human", "value": " Hi"}], "messages", "line 1")
    [('user', ' Hi')]
    """
    turns: list[Turn] = []
    for number, message in enumerate(messages, 1):
        where = f"message {number} of {name!r}"
        if not isinstance(message, dict):
            raise RecordError(
                place, f"{where} must hold messages with role and content (or from and value)"
            )
        said = message.get("role") or message.get("from")
        role = ROLES.get(str(said).lower())
        if role is None:
            raise RecordError(
                place, f"{where} has the role {str(said)[:40]!r}; roles are {', '.join(ROLES)}"
            )
        extras = _extras(message, where, place)
        content = message.get("content")
        content = _content(message.get("value") if is_missing(content) else content, where, place)
        if content is None and "tool_calls" not in extras:
            raise RecordError(place, f"{where} has no content")
        more = (_as_json(extras, where, place),) if extras else ()
        turns.append((role, content or "", *more))
    return turns


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: null, or NaN as pandas writes it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def says_something(turn: Turn) -> bool:
    """Whether a turn has text or calls tools."""
    return bool(turn[1].strip()) or (len(turn) == 3 and "tool_calls" in json.loads(turn[2]))


def _extras(message: dict[str, Any], where: str, place: str) -> dict[str, Any]:
    """Return what else a message holds and templates write."""
    if message.get("function_call"):
        raise RecordError(place, f"{where} has a 'function_call'; calls are read of 'tool_calls'")
    given = {key: message[key] for key in EXTRAS if not is_missing(message.get(key))}
    extras = {key: value for key, value in given.items() if value}
    calls = extras.get("tool_calls", [])
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise RecordError(place, f"{where} has 'tool_calls' that are no list of objects")
    return extras


def _as_json(value: Any, where: str, place: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # a date of a parquet file, for one
        raise RecordError(place, f"{where} holds what JSON has no words for") from None


def _content(value: Any, where: str, place: str) -> str | None:
    """Return the text of a message, of parts of text one after the other; None if missing."""
    if isinstance(value, str):
        return value
    if is_missing(value):
        return None
    if isinstance(value, list):
        parts = []
        for part in value:
            kind = part.get("type", "text") if isinstance(part, dict) else "text"
            text = part.get("text") if isinstance(part, dict) else part
            if kind != "text" or not isinstance(text, str):
                raise RecordError(place, f"{where} has a part of type {str(kind)[:40]!r}, no text")
            parts.append(text)
        return "".join(parts)
    raise RecordError(place, f"{where} has a content that is no text")


def read_talk(messages: Sequence[Any], name: str, tools: Any, place: str) -> Record:
    """Return a talk as a record that learns its last answer; turns after it do not count.

    Parameters
    ----------
    messages, name, place
        As of :func:`read_turns`.
    tools : list or str or None
        Tools that may be called, as objects or as JSON text.

    Raises
    ------
    RecordError
        A message cannot be used, or the talk has no answer or nothing before it.
    """
    turns = read_turns(messages, name, place)
    while turns and turns[-1][0] != "assistant":
        turns.pop()
    if not turns:
        raise RecordError(place, "it has no answer")
    if len(turns) < 2:
        raise RecordError(place, "its answer has nothing before it")
    if not says_something(turns[-2]):
        raise RecordError(place, "it asks nothing: the turn before its answer is empty")
    return _record(turns[:-1], turns[-1], place, tools=_tools(tools, place))


def with_system(record: Record, text: str) -> Record:
    """Return a talk with a system turn before it, unless it begins with that one.

    Parameters
    ----------
    record : Record
    text : str
        Of the system; nothing is added where it is blank.

    Raises
    ------
    RecordError
        The talk begins with another system turn.

    Examples
    --------
    >>> with_system(Record("Hi", "", "Yo"), "Be brief").turns
    (('system', 'Be brief'), ('user', 'Hi'))
    """
    if not text.strip():
        return record
    first = record.history[:1]
    if not first or first[0][0] not in ("system", "developer"):
        return replace(record, history=(("system", text), *record.history))
    if first[0][1].strip() == text.strip():
        return record
    raise RecordError(
        record.place,
        f"its column 'system' and the {first[0][0]!r} turn that its talk begins with differ",
    )


def _tools(tools: Any, place: str) -> str:
    if isinstance(tools, str) and tools.strip():
        try:
            tools = json.loads(tools)
        except (ValueError, RecursionError):
            raise RecordError(place, "its tools are no JSON") from None
    if is_missing(tools) or not tools:
        return ""
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise RecordError(place, "its tools must be a list of objects")
    return _as_json(tools, "its list of tools", place)


def _record(before: Sequence[Turn], answer: Turn, place: str, tools: str = "") -> Record:
    question = ""
    if before and before[-1][0] == "user" and len(before[-1]) == 2:
        *before, last = before
        question = last[1]
        if not question:  # a turn all the same
            before = [*before, last]
    calls = answer[2] if len(answer) == 3 else ""
    return Record(
        question, "", answer[1], history=tuple(before), calls=calls, tools=tools, place=place
    )


def normalised_pair(
    prompt: str | list[Turn],
    chosen: str | list[Turn],
    rejected: str | list[Turn],
    place: str,
    tools: Any = None,
) -> Record:
    """Return a preference pair with its history, however the data set writes it.

    A text stands for one turn: of the user as `prompt`, of the assistant as an answer.  Answers
    may be whole talks; then what `prompt` holds is not said twice.  Of each answer the last turn
    is learnt and must be the assistant's; roles are kept.  Where the talks before the two answers
    differ, each keeps its own.

    Parameters
    ----------
    prompt : str or list of turns
        Empty: the answers are whole talks.
    chosen, rejected : str or list of turns
        The better and the worse answer.
    place : str
        Of the record, for messages.
    tools : list or str or None
        As of :func:`read_talk`.

    Raises
    ------
    RecordError
        An answer is missing, does not end on the assistant's turn, or does not go on from the
        prompt; or both are the same.

    Examples
    --------
    >>> talk = [("system", "Be kind"), ("user", "Hi")]
    >>> better, worse = [*talk, ("assistant", "Hello")], [*talk, ("assistant", "No")]
    >>> record = normalised_pair("Hi", better, worse, "line 1")
    >>> record.turns, record.output, record.rejected
    ((('system', 'Be kind'), ('user', 'Hi')), 'Hello', 'No')
    """
    start: list[Turn] = [("user", prompt)] if isinstance(prompt, str) and prompt else []
    start = prompt if isinstance(prompt, list) else start
    better, worse = (
        _joined(start, answer, isinstance(prompt, str), name, place)
        for answer, name in ((chosen, "better"), (rejected, "worse"))
    )
    if better == worse:
        raise RecordError(place, "both answers are the same: there is nothing to prefer")
    described = _tools(tools, place)
    record = _record(better[:-1], better[-1], place, described)
    other = _record(worse[:-1], worse[-1], place, described)
    if other.turns == record.turns and not (record.calls or other.calls):
        return _with_rejected(record, other.output)
    return _with_rejected(record, other.output, other)


def _with_rejected(record: Record, rejected: str, worse: Record | None = None) -> Record:
    return replace(record, rejected=rejected, worse=worse)


def _joined(
    start: list[Turn], answer: str | list[Turn], text_prompt: bool, name: str, place: str
) -> list[Turn]:
    """Return the talk that ends on an answer: the prompt, and what it does not say already."""
    turns: list[Turn] = [("assistant", answer)] if isinstance(answer, str) else answer
    if not turns or not says_something(turns[-1]):
        raise RecordError(place, f"it has no {name} answer")
    if turns[-1][0] != "assistant":
        raise RecordError(
            place, f"the {name} talk ends on a turn of {turns[-1][0]!r}: no answer to prefer"
        )
    before = turns[:-1]
    if text_prompt and start and start[0] in before:
        return turns
    most = min(len(start), len(before))
    # The last turns of the prompt may be the first of the talk.
    overlap = next(n for n in range(most, -1, -1) if start[len(start) - n :] == before[:n])
    joined = [*start, *turns[overlap:]]
    if start and before and not overlap and not _goes_on(start, before[0]):
        raise RecordError(place, f"the {name} talk does not go on from the prompt")
    if not joined[:-1]:
        raise RecordError(place, f"the {name} answer has nothing before it")
    return joined


def _goes_on(start: Sequence[Turn], turn: Turn) -> bool:
    """Whether a turn may follow those of `start`: a talk that says one again is not its end."""
    again = turn in start or turn[0] == start[-1][0] == "user"
    return turn[0] not in ("system", "developer") and not again
