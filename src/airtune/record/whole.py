"""Files written whole or not at all, in a folder's own files and nowhere else."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from airtune.errors import FailedError, InputError
from airtune.record import names

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINK, _NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
_FAILING = {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT}


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; errors as of :func:`written_whole`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(
    path: Path, content: bytes, keep: Path | None = None, *, durable: bool = True
) -> None:
    """Write a file whole or not at all; `keep`, `durable`, errors as of :func:`written_whole`."""
    with written_whole(path, keep, len(content), durable=durable) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def written_whole(
    path: Path, keep: Path | None = None, size: int | None = None, *, durable: bool = True
) -> Iterator[Path]:
    """Yield a new, empty file beside `path`, which takes its place at the end of the block.

    Where `path` is a link, the link is replaced, and what it leads to stays as it is.  If the block
    fails, `path` stays as it was and the new file is removed.

    Parameters
    ----------
    path : Path
    keep : Path, optional
        Name under which the file that was at `path` is kept.
    size : int, optional
        Bytes to be written, for the message about a full disk.
    durable : bool
        Flush the file to disk before it takes its place, so that it is whole after a loss of power.

    Raises
    ------
    FailedError
        The disk is full or fails.
    InputError
        There can be no such file, or it may not be written.
    """
    temporary = path.with_name(names.temporary(path.name, secrets.token_hex(4)))
    with writing(path, size):
        try:
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            yield temporary
            if durable:
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
            if keep is not None and path.is_file():
                _keep(path, keep)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def _keep(path: Path, keep: Path) -> None:
    """Give a file a second name, so that at no moment there is none of the first."""
    beside = keep.with_name(names.temporary(keep.name, secrets.token_hex(4)))
    try:
        os.link(path, beside)
    except (OSError, NotImplementedError):  # there are file systems without hard links
        path.replace(keep)
        return
    try:
        beside.replace(keep)
    finally:
        # A second name of one file is not replaced by a third: POSIX leaves both where they are.
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """Say which file could not be written and why, whichever library writes it in the block.

    Parameters
    ----------
    path : Path
        What the message names.
    size : int, optional
        Bytes to be written.

    Raises
    ------
    FailedError, InputError
        As of :func:`written_whole`.
    """
    try:
        yield
    except OSError as error:
        raise not_written(path, error, size) from None
    except Exception as error:
        code = re.search(r"\(os error (\d+)\)", str(error))  # of libraries that are not of Python
        if code is None or isinstance(error, InputError | FailedError):
            raise
        number = int(code[1])
        raise not_written(path, OSError(number, os.strerror(number)), size) from None


def append(path: Path, content: bytes) -> None:
    """Append to a file, or begin it, and flush it to disk; a link is refused.

    Raises
    ------
    FailedError, InputError
        As of :func:`written_whole`.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK | _NO_WAIT
    with writing(path, len(content)), os.fdopen(_opened(path, flags), "ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def open_file(path: Path) -> io.BufferedReader:
    """Open a file to read it; a pipe or a device, which may never end, is refused.

    Raises
    ------
    OSError
        The file cannot be opened, or is none.
    """
    return os.fdopen(_opened(path, os.O_RDONLY | _NO_WAIT), "rb")


def _opened(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file")
    return descriptor


def own_folders(*folders: Path) -> None:
    """Make folders where they are not; none may be a link, which could lead anywhere.

    Parameters
    ----------
    *folders : Path
        Outer ones first.

    Raises
    ------
    FailedError, InputError
        As of :func:`written_whole`, or one is a link.
    """
    for folder in folders:
        refuse_link(folder)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)


def refuse_link(path: Path) -> None:
    """Refuse a link where a run keeps what it writes, and removes what is half written.

    Raises
    ------
    InputError
        `path` is a link.
    """
    if path.is_symlink():
        raise InputError(
            f"{path}: is a link, and a run writes into files and folders of its own only; "
            "put what it leads to in its place"
        )


def refuse_links_out(folder: Path) -> None:
    """Refuse a folder in which a link leads out of it: what is written or removed there is its own.

    Raises
    ------
    InputError
        Names the link.
    """
    inside = folder.resolve()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place) / name
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                refuse_link(path)


def not_written(path: Path, error: OSError, size: int | None = None) -> FailedError | InputError:
    """Return the error that says why a file could not be written, and what to do.

    Parameters
    ----------
    path : Path
    error : OSError
    size : int, optional
        Bytes to be written.

    Returns
    -------
    FailedError
        The disk is full or fails: what has been done so far is on it.
    InputError
        There can be no such file, or it may not be written.
    """
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in _FULL:
        needed = "" if size is None else f"{_in_words(size)} needed, "
        return FailedError(
            f"{path}: cannot be written: {reason} ({needed}{_free(path)}); make room there"
        )
    if error.errno in _FAILING:
        return FailedError(f"{path}: cannot be written: {reason}")
    if error.errno == errno.ELOOP:
        return InputError(f"{path}: is a link, and is not written through; remove it")
    return InputError(f"{path}: cannot be written ({reason})")


def is_full(error: Exception) -> bool:
    """Tell whether an error says that there is no room left on a disk.

    Libraries that are not of Python give the number in the text.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return any(f"(os error {number})" in str(error) for number in _FULL)


def _free(path: Path) -> str:
    for folder in path.absolute().parents:
        with contextlib.suppress(OSError):
            return f"{_in_words(shutil.disk_usage(folder).free)} free"
    return "nothing is known of the room there"


def _in_words(size: float) -> str:
    """Return bytes with a unit.

    >>> _in_words(0), _in_words(1536), _in_words(3e9)
    ('0 B', '1.5 kB', '2.8 GB')
    """
    for unit in ("B", "kB", "MB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.4g} GB" if size >= 100 else f"{size:.2g} GB"


_TEMPORARY = re.compile(r"(?P<name>.+?)(\.[0-9a-f]{8})?\.tmp")


def clean(folder: Path, known: Iterable[str]) -> None:
    """Remove files and folders that a process which was killed left half written.

    Whether a link leads to the folder from above is for the caller to know, as
    :func:`airtune.record.folder.clean_folder` does.

    Parameters
    ----------
    folder : Path
        Nothing happens where it is none, or a link.
    known : iterable of str
        Names of which a half written form may be there; ``*.pdf`` stands for any of that end.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    patterns = [Path(name) for name in known]
    for path in sorted(folder.iterdir()):
        match = _TEMPORARY.fullmatch(path.name)
        if match and any(Path(match["name"]).match(str(pattern)) for pattern in patterns):
            with contextlib.suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
