"""The pages as text, from templates that escape all that is not their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from airtune.registry import SCHEMES
from airtune.report import comparison
from airtune.report.style import scheme_style
from airtune.report.values import MISSING, si, significant
from airtune.scenario.file import shipped
from airtune.ui import controls
from airtune.ui.board import STEPS
from airtune.ui.runs import STATES, Run


def asset(name: str) -> str:
    """Return a text file of the pages."""
    return (resources.files("airtune.ui") / "templates" / name).read_text(encoding="utf-8")


def cell_page(own: Sequence[str]) -> str:
    """Return the page of the cell.

    Parameters
    ----------
    own : sequence of str
        Scenario files that can be chosen besides the shipped ones.
    """
    choices = [
        control
        for group in controls.CONTROLS.values()
        for control in group
        if isinstance(control, controls.Choice)
    ]
    return _fill(
        "cell.html",
        here="cell",
        sources={"Shipped": list(shipped()), "Files": list(own)},
        steps=len(STEPS),
        controls=controls.CONTROLS,
        choices={choice.name: choice.options for choice in choices},
        schemes={name: scheme_style(name).label for name in SCHEMES},
    )


def runs_page(root: Path, runs: Sequence[Run]) -> str:
    """Return the page of all runs."""
    return _fill("runs.html", here="runs", root=str(root), rows=_markup(runs_rows(runs)))


def runs_rows(runs: Sequence[Run]) -> str:
    """Return the part of the page of all runs that changes."""
    return _fill("runs_rows.html", runs=runs)


def run_page(run: Run, address: str) -> str:
    """Return the page of a run.

    Parameters
    ----------
    run : Run
    address : str
        Of its report; empty where there is nothing to look at yet.
    """
    return _fill("run.html", here="runs", name=run.name, rows=_markup(run_rows(run, address)))


def run_rows(run: Run, address: str) -> str:
    """Return the part of the page of a run that changes."""
    return _fill("run_rows.html", run=run, address=address)


def missing_page(name: str, error: str) -> str:
    """Return the page of a run that is not there."""
    return _fill("compare.html", here="runs", heading=name, error=error)


def compare_page(names: Sequence[str], found: Mapping[str, Any], folders: Sequence[Path]) -> str:
    """Return the page of runs side by side.

    Parameters
    ----------
    names : sequence of str
        Of the runs.
    found : mapping
        As of :func:`airtune.study.difference.difference`.
    folders : sequence of Path
    """
    letters = [called for called, _, _ in comparison.listed(found)]
    return _fill(
        "compare.html",
        here="runs",
        heading=comparison.TITLE,
        error="",
        runs=list(zip(letters, names, found["runs"], strict=True)),
        body=comparison.body(found, folders),
    )


def _fill(template: str, **content: Any) -> str:
    text: str = _templates().get_template(template).render(**content)
    return text


def _markup(text: str) -> Any:
    """Return what a template has made as what another one takes in."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - made by a template that escapes


@cache
def _templates() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("airtune.ui", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    templates.globals.update(states=STATES, amount=_amount, label=_label, figure=_figure)
    return templates


def _amount(run: Run) -> int:
    """Return how many rounds are done; a cell that is finished counts whole."""
    return sum(run.rounds if cell.finished else min(cell.rounds, run.rounds) for cell in run.cells)


def _label(name: str) -> str:
    point, _, scheme = name.rpartition(", ")
    label = scheme_style(scheme).label
    return f"{point}, {label}" if point else label


def _figure(value: float | None, unit: str = "") -> str:
    if value is None:
        return MISSING
    return si(value, unit) if unit else significant(value)
