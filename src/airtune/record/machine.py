"""When, where and by what a run was begun, and the version that made a run folder."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airtune.errors import InputError
from airtune.record import names
from airtune.record.documents import EnvironmentDocument
from airtune.record.files import read_document, write_document
from airtune.scenario import Scenario

_PACKAGES = (
    *("airtune", "numpy", "scipy", "numba", "torch", "transformers", "peft", "tokenizers"),
    *("datasets", "safetensors", "pydantic", "rouge-score"),
)
_CHECKOUT = Path(__file__).parents[3]
"""Root of the checkout, where the package lies in one."""


def environment(scenario: Scenario) -> dict[str, Any]:
    """Describe the run's beginning, the machine and the installed packages."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(sys.argv),
        **commit(_CHECKOUT),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_count": os.cpu_count(),
        "threads": scenario.threads,
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def add_reading(folder: Path, cell: str, reading: Mapping[str, Any]) -> None:
    """Note in environment.json what this machine has drawn for a cell, after earlier readings.

    A document that is gone is begun anew, with the readings alone.

    Raises
    ------
    FailedError, InputError
        The document cannot be read or written.
    """
    path = folder / names.ENVIRONMENT
    known: dict[str, Any] = {}
    if path.exists():
        known = read_document(path, EnvironmentDocument).model_dump(exclude_unset=True)
    readings = dict(known.get("measured_energy") or {})
    readings[cell] = [*readings.get(cell, []), dict(reading)]
    write_document(path, EnvironmentDocument, {**known, "measured_energy": readings})


def command(arguments: list[str]) -> str | None:
    """Return a command line as it may be typed again; None within a notebook or a Python shell.

    Examples
    --------
    >>> command(["/usr/bin/airtune", "run", "my scenario.yaml", "--scheme", "fixed"])
    "airtune run 'my scenario.yaml' --scheme fixed"
    >>> command([""]) is None
    True
    """
    program = Path(arguments[0]).name if arguments else ""
    if program in ("", "-c", "ipykernel_launcher.py", "colab_kernel_launcher.py"):
        return None
    # python -m airtune.cli, python -m pytest
    if program in ("cli.py", "__main__.py"):
        program = Path(arguments[0]).parent.name
    return " ".join(map(quoted, [program, *arguments[1:]]))


def quoted(word: str) -> str:
    """Return a word as it is typed in a shell, in characters that can be printed.

    Examples
    --------
    >>> quoted("my run")
    "'my run'"
    >>> print(quoted("red\\x1b[31m"))
    $'red\\x1b[31m'
    """
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{''.join(c if c.isprintable() else _in_bash(c) for c in escaped)}'"


def _in_bash(character: str) -> str:
    """Return the bytes of a character as bash writes them between $' and '."""
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def commit(folder: Path) -> dict[str, Any]:
    """Return `commit` and `commit_modified` of a git checkout; None where the folder is none."""
    git = shutil.which("git") if (folder / ".git").exists() else None
    found = git and _output(git, "-C", str(folder), "rev-parse", "HEAD")
    if not git or not found:
        return {"commit": None, "commit_modified": None}
    changed = _output(git, "-C", str(folder), "status", "--porcelain", "--untracked-files=no")
    return {"commit": found, "commit_modified": None if changed is None else bool(changed)}


def _output(*arguments: str) -> str | None:
    """Return what a program prints, or None where it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - git itself, with fixed arguments
            arguments, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def made_with(folder: Path) -> str:
    """Return the version of airtune that began a run, in words, as environment.json has it."""
    try:
        document = read_document(folder / names.ENVIRONMENT, EnvironmentDocument)
    except InputError:
        document = EnvironmentDocument()
    version = document.packages.get("airtune")
    return f"airtune {version}" if version else "the version of airtune that made it"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
