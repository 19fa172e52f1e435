"""Run the cells of a run folder: one scheme and one seed each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from airtune import record
from airtune.record import Cell, Document, RunFolder
from airtune.scenario import Scenario
from airtune.scenario.learning import Pretraining

if TYPE_CHECKING:
    from airtune.learning.learner import Learner
    from airtune.learning.shared import SharedLearners
    from airtune.rounds.federated import FederatedRun


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
    from airtune.planning.plans import plan_all, planned_pretraining
    from airtune.planning.repetition import Repetition
    from airtune.rounds.federated import FederatedRun

    repetition = Repetition.open(scenario, seed, preparing, prepare)
    plans = plan_all(repetition, [cell.scheme for cell in cells])
    learners: dict[Pretraining, Learner] = {}
    if scenario.planning.pretraining == "fixed":
        learners[scenario.pretraining] = cast("Learner", repetition.learner)
    runs = []
    for cell in cells:
        joint = plans[cell.scheme]
        own = planned_pretraining(scenario, joint.plan)
        if own.pretraining not in learners:
            learners[own.pretraining] = prepare(own, seed, preparing)
        learner = learners[own.pretraining]
        federated = FederatedRun(own, cell.scheme, seed, learner, joint, repetition.constants)
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
