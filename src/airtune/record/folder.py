"""The run folder: opened, and refused where it cannot be gone on with."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from airtune.errors import InputError, clip
from airtune.record import names, version_1
from airtune.record.cells import Cell
from airtune.record.documents import (
    SCHEMA_VERSION,
    EnvironmentDocument,
    InputFile,
    RunDocument,
    SweepRunDocument,
)
from airtune.record.files import read_document, read_json, read_text
from airtune.record.inputs import Fingerprints, changed_files, digest, reading
from airtune.record.machine import made_with
from airtune.record.modules import check_modules
from airtune.record.whole import clean
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file


@dataclass(frozen=True)
class RunFolder:
    """A folder of `run`, `compare` or `sweep`.

    Attributes
    ----------
    folder : Path
    scenario : Scenario
    kind : str
        ``run``, ``compare`` or ``sweep``.
    directory : Path
        Where the run was begun: relative paths in the settings begin there.
    version : int
        Of the folder's documents.
    date : datetime.date, optional
        Day on which the run was begun.
    track : str, optional
        Name of the tracker that is told of its rounds.
    """

    folder: Path
    scenario: Scenario
    kind: str
    directory: Path = field(default_factory=Path.cwd)
    version: int = SCHEMA_VERSION
    date: datetime.date | None = None
    track: str | None = None

    @property
    def dated_scenario(self) -> Scenario:
        """The scenario with the day of the run as `data.date`, unless that is set.

        A chat template may ask for the day: a run that is gone on with later is told the same.
        """
        data = self.scenario.data
        if data.date is not None or self.date is None:
            return self.scenario
        return self.scenario.model_copy(
            update={"data": data.model_copy(update={"date": self.date})}
        )

    @property
    def cells(self) -> list[Cell]:
        """All cells, seed by seed, so that every scheme of a seed shares one learner."""
        called = version_1.NAMES if self.version == 1 else {}
        return [
            Cell(self.folder / scheme / names.seed_folder(seed), called.get(scheme, scheme), seed)
            for seed in range(self.scenario.seeds)
            for scheme in self.scenario.schemes
        ]


def open_folder(folder: Path) -> RunFolder:
    """Open an existing run folder.

    Raises
    ------
    InputError
        The folder does not hold a run, it is of a newer version, or its settings are not those that
        the run began with.
    """
    check_version(folder)
    if not (folder / names.RUN).is_file() or not (folder / names.SCENARIO).is_file():
        raise InputError(
            f"{folder}: is not a run folder ({names.RUN} and {names.SCENARIO} are needed); where "
            "a process was ended as it made one, give the command and its --out again"
        )
    run = read_document(folder / names.RUN, RunDocument, sealed=True)
    text = read_text(folder / names.SCENARIO)
    unnamed = version_1.UNNAMED if run.schema_version == 1 else None
    scenario = scenario_file.load(folder / names.SCENARIO, unnamed=unnamed)
    if run.settings not in (None, digest(text)):
        raise InputError(
            f"{folder / names.SCENARIO}: the settings are not those that the run began with; "
            "undo the change, or begin a new run with them"
        )
    directory = _directory(run.directory)
    version = run.schema_version
    return RunFolder(folder, scenario, run.kind, directory, version, run.date, run.track)


def _directory(named: str) -> Path:
    """Return where a run was begun, or the present folder.

    That folder is absent on another machine, or when the whole project has moved.
    """
    try:
        return Path(named) if os.access(named, os.X_OK) and Path(named).is_dir() else Path.cwd()
    except (OSError, ValueError):
        return Path.cwd()


def clean_folder(folder: Path, cells: Iterable[Cell]) -> None:
    """Remove files that a process which was killed left half written; the lock must be held.

    The run folder may be a link itself; what lies behind a link in it, or outside, stays as it is.

    Parameters
    ----------
    folder : Path
        Of a run or a sweep.
    cells : iterable of Cell
        All of its cells.
    """
    there = list(cells)
    for head in {folder, *(cell.folder.parents[1] for cell in there)}:
        if _is_own(folder, head):
            clean(head, names.OF_A_RUN)
            clean(head / names.FIGURES, ("*.pdf", "*.png"))
    for cell in there:
        if _is_own(folder, cell.folder):
            clean(cell.folder, names.OF_A_CELL)
            clean(cell.checkpoint_folder, names.OF_A_CHECKPOINT)


def _is_own(folder: Path, path: Path) -> bool:
    """Tell whether a path is the run folder or lies in it, and comes through no link there."""
    if not path.is_relative_to(folder):
        return False
    parts = path.relative_to(folder).parts
    ways = accumulate(parts, Path.joinpath, initial=folder)
    next(ways)
    return ".." not in parts and not any(way.is_symlink() for way in ways)


def read_environment(folder: Path) -> dict[str, Any]:
    """Return the content of environment.json as it stands there; nothing where there is none.

    Raises
    ------
    InputError
        The file is damaged.
    """
    path = folder / names.ENVIRONMENT
    if not path.is_file():
        return {}
    return read_document(path, EnvironmentDocument).model_dump(exclude_unset=True)


def older_version(version: int) -> dict[str, int]:
    """Return what results.json says of the version of the rounds: nothing where it is its own."""
    return {"run_schema_version": version} if version < SCHEMA_VERSION else {}


def check_version(folder: Path) -> None:
    """Refuse a run folder whose documents are of a newer version than is known here.

    A folder without run.json, or with one that cannot be read, passes.

    Raises
    ------
    InputError
        Names the versions and what to use instead.
    """
    try:
        document = read_json(folder / names.RUN)
    except (OSError, ValueError):
        return
    version = document.get("schema_version", 1) if isinstance(document, dict) else 1
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"{folder}: is a run folder of version {version}, newer than the version "
            f"{SCHEMA_VERSION} that is known here; use {made_with(folder)}"
        )


def check_resumable(run: RunFolder) -> None:
    """Refuse to go on with an unfinished run that would go on in another way.

    Raises
    ------
    InputError
        Names the version of airtune that can go on with it.
    """
    if run.version < SCHEMA_VERSION:
        raise InputError(
            f"{run.folder}: is unfinished, and a run folder of version {run.version} is not "
            f"resumed here (this version of airtune writes version {SCHEMA_VERSION}); resume it "
            f"with {made_with(run.folder)}, which began it"
        )
    if run.date is None:
        raise InputError(
            f"{run.folder}: is unfinished, and {names.RUN} names no day: it was begun before "
            "texts were written as they are now; resume it with "
            f"{made_with(run.folder)} of that day"
        )


def check_inputs(run: RunFolder, points: Iterable[RunFolder] = ()) -> None:
    """Refuse to go on with other data, models or modules than the run began with.

    Files are looked for from the present folder.  A run that is older than this check passes.

    Parameters
    ----------
    run : RunFolder
        Of a run, a comparison or a sweep.
    points : iterable of RunFolder
        Points of the sweep; checked are those that have begun.

    Raises
    ------
    InputError
        A file or a module is gone or has been changed.
    """
    digests, head = Fingerprints(), run.folder / names.RUN
    with reading():
        if run.kind == "sweep":
            for swept in read_document(head, SweepRunDocument).swept_files:
                what = digests.change(swept.setting, swept.path, swept)
                _refuse_change(swept.setting, swept, what)
        for each in (run, *points):
            path = each.folder / names.RUN
            if path == head or path.is_file():
                began = read_document(path, RunDocument)
                check_modules(began.modules)
                for setting, what in changed_files(each.scenario, began.files, digests):
                    _refuse_change(setting, began.files[setting], what)


def _refuse_change(setting: str, began: InputFile, what: str | None) -> None:
    if what is not None:
        raise InputError(
            f"{setting} = {clip(began.path)}: the file {what} since the run began; "
            "put it back, or begin a new run"
        )
