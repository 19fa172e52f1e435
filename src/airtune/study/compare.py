"""Comparisons: run every cell of a run folder and sum up the results.

The definitions of the headline figures are those of the system model, section 10.
"""

from __future__ import annotations

import datetime
import time
from pathlib import Path

from airtune import meter, record
from airtune.errors import InputError, shown
from airtune.learning.twins import cost_twin
from airtune.record import Document, RunFolder, names
from airtune.record.documents import ResultsDocument
from airtune.scenario import Scenario
from airtune.study import cells
from airtune.study.engine import HERE, check_engine
from airtune.study.histories import finished_figures, first_left_out, merged_targets
from airtune.study.outcomes import REFERENCE, baseline_of, over_cells
from airtune.study.results import Results
from airtune.study.savings import headline
from airtune.study.statistics import paired_figures


def compare(
    scenario: Scenario,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    progress: bool = False,
) -> Results:
    """Compare the scenario's schemes and write the run folder with its page.

    Parameters
    ----------
    scenario : Scenario
        What to run; `ideal`, which sets the target, is added to its schemes.
    out : str or Path, optional
        New or empty folder; ``runs/<name>-<time>`` by default.
    overwrite : bool
        Remove the run that is in the folder, once files and budgets of the new one have been
        checked; other files there stay, and a folder that holds no run is refused.
    progress : bool
        Show a bar for each scheme, in a terminal or a notebook; elsewhere plain lines on stderr.

    Returns
    -------
    Results
        The content of results.json, a dict, with the folder, the page and ``to_pandas()``.

    Raises
    ------
    InputError
        A setting or the folder cannot be used.

    Examples
    --------
    ::

        from airtune import compare, load_scenario

        results = compare(load_scenario("quickstart"), "runs/mine", overwrite=True, progress=True)
        results.to_pandas()[["final_loss", "time_to_target_s", "energy_j.total"]]
    """
    scenario = check(scenario, "compare")
    folder = default_folder(scenario) if out is None else Path(out)
    if overwrite and (folder / names.RUN).is_file():
        _check_budgets(scenario, folder)
    with record.begin(folder, scenario, "compare", overwrite=overwrite) as run_folder:
        _execute(run_folder, progress)
        results = summarise(run_folder)
        publish(run_folder)
    return Results(results, folder)


def _check_budgets(scenario: Scenario, folder: Path) -> None:
    """Refuse what the beginning of a run would, while the folder still holds the run before."""
    if scenario.engine.name in HERE:
        new = RunFolder(folder, scenario, "compare", date=datetime.date.today())
        cells.check_plans(new.dated_scenario, scenario.seed)


def _execute(run_folder: RunFolder, progress: bool) -> None:
    if not progress:
        cells.execute(run_folder, locked=True)
        return
    from airtune.study.progress import watch

    with watch(run_folder) as watcher:
        cells.execute(run_folder, watcher, locked=True)


def check(scenario: Scenario, kind: str, *, measures: bool = True) -> Scenario:
    """Check before a run what the settings by themselves cannot: names, method and arrays.

    Parameters
    ----------
    scenario : Scenario
    kind : str
        ``run``, ``compare``, ``sweep`` or ``plan``.
    measures : bool
        Whether the library of `costs.measure` has to be there.

    Returns
    -------
    Scenario
        The scenario, with `ideal` among its schemes if `kind` is ``compare``.

    Raises
    ------
    InputError
        Names the setting, its value and what is allowed.

    Examples
    --------
    >>> from airtune import load_scenario
    >>> check(load_scenario("quickstart", ["schemes=[movable, fixed]"]), "compare").schemes
    ('ideal', 'movable', 'fixed')
    >>> check(load_scenario("quickstart", ["placement.method=guess"]), "run")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    airtune.errors.InputError: placement.method = 'guess': must be one of ...
    """
    from airtune.placement.solver import METHODS
    from airtune.registry import CHANNELS, SCHEMES
    from airtune.scenario.names import check_names
    from airtune.scenario.size import check_paths

    check_names(scenario)
    check_paths(scenario)
    CHANNELS[scenario.radio.channel](scenario.radio, scenario.clients, scenario.seed)
    method = scenario.placement.method
    if method not in METHODS:
        raise InputError(f"placement.method = {shown(method)}: must be one of {', '.join(METHODS)}")
    if kind == "compare" and REFERENCE not in scenario.schemes:
        scenario = scenario.model_copy(update={"schemes": (REFERENCE, *scenario.schemes)})
    check_engine(scenario)
    if measures:
        meter.check_installed(scenario.costs.measure)
    for name in scenario.schemes:
        SCHEMES[name].build(scenario, scenario.seed).array.start()
    return scenario


def named_twin(scenario: Scenario) -> Document:
    """Return the entry ``cost_twin`` of a results document; none without a twin.

    Where the configuration that it was counted from is no longer there, its name alone.
    """
    try:
        twin = cost_twin(scenario)
    except InputError:
        return {"cost_twin": {"name": scenario.costs.model}}
    return {} if twin is None else {"cost_twin": twin.to_dict()}


def default_folder(scenario: Scenario) -> Path:
    """Return ``runs/<scenario>-<time>``."""
    return Path("runs") / f"{scenario.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def publish(run_folder: RunFolder) -> Path:
    """Build figures and page; return the page."""
    from airtune import report

    return report.build(run_folder.folder)


def summarise(run_folder: RunFolder) -> Document:
    """Write results.json from the records of the finished cells, and return it.

    Raises
    ------
    InputError
        No cell is finished.
    """
    figures, targets = finished_figures(run_folder)
    if not figures:
        raise InputError(f"{run_folder.folder}: no scheme has finished; `airtune resume` goes on")
    document: Document = {
        **record.older_version(run_folder.version),
        "scenario": run_folder.scenario.to_dict(),
        **named_twin(run_folder.scenario),
        **merged_targets(targets),
        "seeds": run_folder.scenario.seeds,
        "schemes": {name: over_cells(cells) for name, cells in figures.items()},
    }
    if run_folder.kind == "compare":
        document["headline"] = headline(figures)
        differences = paired_figures(figures, baseline_of(figures))
        if differences is not None:
            document["paired"] = differences
    left_out = first_left_out(run_folder)
    if left_out is not None:
        document["left_out"] = left_out
    document["environment"] = record.read_environment(run_folder.folder)
    return record.write_document(run_folder.folder / names.RESULTS, ResultsDocument, document)
