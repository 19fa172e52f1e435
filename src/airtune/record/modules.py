"""Digests of the modules that ``airtune --import`` had imported: a run goes on with their code."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airtune.errors import InputError, clip
from airtune.registry import IMPORTED


def module_digests(names: Iterable[str] | None = None) -> dict[str, str | None]:
    """Return the SHA-256 of the source of each module that the user had imported.

    Parameters
    ----------
    names : iterable of str, optional
        Those that ``--import`` named by default.

    Returns
    -------
    dict of str to str or None
        Of a package, of all Python files in its folder; None for a module without a source file.
    """
    return {name: _digest(name) for name in (IMPORTED if names is None else names)}


def _digest(name: str) -> str | None:
    sources = list(_sources(getattr(sys.modules.get(name), "__spec__", None)))
    if not sources:
        return None
    sha = hashlib.sha256()
    for called, path in sources:
        content = path.read_bytes()
        sha.update(f"{called} {len(content)}".encode())
        sha.update(content)
    return sha.hexdigest()


def _sources(spec: Any) -> Iterator[tuple[str, Path]]:
    """Yield the files of a module, by their names within a package."""
    folders = getattr(spec, "submodule_search_locations", None)
    if folders:
        for folder in map(Path, folders):
            for path in sorted(folder.rglob("*.py")):
                if path.is_file():
                    yield path.relative_to(folder).as_posix(), path
    elif getattr(spec, "has_location", False) and Path(spec.origin).is_file():
        yield "", Path(spec.origin)


def check_modules(began: Mapping[str, str | None]) -> None:
    """Refuse to go on with other modules than a run began with.

    Parameters
    ----------
    began : mapping of str to str or None
        As of `module_digests`; of what is None only the name is compared.

    Raises
    ------
    InputError
        A module has not been imported, or its source is another one.
    """
    for name, digest in began.items():
        if name not in IMPORTED:
            raise InputError(
                f"--import {clip(name)}: the run began with this module; go on with "
                f"airtune --import {clip(name)} resume"
            )
        if digest not in (None, module_digests([name])[name]):
            raise InputError(
                f"--import {clip(name)}: the module has been changed since the run began; put it "
                "back, or begin a new run"
            )
