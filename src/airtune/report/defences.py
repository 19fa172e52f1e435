"""Who was poisoned in a run, and which defence held for which scheme, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airtune.errors import InputError
from airtune.registry import SCHEMES
from airtune.report import style
from airtune.report.values import count, number, read
from airtune.scenario import Poison

_KINDS = {
    "sign-flip": "sent their update with the opposite sign",
    "scaling": "sent a multiple of their update",
    "random": "sent noise",
    "label-noise": "learnt from wrong answers",
}
_RULES = {
    "median": "the median",
    "trimmed-mean": "the trimmed mean",
    "geometric-median": "the geometric median",
}


def remarks(results: Mapping[str, Any]) -> list[str]:
    """Say who was poisoned and what stood against it; nothing for a run without either.

    Parameters
    ----------
    results : mapping
        The document of ``airtune compare --json``.

    Examples
    --------
    >>> aggregation = {"robust": "median", "groups": 1}
    >>> remarks({"scenario": {"aggregation": aggregation}, "schemes": {"digital": {}}})
    ["The median of the clients' updates took the place of their mean: Digital."]
    """
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    said = set_up(results)
    for name, entry in schemes.items():
        rejected = read(entry.get("rejected_rounds")).median
        if rejected and not read(entry.get("rounds_without_step")).known:  # told with all of them
            rounds = "round" if rejected == 1 else "rounds"
            said.append(
                f"{style.scheme_style(name).label}: {count(rejected)} {rounds} without a step, "
                "for the mean was out of line with the rounds before (anomaly stop)."
            )
    return said


def set_up(results: Mapping[str, Any]) -> list[str]:
    """Say who was poisoned and which rule of merging held for whom, as :func:`remarks` does."""
    scenario: Mapping[str, Any] = results.get("scenario") or {}
    schemes = list(results.get("schemes") or {})
    return [*_poisoned(scenario), *_rules(scenario.get("aggregation") or {}, schemes)]


def _poisoned(scenario: Mapping[str, Any]) -> list[str]:
    poison = (scenario.get("faults") or {}).get("poison") or {}
    kind, clients = str(poison.get("kind")), (scenario.get("clients") or {}).get("count")
    share, start = number(poison.get("share")), number(poison.get("from_round")) or 1
    if kind not in _KINDS or not share or not isinstance(clients, int):
        return []
    settings = Poison.model_validate({"kind": kind, "share": share})
    number_of = len(settings.clients(clients, seed=0))
    since = f" from round {count(start)} on" if start > 1 else ""
    return [f"Poisoned: {number_of} of {clients} clients, which {_KINDS[kind]}{since}."]


def _rules(aggregation: Mapping[str, Any], schemes: Sequence[str]) -> list[str]:
    rule = _RULES.get(str(aggregation.get("robust")))
    groups = int(number(aggregation.get("groups")) or 1)
    apart = [style.scheme_style(name).label for name in schemes if _tells_apart(name)]
    summed = [style.scheme_style(name).label for name in schemes if not _tells_apart(name)]
    said = []
    if rule and apart:
        said.append(
            f"{rule.capitalize()} of the clients' updates took the place of their mean: "
            f"{', '.join(apart)}."
        )
    if groups > 1 and summed:
        merged = f"{rule} of which took the place of their mean" if rule else "and their mean"
        said.append(f"Sums of {groups} groups, one slot each, {merged}: {', '.join(summed)}.")
    elif rule and summed:
        said.append(
            f"No robust rule (one sum, nothing to compare it with: aggregation.groups = 1): "
            f"{', '.join(summed)}."
        )
    return said


def _tells_apart(scheme: str) -> bool:
    """Tell whether the server of a scheme decodes every client's own update."""
    try:
        return bool(getattr(getattr(SCHEMES[scheme], "air", None), "tells_apart", False))
    except InputError:  # of a module that is not imported now
        return False
