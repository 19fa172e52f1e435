"""What is known of a part of the campaign of wrong scenarios and files."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import forked

_FOLDER = re.compile(rf"{re.escape(tempfile.gettempdir())}/\S*/")
"""Folders of a try: names of a moment."""


@dataclass
class Part:
    """What is known of a part so far."""

    planned: int
    tried: int = 0
    longest_s: float = 0.0
    most_memory_mib: float = 0.0

    def __post_init__(self) -> None:
        self.ends, self.kinds = Counter[str](), Counter[str]()
        self.failures: list[dict[str, Any]] = []
        self.mended: list[dict[str, Any]] = []  # failed once, and not when tried again later
        self.since: list[list[int]] = []  # first try, and number of its environment

    def take(self, number: int, kind: str, outcome: forked.Outcome) -> None:
        """Count a try."""
        self.kinds[kind] += 1
        self.ends[f"exit {outcome.code}"] += 1
        self.longest_s = max(self.longest_s, outcome.seconds)
        self.most_memory_mib = max(self.most_memory_mib, outcome.memory_mib)
        failure = outcome.failure()
        if failure is not None:
            said = (outcome.error.strip().splitlines() or [""])[-1][:300]
            said = _FOLDER.sub("", said)
            facts = {"try": number, "kind": kind, "failure": failure, "said": said}
            self.failures.append(facts)

    def repeat(self, attempt: Callable[[int], forked.Outcome], here: int) -> None:
        """Try again what failed; what does not any more is mended."""
        still = []
        for found in self.failures:
            outcome = attempt(found["try"])
            failure = outcome.failure()
            if failure is None:
                self.mended.append({**found, "again": here})
            else:
                still.append({**found, "failure": failure})
        self.failures = still

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "planned": self.planned,
            "tried": self.tried,
            "longest_s": round(self.longest_s, 2),
            "most_memory_mib": round(self.most_memory_mib),
            "ends": dict(sorted(self.ends.items())),
            "kinds": dict(sorted(self.kinds.items())),
            "failures": self.failures,
            "mended": self.mended,
            "since": self.since,
        }

    @classmethod
    def of(cls, planned: int, known: dict[str, Any]) -> Part:
        """Return what :meth:`to_dict` has written."""
        part = cls(planned, known["tried"], known["longest_s"], known["most_memory_mib"])
        part.ends, part.kinds = Counter(known["ends"]), Counter(known["kinds"])
        part.failures, part.since = known["failures"], known.get("since", [])
        part.mended = known.get("mended", [])
        return part
