"""The run folder: made, opened, locked, and refused where it cannot be used."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airtune.errors import InputError, shown
from airtune.record import names, version_1
from airtune.record.cells import Cell
from airtune.record.documents import SCHEMA_VERSION, EnvironmentDocument, RunDocument
from airtune.record.files import read_document, read_json, write_document, write_text
from airtune.record.inputs import digest, input_files
from airtune.record.machine import environment, made_with
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file

_HEAD = (names.RUN, names.SCENARIO, names.ENVIRONMENT)
_UNUSED = {*_HEAD, *map(names.temporary, _HEAD), names.LOCK}
"""Files of a run folder before its first cell; a folder that holds nothing else is unused."""


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
    """

    folder: Path
    scenario: Scenario
    kind: str
    directory: Path = field(default_factory=Path.cwd)
    version: int = SCHEMA_VERSION
    date: datetime.date | None = None

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


def create(
    folder: Path, scenario: Scenario, kind: str, facts: Mapping[str, Any] | None = None
) -> RunFolder:
    """Make a new run folder.

    Parameters
    ----------
    folder : Path
        New, empty or without any cell.
    scenario : Scenario
    kind : str
        ``run``, ``compare`` or ``sweep``.
    facts : mapping, optional
        Go into run.json beside the kind.

    Raises
    ------
    InputError
        The folder already holds something.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "run"
    >>> run = create(folder, Scenario(schemes=("ideal", "movable")), "compare")
    >>> [cell.scheme for cell in run.cells]
    ['ideal', 'movable']
    >>> open_folder(folder) == run
    True
    """
    try:
        inputs = {name: file.model_dump() for name, file in input_files(scenario).items()}
    except OSError as error:
        raise InputError(f"{shown(error.filename)}: cannot be read ({error.strerror})") from None
    try:
        if folder.exists() and not _is_unused(folder):
            run = (folder / names.RUN).exists()
            hint = " (`airtune resume` goes on with a run)" if run else ""
            raise InputError(f"--out {folder}: must be a new or an empty folder{hint}")
        folder.mkdir(parents=True, exist_ok=True)
        settings = scenario_file.dump(scenario)
        write_text(folder / names.SCENARIO, settings)
        write_document(folder / names.ENVIRONMENT, EnvironmentDocument, environment(scenario))
        date = datetime.date.today()
        content = {
            "kind": kind,
            "date": date.isoformat(),
            "directory": str(Path.cwd()),
            "settings": digest(settings),
            "files": inputs,
        }
        write_document(folder / names.RUN, RunDocument, {**content, **(facts or {})})
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror})") from None
    return RunFolder(folder, scenario, kind, date=date)


def _is_unused(folder: Path) -> bool:
    return all(path.name in _UNUSED for path in folder.iterdir())


def discard_unused(folder: Path) -> None:
    """Remove a run folder in which nothing has been computed, so that its name is free again."""
    if _is_unused(folder):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def remove(folder: Path) -> None:
    """Remove a run folder with everything in it; nothing where there is none or it is empty.

    Raises
    ------
    InputError
        The folder holds something else than a run, or another process is writing it.
    """
    if not folder.exists() or (folder.is_dir() and _is_unused(folder)):
        return
    if folder.is_symlink() or not (folder / names.RUN).is_file():
        raise InputError(f"{folder}: is not a run folder, and is not overwritten")
    with lock(folder):
        shutil.rmtree(folder)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep other processes from writing the same run folder.

    Raises
    ------
    InputError
        Another process is writing it.
    """
    from filelock import FileLock, Timeout

    held = FileLock(folder / names.LOCK)
    try:
        held.acquire(blocking=False)
    except Timeout:
        raise InputError(f"{folder}: another process is writing this run") from None
    try:
        yield
    finally:
        held.release()


def open_folder(folder: Path) -> RunFolder:
    """Open an existing run folder.

    Raises
    ------
    InputError
        The folder does not hold a run, it is of a newer version, or its settings are not those that
        the run began with.
    """
    check_version(folder)
    try:
        run = read_document(folder / names.RUN, RunDocument)
        old = run.schema_version == 1
        unnamed = version_1.UNNAMED if old else None
        scenario = scenario_file.load(folder / names.SCENARIO, unnamed=unnamed)
        settings = digest((folder / names.SCENARIO).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if isinstance(error, InputError) and (folder / names.SCENARIO).exists():
            raise
        raise InputError(
            f"{folder}: is not a run folder ({names.RUN} and {names.SCENARIO} are needed)"
        ) from None
    if run.settings not in (None, settings):
        raise InputError(
            f"{folder / names.SCENARIO}: the settings are not those that the run began with; "
            "undo the change, or begin a new run with them"
        )
    # The directory is absent on another machine, or when the whole project has moved.
    directory = Path(run.directory) if Path(run.directory).is_dir() else Path.cwd()
    return RunFolder(folder, scenario, run.kind, directory, run.schema_version, run.date)


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


def check_inputs(run: RunFolder) -> None:
    """Refuse to go on with other data or another model than the run began with.

    Files are looked for from the present folder.  A run that is older than this check passes.

    Raises
    ------
    InputError
        A file is gone or has been changed.
    """
    began = read_document(run.folder / names.RUN, RunDocument).files
    now = input_files(run.scenario)
    for setting, file in began.items():
        if now.get(setting) != file:
            what = "is gone" if setting not in now else "has been changed"
            raise InputError(
                f"{setting} = {file.path}: the file {what} since the run began; "
                "put it back, or begin a new run"
            )
