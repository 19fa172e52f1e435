"""Digests of settings and of the files that they name: a run goes on with what it began with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from airtune.record.documents import InputFile
from airtune.scenario import Scenario

_PIECE, _PIECES = 1 << 20, 64
"""A file of up to 64 MiB is read whole for its digest."""


def input_files(scenario: Scenario) -> dict[str, InputFile]:
    """Return a digest of each file or folder that a scenario names and that exists, by setting."""
    named = {
        "model.source": scenario.model.source,
        "model.adapter": scenario.model.adapter,
        "data.source": scenario.data.source,
        "data.pretraining_corpus": scenario.data.pretraining_corpus,
    }
    return {
        setting: InputFile(path=name, sha256=_fingerprint(Path(name)))
        for setting, name in named.items()
        if name is not None and Path(name).exists()
    }


def digest(settings: str) -> str:
    """Return a fingerprint of settings in YAML; comments and layout do not count."""
    plain = json.dumps(yaml.safe_load(settings), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def _fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file or of the files of a folder; of large ones, of pieces."""
    sha = hashlib.sha256()
    for each in sorted(path.iterdir()) if path.is_dir() else [path]:
        if not each.is_file():
            continue
        size = each.stat().st_size
        sha.update(f"{each.name if path.is_dir() else ''} {size}".encode())
        with each.open("rb") as file:
            for start in range(0, size, max(_PIECE, size // _PIECES)):
                file.seek(start)
                sha.update(file.read(_PIECE))
    return sha.hexdigest()
