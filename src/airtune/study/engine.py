"""The engine that a study asks for: checked before any work, with what its cells share."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from airtune.errors import InputError, shown
from airtune.registry import ENGINES
from airtune.scenario import Scenario

if TYPE_CHECKING:
    from airtune.engines import Engine
    from airtune.learning.sizes import Sizes

    Started = tuple[Engine, Sizes]

HERE = ("local", "ray", "flower")
"""Engines whose files are at hand in this process: budgets are checked before they start."""


def check_engine(scenario: Scenario) -> None:
    """Refuse before any work what the engine of a scenario cannot do.

    Raises
    ------
    InputError
        Names the setting, its value and what is allowed.
    """
    name = scenario.engine.name
    if scenario.engine.secure and not getattr(ENGINES[name], "makes_sums", False):
        raise InputError(
            f"engine.secure = True: must be False with engine.name = {shown(name)}; flower keeps "
            "updates with nodes"
        )
    check = getattr(ENGINES[name], "check", None)
    if check is not None:
        check(scenario)


def session(scenario: Scenario) -> AbstractContextManager[Any]:
    """Return a block around all engines of a study, within which they share what they may."""
    begin = getattr(ENGINES[scenario.engine.name], "session", None)
    return nullcontext() if begin is None else begin(scenario)


def sharing(started: Started | None, scenario: Scenario) -> Started | None:
    """Return an engine with another payload that uses what one has started, with its sizes.

    None where there is nothing to share: another engine is to be started.
    """
    under = getattr(started[0], "under", None) if started is not None else None
    other = under(scenario) if under is not None else None
    return None if started is None or other is None else (other, started[1])
