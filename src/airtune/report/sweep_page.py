"""The page of a sweep: one HTML file that holds everything and fetches nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airtune import record
from airtune.record import names
from airtune.record.documents import SweepResultsDocument
from airtune.report import page, sweep_figures, twins
from airtune.report.figures import Drawn
from airtune.report.run_folder import understood
from airtune.report.sweep_table import (
    diverged_sentences,
    point_text,
    short_name,
    sweep_rows,
    value_text,
)


def build(folder: Path) -> Path:
    """Write the figures and the page of a sweep, and return the page's path.

    Raises
    ------
    InputError
        The folder holds no results of a sweep.
    """
    folder = Path(folder)
    document = record.read_document(folder / names.RESULTS, SweepResultsDocument)
    results = document.model_dump(exclude_unset=True)
    target = folder / names.PAGE
    with understood(folder):
        drawn = sweep_figures.draw_all(results, folder)
        text = render(results, drawn)
    record.write_text(target, text)
    return target


def render(results: dict[str, Any], drawn: list[Drawn]) -> str:
    """Return the page as text."""
    facts = [
        (short_name(axis["setting"]), ", ".join(map(value_text, axis["values"])))
        for axis in results["vary"]
    ]
    content = {
        "name": results["scenario"]["name"],
        "facts": [*facts, ("seeds", results["seeds"])],
        "seeds": results["seeds"],
        "rows": sweep_rows(results),
        "notices": _notices(results),
        "savings": _savings(results),
        "twin": twins.sentence(twins.sweep_remark(results)).strip(),
        "diverged": diverged_sentences(results),
    }
    return page.fill("sweep.html", drawn, content)


def _notices(results: dict[str, Any]) -> list[str]:
    said = []
    for point in results["points"]:
        name = point_text(point["settings"])
        said += [f"{name}: {message}" for message in point["infeasible"][:1]]
        if not point["infeasible"] and point["finished"] < point["cells"]:
            said.append(f"{name}: {point['finished']} of {point['cells']} cells finished.")
    return said


def _savings(results: dict[str, Any]) -> list[tuple[str, str, str, str, bool]]:
    """Return point, baseline, percent faster, percent less energy, and whether a lower bound."""
    from airtune.report.style import scheme_style
    from airtune.report.values import MISSING, decimals, read

    def percent(raw: Any) -> str:
        value = read(raw).median
        return MISSING if value is None else f"{decimals(value, 1)}\u00a0%"

    return [
        (
            point_text(point["settings"]),
            scheme_style(name).label,
            percent(faster),
            percent(point["headline"]["less_energy_pct"].get(name)),
            name in point["headline"]["lower_bounds"] and read(faster).median is not None,
        )
        for point in results["points"]
        for name, faster in point["headline"]["faster_pct"].items()
    ]
