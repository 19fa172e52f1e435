"""A cache on a disk that is full: one message, exit code 1, and nothing taken for whole later."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    words = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if not (mount and umount) or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted")
    try:
        yield place
    finally:
        subprocess.run([umount, str(place)], check=True)


@pytest.mark.parametrize("room", [0, 60])
def test_a_full_disk_under_the_cache(
    airtune, tiny: list[str], small_disk: Path, tmp_path: Path, room: int
) -> None:
    ballast, cache = small_disk / "ballast", small_disk / "cache"
    free = shutil.disk_usage(small_disk).free
    ballast.write_bytes(bytes(free - (room << 10)))
    words = ["run", "quickstart", "--scheme", "fixed", *tiny, "--set", f"cache={cache}"]
    done = airtune(*words, "--out", tmp_path / "run")
    assert (done.returncode, done.stdout) == (1, "")
    said = [line for line in done.stderr.splitlines() if line.startswith("airtune:")]
    assert len(said) <= 2  # and how to go on
    assert str(cache) in said[-1]
    assert "No space left on device" in said[-1]
    assert "Traceback" not in done.stderr
    assert not list(cache.glob("*"))
    assert not [path for path in cache.glob(".*") if any(path.iterdir())]
    ballast.unlink()
    again = airtune(*words, "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert len(list(cache.glob("small-*"))) == 1
