"""The runs of a seed: what is measured once is used once."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from airtune.learning.shared import SharedLearners
from airtune.planning.repetition import Repetition
from airtune.record import Cell
from airtune.study import cells
from quadratic import QuadraticLearner
from rounds.test_payloads import with_payload


def test_the_bound_of_a_payload_is_made_once(small_scenario, quadratic, tmp_path: Path) -> None:
    """A run had the constants of a mask of a mask: mu times (n / d) squared."""
    scenario = with_payload(small_scenario, "mask", 60)
    cell = Cell(tmp_path / "fixed" / "seed-0", "fixed", 0)
    with ExitStack() as opened:
        engines = cells._Engines(SharedLearners(), 1, None, opened)
        (((_, run),), _) = cells._runs(scenario, 1, [cell], engines)
        known = Repetition(scenario, 1, QuadraticLearner(scenario, 1))
        assert run.repetition.constants == known.constants
        assert known.constants.mu == scenario.bound.mu * 60 / 107
