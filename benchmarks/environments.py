"""Where the tries or cells of a result file were made: one entry for each state and machine.

A file that is made over days holds tries of several commits::

    {"environments": [{"commit": ..., "commit_modified": ..., "processor": ..., ...}, ...],
     ... each try or cell has "environment", its number in that list}

Older files have a single `environment`, that of the first or the last of their tries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Environment = dict[str, Any]

_OF_A_CALL = ("date", "command", "device")
"""What differs between two calls at the same state on the same machine."""


def listed(document: Mapping[str, Any]) -> list[Environment]:
    """Return the environments that a result file names, of either form."""
    known = document.get("environments")
    if known is None:
        known = [document["environment"]] if "environment" in document else []
    return list(known)


def number_of(environment: Environment, known: list[Environment]) -> int:
    """Return the number of an environment among those that are known; it is added if it is new."""
    state = _state(environment)
    for number, other in enumerate(known):
        if _state(other) == state:
            return number
    known.append(environment)
    return len(known) - 1


def _state(environment: Environment) -> Environment:
    return {name: value for name, value in environment.items() if name not in _OF_A_CALL}


def described(found: Iterable[Environment]) -> str:
    """Return machines and commits in words, each once.

    Examples
    --------
    >>> one = {"cpu_count": 2, "processor": "x86", "python": "3.12.1", "commit": "abcdef0123"}
    >>> described([one, one | {"commit": "0123456789", "commit_modified": True}])
    '2 cores (x86), Python 3.12.1, commit abcdef0, 0123456 with changed files'
    """
    commits: dict[str, dict[str, None]] = {}
    for each in found:
        machine = f"{each['cpu_count']} cores ({each['processor']}), Python {each['python']}"
        commit = (each.get("commit") or "unknown")[:7]
        commit += " with changed files" if each.get("commit_modified") else ""
        commits.setdefault(machine, {})[commit] = None
    return "; ".join(f"{machine}, commit {', '.join(of)}" for machine, of in commits.items())
