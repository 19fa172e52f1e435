"""The run folder: settings, metrics, checkpoints, and the way back into them.

A run folder holds one cell for each scheme and seed.  Metrics are flushed to disk each round;
checkpoints are replaced atomically, so a process that is killed loses at most one round.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from airtune.errors import InputError
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file

Arrays = dict[str, np.ndarray]
Document = dict[str, Any]
"""A JSON object."""

_HEADS = {"run.json", "scenario.yaml", "environment.json", "lock"} | {
    "run.json.tmp",
    "scenario.yaml.tmp",
    "environment.json.tmp",
}
"""Files of a run folder before its first cell; a folder that holds nothing else is unused."""

_PIECE, _PIECES = 1 << 20, 64
"""A file of up to 64 MiB is read whole for its digest."""

_PACKAGES = ("airtune", "numpy", "scipy", "numba", "torch", "transformers", "peft", "tokenizers")


@dataclass(frozen=True)
class Cell:
    """The folder of one scheme and one seed."""

    folder: Path
    scheme: str
    seed: int

    @property
    def finished(self) -> bool:
        """Whether the cell's last round and adapter are on disk."""
        return (self.folder / "finished.json").is_file()


@dataclass(frozen=True)
class RunFolder:
    """A folder of `run` or `compare`.

    Relative paths in the settings are relative to `directory`, where the run was begun.
    """

    folder: Path
    scenario: Scenario
    kind: str
    directory: Path = field(default_factory=Path.cwd)

    @property
    def cells(self) -> list[Cell]:
        """All cells, seed by seed, so that every scheme of a seed shares one learner."""
        return [
            Cell(self.folder / scheme / f"seed-{seed}", scheme, seed)
            for seed in range(self.scenario.seeds)
            for scheme in self.scenario.schemes
        ]


def create(
    folder: Path, scenario: Scenario, kind: str, facts: Mapping[str, Any] | None = None
) -> RunFolder:
    """Make a new run folder; `facts` go into run.json beside the kind.

    Raises
    ------
    InputError
        The folder already holds something.
    """
    try:
        if folder.exists() and any(path.name not in _HEADS for path in folder.iterdir()):
            run = (folder / "run.json").exists()
            hint = " (`airtune resume` goes on with a run)" if run else ""
            raise InputError(f"--out {folder}: must be a new or an empty folder{hint}")
        folder.mkdir(parents=True, exist_ok=True)
        settings = scenario_file.dump(scenario)
        write_text(folder / "scenario.yaml", settings)
        write_json(folder / "environment.json", environment(scenario))
        marks = {
            "kind": kind,
            "directory": str(Path.cwd()),
            "settings": _digest(settings),
            "files": _inputs(scenario),
        }
        write_json(folder / "run.json", {**marks, **(facts or {})})
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror})") from None
    return RunFolder(folder, scenario, kind)


def discard_unused(folder: Path) -> None:
    """Remove a run folder in which nothing has been computed, so that its name is free again."""
    if all(path.name in _HEADS for path in folder.iterdir()):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep other processes from writing the same run folder.

    Raises
    ------
    InputError
        Another process is writing it.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{folder}: another process is writing this run") from None
        yield


def open_folder(folder: Path) -> RunFolder:
    """Open an existing run folder.

    Raises
    ------
    InputError
        The folder does not hold a run, or its settings are not those that the run began with.
    """
    try:
        marks = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        kind, directory = marks["kind"], Path(marks.get("directory", "."))
        scenario = scenario_file.load(folder / "scenario.yaml")
        found = _digest((folder / "scenario.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError) and (folder / "scenario.yaml").exists():
            raise
        raise InputError(
            f"{folder}: is not a run folder (run.json and scenario.yaml are needed)"
        ) from None
    if marks.get("settings", found) != found:
        raise InputError(
            f"{folder / 'scenario.yaml'}: the settings are not those that the run began with; "
            "undo the change, or begin a new run with them"
        )
    # Absent on another machine, or when the whole project has moved.
    return RunFolder(folder, scenario, kind, directory if directory.is_dir() else Path.cwd())


def check_inputs(run: RunFolder) -> None:
    """Refuse to go on with other data or another model than the run began with.

    Files are looked for from the present folder.  A run that is older than this check passes.

    Raises
    ------
    InputError
        A file is gone or has been changed.
    """
    began = read_json(run.folder / "run.json").get("files", {})
    now = _inputs(run.scenario)
    for setting, mark in began.items():
        if now.get(setting) != mark:
            name = mark["path"]
            what = "is gone" if setting not in now else "has been changed"
            raise InputError(
                f"{setting} = {name}: the file {what} since the run began; "
                "put it back, or begin a new run"
            )


def _inputs(scenario: Scenario) -> dict[str, dict[str, Any]]:
    """Return a digest of each file or folder that a scenario names, by setting."""
    named = {
        "model.source": scenario.model.source,
        "model.adapter": scenario.model.adapter,
        "data.source": scenario.data.source,
        "data.pretraining_corpus": scenario.data.pretraining_corpus,
    }
    found = {}
    for setting, name in named.items():
        if name is not None and Path(name).exists():
            found[setting] = {"path": name, "sha256": _fingerprint(Path(name))}
    return found


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


def _digest(settings: str) -> str:
    """Return a fingerprint of settings in YAML; comments and layout do not count."""
    plain = json.dumps(yaml.safe_load(settings), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


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


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
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


def append_metrics(cell: Cell, line: Mapping[str, Any]) -> None:
    """Append one line to metrics.jsonl and flush it to disk."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    with (cell.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_metrics(cell: Cell) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl; a torn last line is left out."""
    path = cell.folder / "metrics.jsonl"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def save_checkpoint(cell: Cell, round_index: int, arrays: Arrays, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint: arrays as safetensors, then the JSON that names them.

    The JSON is replaced last and atomically; whatever is interrupted, it names a whole file.
    """
    from safetensors.numpy import save_file

    folder = cell.folder / "checkpoint"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"round-{round_index:06d}.safetensors"
    temporary = folder / (name + ".tmp")
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, temporary)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(folder / name)
    write_json(folder / "state.json", {"round": round_index, "arrays": name, "state": dict(state)})
    for stale in folder.glob("round-*"):
        if stale.name != name:
            stale.unlink()


def load_checkpoint(cell: Cell) -> tuple[int, Arrays, dict[str, Any]] | None:
    """Return (round, arrays, state) of the last checkpoint and drop metrics beyond it.

    Raises
    ------
    InputError
        The checkpoint or the metrics up to it are damaged.
    """
    from safetensors.numpy import load_file

    path = cell.folder / "checkpoint" / "state.json"
    if not path.is_file():
        (cell.folder / "metrics.jsonl").unlink(missing_ok=True)
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        arrays = load_file(path.with_name(document["arrays"]))
        kept = [line for line in read_metrics(cell) if line["round"] <= document["round"]]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{cell.folder}: damaged ({error}); delete it to start anew") from None
    if [line["round"] for line in kept] != list(range(document["round"] + 1)):
        raise InputError(f"{cell.folder}: damaged (rounds are missing); delete it to start anew")
    write_text(
        cell.folder / "metrics.jsonl",
        "".join(json.dumps(line, allow_nan=False) + "\n" for line in kept),
    )
    return document["round"], arrays, document["state"]
