"""Figure of a plan: the bound over the number of rounds, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airtune.report import style

if TYPE_CHECKING:
    from airtune.bound.convergence import BoundParts

PARTS = {
    "initial_gap": ("Initial gap", "#99a5b5"),
    "shift": ("Change of data", "#eedd88"),
    "batch_noise": ("Batch noise", "#77aadd"),
    "air_noise": ("Air noise", "#ee8866"),
    "bias": ("Bias", "#44bb99"),
}
_HEIGHT = 2.7


def draw_bound(
    curve: Mapping[int, BoundParts | None], chosen: int, folder: Path, name: str = "bound-rounds"
) -> list[Path]:
    """Draw the least bound of each T with its parts stacked, the feasible range and the chosen T.

    Parameters
    ----------
    curve : mapping of int to BoundParts or None
        Best plan of some T; None where the budgets allow none.
    chosen : int
        T of the plan.
    folder : Path
        Gets the figure as PDF and PNG.
    name : str
        Of the files, without suffix.

    Returns
    -------
    list of Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    with style.sheet():
        figure = style.new_figure(_HEIGHT)
        _fill(figure.add_subplot(), curve, chosen)
        style.legend_above(figure, figure.axes[0])
        return style.save(figure, folder / name, style.SMALL_DPI)


def _fill(axes: Any, curve: Mapping[int, BoundParts | None], chosen: int) -> None:
    terms = {rounds: parts.to_dict() for rounds, parts in curve.items() if parts is not None}
    rounds = sorted(terms)
    drawn = [name for name in PARTS if any(terms[T][name] > 0 for T in rounds)]
    axes.stackplot(
        rounds,
        [[terms[T][name] for T in rounds] for name in drawn],
        labels=[PARTS[name][0] for name in drawn],
        colors=[PARTS[name][1] for name in drawn],
        linewidth=0,
    )
    axes.plot(rounds, [terms[T]["total"] for T in rounds], color=style.INK, linewidth=0.9)
    axes.axvline(chosen, color=style.INK, linewidth=0.9, linestyle=(0, (3, 2)))
    early = chosen < 0.6 * max(curve)
    axes.annotate(
        f"T = {chosen}",
        (chosen, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(3, -2) if early else (-3, -2),
        textcoords="offset points",
        va="top",
        ha="left" if early else "right",
    )
    over = [T for T, parts in curve.items() if parts is None]
    if over:
        axes.axvspan(min(over), max(over), color=style.GRID, zorder=0, label="Beyond the budgets")
    axes.set_xlim(min(curve), max(max(curve), chosen))
    axes.set_ylim(0, 1.05 * max(terms[T]["total"] for T in rounds))
    axes.set_xlabel("Federated rounds T")
    axes.set_ylabel("Convergence bound")
