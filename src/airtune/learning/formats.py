"""Data from outside: files, hub data sets and generated tasks, turned into records."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from airtune.errors import InputError, clip
from airtune.learning.data import LeftOut, Record, RecordError, left_out_in_words, load_sample
from airtune.learning.parquet import column_names
from airtune.learning.rows import Row, source_rows
from airtune.learning.talks import (
    is_missing,
    normalised_pair,
    read_talk,
    read_turns,
    says_something,
    with_system,
)
from airtune.scenario.learning import Data, Fields

# Fields of well-known data sets.
PRESETS = {
    "alpaca": Fields(),
    "dolly": Fields(input="context", output="response", label="category"),
}
# Behind a line break, or between a word and a space.
_CUT = re.compile(r"(?<=\n)(?!$)|(?<=\S)(?= )")
LONGEST_RECORD = 2_000_000
"""Characters of a record at most: of a longer one nearly all would be cut away by tokens."""
Reader = Callable[[dict[str, Any], str, Data], list[Record]]


def load_records(settings: Data) -> list[Record]:
    """Return the usable records that the scenario's `data` section names.

    Raises
    ------
    InputError
        As of :func:`read_records`.
    """
    return read_records(settings)[0]


def read_records(settings: Data) -> tuple[list[Record], list[LeftOut]]:
    """Return the usable records that the scenario's `data` section names, and those left out.

    Raises
    ------
    InputError
        The source is missing or unreadable, or holds no usable record; or one of its records
        cannot be used and `data.strict` is set.
    """
    if settings.source == "sample":
        return load_sample("domains"), []
    if settings.source == "reasoning-gym":
        return _tasks(settings), []
    return to_records(source_rows(settings, used_fields(settings)), settings)


def to_records(rows: Iterable[Row], settings: Data) -> tuple[list[Record], list[LeftOut]]:
    """Turn rows, each with a name of its place, into records by `data.format`.

    Text is kept as it is given.  A row that is no object, lacks a field or an answer, or holds
    what cannot be learnt is left out.

    Parameters
    ----------
    rows : iterable of (str, object)
        Name of the place, for messages (``data.jsonl:3``), and the row as JSON gives it.
    settings : Data
        `format`, `fields` and `strict` are used.

    Returns
    -------
    records : list of Record
    left_out : list of LeftOut

    Raises
    ------
    InputError
        No record is left; or one is left out and `data.strict` is set.

    Examples
    --------
    >>> row = {"question": "What is the largest planet?", "context": "", "response": "Jupiter"}
    >>> fields = Fields(instruction="question", output="response")
    >>> records, left_out = to_records([("a.jsonl:1", row), ("a.jsonl:2", {})], Data(fields=fields))
    >>> records[0].output
    'Jupiter'
    >>> left_out[0].place, left_out[0].why
    ('a.jsonl:2', "it has no field 'question' (data.fields.instruction); it has nothing")
    """
    records: list[Record] = []
    left_out: list[LeftOut] = []
    read = FORMATS[settings.format]
    for place, row in rows:
        try:
            if not isinstance(row, dict):
                raise RecordError(place, "it is not a JSON object")
            found = read(row, place, settings)
            for record in found:
                check_text(record)
            records += found
        except RecordError as refused:
            left_out.append(refused.left_out)
        except RecursionError:
            left_out.append(LeftOut(place, "its values lie too deep in one another"))
    settle(settings, records, left_out)
    return records, left_out


def settle(settings: Data, records: list[Record], left_out: list[LeftOut]) -> None:
    """Refuse where no record is left, or where one is left out and `data.strict` is set.

    Raises
    ------
    InputError
    """
    if left_out and settings.strict:
        first = left_out[0]
        raise InputError(
            f"data.source: {first.place}: {first.why} (data.strict = true: every record must be "
            "usable)"
        )
    if not records:
        if not left_out:
            raise InputError(f"data.source: {clip(settings.source)} holds no record")
        # The place names the source.
        (first, *more) = left_out
        words = left_out_in_words(left_out) if more else f"{first.place}: {first.why}"
        raise InputError(f"data.source holds no record: {words}")


def check_text(record: Record) -> None:
    """Refuse a record without an answer, too long, or with text that no tokenizer takes.

    Raises
    ------
    RecordError
    """
    if not says_something(("assistant", record.output, record.calls or "{}")):
        raise RecordError(record.place, "it has no answer")
    texts = [record.rejected, record.label]
    for one in (record,) if record.worse is None else (record, record.worse):
        texts += [one.output, one.calls, one.tools, *(text for turn in one.turns for text in turn)]
    length = sum(map(len, texts))
    if length > LONGEST_RECORD:
        raise RecordError(
            record.place,
            f"it has {length} characters, more than {LONGEST_RECORD}; long documents are cut into "
            "records with data.format = text",
        )
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(text[error.start]):04x}"
            raise RecordError(
                record.place, f"it holds half a character ({half}), which is no text"
            ) from None


def _instruction(row: dict[str, Any], place: str, settings: Data) -> list[Record]:
    fields = _fields(settings)
    question = _text(row, fields.instruction, "instruction", place)
    further = _text(row, fields.input, "input", place, required=False)
    answer = _text(row, fields.output, "output", place)
    if not (question.strip() or further.strip()):
        raise RecordError(
            place,
            f"it asks nothing: {fields.instruction!r} (data.fields.instruction) is empty; texts "
            "alone are learnt with data.format = text",
        )
    return [Record(question, further, answer, _label(row, fields, place), place=place)]


def _preference(row: dict[str, Any], place: str, settings: Data) -> list[Record]:
    """Read a prompt with a better and a worse answer; conversations may stand for texts."""
    fields = settings.fields

    def part(role: str, *, required: bool = True) -> Any:
        name = getattr(fields, role)
        if isinstance(row.get(name), list):
            return read_turns(row[name], name, place)
        return _text(row, name, role, place, required=required)

    chosen, rejected = part("chosen"), part("rejected")
    talks = isinstance(chosen, list) and isinstance(rejected, list)
    prompt = part("prompt", required=not talks)
    record = normalised_pair(prompt, chosen, rejected, place, row.get("tools"))
    return [_with(record, row, fields, place)]


def _chat(row: dict[str, Any], place: str, settings: Data) -> list[Record]:
    """Read a conversation: its last answer is learnt, all before it is the prompt."""
    name = settings.fields.messages
    value = row.get(name)
    if not isinstance(value, list):
        raise RecordError(
            place, f"it has no list {name!r} (data.fields.messages); it has {_names(row)}"
        )
    return [_with(read_talk(value, name, row.get("tools"), place), row, settings.fields, place)]


def _plain(row: dict[str, Any], place: str, settings: Data) -> list[Record]:
    """Cut a document into pieces; all of a piece is learnt, and the last one ends."""
    text = _text(row, settings.fields.text, "text", place)
    if not text.strip():
        raise RecordError(place, "it has no text")
    label = _label(row, settings.fields, place)
    cut = pieces(text, settings.piece_characters)
    return [
        Record("", "", piece, label, ends=number == len(cut), place=place)
        for number, piece in enumerate(cut, 1)
    ]


FORMATS: dict[str, Reader] = {
    "instruction": _instruction,
    "alpaca": _instruction,
    "dolly": _instruction,
    "chat": _chat,
    "text": _plain,
    "preference": _preference,
}

_ROLES = {
    "chat": ("messages",),
    "text": ("text",),
    "preference": ("prompt", "chosen", "rejected"),
}
"""Settings `data.fields` that a format reads besides `label`, if not those of instructions."""


def used_fields(settings: Data) -> set[str]:
    """Return the names of the fields of a row that `data.format` reads.

    Examples
    --------
    >>> sorted(used_fields(Data(format="dolly")))
    ['category', 'context', 'instruction', 'response']
    """
    fields = _fields(settings)
    roles = _ROLES.get(settings.format, ("instruction", "input", "output"))
    names = {getattr(fields, role) for role in (*roles, "label")} - {None}
    return names | {"system", "tools"} if settings.format in ("chat", "preference") else names


def pieces(text: str, size: int) -> list[str]:
    """Cut a text into pieces of at most `size` characters that make it up again.

    Cuts are made after a line break or before white space; indentation stays with its line, and
    longer words are cut.  A rest of nothing but white space goes to the last piece.

    Examples
    --------
    >>> pieces("if x:\\n    return y", 10)
    ['if x:\\n', '    return', ' y']
    """
    found, at = [], 0
    while len(text) - at > size:
        ahead = text[at : at + size + 1]
        cuts = [match.start() for match in _CUT.finditer(ahead)]
        cut = next((c for c in reversed(cuts) if ahead[:c].strip()), size)
        found.append(ahead[:cut])
        at += cut
    found.append(text[at:])
    while len(found) > 1 and not found[-1].strip():
        blank = found.pop()
        found[-1] += blank
    return found


def _with(record: Record, row: dict[str, Any], fields: Fields, place: str) -> Record:
    """Return the record with the label of its row, and what a column `system` says."""
    label = _label(row, fields, place)
    system = ""
    if "system" not in fields.model_dump().values():
        system = _system(row, place)
    worse = record.worse and with_system(record.worse, system)
    return replace(with_system(record, system), label=label, worse=worse)


def _system(row: dict[str, Any], place: str) -> str:
    value = row.get("system")
    if is_missing(value) or isinstance(value, str):
        return value or ""
    raise RecordError(place, "'system' must be text")


def _label(row: dict[str, Any], fields: Fields, place: str) -> str:
    return "" if fields.label is None else _text(row, fields.label, "label", place)


def _fields(settings: Data) -> Fields:
    """Return the names of a format; a label of the user's own choice counts with all."""
    own = settings.fields
    preset = PRESETS.get(settings.format, own)
    return preset if own.label is None else preset.model_copy(update={"label": own.label})


def _text(
    row: Mapping[str, Any], name: str, role: str, place: str, *, required: bool = True
) -> str:
    """Return a field as text, empty where it is missing: null, NaN, or not there."""
    value = row.get(name)
    if name not in row and required:
        raise RecordError(
            place, f"it has no field {name!r} (data.fields.{role}); it has {_names(row)}"
        )
    if is_missing(value):
        return ""
    if not isinstance(value, str | int | float):
        raise RecordError(place, f"{name!r} (data.fields.{role}) must be text")
    return value if isinstance(value, str) else str(value)


def _names(row: Mapping[str, Any]) -> str:
    names = ", ".join(column_names(row)).encode("utf-8", "backslashreplace").decode()
    return clip(names) or "nothing"


def _tasks(settings: Data) -> list[Record]:
    """Generate a mixture of reasoning-gym tasks; the task is the label."""
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise InputError(
            "data.source: 'reasoning-gym' is not installed; pip install 'airtune[tasks]'"
        ) from None
    unknown = sorted(set(settings.tasks) - set(DATASETS))
    if unknown or not settings.tasks:
        raise InputError(
            f"data.tasks = {list(settings.tasks)}: must name tasks of reasoning-gym: "
            f"{', '.join(sorted(DATASETS))}"
        )
    return [
        Record(str(row["question"]).strip(), "", str(row["answer"]).strip(), task)
        for number, task in enumerate(settings.tasks)
        for row in reasoning_gym.create_dataset(task, size=settings.task_records, seed=number)
    ]
