"""What differs between runs: their settings, what they ran on, and their results side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airtune import record
from airtune.errors import InputError, clip
from airtune.record import version_1
from airtune.study.results import Results, load_results

FIGURES = (
    *("rounds_to_target", "time_to_target_s", "energy_to_target_j"),
    *("final_loss", "final_perplexity", "exact_match", "mse_db"),
    *("latency_s", "energy_j"),
)
"""Figures of a scheme that stand side by side; of the last two the total and its parts."""

_OF_ONE_RUN = ("date", "command", "measured_energy")
"""What differs between any two runs."""


def difference(folders: Sequence[Path]) -> dict[str, Any]:
    """Return what differs between runs, and their results side by side.

    Settings of a folder of version 1 are those that it was made with, also where it does not name
    them.

    Parameters
    ----------
    folders : sequence of Path
        Two or more folders of ``airtune run`` or ``compare``, with results.

    Returns
    -------
    dict
        JSON: ``runs``, a list with ``folder``, ``scenario``, ``schema_version`` and
        ``target_loss`` of each; ``settings``, by dotted path the values in which the runs differ,
        a list in their order, null where a run has no such setting; ``environment``, the same of
        what they ran on; ``schemes``, by name and figure the values of the runs, null where a run
        has none, as they stand in results.json, with `energy_j` and `latency_s` by their
        components and ``total``.

    Raises
    ------
    InputError
        There are fewer than two folders, or one is not a run with results.
    """
    if len(folders) < 2:
        raise InputError(f"diff: needs two run folders or more, not {len(folders)}")
    runs = [record.open_folder(folder) for folder in folders]
    for run in runs:
        if run.kind == "sweep":
            raise InputError(
                f"{clip(run.folder)}: is the folder of a sweep; must be that of a run or a compare "
                "(each point of a sweep stands in a folder of its own below it)"
            )
    results = [load_results(folder) for folder in folders]
    entries = [_by_present_names(one) for one in results]
    environments = [
        {name: x for name, x in record.read_environment(folder).items() if name not in _OF_ONE_RUN}
        for folder in folders
    ]
    return {
        "runs": [
            {
                "folder": str(run.folder),
                "scenario": run.scenario.name,
                "schema_version": run.version,
                "target_loss": one.get("target_loss"),
            }
            for run, one in zip(runs, results, strict=True)
        ],
        "settings": differing([run.scenario.to_dict() for run in runs]),
        "environment": differing(environments),
        "schemes": _side_by_side(entries),
    }


def differing(documents: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the entries in which documents differ, by dotted path.

    Parameters
    ----------
    documents : sequence of mapping
        Plain JSON.

    Returns
    -------
    dict of str to list
        The values in the order of the documents, None where there is none; in the order of the
        first document, then of what only others have.

    Examples
    --------
    >>> differing([{"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3, "d": 4}}])
    {'b.c': [2, 3], 'b.d': [None, 4]}
    """
    flat = [dict(_leaves(document)) for document in documents]
    paths = dict.fromkeys(path for one in flat for path in one)
    rows = {path: [one.get(path) for one in flat] for path in paths}
    return {path: row for path, row in rows.items() if any(x != row[0] for x in row)}


def _leaves(document: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _by_present_names(results: Results) -> dict[str, Any]:
    """Return the schemes of a run, those of a document of version 1 by the names of today."""
    called = version_1.NAMES if results.get("schema_version", 1) == 1 else {}
    return {called.get(name, name): entry for name, entry in results["schemes"].items()}


def _side_by_side(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[Any]]]:
    schemes = dict.fromkeys(name for one in runs for name in one)
    found: dict[str, dict[str, list[Any]]] = {}
    for scheme in schemes:
        entries = [one.get(scheme, {}) for one in runs]
        rows = {name: [entry.get(name) for entry in entries] for name in FIGURES[:-2]}
        for name in FIGURES[-2:]:
            parts = [_with_total(entry.get(name) or {}) for entry in entries]
            for part in dict.fromkeys(part for one in parts for part in one):
                rows[f"{name}.{part}"] = [one.get(part) for one in parts]
        found[scheme] = rows
    return found


def _with_total(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return components with their total in front; over several seeds there is none."""
    numbers = [x for x in parts.values() if isinstance(x, int | float)]
    total = {"total": sum(numbers)} if parts and len(numbers) == len(parts) else {}
    return total | dict(parts)
