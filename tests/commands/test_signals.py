"""SIGINT at any moment after the start: one message, exit code 130, never a traceback of airtune.

Before its first line is read the interpreter answers itself, with a traceback of its own start.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airtune.commands import signals
from airtune.errors import InputError

ENOUGH, PATIENCE_S = 4, 60.0
"""Signals that airtune has to answer, and for how long more are sent on a slow machine."""
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
        *("airtune.commands.calling", "airtune.commands.plan"),
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
    whole, tries = time.monotonic() - began, 16
    draw, met = random.Random(15), 0
    moments = [whole * (number + draw.random()) / tries for number in range(tries)]
    draw.shuffle(moments)
    for moment in moments:
        if met >= ENOUGH and time.monotonic() - began > PATIENCE_S:
            break
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=restore,
            env=environment,
        )
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=120)
        if process.returncode == 0:
            assert errors == ""  # it was done before
        elif not printed:
            assert (process.returncode, errors) == (-signal.SIGINT, "")
        elif "KeyboardInterrupt" in errors:
            assert "airtune" not in errors  # the interpreter's own start
        else:
            assert (process.returncode, errors) == (130, SAID)
            met += 1
    assert met >= ENOUGH
