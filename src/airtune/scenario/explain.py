"""One sentence on what is wrong with settings, and the setting that was likely meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError

from airtune.errors import clip
from airtune.scenario.scenario import Scenario
from airtune.scenario.suggest import alternatives


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
    if first["type"] == "value_error" and isinstance(first["input"], Mapping):
        # A rule between settings: the sentence already names them.
        prefix = f"{name}: " if first["loc"] else ""
        return path, f"{prefix}{first['ctx']['error']}{more}"
    value = clip(json.dumps(first["input"], default=str))
    name += "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
    if first["type"] in ("model_type", "model_attributes_type"):
        section = section_at(path)
        inside = f" ({', '.join(section.model_fields)})" if section is not None else ""
        return path, f"{name} = {value}: must be a section of settings{inside}{more}"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if first["type"] == "literal_error" and any(e["type"] == "tuple_type" for e in alike):
        message += " or a list"
    return path, f"{name} = {value}: {message}{more}"


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
