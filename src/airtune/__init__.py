"""airtune: fine-tune large language models across wireless devices, over the air.

from airtune import compare, load_scenario

results = compare(load_scenario("quickstart", ["training.rounds=10"]))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airtune.errors import InputError
    from airtune.scenario import Scenario
    from airtune.scenario.file import load as load_scenario
    from airtune.study.compare import compare

_HOMES = {
    "InputError": ("airtune.errors", "InputError"),
    "Scenario": ("airtune.scenario", "Scenario"),
    "compare": ("airtune.study.compare", "compare"),
    "load_scenario": ("airtune.scenario.file", "load"),
}

__all__ = ["InputError", "Scenario", "compare", "load_scenario"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that `import airtune` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'airtune' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
