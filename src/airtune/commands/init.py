"""``airtune init``: a commented scenario to start from."""

from __future__ import annotations

from pathlib import Path

from airtune.errors import InputError
from airtune.scenario import file as scenario_file


def write_scenario(file: Path) -> None:
    """Write the quickstart's settings, each with its description, and say how to run them.

    Raises
    ------
    InputError
        The file exists or cannot be written.
    """
    if file.exists():
        raise InputError(f"{file}: exists; name a new file")
    name = file.stem if file.stem.replace("-", "").replace("_", "").isalnum() else "scenario"
    scenario = scenario_file.load("quickstart").model_copy(update={"name": name})
    try:
        file.write_text(scenario_file.commented(scenario), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror})") from None
    print(f"wrote {file}; try: airtune compare {file}")
