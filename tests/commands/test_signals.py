"""SIGINT at any moment after the start: one message, exit code 130, never a traceback of airtune.

Before its first lines are read the interpreter answers itself, with a traceback of its own start.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import airtune
from airtune.commands import signals
from airtune.errors import InputError

ENOUGH, TRIES, PATIENCE_S = 4, 16, 60.0
"""Signals that airtune has to answer, that are sent, and for how long more than enough are."""
LONGEST_S = 400.0
"""A machine that has not answered enough of them by then does not get to it."""
PACKAGE = Path(airtune.__file__).parent
SAID = "airtune: interrupted; what is finished is saved\n"

# Signals when the import of a module begins, so at the same place on a machine of any speed.
AT_IMPORT = """
import os, signal, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder)
from airtune.cli import main
sys.argv[1:] = sys.argv[2:]
try:
    main()
finally:
    print("cleared up", flush=True)
"""


def restore() -> None:
    """Undo what a child of a shell's background inherits: SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    "module",
    [
        *("airtune.commands.signals", "airtune.commands.calling", "airtune.commands.plan"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("typer", "pydantic")),
    ],
)
def test_a_signal_while_libraries_are_imported(module: str) -> None:
    code = AT_IMPORT.replace("sys.argv[1]:", f"{module!r}:")
    code = code.replace("sys.argv[1:] = sys.argv[2:]", 'sys.argv[1:] = ["plan", "quickstart"]')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, SAID)


@pytest.mark.parametrize("kind", [RuntimeError, InputError])
def test_an_interruption_that_a_library_turns_into_an_error_is_one(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from airtune import cli
    from airtune.commands import schemes

    def swallowed() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise kind("some initialisation failed") from None

    known = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(schemes, "list_schemes", swallowed)
    monkeypatch.setattr("sys.argv", ["airtune", "schemes"])
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        for number, handler in known:
            signal.signal(number, handler)
    assert ended.value.code == signals.CODE
    assert capsys.readouterr().err == SAID
    assert not signals.interrupted()  # a later command in this process is not ended by it


def test_an_interruption_within_code_from_a_text_ends_with_the_exit_code() -> None:
    """Python would end by the signal then."""
    code = (
        "import sys; from airtune import cli; from airtune.commands import schemes\n"
        "schemes.list_schemes = lambda: exec('import signal; signal.raise_signal(2)')\n"
        "sys.argv[1:] = ['schemes']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, SAID)


def test_a_signal_while_the_interpreter_ends_changes_nothing() -> None:
    """Python has put its handlers away by then, and deletes what is left."""
    code = (
        "import os, sys; from airtune.cli import main\n"
        "class Last:\n"
        "    def __del__(self, kill=os.kill, pid=os.getpid()): kill(pid, 2)\n"
        "last = Last(); sys.argv[1:] = ['schemes', '--help']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=restore,
    )
    assert (done.returncode, done.stderr) == (0, "")


def of_the_start(errors: str) -> bool:
    """Whether a traceback is of the interpreter's start, up to the first lines of airtune."""
    files = [Path(name) for name in re.findall(r'File "([^"]+)"', errors)]
    within = [file.relative_to(PACKAGE) for file in files if file.is_relative_to(PACKAGE)]
    return all(file in (Path("__init__.py"), Path("cli.py")) for file in within)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["plan", "quickstart", "--json"], ["schemes"]])
def test_a_signal_at_any_moment(words: list[str], tmp_path: Path) -> None:
    """At moments spread over the time that the command takes on this machine."""
    # Written when the interpreter answers signals: before, one ends it without a word.
    (tmp_path / "sitecustomize.py").write_text("import os; os.write(1, b'begun ')")
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "airtune.cli", *words]
    began = time.monotonic()
    assert subprocess.check_output(command, env=environment, text=True).startswith("begun ")
    whole = time.monotonic() - began
    draw, met, tries = random.Random(15), 0, 0
    while met < ENOUGH or (tries < TRIES and time.monotonic() - began < PATIENCE_S):
        assert time.monotonic() - began < LONGEST_S, f"{met} of {tries} signals were answered"
        tries += 1
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=restore,
            env=environment,
        )
        time.sleep(whole * (tries % TRIES + draw.random()) / TRIES)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=120)
        # The machine may have become faster or slower since the command was timed.
        if process.returncode == 0:
            assert errors == ""  # it was done before
            whole *= 0.9
        elif "KeyboardInterrupt" in errors:
            assert of_the_start(errors)
        elif not printed:
            assert (process.returncode, errors) == (-signal.SIGINT, "")
            whole *= 1.1
        else:
            assert (process.returncode, errors) == (130, SAID)
            met += 1
