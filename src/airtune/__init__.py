"""airtune: fine-tune large language models across wireless devices, over the air.

from airtune import compare, load_scenario

results = compare(load_scenario("quickstart", ["training.rounds=10"]), progress=True)
results.to_pandas()
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # typing itself takes a third of the time until signals are handled
if TYPE_CHECKING:
    from typing import Any

    from airtune.errors import InputError
    from airtune.scenario import Scenario
    from airtune.scenario.file import load as load_scenario
    from airtune.study.compare import compare
    from airtune.study.results import Results, load_results

    __version__: str

_HOMES = {
    "InputError": ("airtune.errors", "InputError"),
    "Results": ("airtune.study.results", "Results"),
    "Scenario": ("airtune.scenario", "Scenario"),
    "compare": ("airtune.study.compare", "compare"),
    "load_results": ("airtune.study.results", "load_results"),
    "load_scenario": ("airtune.scenario.file", "load"),
}

__all__ = ["InputError", "Results", "Scenario", "compare", "load_results", "load_scenario"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that `import airtune` stays quick."""
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'airtune' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def _version() -> str:
    """Return the version of the installed package; that of a bare checkout is not known."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("airtune")
    except PackageNotFoundError:
        return "0+unknown"
