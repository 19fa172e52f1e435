"""Temporary folders: those of a process that was killed go, those of others stay."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airtune.engines.flower import folders
from airtune.errors import InputError


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room for those of sockets, which that of `tmp_path` may not."""
    with tempfile.TemporaryDirectory(prefix="f-", dir=os.sep + "tmp") as folder:
        yield Path(folder)


def test_what_a_killed_process_has_left_goes_at_the_next_start(short, monkeypatch) -> None:
    tmp_path = short
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    line = (
        f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}\n"
        "from airtune.engines.flower.folders import folder_here\n"
        "with folder_here() as folder: print(folder, flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", line], **pipes) as other:
        left = other.stdout.readline().strip()
        assert folders.sweep(tmp_path) == []
        other.kill()
        other.wait()
    with folders.folder_here() as own:
        assert [*tmp_path.iterdir()] == [own]
        assert folders.sweep(tmp_path) == []
        assert own.stat().st_mode & 0o777 == 0o700
    assert left
    assert [*tmp_path.iterdir()] == []


def test_sockets_of_a_run_and_its_nodes_fit_however_long_the_folder_s_name_is(
    tmp_path, monkeypatch
) -> None:
    for letters in (1, 20, 40, 200):
        place = tmp_path / ("x" * letters)
        place.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with folders.folder_here(within=1) as run:
            monkeypatch.setattr(tempfile, "tempdir", str(run))
            with folders.folder_here() as node, socket.socket(socket.AF_UNIX) as listening:
                assert node.parent == run
                listening.bind(str(node / folders.SOCKET))
    assert not run.is_relative_to(tmp_path)


def test_where_no_place_is_short_enough_the_setting_is_named(monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * 100)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=r"TMPDIR = '/x.*must have at most 71 characters"):
        folders.folder_here().__enter__()
