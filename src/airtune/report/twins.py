"""What captions say where time and energy are those of a cost twin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTING = "costs.model"
EXPLAINED = (
    "Computing, uploads, reports and broadcast are booked as those of a model of the named shape; "
    "losses, tokens and aggregation errors are those of the model that was trained."
)


def remark(scenario: Mapping[str, Any]) -> str:
    """Return whose costs the figures of a scenario are; empty where they are its own model's.

    Examples
    --------
    >>> remark({"costs": {"model": "openllama-3b-qv"}})
    'costs of a twin: openllama-3b-qv'
    >>> remark({"costs": {"model": "none"}}), remark({})
    ('', '')
    """
    name = (scenario.get("costs") or {}).get("model", "none")
    return "" if name == "none" else f"costs of a twin: {name}"


def sweep_remark(results: Mapping[str, Any]) -> str:
    """Return whose costs the figures of a sweep are; where twins are varied, all of them.

    Examples
    --------
    >>> vary = [{"setting": "costs.model", "values": ["none", "openllama-3b-qv", "openllama-3b"]}]
    >>> sweep_remark({"scenario": {}, "vary": vary})
    'costs of a twin where a point names it: openllama-3b-qv, openllama-3b'
    """
    varied = next((a["values"] for a in results["vary"] if a["setting"] == SETTING), None)
    if varied is None:
        return remark(results["scenario"])
    twins = ", ".join(str(name) for name in varied if name != "none")
    return f"costs of a twin where a point names it: {twins}" if twins else ""


def sentence(said: str) -> str:
    """Return a remark as a sentence that can follow another; empty for none.

    Examples
    --------
    >>> "As booked." + sentence("costs of a twin: mine")
    'As booked. Costs of a twin: mine.'
    """
    return f" {said[0].upper()}{said[1:]}." if said else ""
