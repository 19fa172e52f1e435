"""What a run may have a node open, and what the node tells of its own data.

The settings of a run come from another machine.  They name files, folders and hub ids; of these a
node opens those that its user has named, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airtune.errors import InputError, shown

if TYPE_CHECKING:
    from airtune.scenario import Scenario

LABELS, LABEL = 1000, 100
"""Labels of a node with data of its own at most, and characters of one."""

SHIPPED = {
    "model.source": ("small",),
    "data.source": ("sample", "reasoning-gym"),
    "pretraining.sources": ("sample",),
    "model.adapter": (),
}
"""Names of each setting that stand for what airtune brings."""


def named(scenario: Scenario, *, data: bool = True) -> Iterator[tuple[str, str]]:
    """Yield setting and value of the files, folders and hub ids that a node opens.

    Parameters
    ----------
    scenario : Scenario
    data : bool
        Whether `data.source` is among them: a node with data of its own does not open it.

    Examples
    --------
    >>> from airtune.scenario import Scenario
    >>> list(named(Scenario(model={"source": "models/llama"})))
    [('model.source', 'models/llama')]
    """
    model = scenario.model
    found = [("model.source", model.source), ("model.adapter", model.adapter)]
    found += [("pretraining.sources", source) for source in scenario.pretraining.sources]
    found += [("data.source", scenario.data.source)] if data else []
    for setting, value in found:
        if value is not None and value not in SHIPPED[setting]:
            yield setting, value


def check_allowed(scenario: Scenario, allowed: Sequence[str], *, data: bool = True) -> None:
    """Refuse settings that name what the user of a node has not named.

    Parameters
    ----------
    scenario : Scenario
    allowed : sequence of str
        Files, folders and hub ids.  What is in a folder is allowed with it, links resolved; an id
        of the hub is no part of a folder, whatever that is called.
    data : bool
        As of :func:`named`.

    Raises
    ------
    InputError
        Names the setting and its value.

    Examples
    --------
    >>> from airtune.scenario import Scenario
    >>> check_allowed(Scenario(model={"source": "./models/llama"}), ["./models"])
    """
    from airtune.learning.origin import HUB_ID

    places = [Path(each).resolve() for each in allowed]
    for setting, value in named(scenario, data=data):
        path = Path(value)
        inside = any(path.resolve().is_relative_to(place) for place in places)
        fetched = not path.exists() and HUB_ID.fullmatch(value) is not None
        if not (value in allowed if fetched else inside):
            raise InputError(
                f"{setting} = {shown(value)}: this node does not open it; its user may name it "
                "with --allow"
            )
