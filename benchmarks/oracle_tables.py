"""What benchmarks/oracle.py says of its runs: books in other windows, ratios, the table."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

import manual
from airtune.bound.forecast import crossing
from airtune.costs import batch_energy
from airtune.kinds import Real
from oracle_cases import FULL, Case, grid_name

WAYS = ("time", "energy")
OBJECTIVES = (*WAYS, "bound")

LIMITS = (1.10, 1.25)
"""What is asked for of cost over the grid's least: in the median of the scenarios, in the worst."""


def check_books(cell: dict[str, Any], target: float, totals: Real) -> None:
    """Check that a run is booked as its metrics have it.

    Parameters
    ----------
    cell : dict
        As :func:`booked` takes it, with its own window.
    target : float
    totals : ndarray, float, shape (T + 1, 2)
        Time and energy after each round, by the metrics.

    Raises
    ------
    ValueError
        They are not the same.
    """
    rounds = crossing([math.nan if x is None else x for x in cell["losses"]], target)
    if math.isfinite(rounds):
        at = np.arange(len(totals))
        metrics = [float(np.interp(rounds, at, column)) for column in totals.T]
        books = booked(cell, target, cell["window_s"], cell["compute_j"])
        if not np.allclose(books, metrics, rtol=1e-9, atol=0.0):
            raise ValueError(f"booked {books} s, J, but the metrics have {metrics}")


def booked(cell: dict[str, Any], target: float, window_s: float, compute_j: float) -> list[float]:
    """Return time and energy to the target with this window; infinite where it is never reached.

    Parameters
    ----------
    cell : dict
        A run: `losses`, and of each round the other times, the way's time and the other joules.
    target : float
    window_s, compute_j : float
        Time and energy of computing in a round.

    Examples
    --------
    The target is half a round after the first; the way takes 1 s more than computing:

    >>> cell = {"losses": [3, 2, 1], "rounds": [[1, 1], [3, 3], [5, 5]], "overlap": True}
    >>> booked(cell, 1.5, window_s=2.0, compute_j=1.0)
    [6.0, 9.0]
    >>> booked(cell, 0.5, window_s=2.0, compute_j=1.0)
    [inf, inf]
    """
    losses = [math.nan if x is None else x for x in cell["losses"]]
    rounds = crossing(losses, target)
    if not math.isfinite(rounds):
        return [math.inf, math.inf]
    others, ways, joules = (np.array(column, float) for column in cell["rounds"])
    left = np.maximum(ways - window_s, 0.0) if cell["overlap"] else ways
    both = window_s + others + left, compute_j + joules
    at = np.arange(len(losses))
    return [float(np.interp(rounds, at, np.append(0.0, np.cumsum(one)))) for one in both]


def window_energy(cell: dict[str, Any], window_s: float) -> float:
    """Return the energy of computing in a round with the slowest clocks that meet a window [J]."""
    one = {name: np.array(value, float) for name, value in cell["clients"].items()}
    batches: Real = one["batches"]
    energies = batch_energy(batches, window_s, one["cycles"], one["kappa"], one["f_min"])
    return float(np.sum(energies))


def plans_of(case: Case, document: dict[str, Any]) -> dict[str, list[float]]:
    """Return time and energy to the target of all plans of the grid that have been run."""
    found = {}
    for shares in case.grid.runs():
        cell = document["cells"].get(grid_name(shares))
        for factor in case.grid.windows if cell is not None else ():
            window = factor * cell["window_s"]
            energy = window_energy(cell, window)
            if factor == 1.0:
                energy = cell["compute_j"]  # clocks above what the window needs, as unplanned
            name = f"{grid_name(shares)}; window {factor:g}"
            found[name] = booked(cell, document["target"], window, energy)
            if factor == 1.0:  # the same window with the slowest clocks
                energy = window_energy(cell, window)
                name += ", slowest clocks"
                found[name] = booked(cell, document["target"], window, energy)
    return found


def compared(case: Case, document: dict[str, Any]) -> dict[str, Any] | None:
    """Return time and energy of each way to plan over the least of the grid; None: not all run."""
    plans, cells = plans_of(case, document), document["cells"]
    if len([name for name in cells if name.startswith("batch")]) < len(list(case.grid.runs())):
        return None
    best = [min(plans, key=lambda name, at=index: plans[name][at]) for index in (0, 1)]
    least = [plans[name][index] for index, name in enumerate(best)]
    if any(f"plan; {objective}" not in cells for objective in OBJECTIVES):
        return None
    ways = ways_of(case, document)
    arrived = math.isfinite(least[0])  # the same runs arrive for time and energy
    ratios = [
        {name: _known(one[index] / least[index]) if arrived else None for name, one in ways.items()}
        for index in (0, 1)
    ]
    return {
        "plans": len(plans),
        "arrived": sum(math.isfinite(one[0]) for one in plans.values()),
        "best": dict(zip(("time", "energy"), best, strict=True)) if arrived else None,
        "least_time_s": _known(least[0]),
        "least_energy_j": _known(least[1]),
        "time_over_least": ratios[0],
        "energy_over_least": ratios[1],
    }


def ways_of(case: Case, document: dict[str, Any]) -> dict[str, list[float]]:
    """Return time and energy to the target of each way to plan, and unplanned."""
    ways = {"unplanned": plans_of(case, document)[f"{grid_name(FULL)}; window 1"]}
    for objective in OBJECTIVES:
        cell = document["cells"][f"plan; {objective}"]
        ways[objective] = [math.inf, math.inf]
        if "refused" not in cell:
            ways[objective] = booked(cell, document["target"], cell["window_s"], cell["compute_j"])
    return ways


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def write_docs(given: list[Case], folder: Path) -> str:
    """Return the table of docs/forecast.md, and what it says of the limits; empty: no results."""
    rows, done, lost = [], list[dict[str, Any]](), list[str]()
    for case in given:
        file = case.file(folder)
        document = json.loads(file.read_text()) if file.exists() else None
        found = None if document is None else compared(case, document)
        if document is None or found is None:
            continue
        if found["arrived"] == 0:
            lost.append(case.name)
            continue
        done.append(found)
        pair = found["time_over_least"], found["energy_over_least"]
        cells = [
            " / ".join("never" if one[way] is None else f"{one[way]:.2f}" for one in pair)
            for way in ("time", "energy", "bound", "unplanned")
        ]
        pilot, least = document["pilot"], (found["least_time_s"], found["least_energy_j"])
        before = f"{pilot['time_s'] / least[0]:.1f} / {pilot['energy_j'] / least[1]:.1f}"
        rows.append([case.name, f"{found['arrived']} of {found['plans']}", *cells, before])
    if not done and not lost:
        return ""
    said = [f"{len(done)} of {len(given)} scenarios.", *(verdict(done, one) for one in WAYS)]
    if lost:
        said.append(f"No plan of the grid arrives, so not counted: {', '.join(lost)}.")
    head = ["scenario: time / energy over the least", "plans that arrive"]
    head += ["by time", "by energy", "by bound", "unplanned", "the pilot itself"]
    more = over_seeds(given, folder)
    return "\n".join([*said, "", *manual.table(head, rows), *(["", *more] if more else [])])


def over_seeds(given: list[Case], folder: Path) -> list[str]:
    """Return a table of the scenarios of which there are more seeds, by the means over all.

    A plan of the grid is that with the least mean, of those that arrive with every seed.
    """
    rows = []
    for case in given:
        first, pattern = case.file(folder), f"{case.file(folder).stem}-again-*.json"
        files = [first, *sorted(folder.glob(pattern))] if first.exists() else []
        documents = [json.loads(file.read_text()) for file in files]
        whole = [one for one in documents if compared(case, one) is not None]
        if len(whole) < 2:
            continue
        plans = [plans_of(case, one) for one in whole]
        means = {name: np.mean([one[name] for one in plans], axis=0) for name in plans[0]}
        least = [min(mean[index] for mean in means.values()) for index in (0, 1)]
        single = [compared(case, one) for one in whole]
        cells = []
        for index, way in enumerate(WAYS):
            costs = [ways_of(case, one)[way][index] for one in whole]
            each = [one[f"{way}_over_least"][way] for one in single if one is not None]
            said = ", ".join("never" if one is None else f"{one:.2f}" for one in each)
            cells += [f"{np.mean(costs) / least[index]:.2f}", said]
        rows.append([case.name, str(len(whole)), *cells])
    head = ["scenario", "seeds", "by time: mean time over the least mean", "each seed"]
    head += ["by energy: mean energy over the least mean", "each seed"]
    return manual.table(head, rows) if rows else []


def verdict(done: list[dict[str, Any]], way: str) -> str:
    """Return whether plans by time, or by energy, are within :data:`LIMITS` of the grid's least.

    >>> some = [{"time_over_least": {"time": x}} for x in (1.0, 1.05, 1.3)]
    >>> verdict(some, "time").partition(": ")[2]
    'median 1.05 (1.10 asked: kept), worst 1.30 (1.25: missed).'
    """
    given = [one[f"{way}_over_least"][way] for one in done]
    values = [math.inf if x is None else x for x in given]
    if not values:
        return f"By {way}: nothing to say."
    parts = [
        (float(np.median(values)), LIMITS[0], "median", " asked"),
        (max(values), LIMITS[1], "worst", ""),
    ]
    said = [
        f"{name} {value:.2f} ({limit:.2f}{asked}: {'kept' if value <= limit else 'missed'})"
        for value, limit, name, asked in parts
    ]
    return f"By {way}, {way} over the grid's least: {', '.join(said)}."
