"""A disk that is full at a random write: one message, exit code 1, and a run that goes on later.

In half of the tries the disk is a small tmpfs (where this user may mount one) that is filled so far
that some write finds no room; in the others every write from the n-th on fails with ENOSPC.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from trials import tiny, writes
from trials.kills import Whole
from trials.processes import Ended, load_libraries
from trials.results import Results, Try

TRIES = 50
PAGE = 4096


def run(results: Results, scratch: Path, reduced: bool) -> None:
    """Make the tries that are missing."""
    scratch.mkdir(parents=True)
    load_libraries()
    kinds = ("run",) if reduced else tiny.COMMANDS
    whole = {kind: Whole(kind, scratch) for kind in kinds}
    with _small_disk(scratch / "disk", 64) as disk:
        for number in range(4 if reduced else TRIES):
            kind = kinds[number % len(kinds)]
            real = disk is not None and number % 2 == 0
            results.attempt(
                f"full-{number:03d}",
                f"{kind}, {'a small disk' if real else 'writes that fail'}",
                lambda number=number, kind=kind, real=real: _attempt(
                    whole[kind], disk if real else None, random.Random(number)
                ),
            )


def _attempt(whole: Whole, disk: Path | None, chance: random.Random) -> Try:
    """Run a command into a full disk, make room, go on, and compare."""
    out = (disk or whole.scratch) / "run"
    shutil.rmtree(out, ignore_errors=True)
    hook, ballast = None, out.parent / "ballast"
    if disk is None:
        number = chance.randrange(whole.creations)
        hook = writes.at_write(out, number, writes.full_disk, removals=False)
        where = f"write {number}"
    else:
        needed = sum(-(-p.stat().st_size // PAGE) for p in whole.folder.rglob("*") if p.is_file())
        room = chance.randrange(int(0.95 * needed))
        _fill(ballast, shutil.disk_usage(disk).free - room * PAGE)
        where = f"{room} of {needed} pages"
    # What it prints goes to another disk.
    ended = tiny.start(whole.kind, out, whole.cache, hook, whole.scratch).wait()
    found: Try = {"where": where, "message": (ended.messages or [""])[0][:400]}
    wrong = _wrong(ended, out)
    ballast.unlink(missing_ok=True)
    if wrong is None:
        wrong = tiny.finish(whole.kind, out, whole.cache, whole.scratch).wrong([0])
    wrong = wrong or tiny.differences(out, whole.folder)
    return found if wrong is None else {**found, "wrong": wrong}


def _wrong(ended: Ended, out: Path) -> str | None:
    """Say what is wrong with the way in which a command met the full disk."""
    wrong = ended.wrong([1])
    if wrong is not None:
        return wrong
    message = ended.messages[0]
    if f"{out.name}/" not in message or "free" not in message:  # named from where it was typed
        return f"the message names no file or no room: {message}"
    return None


def _fill(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for start in range(0, max(size, 0), 1 << 20):
            file.write(bytes(min(1 << 20, size - start)))


@contextlib.contextmanager
def _small_disk(place: Path, megabytes: int) -> Iterator[Path | None]:
    """Yield a disk of its own, or None where this user may not mount one."""
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    mount = shutil.which("mount")
    done = mount and subprocess.run([mount, *options], capture_output=True, check=False)
    if not done or done.returncode != 0:
        yield None
        return
    try:
        yield place
    finally:
        umount = shutil.which("umount") or "umount"
        subprocess.run([umount, str(place)], capture_output=True, check=False)
