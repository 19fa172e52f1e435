"""What the simulating machine has drawn, beside the modelled energy of the clients' computing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from airtune.report.run_folder import SchemeRun
from airtune.report.sheet import Cell, Row, Sheet
from airtune.report.style import scheme_style
from airtune.report.values import MISSING, number, significant

COLUMNS = (
    "Modelled, computing of the clients [J]",
    "Measured, this machine [J]",
    "Estimated, this machine [J]",
    "Rounds measured",
)
EXPLAINED = (
    "All figures are sums over all seeds. Measured and estimated are what the machine that ran "
    "this simulation has drawn meanwhile, all that ran on it included. It is not what phones would "
    "draw: that is the modelled energy. Measured is read from counters (RAPL, NVML); "
    "estimated rests on nameplates, models and samples of the power."
)


def rows(results: Mapping[str, Any], schemes: Iterable[SchemeRun]) -> Sheet:
    """Return modelled and measured energy by scheme; no rows where `costs.measure` was ``none``.

    Parameters
    ----------
    results : mapping
        The results document; readings stand in its `environment`.
    schemes : iterable of SchemeRun
        With the lines of metrics, for the results have medians over the seeds.
    """
    readings = _by_scheme(results)
    found = []
    for scheme in schemes:
        name = scheme.name
        if name not in readings:
            continue
        parts = [(line.round_energy_j or {}).get("compute") for line in scheme.lines()]
        modelled = [part for part in map(number, parts) if part is not None]
        each = readings[name]
        cells = (
            Cell(significant(math.fsum(modelled)) if modelled else MISSING),
            Cell(_total(each, "measured_j")),
            Cell(_total(each, "estimated_j")),
            Cell(str(sum(one.get("rounds") or 0 for one in each if one.get("measured_j")))),
        )
        found.append(Row(name, scheme_style(name).label, cells))
    return Sheet(COLUMNS, tuple(found))


def sentence(results: Mapping[str, Any]) -> str:
    """Return what the readings are and by which library; empty where there are none.

    Examples
    --------
    >>> entry = {"by": "zeus 0.16.0", "measured_j": None, "reason": "no counter can be read"}
    >>> sentence({"environment": {"measured_energy": {"fixed/seed-0": [entry]}}}).split(". ")[0]
    'Read by zeus 0.16.0'
    >>> sentence({})
    ''
    """
    every = [one for each in _by_scheme(results).values() for one in each]
    if not every:
        return ""
    by = ", ".join(sorted({str(one.get("by")) for one in every}))
    reasons = sorted({str(one["reason"]) for one in every if one.get("reason")})
    why = f" Nothing was measured where {'; '.join(reasons)}." if reasons else ""
    return f"Read by {by}. {EXPLAINED}{why}"


def _by_scheme(results: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Return all readings of each scheme."""
    environment = results.get("environment") or {}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for cell, readings in (environment.get("measured_energy") or {}).items():
        found.setdefault(cell.rpartition("/")[0], []).extend(readings)
    return found


def _total(readings: list[Mapping[str, Any]], kind: str) -> str:
    """Return the sum of all parts of all readings; missing where none has any."""
    known = [sum(one[kind].values()) for one in readings if one.get(kind)]
    return significant(sum(known)) if known else MISSING
