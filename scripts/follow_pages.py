"""Follow pages of the manual: save their files, run their commands and Python, on small settings.

    python scripts/follow_pages.py                          the README's section "Use it"
    python scripts/follow_pages.py docs/tutorial.md ...     pages, or sections: PAGE#heading
    python scripts/follow_pages.py --install docs/tutorial.md    from a clone of this repository on
    python scripts/follow_pages.py docs/tutorial.md --json FILE  what each section took, and where

Each page begins in an empty folder of its own.  Blocks without a language and ``bash`` hold
commands, ``python`` with ``title="NAME"`` is saved under that name, other Python is run.  Comments
of a page say more:

    <!-- follow: training.rounds=2 ... -->    settings that make its runs small
    <!-- follow: not -->                      the next block needs what is not here, and is left out
    <!-- follow: install -->                  the next block is run with --install only

A run folder's name with a date stands for the newest run of that scenario.  Beside the seconds of
each command stand those that processors worked for it, which say more on a machine that others use.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
TAKES_SETTINGS = {"compare", "run", "sweep", "check", "plan", "calibrate", "channel"}
FEWER = {"sweep": ["--seeds", "1", "--schemes", "movable,fixed"]}
INPUT = {"chat": "Add 1 and 2.\n/exit\n"}
PROBLEM = {
    "bound": {
        "L": 1.0,
        "mu": 0.1,
        "eta": 0.5,
        "sigma_g_sq": 1.0,
        "G_sq": 1.0,
        "L_x": 0.1,
        "W1": 0.1,
        "L0": 1.0,
        "mu0": 0.1,
        "eta0": 0.5,
        "sigma0_sq": 1.0,
        "delta_pre": 1.0,
    },
    "clients": [
        {
            "omega": 0.5,
            "cycles_per_sample": 1e8,
            "kappa": 1e-27,
            "f_min": 1e8,
            "f_max": 1e9,
            "batch_max": 16,
            "tx_power_w": 0.1,
            "energy_budget_j": None,
        }
    ]
    * 2,
    "server": {
        "cycles_per_sample": 1e8,
        "kappa": 1e-28,
        "f_min": 1e8,
        "f_max": 1e10,
        "batch_max": 32,
        "rounds_max": 10,
    },
    "mse_star": 0.1,
    "uplink_s": 0.01,
    "downlink_s": 0.01,
    "pilot_s": 0.001,
    "move_s": 0.1,
    "move_j": 0.1,
    "rounds_max": 50,
    "latency_budget_s": 60.0,
    "energy_budget_j": None,
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes
    ----------
    kind : str
        ``commands``, ``file``, ``python`` or ``install``.
    text : str
    name : str
        Of a file.
    """

    kind: str
    text: str
    name: str = ""


@dataclass(frozen=True)
class Took:
    """What a command took: seconds by the clock, and seconds of processors."""

    seconds: float
    cpu_seconds: float


@dataclass
class Section:
    """A section of a page, and what the settings of its page are."""

    title: str
    settings: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


def sections(text: str, only: str = "") -> list[Section]:
    """Return the sections of a page that have something to do.

    Parameters
    ----------
    text : str
        Markdown.
    only : str, optional
        Heading of the one section that counts, as links write it: ``use-it``.

    Examples
    --------
    >>> page = "## One\\n```\\nairtune schemes  # all\\n```\\n## Two\\nno block\\n"
    >>> [(section.title, commands(section.blocks[0].text)) for section in sections(page)]
    [('One', ['airtune schemes'])]
    """
    marks = re.findall(r"<!-- follow: ([^>]*=[^>]*?) -->", text)
    settings = [setting for mark in marks for setting in mark.split()]
    found = []
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        if only in ("", title.lower().replace(" ", "-")):
            found.append(Section(title, settings, list(_blocks(body))))
    return [section for section in found if section.blocks]


def _blocks(body: str) -> Iterator[Block]:
    fence = r"(?:<!-- follow: (not|install) -->\n+)?^```(\w*)(.*)\n((?:.*\n)*?)^```$"
    for mark, language, rest, text in re.findall(fence, body, re.MULTILINE):
        title = re.search(r'title="([^"]+)"', rest)
        if mark == "install":
            yield Block("install", text)
        elif mark == "not":
            continue
        elif language in ("", "bash"):
            yield Block("commands", text)
        elif language == "python":
            yield Block("file", text, title[1]) if title else Block("python", text)


def commands(text: str) -> list[str]:
    """Return the commands of a block, without their comments and breaks of lines."""
    lines = text.replace("\\\n", " ").splitlines()
    typed = [line.partition("  #")[0].strip() for line in lines]
    return [line for line in typed if line]


def small(command: str, settings: list[str], folder: Path) -> list[str]:
    """Return the words of a command on small settings, the newest run in place of a dated one.

    Parameters
    ----------
    command : str
    settings : list of str
        ``section.setting=value``, added where a command takes settings.
    folder : Path
        Where commands are looked for: the environment's ``bin``.
    """
    words = [_newest(word) for word in shlex.split(command)]
    if words[0] in ("airtune", "python"):
        words[0] = str(folder / words[0])
    name = name_of(words)
    if name in TAKES_SETTINGS and "--problem" not in words:
        for setting in (*settings, f"cache={Path('cache').absolute()}"):
            words += ["--set", setting]
    # The last of an option counts.
    return words + FEWER.get(name, [])


def name_of(words: list[str]) -> str:
    """Return the name of the airtune command, empty for others."""
    if Path(words[0]).name != "airtune":
        return ""
    return words[3] if words[1] == "--import" else words[1]


def _newest(word: str) -> str:
    """Return the newest run of the scenario in a dated name of a run folder; other words as is."""
    dated = re.match(r"runs/(.*)-\d{8}-\d{6}$", word)
    if dated is None:
        return word
    runs = Path("runs").glob(f"{dated[1]}-*")
    return str(max(runs, key=lambda path: path.stat().st_mtime))


def run(words: list[str], typed: str, text: str = "") -> Took:
    """Run a command and return what it took; one that fails ends the program.

    Parameters
    ----------
    words : list of str
    typed : str
        What a message calls it.
    text : str, optional
        What it reads.
    """
    print(f"$ {typed}", flush=True)
    began, worked = time.perf_counter(), _of_children()
    done = subprocess.run(  # noqa: S603  # the manual's own commands
        words, input=text, text=True, capture_output=True, check=False
    )
    took = Took(time.perf_counter() - began, _of_children() - worked)
    if done.returncode != 0:
        print(done.stdout + done.stderr)
        sys.exit(f"{typed!r} ended with {done.returncode}")
    print(f"  {took.seconds:.0f} s", flush=True)
    return took


def _of_children() -> float:
    """Return the seconds that processors have worked for programs which have ended."""
    times = os.times()
    return times.children_user + times.children_system


def follow(section: Section, folder: Path, install: Path | None) -> list[tuple[str, Took]]:
    """Do what a section says; return each command with what it took.

    Parameters
    ----------
    section : Section
    folder : Path
        The environment's ``bin``.
    install : Path, optional
        Clone in which blocks of the installation are run; without one they are left out.
    """
    did: list[tuple[str, Took]] = []
    for block in section.blocks:
        if block.kind == "file":
            Path(block.name).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            did.append(("Python", run([str(folder / "python"), "-c", block.text], "Python")))
        elif block.kind == "commands":
            for command in commands(block.text):
                words = small(command, section.settings, folder)
                did.append((command, run(words, command, INPUT.get(name_of(words), ""))))
        elif install is not None:
            with contextlib.chdir(install):
                shown = "; ".join(commands(block.text))
                did.append((shown, run(["/bin/bash", "-ec", block.text], shown)))
    return did


def environment() -> dict[str, object]:
    """Return the machine and the versions, as results of a run name them."""
    from airtune import load_scenario
    from airtune.record.machine import environment

    return environment(load_scenario("quickstart"))


def main() -> None:
    """Follow the pages; the first command that fails ends it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pages", nargs="*", default=["README.md#use-it"], metavar="PAGE[#HEADING]")
    parser.add_argument("--install", action="store_true", help="clone and install first")
    parser.add_argument("--json", type=Path, help="file for the seconds of each section")
    asked = parser.parse_args()
    target = asked.json.absolute() if asked.json else None
    folder, clone, count = Path(sys.executable).parent, None, 0
    steps = []
    with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):
        if asked.install:
            clone = Path("airtune").absolute()
            command = ["git", "clone", "--quiet", str(ROOT), str(clone)]
            steps.append({"step": "clone", **asdict(run(command, "git clone ..."))})
            folder = clone / ".venv" / "bin"
        for number, page in enumerate(asked.pages, 1):
            own = Path(empty).resolve() / f"page-{number}"
            own.mkdir()
            os.chdir(own)
            Path("problem.json").write_text(json.dumps(PROBLEM), encoding="utf-8")
            path, _, heading = page.partition("#")
            found = sections((ROOT / path).read_text(encoding="utf-8"), heading)
            if not found:
                sys.exit(f"{page}: nothing to follow")
            for section in found:
                did = follow(section, folder, clone)
                count += len(did)
                listed = [{"command": command, **asdict(took)} for command, took in did]
                total = {
                    name: sum(getattr(took, name) for _, took in did)
                    for name in ("seconds", "cpu_seconds")
                }
                steps.append({"page": path, "step": section.title, **total, "commands": listed})
    if target is not None:
        document: dict[str, object] = {"from_clone": asked.install, "steps": steps}
        document["environment"] = environment()
        target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{count} commands of {', '.join(asked.pages)} work")


if __name__ == "__main__":
    main()
