"""The cache: folders named by a hash of what their content depends on, complete or absent."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airtune.errors import FailedError, InputError, clip, shown

CACHED = "airtune.json"
"""The file of a cached folder that says what it depends on."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


def digest(facts: Mapping[str, Any]) -> str:
    """Return a hexadecimal name of 16 characters for plain JSON `facts`."""
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cached(cache: Path, kind: str, facts: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
    """Return the cached folder of `facts`; let `make` fill it if there is none.

    Parameters
    ----------
    cache : Path
        Folder that holds the cached ones.
    kind : str
        Beginning of the folder's name.
    facts : mapping
        Plain JSON types: everything that the content depends on.  Kept as ``airtune.json``.
    make : callable
        Writes the content into the folder it is given.

    Returns
    -------
    Path
        Absolute path of the complete folder.

    Raises
    ------
    InputError
        The cache cannot be written.
    FailedError
        The disk is full.

    Notes
    -----
    The folder appears by a rename after its files are on the disk, so it is complete or absent,
    also after a loss of power, and of two processes that make it at the same time one wins and both
    get the same content.
    """
    final = _place(cache, kind, facts)
    if final.is_dir():
        return final
    with _room(final):
        work, held = _work_folder(cache, kind, final.parent)
    try:
        with _room(final):
            make(work)
            (work / CACHED).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
            work.chmod(0o755)
            _flush(work)
            try:
                work.rename(final)
            except OSError:
                if not final.is_dir():
                    raise
            _flush_names(final.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if held is not None:
            os.close(held)
    return final


def _flush(folder: Path) -> None:
    """Bring a folder to the disk; some file systems find out only now that it is full."""
    for path in folder.rglob("*"):
        if path.is_dir():
            _flush_names(path)
        elif path.is_file():
            _flush_one(path)
    _flush_names(folder)


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)  # as a library left it, which may be read-only
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_names(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can."""
    try:
        _flush_one(folder)
    except OSError as error:
        if error.errno in _FULL:
            raise


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """Say where there is no room, whichever library finds none in the block.

    Raises
    ------
    FailedError
        The disk of the cache is full.
    """
    try:
        yield
    except Exception as error:
        # Libraries that are not of Python give the number in the text.
        full = getattr(error, "errno", None) in _FULL
        if not full and not any(f"(os error {code})" in str(error) for code in _FULL):
            raise
        there = next(path for path in folder.absolute().parents if path.exists())
        free = shutil.disk_usage(there).free
        raise FailedError(
            f"{folder}: cannot be written: {os.strerror(errno.ENOSPC)} ({free >> 20} MiB free); "
            "make room there, or set cache to a folder on another disk"
        ) from None


def readable(folder: Path) -> None:
    """Let whoever may read the other files read weights; safetensors writes them for the owner.

    Parameters
    ----------
    folder : Path
        Of a model or adapter, with files of weights beside others.
    """
    weights = {*folder.glob("*.safetensors")}
    others = [path for path in folder.iterdir() if path.is_file() and path not in weights]
    for path in weights if others else ():
        shutil.copymode(others[0], path)


def check_cache(cache: Path) -> None:
    """Refuse a cache that nothing can be written into.

    Raises
    ------
    InputError
        Names the setting, the folder and the reason.
    FailedError
        The disk is full.
    """
    parent = _absolute(cache, cache)
    with _room(parent / "check"):
        work, held = _work_folder(cache, "check", parent)
    shutil.rmtree(work, ignore_errors=True)
    if held is not None:
        os.close(held)


def _work_folder(cache: Path, kind: str, parent: Path) -> tuple[Path, int | None]:
    """Return a new folder to fill, locked where that is possible, and the lock.

    Those that processes which were killed began to fill are removed: their locks ended with them.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for folder in parent.glob(f".{kind}-*"):
            held = _locked(folder)
            if held is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(held)
        while True:
            work = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=parent))
            held = _locked(work)
            if held is not None or work.is_dir():
                return work, held
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise _unusable(cache, error.strerror or str(error)) from error


def _locked(folder: Path) -> int | None:
    """Lock a folder as long as this process lives; None where another has it, or none can."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return None
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        return None
    return held


def _absolute(cache: Path, path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a zero byte
        why = getattr(error, "strerror", None) or str(error).partition(" from ")[0]
        raise _unusable(cache, why) from error


def _unusable(cache: Path, why: str) -> InputError:
    return InputError(
        f"cache = {shown(str(cache))}: must be a folder that can be written into ({clip(why)})"
    )


def is_cached(cache: Path, kind: str, facts: Mapping[str, Any]) -> bool:
    """Whether the cache has the folder of `facts`; parameters as of :func:`cached`."""
    return _place(cache, kind, facts).is_dir()


def any_cached(cache: Path, kind: str, facts: Mapping[str, Any]) -> bool:
    """Whether the cache has a folder of that kind made of these facts, among others."""
    for path in _absolute(cache, cache).glob(f"{kind}-*/{CACHED}"):
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(known, dict) and facts.items() <= known.items():
            return True
    return False


def _place(cache: Path, kind: str, facts: Mapping[str, Any]) -> Path:
    return _absolute(cache, cache / f"{kind}-{digest(facts)}")
