"""Results that are measured cell by cell: a script that is stopped goes on where it was."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

Cell = tuple[str, Callable[[], Any]]


def measure(file: Path, settings: dict[str, Any], cells: Iterable[Cell]) -> dict[str, Any]:
    """Measure the cells that a file does not hold yet, and write it anew after each.

    Parameters
    ----------
    file : Path
        JSON; what it holds of other settings is measured again.
    settings : dict
        What the cells depend on, as plain JSON types.
    cells : iterable of (name, callable)
        Each returns plain JSON types.

    Returns
    -------
    dict
        `settings`, `machine` and `cells` by their names.
    """
    document: dict[str, Any] = {"settings": settings, "machine": machine(), "cells": {}}
    if file.exists():
        before = json.loads(file.read_text())
        if before.get("settings") == settings:
            document["cells"] = before["cells"]
    for name, work in cells:
        if name in document["cells"]:
            continue
        document["cells"][name] = work()
        print(name, summary(document["cells"][name]), flush=True)
        write(file, document)
    return document


def write(file: Path, document: dict[str, Any]) -> None:
    """Write a document in one piece."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(document, indent=1) + "\n")
    new.replace(file)


def summary(cell: Any) -> str:
    """Return the short figures of a cell, for the terminal."""
    if not isinstance(cell, dict):
        return str(cell)
    return " ".join(f"{k}={v:.3g}" for k, v in cell.items() if isinstance(v, float))


def by_case(cells: dict[str, dict[str, float]]) -> dict[str, list[dict[str, float]]]:
    """Return the cells of each case over the seeds, of which all cases have been measured.

    Names end in a comma and the seed.
    """
    seeds: dict[str, list[str]] = {}
    for name in cells:
        seeds.setdefault(name.rpartition(", ")[2], []).append(name)
    most = max(map(len, seeds.values()), default=0)
    groups: dict[str, list[dict[str, float]]] = {}
    for names in seeds.values():
        for name in names if len(names) == most else ():
            groups.setdefault(name.rpartition(", ")[0], []).append(cells[name])
    return groups


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return median, 10 and 90 % quantile, least and greatest."""
    array = np.array(list(values), dtype=np.float64)
    ends = np.quantile(array, [0.5, 0.1, 0.9])
    return {
        "median": float(ends[0]),
        "p10": float(ends[1]),
        "p90": float(ends[2]),
        "least": float(array.min()),
        "most": float(array.max()),
    }
