"""Finished cells on disk: one JSONL file for each section of the study.

A line with ``settings`` gives the settings of a point, every other line is one finished cell of
it::

    {"point": "k-1", "settings": {"clients.count": 10, ...}, "environment": {...}}
    {"point": "k-1", "scheme": "fixed", "seed": 0, "learning_rate": 0.01, ...}

Lines are appended under a lock, so several processes may share the work.  A line that a process
which was killed left unfinished does not count, and the next one that is written replaces it.
When a scenario changes, the cells of its point are stale: they count as missing, and the first new
cell removes them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from airtune import record
from studies.points import Cell, Document, Point

_Key = tuple[str, str, int, float]
"""Point, scheme, seed and learning rate."""


@dataclass
class _Section:
    """Content of one file, and the state of the file that it was read from."""

    state: tuple[int, int, int] = (0, 0, 0)
    settings: dict[str, Document] = field(default_factory=dict)
    cells: dict[_Key, Document] = field(default_factory=dict)


class Results:
    """The finished cells of the study.

    Parameters
    ----------
    folder : Path
        Holds a file ``<section>.jsonl`` for each section.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sections: dict[str, _Section] = {}

    def find(self, cell: Cell) -> Document | None:
        """Return a finished cell; None where it is missing or stale."""
        if not self.fresh(cell.point):
            return None
        key = (cell.point.name, cell.scheme, cell.seed, cell.rate)
        return self._read(cell.point.section).cells.get(key)

    def fresh(self, point: Point) -> bool:
        """Tell whether a point's cells, if there are any, were run with its settings of today.

        A setting that did not exist then does not count: its default keeps the results.  The
        version of airtune is recorded, not compared: `FORMAT` says when cells no longer compare.
        """
        recorded = self._read(point.section).settings.get(point.name)
        if recorded is None:
            return False
        now = point.settings
        compared = {name: value for name, value in recorded.items() if name != "version"}
        return all(now.get(name, _GONE) == value for name, value in compared.items())

    def add(self, cell: Cell, document: Document, environment: Document) -> None:
        """Write a finished cell to disk; the first of a point with its settings.

        Parameters
        ----------
        cell : Cell
        document : dict
            With its ``scheme``, ``seed`` and ``learning_rate``.
        environment : dict
            Machine and packages; written once for a point.
        """
        point = cell.point
        path = self._path(point.section)
        lines = [{"point": point.name, **document}]
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "results.lock"):
            _drop_torn_line(path)
            if not self.fresh(point):
                _drop_point(path, point.name)
                head = {"settings": point.settings, "environment": environment}
                lines.insert(0, {"point": point.name, **head})
            with path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line, allow_nan=False) + "\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())

    def _path(self, section: str) -> Path:
        return self.folder / f"{section}.jsonl"

    def _read(self, section: str) -> _Section:
        """Return the content of a file, read again when it has changed."""
        path = self._path(section)
        if not path.is_file():
            return _Section()
        facts = path.stat()
        state = facts.st_ino, facts.st_size, facts.st_mtime_ns
        known = self._sections.get(section)
        if known is None or known.state != state:
            known = self._sections[section] = _parse(path, state)
        return known


_GONE = object()


def _parse(path: Path, state: tuple[int, int, int]) -> _Section:
    content = _Section(state)
    for line in _whole_lines(path):
        entry = json.loads(line)
        point = entry.pop("point")
        if "settings" in entry:
            content.settings[point] = entry["settings"]
        else:
            key = (point, entry["scheme"], entry["seed"], entry["learning_rate"])
            content.cells[key] = entry
    return content


def _whole_lines(path: Path) -> list[str]:
    """Return the lines of a file without a last one that has no end."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a process which was killed has left unfinished."""
    if path.is_file():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)


def _drop_point(path: Path, name: str) -> None:
    """Remove the lines of a point."""
    if path.is_file():
        lines = _whole_lines(path)
        others = [line for line in lines if json.loads(line)["point"] != name]
        if len(others) < len(lines):
            record.write_text(path, "".join(f"{line}\n" for line in others))
