"""The JSON schema of scenario files, for editors: completion, descriptions, errors as one types.

``python -m airtune.scenario.schema > scenario.schema.json`` writes it.
"""

from __future__ import annotations

import json
from typing import Any

from airtune.scenario.base import ALIASES
from airtune.scenario.reading import EXTENDS
from airtune.scenario.scenario import Scenario


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a scenario file.

    It takes numbers with units, ``extends`` and the older names of settings; rules between settings
    are not in it.

    Examples
    --------
    >>> json_schema()["properties"]["seed"]["type"]
    'integer'
    """
    schema = Scenario.model_json_schema(mode="validation")
    extends = {
        "type": "string",
        "description": "file, relative to this one, or shipped scenario that this file builds on",
    }
    _add_aliases(schema["$defs"])
    training = schema["$defs"]["Training"]["properties"]
    training["objective"] = {
        **training["client_objective"],
        "deprecated": True,
        "description": "older name of client_objective",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "airtune scenario",
        "properties": {EXTENDS: extends, **schema["properties"]},
    }


def _add_aliases(node: Any) -> None:
    """Add the other words for choices, such as bf16, wherever a setting has the choice."""
    if isinstance(node, dict):
        choices = node.get("enum", ())
        if words := [word for word, choice in ALIASES.items() if choice in choices]:
            node["enum"] = [*choices, *words]
    for entry in node.values() if isinstance(node, dict) else node:
        if isinstance(entry, dict | list):
            _add_aliases(entry)


def text() -> str:
    """Return the schema as it stands in docs/scenario.schema.json."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
