"""Who transmitted when: clients over rounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from airtune.report import style
from airtune.report.run_folder import RunFolder, SchemeRun

ROWS = 24
"""Most clients that have a row of their own; more are drawn in bands."""


def participation(run: RunFolder) -> Any | None:
    """Draw how often the clients transmitted in each round; None if all did in all rounds.

    One panel for each different course of a scheme's first repetition; the schemes of a policy
    that looks at clients alone share one.
    """
    count = int((run.scenario.get("clients") or {}).get("count") or 0)
    courses = _courses(run, count)
    if not courses:
        return None
    rows = min(count, ROWS)
    figure = style.new_figure(len(courses) * (0.06 * rows + 0.75))
    for axes, (names, shares) in zip(
        figure.subplots(len(courses), 1, squeeze=False)[:, 0], courses, strict=True
    ):
        edges = np.linspace(-0.5, count - 0.5, len(shares) + 1)
        rounds = np.arange(shares.shape[1] + 1) + 0.5
        axes.pcolormesh(rounds, edges, shares, cmap="Greys", vmin=0.0, vmax=shares.max())
        axes.invert_yaxis()
        axes.set_title(", ".join(names), fontsize="small", loc="left")
        axes.set_ylabel("Client")
    axes.set_xlabel("Round")
    return figure


def _courses(run: RunFolder, count: int) -> list[tuple[list[str], np.ndarray]]:
    """Return the different courses with the names of the schemes that took them."""
    courses: list[tuple[list[str], np.ndarray]] = []
    for scheme in run.schemes:
        shares = course(scheme, count)
        if shares is None:
            continue
        label = style.scheme_style(scheme.name).label
        for names, known in courses:
            if known.shape == shares.shape and np.array_equal(known, shares):
                names.append(label)
                break
        else:
            courses.append(([label], shares))
    return courses


def course(scheme: SchemeRun, count: int) -> np.ndarray | None:
    """Return the share of each band of clients that transmitted in each round.

    Parameters
    ----------
    scheme : SchemeRun
    count : int
        Registered clients.

    Returns
    -------
    ndarray, shape (bands, rounds), or None
        None where there are no rounds yet, or everybody transmitted in each.
    """
    lines = [line for seed in scheme.seeds[:1] for line in seed.metrics]
    rounds = [line.clients for line in lines if line.clients is not None]
    if not rounds or all(len(clients) == count for clients in rounds):
        return None
    bands = min(count, ROWS)
    band = np.arange(count) * bands // count
    shares = np.zeros((bands, len(rounds)))
    for index, clients in enumerate(rounds):
        np.add.at(shares[:, index], band[np.asarray(clients, dtype=np.int64)], 1.0)
    return np.asarray(shares / np.bincount(band)[:, None])
