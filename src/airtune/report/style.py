"""One look for every figure: size, type, and one colour, dash and marker per scheme everywhere."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.record import write_bytes
from airtune.report.values import si, significant

COLUMN_WIDTH = 3.5
PNG_DPI, SMALL_DPI = 300, 200
SUFFIXES = (".pdf", ".png")
LEGEND_COLUMNS = 3
INK, FAINT, GRID, PAPER = "#1b1f24", "#6b7280", "#d9dce1", "#ffffff"

# Okabe and Ito's colours, which stay apart for colour-blind readers; the dash and the marker tell
# schemes apart in grey print and where a colour has to serve twice.
# (Pure black is left out: SVG writers omit it as the default, and dark screens need to see it.)
_BLACK, _ORANGE, _SKY, _GREEN = "#111111", "#e69f00", "#56b4e9", "#009e73"
_BLUE, _VERMILLION, _PURPLE = "#0072b2", "#d55e00", "#cc79a7"

Points = Sequence[float] | NDArray[np.float64]
Dash = str | tuple[int, tuple[float, ...]]


@dataclass(frozen=True)
class SchemeStyle:
    """How a scheme is named and drawn."""

    label: str
    color: str
    dash: Dash
    marker: str


_STYLES = {
    "ideal": SchemeStyle("Ideal", _BLACK, (0, (1, 1.3)), "D"),
    "movable": SchemeStyle("Movable", _VERMILLION, "-", "o"),
    "fixed": SchemeStyle("Fixed", _BLUE, (0, (5, 1.6)), "s"),
    "random-position": SchemeStyle("Random position", _GREEN, (0, (5, 1.4, 1, 1.4)), "^"),
    "digital": SchemeStyle("Digital", _PURPLE, (0, (3, 1.2, 1, 1.2, 1, 1.2)), "v"),
    "digital-movable": SchemeStyle("Digital, movable", _PURPLE, "-", "d"),
    "digital-selection": SchemeStyle("Digital, selection", _PURPLE, (0, (2, 1.2)), "8"),
    "fixed-2n": SchemeStyle("Fixed, 2N", _SKY, (0, (5, 1.6)), "P"),
    "sparse": SchemeStyle("Sparse", _ORANGE, (0, (8, 2)), "X"),
    "selection": SchemeStyle("Selection", _ORANGE, (0, (2, 1.2)), "h"),
    "selection-compact": SchemeStyle("Selection, compact", _GREEN, (0, (2, 1.2)), "H"),
    "ris": SchemeStyle("RIS", _SKY, (0, (2, 1.2)), "*"),
    "cotaf": SchemeStyle("COTAF", _GREEN, (0, (8, 2)), "<"),
    "obda": SchemeStyle("OBDA", _PURPLE, (0, (8, 2)), ">"),
    "non-coherent": SchemeStyle("Non-coherent", _VERMILLION, (0, (8, 2)), "$N$"),
    "massive-digital": SchemeStyle("Massive digital", _GREEN, "-", "$C$"),
    "truncated": SchemeStyle("Truncated", _BLUE, (0, (1, 1.3)), "p"),
    "zeroth-order": SchemeStyle("Zeroth-order", _BLACK, (0, (5, 1.6)), "$Z$"),
    "zeroth-order-movable": SchemeStyle("Zeroth-order, movable", _BLACK, "-", "$M$"),
    "zeroth-order-digital": SchemeStyle("Zeroth-order, digital", _BLACK, (0, (2, 1.2)), "$D$"),
    "feedsign": SchemeStyle("FeedSign", _BLACK, (0, (8, 2)), "$1$"),
}

COMPONENTS = {
    # Paul Tol's light set: no hue of it is taken for a scheme's line.
    "pretraining": ("Pre-training", "#99a5b5"),
    "compute": ("Compute", "#77aadd"),
    "uplink": ("Uplink", "#ee8866"),
    "downlink": ("Downlink", "#eedd88"),
    "pilots": ("Pilots", "#bbcc33"),
    "movement": ("Movement", "#44bb99"),
}


def scheme_style(name: str) -> SchemeStyle:
    """Return a scheme's style; one that is not known here is drawn in grey under its own name."""
    return _STYLES.get(name) or SchemeStyle(name, FAINT, "-", "d")


def on_dark(color: str) -> str:
    """Return a scheme's colour as it is on dark screens."""
    return _ON_DARK.get(color, color)


_ON_DARK = {
    _BLACK: "#e7e9ec",
    FAINT: "#a0a8b3",
    _BLUE: "#3fa3e0",
    _GREEN: "#2bc194",
    _VERMILLION: "#ff7f2a",
}
"""Of the page's style sheet, too."""


def component_label(name: str) -> str:
    """Return the name of a component for people."""
    return COMPONENTS[name][0] if name in COMPONENTS else name.replace("_", " ").capitalize()


def component_color(name: str) -> str:
    """Return a component's fill."""
    return COMPONENTS[name][1] if name in COMPONENTS else "#ffaabb"


def ordered_components(names: set[str]) -> list[str]:
    """Return components in their usual order, unknown ones last."""
    return [name for name in COMPONENTS if name in names] + sorted(names - set(COMPONENTS))


_SHEET: dict[str, Any] = {
    # The font ships with matplotlib: the same bytes on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    # Names of schemes and domains are the user's; a dollar sign in one is not a formula.
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.8,
    "ytick.major.size": 2.8,
    "xtick.minor.size": 1.6,
    "ytick.minor.size": 1.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.0,
    "legend.handletextpad": 0.5,
    "legend.borderaxespad": 0.2,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "savefig.facecolor": "auto",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "airtune",
}


def legend_height(names: int) -> float:
    """Return the inches that a legend of so many names takes beyond two rows."""
    return 0.16 * max(0, math.ceil(names / LEGEND_COLUMNS) - 2)


def legend_above(figure: Any, axes: Any, **options: Any) -> None:
    """Put a legend above everything else, in as many columns as the width has room for."""
    handles, labels = axes.get_legend_handles_labels()
    for columns in range(LEGEND_COLUMNS, 0, -1):
        legend = figure.legend(
            handles, labels, loc="outside upper center", ncols=columns, **options
        )
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


Write = Callable[[float, int], str]
"""Writes a number with so many significant digits."""


def plain_writer(ticks: Sequence[float]) -> Write:
    """Return what writes all these numbers alike: as they are, or with prefixes of their size."""
    if all(0.01 <= x < 1000 for x in ticks):
        return significant
    return lambda x, digits: si(x, "", digits)


def plain_decades(axis: Any, write: Write | None = None) -> None:
    """Label a logarithmic axis with 1, 10, 100, 1 k instead of powers of ten.

    Where too few decades are in view it has 1, 2, 5 between them, and within less than these, round
    numbers: at least two are in view.

    Parameters
    ----------
    axis : matplotlib axis
    write : callable, optional
        Writes a number with so many significant digits; minor ticks have none.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    low, high = sorted(axis.get_view_interval())
    ticks = log_ticks(low, high)
    written = write or plain_writer(ticks)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(lambda x, _: written(x, digits_of(x))))
    axis.set_minor_formatter(NullFormatter())


def log_ticks(low: float, high: float) -> list[float]:
    """Return where a logarithmic axis from `low` to `high` has labels: two to seven places.

    Examples
    --------
    >>> log_ticks(0.5, 2000.0)
    [1.0, 10.0, 100.0, 1000.0]
    >>> log_ticks(15.0, 70.0)
    [20.0, 50.0]
    >>> log_ticks(11.0, 18.0)
    [12.0, 14.0, 16.0, 18.0]
    """
    from matplotlib.ticker import MaxNLocator

    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for subs in ((1,), (1, 2, 5)):
        every = max(1, math.ceil((last - first) / _TICKS)) if subs == (1,) else 1
        ticks = [
            float(f"{sub}e{decade}") for decade in range(first, last + 1, every) for sub in subs
        ]
        inside = [x for x in ticks if low * (1 - _EDGE) <= x <= high * (1 + _EDGE)]
        if 2 <= len(inside) <= _TICKS:
            return inside
    nice = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(f"{x:.6g}") for x in nice if low * (1 - _EDGE) <= x <= high * (1 + _EDGE)]


_TICKS = 7
_EDGE = 1e-9


def digits_of(x: float, most: int = 4) -> int:
    """Return how many significant digits a number needs, `most` at most."""
    return next((n for n in range(1, most) if math.isclose(float(f"{x:.{n}g}"), x)), most)


def draw_points(axes: Any, x: Points, y: Points, name: str, **look: Any) -> None:
    """Draw a scheme's points by its marker and its colour."""
    scheme = scheme_style(name)
    options = {"markersize": 4.0, "markeredgewidth": 0, "label": scheme.label, **look}
    axes.plot(x, y, linestyle="none", marker=scheme.marker, color=scheme.color, **options)


def name_rows(axes: Any, labels: Sequence[str]) -> None:
    """Name the rows of a chart from the top, without ticks."""
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)


def save(figure: Any, stem: Path, dpi: int = PNG_DPI) -> list[Path]:
    """Write a figure as PDF and PNG; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib figure
    stem : Path
        Of both files, without suffix.
    dpi : int
        Of the PNG.

    Returns
    -------
    list of Path
    """
    paths = [stem.with_name(f"{stem.name}{suffix}") for suffix in SUFFIXES]
    nothing = {"CreationDate": None, "ModDate": None, "Creator": "airtune", "Producer": None}
    pdf, png = io.BytesIO(), io.BytesIO()
    figure.savefig(pdf, format="pdf", metadata=nothing)
    figure.savefig(png, format="png", dpi=dpi, metadata={"Software": "airtune"})
    for path, content in zip(paths, (pdf, png), strict=True):
        write_bytes(path, content.getvalue(), durable=False)
    return paths


def discard(stem: Path) -> None:
    """Remove the files of a figure that there is nothing to draw for."""
    for suffix in SUFFIXES:
        stem.with_name(f"{stem.name}{suffix}").unlink(missing_ok=True)


_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def sheet() -> Iterator[None]:
    """Apply the style sheet, whatever the user's matplotlib settings are."""
    import matplotlib as mpl

    # matplotlib has one set of settings for all threads, and the live page draws in several
    with _ONE_AT_A_TIME, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SHEET)
        yield


def new_figure(height: float) -> Any:
    """Return an empty figure, one column wide and `height` inches high, outside pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(COLUMN_WIDTH, height))
    FigureCanvasAgg(figure)
    return figure
