"""Learners that several runs share."""

from __future__ import annotations

import json

from airtune.learning import learner
from airtune.learning.learner import Learner, Progress
from airtune.scenario import Scenario


class SharedLearners:
    """Prepares each learner once: called like :func:`airtune.learning.learner.prepare`.

    Parameters
    ----------
    most : int, optional
        Keep so many learners; the oldest goes before a new one is made.  All by default.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._made: dict[str, Learner] = {}

    def __call__(self, scenario: Scenario, seed: int, progress: Progress | None = None) -> Learner:
        """Return the learner of a scenario and a seed."""
        key = json.dumps([learner.prepared_from(scenario), seed], sort_keys=True)
        if key not in self._made:
            while self._most is not None and len(self._made) >= self._most:
                del self._made[next(iter(self._made))]
            self._made[key] = learner.prepare(scenario, seed, progress)
        return self._made[key].under(scenario)
