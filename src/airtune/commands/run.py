"""Runs and sweeps of the command line: progress while they last, results, how to go on."""

from __future__ import annotations

import sys
from collections.abc import Callable

from airtune.commands.progress import Progress, SweepProgress
from airtune.commands.terminal import show, show_json
from airtune.record import RunFolder
from airtune.report import sweep_table, table
from airtune.study import cells, compare
from airtune.study import sweep as sweeps
from airtune.study.sweep import Sweep

Interrupted = Callable[[], bool]


def execute(run_folder: RunFolder, interrupted: Interrupted, as_json: bool) -> None:
    """Run what is unfinished of a run or a comparison, and print its results.

    Parameters
    ----------
    run_folder : RunFolder
    interrupted : callable
        Whether to stop after the work in hand.
    as_json : bool
        Print one JSON document instead of a table.
    """
    try:
        with Progress(run_folder, interrupted) as progress:
            cells.execute(run_folder, progress)
    except KeyboardInterrupt:
        print(f"airtune: go on with: airtune resume {run_folder.folder}", file=sys.stderr)
        raise
    results = compare.summarise(run_folder)
    page = compare.publish(run_folder)
    if as_json:
        show_json(results)
        return
    show(table.terminal_table(results))
    print(f"page: {page}")


def execute_sweep(sweep: Sweep, interrupted: Interrupted, as_json: bool) -> None:
    """Run what is unfinished of a sweep, and print its results; parameters as of `execute`."""
    try:
        with SweepProgress(sweep, interrupted) as progress:
            sweeps.execute(sweep, progress)
    except KeyboardInterrupt:
        print(f"airtune: go on with: airtune resume {sweep.folder}", file=sys.stderr)
        raise
    results = sweeps.summarise(sweep)
    page = sweeps.publish(sweep)
    if as_json:
        show_json(results)
        return
    show(sweep_table.terminal_table(results))
    for point in results["points"]:
        for message in point["infeasible"][:1]:
            print(f"{point['name']}: {message}")
    print(f"page: {page}")
