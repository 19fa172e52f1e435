"""What the model and the data of a scenario depend on: the key of what a cache keeps of them."""

from __future__ import annotations

import datetime
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from airtune.learning.learner import prepared_from
from airtune.record.inputs import input_files
from airtune.scenario import Scenario


def depends_on(scenario: Scenario) -> dict[str, Any] | None:
    """Return all that model and data of the first repetition depend on; None: not known."""
    source = scenario.model.source
    own = scenario.training.client_objective not in ("sft", "dpo")
    local = source == "small" or Path(source).exists()
    sources = [Path(name) for name in scenario.pretraining.sources if name != "sample"]
    read = _is_file_or_known(scenario.data.source) and all(path.is_file() for path in sources)
    if own or not local or not read:
        return None
    return {
        "settings": prepared_from(scenario),
        "seed": scenario.seed,
        # A template may ask for the day.
        "day": str(datetime.date.today()),
        "files": {name: file.sha256 for name, file in input_files(scenario).items()},
        "sources": [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources],
        "versions": {name: version(name) for name in ("airtune", "torch", "transformers", "peft")},
    }


def _is_file_or_known(source: str) -> bool:
    return source in ("sample", "reasoning-gym") or Path(source).is_file()
