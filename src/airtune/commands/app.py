"""The commands and their options; :mod:`airtune.cli` calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airtune.commands import signals
from airtune.commands.failures import BAD_INPUT, FAILED, show_tracebacks
from airtune.commands.node import node
from airtune.commands.options import (
    AsJson,
    BaseModel,
    ComparisonPage,
    Engine,
    FiguresOut,
    Licence,
    Merged,
    Out,
    Overrides,
    RunDir,
    RunDirs,
    ScenarioName,
    Scheme,
    Schemes,
    Seed,
    Seeds,
    Track,
    Vary,
    Version,
)
from airtune.commands.ui import ui
from airtune.errors import InputError

app = typer.Typer(
    name="airtune",
    help="Fine-tune large language models across wireless devices, over the air.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _end(done: bool) -> None:
    """End with the exit code of a failed run unless it is done."""
    if not done:
        raise typer.Exit(FAILED)


@app.callback()
def options(
    modules: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="Import a Python module first, one that registers names; may be repeated.",
        ),
    ] = None,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Print where an error of the program came up.")
    ] = False,
    version: Version = False,
) -> None:
    """Fine-tune large language models across wireless devices, over the air."""
    from airtune.commands.modules import import_module

    if traceback:
        show_tracebacks(True)
    for name in modules or []:
        import_module(name)


@app.command()
def init(
    file: Annotated[Path, typer.Argument(readable=False, help="File to write.")] = Path(
        "scenario.yaml"
    ),
) -> None:
    """Write a commented scenario to start from."""
    from airtune.commands.init import write_scenario

    write_scenario(file)


@app.command()
def compare(
    scenario: ScenarioName,
    *,
    overrides: Overrides = None,
    schemes: Schemes = None,
    seeds: Seeds = None,
    engine: Engine = None,
    out: Out = None,
    track: Track = None,
    as_json: AsJson = False,
) -> None:
    """Compare schemes on the same channels, data and budgets: the main job."""
    from airtune.commands import run as command

    settings = command.read_settings(
        scenario, overrides, "compare", schemes=schemes, seeds=seeds, engine=engine
    )
    _end(command.start("compare", settings, out, as_json, signals.interrupted, track))


@app.command()
def sweep(
    scenario: ScenarioName,
    vary: Vary,
    *,
    overrides: Overrides = None,
    schemes: Schemes = None,
    seeds: Seeds = None,
    engine: Engine = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Compare schemes at every point of a grid of settings."""
    from airtune.commands import run as command

    settings = command.read_settings(
        scenario, overrides, "sweep", schemes=schemes, seeds=seeds, engine=engine, tell=False
    )
    _end(command.start_sweep(settings, vary, out, as_json, signals.interrupted))


@app.command()
def run(
    scenario: ScenarioName,
    scheme: Annotated[str, typer.Option(help="Scheme to run.")],
    overrides: Overrides = None,
    engine: Engine = None,
    out: Out = None,
    track: Track = None,
    as_json: AsJson = False,
) -> None:
    """Run one scheme."""
    from airtune.commands import run as command

    settings = command.read_settings(scenario, overrides, "run", schemes=[scheme], engine=engine)
    _end(command.start("run", settings, out, as_json, signals.interrupted, track))


@app.command()
def resume(
    run_dir: Annotated[
        Path, typer.Argument(readable=False, help="Folder of a run, a compare or a sweep.")
    ],
    as_json: AsJson = False,
) -> None:
    """Go on with whatever is unfinished in a run folder."""
    from airtune.commands import run as command

    _end(command.resume(run_dir, as_json, signals.interrupted))


@app.command()
def report(run_dirs: RunDirs) -> None:
    """Build the figures and the page of run folders again."""
    from airtune.commands.run import rebuild_reports

    rebuild_reports(run_dirs)


@app.command()
def diff(run_dirs: RunDirs, as_json: AsJson = False, page: ComparisonPage = None) -> None:
    """Show the settings in which runs differ, and their results side by side."""
    from airtune.commands.diff import show_difference

    show_difference(run_dirs, as_json, page)


@app.command()
def place(
    file: Annotated[
        Path, typer.Argument(readable=False, metavar="FILE.npz", help="Placement problems.")
    ],
    out: Annotated[
        Path, typer.Option(readable=False, metavar="FILE.npz", help="File for the placements.")
    ],
    *,
    mode: Annotated[str, typer.Option(help="fast, default or exhaustive.")] = "default",
    method: Annotated[str, typer.Option(help="Local solver; auto is the best measured.")] = "auto",
    certify: Annotated[bool, typer.Option("--certify", help="Add an upper bound.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Instances solved at once.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Solve placement problems: antenna positions and the receive beamformer."""
    from airtune.commands.place import place_file, show_placements

    show_placements(place_file(file, out, mode, method, certify, seed, threads), as_json)


@app.command()
def channel(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A channel, or deepmimo:DIR and the like.")
    ],
    out: Annotated[
        Path, typer.Option(readable=False, metavar="FILE.npz", help="File for the paths.")
    ],
    *,
    overrides: Overrides = None,
    scenario: Annotated[
        str, typer.Option(metavar="SCENARIO", help="Whose clients, radio and seed.")
    ] = "quickstart",
    blocks: Annotated[
        int | None, typer.Option(help="Coherence blocks; one more than training.rounds.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the propagation paths of a channel into a file, for radio.channel=file."""
    from airtune.commands import channel as command

    command.show_channel(command.export(source, out, scenario, overrides or [], blocks), as_json)


@app.command()
def plan(
    scenario: Annotated[
        str | None,
        typer.Argument(metavar="SCENARIO", help="A YAML file or a shipped scenario's name."),
    ] = None,
    problem: Annotated[
        Path | None,
        typer.Option(readable=False, metavar="FILE.json", help="A planning problem instead."),
    ] = None,
    overrides: Overrides = None,
    scheme: Annotated[
        str | None, typer.Option(help="Scheme to plan for; the shared plan's by default.")
    ] = None,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Add plans from the fastest to the thriftiest.")
    ] = False,
    out: FiguresOut = None,
    as_json: AsJson = False,
) -> None:
    """Plan rounds, batches, clocks and power within the budgets, without training."""
    if scenario is not None and problem is None:
        from airtune.commands.plan import plan_and_show

        plan_and_show(scenario, overrides or [], scheme, out, as_json, pareto)
    elif problem is not None and scenario is None:
        from airtune.commands.plan_problem import plan_problem_and_show

        plan_problem_and_show(problem, as_json)
    else:
        raise InputError("plan: name a SCENARIO, or a planning problem with --problem FILE.json")


@app.command()
def calibrate(
    scenario: ScenarioName,
    overrides: Overrides = None,
    out: FiguresOut = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate the constants of the convergence bound from the model and the data."""
    from airtune.commands.calibrate import calibrate_and_show

    calibrate_and_show(scenario, overrides or [], out, as_json)


@app.command()
def check(
    scenario: ScenarioName,
    overrides: Overrides = None,
    records: Annotated[
        int, typer.Option(min=0, metavar="N", help="Show N training records as tokens.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Check everything that can be checked without training."""
    from airtune.commands.check import check_and_show

    if not check_and_show(scenario, overrides or [], records, as_json):
        raise typer.Exit(BAD_INPUT)


@app.command()
def schemes() -> None:
    """List the schemes."""
    from airtune.commands.schemes import list_schemes

    list_schemes()


@app.command()
def chat(
    run_dir: RunDir,
    *,
    scheme: Scheme = None,
    seed: Seed = 0,
    base: Annotated[bool, typer.Option("--base", help="Start with the untuned model.")] = False,
    prompt: Annotated[str | None, typer.Option(help="Answer this, and end.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    temperature: Annotated[float, typer.Option(min=0, help="0: the likeliest token.")] = 0.0,
) -> None:
    """Talk with the tuned model of a run."""
    from airtune.commands import chat as command

    command.chat(run_dir, scheme, seed, command.Manner(base, max_tokens, temperature), prompt)


@app.command()
def push(
    run_dir: RunDir,
    repository: Annotated[str, typer.Argument(metavar="REPO", help="owner/name on the hub.")],
    *,
    scheme: Scheme = None,
    seed: Seed = 0,
    private: Annotated[bool, typer.Option("--private", help="Make it a private one.")] = False,
    merged: Merged = False,
    licence: Licence = None,
    base_model: BaseModel = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the files.")] = False,
) -> None:
    """Upload the tuned model of a run to the Hugging Face hub."""
    from airtune.commands import push as command

    choice = command.Choice(scheme, seed, merged, licence, base_model)
    command.push(run_dir, repository, choice, private=private, dry_run=dry_run)


@app.command()
def export(
    run_dir: RunDir,
    out: Annotated[
        Path, typer.Option("--out", readable=False, metavar="DIR", help="New or empty folder.")
    ],
    *,
    scheme: Scheme = None,
    seed: Seed = 0,
    merged: Merged = False,
    licence: Licence = None,
    base_model: BaseModel = None,
) -> None:
    """Write the tuned model of a run into a folder to pass on; nothing is uploaded."""
    from airtune.commands import push as command

    command.export(run_dir, out, command.Choice(scheme, seed, merged, licence, base_model))


app.command()(node)
app.command()(ui)
