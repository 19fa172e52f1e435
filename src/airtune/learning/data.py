"""Instruction data: the shipped sample and local JSON or JSONL files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np

from airtune.errors import InputError
from airtune.scenario import Data, Fields

Part = Literal["general", "domains"]


@dataclass(frozen=True, slots=True)
class Record:
    """One instruction with its reference answer; `label` names its domain or is empty."""

    instruction: str
    input: str
    output: str
    label: str = ""


def sample_bytes(part: Part) -> bytes:
    """Return the uncompressed JSONL bytes of a part of the shipped sample.

    Parameters
    ----------
    part : {"general", "domains"}
        The mixture of phase 1, or the domain tasks of phase 2.
    """
    packed = files("airtune.learning") / "samples" / f"{part}.jsonl.gz"
    return gzip.decompress(packed.read_bytes())


def load_sample(part: Part) -> list[Record]:
    """Return the records of a part of the shipped sample; every record has a label."""
    rows = (json.loads(line) for line in sample_bytes(part).splitlines())
    return [Record(r["instruction"], r["input"], r["output"], r["domain"]) for r in rows]


def load_records(settings: Data) -> list[Record]:
    """Return the fine-tuning records that the scenario's `data` section names.

    Raises
    ------
    InputError
        The file is missing, not JSON or JSONL, lacks the fields, or holds no usable record.
    """
    if settings.source == "sample":
        return load_sample("domains")
    return read_file(Path(settings.source), settings.fields)


def read_file(path: Path, fields: Fields) -> list[Record]:
    """Read instruction records from a JSON array or a JSONL file.

    Parameters
    ----------
    path : Path
        ``.json`` (one array of objects) or ``.jsonl`` (one object a line).
    fields : Fields
        Names of the fields that hold the instruction, the input, the answer and the label.

    Returns
    -------
    list of Record
        In file order; records with an empty answer are left out.

    Raises
    ------
    InputError
        With the file, the line or record number and what is allowed.
    """
    if not path.is_file():
        raise InputError(
            f"data.source: {path} does not exist; allowed are 'sample' or a JSON or JSONL file"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"data.source: {path} is not UTF-8 text ({error.reason})") from None
    rows = _parse_array(text, path) if text.lstrip().startswith("[") else _parse_lines(text, path)
    records = [_to_record(row, where, fields) for where, row in rows]
    records = [record for record in records if record.output]
    if not records:
        raise InputError(f"data.source: {path} holds no record with an answer")
    return records


def _parse_array(text: str, path: Path) -> list[tuple[str, Any]]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"data.source: {path}, line {error.lineno}: {error.msg}") from None
    return [(f"{path}, record {number}", row) for number, row in enumerate(rows, 1)]


def _parse_lines(text: str, path: Path) -> list[tuple[str, Any]]:
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


def _to_record(row: Any, where: str, fields: Fields) -> Record:
    if not isinstance(row, dict):
        raise InputError(f"data.source: {where} is not a JSON object")
    values = {
        "instruction": _text(row, fields.instruction, "instruction", where),
        "input": _text(row, fields.input, "input", where, required=False),
        "output": _text(row, fields.output, "output", where),
    }
    label = "" if fields.label is None else _text(row, fields.label, "label", where)
    return Record(**values, label=label)


def _text(row: dict[str, Any], name: str, role: str, where: str, *, required: bool = True) -> str:
    value = row.get(name)
    if value is None and not required:
        return ""
    if value is None:
        raise InputError(
            f"data.fields.{role}: {where} has no field {name!r}; it has {', '.join(sorted(row))}"
        )
    if not isinstance(value, str | int | float):
        raise InputError(f"data.fields.{role}: {where}: {name!r} must be text")
    return str(value).strip()


def labels(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the distinct labels in alphabetical order."""
    return tuple(sorted({record.label for record in records}))


def hold_out(
    records: Sequence[Record], fraction: float, random: np.random.Generator
) -> tuple[list[Record], list[Record]]:
    """Split into training and validation records, the same share of every label.

    Records with the same instruction and input stay on one side, so that no validation prompt is
    trained on.

    Parameters
    ----------
    records : sequence of Record
        All records.
    fraction : float
        Share of the prompts of each label that is held out, in (0, 1); at least one.
    random : Generator
        Decides which.

    Returns
    -------
    training, validation : list of Record
        Both in file order, neither empty.

    Raises
    ------
    InputError
        There are fewer than two distinct prompts.
    """
    held: set[tuple[str, str]] = set()
    seen: set[tuple[str, str]] = set()
    for label in labels(records):
        own = dict.fromkeys((r.instruction, r.input) for r in records if r.label == label)
        prompts = [prompt for prompt in own if prompt not in seen]
        seen.update(prompts)
        count = min(max(1, round(fraction * len(prompts))), len(prompts) - 1)
        if count > 0:
            held.update(prompts[i] for i in random.permutation(len(prompts))[:count])
    if not held and len(seen) > 1:
        # Every label has but one prompt.
        held.add(sorted(seen)[int(random.integers(len(seen)))])
    training = [r for r in records if (r.instruction, r.input) not in held]
    validation = [r for r in records if (r.instruction, r.input) in held]
    if not training or not validation:
        raise InputError("data.source: at least two different prompts are needed")
    return training, validation


def spread(records: Sequence[Record], count: int) -> list[Record]:
    """Return at most `count` records, taken from the labels in turn, in their order."""
    queues = {name: [r for r in records if r.label == name] for name in labels(records)}
    depth = max((len(queue) for queue in queues.values()), default=0)
    turns = [queue[i] for i in range(depth) for queue in queues.values() if i < len(queue)]
    return turns[:count]
