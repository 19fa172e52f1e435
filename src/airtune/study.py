"""Studies: run every cell of a run folder, and sum up what the cells found.

The definitions of the headline figures are those of the system model, section 10.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from airtune import record
from airtune.errors import InputError
from airtune.joint_plan.books import against_plan
from airtune.planning.cost import Components
from airtune.record import Cell, RunFolder
from airtune.scenario import Pretraining, Scenario
from airtune.statistics import jain_index, paired_figures, quantiles

if TYPE_CHECKING:
    from airtune.learning.learner import Learner
    from airtune.learning.shared import SharedLearners
    from airtune.rounds import FederatedRun

REFERENCE = "ideal"
PROPOSAL = "movable"
TARGET_SHARE = 0.9
"""The target loss is reached when this share of the reference's improvement is."""

Document = dict[str, Any]


class Watcher(Protocol):
    """Whoever follows a study; :class:`airtune.progress.Progress` shows it on the terminal."""

    def preparing(self, text: str, fraction: float) -> None:
        """Data, pre-training and model: `fraction` in [0, 1] is done."""

    def round_done(
        self, cell: Cell, round_index: int, loss: float | None, time_s: float, energy_j: float
    ) -> None:
        """A round of a cell is done and saved."""

    def cell_done(self, cell: Cell) -> None:
        """A cell is finished."""


def compare(scenario: Scenario, out: str | Path | None = None) -> Document:
    """Compare the scenario's schemes and write the run folder with its page.

    Parameters
    ----------
    scenario : Scenario
        What to run; `ideal`, which sets the target, is added to its schemes.
    out : str or Path, optional
        New or empty folder; ``runs/<name>-<time>`` by default.

    Returns
    -------
    dict
        The content of results.json.

    Raises
    ------
    InputError
        A setting or the folder cannot be used.
    """
    scenario = check(scenario, "compare")
    folder = default_folder(scenario) if out is None else Path(out)
    run_folder = record.create(folder, scenario, "compare")
    try:
        execute(run_folder)
    except InputError:
        record.discard_unused(folder)
        raise
    results = summarise(run_folder)
    publish(run_folder)
    return results


def check(scenario: Scenario, kind: str) -> Scenario:
    """Refuse what only the schemes and the solvers know to be impossible, before any work.

    Returns
    -------
    Scenario
        The scenario, with `ideal` among its schemes if `kind` is ``compare``.

    Raises
    ------
    InputError
        Names the setting, its value and what is allowed.
    """
    from airtune.placement.solver import METHODS
    from airtune.schemes import SCHEMES

    for name in scenario.schemes:
        if name not in SCHEMES:
            raise InputError(
                f"schemes: {name!r} must be one of {', '.join(SCHEMES)} "
                "(or of a module that registers it: airtune --import MODULE ...)"
            )
    for name in scenario.training.learning_rates:
        if name not in SCHEMES:
            raise InputError(f"training.learning_rates.{name}: must be one of {', '.join(SCHEMES)}")
    method = scenario.placement.method
    if method not in METHODS:
        raise InputError(f"placement.method = {method!r}: must be one of {', '.join(METHODS)}")
    for name in scenario.schemes:
        SCHEMES[name].array.start(scenario, scenario.seed)
    if kind == "compare" and REFERENCE not in scenario.schemes:
        return scenario.model_copy(update={"schemes": (REFERENCE, *scenario.schemes)})
    return scenario


def default_folder(scenario: Scenario) -> Path:
    """Return ``runs/<scenario>-<time>``."""
    return Path("runs") / f"{scenario.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def execute(run_folder: RunFolder, watcher: Watcher | None = None) -> None:
    """Run all unfinished cells; each goes on from its checkpoint.

    Parameters
    ----------
    run_folder : RunFolder
    watcher : Watcher, optional
    """
    from airtune.learning.shared import SharedLearners

    with record.lock(run_folder.folder):
        for index in range(run_folder.scenario.seeds):
            cells = [c for c in run_folder.cells if c.seed == index and not c.finished]
            if cells:
                run_cells(run_folder.scenario, index, cells, SharedLearners(), watcher)


def run_cells(
    scenario: Scenario,
    index: int,
    cells: list[Cell],
    learners: SharedLearners,
    watcher: Watcher | None = None,
) -> None:
    """Run the cells of one seed; all plans are made before the first round.

    Parameters
    ----------
    scenario : Scenario
    index : int
        Number of the repetition, from 0.
    cells : list of Cell
        Its unfinished cells.
    learners : SharedLearners
        Makes the learners, or has them.
    watcher : Watcher, optional

    Raises
    ------
    InputError
        No plan keeps the budgets.
    """
    seed = scenario.seed + index
    answers: dict[int, list[dict[str, str]]] = {}
    preparing = watcher.preparing if watcher else None
    for cell, federated in _runs(scenario, seed, cells, learners, preparing):
        learner = federated.learner
        if id(learner) not in answers:
            count = scenario.evaluation.answers
            answers[id(learner)] = learner.samples(learner.initial_adapter(), count)
        federated.execute(cell, _reporter(cell, watcher))
        federated.finish(cell, answers[id(learner)])
        if watcher:
            watcher.cell_done(cell)


def _runs(
    scenario: Scenario,
    seed: int,
    cells: list[Cell],
    prepare: SharedLearners,
    preparing: Callable[[str, float], None] | None,
) -> list[tuple[Cell, FederatedRun]]:
    """Plan every cell, then make the learners: one, unless plans differ in pre-training."""
    from airtune.joint_plan import Site, plan_all, planned_pretraining
    from airtune.rounds import FederatedRun

    site = Site.open(scenario, seed, preparing, prepare)
    plans = plan_all(site, [cell.scheme for cell in cells])
    learners: dict[Pretraining, Learner] = {}
    if scenario.planning.pretraining == "fixed":
        learners[scenario.pretraining] = cast("Learner", site.learner)
    runs = []
    for cell in cells:
        joint = plans[cell.scheme]
        own = planned_pretraining(scenario, joint.plan)
        if own.pretraining not in learners:
            learners[own.pretraining] = prepare(own, seed, preparing)
        learner = learners[own.pretraining]
        federated = FederatedRun(own, cell.scheme, seed, learner, joint, site.constants)
        runs.append((cell, federated))
    return runs


def _reporter(cell: Cell, watcher: Watcher | None) -> Callable[[Document], None]:
    last: list[float] = []

    def done(line: Document) -> None:
        if line["loss"] is not None:
            last[:] = [line["loss"]]
        if watcher:
            loss = last[0] if last else None
            watcher.round_done(cell, line["round"], loss, line["time_s"], line["energy_j"])

    return done


def publish(run_folder: RunFolder) -> Path:
    """Build figures and page; return the page."""
    from airtune import report

    return report.build(run_folder.folder)


def summarise(run_folder: RunFolder) -> Document:
    """Write results.json from what the finished cells left on disk, and return it.

    Raises
    ------
    InputError
        No cell is finished.
    """
    figures, targets = finished_figures(run_folder)
    if not figures:
        raise InputError(f"{run_folder.folder}: no scheme has finished; `airtune resume` goes on")
    document = {
        "scenario": run_folder.scenario.to_dict(),
        "target_loss": over_seeds(list(targets.values())) if targets else None,
        "seeds": run_folder.scenario.seeds,
        "schemes": {name: over_seeds(list(cells.values())) for name, cells in figures.items()},
    }
    if run_folder.kind == "compare":
        document["headline"] = headline(figures)
        differences = paired_figures(figures, baseline_of(figures))
        if differences is not None:
            document["paired"] = differences
    document["environment"] = record.read_json(run_folder.folder / "environment.json")
    record.write_json(run_folder.folder / "results.json", document)
    return document


Figures = dict[str, dict[int, Document]]
"""Figures of finished cells by scheme and seed."""


def finished_figures(run_folder: RunFolder) -> tuple[Figures, dict[int, float | None]]:
    """Return the figures of the finished cells, and the target loss of each seed."""
    finished = [cell for cell in run_folder.cells if cell.finished]
    targets = {c.seed: target_loss(record.read_metrics(c)) for c in finished if _is_reference(c)}
    figures: Figures = {}
    for cell in finished:
        entry = cell_figures(cell, targets.get(cell.seed))
        figures.setdefault(cell.scheme, {})[cell.seed] = entry
    return figures, targets


def baseline_of(figures: Figures) -> str:
    """Return the scheme that paired differences are taken to: the proposal where it has run."""
    return PROPOSAL if PROPOSAL in figures else next(iter(figures))


def _is_reference(cell: Cell) -> bool:
    return cell.scheme == REFERENCE


def target_loss(history: list[Document]) -> float | None:
    """Return the initial loss minus 90 % of the improvement that the reference reaches.

    None when the reference does not improve: there is nothing to reach then.
    """
    losses = [line["loss"] for line in history if line["evaluated"]]
    if losses[-1] is None or losses[-1] >= losses[0]:
        return None
    return float(losses[0] - TARGET_SHARE * (losses[0] - losses[-1]))


def cell_figures(cell: Cell, target: float | None) -> Document:
    """Return the figures of one finished cell (one scheme, one seed)."""
    lines = record.read_metrics(cell)
    totals = record.read_json(cell.folder / "finished.json")
    plan = record.read_json(file) if (file := cell.folder / "plan.json").exists() else None
    last = next(line for line in reversed(lines) if line["evaluated"])
    reached = None
    if target is not None:
        reached = next(
            (line for line in lines if line["loss"] is not None and line["loss"] <= target), None
        )
    errors = [line["mse"] for line in lines if line["mse"] is not None]
    mean_error = float(np.mean(errors)) if errors else 0.0
    return {
        "rounds_to_target": reached["round"] if reached else None,
        "time_to_target_s": reached["time_s"] if reached else None,
        "energy_to_target_j": reached["energy_j"] if reached else None,
        "energy_j": totals["energy_j"],
        "latency_s": totals["latency_s"],
        "final_loss": last["loss"],
        "final_perplexity": last["perplexity"],
        "exact_match": last["exact_match"],
        "initial_loss": lines[0]["loss"],
        "initial_exact_match": lines[0]["exact_match"],
        "mse_db": 10.0 * math.log10(mean_error) if mean_error > 0 else None,
        "fairness": jain_index(totals["participation"]),
        "dropped": sum(len(line.get("dropped", ())) for line in lines),
        "within_latency_budget": totals["within_latency_budget"],
        "within_client_energy_budget": totals["within_client_energy_budget"],
        "within_energy_budget": totals.get("within_energy_budget", True),
        "diverged": last["loss"] is None,
        "plan": against_plan(plan, totals, lines) if plan else None,
        "history": [{name: line[name] for name in _HISTORY} for line in lines if line["evaluated"]],
    }


_HISTORY = ("round", "time_s", "energy_j", "loss", "mse_db", "exact_match")


def over_seeds(values: list[Any], missing: float = math.inf) -> Any:
    """Merge one figure over the seeds: median, 10 % and 90 % quantile; as it is for one seed.

    A figure that is null in a seed counts as `missing` there: infinite for what is better small
    (a target never reached), minus infinite for a saving that was not made.
    """
    if len(values) == 1:
        return values[0]
    first = values[0]
    if isinstance(first, dict):
        return {name: _merge_named(name, [value[name] for value in values]) for name in first}
    return quantiles(values, missing)


def _merge_named(name: str, values: list[Any]) -> Any:
    if name == "history":
        return [_merge_round(lines) for lines in zip(*values, strict=False)]
    if name.startswith("within_"):
        return all(values)
    return any(values) if name == "diverged" else over_seeds(values)


def _merge_round(lines: tuple[Document, ...]) -> Document:
    """Return the medians of one round over the seeds; `loss` also with its quantiles."""
    merged: Document = {"round": lines[0]["round"]}
    for name in _HISTORY[1:]:
        values = [line[name] for line in lines]
        if all(value is None for value in values):
            merged[name] = None
        else:
            figures = over_seeds(values)
            merged[name] = figures["median"]
            if name == "loss":
                merged |= {"loss_p10": figures["p10"], "loss_p90": figures["p90"]}
    return merged


def headline(figures: Figures) -> Document:
    """Return how much faster and how much less energy the proposal is, seed by seed.

    ``x % = 100 (1 - movable / baseline)`` at equal target.  A baseline that never reaches the
    target counts with what it had spent when it stopped: the percentage is then a lower bound
    and the baseline is listed under `lower_bounds`.  Null when the proposal never reaches it.
    """
    proposal = figures.get(PROPOSAL, {})
    faster: Document = {}
    less: Document = {}
    bounds = []
    for name, cells in figures.items():
        if name in (PROPOSAL, REFERENCE):
            continue
        pairs = [(proposal[seed], cells[seed]) for seed in cells if seed in proposal]
        if not pairs:
            continue
        times = [_saving(p, b, "time_to_target_s", "latency_s") for p, b in pairs]
        joules = [_saving(p, b, "energy_to_target_j", "energy_j") for p, b in pairs]
        faster[name] = over_seeds(times, missing=-math.inf)
        less[name] = over_seeds(joules, missing=-math.inf)
        if any(baseline["time_to_target_s"] is None for _, baseline in pairs):
            bounds.append(name)
    return {"faster_pct": faster, "less_energy_pct": less, "lower_bounds": bounds}


def _saving(proposal: Document, baseline: Document, figure: str, spent: str) -> float | None:
    mine, theirs = proposal[figure], baseline[figure]
    if mine is None:
        return None
    if theirs is None:
        theirs = Components(**baseline[spent]).total
    return 100.0 * (1.0 - float(mine) / float(theirs))
