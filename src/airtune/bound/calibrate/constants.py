"""The constants of the bound of a scenario: numbers that it gives, or calibrated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airtune.bound.calibrate.cache import PRETRAINING, SHIFT, TUNING, Calibrator
from airtune.bound.calibrate.trajectory import Progress
from airtune.bound.convergence import BoundConstants
from airtune.errors import InputError
from airtune.scenario import Bound, Scenario
from airtune.scenario.base import CALIBRATE
from airtune.scenario.planning import check_relations

if TYPE_CHECKING:
    from airtune.learning.learner import Learner

Documents = dict[str, dict[str, Any]]


def constants(
    scenario: Scenario, seed: int, learner: Learner, progress: Progress | None = None
) -> BoundConstants:
    """Return the constants of the bound; numbers given in the scenario are taken as they are.

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
    wanted = {name for name, value in values.items() if value == CALIBRATE}
    if wanted:
        documents = calibrate(scenario, seed, learner, wanted, progress)
        measured = {name: x for part in documents.values() for name, x in part["constants"].items()}
        values |= {name: measured[name]["value"] for name in wanted}
    note = f" ({', '.join(sorted(wanted))} calibrated)" if wanted else ""
    return _consistent(values, note)


def given_constants(settings: Bound) -> BoundConstants:
    """Return the constants of a scenario that gives them all as numbers.

    Raises
    ------
    InputError
        A constant is to be calibrated, which needs model and data, or they contradict each other.
    """
    values = settings.model_dump()
    wanted = [name for name, value in values.items() if value == CALIBRATE]
    if wanted:
        raise InputError(f"bound: {', '.join(wanted)} must be calibrated first")
    return _consistent(values, "")


def _consistent(values: dict[str, float], note: str) -> BoundConstants:
    try:
        check_relations(values)
    except ValueError as error:
        raise InputError(f"bound: {error}{note}") from None
    return BoundConstants.from_mapping(values)


def calibrate(
    scenario: Scenario,
    seed: int,
    learner: Learner,
    wanted: set[str] | None = None,
    progress: Progress | None = None,
) -> Documents:
    """Run the calibrations that the wanted constants need, or take them from the cache.

    Parameters
    ----------
    scenario, seed, learner, progress
        As for :func:`constants`.
    wanted : set of str, optional
        Names of constants; all by default.

    Returns
    -------
    dict
        ``tuning``, ``pretraining`` and ``shift`` as far as they are needed, each with its
        ``constants`` and what they were taken from, in plain JSON types.

    Raises
    ------
    InputError
        A constant cannot be calibrated; the message says what to set.
    """
    from airtune.learning.measurements import Measurements

    names = {*TUNING, *PRETRAINING, *SHIFT} if wanted is None else wanted
    show = progress or (lambda text, fraction: None)
    calibrator = Calibrator(scenario, seed, Measurements(learner, seed), show)
    documents: Documents = {}
    # The corpus of a ready model first: without it there is no need to start the rest.
    for part, owned in (("pretraining", PRETRAINING), ("tuning", TUNING), ("shift", SHIFT)):
        if names & set(owned):
            documents[part] = getattr(calibrator, part)()
    show("calibration", 1.0)
    return documents
