"""``airtune ui``: the live page of a cell and of the runs of a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from airtune.errors import InputError, clip, clip_message

RUNS = Path("runs")
"""Where commands put their runs by default."""

SCENARIO = "quickstart"


def ui(
    run_dir: Annotated[
        Path | None,
        typer.Argument(
            readable=False, metavar="RUN_DIR", help="A folder of runs, or a run to show first."
        ),
    ] = None,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is a free one.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Show a live page of the cell and of the runs, on this machine only."""
    from airtune.engines.extras import check_installed

    check_installed("ui", "nicegui", "ui")
    root, first = _root(run_dir)
    from airtune.registry import IMPORTED
    from airtune.ui import server
    from airtune.ui.desk import Desk
    from airtune.ui.processes import Processes
    from airtune.ui.runs import Runs

    runs, source = Runs(root, Processes(root, IMPORTED)), _source(run_dir)
    own = tuple(dict.fromkeys((source, *server.scenario_files(Path.cwd()))))
    desk = Desk(runs, source, tuple(name for name in own if name != SCENARIO))
    server.serve(desk, port, first=first, browser=browser)


def _root(run_dir: Path | None) -> tuple[Path, str]:
    """Return the folder of the runs, and the path of the page to begin with.

    Raises
    ------
    InputError
        There is no such folder.
    """
    if run_dir is None:
        return RUNS, "/"
    from airtune.record import names

    if not run_dir.is_dir():
        raise InputError(f"RUN_DIR = {clip(run_dir)}: is no folder; give one of runs, or a run")
    if (run_dir / names.RUN).is_file():
        if run_dir.name in ("", ".."):  # its name stands in no part of what was given
            whole = run_dir.resolve()
            return whole.parent, f"/run/{quote(whole.name)}"
        if run_dir.is_symlink():
            raise InputError(f"RUN_DIR = {clip(run_dir)}: is a link; give the folder itself")
        return run_dir.parent, f"/run/{quote(run_dir.name)}"
    return run_dir, "/runs"


def _source(run_dir: Path | None) -> str:
    """Return the scenario to begin with: that of a run, if the page can show it."""
    if run_dir is None:
        return SCENARIO
    from airtune.record import names

    if not (run_dir / names.RUN).is_file():
        return SCENARIO
    from airtune.ui.cell import open_cell

    try:
        return open_cell(str(run_dir / names.SCENARIO)).source
    except InputError as error:
        text = f"airtune: the page begins with the cell of {SCENARIO}, not of the run: {error}"
        print(clip_message(text), file=sys.stderr)
        return SCENARIO
