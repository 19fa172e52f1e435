"""``airtune init``: a commented scenario to start from."""

from __future__ import annotations

from pathlib import Path

from airtune import record
from airtune.errors import InputError
from airtune.scenario import file as scenario_file


def write_scenario(file: Path) -> None:
    """Write the quickstart's settings, each with its description, and say how to run them.

    Raises
    ------
    InputError
        The file exists, or may not be written.
    FailedError
        The disk is full or fails.
    """
    if file.exists():
        raise InputError(f"{file}: exists; name a new file")
    name = file.stem if file.stem.replace("-", "").replace("_", "").isalnum() else "scenario"
    scenario = scenario_file.load("quickstart").model_copy(update={"name": name})
    record.write_text(file, scenario_file.commented(scenario))
    print(f"wrote {file}; try: airtune compare {file}")
