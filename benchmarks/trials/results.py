"""The tries of a part: one file, written after each, with a summary for the manual's table.

The file holds::

    {"part": "kills",
     "summary": [{"of": "compare", "tries": 50, "passed": 50}, ...],   one entry a row, in order
     "tries": [{"name": "compare-017", "of": "compare", "passed": true, "environment": 0, ...}],
     "environments": [{...}, ...]}              of airtune.record.environment, each once

A file of an earlier form has the `environment` of its first try only; tries that it holds have no
number, and that entry stays the first of the list.
A try has `wrong`, a sentence, where it has not passed; what else it holds depends on the part.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environments
from airtune import record
from airtune.scenario import Scenario

Try = dict[str, Any]
COUNTS = ("kills", "locked", "taken", "fell_back", "warnings", "exit_0", "exit_1", "exit_2")
"""What a try may count; the summary has the sums."""


class Results:
    """The tries of a part.

    Parameters
    ----------
    path : Path
    part : str
    anew : bool
        Forget the tries that the file has.
    scratch : Path, optional
        Folder of the tries, which messages are kept without.
    """

    def __init__(
        self, path: Path, part: str, *, anew: bool = False, scratch: Path | None = None
    ) -> None:
        self.path, self.part, self.scratch = path, part, scratch
        self.tries: dict[str, Try] = {}
        self.environments: list[dict[str, Any]] = []
        if path.is_file() and not anew:
            known = json.loads(path.read_text(encoding="utf-8"))
            self.tries = {one["name"]: one for one in known["tries"]}
            self.environments = environments.listed(known)
        self._here = record.environment(Scenario())

    @property
    def failed(self) -> int:
        """Tries that went wrong."""
        return sum(not one["passed"] for one in self.tries.values())

    def attempt(self, name: str, of: str, work: Callable[[], Try]) -> None:
        """Do a try unless it is known, also one that went wrong, and write it down.

        Parameters
        ----------
        name : str
        of : str
            Row of the summary that it belongs to.
        work : callable
            Returns what is known of the try; `wrong` says what is not as it should be.
        """
        if name in self.tries:
            return
        found = {name: self._short(value) for name, value in work().items()}
        passed = not found.get("wrong")
        number = environments.number_of(self._here, self.environments)
        known = {"name": name, "of": of, "passed": passed, "environment": number}
        self.tries[name] = known | found
        if not passed:
            print(f"{name}: {found['wrong']}", flush=True)
        self._write()

    def _short(self, value: Any) -> Any:
        if self.scratch is None or not isinstance(value, str):
            return value
        return value.replace(f"{self.scratch}/", "")

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "part": self.part,
            "summary": self.summary(),
            "tries": list(self.tries.values()),
            "environments": self.environments,
        }
        record.write_json(self.path, content)

    def summary(self) -> list[dict[str, Any]]:
        """Return the number of tries and of those that passed, by what they are of."""
        rows: dict[str, dict[str, Any]] = {}
        for one in self.tries.values():
            row = rows.setdefault(one["of"], {"of": one["of"], "tries": 0, "passed": 0})
            row["tries"] += 1
            row["passed"] += one["passed"]
            for count in COUNTS:
                if count in one:
                    row[count] = row.get(count, 0) + one[count]
        return list(rows.values())
