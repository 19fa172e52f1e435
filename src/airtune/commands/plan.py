"""`airtune plan SCENARIO`: print the plan, and write its files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from airtune import record
from airtune.commands.plan_forecast import (
    draw_front,
    forecast_table,
    front_table,
    headline,
    movement_table,
    payload_table,
)
from airtune.commands.terminal import show, show_json
from airtune.errors import InputError
from airtune.kinds import Real
from airtune.planning.margins import NAMES
from airtune.planning.objective import UNREACHABLE
from airtune.planning.scenario_plan import ScenarioPlan
from airtune.record.documents import PlanDocument
from airtune.record.whole import is_full, not_written

if TYPE_CHECKING:
    from rich.console import RenderableType

    from airtune.planning.pareto import ParetoPoint
    from airtune.planning.pilot import Pilot
    from airtune.scenario import Scenario


def write(report: ScenarioPlan, folder: Path) -> list[Path]:
    """Write plan.json and the figure of the bound over T into a folder; return the paths."""
    from airtune.report.plan_figure import draw_bound

    forecast, pilot = report.joint.plan.forecast, report.repetition.pilot
    paths = draw_bound(report.bound_curve(), report.joint.plan.rounds, folder)
    if forecast is not None and pilot is not None:
        from airtune.report.forecast_figure import draw_forecast
        from airtune.study.pilot import write_pilot

        paths += draw_forecast(forecast.to_dict(), pilot.losses, folder)
        paths.append(write_pilot(pilot, folder))
    file = folder / record.names.PLAN
    record.write_document(file, PlanDocument, report.to_dict())
    return [*paths, file]


def plan_and_show(
    source: str,
    overrides: Sequence[str],
    scheme: str | None,
    out: Path | None,
    as_json: bool,
    pareto: bool = False,
) -> None:
    """Plan a scenario, write figure and JSON, and print the plan.

    Parameters
    ----------
    source : str
        A file, or the name of a shipped scenario.
    overrides : sequence of str
        Assignments ``a.b=c``.
    scheme : str, optional
        Scheme to plan for; that of the shared plan by default.
    out : Path, optional
        Folder; with `as_json` and without it nothing is written.
    as_json : bool
    pareto : bool
        Add the plans from the fastest to the thriftiest, and their figure.

    Raises
    ------
    InputError
        A setting cannot be used, no plan keeps the budgets, or the folder cannot be written.
    """
    from airtune.commands.run import read_settings
    from airtune.planning.scenario_plan import plan_scenario
    from airtune.study import compare

    scenario = compare.check(read_settings(source, overrides, "plan"), "plan")
    if pareto and not scenario.planning.predicts:
        raise InputError(
            "--pareto: needs a plan that minimises what is predicted: set planning.objective to "
            "loss, time, energy or energy-delay (now bound)"
        )
    pilots = _pilots(scenario)
    report = plan_scenario(scenario, scheme, pilots.get(""), pilots)
    document = {"schema_version": record.SCHEMA_VERSION, **report.to_dict()}
    front: list[ParetoPoint] = []
    if pareto:
        from airtune.planning.pareto import pareto_front

        front = pareto_front(report.repetition, report.joint)
        document["pareto"] = [point.to_dict() for point in front]
    if as_json and out is None:
        show_json(document)
        return
    folder = out or Path(f"{compare.default_folder(scenario)}-plan")
    try:
        paths = write(report, folder)
        if front:
            paths += draw_front(front, folder)
    except OSError as error:
        if is_full(error):
            raise not_written(folder, error) from None
        raise InputError(f"--out {folder}: cannot be written ({error.strerror})") from None
    if as_json:
        show_json({**document, "files": [str(path) for path in paths]})
        return
    show(describe(report))
    if report.coherence is not None:
        show(f"{report.coherence.sentence()}.")
    if front:
        show(front_table(front))
    for path in paths:
        print(path)


def _pilots(scenario: Scenario) -> dict[str, Pilot]:
    """Return the pilots that a plan predicts from; they are run where the cache has none."""
    if not scenario.planning.predicts:
        return {}
    from airtune.learning.shared import SharedLearners
    from airtune.study.pilot import find_pilots

    return find_pilots(scenario, scenario.seed, SharedLearners())


def _reached(value: float) -> str:
    return f"{value:.4g}" if value < UNREACHABLE else "never"


def describe(report: ScenarioPlan) -> RenderableType:
    """Return the plan for the terminal."""
    from rich.console import Group

    plan = report.joint.plan
    gap = plan.certificate.relative_gap
    trace = " -> ".join(f"{entry.turn} {_reached(entry.bound)}" for entry in report.joint.trace)
    title = f"Plan of {report.repetition.scenario.name!r} for the air of {report.joint.scheme!r}"
    if plan.forecast is not None:
        parts = [_decisions(report), forecast_table(report), _bound(report), _costs(report)]
        if report.joint.payload is not None:
            parts.insert(1, payload_table(report.joint.payload, report.pilots))
        if report.joint.movement is not None:
            parts.insert(1, movement_table(report.joint.movement))
        return Group(title, f"{headline(report)} ({trace})", *parts)
    proof = f"Bound {plan.bound.total:.5g}, proven to {gap:.1g} for this air ({trace})"
    parts = [_decisions(report), _bound(report), _costs(report), _limits(report)]
    return Group(title, proof, *parts)


def _limits(report: ScenarioPlan) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    margins = report.margins
    assert margins is not None
    table = Table("relaxed by " + f"{margins.relaxed:.0%}", "change of the bound")
    for name, change in margins.changes.items():
        table.add_row(NAMES[name], "no plan" if change is None else f"{change:+.3g}")
    for client, change in margins.clients.items():
        if change < 0:
            table.add_row(f"  client {client}'s energy budget alone", f"{change:+.3g}")
    return Group(table, f"What limits it: {margins.sentence()}.")


def _spread(values: Real, digits: str) -> str:
    """Least, median and greatest."""
    low, middle, high = np.min(values), np.median(values), np.max(values)
    return f"{low:{digits}} / {middle:{digits}} / {high:{digits}}"


def _decisions(report: ScenarioPlan) -> RenderableType:
    from rich.table import Table

    plan, expected = report.joint.plan, report.joint.expected
    present = plan.participants
    sizes, clocks = plan.batch_sizes[present], plan.frequencies[present] / 1e9

    phase = f"{plan.pretraining_steps} steps of {plan.pretraining_batch}"
    charged = report.repetition.inputs.charged and plan.pretraining_steps > 0
    paid = f"clock {plan.server_frequency / 1e9:.3g} GHz" if charged else "not charged"
    table = Table("decision", "value", title="What everybody does", title_justify="left")
    table.add_row("rounds T", str(plan.rounds))
    table.add_row("pre-training", f"{phase}, {paid}" if plan.pretraining_steps else "none")
    table.add_row("clients that take part", f"{int(present.sum())} of {present.size}")
    if expected.costs.transmitting is not None:
        table.add_row("transmit in a round", str(expected.costs.transmitting))
    table.add_row("batches, least / median / most", _spread(sizes, ".0f"))
    table.add_row("clocks [GHz], least / median / most", _spread(clocks, ".3g"))
    table.add_row("power back-off", f"{plan.power_backoff:.4g}")
    table.add_row("times that a symbol is sent", str(plan.repetition))
    if report.joint.payload is not None:
        table.add_row("payload", report.joint.payload.payload)
    if report.repetition.scenario.aggregation.normalise == "auto":
        table.add_row("powers of the scale groups", str(expected.normalise))
    if expected.mse_star > 0:
        whose = ", mean of drawn rounds" if _drawn(report) else ""
        table.add_row(f"MSE at full power{whose}", f"{10 * np.log10(expected.mse_star):.1f} dB")
    for row in _ways(report):
        table.add_row(*row)
    table.add_row("hardware profile", report.repetition.scenario.radio.hardware.profile)
    return table


def _moves(report: ScenarioPlan) -> bool:
    return report.repetition.scheme(report.joint.scheme).array.moves


def _drawn(report: ScenarioPlan) -> bool:
    """Whether the plan is made for the mean of drawn rounds, not for the first round."""
    planning = report.repetition.scenario.planning
    if not _moves(report):
        return False
    predicted = planning.predicts and planning.movement != "once"
    walked = predicted or report.joint.movement is not None
    return walked or planning.movement in ("priced", "statistical")


def _ways(report: ScenarioPlan) -> Iterator[tuple[str, str]]:
    """Yield how array and antennas move, and what the plan has found for it."""
    facings = report.repetition.facings
    if facings is not None:
        angles = ", ".join(f"{angle:g}" for angle in facings.of(1).angles)
        yield r"array faces \[deg]: yaw, pitch, roll", f"{angles} in round 1"
    if not _moves(report):
        return
    scenario, expected = report.repetition.scenario, report.joint.expected
    policy, drive = scenario.planning.movement, scenario.array.drives
    planned = " (planned)" if report.joint.movement is not None else ""
    yield (
        "movement",
        f"{policy}{planned}, {scenario.array.drive} ({drive.speed_mps:g} m/s, {drive.power_w:g} W)",
    )
    if expected.max_travel is not None:
        way = f"{expected.max_travel:.3g} wavelengths" if expected.max_travel > 0 else "none"
        yield "longest way in a round", way
    if policy == "priced":
        yield "price of a way", f"{expected.price_db:.3g} dB a wavelength"
    if expected.error is not None:
        mean, low, high = map(_db, (expected.error.mean, expected.error.low, expected.error.high))
        yield "expected error over v^2, 95 %", f"{mean} dB ({low} to {high})"


def _db(ratio: float) -> str:
    return f"{10 * math.log10(ratio):.1f}" if ratio > 0 else "-inf"


def _bound(report: ScenarioPlan) -> RenderableType:
    from rich.table import Table

    from airtune.report.plan_figure import PARTS

    bound = report.joint.plan.bound.to_dict()
    table = Table("part", "value", "share", title="The bound", title_justify="left")
    for name, (label, _) in PARTS.items():
        table.add_row(label, f"{bound[name]:.4g}", f"{bound[name] / bound['total']:.0%}")
    table.add_row("Total", f"{bound['total']:.4g}", "")
    if not report.repetition.scenario.bound.calibrated:
        table.caption = "Its constants are the scenario's; `airtune calibrate` measures them."
    return table


def _costs(report: ScenarioPlan) -> RenderableType:
    from rich.table import Table

    from airtune.report.style import COMPONENTS
    from airtune.report.twins import remark, sentence

    plan, budget = report.joint.plan, report.repetition.scenario.budget
    latency, energy = plan.latency_s.to_dict(total=True), plan.energy_j.to_dict(total=True)
    table = Table(
        "component", r"latency \[s]", "energy [J]", title="What it costs", title_justify="left"
    )
    for name, (label, _) in COMPONENTS.items():
        table.add_row(label, f"{latency[name]:.4g}", f"{energy[name]:.4g}")
    table.add_row("Total", f"{latency['total']:.4g}", f"{energy['total']:.4g}")
    limits = [
        "none" if value is None else f"{value:g}" for value in (budget.latency_s, budget.energy_j)
    ]
    table.add_row("Budget", *limits)
    most = float(plan.client_energy_j.max())
    whose = int(plan.client_energy_j.argmax())
    limit = budget.of_clients(plan.client_energy_j.size)[whose]
    allowed = "" if limit is None else f" of {limit:.4g} J allowed"
    table.caption = f"Most of one client: {most:.4g} J{allowed} (client {whose})."
    scenario = report.repetition.scenario
    if _moves(report) and scenario.planning.movement in ("each-round", "when-needed"):
        counted = "as in the first"
        if _drawn(report):
            counted = "as in the mean of drawn rounds, and that to the first places once besides"
        table.caption += f" Movement is counted in every round {counted}."
    if budget.given and scenario.planning.keeps_budgets(scenario.plan):
        table.caption += (
            " Where rounds cost more than planned, the rest is planned anew within the budgets, or "
            "the run ends (planning.keep_budgets)."
        )
    table.caption += sentence(remark(scenario.to_dict()))
    return table
