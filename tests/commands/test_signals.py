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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_that_is_lost_as_an_object_is_deleted_comes_again(number: int) -> None:
    """Python would drop it with a traceback, and the command would go on."""
    code = (
        "import signal, sys, time; from airtune import cli; from airtune.commands import schemes\n"
        "class Deleted:\n"
        f"    def __del__(self): signal.raise_signal({int(number)})\n"
        "def listed(): Deleted(); time.sleep(90); print('went on')\n"
        "schemes.list_schemes = listed; sys.argv[1:] = ['schemes']; cli.main()"
    )
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", SAID)
    assert time.perf_counter() - begun < 60


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_lost_interruption_that_was_looked_up_does_not_come_again(number: int) -> None:
    """Between rounds a run looks it up and ends in order; a second one would end it at once."""
    code = (
        "import signal, sys, time; from airtune import cli\n"
        "from airtune.commands import schemes, signals\n"
        "class Deleted:\n"
        f"    def __del__(self): signal.raise_signal({int(number)})\n"
        "def listed():\n"
        "    Deleted()\n"
        "    assert signals.interrupted()\n"
        "    time.sleep(0.3)\n"
        "    print('put away')\n"
        "    raise KeyboardInterrupt\n"
        "schemes.list_schemes = listed; sys.argv[1:] = ['schemes']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "put away\n", SAID)


def test_other_errors_of_deleted_objects_are_told_as_ever() -> None:
    code = (
        "import sys; from airtune import cli; from airtune.commands import schemes\n"
        "class Deleted:\n"
        "    def __del__(self): raise KeyError('lost')\n"
        "schemes.list_schemes = Deleted; sys.argv[1:] = ['schemes']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "KeyError: 'lost'" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_interpreter_ends_changes_nothing(number: int) -> None:
    """Python has put its handlers away by then, and deletes what is left."""
    code = (
        "import os, sys; from airtune.cli import main\n"
        "class Last:\n"
        f"    def __del__(self, kill=os.kill, pid=os.getpid()): kill(pid, {int(number)})\n"
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


LINES = (PACKAGE / "cli.py").read_text(encoding="utf-8").splitlines()
ANSWERED = LINES.index("try:") + 1
"""Line of cli.py from which on a signal finds an answer."""
FRAME = re.compile(r'^  File "([^"]+)", line (\d+), in (\S+)$', re.MULTILINE)
NO_SITE = (
    "Fatal Python error: init_import_site: Failed to import the site module\n"
    "Python runtime state: initialized\n"
)


def of_the_start(code: int, errors: str) -> bool:
    """Whether the interpreter has answered itself, by one traceback of what it does first.

    That is the import of `site`, then `runpy`, which finds the module and runs the first lines of
    the package and of cli.py, up to the one from which on airtune answers.
    """
    before, _, traceback = errors.partition("Traceback (most recent call last):\n")
    frames = FRAME.findall(traceback)
    if "Traceback" in traceback or not frames or not traceback.endswith("\nKeyboardInterrupt\n"):
        return False
    ours = [
        (Path(file).relative_to(PACKAGE).as_posix(), int(line), where)
        for file, line, where in frames
        if Path(file).is_relative_to(PACKAGE)
    ]
    if before == NO_SITE:
        return code == 1 and not ours and "<frozen site>" in (file for file, _, _ in frames)
    # Before anything of airtune runs, what is installed may help to find it.
    return (
        (code, before) == (-signal.SIGINT, "")
        and frames[0][0] == "<frozen runpy>"
        and not any("site-packages" in Path(file).parts for file, _, _ in frames if ours)
        and all(
            where == "<module>"
            and (file == "__init__.py" or (file == "cli.py" and line <= ANSWERED))
            for file, line, where in ours
        )
    )


# Sends a signal when the import of a module begins, or within the import of `site`.
AT_START = """
import os, signal, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == os.environ["AT"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder)
Finder.find_spec("site")
"""


@pytest.mark.parametrize(
    ("module", "code"),
    [("site", 1), ("airtune", -2), ("airtune.cli", -2), ("airtune.commands", 130)],
)
def test_only_before_the_first_lines_the_interpreter_answers(
    module: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT_START)
    paths = [str(tmp_path), str(PACKAGE.parent)]
    done = subprocess.run(
        [sys.executable, "-m", "airtune.cli", "schemes", "--help"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=restore,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "AT": module},
    )
    assert done.returncode == code
    assert of_the_start(done.returncode, done.stderr) == (code != 130)
    assert (done.stderr == SAID) == (code == 130)


def traceback_of(*frames: tuple[str, int, str]) -> str:
    lines = [f'  File "{file}", line {line}, in {where}\n' for file, line, where in frames]
    return f"Traceback (most recent call last):\n{''.join(lines)}KeyboardInterrupt\n"


RUNPY, LIBRARY = ("<frozen runpy>", 189, "_run_module_as_main"), "/v/site-packages/torch/nn.py"
SITE, CLI = ("<frozen site>", 609, "main"), str(PACKAGE / "cli.py")
AT_THE_TRY = traceback_of(RUNPY, (CLI, ANSWERED, "<module>"))


@pytest.mark.parametrize(
    ("code", "errors", "excused"),
    [
        (-2, AT_THE_TRY, True),
        (-2, traceback_of(RUNPY, (str(PACKAGE / "__init__.py"), 11, "<module>")), True),
        (1, NO_SITE + traceback_of(SITE), True),
        # Of airtune itself, or of what it calls.
        (-2, traceback_of(RUNPY, (CLI, ANSWERED + 1, "<module>")), False),
        (-2, traceback_of(RUNPY, (CLI, ANSWERED - 1, "main")), False),
        (-2, traceback_of(RUNPY, (str(PACKAGE / "errors.py"), 1, "<module>")), False),
        (-2, traceback_of(RUNPY, (str(PACKAGE / "ui" / "__init__.py"), 1, "<module>")), False),
        (-2, traceback_of((LIBRARY, 7, "forward")), False),  # of a thread
        (-2, traceback_of(RUNPY, (CLI, 1, "<module>"), (LIBRARY, 7, "<module>")), False),
        (1, NO_SITE + traceback_of(SITE, (CLI, 1, "<module>")), False),
        # Another end, more than one traceback, or words beside it.
        (130, AT_THE_TRY, False),
        (0, AT_THE_TRY, False),
        (-2, AT_THE_TRY + AT_THE_TRY, False),
        (-2, f"Exception ignored in: <function f at 0x7f>\n{AT_THE_TRY}", False),
        (-2, AT_THE_TRY.replace("KeyboardInterrupt", "RuntimeError: KeyboardInterrupt"), False),
        (130, f"{SAID}KeyboardInterrupt\n", False),
        (-2, "KeyboardInterrupt\n", False),
    ],
)
def test_nothing_but_the_start_is_excused(code: int, errors: str, excused: bool) -> None:
    assert of_the_start(code, errors) == excused


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
            assert of_the_start(process.returncode, errors), errors
        elif not printed:
            assert (process.returncode, errors) == (-signal.SIGINT, "")
            whole *= 1.1
        else:
            assert (process.returncode, errors) == (130, SAID)
            met += 1
