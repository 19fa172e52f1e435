"""Temporary folders: those of a process that was killed go, those of others stay."""

from __future__ import annotations

import subprocess
import sys
import tempfile

from airtune.engines.flower import folders


def test_what_a_killed_process_has_left_goes_at_the_next_start(tmp_path, monkeypatch) -> None:
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
