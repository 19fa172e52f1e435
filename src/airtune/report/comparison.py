"""Runs side by side: their tables, and figures in which every run is a line; one page of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airtune import record
from airtune.errors import clip
from airtune.report import bars, curves, page, run_folder, style
from airtune.report.figures import Drawn, inline
from airtune.report.run_folder import RunFolder
from airtune.report.values import MISSING, prefix_of, seconds_unit

TITLE = "Runs side by side"
TITLES = {
    "rounds_to_target": "rounds to target",
    "time_to_target_s": "time to target [s]",
    "energy_to_target_j": "energy to target [J]",
    "final_loss": "final loss",
    "final_perplexity": "perplexity",
    "exact_match": "exact match",
    "mse_db": "aggregation error [dB]",
    "latency_s.total": "time in all [s]",
    "energy_j.total": "energy in all [J]",
}
"""Figures that tables for people show, and what they are called there."""
Found = Mapping[str, Any]
_PANEL = 1.55

_COLORS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#111111")
_DASHES: tuple[style.Dash, ...] = ("-", (0, (5, 1.6)), (0, (1, 1.3)), (0, (5, 1.4, 1, 1.4)))
_AXES = (("round", "Federated round"), ("time_s", "Simulated time"), ("energy_j", "Energy"))


def build(found: Found, folders: Sequence[Path], target: Path) -> Path:
    """Write one HTML file that holds runs side by side, and return its path.

    Parameters
    ----------
    found : mapping
        What :func:`airtune.study.difference.difference` says of the folders.
    folders : sequence of Path
        Of the runs.
    target : Path
        The file; one that is there is replaced.

    Raises
    ------
    InputError
        The documents of a folder do not fit together.
    FailedError
        The file cannot be written.
    """
    content = {"name": TITLE, "runs": listed(found), "body": body(found, folders)}
    record.write_text(target, page.fill("comparison.html", (), content))
    return target


def body(found: Found, folders: Sequence[Path]) -> str:
    """Return figures and tables as markup; arguments and errors as of :func:`build`."""
    content = content_of(found)
    tables = [(title, _HEADS[title], rows) for title, rows in content["differing"].items()]
    tables += [(label, "Figure", rows) for label, rows in content["schemes"]]
    shown = {"letters": content["letters"], "tables": tables}
    return page.part("comparison_body.html", draw(folders), shown)


_HEADS = {"Settings": "Setting", "Environment": "What"}
"""Headings of the first column of tables of what differs."""


def letter(index: int) -> str:
    """Return what a run is called in tables and figures.

    Examples
    --------
    >>> letter(0), letter(25), letter(26)
    ('A', 'Z', '26')
    """
    return chr(ord("A") + index) if index < 26 else str(index)


def listed(found: Found) -> list[tuple[str, str, str]]:
    """Return letter, folder and scenario of each run."""
    runs = enumerate(found["runs"])
    return [(letter(n), clip(run["folder"]), run["scenario"]) for n, run in runs]


def content_of(found: Found) -> dict[str, Any]:
    """Return the letters of the runs, and the rows of texts of all tables.

    Parameters
    ----------
    found : mapping
        As of :func:`airtune.study.difference.difference`.

    Returns
    -------
    dict
        ``letters``; ``differing``, by title the tables of settings and environment; ``schemes``,
        a list with title and table of each, of which several may be titled alike.
    """
    return {
        "letters": [letter(n) for n in range(len(found["runs"]))],
        "differing": {
            title: [(path, *map(_plain, row)) for path, row in found[key].items()]
            for title, key in (("Settings", "settings"), ("Environment", "environment"))
        },
        "schemes": [
            (style.scheme_style(scheme).label, result_rows(figures))
            for scheme, figures in found["schemes"].items()
        ],
    }


def result_rows(figures: Mapping[str, Sequence[Any]]) -> list[tuple[str, ...]]:
    """Return rows of a scheme that any of the runs has a figure for; of several seeds medians."""
    shown = [(label, figures[name]) for name, label in TITLES.items() if name in figures]
    return [(label, *map(_median, row)) for label, row in shown if any(x is not None for x in row)]


def _plain(value: Any) -> str:
    return MISSING if value is None else clip(value)


def _median(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("median")
    return MISSING if value is None else f"{value:.4g}"


def draw(folders: Sequence[Path]) -> list[Drawn]:
    """Draw the loss of every scheme and its components of energy, a line or a bar for each run.

    Schemes that only one of the runs has are left out: there is nothing beside them.

    Raises
    ------
    InputError
        The documents of a folder do not fit together.
    """
    runs = {}
    for index, folder in enumerate(folders):
        with run_folder.understood(folder):
            runs[letter(index)] = run_folder.load(folder)
    schemes = dict.fromkeys(scheme.name for run in runs.values() for scheme in run.schemes)
    drawn = []
    with style.sheet():
        for number, scheme in enumerate(schemes):
            mine = {called: run for called, run in runs.items() if run.scheme(scheme)}
            if len(mine) > 1:
                drawn += _figures(f"scheme-{number}", scheme, mine)
    return drawn


def _figures(name: str, scheme: str, runs: Mapping[str, RunFolder]) -> list[Drawn]:
    """Draw what the runs have of a scheme; names of figures are ours, those of schemes are not."""
    title = style.scheme_style(scheme).label
    found = []
    losses = _losses(scheme, runs)
    if losses is not None:
        ends = ", ".join(f"{called} {_loss_at_end(run, scheme)}" for called, run in runs.items())
        caption = "Over rounds, simulated time and energy, as booked. Medians of several seeds."
        found.append(
            _drawn(losses, f"{name}-loss", f"{title}: loss", caption, f"Last values: {ends}.")
        )
    costs, sums = [], []
    for key, quantity, unit in (("energy_j", "Energy", "J"), ("latency_s", "Simulated time", "s")):
        parts = {called: bars.splits(run, key).get(scheme, {}) for called, run in runs.items()}
        parts = {called: split for called, split in parts.items() if split}
        if len(parts) > 1:
            costs.append((parts, quantity, unit))
            sums += [
                f"{called} {sum(split.values()):.3g} {unit}" for called, split in parts.items()
            ]
    if costs:
        caption, words = "By component, of the whole run.", f"Totals: {', '.join(sums)}."
        figure = bars.whole(costs)
        found.append(_drawn(figure, f"{name}-costs", f"{title}: energy and time", caption, words))
    return found


def _drawn(figure: Any, name: str, title: str, caption: str, words: str) -> Drawn:
    text = inline(figure, name, f"Figure. {title}. {words}")
    return Drawn(name, title, caption, words, "", "", text)


def _loss_at_end(run: RunFolder, scheme: str) -> str:
    of = run.scheme(scheme)
    losses = of.series("round", "loss")[1] if of else []
    return f"{losses[-1]:.3g}" if losses else "none"


def _losses(scheme: str, runs: Mapping[str, RunFolder]) -> Any | None:
    """Draw the validation loss over rounds, time and energy, one below the other."""
    every = {field: _series(scheme, runs, field) for field, _ in _AXES}
    if not every["round"]:
        return None
    figure = style.new_figure(_PANEL * len(_AXES) + 0.3 + style.legend_height(len(runs)))
    top = curves.top_of_losses([ys for _, ys in every["round"].values()])
    for axes, (field, label) in zip(figure.subplots(len(_AXES), 1), _AXES, strict=True):
        ends = [xs[-1] for xs, _ in every[field].values() if xs and xs[-1] > 0]
        scale, unit = _unit(field, ends)
        for called, (xs, ys) in every[field].items():
            index = list(runs).index(called)
            axes.plot(
                [x / scale for x in xs],
                ys,
                color=_COLORS[index % len(_COLORS)],
                linestyle=_DASHES[index % len(_DASHES)],
                label=called,
            )
        axes.set_xlabel(f"{label}{unit}")
        axes.set_ylabel("Loss [nat]")
        axes.set_ylim(top=top if top < float("inf") else None)
    style.legend_above(figure, figure.axes[0])
    return figure


def _series(
    scheme: str, runs: Mapping[str, RunFolder], field: str
) -> dict[str, tuple[list[float], list[float]]]:
    """Return the curve of each run that has points of it."""
    found = {
        called: of.series(field, "loss") for called, r in runs.items() if (of := r.scheme(scheme))
    }
    return {called: points for called, points in found.items() if points[0]}


def _unit(field: str, ends: Sequence[float]) -> tuple[float, str]:
    if field == "round" or not ends:
        return 1.0, ""
    if field == "time_s":
        scale, unit = seconds_unit(list(ends))
        return scale, f" [{unit}]"
    scale, prefix = prefix_of(sorted(ends)[len(ends) // 2])
    return scale, f" [{prefix}J]"
