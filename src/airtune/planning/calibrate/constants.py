"""The constants of the bound as a scenario wants them: given numbers, or calibrated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airtune.errors import InputError
from airtune.planning.bound import BoundConstants
from airtune.scenario import Scenario
from airtune.scenario_radio import CALIBRATE, check_relations

if TYPE_CHECKING:
    from airtune.learning.learner import Learner

Progress = Callable[[str, float], None]


def constants(
    scenario: Scenario, seed: int, learner: Learner, progress: Progress | None = None
) -> BoundConstants:
    """Return the constants of the bound; numbers of the scenario pass without any work.

    Parameters
    ----------
    scenario : Scenario
        `bound` holds a number or the word ``calibrate`` for each constant.
    seed : int
        Root of the random streams of this repetition.
    learner : Learner
        Model and data, prepared for the same seed; it is left as it is.
    progress : callable, optional
        Called with a text and the fraction done.

    Raises
    ------
    InputError
        A constant cannot be calibrated, or the constants contradict each other.
    """
    values = scenario.bound.model_dump()
    wanted = [name for name, value in values.items() if value == CALIBRATE]
    if wanted:
        raise InputError(f"bound.{wanted[0]} = {CALIBRATE}: cannot be calibrated yet")
    try:
        check_relations(values)
    except ValueError as error:
        raise InputError(f"bound: {error}") from None
    return BoundConstants.from_mapping(values)
