"""What a finished cell keeps of its rounds, and where it reaches a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from airtune.bound.forecast import LARGEST_MSE, rounds_to_target
from airtune.costs import Components
from airtune.record.documents import MetricsLine
from airtune.study.claims.booking import BookedRound
from airtune.study.targets import crossing

How = Literal["run", "booked", "replayed", "forecast"]
"""Whether rounds were run, booked otherwise, run again on recorded updates, or predicted."""

PARTS = tuple(Components().to_dict())
KINDS = {
    "latency_s": "round_latency_s",
    "energy_j": "round_energy_j",
    "radiated_j": "round_radiated_j",
}
FIGURES = ("loss", "mse", "move_s")


@dataclass(frozen=True)
class Reached:
    """What a cell took to a target.

    Attributes
    ----------
    rounds, time_s, energy_j : float or None
        To the target, between two evaluations; None: never.
    spent_time_s, spent_energy_j : float
        Of all its rounds.
    how : str
    """

    rounds: float | None
    time_s: float | None
    energy_j: float | None
    spent_time_s: float
    spent_energy_j: float
    how: How = "run"

    def value(self, figure: str) -> float:
        """Return ``time_s`` or ``energy_j`` to the target, or spent where it was never reached."""
        found: float | None = getattr(self, figure)
        return float(getattr(self, f"spent_{figure}")) if found is None else found


def packed(lines: Sequence[Mapping[str, Any]], digits: int | None = None) -> dict[str, Any]:
    """Return the rounds of ``metrics.jsonl`` as columns, what is always equal as one number.

    Parameters
    ----------
    lines : sequence of mapping
        Round 0, the untuned model, first.
    digits : int, optional
        Significant digits that are kept; all by default.

    Examples
    --------
    >>> parts = {name: {"compute": 0.5} for name in KINDS.values()}
    >>> lines = [{"round": 0, "loss": 3.0}, {"round": 1, "loss": 2.0, "move_s": 0.0, **parts}]
    >>> packed(lines)["loss"], packed(lines)["latency_s"]
    ([3.0, 2.0], {'compute': 0.5})
    >>> [line["loss"] for line in unpacked(packed(lines))]
    [3.0, 2.0]
    """
    rounds = [line for line in lines if line["round"] > 0]
    document: dict[str, Any] = {
        "rounds": len(rounds),
        "clients": _same([len(line.get("clients") or ()) for line in rounds]),
        "loss": [_short(line.get("loss"), None) for line in lines],
        "mse": _same([_short(line.get("mse"), digits) for line in rounds]),
        "move_s": _same([_short(line.get("move_s") or 0.0, digits) for line in rounds]),
    }
    for kind, name in KINDS.items():
        columns = {
            part: _same([_short(line[name].get(part, 0.0), digits) for line in rounds])
            for part in PARTS
        }
        document[kind] = {part: column for part, column in columns.items() if column != 0.0}
    return document


def unpacked(history: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rounds that :func:`packed` has kept, as lines of ``metrics.jsonl``."""
    count = history["rounds"]
    lines: list[dict[str, Any]] = [{"round": 0, "loss": history["loss"][0]}]
    for index in range(count):
        line = {
            "round": index + 1,
            "loss": history["loss"][index + 1],
            "mse": _at(history["mse"], index),
            "move_s": _at(history["move_s"], index),
        }
        for kind, name in KINDS.items():
            line[name] = {part: _at(column, index) for part, column in history[kind].items()}
        lines.append(line)
    return lines


def _same(column: list[Any]) -> Any:
    return column[0] if column and all(value == column[0] for value in column) else column


def _short(value: float | None, digits: int | None) -> float | None:
    if value is None or digits is None:
        return None if value is None else float(value)
    return float(f"{value:.{digits}g}")


def _at(column: Any, index: int) -> Any:
    return column[index] if isinstance(column, list) else column


def course(losses: Sequence[float | None], rounds: Sequence[BookedRound]) -> list[MetricsLine]:
    """Return the rounds with time and energy so far, as figures are computed from them.

    Parameters
    ----------
    losses : sequence of float or None, length T + 1
        Of the untuned model first; None where there is none.
    rounds : sequence of BookedRound, length T
    """
    lines = [_line(0, losses[0], 0.0, 0.0)]
    latency, energy = Components(), Components()
    for index, done in enumerate(rounds, 1):
        latency, energy = latency + done.latency_s, energy + done.energy_j
        lines.append(_line(index, losses[index], latency.total, energy.total))
    return lines


def _line(index: int, loss: float | None, time_s: float, energy_j: float) -> MetricsLine:
    known = loss is not None
    return MetricsLine(round=index, loss=loss, time_s=time_s, energy_j=energy_j, evaluated=known)


def reached(
    losses: Sequence[float | None],
    rounds: Sequence[BookedRound],
    target: float | None,
    how: How = "run",
) -> Reached:
    """Return what a cell took to a target loss (system model, section 10).

    Parameters
    ----------
    losses : sequence of float or None, length T + 1
    rounds : sequence of BookedRound, length T
    target : float or None
    how : str
    """
    lines = course(losses, rounds)
    found = crossing(lines, target)
    return Reached(
        found["rounds"],
        found["time_s"],
        found["energy_j"],
        float(lines[-1].time_s or 0.0),
        float(lines[-1].energy_j or 0.0),
        how,
    )


def forecast_reached(
    curve: Sequence[float],
    errors: Sequence[float],
    rounds: Sequence[BookedRound],
    target: float | None,
    chi: float,
    largest_mse: float = LARGEST_MSE,
) -> Reached:
    """Return what is predicted of a cell that was not run (system model, section 7b).

    Parameters
    ----------
    curve : sequence of float, length T + 1
        Losses of the error-free run of the seed.
    errors : sequence of float, length T
        MSE over v^2 of each round, of updates without errors.
    rounds : sequence of BookedRound, length T
    target : float or None
    chi : float
    largest_mse : float
        The largest MSE at which chi was fitted; a target after a round beyond it counts as never
        reached.

    Examples
    --------
    >>> one = BookedRound(Components(uplink=2.0), Components(uplink=1.0), Components(), 0.0)
    >>> forecast_reached([4.0, 3.0, 2.0], [0.3] * 4, [one] * 4, 3.0, chi=10.0).time_s
    4.0
    """
    lines = course([None] * (len(rounds) + 1), rounds)
    times = [float(line.time_s or 0.0) for line in lines]
    joules = [float(line.energy_j or 0.0) for line in lines]
    needed = np.inf
    if target is not None:
        needed = rounds_to_target(curve, target, list(errors), chi, largest_mse=largest_mse)
    if not needed <= len(rounds):
        return Reached(None, None, None, times[-1], joules[-1], "forecast")
    at = np.arange(len(lines))
    return Reached(
        float(needed),
        float(np.interp(needed, at, times)),
        float(np.interp(needed, at, joules)),
        times[-1],
        joules[-1],
        "forecast",
    )
