"""Rows of data as files and the hub hold them, each with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from airtune.errors import InputError, clip
from airtune.learning.origin import HUB_ID
from airtune.learning.parquet import read_parquet
from airtune.memory import PARSED, demand
from airtune.scenario.learning import Data

Row = tuple[str, Any]
"""Name of the place, for messages, and the row as JSON gives it."""


def source_rows(settings: Data, columns: Collection[str] | None = None) -> Iterable[Row]:
    """Return the rows of `data.source`: a file or a hub data set.

    Parameters
    ----------
    settings : Data
        `source` and `split` are used.
    columns : collection of str, optional
        As of :func:`read_rows`.

    Raises
    ------
    InputError
        The source is missing or unreadable.
    """
    path = Path(settings.source)
    if path.is_file():
        return read_rows(path, columns)
    if (
        path.suffix.lower() in FILE_ENDINGS
        or not HUB_ID.fullmatch(settings.source)
        or path.exists()
    ):
        raise InputError(
            f"data.source: {clip(settings.source)} does not exist; allowed are 'sample', "
            f"'reasoning-gym', a file ({', '.join(READERS)}) or a hub data set 'owner/name'"
        )
    return _hub_rows(settings)


def read_rows(path: Path, columns: Collection[str] | None = None) -> list[Row]:
    """Return the rows of a file, each with the name of its place for messages.

    Parameters
    ----------
    path : Path
        ``.json`` (one array of objects), ``.jsonl`` (one object a line), ``.parquet``, or ``.txt``
        (documents separated by empty lines; each becomes ``{"text": ...}``).
    columns : collection of str, optional
        Fields that are used: of a parquet file no others are read.

    Raises
    ------
    InputError
        With the file, the line or record number and what is allowed.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"data.source: {path} must end in {', '.join(READERS)}")
    return reader(path, columns)


def _read_text(path: Path) -> str:
    try:
        demand(f"data.source: {clip(path)}: its records", PARSED * path.stat().st_size)
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"data.source: {path} is not UTF-8 text ({error.reason})") from None
    except OSError as error:
        raise InputError(f"data.source: {path} cannot be read ({error.strerror})") from None


def _read_json(path: Path, _columns: Collection[str] | None) -> list[Row]:
    text = _read_text(path)
    if text.lstrip().startswith("["):
        return _parse_array(text, path)
    return _parse_lines(text, path)


def _parse_array(text: str, path: Path) -> list[Row]:
    rows = _parsed(text, path, 1)
    return [(f"{path}, record {number}", row) for number, row in enumerate(rows, 1)]


def _parse_lines(text: str, path: Path) -> list[Row]:
    # Not splitlines(): JSON strings may hold U+2028 and the like unescaped.
    return [
        (f"{path}:{number}", _parsed(line, path, number))
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]


def _parsed(text: str, path: Path, first_line: int) -> Any:
    """Return what JSON `text` holds, which begins at line `first_line` of the file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line, what = first_line + error.lineno - 1, error.msg
    except (ValueError, RecursionError) as error:  # endless digits, endless nesting
        line, what = first_line, clip(error)
    raise InputError(f"data.source: {path}, line {line}: {what}")


def _read_parquet(path: Path, columns: Collection[str] | None) -> list[Row]:
    rows = read_parquet(path, columns)
    return [(f"{path}, row {number}", row) for number, row in enumerate(rows, 1)]


def _read_documents(path: Path, _columns: Collection[str] | None) -> list[Row]:
    parts = re.split(r"\n\s*\n", _read_text(path))
    return [
        (f"{path}, part {i}", {"text": part.strip("\n")})
        for i, part in enumerate(parts, 1)
        if part.strip()
    ]


READERS = {
    ".json": _read_json,
    ".jsonl": _read_json,
    ".parquet": _read_parquet,
    ".txt": _read_documents,
}

# Names of files, never tried on the hub.
FILE_ENDINGS = {*READERS, ".csv", ".tsv", ".xlsx", ".arrow", ".yaml", ".yml", ".gz", ".zip", ".zst"}


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
