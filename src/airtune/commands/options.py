"""Options that several commands on a run's model share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a run or a compare.")]
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
