"""Runs to break: two schemes, three rounds, the smallest LLaMA; and what must be left."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trials.processes import Ended, Hook, Process

SETTINGS = (
    *("model.small.hidden=32", "model.small.layers=1", "model.small.heads=2"),
    *("model.small.intermediate=64", "model.small.vocabulary=400", "model.lora.rank=2"),
    *("pretraining.steps=3", "training.rounds=3", "training.batch_size_max=4", "clients.count=3"),
    *("evaluation.records=12", "evaluation.answers=2", "data.max_records=150", "threads=1"),
    *("placement.mode=fast", "budget.latency_s=", "array.antennas=2"),
)
SCHEMES = "ideal,fixed"
COMMANDS = ("compare", "run", "sweep")


def arguments(kind: str, out: Path, cache: Path) -> list[object]:
    """Return a command that makes a run of a kind in a folder."""
    settings = [part for text in (*SETTINGS, f"cache={cache}") for part in ("--set", text)]
    what: list[object] = ["--scheme", "fixed"] if kind == "run" else ["--schemes", SCHEMES]
    if kind == "sweep":
        what += ["--vary", "clients.tx_power_dbm=-5,5", "--set", "training.rounds=2"]
    return [kind, "quickstart", *settings, *what, "--out", out]


def start(
    kind: str, out: Path, cache: Path, before: Hook | None = None, place: Path | None = None
) -> Process:
    """Start a command in a folder, by default that beside its run."""
    return Process(arguments(kind, out, cache), place or out.parent, before)


def resume(out: Path, before: Hook | None = None, place: Path | None = None) -> Process:
    """Start to go on with a run; parameters as of :func:`start`."""
    return Process(["resume", out], place or out.parent, before)


def finish(kind: str, out: Path, cache: Path, place: Path | None = None) -> Ended:
    """Go on with a run to its end; begin it again where it had not come to be a run folder."""
    ended = resume(out, None, place).wait()
    if ended.code == 2 and "is not a run folder" in ended.err:
        return start(kind, out, cache, None, place).wait()
    return ended


def outcome(folder: Path) -> dict[str, Any]:
    """Return all that must be the same in a run that was disturbed: results, rounds, adapters."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.name == "results.json":
            found[name] = results(path)
        elif path.name == "metrics.jsonl":
            lines = path.read_text(encoding="utf-8").splitlines()
            found[name] = [_without_clock(json.loads(line)) for line in lines]
        elif path.suffix == ".safetensors" or "/adapter/" in name:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return found


def results(path: Path) -> Any:
    """Return what a results file holds without what differs between two runs."""
    return _without_clock(json.loads(path.read_text(encoding="utf-8")))


def _without_clock(content: Any) -> Any:
    """Return a document without what differs between two runs of the same settings."""
    if isinstance(content, dict):
        return {
            name: _without_clock(value)
            for name, value in content.items()
            if name != "environment" and not name.endswith("_wall_s")
        }
    return [_without_clock(one) for one in content] if isinstance(content, list) else content


def files(folder: Path) -> set[str]:
    """Return the places of all files and folders of a run."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def differences(folder: Path, whole: Path) -> str | None:
    """Say in what a run differs from one that nothing has disturbed; None where it does not."""
    there, wanted = files(folder), files(whole)
    if there != wanted:
        return f"left {sorted(there - wanted)[:5]}, lacks {sorted(wanted - there)[:5]}"
    one, other = outcome(folder), outcome(whole)
    unlike = [name for name in other if one.get(name) != other[name]]
    if unlike:
        return f"another content: {', '.join(unlike[:5])}"
    if is_locked(folder):
        return "the lock is held"
    return None


def left_behind(cache: Path) -> list[str]:
    """Return what a killed process has left half made in the cache."""
    return [path.name for path in cache.glob(".*")]


def is_locked(folder: Path) -> bool:
    """Tell whether a process holds the lock of a run folder."""
    path = folder / "lock"
    if not path.is_file():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def warnings_of(ended: Ended) -> Iterator[str]:
    """Yield the warnings that a command has printed."""
    yield from re.findall(r"^airtune: warning: (.*)$", ended.err, re.MULTILINE)
