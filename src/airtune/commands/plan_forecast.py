"""What `airtune plan` shows of a forecast: target, rounds, time, energy, limits; the front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airtune.bound.conformal import COVERAGE, fewest_scores
from airtune.errors import clip_message
from airtune.planning.scenario_plan import ScenarioPlan

if TYPE_CHECKING:
    from rich.console import RenderableType

    from airtune.planning.choices import MovementChoice, PayloadChoice
    from airtune.planning.pareto import ParetoPoint
    from airtune.planning.pilot import Pilot

PARETO = "pareto"
"""Name of the files of the front, without suffix."""

REASON = 160
"""Characters of why there is no plan with a payload or a movement policy."""


def headline(report: ScenarioPlan) -> str:
    """Return what a plan minimises, and how well that is proven."""
    plan = report.joint.plan
    assert plan.forecast is not None
    gap = plan.certificate.relative_gap
    name = plan.forecast.objective
    if name != "loss" and plan.forecast.rounds is None:
        loss = f"predicted loss {plan.forecast.loss or float('nan'):.4g}"
        return (
            f"No plan is predicted to reach the target: least {loss}, proven to {gap:.1g} for this "
            "air and this forecast"
        )
    what = {
        "loss": f"predicted loss {plan.forecast.loss or float('nan'):.4g}",
        "time": f"predicted time to the target {_shown(plan.forecast.time_s, 's')}",
        "energy": f"predicted energy to the target {_shown(plan.forecast.energy_j, 'J')}",
        "energy-delay": "predicted product of time and energy to the target "
        + _shown(_product(plan.forecast.time_s, plan.forecast.energy_j), "J s"),
    }[name]
    return f"Least {what}, proven to {gap:.1g} for this air and this forecast"


def _product(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other


def _shown(value: float | None, unit: str = "") -> str:
    return "never" if value is None else f"{value:.4g} {unit}".strip()


def forecast_table(report: ScenarioPlan) -> RenderableType:
    """Return what is predicted, with its limit and where it is from."""
    from rich.table import Table

    plan, pilot = report.joint.plan, report.repetition.pilot
    forecast = plan.forecast
    assert forecast is not None and pilot is not None
    table = Table("predicted", "value", title="The forecast", title_justify="left")
    table.add_row("target loss", f"{forecast.target:.4g}")
    table.add_row("rounds to the target", _shown(forecast.rounds))
    table.add_row(f"limit for {COVERAGE:.0%} of new seeds", _limit(forecast))
    table.add_row("time to the target", _shown(forecast.time_s, "s"))
    table.add_row("energy to the target", _shown(forecast.energy_j, "J"))
    loss = "not known: the error is above what the law holds for"
    loss = loss if forecast.loss is None else f"{forecast.loss:.4g}"
    table.add_row(f"loss after {plan.rounds} rounds", loss)
    table.add_row("error over v^2", f"{forecast.mse:.4g}")
    if forecast.chi is not None:
        table.add_row("chi, constant of the errors", f"{forecast.chi:.3g}")
    table.caption = (
        f"From a pilot of {pilot.rounds} rounds without errors ({pilot.by}): {pilot.time_s:.4g} s, "
        f"{pilot.energy_j:.4g} J, not booked below. A forecast is no guarantee; the bound is."
    )
    return table


def payload_table(choice: PayloadChoice, pilots: Mapping[str, Pilot]) -> RenderableType:
    """Return what is predicted with each payload among which was chosen.

    Parameters
    ----------
    choice : PayloadChoice
    pilots : mapping of str to Pilot
        One for each payload; their cost is told.
    """
    from rich.table import Table

    columns = ("payload", "numbers", "rounds", r"time \[s]", "energy [J]", "")
    table = Table(*columns, title="What is sent of an update", title_justify="left")
    for name, one in choice.candidates.items():
        if isinstance(one, str):
            table.add_row(name, "", "", "", "", clip_message(one, REASON))
            continue
        costs = (_shown(one.rounds), _shown(one.time_s), _shown(one.energy_j))
        table.add_row(name, str(one.numbers), *costs, "chosen" if name == choice.payload else "")
    time_s, energy_j = (sum(getattr(p, x) for p in pilots.values()) for x in ("time_s", "energy_j"))
    table.caption = (
        f"To the target, each with a pilot of its own: {len(pilots)} pilots in all take "
        f"{time_s:.4g} s, {energy_j:.4g} J, not booked below."
    )
    return table


def movement_table(choice: MovementChoice) -> RenderableType:
    """Return what is predicted with each movement policy among which was chosen."""
    from rich.table import Table

    columns = ("movement", "rounds", r"time \[s]", "energy [J]", "way a round [J]", "MSE", "")
    table = Table(*columns, title="When the antennas move", title_justify="left")
    for name, one in choice.candidates.items():
        if isinstance(one, str):
            table.add_row(name, "", "", "", "", "", clip_message(one, REASON))
            continue
        costs = (_shown(one.rounds), _shown(one.time_s), _shown(one.energy_j), f"{one.move_j:.3g}")
        mse = f"{10 * math.log10(one.mse):.1f} dB" if one.mse > 0 else "0"
        table.add_row(name, *costs, mse, "chosen" if name == choice.policy else "")
    table.caption = "To the target, in the mean over the same drawn rounds."
    return table


def _limit(forecast: Any) -> str:
    if forecast.coverage is None:
        return f"none: no scores of other seeds (planning.forecast_scores, {fewest_scores()})"
    return (
        "none: too few scores, or seeds that never arrive"
        if (forecast.limit_rounds is None)
        else f"{forecast.limit_rounds:.4g} rounds"
    )


def front_table(points: Sequence[ParetoPoint]) -> RenderableType:
    """Return the plans of a front, the fastest first."""
    from rich.table import Table

    table = Table(
        *(
            r"time to target \[s]",
            "energy to target [J]",
            "rounds at most",
            "batches",
            "clocks [GHz]",
            "back-off",
            "least",
        ),
        title="Time against energy to the target",
        title_justify="left",
    )
    for point in points:
        plan = point.plan
        sizes, clocks = plan.batch_sizes[plan.participants], plan.frequencies[plan.participants]
        table.add_row(
            f"{point.time_s:.4g}",
            f"{point.energy_j:.4g}",
            str(plan.rounds),
            f"{sizes.min()} to {sizes.max()}",
            f"{clocks.min() / 1e9:.3g} to {clocks.max() / 1e9:.3g}",
            f"{plan.power_backoff:.3g}",
            "" if point.objective == "within" else point.objective,
        )
    return table


def draw_front(points: Sequence[ParetoPoint], folder: Path) -> list[Path]:
    """Draw a front as PDF and PNG; return the paths."""
    from airtune.report.forecast_figure import draw_pareto

    ends = {p.objective: (p.time_s, p.energy_j) for p in points if p.objective != "within"}
    return draw_pareto([(p.time_s, p.energy_j) for p in points], ends, folder, PARETO)
