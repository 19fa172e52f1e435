"""Settings that do nothing beside the others: a share of clients that nobody poisons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from airtune.errors import InputError, clip
from airtune.registry import SCHEMES
from airtune.scenario.plausible import implausible
from airtune.scenario.scenario import Scenario

_NEEDS_SHARE = ("dropout", "stragglers", "jammer", "broadcast", "side_information")
_OF_ITS_OWN = {"side_information": ("csi_share",)}
"""Settings of these sections that do not need its share."""


def doubts(scenario: Scenario) -> list[str]:
    """Say which numbers are not plausible, and which settings do nothing.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    list of str
        One sentence each: those of :func:`airtune.scenario.plausible.implausible`, then of
        :func:`idle`.
    """
    return [*implausible(scenario), *idle(scenario)]


def idle(scenario: Scenario) -> list[str]:
    """Say which settings of faults and of robust merging are given and do nothing.

    A setting counts as given where it is not as by default.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    list of str
        One sentence for each reason.

    Examples
    --------
    >>> idle(Scenario())
    []
    >>> idle(Scenario(faults={"poison": {"share": 0.3}}))
    ['faults.poison.share = 0.3: does nothing with faults.poison.kind = none, nobody is poisoned']
    """
    return [*_of_poison(scenario), *_of_faults(scenario), *_of_merging(scenario)]


def _of_poison(scenario: Scenario) -> Iterator[str]:
    poison, rounds = scenario.faults.poison, scenario.training.rounds
    if poison.kind == "none":
        # The share has a default: who names it alone means to poison.
        named = poison.model_fields_set
        forgotten = ["share"] if "share" in named and "kind" not in named else []
        given = dict.fromkeys([*_changed(poison), *forgotten])
        if given and poison.share > 0:
            yield (
                f"{_values(poison, 'faults.poison', given)}: {_do(given)} nothing with "
                "faults.poison.kind = none, nobody is poisoned"
            )
    elif poison.share == 0:
        yield (
            f"faults.poison.kind = {poison.kind}: does nothing with faults.poison.share = 0, "
            "nobody is poisoned"
        )
    elif poison.from_round > rounds:
        yield (
            f"faults.poison.from_round = {poison.from_round}: is after the last round "
            f"(training.rounds = {rounds}), nobody is poisoned"
        )
    elif poison.kind == "label-noise" and poison.scale is not None:
        yield (
            f"faults.poison.scale = {poison.scale:g}: does nothing with faults.poison.kind = "
            "label-noise, whose updates are sent as they are"
        )


def _of_faults(scenario: Scenario) -> Iterator[str]:
    for name in _NEEDS_SHARE:
        section: Any = getattr(scenario.faults, name)
        own = _OF_ITS_OWN.get(name, ())
        given = [] if section.share > 0 else [x for x in _changed(section) if x not in own]
        if given:
            path = f"faults.{name}"
            yield (f"{_values(section, path, given)}: {_do(given)} nothing with {path}.share = 0")
    antennas = scenario.faults.antennas
    if antennas.dead == 0 and not antennas.dead_known:
        yield "faults.antennas.dead_known = false: does nothing with faults.antennas.dead = 0"


def _of_merging(scenario: Scenario) -> Iterator[str]:
    aggregation, clients = scenario.aggregation, scenario.clients.count
    groups, rule = aggregation.groups, aggregation.robust
    if rule != "trimmed-mean" and "trim" in _changed(aggregation):
        yield (
            f"aggregation.trim = {aggregation.trim:g}: does nothing with aggregation.robust = "
            f"{rule}, only with trimmed-mean"
        )
    if groups > clients:
        yield (
            f"aggregation.groups = {groups}: more than clients.count = {clients}; there are as "
            "many groups as clients send"
        )
    if rule != "none" and groups == 1:
        sums = [name for name in scenario.schemes if _is_sum(name)]
        if sums:
            yield (
                f"aggregation.robust = {rule}: does nothing for {clip(', '.join(sums))}: one sum, "
                "nothing to compare it with; needs aggregation.groups > 1"
            )
    if scenario.training.anomaly_stop is None and "anomaly_window" in _changed(scenario.training):
        yield (
            f"training.anomaly_window = {scenario.training.anomaly_window}: does nothing with "
            "training.anomaly_stop = null"
        )


def _is_sum(scheme: str) -> bool:
    """Tell whether the server of a scheme gets sums instead of each client's own update."""
    try:
        return not getattr(getattr(SCHEMES[scheme], "air", None), "tells_apart", True)
    except InputError:  # an unknown name, which is refused elsewhere
        return False


def _changed(section: BaseModel) -> list[str]:
    """Return the settings of a section that are not as by default."""
    fields = type(section).model_fields
    return [name for name, field in fields.items() if getattr(section, name) != field.default]


def _values(section: BaseModel, path: str, names: Any) -> str:
    """Return settings with their values."""
    plain = section.model_dump(mode="json", include=set(names))
    written = {n: f"{x:g}" if isinstance(x, float) else clip(x) for n, x in plain.items()}
    return ", ".join(f"{path}.{name} = {written[name]}" for name in names)


def _do(names: Any) -> str:
    return "do" if len(names) > 1 else "does"
