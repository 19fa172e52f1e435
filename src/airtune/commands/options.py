"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _show_version(asked: bool) -> None:
    if asked:
        from importlib import import_module

        print(f"airtune {import_module('airtune').__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", callback=_show_version, is_eager=True, help="Print the version and end."
    ),
]
ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A YAML file or a shipped scenario's name.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=c", help="Override one setting; may be repeated."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", readable=False, metavar="DIR", help="Run folder (new or empty)."),
]
FiguresOut = Annotated[
    Path | None,
    typer.Option("--out", readable=False, metavar="DIR", help="Folder for figures and JSON."),
]
ComparisonPage = Annotated[
    Path | None,
    typer.Option(
        "--page", readable=False, metavar="FILE", help="Write tables and figures as one HTML file."
    ),
]
Schemes = Annotated[
    str | None, typer.Option(metavar="a,b", help="Schemes; ideal always runs besides.")
]
Seeds = Annotated[int | None, typer.Option(help="Independent repetitions.")]
Engine = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Where client updates run: local, ray or flower."),
]
Vary = Annotated[
    list[str],
    typer.Option("--vary", metavar="a.b=1,2", help="Values of a setting; may be repeated."),
]
Track = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Tracker: tensorboard, trackio, mlflow or wandb (local)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
RunDir = Annotated[
    Path, typer.Argument(readable=False, metavar="RUN_DIR", help="Folder of a run or a compare.")
]
RunDirs = Annotated[
    list[Path], typer.Argument(readable=False, metavar="RUN_DIR...", help="Run folders.")
]
Scheme = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose model; movable by default, if there.")
]
Seed = Annotated[int, typer.Option(min=0, help="Which repetition.")]
Merged = Annotated[bool, typer.Option("--merged", help="The whole model, adapter merged in.")]
Licence = Annotated[
    str | None,
    typer.Option("--licence", "--license", metavar="ID", help="Licence of the base model."),
]
BaseModel = Annotated[
    str | None, typer.Option(metavar="OWNER/NAME", help="The base model's id on the hub.")
]
