"""One sentence on what is wrong with settings, and the setting that was likely meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError

from airtune.errors import clip
from airtune.scenario.plausible import quantity_of
from airtune.scenario.scenario import Scenario
from airtune.scenario.suggest import alternatives

_NO_NUMBER = {"float_parsing": "a number", "int_parsing": "a whole number"}
"""What text that is no such number should have been, by pydantic's type of error."""

_NO_LIST = ("tuple_type", "missing", "too_long")
"""Errors of a value that is no list, or one of too few or too many entries."""


def explain(error: ValidationError) -> tuple[str, str]:
    """Turn the first of the errors of a scenario into one sentence; count the others.

    Parameters
    ----------
    error : ValidationError
        Of :class:`Scenario`.

    Returns
    -------
    path : str
        Dotted path of the setting or section that it is about; empty for the whole.
    sentence : str
        Names the setting, its value and what is allowed.
    """
    errors = error.errors(include_url=False)
    paths = [_path(entry["loc"]) for entry in errors]
    # each way to read a value of several kinds has an error of its own
    alike = [entry for entry, path in zip(errors, paths, strict=True) if path == paths[0]]
    first, path = _closest(alike), paths[0]
    others = [other for other in dict.fromkeys(paths) if other != path]
    more = f" (and {len(others)} more: {clip(', '.join(others))})" if others else ""
    name = clip(path or "settings")
    if first["type"] == "extra_forbidden":
        written = _down(path, first["input"])
        return path, f"unknown setting {clip(written)}; {alternatives(written)}{more}"
    of_section = not path or section_at(path) is not None
    if first["type"] == "value_error" and of_section and isinstance(first["input"], Mapping):
        # A rule between settings: the sentence already names them.
        prefix = f"{name}: " if first["loc"] else ""
        return path, f"{prefix}{first['ctx']['error']}{more}"
    value = clip(json.dumps(first["input"], default=str))
    if first["type"] in _NO_LIST and (wanted := _list_at(path)):
        return path, f"{name} = {value}: must be {wanted}{more}"
    name += "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
    if first["type"] in ("model_type", "model_attributes_type"):
        section = section_at(path)
        inside = f" ({', '.join(section.model_fields)})" if section is not None else ""
        return path, f"{name} = {value}: must be a section of settings{inside}{more}"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if first["type"] == "literal_error" and any(e["type"] == "tuple_type" for e in alike):
        message += " or a list"
    if first["type"] in _NO_NUMBER:
        message = f"must be {_NO_NUMBER[first['type']]} without a unit{_limits(path)}"
    if first["type"].startswith("less_than"):
        message += _percent(path, first["input"])
    return path, f"{name} = {value}: {message}{more}"


def _limits(path: str) -> str:
    """Return what a setting with one number may be: ``, 1 .. 1e+06 or null``; else nothing."""
    parent, _, name = path.rpartition(".")
    section = section_at(parent) if parent else Scenario
    if section is None or name not in section.model_fields:
        return ""
    schema = section.model_json_schema()["properties"][name]
    kinds = schema.get("anyOf", [schema])
    numbers = [kind for kind in kinds if "minimum" in kind and "maximum" in kind]
    if len(numbers) != 1:
        return ""
    null = " or null" if any(kind.get("type") == "null" for kind in kinds) else ""
    return f", {numbers[0]['minimum']:g} .. {numbers[0]['maximum']:g}{null}"


def _list_at(path: str) -> str:
    """Return what a setting may be that is a list of so many numbers; else nothing."""
    parent, _, name = path.rpartition(".")
    section = section_at(parent) if parent else Scenario
    if section is None or name not in section.model_fields:
        return ""
    schema = section.model_json_schema()["properties"][name]
    kinds = schema.get("anyOf", [schema])
    counts = [len(kind["prefixItems"]) for kind in kinds if "prefixItems" in kind]
    if len(counts) != 1 or len(kinds) - sum(kind.get("type") == "null" for kind in kinds) != 1:
        return ""
    usual = json.dumps(schema["default"]) if schema.get("default") is not None else ""
    null = " or null" if len(kinds) > 1 else ""
    return f"a list of {counts[0]} numbers{f', as {usual}' if usual else ''}{null}"


def _percent(path: str, value: Any) -> str:
    """Return the share that was likely meant by a number of percent, as a question."""
    parent, _, name = path.rpartition(".")
    section = section_at(parent) if parent else Scenario
    field = section.model_fields.get(name) if section is not None else None
    quantity = quantity_of(field) if field is not None else None
    if quantity is None or quantity.unit or quantity.high > 1 or isinstance(value, bool):
        return ""
    number = float(value) if isinstance(value, int | float) else 0.0
    if not 1 < number <= 100 * quantity.high:
        return ""
    return f"; did you mean {number:g}% or {number / 100:g}?"


def _path(location: Iterable[int | str]) -> str:
    """Return the dotted path of an error, without what pydantic adds to tell types apart."""
    parts: list[str] = []
    section: type[BaseModel] | None = Scenario
    by_name = False
    for part in location:
        if section is None and not by_name:
            break  # inside a value: an entry of a list, one of several types
        parts.append(str(part))
        field = section.model_fields.get(str(part)) if section is not None else None
        by_name = field is not None and get_origin(field.annotation) is dict
        section = section_of(section, str(part)) if section is not None else None
    return ".".join(parts)


def section_at(path: str) -> type[BaseModel] | None:
    """Return the section at a dotted path, None where there is none."""
    section: type[BaseModel] | None = Scenario
    for name in path.split("."):
        section = section_of(section, name) if section is not None else None
    return section


def section_of(section: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the section below a section, None if the name is no section's."""
    field = section.model_fields.get(name)
    kind = field.annotation if field is not None else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _closest(errors: list[Any]) -> Any:
    """Return, of the errors of one setting, that of the kind of value that was given."""

    def is_listed(entry: Any) -> bool:
        return any(isinstance(part, int) or "tuple" in str(part) for part in entry["loc"])

    given = errors[0]["input"]
    wants_list = any(isinstance(e["input"], list | tuple) for e in errors)
    fitting = [e for e in errors if is_listed(e) == wants_list]
    return (fitting or [e for e in errors if e["input"] is given] or errors)[0]


def _down(path: str, value: Any) -> str:
    """Follow sections of one entry: ``lora`` with ``{r: 8}`` is about ``lora.r``."""
    while isinstance(value, Mapping) and len(value) == 1:
        key, value = next(iter(value.items()))
        path = f"{path}.{key}"
    return path
