"""``airtune run``, ``compare``, ``sweep``, ``resume`` and ``report``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airtune import record
from airtune.commands.terminal import resumption, show, show_json, show_lines, warn
from airtune.errors import FailedError, as_typed, clip, spoken
from airtune.record import Cell, RunFolder
from airtune.report import defences, divergence, faults, reasons, sweep_table, table, totals
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file
from airtune.scenario.idle import doubts, doubts_of_points
from airtune.study import cells, compare, tracking
from airtune.study import sweep as sweeps
from airtune.study.divergence import failing
from airtune.study.progress import watch
from airtune.study.sweep import Sweep
from airtune.study.sweep_notes import unmeasured
from airtune.study.sweep_progress import watch_sweep
from airtune.study.tracking import Tracking

Interrupted = Callable[[], bool]
"""Whether to stop after the work in hand."""


def read_settings(
    source: str,
    overrides: Sequence[str] | None,
    where: str,
    *,
    schemes: str | Sequence[str] | None = None,
    seeds: int | None = None,
    engine: str | None = None,
    tell: bool = True,
) -> Scenario:
    """Return a scenario with what the options of a command change.

    Parameters
    ----------
    source : str
        A file, or the name of a shipped scenario.
    overrides : sequence of str or None
        Assignments ``a.b=c``.
    where : str
        The command, for messages.
    schemes : str or sequence of str, optional
        Names; in one string with commas between them.
    seeds : int, optional
        Number of repetitions.
    engine : str, optional
        Sets `engine.name`.
    tell : bool
        Warn of what is not plausible or does nothing; what is varied changes before it is known.

    Raises
    ------
    InputError
        A setting cannot be used.
    """
    scenario = scenario_file.load(source, overrides or [])
    changes: dict[str, Any] = {}
    if schemes is not None:
        names = schemes.split(",") if isinstance(schemes, str) else schemes
        changes["schemes"] = [name.strip() for name in names]
    if seeds is not None:
        changes["seeds"] = seeds
    if engine is not None:
        changes["engine"] = scenario.engine.model_dump() | {"name": engine}
    if changes:
        # What was not given stays so: a share of poisoned clients without their kind is told of.
        given = scenario.model_dump(mode="json", exclude_unset=True)
        scenario = scenario_file.parse(given | changes, where=where)
    if tell:
        warn(doubts(scenario))
    return scenario


def start(
    kind: str,
    scenario: Scenario,
    out: Path | None,
    as_json: bool,
    interrupted: Interrupted,
    track: str | None = None,
) -> bool:
    """Begin a run or a comparison, and print its results.

    Parameters
    ----------
    kind : str
        ``run`` or ``compare``.
    scenario : Scenario
    out : Path, optional
        New or empty folder; ``runs/<name>-<time>`` by default.
    as_json : bool
        Print one JSON document instead of a table.
    interrupted : callable
        Whether to stop after the work in hand.
    track : str, optional
        Name of a tracker that is told of all rounds.

    Returns
    -------
    bool
        False where what it trained diverged or never made a step; see
        :func:`airtune.study.divergence.failing`.

    Raises
    ------
    InputError
        A setting, the folder or the tracker cannot be used.
    """
    scenario = compare.check(scenario, kind)
    if track is not None:
        tracking.check(track)
    folder = out or compare.default_folder(scenario)
    facts = {} if track is None else {"track": track}
    with record.begin(folder, scenario, kind, facts) as run_folder:
        return execute(run_folder, interrupted, as_json)


def start_sweep(
    scenario: Scenario,
    vary: Sequence[str],
    out: Path | None,
    as_json: bool,
    interrupted: Interrupted,
) -> bool:
    """Begin a sweep over ``a.b=1,2,3`` and print its results; all else as of `start`.

    It is warned of what the points have in doubt, not of what they change.
    """
    with sweeps.begin(scenario, sweeps.parse_axes(scenario, vary), out) as sweep:
        warn(doubts_of_points([point.run.scenario for point in sweep.points]))
        return execute_sweep(sweep, interrupted, as_json)


def resume(folder: Path, as_json: bool, interrupted: Interrupted) -> bool:
    """Go on with whatever is unfinished in the folder of a run, a comparison or a sweep.

    Returns what :func:`start` does.

    Raises
    ------
    InputError
        The folder holds no run, or one that cannot be gone on with here.
    """
    folder = folder.absolute()
    run_folder = record.open_folder(folder)
    # Model, data and cache may be named relative to where the run was begun.
    with record.lock(folder), contextlib.chdir(run_folder.directory):
        sweep = sweeps.open_sweep(run_folder) if run_folder.kind == sweeps.KIND else None
        cells_of_all = (sweep or run_folder).cells
        if not all(cell.finished for cell in cells_of_all):
            record.check_resumable(run_folder)
        compare.check(run_folder.scenario, run_folder.kind, measures=False)
        record.check_inputs(run_folder, [point.run for point in sweep.points] if sweep else ())
        record.clean_folder(folder, cells_of_all)
        if sweep is not None:
            return execute_sweep(sweep, interrupted, as_json)
        return execute(run_folder, interrupted, as_json)


def rebuild_reports(folders: Sequence[Path]) -> None:
    """Sum up run folders again, build their figures and pages, and print where the pages are.

    Raises
    ------
    InputError
        A folder holds no run, or nothing in it is finished.
    """
    for folder in folders:
        run_folder = record.open_folder(folder)
        # A run that another process is writing can be looked at, too.
        with record.lock_if_free(folder) as mine:
            sweep = sweeps.open_sweep(run_folder) if run_folder.kind == sweeps.KIND else None
            if mine:
                record.clean_folder(folder, (sweep or run_folder).cells)
            if sweep is not None:
                sweeps.summarise(sweep)
                page = sweeps.publish(sweep)
            else:
                compare.summarise(run_folder)
                page = compare.publish(run_folder)
        _tell_unfinished(folder, [p.run for p in sweep.points] if sweep else [run_folder])
        print(page)


def _tell_unfinished(folder: Path, runs: Sequence[RunFolder]) -> None:
    """Warn of cells that the figures lack; those that no plan allows are told elsewhere."""
    left = [
        cell.folder
        for run in runs
        for cell in run.cells
        if not cell.finished and not (run.folder / record.names.infeasible(cell.seed)).exists()
    ]
    if left:
        count = sum(len(run.cells) for run in runs)
        warn(
            [
                f"{clip(folder)}: {len(left)} of {count} cells are unfinished, the first is "
                f"{clip(left[0].relative_to(folder))}; the figures are of the others; go on with: "
                f"{resumption(folder)}"
            ]
        )


def execute(run_folder: RunFolder, interrupted: Interrupted, as_json: bool) -> bool:
    """Run what is unfinished of a run or a comparison, and print its results.

    The lock of the folder must be held.  Returns what :func:`start` does.

    Parameters
    ----------
    run_folder : RunFolder
    interrupted : callable
        Whether to stop after the work in hand.
    as_json : bool
        Print one JSON document instead of a table.
    """
    with _hint_at_resume(run_folder.folder):
        if _finished(run_folder.folder, run_folder.cells, as_json):
            with _tracking(run_folder, lambda text: warn([text])):
                pass  # a tracker that lacks something is told of it
        else:
            with (
                watch(run_folder, interrupted) as progress,
                _tracking(run_folder, progress.told) as follower,
            ):
                cells.execute(run_folder, progress, follower, locked=True)
        results = compare.summarise(run_folder)
        page = compare.publish(run_folder)
    if as_json:
        show_json(results)
    else:
        if run_folder.kind == "run":
            show(*totals.terminal_totals(results))
        else:
            show(table.terminal_table(results))
        show_lines(
            [
                *reasons.reasons(results),
                *faults.fault_sentences(results),
                *defences.set_up(results),
                table.left_out_sentence(results),
            ]
        )
        print(f"page: {as_typed(page)}")
    warn(divergence.lost_rounds(results))
    return _said_to_fail(run_folder.kind, "", results["schemes"], results["seeds"])


@contextlib.contextmanager
def _tracking(run_folder: RunFolder, say: Callable[[str], None]) -> Iterator[Tracking | None]:
    """Tell the tracker of a run of all that is saved; None where there is no tracker."""
    if run_folder.track is None:
        yield None
        return
    with Tracking(run_folder, say) as told:
        told.catch_up()
        yield told


def execute_sweep(sweep: Sweep, interrupted: Interrupted, as_json: bool) -> bool:
    """Run what is unfinished of a sweep, and print its results; all else as of `execute`."""
    with _hint_at_resume(sweep.folder):
        if not _finished(sweep.folder, sweep.cells, as_json):
            warn(unmeasured(point.run.scenario for point in sweep.points))
            with watch_sweep(sweep, interrupted) as progress:
                sweeps.execute(sweep, progress, locked=True)
        results = sweeps.summarise(sweep)
        page = sweeps.publish(sweep)
    if as_json:
        show_json(results)
    else:
        show(sweep_table.terminal_table(results))
        for point in results["points"]:
            for message in point["infeasible"][:1]:
                print(f"{point['name']}: {message}")
        show_lines(sweep_table.diverged_sentences(results))
        print(f"page: {as_typed(page)}")
    found = [
        _said_to_fail("sweep", f"{point['name']}: ", point["schemes"], results["seeds"])
        for point in results["points"]
        if point["schemes"]
    ]
    return all(found)


def _said_to_fail(kind: str, where: str, schemes: Mapping[str, Any], seeds: int) -> bool:
    """Say on stderr which schemes make the command fail; True where none does."""
    names = failing(kind, schemes)
    for name in names:
        text = divergence.sentence(name, schemes[name], seeds)
        print(spoken(f"failed: {where}{text}"), file=sys.stderr)
    return not names


def _finished(folder: Path, all_cells: Sequence[Cell], as_json: bool) -> bool:
    """Return whether nothing is left to run, and say so; beside JSON, on stderr."""
    finished = all(cell.finished for cell in all_cells)
    if finished:
        text = f"{as_typed(folder)}: is finished, nothing is left to run; its results:"
        print(text, file=sys.stderr if as_json else sys.stdout)
    return finished


@contextlib.contextmanager
def _hint_at_resume(folder: Path) -> Iterator[None]:
    """Say how to go on with what is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"airtune: go on with: {resumption(folder)}", file=sys.stderr)
        raise
    except FailedError as error:
        raise FailedError(f"{error}, then go on with: {resumption(folder)}") from None
