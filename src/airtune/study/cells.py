"""Run the cells of a run folder: one scheme and one seed each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airtune import record
from airtune.record import Cell, Document, RunFolder
from airtune.registry import ENGINES
from airtune.scenario import Scenario
from airtune.scenario.learning import Pretraining
from airtune.scenario.radio import Aggregation
from airtune.study.engine import HERE, session, sharing
from airtune.study.measuring import Measuring

if TYPE_CHECKING:
    from airtune.engines import Engine
    from airtune.learning.shared import SharedLearners
    from airtune.learning.sizes import Sizes
    from airtune.planning.pilot import Pilot
    from airtune.rounds.federated import FederatedRun


class Follower(Protocol):
    """Whoever takes what is saved, as :class:`airtune.study.tracking.Tracking` does."""

    def round_saved(self, cell: Cell, line: Document) -> None:
        """A round of a cell is on disk: its line of metrics, of those found there the last."""

    def cell_saved(self, cell: Cell) -> None:
        """A cell is finished and on disk."""


class Watcher(Protocol):
    """Whoever follows a study, as :class:`airtune.study.progress.Progress` does."""

    def preparing(self, text: str, fraction: float) -> None:
        """Data, pre-training and model: `fraction` in [0, 1] is done."""

    def round_done(
        self, cell: Cell, round_index: int, loss: float | None, time_s: float, energy_j: float
    ) -> None:
        """A round of a cell is done and saved."""

    def told(self, text: str) -> None:
        """Something in a round that the user should know at once."""

    def cell_done(self, cell: Cell) -> None:
        """A cell is finished."""


def execute(
    run_folder: RunFolder,
    watcher: Watcher | None = None,
    follower: Follower | None = None,
    *,
    locked: bool = False,
) -> None:
    """Run all unfinished cells; each goes on from its checkpoint.

    Parameters
    ----------
    run_folder : RunFolder
    watcher : Watcher, optional
    follower : Follower, optional
    locked : bool
        Whether the caller holds the lock of the folder.

    Raises
    ------
    InputError
        Another process is writing the folder, it cannot be gone on with, or no plan keeps the
        budgets.
    FailedError
        The disk is full or fails; what has been done so far is on it.
    """
    from airtune.learning.shared import SharedLearners

    with nullcontext() if locked else record.lock(run_folder.folder), ExitStack() as opened:
        record.clean_folder(run_folder.folder, run_folder.cells)
        begun = any(cell.folder.exists() for cell in run_folder.cells)
        if not begun and run_folder.scenario.engine.name in HERE:
            check_plans(run_folder.dated_scenario, run_folder.scenario.seed)
        if not all(cell.finished for cell in run_folder.cells):
            opened.enter_context(session(run_folder.scenario))
        measuring = Measuring(run_folder.scenario, watcher.told if watcher else None)
        for index in range(run_folder.scenario.seeds):
            cells = [c for c in run_folder.cells if c.seed == index and not c.finished]
            if cells:
                shared, scenario = SharedLearners(), run_folder.dated_scenario
                run_cells(
                    scenario,
                    index,
                    cells,
                    shared,
                    watcher,
                    follower=follower,
                    measuring=measuring,
                )


def run_cells(
    scenario: Scenario,
    index: int,
    cells: list[Cell],
    learners: SharedLearners,
    watcher: Watcher | None = None,
    only: Cell | None = None,
    *,
    follower: Follower | None = None,
    measuring: Measuring | None = None,
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
    only : Cell, optional
        Plan for all of `cells` and run this one of them; other processes run others of the same
        folder at the same time.
    follower : Follower, optional
    measuring : Measuring, optional

    Raises
    ------
    InputError
        No plan keeps the budgets, or another process runs the cell.
    """
    from airtune.rounds import cell_io
    from airtune.study.kept_pilots import keep_pilots
    from airtune.study.pilot import pilots_key

    preparing = watcher.preparing if watcher else None
    answers: dict[int, list[dict[str, str]]] = {}
    with ExitStack() as opened:
        seed = scenario.seed + index
        engines = _Engines(learners, seed, preparing, opened)
        runs, pilots = _runs(scenario, seed, cells, engines, only)
        key = pilots_key(scenario, seed) if pilots else None
        for cell, run in runs:
            folder, inputs = cell.folder.parents[1], engines.inputs_of(run)
            with nullcontext() if only is None else record.lock_in_turn(folder):
                record.check_prepared(folder, cell.seed, inputs)
                keep_pilots(pilots, key, folder / record.names.pilots(cell.seed))
        for engine in {id(run.engine): run.engine for _, run in runs}.values():
            answers[id(engine)] = engine.samples(
                engine.initial_adapter(), scenario.evaluation.answers
            )
        for cell, run in runs:
            if only is not None:
                record.own_folders(cell.folder.parent, cell.folder)
                opened.enter_context(record.lock(cell.folder))
            with measuring.of(cell, partial(_rounds, run)) if measuring else nullcontext():
                cell_io.execute(run, cell, _reporter(cell, watcher, follower))
                cell_io.finish(run, cell, answers[id(run.engine)])
            if follower:
                follower.cell_saved(cell)
            if watcher:
                watcher.cell_done(cell)


def check_plans(scenario: Scenario, seed: int) -> None:
    """Refuse what cannot be run before any model is made: models, data, memory and budgets.

    Budgets where the plan needs no model: neither constants that it tells nor a pilot.

    Raises
    ------
    InputError
        Names the setting, its value and what is allowed.
    """
    from airtune.learning.device import device_of
    from airtune.learning.sizes import outline
    from airtune.planning.forward import for_scheme
    from airtune.planning.plans import plan_all
    from airtune.planning.repetition import Repetition
    from airtune.study.estimates import check_memory

    if scenario.engine.name == "local":
        device_of(scenario.model)
    outlined = outline(scenario, seed)
    sizes = outlined.sizes
    weights = sum(p.numel() for p in outlined.base.parameters())
    check_memory(scenario, weights, sum(matrix.size for matrix in sizes.matrices))
    known = Repetition(scenario, seed, sizes)
    for name in scenario.schemes:
        for_scheme(known, name)
    if not scenario.bound.calibrated and not scenario.planning.predicts:
        plan_all(known, list(scenario.schemes))


class _Engines:
    """The engines of a seed, closed at the end.

    One for each pre-training, and each payload, that plans ask for; payloads share what they can.
    """

    def __init__(
        self,
        learners: SharedLearners,
        seed: int,
        preparing: Callable[[str, float], None] | None,
        opened: ExitStack,
    ) -> None:
        self.learners, self.seed, self.preparing = learners, seed, preparing
        self._opened = opened
        self._started: dict[tuple[Pretraining, Aggregation], tuple[Engine, Sizes]] = {}
        self._inputs: dict[int, dict[str, Any]] = {}

    def start(self, scenario: Scenario) -> tuple[Engine, Sizes]:
        """Return a started engine and the sizes that it has."""
        key = scenario.pretraining, scenario.aggregation
        if key not in self._started:
            self._started[key] = self._shared(scenario) or self._new(scenario)
        return self._started[key]

    def _shared(self, scenario: Scenario) -> tuple[Engine, Sizes] | None:
        alike = (one for key, one in self._started.items() if key[0] == scenario.pretraining)
        return sharing(next(alike, None), scenario)

    def _new(self, scenario: Scenario) -> tuple[Engine, Sizes]:
        engine: Engine = ENGINES[scenario.engine.name](self.learners)
        self._opened.callback(engine.close)  # also when it fails to start
        return engine, engine.start(scenario, self.seed, self.preparing)

    def inputs_of(self, run: FederatedRun) -> dict[str, Any]:
        """Return what a run depends on beyond its settings, with a digest of each file."""
        from airtune.bound.calibrate import given_constants

        key = id(run.engine)
        if key not in self._inputs:
            found = run.engine.inputs()
            folder = found.get("model_folder")
            files = {} if folder is None else {"model": record.file_digests(Path(folder))}
            self._inputs[key] = {**found, **files}
        measured = run.repetition.bound or given_constants(run.scenario.bound)
        bound = json.dumps(asdict(measured), sort_keys=True)
        phase_1 = run.scenario.pretraining
        return {
            **self._inputs[key],
            "pretraining": [phase_1.steps, phase_1.batch_size],
            "bound": hashlib.sha256(bound.encode()).hexdigest(),
        }


def _runs(
    scenario: Scenario, seed: int, cells: list[Cell], engines: _Engines, only: Cell | None = None
) -> tuple[list[tuple[Cell, FederatedRun]], dict[str, Pilot]]:
    """Start an engine, plan every cell, and return the runs, or `only` one, with their pilots.

    Nothing is written yet.

    Where pre-training is planned, the plans come first and the engines start with what they ask
    for.
    """
    from airtune.planning.payload_choice import (
        is_planned,
        pilot_of,
        plan_payloads,
        resolved,
    )
    from airtune.planning.plans import plan_all, planned_pretraining
    from airtune.planning.repetition import Repetition
    from airtune.rounds.federated import FederatedRun
    from airtune.study.pilot import find_pilots

    sizes = engines.start(scenario)[1] if scenario.planning.pretraining == "fixed" else None
    known = Repetition.open(scenario, seed, engines.learners, engines.preparing, sizes)
    started = None if sizes is None else engines.start(scenario)
    folder, index = cells[0].folder.parents[1], cells[0].seed
    kept = folder / record.names.pilots(index)
    pilots = find_pilots(scenario, seed, engines.learners, engines.preparing, started, kept)
    known, schemes = replace(known, pilot=pilots.get("")), [cell.scheme for cell in cells]
    if is_planned(scenario):
        plans = plan_payloads(known, tuple(schemes), pilots)
    else:
        plans = plan_all(known, schemes)
    runs = []
    for cell in cells if only is None else [only]:
        joint = plans[cell.scheme]
        own = resolved(planned_pretraining(scenario, joint.plan), joint)
        engine, sizes = engines.start(own)
        repetition = Repetition(own, seed, sizes, known.bound, known.paths, pilot_of(pilots, joint))
        runs.append((cell, FederatedRun(repetition, cell.scheme, engine, joint)))
    return runs, pilots


def _rounds(run: FederatedRun) -> int:
    return run.state.round


_NOT_FINITE = {
    "updates": "no client had a finite update",
    "step": "the server's step was not finite",
}


def _reporter(
    cell: Cell, watcher: Watcher | None, follower: Follower | None
) -> Callable[[Document], None]:
    last: list[float] = []
    told: list[int] = []

    def done(line: Document) -> None:
        if line["loss"] is not None:
            last[:] = [line["loss"]]
        why = _NOT_FINITE.get(str(line.get("not_finite")))
        if watcher and why and not told:
            told.append(line["round"])  # the first such round; the results count them
            where = f"{cell.scheme}, seed {cell.seed}, round {line['round']}"
            watcher.told(f"{where}: {why}; the adapter stays as it was")
        replanned = line.get("replanned") or {}
        if watcher and replanned.get("ended"):
            watcher.told(
                f"{cell.scheme}, seed {cell.seed}, round {line['round']}: the run ends here, one "
                f"more round does not fit into budget.{replanned['budget']}"
            )
        if follower:
            follower.round_saved(cell, line)
        if watcher:
            loss = last[0] if last else None
            watcher.round_done(cell, line["round"], loss, line["time_s"], line["energy_j"])

    return done
