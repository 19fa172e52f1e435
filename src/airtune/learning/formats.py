"""Data from outside: files, hub data sets and generated tasks, turned into records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airtune.errors import InputError, clip
from airtune.learning.data import Record, load_sample
from airtune.scenario.learning import Data, Fields

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
# Fields of well-known data sets.
PRESETS = {
    "alpaca": Fields(),
    "dolly": Fields(input="context", output="response", label="category"),
}
# Speakers of a conversation, as data sets call them.
ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}
Row = tuple[str, Any]


def load_records(settings: Data) -> list[Record]:
    """Return the records that the scenario's `data` section names.

    Raises
    ------
    InputError
        The source is missing or unreadable, lacks the fields, or holds no usable record.
    """
    if settings.source == "sample":
        return load_sample("domains")
    if settings.source == "reasoning-gym":
        return _tasks(settings)
    return to_records(_rows(settings), settings)


def to_records(rows: Iterable[Row], settings: Data) -> list[Record]:
    """Turn rows, each with a name of its place, into records by `data.format`.

    Records with an empty answer are left out.

    Parameters
    ----------
    rows : iterable of (str, object)
        Name of the place, for messages (``data.jsonl line 3``), and the row as JSON gives it.
    settings : Data
        `format` and `fields` are used.

    Raises
    ------
    InputError
        A row lacks a field, or no record is left.

    Examples
    --------
    >>> row = {"question": "What is the largest planet?", "context": "", "response": "Jupiter"}
    >>> fields = Fields(instruction="question", output="response")
    >>> to_records([("line 1", row)], Data(fields=fields))[0].output
    'Jupiter'
    >>> to_records([("line 1", row)], Data())
    Traceback (most recent call last):
    ...
    airtune.errors.InputError: data.fields.instruction: line 1 has no field 'instruction'; it \
has context, question, response
    """
    records: list[Record] = []
    for where, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"data.source: {where} is not a JSON object")
        records += _FORMATS.get(settings.format, _instruction)(row, where, settings)
    records = [record for record in records if record.output]
    if not records:
        raise InputError(f"data.source: {clip(settings.source)} holds no record with an answer")
    return records


def _instruction(row: dict[str, Any], where: str, settings: Data) -> list[Record]:
    fields = _fields(settings)
    return [
        Record(
            _text(row, fields.instruction, "instruction", where),
            _text(row, fields.input, "input", where, required=False),
            _text(row, fields.output, "output", where),
            _label(row, fields, where),
        )
    ]


def _preference(row: dict[str, Any], where: str, settings: Data) -> list[Record]:
    """Read a prompt with a better and a worse answer; conversations may stand for texts."""
    fields = settings.fields
    answers = []
    for role in ("chosen", "rejected"):
        name = getattr(fields, role)
        value = row.get(name)
        if isinstance(value, list) and value:
            answers.append(_turns(value, name, where)[-1][1])
        else:
            answers.append(_text(row, name, role, where))
    if not all(answers):
        raise InputError(f"data.source: {where} lacks one of the two answers")
    history: tuple[tuple[str, str], ...] = ()
    talk = row.get(fields.prompt, row.get(fields.chosen))
    if isinstance(talk, list):
        turns = _turns(talk, fields.prompt, where)
        turns = turns if fields.prompt in row else turns[:-1]
        *before, (_, question) = turns or [("user", "")]
        history = tuple(before)
    else:
        question = _text(row, fields.prompt, "prompt", where)
    label = _label(row, fields, where)
    return [Record(question, "", answers[0], label, history, rejected=answers[1])]


def _chat(row: dict[str, Any], where: str, settings: Data) -> list[Record]:
    """Read a conversation: its last answer is learnt, all before it is the prompt."""
    fields = settings.fields
    value = row.get(fields.messages)
    if not isinstance(value, list):
        raise InputError(
            f"data.fields.messages: {where} has no list {fields.messages!r}; "
            f"it has {clip(', '.join(sorted(row)))}"
        )
    turns = _turns(value, fields.messages, where)
    while turns and turns[-1][0] != "assistant":
        turns.pop()
    if len(turns) < 2 or turns[-2][0] != "user":
        return []
    *before, (_, question), (_, answer) = turns
    return [Record(question, "", answer, _label(row, fields, where), tuple(before))]


def _turns(messages: list[Any], name: str, where: str) -> list[tuple[str, str]]:
    turns = []
    for message in messages:
        part = message if isinstance(message, dict) else {}
        role = ROLES.get(str(part.get("role", part.get("from", ""))).lower())
        content = part.get("content", part.get("value"))
        if role is None or not isinstance(content, str):
            raise InputError(
                f"data.fields.messages: {where}: {name!r} must hold messages with role and "
                f"content (or from and value); roles are {', '.join(sorted(ROLES))}"
            )
        turns.append((role, content.strip()))
    return turns


def _plain(row: dict[str, Any], where: str, settings: Data) -> list[Record]:
    """Cut a document into pieces; all of a piece is learnt."""
    text = _text(row, settings.fields.text, "text", where)
    label = _label(row, settings.fields, where)
    size = settings.piece_characters
    return [Record("", "", piece, label) for piece in pieces(text, size)]


_FORMATS = {"chat": _chat, "text": _plain, "preference": _preference}


def pieces(text: str, size: int) -> list[str]:
    """Cut a text at white space into pieces of at most `size` characters (longer words are cut)."""
    pieces, rest = [], text.strip()
    while len(rest) > size:
        cut = max(rest.rfind(space, 1, size + 1) for space in (" ", "\n"))
        cut = cut if cut > 0 else size
        pieces.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*pieces, rest]


def _label(row: dict[str, Any], fields: Fields, where: str) -> str:
    return "" if fields.label is None else _text(row, fields.label, "label", where)


def _fields(settings: Data) -> Fields:
    """Return the names of a format; a label of the user's own choice counts with all."""
    own = settings.fields
    preset = PRESETS.get(settings.format, own)
    return preset if own.label is None else preset.model_copy(update={"label": own.label})


def _text(
    row: Mapping[str, Any], name: str, role: str, where: str, *, required: bool = True
) -> str:
    value = row.get(name)
    if value is None and (name in row or not required):
        return ""
    if name not in row:
        raise InputError(
            f"data.fields.{role}: {where} has no field {name!r}; "
            f"it has {clip(', '.join(sorted(row)))}"
        )
    if not isinstance(value, str | int | float):
        raise InputError(f"data.fields.{role}: {where}: {name!r} must be text")
    return str(value).strip()


def _rows(settings: Data) -> Iterable[Row]:
    path = Path(settings.source)
    if path.is_file():
        return read_rows(path)
    if path.suffix in READERS or not HUB_ID.fullmatch(settings.source) or path.exists():
        raise InputError(
            f"data.source: {clip(settings.source)} does not exist; allowed are 'sample', "
            f"'reasoning-gym', a file ({', '.join(READERS)}) or a hub data set 'owner/name'"
        )
    return _hub_rows(settings)


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file, each with the name of its place for messages.

    Parameters
    ----------
    path : Path
        ``.json`` (one array of objects), ``.jsonl`` (one object a line), ``.parquet``, or ``.txt``
        (documents separated by empty lines; each becomes ``{"text": ...}``).

    Raises
    ------
    InputError
        With the file, the line or record number and what is allowed.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"data.source: {path} must end in {', '.join(READERS)}")
    return reader(path)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"data.source: {path} is not UTF-8 text ({error.reason})") from None
    except OSError as error:
        raise InputError(f"data.source: {path} cannot be read ({error.strerror})") from None


def _read_json(path: Path) -> list[Row]:
    text = _read_text(path)
    if text.lstrip().startswith("["):
        return _parse_array(text, path)
    return _parse_lines(text, path)


def _parse_array(text: str, path: Path) -> list[Row]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"data.source: {path}, line {error.lineno}: {error.msg}") from None
    return [(f"{path}, record {number}", row) for number, row in enumerate(rows, 1)]


def _parse_lines(text: str, path: Path) -> list[Row]:
    # Not splitlines(): JSON strings may hold U+2028 and the like unescaped.
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append((f"{path}, line {number}", json.loads(line)))
        except json.JSONDecodeError as error:
            raise InputError(f"data.source: {path}, line {number}: {error.msg}") from None
    return rows


def _read_parquet(path: Path) -> list[Row]:
    from pyarrow import ArrowException, parquet

    try:
        rows = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise InputError(f"data.source: {path} is not a parquet file ({error})") from None
    return [(f"{path}, row {number}", row) for number, row in enumerate(rows, 1)]


def _read_documents(path: Path) -> list[Row]:
    parts = re.split(r"\n\s*\n", _read_text(path))
    return [
        (f"{path}, part {i}", {"text": part}) for i, part in enumerate(parts, 1) if part.strip()
    ]


READERS = {
    ".json": _read_json,
    ".jsonl": _read_json,
    ".parquet": _read_parquet,
    ".txt": _read_documents,
}


def _hub_rows(settings: Data) -> Iterable[Row]:
    from datasets import load_dataset
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    name, split = settings.source, settings.split
    try:
        rows = load_dataset(name, split=split)
    except Exception as error:  # the library raises a dozen kinds, down to those of HTTP
        first = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise InputError(
            f"data.source: {name!r} (split {split!r}) is neither a file nor a data set that can be "
            f"had from the hub now: {first}"
        ) from None
    return ((f"{name}, row {number}", dict(row)) for number, row in enumerate(rows, 1))


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
