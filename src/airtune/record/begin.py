"""A new run folder: made under its lock, and removed again where nothing has come of it."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airtune.errors import InputError, clip
from airtune.record import names
from airtune.record.clearing import clear_run
from airtune.record.documents import EnvironmentDocument, RunDocument
from airtune.record.files import write_document
from airtune.record.folder import RunFolder
from airtune.record.inputs import digest, input_files, reading
from airtune.record.locks import lock
from airtune.record.machine import environment
from airtune.record.modules import module_digests
from airtune.record.whole import is_full, not_written, own_folders, refuse_link, write_text
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file


@contextmanager
def begin(
    folder: Path,
    scenario: Scenario,
    kind: str,
    facts: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> Iterator[RunFolder]:
    """Make a new run folder and hold its lock until the end of the block.

    Where the block ends with an `InputError` before anything has been computed, what has been
    written here is removed, so that the folder's name is free again.

    Parameters
    ----------
    folder : Path
        New, empty or without any cell.
    scenario : Scenario
    kind : str
        ``run``, ``compare`` or ``sweep``.
    facts : mapping, optional
        Go into run.json beside the kind.
    overwrite : bool
        Remove the run that is in the folder; other files there stay.

    Raises
    ------
    InputError
        The folder holds something else, another process is writing it, or it may not be written.
    FailedError
        The disk is full or fails.
    """
    inputs = _inputs(scenario)
    _directory()
    existed = folder.is_dir() and not _names_in(folder)
    _check_place(folder, overwrite)
    _make(folder)
    with lock(folder):
        if overwrite:
            clear_run(folder)
        beside = _names_in(folder) - {names.LOCK} if overwrite else set()
        _check_place(folder, overwrite=False, beside=beside)
        try:
            yield _write_head(folder, scenario, kind, inputs, facts or {})
        except InputError:
            _discard(folder, keep=existed, beside=beside)
            raise


def create(
    folder: Path, scenario: Scenario, kind: str, facts: Mapping[str, Any] | None = None
) -> RunFolder:
    """Make a new run folder; parameters and errors as of :func:`begin`.

    The lock is given back at the end: another process may begin in the folder until the first cell
    is there.

    Examples
    --------
    >>> import tempfile
    >>> from airtune.record import open_folder
    >>> folder = Path(tempfile.mkdtemp()) / "run"
    >>> run = create(folder, Scenario(schemes=("ideal", "movable")), "compare")
    >>> [cell.scheme for cell in run.cells]
    ['ideal', 'movable']
    >>> open_folder(folder) == run
    True
    """
    with begin(folder, scenario, kind, facts) as run:
        return run


def create_within(run: RunFolder) -> None:
    """Make the head of a run folder within a sweep, whose lock is held, unless it is there.

    Raises
    ------
    InputError
        The folder is a link.
    """
    refuse_link(run.folder)
    if all((run.folder / name).is_file() for name in names.HEAD):
        return
    own_folders(run.folder)
    facts = {} if run.date is None else {"date": run.date.isoformat()}
    _write_head(run.folder, run.scenario, run.kind, _inputs(run.scenario), facts)


def _directory() -> str:
    """Return the working folder, which run.json names; refuse a name that is no text."""
    folder = str(Path.cwd())
    try:
        folder.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(
            f"{clip(folder)}: the name of the folder in which the run begins is not in UTF-8, so "
            "that no document can hold it; begin the run in another one"
        ) from None
    return folder


def _make(folder: Path) -> None:
    """Make the folder that ``--out`` names; it may be a link to one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_full(error):
            raise not_written(folder, error) from None
        raise InputError(
            f"--out {clip(folder)}: cannot be written ({error.strerror or error})"
        ) from None


def _inputs(scenario: Scenario) -> dict[str, dict[str, Any]]:
    with reading():
        return {name: file.model_dump() for name, file in input_files(scenario).items()}


def _write_head(
    folder: Path,
    scenario: Scenario,
    kind: str,
    inputs: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> RunFolder:
    """Write the files of a run folder that has no cell; run.json comes last.

    Pilots of a run that was begun there before are of other settings, and go.
    """
    for path in folder.glob(names.PILOTS):
        path.unlink()
    settings = scenario_file.dump(scenario)
    write_text(folder / names.SCENARIO, settings)
    write_document(folder / names.ENVIRONMENT, EnvironmentDocument, environment(scenario))
    date = datetime.date.today()
    content = {
        "kind": kind,
        "date": date.isoformat(),
        "directory": _directory(),
        "settings": digest(settings),
        "files": inputs,
        **facts,
    }
    modules = module_digests()
    if modules:
        content["modules"] = modules
    write_document(folder / names.RUN, RunDocument, content, sealed=True)
    return RunFolder(folder, scenario, kind, date=date, track=facts.get("track"))


def _names_in(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError as error:
        raise InputError(
            f"--out {clip(folder)}: cannot be written ({error.strerror or error})"
        ) from None


def _check_place(folder: Path, overwrite: bool, beside: Set[str] = frozenset()) -> None:
    """Refuse a folder that holds anything but the head of a run that has no cell.

    What is named by `beside` may lie there, too.
    """
    if not folder.exists() or (folder.is_dir() and _is_unused(folder, beside)):
        return
    if not folder.is_dir():
        raise InputError(f"--out {clip(folder)}: cannot be written (it is no folder)")
    if overwrite:
        _check_run(folder)
        return
    run = (folder / names.RUN).exists()
    hint = " (`airtune resume` goes on with a run)" if run else ""
    raise InputError(f"--out {clip(folder)}: must be a new or an empty folder{hint}")


def _is_unused(folder: Path, beside: Set[str] = frozenset()) -> bool:
    """Tell whether a folder is empty, or holds only what a run writes before its first cell.

    What is named by `beside` does not count, unless it holds a cell.  The files of a head count
    only beside a lock or a run.json, which a user does not write: a scenario of the user's that
    happens to have the same name stays.
    """
    if beside and any(folder.glob(f"*/{names.SEED_FOLDERS}/{names.METRICS}")):
        return False
    there = _names_in(folder) - beside
    whole = {n for n in there if not (_is_temporary(n) or Path(n).match(names.PILOTS))}
    known = whole <= {names.LOCK, names.INPUTS, *names.HEAD}
    plain = all((folder / name).is_file() or (folder / name).is_symlink() for name in there)
    ours = not there & set(names.HEAD) or bool(there & {names.LOCK, names.RUN})
    return known and plain and ours


def _is_temporary(name: str) -> bool:
    heads = tuple(f"{head}." for head in (*names.HEAD, names.INPUTS))
    ours = name.startswith(heads) or Path(name).match(f"{names.PILOTS}.*")
    return name.endswith(".tmp") and ours


def discard_unused(folder: Path) -> None:
    """Remove a run folder in which nothing has been computed, so that its name is free again."""
    if folder.is_dir() and not folder.is_symlink() and _is_unused(folder):
        _discard(folder, keep=False)


def _discard(folder: Path, *, keep: bool, beside: Set[str] = frozenset()) -> None:
    """Remove the head of a run folder without any cell, and the folder unless it is kept.

    What is named by `beside` stays, and so does the folder then.
    """
    if not folder.is_dir() or not _is_unused(folder, beside):
        return
    try:
        clear_run(folder)
        (folder / names.LOCK).unlink(missing_ok=True)
        if not keep:
            folder.rmdir()
    except OSError:
        return  # another process has begun in it, or it may not be removed


def remove(folder: Path) -> None:
    """Remove a run folder with everything in it; nothing where there is none or it is empty.

    Raises
    ------
    InputError
        The folder holds something else than a run, or another process is writing it.
    """
    if not folder.exists() or (folder.is_dir() and _is_unused(folder)):
        return
    _check_run(folder)
    with lock(folder):
        _empty(folder)
        with contextlib.suppress(OSError):  # another process has begun in it
            folder.rmdir()


def _check_run(folder: Path) -> None:
    if folder.is_symlink() or not (folder / names.RUN).is_file():
        raise InputError(f"{clip(folder)}: is not a run folder, and is not overwritten")


def _empty(folder: Path) -> None:
    """Remove everything in a folder whose lock is held, and that last.

    Without it another process could begin in the folder, and lose what it writes there.
    """
    for path in folder.iterdir():
        if path.name == names.LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (folder / names.LOCK).unlink(missing_ok=True)
