"""How the labels of the training records are distributed over the clients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.record.documents import HoldingsDocument
from airtune.registry import PROPOSAL
from airtune.report import style
from airtune.report.run_folder import RunFolder

# More of either do not fit on a page.
CLIENTS_SHOWN = 40
LABELS_SHOWN = 24
ROW = 0.16
LARGEST = 90.0
"""Area of the largest circle in square points."""


def holdings(run: RunFolder) -> tuple[list[str], NDArray[np.float64]]:
    """Return the labels and how many records of each the clients hold, shape (K, labels).

    They are those of the first repetition, the most frequent labels first; without records of them
    in the run folder there are none.
    """
    documents = (scheme.first_with("holdings") for scheme in run.schemes)
    document: HoldingsDocument | None = next((each for each in documents if each), None)
    if document is None or not document.labels or not document.counts:
        return [], np.zeros((0, 0))
    if any(len(row) != len(document.labels) for row in document.counts):
        return [], np.zeros((0, 0))
    counts = np.array(document.counts, float)
    order = np.argsort(-counts.sum(axis=0), kind="stable")
    return [document.labels[i] for i in order], counts[:, order]


def label_distribution(run: RunFolder) -> Any | None:
    """Draw a circle for each client and label, its area the number of records."""
    labels, counts = holdings(run)
    if not labels:
        return None
    labels, counts = labels[:LABELS_SHOWN], counts[:CLIENTS_SHOWN, :LABELS_SHOWN]
    figure = style.new_figure(0.7 + ROW * len(labels))
    axes = figure.add_subplot()
    client, label = np.nonzero(counts)
    axes.scatter(
        client + 1,
        label,
        s=LARGEST * counts[client, label] / counts.max(),
        color=style.scheme_style(PROPOSAL).color,
        linewidths=0,
        clip_on=False,
    )
    style.name_rows(axes, [name or "(none)" for name in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0.4, len(counts) + 0.6)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("Client")
    return figure


def in_words(run: RunFolder) -> str:
    """Return the figure's content in words."""
    labels, counts = holdings(run)
    sizes = counts.sum(axis=1)
    return (
        f"Circles. Training records of {len(sizes)} clients in {len(labels)} labels; a client has "
        f"{sizes.min():.0f} to {sizes.max():.0f} records of "
        f"{(counts > 0).sum(axis=1).min()} to {(counts > 0).sum(axis=1).max()} labels."
    )
