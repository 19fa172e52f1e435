"""The command line: parses, calls, prints."""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from airtune.commands.terminal import show, show_json, show_rows
from airtune.errors import InputError

if TYPE_CHECKING:
    from airtune.scenario import Scenario

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="airtune",
    help="Fine-tune large language models across wireless devices, over the air.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A YAML file or a shipped scenario's name.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=c", help="Override one setting; may be repeated."),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Run folder (new or empty).")
]
Schemes = Annotated[
    str | None, typer.Option(metavar="a,b", help="Schemes; ideal always runs besides.")
]
Seeds = Annotated[int | None, typer.Option(help="Independent repetitions.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def main() -> None:
    """Run the command line; the process ends with one of the documented exit codes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        code = app(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except InputError as error:
        print(f"airtune: {error}", file=sys.stderr)
        code = BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        print("airtune: interrupted; what is finished is saved", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code or DONE)


_interrupted = threading.Event()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Stop at once; remembered, for an exception raised inside a library's callback is lost."""
    _interrupted.set()
    raise KeyboardInterrupt


@app.callback()
def options(
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="Import a Python module first, one that registers schemes; may be repeated.",
        ),
    ] = None,
) -> None:
    """Fine-tune large language models across wireless devices, over the air."""
    for name in modules or []:
        _import(name)


def _import(name: str) -> None:
    """Import a module of the user's, from the present folder or wherever Python finds it."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"--import {name}: must be the name of a module, without .py")
    if str(Path.cwd()) not in sys.path:  # last, and for good: it may import others later
        sys.path.append(str(Path.cwd()))
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise InputError(f"--import {name}: needs the module {error.name!r}") from None
        raise InputError(f"--import {name}: no such module here or among the installed") from None
    except (ImportError, SyntaxError) as error:
        raise InputError(f"--import {name}: cannot be imported ({error})") from None


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="File to write.")] = Path("scenario.yaml"),
) -> None:
    """Write a commented scenario to start from."""
    from airtune.scenario import file as scenario_file

    if file.exists():
        raise InputError(f"{file}: exists; name a new file")
    name = file.stem if file.stem.replace("-", "").replace("_", "").isalnum() else "scenario"
    scenario = scenario_file.load("quickstart").model_copy(update={"name": name})
    try:
        file.write_text(scenario_file.commented(scenario), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror})") from None
    print(f"wrote {file}; try: airtune compare {file}")


@app.command()
def compare(
    scenario: ScenarioName,
    overrides: Overrides = None,
    schemes: Schemes = None,
    seeds: Seeds = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Compare schemes on the same channels, data and budgets: the main job."""
    _start("compare", _settings(scenario, overrides, schemes, seeds, "compare"), out, as_json)


@app.command()
def sweep(
    scenario: ScenarioName,
    vary: Annotated[
        list[str],
        typer.Option("--vary", metavar="a.b=1,2", help="Values of a setting; may be repeated."),
    ],
    overrides: Overrides = None,
    schemes: Schemes = None,
    seeds: Seeds = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Compare schemes at every point of a grid of settings."""
    from airtune.commands import run as jobs
    from airtune.study import sweep as sweeps

    settings = _settings(scenario, overrides, schemes, seeds, "sweep")
    made = sweeps.create(settings, sweeps.parse_axes(settings, vary), out)
    try:
        jobs.execute_sweep(made, _interrupted.is_set, as_json)
    except InputError:
        sweeps.discard_unused(made)
        raise


@app.command()
def run(
    scenario: ScenarioName,
    scheme: Annotated[str, typer.Option(help="Scheme to run.")],
    overrides: Overrides = None,
    engine: Annotated[str, typer.Option(help="Where client updates run: local.")] = "local",
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Run one scheme."""
    from airtune.scenario import file as scenario_file

    if engine != "local":
        raise InputError(f"--engine {engine}: must be local")
    settings = scenario_file.load(scenario, overrides or [])
    settings = scenario_file.parse(settings.to_dict() | {"schemes": [scheme]}, where="run")
    _start("run", settings, out, as_json)


@app.command()
def resume(
    run_dir: Annotated[Path, typer.Argument(help="Folder of a run, a compare or a sweep.")],
    as_json: AsJson = False,
) -> None:
    """Go on with whatever is unfinished in a run folder."""
    from airtune import record
    from airtune.commands import run as jobs
    from airtune.study import compare as comparison
    from airtune.study import sweep as sweeps

    run_folder = record.open_folder(run_dir.absolute())
    # Model, data and cache may be named relative to where the run was begun.
    with contextlib.chdir(run_folder.directory):
        comparison.check(run_folder.scenario, run_folder.kind)
        record.check_inputs(run_folder)
        if run_folder.kind == sweeps.KIND:
            jobs.execute_sweep(sweeps.open_sweep(run_folder), _interrupted.is_set, as_json)
        else:
            jobs.execute(run_folder, _interrupted.is_set, as_json)


@app.command()
def report(
    run_dirs: Annotated[list[Path], typer.Argument(help="Run folders.")],
) -> None:
    """Build the figures and the page of run folders again."""
    from airtune import record
    from airtune.study import compare as comparison
    from airtune.study import sweep as sweeps

    for folder in run_dirs:
        run_folder = record.open_folder(folder)
        if run_folder.kind == sweeps.KIND:
            opened = sweeps.open_sweep(run_folder)
            sweeps.summarise(opened)
            print(sweeps.publish(opened))
        else:
            comparison.summarise(run_folder)
            print(comparison.publish(run_folder))


@app.command()
def place(
    file: Annotated[Path, typer.Argument(metavar="FILE.npz", help="Placement problems.")],
    out: Annotated[Path, typer.Option(metavar="FILE.npz", help="File for the placements.")],
    mode: Annotated[str, typer.Option(help="fast, default or exhaustive.")] = "default",
    method: Annotated[str, typer.Option(help="Local solver; auto is the best measured.")] = "auto",
    certify: Annotated[bool, typer.Option("--certify", help="Add an upper bound.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Instances solved at once.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Solve placement problems: antenna positions and the receive beamformer."""
    from airtune.commands.place import place_file

    document = place_file(file, out, mode, method, certify, seed, threads)
    if as_json:
        show_json(document)
        return
    columns = {"worst_gain_db": "gain [dB]", "upper_bound_db": "bound [dB]", "seconds": "seconds"}
    rows = ([row.get(name) for name in columns] for row in document["instances"])
    show_rows(
        ("instance", *columns.values()),
        (
            (str(index), *("" if x is None else f"{x:.3f}" for x in row))
            for index, row in enumerate(rows)
        ),
    )
    print(f"wrote {out}")


@app.command()
def plan(
    scenario: Annotated[
        str | None,
        typer.Argument(metavar="SCENARIO", help="A YAML file or a shipped scenario's name."),
    ] = None,
    problem: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="A planning problem instead.")
    ] = None,
    overrides: Overrides = None,
    scheme: Annotated[
        str | None, typer.Option(help="Scheme to plan for; the shared plan's by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for figure and plan.json.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Plan rounds, batches, clocks and power within the budgets, without training."""
    if (scenario is None) == (problem is None):
        raise InputError("plan: name a SCENARIO, or a planning problem with --problem FILE.json")
    if scenario is not None:
        _plan_scenario(scenario, overrides or [], scheme, out, as_json)
        return
    from airtune.commands.plan_problem import plan_file, summary

    assert problem is not None
    document = plan_file(problem)
    if as_json:
        show_json(document)
        return
    print(summary(document))


def _plan_scenario(
    name: str, overrides: list[str], scheme: str | None, out: Path | None, as_json: bool
) -> None:
    from airtune.commands.plan import describe, write
    from airtune.planning.scenario_plan import plan_scenario
    from airtune.scenario import file as scenario_file
    from airtune.study import compare as comparison

    settings = comparison.check(scenario_file.load(name, overrides), "plan")
    report = plan_scenario(settings, scheme)
    if as_json and out is None:
        show_json(report.to_dict())
        return
    folder = out or Path(f"{comparison.default_folder(settings)}-plan")
    try:
        paths = write(report, folder)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror})") from None
    if as_json:
        show_json({**report.to_dict(), "files": [str(path) for path in paths]})
        return
    show(describe(report))
    for path in paths:
        print(path)


@app.command()
def calibrate(
    scenario: ScenarioName,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for figures and JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate the constants of the convergence bound from the model and the data."""
    from airtune.commands import calibrate as command
    from airtune.commands.progress import preparing
    from airtune.scenario import file as scenario_file

    settings = scenario_file.load(scenario, overrides or [])
    with preparing() as progress:
        document = command.calibrate_scenario(settings, out, progress)
    if as_json:
        show_json(document)
        return
    show_rows(("constant", "value", "uncertainty", "how"), command.rows(document))
    clients = command.shift_rows(document)
    if clients:
        columns = ("client", "to the mixture", "to pre-training", "halves (null)")
        show_rows(columns, clients, title="W1")
    if document["left_out"]:
        print(f"left out: {document['left_out']}")
    print(command.snippet(document))
    if out is not None:
        print(f"# figures: {out}")


@app.command()
def schemes() -> None:
    """List the schemes."""
    from airtune.registry import SCHEMES

    show_rows(
        ("scheme", "array", "air interface", "from"),
        ((s.name, s.array.about, s.air.about, s.source) for s in SCHEMES.values()),
        width=130,
    )


def _settings(
    source: str,
    overrides: list[str] | None,
    schemes: str | None,
    seeds: int | None,
    where: str,
) -> Scenario:
    """Return the scenario with what the options change."""
    from airtune.scenario import file as scenario_file

    settings = scenario_file.load(source, overrides or [])
    changes: dict[str, Any] = {}
    if schemes is not None:
        changes["schemes"] = [name.strip() for name in schemes.split(",")]
    if seeds is not None:
        changes["seeds"] = seeds
    if changes:
        settings = scenario_file.parse(settings.to_dict() | changes, where=where)
    return settings


def _start(kind: str, scenario: Scenario, out: Path | None, as_json: bool) -> None:
    from airtune import record
    from airtune.commands import run as jobs
    from airtune.study import compare as comparison

    scenario = comparison.check(scenario, kind)
    run_folder = record.create(out or comparison.default_folder(scenario), scenario, kind)
    try:
        jobs.execute(run_folder, _interrupted.is_set, as_json)
    except InputError:
        record.discard_unused(run_folder.folder)
        raise


if __name__ == "__main__":
    main()
