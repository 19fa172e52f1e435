"""Settings that do nothing beside the others: a share of clients that nobody poisons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from airtune.errors import InputError, clip
from airtune.registry import SCHEMES
from airtune.scenario.plausible import implausible
from airtune.scenario.poison import Poison
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


def doubts_of_points(points: Sequence[Scenario]) -> list[str]:
    """Say what :func:`doubts` says of the points of a sweep, each sentence once.

    What one point has switched off and another one switched on is meant so: a point without
    poisoned clients is what the others are compared with.

    Parameters
    ----------
    points : sequence of Scenario

    Examples
    --------
    >>> def poisoned(kind, share):
    ...     return Scenario(faults={"poison": {"kind": kind, "share": share}})
    >>> doubts_of_points([poisoned("none", 0.3), poisoned("sign-flip", 0.3)])
    []
    >>> [said[:25] for said in doubts_of_points([poisoned("none", 0.2), poisoned("none", 0.3)])]
    ['faults.poison.share = 0.2', 'faults.poison.share = 0.3']
    """
    found = [list(_of_all(point)) for point in points]
    switched_off = [{one.switch for one in off} for off in found]
    everywhere = {None}.union(set.intersection(*switched_off) if switched_off else ())
    said: list[str] = []
    for point, off in zip(points, found, strict=True):
        said += implausible(point)
        said += [one.said for one in off if one.said and one.switch in everywhere]
    return list(dict.fromkeys(said))


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
    return [one.said for one in _of_all(scenario) if one.said]


class _Off(NamedTuple):
    """What is switched off, and what is said of settings that are given nevertheless.

    `switch` is None where a number of the settings is likely a slip, whatever else is switched.
    """

    switch: str | None
    said: str = ""


def _of_all(scenario: Scenario) -> Iterator[_Off]:
    yield from _of_poison(scenario)
    yield from _of_faults(scenario)
    yield from _of_merging(scenario)


def _of_poison(scenario: Scenario) -> Iterator[_Off]:
    poison, rounds = scenario.faults.poison, scenario.training.rounds
    if not poison.active:
        yield _Off("faults.poison", _of_nobody(poison))
        yield _Off("faults.poison.scale")
    elif poison.from_round > rounds:
        yield _Off(
            None,
            f"faults.poison.from_round = {poison.from_round}: is after the last round "
            f"(training.rounds = {rounds}), nobody is poisoned",
        )
    elif poison.kind == "label-noise":
        said = (
            f"{_values(poison, 'faults.poison', ['scale'])}: does nothing with faults.poison.kind "
            "= label-noise, whose updates are sent as they are"
        )
        yield _Off("faults.poison.scale", "" if poison.scale is None else said)


def _of_nobody(poison: Poison) -> str:
    """Say what is given although nobody is poisoned."""
    if poison.kind == "none":
        # The share has a default: who names it alone means to poison.
        named = poison.model_fields_set
        forgotten = ["share"] if "share" in named and "kind" not in named else []
        given = dict.fromkeys([*_changed(poison), *forgotten])
        if given and poison.share > 0:
            return (
                f"{_values(poison, 'faults.poison', given)}: {_do(given)} nothing with "
                "faults.poison.kind = none, nobody is poisoned"
            )
        return ""
    return (
        f"faults.poison.kind = {poison.kind}: does nothing with faults.poison.share = 0, "
        "nobody is poisoned"
    )


def _of_faults(scenario: Scenario) -> Iterator[_Off]:
    for name in _NEEDS_SHARE:
        section: Any = getattr(scenario.faults, name)
        if section.share > 0:
            continue
        path, own = f"faults.{name}", _OF_ITS_OWN.get(name, ())
        given = [x for x in _changed(section) if x not in own]
        said = f"{_values(section, path, given)}: {_do(given)} nothing with {path}.share = 0"
        yield _Off(path, said if given else "")
    antennas = scenario.faults.antennas
    if antennas.dead == 0:
        said = "faults.antennas.dead_known = false: does nothing with faults.antennas.dead = 0"
        yield _Off("faults.antennas.dead", "" if antennas.dead_known else said)


def _of_merging(scenario: Scenario) -> Iterator[_Off]:
    aggregation, clients = scenario.aggregation, scenario.clients.count
    groups, rule = aggregation.groups, aggregation.robust
    if rule != "trimmed-mean":
        said = (
            f"aggregation.trim = {aggregation.trim:g}: does nothing with aggregation.robust = "
            f"{rule}, only with trimmed-mean"
        )
        yield _Off("aggregation.trim", said if "trim" in _changed(aggregation) else "")
    if groups > clients:
        yield _Off(
            None,
            f"aggregation.groups = {groups}: more than clients.count = {clients}; there are as "
            "many groups as clients send",
        )
    sums = [name for name in scenario.schemes if _is_sum(name)] if groups == 1 else []
    if sums:
        said = (
            f"aggregation.robust = {rule}: does nothing for {clip(', '.join(sums))}: one sum, "
            "nothing to compare it with; needs aggregation.groups > 1"
        )
        yield _Off("aggregation.groups", "" if rule == "none" else said)
    if scenario.training.anomaly_stop is None:
        said = (
            f"training.anomaly_window = {scenario.training.anomaly_window}: does nothing with "
            "training.anomaly_stop = null"
        )
        given = "anomaly_window" in _changed(scenario.training)
        yield _Off("training.anomaly_stop", said if given else "")


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
