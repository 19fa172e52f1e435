"""`airtune plan SCENARIO`: the joint plan and its bound, without training."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airtune.errors import InputError
from airtune.planning.alternate import JointPlan
from airtune.planning.margins import NAMES, Margins, bound_over_rounds, measure_margins
from airtune.planning.plans import PLANNING_SCHEME, plan_run
from airtune.planning.repetition import Repetition, calibrated
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.scenario.names import check_names

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class PlanReport:
    """A plan with what limits it, the bound over T, and the time spent."""

    repetition: Repetition
    joint: JointPlan
    margins: Margins
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``--json`` prints."""
        document = self.joint.to_dict()
        document["radio"] |= _beamformer(self.repetition, self.joint)
        return {
            "scenario": self.repetition.scenario.name,
            **document,
            "margins": self.margins.to_dict(),
            "seconds": self.seconds,
        }

    def write(self, folder: Path) -> list[Path]:
        """Write plan.json and the figure of the bound over T into a folder; return the paths."""
        from airtune.report.plan_figure import draw_bound

        inputs, plan = self.repetition.inputs, self.joint.plan
        most = inputs.rounds[1] if inputs.rounds[0] < inputs.rounds[1] else 2 * inputs.rounds[1]
        curve = bound_over_rounds(inputs, self.joint.expected, most)
        curve[plan.rounds] = plan.bound
        paths = draw_bound(dict(sorted(curve.items())), plan.rounds, folder)
        (folder / "plan.json").write_text(json.dumps(self.to_dict(), indent=1) + "\n")
        return [*paths, folder / "plan.json"]


def plan_scenario(scenario: Scenario, scheme: str | None = None) -> PlanReport:
    """Plan a scenario as a run would, for its first seed; nothing is trained.

    Parameters
    ----------
    scenario : Scenario
    scheme : str, optional
        Whose air to plan for; that of the shared plan by default.

    Raises
    ------
    InputError
        The scheme is not known, or a budget cannot be met: the message names it and the least
        value that would do.
    """
    from airtune.learning import learner, sizes

    check_names(scenario)
    name = PLANNING_SCHEME if scheme is None else scheme
    if name not in SCHEMES:
        raise InputError(f"--scheme {name}: must be one of {', '.join(SCHEMES)}")
    if name != PLANNING_SCHEME:
        scenario = scenario.model_copy(update={"plan": "own"})
    opened = (learner.prepare if calibrated(scenario) else sizes.measure)(scenario, scenario.seed)
    repetition = Repetition(scenario, scenario.seed, opened)
    began = time.perf_counter()
    joint = plan_run(repetition, name)
    seconds = time.perf_counter() - began
    margins = measure_margins(repetition.inputs, joint.expected, joint.plan.bound)
    return PlanReport(repetition, joint, margins, seconds)


def _beamformer(repetition: Repetition, joint: JointPlan) -> dict[str, Any]:
    """Return the receive beamformer of the plan and the worst gain; null where there is none."""
    if not joint.expected.costs.backoff:
        return {"beamformer_re": None, "beamformer_im": None, "worst_gain": None}
    weights, positions = joint.expected.weights, joint.expected.positions
    link = repetition.scheme(joint.scheme).array.link(repetition.radio(1), weights, positions)
    best = link.best_beamformer(weights)
    return {
        "beamformer_re": best.beamformer.real.tolist(),
        "beamformer_im": best.beamformer.imag.tolist(),
        "worst_gain": float(best.worst_gain),
    }


def describe(report: PlanReport) -> RenderableType:
    """Return the plan for the terminal."""
    from rich.console import Group

    plan = report.joint.plan
    gap = plan.certificate.relative_gap
    steps = " -> ".join(f"{step.block} {step.bound:.4g}" for step in report.joint.trace)
    lines = [
        f"Plan of {report.repetition.scenario.name!r} for the air of {report.joint.scheme!r}",
        f"Bound {plan.bound.total:.5g}, proven to {gap:.1g} for this air ({steps})",
    ]
    return Group(*lines, _decisions(report), _bound(report), _costs(report), _limits(report))


def _limits(report: PlanReport) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    margins = report.margins
    told = f"What limits it: {margins.sentence()}."
    table = Table("relaxed by " + f"{margins.relaxed:.0%}", "change of the bound")
    for name, change in margins.changes.items():
        table.add_row(NAMES[name], "no plan" if change is None else f"{change:+.3g}")
    for client, change in margins.clients.items():
        if change < 0:
            table.add_row(f"  client {client}'s energy budget alone", f"{change:+.3g}")
    return Group(table, told)


def _decisions(report: PlanReport) -> RenderableType:
    import numpy as np
    from rich.table import Table

    plan, expected = report.joint.plan, report.joint.expected
    present = plan.participants
    sizes, clocks = plan.batch_sizes[present], plan.frequencies[present] / 1e9

    def spread(values: Any, digits: str) -> str:
        low, middle, high = np.min(values), np.median(values), np.max(values)
        return f"{low:{digits}} / {middle:{digits}} / {high:{digits}}"

    phase = f"{plan.pretraining_steps} steps of {plan.pretraining_batch}"
    charged = report.repetition.inputs.charged and plan.pretraining_steps > 0
    paid = f"clock {plan.server_frequency / 1e9:.3g} GHz" if charged else "not charged"
    table = Table("decision", "value", title="What everybody does", title_justify="left")
    table.add_row("rounds T", str(plan.rounds))
    table.add_row("pre-training", f"{phase}, {paid}" if plan.pretraining_steps else "none")
    table.add_row("clients that take part", f"{int(present.sum())} of {present.size}")
    if expected.costs.together is not None:
        table.add_row("transmit in a round", str(expected.costs.together))
    table.add_row("batches, least / median / most", spread(sizes, ".0f"))
    table.add_row("clocks [GHz], least / median / most", spread(clocks, ".3g"))
    table.add_row("power back-off", f"{plan.power_backoff:.4g}")
    if expected.mse_star > 0:
        table.add_row("MSE at full power", f"{10 * np.log10(expected.mse_star):.1f} dB")
    return table


def _bound(report: PlanReport) -> RenderableType:
    from rich.table import Table

    from airtune.report.plan_figure import PARTS

    bound = report.joint.plan.bound.to_dict()
    table = Table("part", "value", "share", title="The bound", title_justify="left")
    for name, (label, _) in PARTS.items():
        table.add_row(label, f"{bound[name]:.4g}", f"{bound[name] / bound['total']:.0%}")
    table.add_row("Total", f"{bound['total']:.4g}", "")
    if not calibrated(report.repetition.scenario):
        table.caption = "Its constants are the scenario's; `airtune calibrate` measures them."
    return table


def _costs(report: PlanReport) -> RenderableType:
    from rich.table import Table

    from airtune.report.style import COMPONENTS

    plan, budget = report.joint.plan, report.repetition.scenario.budget
    latency, energy = plan.latency_s.to_dict(total=True), plan.energy_j.to_dict(total=True)
    table = Table(
        "component", "latency [s]", "energy [J]", title="What it costs", title_justify="left"
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
    return table
