"""What ``airtune place``, ``plan`` and ``calibrate`` print of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airtune.commands.terminal import show, show_json, show_rows
from airtune.errors import InputError

_GAINS = {"worst_gain_db": "gain [dB]", "upper_bound_db": "bound [dB]", "seconds": "seconds"}


def show_placements(document: dict[str, Any], as_json: bool) -> None:
    """Print the answer of :func:`airtune.commands.place.place_file`."""
    if as_json:
        show_json(document)
        return
    rows = ([row.get(name) for name in _GAINS] for row in document["instances"])
    show_rows(
        ("instance", *_GAINS.values()),
        (
            (str(index), *("" if x is None else f"{x:.3f}" for x in row))
            for index, row in enumerate(rows)
        ),
    )
    print(f"wrote {document['out']}")


def plan_and_show(
    source: str, overrides: Sequence[str], scheme: str | None, out: Path | None, as_json: bool
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

    Raises
    ------
    InputError
        A setting cannot be used, no plan keeps the budgets, or the folder cannot be written.
    """
    from airtune.commands.plan import describe, plan_scenario
    from airtune.scenario import file as scenario_file
    from airtune.study import compare

    scenario = compare.check(scenario_file.load(source, overrides), "plan")
    report = plan_scenario(scenario, scheme)
    if as_json and out is None:
        show_json(report.to_dict())
        return
    folder = out or Path(f"{compare.default_folder(scenario)}-plan")
    try:
        paths = report.write(folder)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror})") from None
    if as_json:
        show_json({**report.to_dict(), "files": [str(path) for path in paths]})
        return
    show(describe(report))
    for path in paths:
        print(path)


def plan_problem_and_show(file: Path, as_json: bool) -> None:
    """Solve a planning problem, and print the plan; errors as of `plan_and_show`."""
    from airtune.commands.plan_problem import plan_file, summary

    document = plan_file(file)
    if as_json:
        show_json(document)
        return
    print(summary(document))


def calibrate_and_show(
    source: str, overrides: Sequence[str], out: Path | None, as_json: bool
) -> None:
    """Calibrate the constants of the bound, and print them; parameters as of `plan_and_show`."""
    from airtune.commands import calibrate
    from airtune.commands.progress import preparing
    from airtune.scenario import file as scenario_file

    scenario = scenario_file.load(source, overrides)
    with preparing() as progress:
        document = calibrate.calibrate_scenario(scenario, out, progress)
    if as_json:
        show_json(document)
        return
    show_rows(("constant", "value", "uncertainty", "how"), calibrate.rows(document))
    clients = calibrate.shift_rows(document)
    if clients:
        columns = ("client", "to the mixture", "to pre-training", "halves (null)")
        show_rows(columns, clients, title="W1")
    if document["left_out"]:
        print(f"left out: {document['left_out']}")
    print(calibrate.snippet(document))
    if out is not None:
        print(f"# figures: {out}")
