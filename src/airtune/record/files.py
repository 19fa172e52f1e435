"""Files written whole or not at all, and documents checked on the way in and out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from airtune.errors import InputError
from airtune.record import names
from airtune.record.documents import SCHEMA_VERSION, RecordDocument

Document = dict[str, Any]
"""A JSON object."""

Typed = TypeVar("Typed", bound=RecordDocument)
Listed = TypeVar("Listed", bound=BaseModel)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(names.temporary(path.name))
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of the run folder."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_document(
    path: Path, kind: type[RecordDocument], content: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a document with its schema version in front, and return what was written.

    Parameters
    ----------
    path : Path
    kind : type
        What the document must be, a class of :mod:`airtune.record.documents`.
    content : mapping
        Plain JSON types; they are written as they are, in their order.

    Raises
    ------
    ValidationError
        The content is not of that kind: an error of the program that writes it.

    Examples
    --------
    >>> import tempfile
    >>> from airtune.record.documents import HoldingsDocument
    >>> path = Path(tempfile.mkdtemp()) / "holdings.json"
    >>> content = {"labels": ["sums"], "counts": [[3], [5]]}
    >>> write_document(path, HoldingsDocument, content)
    {'schema_version': 2, 'labels': ['sums'], 'counts': [[3], [5]]}
    >>> read_document(path, HoldingsDocument).counts
    [[3], [5]]
    """
    document = {"schema_version": SCHEMA_VERSION, **content}
    kind.model_validate(document)
    write_json(path, document)
    return document


def read_document(path: Path, kind: type[Typed]) -> Typed:
    """Return a typed document.

    Raises
    ------
    InputError
        The file cannot be read, is not valid JSON or does not hold such a document.
    """
    return parse_document(_content(path), kind, path)


def read_documents(path: Path, kind: type[Listed]) -> list[Listed]:
    """Return the typed entries of a file that holds a list; errors as of `read_document`."""
    content = _content(path)
    if not isinstance(content, list):
        raise InputError(f"{path}: must hold a JSON list, holds a {type(content).__name__}")
    return [parse(entry, kind, f"{path}: entry {n} is") for n, entry in enumerate(content, 1)]


def _content(path: Path) -> Any:
    try:
        return read_json(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None


def parse_document(content: Any, kind: type[Typed], path: Path) -> Typed:
    """Return the typed form of a document that has been read; errors as of `read_document`."""
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold a JSON object, holds a {type(content).__name__}")
    return parse(content, kind, f"{path}:")


def parse(content: Any, kind: type[Listed], where: str) -> Listed:
    """Return the typed form of a document or of a part of one.

    Raises
    ------
    InputError
        The content is not of that kind; the message begins with `where`.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        name = kind.__name__.removesuffix("Document")
        what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
        raise InputError(f"{where} not a {what} ({field}: {first['msg']})") from None
