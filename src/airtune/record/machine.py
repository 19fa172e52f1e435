"""The machine and the installed packages, and the version that made a run folder."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from airtune.errors import InputError
from airtune.record import names
from airtune.record.documents import EnvironmentDocument
from airtune.record.files import read_document
from airtune.scenario import Scenario

_PACKAGES = ("airtune", "numpy", "scipy", "numba", "torch", "transformers", "peft", "tokenizers")


def environment(scenario: Scenario) -> dict[str, Any]:
    """Describe the machine and the installed packages."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_count": os.cpu_count(),
        "threads": scenario.threads,
        "packages": {name: _version(name) for name in _PACKAGES},
    }


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
