"""Damaged files of a run folder: every kind of file, every kind of damage.

`resume` and `report` of a finished and of an interrupted run (and `push` and `chat`, which read the
adapter) must end with a right result and exit code 0, or with one message and 1 or 2.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trials import tiny
from trials.processes import Ended, Process, load_libraries
from trials.results import Results, Try

SKIPPED = (".pdf", ".png", ".html", ".md")
"""What is written only, and read by nothing of airtune."""
MISSED = ("rouge_l", "initial_rouge_l", "left_out_records", "left_out", "plan", "stopped_by")
"""Figures that are null, with a warning, where the document that they are from is gone."""


def run(results: Results, scratch: Path, reduced: bool) -> None:
    """Make the tries that are missing."""
    scratch.mkdir(parents=True)
    load_libraries()
    for base in (_finished, _interrupted, _swept)[: 2 if reduced else 3]:
        folder, commands = base(scratch)
        if reduced and base is _interrupted:
            commands = commands[:1]
        right = {command: _right(folder, command, scratch) for command in commands}
        names = sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and path.suffix not in SKIPPED
        )
        tries = [
            (name, damage, command)
            for name in names
            for damage in DAMAGES
            for command in (commands if "/adapter/" not in name else _of_adapter(commands))
        ]
        for name, damage, command in _some(tries, base) if reduced else tries:
            results.attempt(
                f"{folder.name}: {command} after {damage} of {name}",
                f"{command} of {'an' if base is _interrupted else 'a'} {folder.name} folder",
                lambda name=name, damage=damage, command=command, folder=folder, right=right: (
                    _attempt(folder, name, damage, command, right, scratch)
                ),
            )


def _some(
    tries: list[tuple[str, str, str]], base: Callable[[Path], object]
) -> list[tuple[str, str, str]]:
    """Return the tries of the reduced form: about twelve of a finished run, one of another."""
    if base is _finished:
        return tries[:: max(1, len(tries) // 12)]
    of = "fixed/seed-0/checkpoint/"
    cut = [one for one in tries if one[0].startswith(of) and one[0].endswith(".json")]
    return [one for one in cut if one[1] == "a cut"][-1:]  # of the last checkpoint


def _finished(scratch: Path) -> tuple[Path, tuple[str, ...]]:
    folder = scratch / "finished"
    command = tiny.arguments("run", folder, scratch / "cache")
    ended = Process(command, scratch, limited=False).wait()  # the first one compiles
    assert ended.code == 0, ended.err
    return folder, ("report", "resume")


def _interrupted(scratch: Path) -> tuple[Path, tuple[str, ...]]:
    """Return a comparison whose second scheme has two of three rounds."""
    folder = scratch / "interrupted"
    process = tiny.start("compare", folder, scratch / "cache")
    sign = folder / "fixed" / "seed-0" / "checkpoint" / "previous.json"
    while not sign.exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.001)
    process.kill()
    assert not (folder / "fixed" / "seed-0" / "finished.json").exists()
    return folder, ("resume", "report")


def _swept(scratch: Path) -> tuple[Path, tuple[str, ...]]:
    folder = scratch / "swept"
    ended = tiny.start("sweep", folder, scratch / "cache").wait()
    assert ended.code == 0, ended.err
    shutil.rmtree(folder / "point-01" / "ideal" / "seed-0" / "checkpoint")
    return folder, ("report",)


def _of_adapter(commands: tuple[str, ...]) -> tuple[str, ...]:
    return ("push", "chat") if commands[0] == "report" and len(commands) > 1 else ()


def _start(command: str, folder: Path) -> Process:
    more: dict[str, list[str]] = {
        "push": ["nobody/nothing", "--dry-run"],
        "chat": ["--prompt", "What is 2 by 3?", "--max-tokens", "4"],
    }
    return Process([command, folder, *more.get(command, [])], folder.parent)


def _right(folder: Path, command: str, scratch: Path) -> Any:
    """Return the results that a command comes to in the folder as it is."""
    copy = _copied(folder, scratch)
    ended = _start(command, copy).wait()
    assert ended.code == 0, (command, ended.err)
    return _results(copy)


def _copied(folder: Path, scratch: Path) -> Path:
    copy = scratch / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return copy


def _results(folder: Path) -> Any:
    """Return what the results say; other files may still be as damaged as the try left them."""
    path = folder / "results.json"
    try:
        return tiny.results(path) if path.exists() else None
    except (OSError, ValueError) as error:
        return f"not read: {error}"


def _attempt(
    folder: Path, name: str, damage: str, command: str, right: dict[str, Any], scratch: Path
) -> Try:
    """Damage a file of a copy, run a command on it, and look at how it ends."""
    copy, outside = _copied(folder, scratch), scratch / "outside"
    victim = copy / name
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir()
    DAMAGES[damage](victim, random.Random(f"{folder.name} {name} {damage}"), outside)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    ended = _start(command, copy).wait()
    found: Try = {f"exit_{code}": int(ended.code == code) for code in (0, 1, 2)}
    warned = list(tiny.warnings_of(ended))
    found["message"] = (ended.messages or [*warned, ""])[0][:400]
    found["warnings"] = len(warned)
    found["fell_back"] = sum("going on from the one before" in text for text in warned)
    wrong = ended.wrong([0, 1, 2])
    if wrong is None and before != {path: path.read_bytes() for path in before}:
        wrong = "a file outside the run folder was changed"
    if wrong is None and ended.code == 0 and command in right:
        wrong = _unlike(_results(copy), right[command], ended, name)
    return found if wrong is None else {**found, "wrong": wrong}


def _unlike(found: Any, right: Any, ended: Ended, name: str) -> str | None:
    """Say whether results are not right; figures may be missing where a warning says so.

    A point of a sweep that is said to have an unfinished cell may lack what is of that cell.
    """
    warned = list(tiny.warnings_of(ended))
    unfinished = [text for text in warned if " unfinished, the first is " in text]
    if len(warned) > len(unfinished):
        found, right = _without(found), _without(right)
    if isinstance(found, dict) and "points" in found and unfinished:
        found, right = (
            {**all_, "points": [p for p in all_["points"] if not name.startswith(p["name"])]}
            for all_ in (found, right)
        )
    return None if found == right else "exit code 0, and the results are not right"


def _without(content: Any) -> Any:
    if isinstance(content, dict):
        return {k: _without(v) for k, v in content.items() if k not in MISSED}
    return [_without(one) for one in content] if isinstance(content, list) else content


def _flip(path: Path, chance: random.Random, outside: Path) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _cut(path: Path, chance: random.Random, outside: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content) or 1)])


def _garbage(path: Path, chance: random.Random, outside: Path) -> None:
    path.write_bytes(chance.randbytes(chance.randint(1, 2000)))


def _holding(text: bytes) -> Callable[[Path, random.Random, Path], None]:
    def write(path: Path, chance: random.Random, outside: Path) -> None:
        path.write_bytes(text)

    return write


def _other_value(path: Path, chance: random.Random, outside: Path) -> None:
    """Give one key of a document another kind of value, and take its seal off."""
    try:
        document = json.loads(path.read_bytes().split(b"\n{")[0])
        assert isinstance(document, dict)
    except (ValueError, AssertionError):
        path.write_bytes(b'{"round": "first"}\n')
        return
    document.pop("sha256", None)
    others = (None, [], {}, "text", -1, 1e308, True, [[{}]], 10**400)
    document[chance.choice(sorted(document))] = chance.choice(others)
    path.write_text(json.dumps(document) + "\n")


def _link(path: Path, chance: random.Random, outside: Path) -> None:
    target = outside / path.name
    shutil.move(path, target)
    path.symlink_to(target)


def _link_folder(path: Path, chance: random.Random, outside: Path) -> None:
    """Replace the folder that a file is in by a link to where it has been moved."""
    folder = path.parent
    if (folder / "run.json").exists():
        _link(path, chance, outside)
        return
    shutil.move(folder, outside / "moved")
    folder.symlink_to(outside / "moved")


def _nowhere(path: Path, chance: random.Random, outside: Path) -> None:
    path.unlink()
    path.symlink_to(outside / "nothing")


def _folder(path: Path, chance: random.Random, outside: Path) -> None:
    path.unlink()
    path.mkdir()


def _gone(path: Path, chance: random.Random, outside: Path) -> None:
    path.unlink()


def _unreadable(path: Path, chance: random.Random, outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, Callable[[Path, random.Random, Path], None]] = {
    "a flipped bit": _flip,
    "a cut": _cut,
    "emptying": _holding(b""),
    "garbage": _garbage,
    "an empty list": _holding(b"[]\n"),
    "deep nesting": _holding(b"[" * 100_000 + b"\n"),
    "a number of 5000 digits": _holding(b'{"schema_version": ' + b"9" * 5000 + b"}\n"),
    "half a character": _holding(b'{"kind": "\\ud800", "round": 0}\n'),
    "not a number": _holding(b'{"round": NaN, "rounds": NaN}\n'),
    "another value": _other_value,
    "a link": _link,
    "a link for its folder": _link_folder,
    "a link to nothing": _nowhere,
    "a folder": _folder,
    "a pipe": _unreadable,
    "the loss": _gone,
}
