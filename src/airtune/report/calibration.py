"""Figures of a calibration: the loss curve with its fit, curvature, and distances of clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from airtune.report.style import (
    COLUMN_WIDTH,
    FAINT,
    INK,
    SMALL_DPI,
    legend_above,
    new_figure,
    save,
    sheet,
)

_BLUE, _RED = "#0072b2", "#d55e00"


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the figures that a calibration's document holds data for.

    Parameters
    ----------
    document : dict
        What :func:`airtune.commands.calibrate.calibrate_scenario` returns.
    folder : Path
        Existing folder; PDF and PNG files are written there.

    Returns
    -------
    list of Path
    """
    written = []
    with sheet():
        if "tuning" in document:
            written += save(_decay(document), folder / "calibration-path", SMALL_DPI)
        if "shift" in document:
            written += save(_distances(document), folder / "client-shift", SMALL_DPI)
    return written


def _decay(document: dict[str, Any]) -> Any:
    tuning = document["tuning"]
    curve, decay, points = tuning["curve"], tuning["decay"], tuning["points"]
    figure = new_figure(3.6)
    top, bottom = figure.subplots(2, 1, sharex=True)
    t = np.linspace(0, curve["rounds"][-1], 200)
    fitted = decay["floor"] + decay["height"] * np.exp(-decay["rate"] * t)
    top.plot(t, fitted, color=_BLUE, label="fit of the decay")
    top.plot(curve["rounds"], curve["losses"], "o", color=INK, label="loss on the path")
    top.axhline(tuning["floor"], color=FAINT, linestyle=":", label=f"F* = {tuning['floor']:.3g}")
    top.set_ylabel("loss [nat]")
    legend_above(figure, top)
    rounds = [p["round"] for p in points]
    largest = [abs(p["curvature"]["value"]) for p in points]
    errors = [p["curvature"]["error"] or 0.0 for p in points]
    bottom.errorbar(rounds, largest, yerr=errors, fmt="s-", color=_RED, capsize=2)
    bottom.set_ylabel("curvature")
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("round of the calibration path")
    return figure


def _distances(document: dict[str, Any]) -> Any:
    distances = document["shift"]["clients"]
    table = np.column_stack(
        [distances["pairwise"], distances["to_mixture"], distances["to_pretraining"]]
    )
    # The diagonal shows what sampling alone brings, to compare the others with.
    table[np.arange(len(table)), np.arange(len(table))] = [x or 0.0 for x in distances["null"]]
    names = [label or str(k) for k, label in enumerate(document["clients"])]
    if len(names) != len(table):
        names = [str(k) for k in range(len(table))]
    figure = new_figure(COLUMN_WIDTH)
    axes = figure.subplots()
    image = axes.imshow(table, cmap="viridis", aspect="auto", vmin=0)
    axes.grid(False)
    columns = [*names, "mixture", "pre-training"]
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=6)
    axes.set_yticks(range(len(names)), names, fontsize=6)
    bar = figure.colorbar(image, ax=axes)
    bar.set_label("Wasserstein-1 distance (diagonal: halves of one client)", fontsize=6)
    return figure
