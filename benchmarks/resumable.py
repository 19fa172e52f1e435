"""Results that are measured cell by cell: a script that is stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import environments
from airtune import record
from airtune.scenario import Scenario

_MACHINE = ("platform", "processor", "cpu_count", "python", "commit", "commit_modified")

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
        `settings`, `cells` by their names, `environments`, and `made_in`: the number of the
        environment of each cell.  Files of before name none for their cells.
    """
    document: dict[str, Any] = {
        "settings": settings,
        "environments": [],
        "made_in": {},
        "cells": {},
    }
    if file.exists():
        before = json.loads(file.read_text())
        if before.get("settings") == settings:
            document |= before
    here = machine()
    for name, work in cells:
        if name in document["cells"]:
            continue
        document["cells"][name] = work()
        document["made_in"][name] = environments.number_of(here, document["environments"])
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
    """Return what the figures are measured on: processor, Python and commit."""
    whole = record.environment(Scenario(threads=1))
    return {name: whole[name] for name in _MACHINE}


def measured_on(document: dict[str, Any]) -> str:
    """Return machines and commits of a document of `measure`, in a sentence."""
    found = environments.described(document["environments"])
    unnamed = len(document["cells"]) - len(document["made_in"])
    more = f" ({unnamed} cells of a state before, which was not noted)" if unnamed else ""
    return f"Measured on {found}{more}." if found else ""


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
