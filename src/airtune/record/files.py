"""Documents of a run folder, checked on the way in and out: the one reader of all of them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from airtune.errors import DamageWarning, InputError, clip
from airtune.record import names
from airtune.record.documents import SCHEMA_VERSION, RecordDocument
from airtune.record.whole import open_file, write_text

Document = dict[str, Any]
"""A JSON object."""

Typed = TypeVar("Typed", bound=RecordDocument)
Listed = TypeVar("Listed", bound=BaseModel)

LARGEST = 1 << 28
"""Bytes of a document at most."""

SEAL = "sha256"
"""The key of a document that holds the digest of all others."""

_SEALED_SINCE = 2
"""Version of the documents that have seals and digests."""

_SHORT = 80
"""Characters of a reason that a message shows."""

_AGAIN = "delete it, and `airtune resume` of the run folder writes it anew"
_REPORT = "`airtune report` of the run folder writes it anew"
_COPY = "put back a whole copy of it, or begin a new run"
_CELL = "delete the folder that it is in, and `airtune resume` of the run folder runs it again"
_FINISH = (
    f"delete {names.FINISHED} beside it, and `airtune resume` of the run folder writes both anew"
)
_REMEDIES = {
    names.RUN: _COPY,
    names.SCENARIO: _COPY,
    names.ENVIRONMENT: "delete it: results then do not say where they are from",
    names.INPUTS: "delete it: it is written anew, without a check against what was before",
    names.RESULTS: _REPORT,
    names.FINISHED: _AGAIN,
    names.METRICS: _CELL,
    names.PLAN: _CELL,
    names.PLACEMENT: _FINISH,
    names.SAMPLES: _FINISH,
    names.HOLDINGS: _FINISH,
    names.LEFT_OUT: _FINISH,
    names.DIGESTS: _FINISH,
}


def remedy(path: Path) -> str:
    """Return what to do about a damaged file of a run folder; nothing where that is not known.

    Examples
    --------
    >>> remedy(Path("runs/demo/results.json"))
    '; `airtune report` of the run folder writes it anew'
    """
    known = _AGAIN if path.match(names.INFEASIBLE) else _REMEDIES.get(path.name)
    return f"; {known}" if known else ""


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of the run folder.

    Raises
    ------
    InputError
        The file cannot be read or is not valid JSON; says which file, what is wrong, and what to
        do.
    """
    return parse_json(read_bytes(path), f"{path}:", remedy(path))


def read_bytes(path: Path) -> bytes:
    """Return the content of a file of the run folder; errors as of `read_json`."""
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST:
                raise InputError(
                    f"{path}: has {size} bytes, and at most {LARGEST} are read{remedy(path)}"
                )
            return file.read()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read ({reason}){remedy(path)}") from None


def read_text(path: Path) -> str:
    """Return the content of a text file of the run folder; errors as of `read_json`."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8 ({error.reason}){remedy(path)}") from None


def parse_json(content: bytes, where: str, hint: str = "") -> Any:
    """Return what JSON text says; it holds no number that is not finite and no broken character.

    Raises
    ------
    InputError
        It is not valid JSON; the message begins with `where` and ends with `hint`.

    Examples
    --------
    >>> parse_json(b'{"loss": 1.5}', "x.json:")
    {'loss': 1.5}
    >>> parse_json(b'{"loss": 1e999}', "x.json:")
    Traceback (most recent call last):
        ...
    airtune.errors.InputError: x.json: not valid JSON (1e999 is not a finite number)
    """
    try:
        read = json.loads(content.decode("utf-8"), parse_constant=_not_finite, parse_float=_finite)
        if b"\\u" in content:
            json.dumps(read, ensure_ascii=False).encode("utf-8")  # half a character of two
        return read
    except RecursionError:
        reason = "nested too deeply"
    except UnicodeError as error:
        reason = f"not text in UTF-8: {error.reason}" if hasattr(error, "reason") else "not text"
    except ValueError as error:
        reason = str(error)
    raise InputError(f"{where} not valid JSON ({_short(reason)}){hint}")


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}..."


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _not_finite(text)
    return value


def _not_finite(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a finite number")


def write_document(
    path: Path, kind: type[RecordDocument], content: Mapping[str, Any], *, sealed: bool = False
) -> dict[str, Any]:
    """Write a document with its schema version in front, and return what was written.

    Parameters
    ----------
    path : Path
    kind : type
        What the document must be, a class of :mod:`airtune.record.documents`.
    content : mapping
        Plain JSON types; they are written as they are, in their order.
    sealed : bool
        Put a digest of the content at the end, by which :func:`read_document` notices a change.

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
    document = complete(kind, content, sealed=sealed)
    write_json(path, document)
    return document


def complete(
    kind: type[RecordDocument], content: Mapping[str, Any], *, sealed: bool
) -> dict[str, Any]:
    """Return a document as it is written; parameters and errors as of `write_document`."""
    document = {"schema_version": SCHEMA_VERSION, **content}
    if sealed:
        # As it will be read: keys that are numbers become text.
        document[SEAL] = _digest(json.loads(json.dumps(document)))
    kind.model_validate(document)
    return document


def _digest(document: Mapping[str, Any]) -> str:
    """Return a digest of a document's content; how it is laid out does not count."""
    rest = {key: value for key, value in document.items() if key != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_document(path: Path, kind: type[Typed], *, sealed: bool = False) -> Typed:
    """Return a typed document.

    Parameters
    ----------
    path : Path
    kind : type
        What the document must be, a class of :mod:`airtune.record.documents`.
    sealed : bool
        It is written with a seal: one of version 2 without gives a `DamageWarning`, since nothing
        shows whether it is as it was written.

    Raises
    ------
    InputError
        The file cannot be read, is not valid JSON, does not hold such a document, or has been
        changed since it was sealed; says which file, what is wrong, and what to do.
    """
    document = parse_document(read_json(path), kind, path)
    if sealed and document.sha256 is None and document.schema_version >= _SEALED_SINCE:
        warnings.warn(
            f"{clip(path)}: has no seal (`{SEAL}`), so that a change of it cannot be noticed; it "
            "was changed by hand, or written by a version under development",
            DamageWarning,
            stacklevel=2,
        )
    return document


def read_documents(path: Path, kind: type[Listed]) -> list[Listed]:
    """Return the typed entries of a file that holds a list; errors as of `read_document`."""
    content = read_json(path)
    if not isinstance(content, list):
        raise InputError(
            f"{path}: must hold a JSON list, holds a {type(content).__name__}{remedy(path)}"
        )
    return [
        parse(entry, kind, f"{path}: entry {n} is", remedy(path))
        for n, entry in enumerate(content, 1)
    ]


def parse_document(content: Any, kind: type[Typed], path: Path) -> Typed:
    """Return the typed form of a document that has been read; errors as of `read_document`."""
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: must hold a JSON object, holds a {type(content).__name__}{remedy(path)}"
        )
    if SEAL in content and content[SEAL] != _digest(content):
        raise InputError(f"{path}: has been changed or damaged since it was written{remedy(path)}")
    return parse(content, kind, f"{path}:", remedy(path))


def parse(content: Any, kind: type[Listed], where: str, hint: str = "") -> Listed:
    """Return the typed form of a document or of a part of one.

    Raises
    ------
    InputError
        The content is not of that kind; the message begins with `where` and ends with `hint`.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = _short(".".join(map(str, first["loc"])))
        name = kind.__name__.removesuffix("Document")
        what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
        raise InputError(f"{where} not a {what} ({field}: {_short(first['msg'])}){hint}") from None
    except RecursionError:
        raise InputError(f"{where} nested too deeply{hint}") from None
