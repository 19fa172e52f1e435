"""Whole commands whose stdout or stderr is closed, full, or read by nobody any more."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from airtune.commands.terminal import resumption

AIRTUNE = f"{shlex.quote(sys.executable)} -m airtune.cli"
FULL = Path("/dev/full")
LISTED = "--help"
BAD = "--no-such-option"


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash; its exit code is that of the command, not of what it is piped into."""
    return subprocess.run(
        ["bash", "-c", f"{line}\nexit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )


@pytest.mark.parametrize("unbuffered", [pytest.param("", marks=pytest.mark.slow), "1"])
def test_a_reader_that_ends_early_changes_nothing(unbuffered: str) -> None:
    done = shell(f"{AIRTUNE} {LISTED} | head -1", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(f"{LISTED} | true", 0, marks=pytest.mark.slow),
        pytest.param("schemes | true", 0, marks=pytest.mark.slow),
        pytest.param("plan quickstart --json | true", 0, marks=pytest.mark.slow),
        pytest.param(f"{LISTED} >&-", 0, marks=pytest.mark.slow),
        (f"{LISTED} <&- >&- 2>&-", 0),
        pytest.param(f"{LISTED} 2>&- >/dev/null", 0, marks=pytest.mark.slow),
        pytest.param(f"{BAD} 2>&-", 2, marks=pytest.mark.slow),
        (f"{BAD} 2> >(true)", 2),
        (f"{BAD} >&-", 2),
    ],
)
def test_the_exit_code_is_that_of_the_work(words: str, code: int) -> None:
    done = shell(f"{AIRTUNE} {words}")
    assert done.returncode == code
    assert done.stdout == ""
    if ">&- " in words or code == 0:
        assert done.stderr == ""


@pytest.mark.slow
def test_what_is_written_does_not_get_into_other_files(tmp_path: Path) -> None:
    """The first file that is opened would get the number of a closed stream."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    assert shell(f"cd {shlex.quote(str(one))} && {AIRTUNE} init >&- 2>&-").returncode == 0
    assert shell(f"cd {shlex.quote(str(other))} && {AIRTUNE} init").stdout.startswith("wrote sc")
    assert (one / "scenario.yaml").read_bytes() == (other / "scenario.yaml").read_bytes()


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [
        ("--help", ""),
        pytest.param("--version", "1", marks=pytest.mark.slow),
        pytest.param("schemes", "1", marks=pytest.mark.slow),
        pytest.param("plan quickstart --json", "", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_under_stdout_is_a_failure(words: str, unbuffered: str) -> None:
    done = shell(f"{AIRTUNE} {words} > {FULL}", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr == "airtune: '<stdout>': No space left on device\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_is_written_in_part_is_not_taken_for_written(unbuffered: str, tmp_path: Path) -> None:
    """A file that may grow to 10 bytes, as on a disk that has no more; the call takes these."""
    code = (
        "import resource, sys; from airtune.commands import streams; streams.settle()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try:\n    sys.stdout.write('x' * 20); sys.stdout.flush()\n"
        "except OSError as error:\n    sys.exit(error.filename)"
    )
    words = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    done = shell(f"{words} > {shlex.quote(str(tmp_path / 'out'))}", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (1, "<stdout>\n")


def test_a_name_that_is_no_text_is_written_as_the_bytes_that_it_is(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airtune.cli", "init", b"a\xff.yaml"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b" a\xff.yaml" in done.stdout
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"a\xff.yaml"]


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("utf-8", b"\xff \xe2\x86\x92 \xc3\xa9"),
        ("latin-1", b"\xff \\u2192 \xe9"),
        ("ascii", b"\xff \\u2192 \\xe9"),
        ("ascii:surrogateescape", b"\xff \\u2192 \\xe9"),  # as the C locale has it
    ],
)
def test_what_an_encoding_lacks_is_escaped(encoding: str, written: bytes) -> None:
    code = "from airtune.commands import streams; streams.settle(); print('\\udcff \u2192 \xe9')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert (done.stderr, done.stdout) == (b"", written + b"\n")


@pytest.mark.parametrize(
    "name", ["a\nb", "it's\x1b[2J", "\x85x", "b\u202e1", "-\t", os.fsdecode(b"\xff1\\'")]
)
def test_the_way_to_go_on_can_be_pasted(name: str) -> None:
    hint = resumption(Path("runs", name)).encode("utf-8")  # of characters that can be printed
    said = subprocess.check_output(
        ["bash", "-c", b"printf %s" + hint.removeprefix(b"airtune resume")]
    )
    assert said == b"runs/" + os.fsencode(name)


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_bad_input_stays_bad_input_with_a_full_disk_under_stdout() -> None:
    done = shell(f"{AIRTUNE} {BAD} > {FULL}")
    assert done.returncode == 2
    assert "No space" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_under_stderr_changes_nothing() -> None:
    assert shell(f"{AIRTUNE} {BAD} 2> {FULL}").returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("ending", [" | head -c 10", " 2>&-", " 2> >(true)"])
def test_a_run_goes_on_to_its_end(ending: str, tmp_path: Path) -> None:
    settings = (
        *("model.small.hidden=32", "model.small.layers=1", "model.small.heads=2"),
        *("model.small.intermediate=64", "pretraining.steps=2", "training.rounds=2"),
        *("training.batch_size_max=2", "evaluation.records=10", f"cache={tmp_path}/cache"),
    )
    words = " ".join(f"--set {shlex.quote(setting)}" for setting in settings)
    out = tmp_path / "run"
    line = f"{AIRTUNE} run quickstart --scheme fixed {words} --out {shlex.quote(str(out))}"
    done = shell(line + ending)
    assert done.returncode == 0
    assert "Broken" not in done.stderr
    assert "Exception" not in done.stderr
    assert set(json.loads((out / "results.json").read_text())["schemes"]) == {"fixed"}
