"""Scenarios as files: YAML in, YAML out, ``--set`` overrides, one clear message on bad input."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from airtune.errors import InputError
from airtune.scenario import Scenario

_UNREADABLE = (yaml.YAMLError, ValueError, TypeError, RecursionError)
"""What PyYAML raises on files that are no plain settings: dates, odd keys, endless nesting."""

_OLDER_NAMES = {"training.objective": "training.client_objective"}
"""Settings that were renamed: the older name is read, and documents hold both."""

_SHIPPED = resources.files("airtune") / "scenarios"


def shipped() -> dict[str, str]:
    """Return the shipped scenarios: name to first comment line."""
    texts = {
        Path(entry.name).stem: entry.read_text(encoding="utf-8")
        for entry in _SHIPPED.iterdir()
        if entry.name.endswith(".yaml")
    }
    return {name: text.splitlines()[0].lstrip("# ") for name, text in sorted(texts.items())}


def load(source: str | Path, overrides: Sequence[str] = ()) -> Scenario:
    """Read a scenario.

    Parameters
    ----------
    source : str or Path
        A YAML file, or the name of a shipped scenario.
    overrides : sequence of str
        Assignments ``a.b=c``; the value is read as YAML.

    Raises
    ------
    InputError
        The file is missing or not YAML, a key is unknown, or a value is not allowed.
    """
    data = _read(source)
    for assignment in overrides:
        _assign(data, assignment)
    return parse(data, where=str(source))


def parse(data: Mapping[str, Any], where: str = "scenario") -> Scenario:
    """Validate plain settings.

    Raises
    ------
    InputError
        A key is unknown or a value is not allowed; names the setting, value and what is allowed.
    """
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {_explain(error)}") from None


def dump(scenario: Scenario) -> str:
    """Return the scenario as YAML that :func:`load` reads back to an equal scenario."""
    return yaml.safe_dump(scenario.to_dict(), sort_keys=False, width=100)


def commented(scenario: Scenario) -> str:
    """Return the scenario as YAML with each setting's description as a comment."""
    head = (
        f"# A scenario of airtune.  Run it:  airtune compare {scenario.name}.yaml\n"
        "# Every setting is shown with its value; a line left out takes its default.\n"
    )
    return head + "\n".join(_commented_lines(scenario, indent=0)) + "\n"


def _commented_lines(section: BaseModel, indent: int) -> list[str]:
    pad, lines = " " * indent, []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            about = (type(value).__doc__ or "").split("\n")[0]
            lines += ["", f"{pad}# {about}"] if indent == 0 else [f"{pad}# {about}"]
            lines += [f"{pad}{name}:", *_commented_lines(value, indent + 2)]
            continue
        plain = section.model_dump(mode="json", include={name})[name]
        text = yaml.safe_dump(plain, default_flow_style=True, width=10_000).removesuffix("...\n")
        lines += textwrap.wrap(
            field.description or "",
            98 - indent,
            initial_indent=f"{pad}# ",
            subsequent_indent=f"{pad}# ",
        )
        lines.append(f"{pad}{name}: {text.strip()}")
    return lines


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    try:
        is_file = path.is_file()
    except OSError:  # a name that no file can have
        is_file = False
    if is_file:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as text ({error})") from None
    elif str(source) in shipped():
        text = (_SHIPPED / f"{source}.yaml").read_text(encoding="utf-8")
    else:
        raise InputError(
            f"scenario {str(source)!r}: no such file, and the shipped scenarios are "
            f"{', '.join(shipped())}"
        )
    return _parse_yaml(text, str(source))


def _parse_yaml(text: str, where: str) -> dict[str, Any]:
    try:
        _refuse_duplicates(yaml.compose(text, yaml.SafeLoader), where)
        data = yaml.safe_load(text)
    except _UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"{where}: must be a mapping of settings, not {type(data).__name__}")
    return data


def _refuse_duplicates(node: yaml.Node | None, where: str) -> None:
    """Refuse two equal keys in a mapping, of which YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise InputError(f"{where}: line {key.start_mark.line + 1}: not a setting's name")
            if key.value in seen:
                line = key.start_mark.line + 1
                raise InputError(f"{where}: line {line}: the setting {key.value!r} appears twice")
            seen.add(key.value)
            _refuse_duplicates(value, where)


def _assign(data: dict[str, Any], assignment: str) -> None:
    path, equals, text = assignment.partition("=")
    if not equals or not all(path.strip().split(".")):
        raise InputError(f"--set {assignment!r}: must have the form section.setting=value")
    try:
        value = yaml.safe_load(text) if text.strip() else None
    except _UNREADABLE:
        raise InputError(f"--set {assignment!r}: the value is not valid YAML") from None
    put(data, path.strip(), value, where=f"--set {assignment!r}")


def put(data: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Set one value of plain settings.

    Raises
    ------
    InputError
        A part of the dotted path is a value, not a section.
    """
    path = _OLDER_NAMES.get(path, path)
    keys = path.split(".")
    for depth, key in enumerate(keys[:-1]):
        section = data.setdefault(key, {})
        if not isinstance(section, dict):
            raise InputError(f"{where}: {'.'.join(keys[: depth + 1])} is no section")
        data = section
    data[keys[-1]] = value
    for older, newer in _OLDER_NAMES.items():
        if newer == path:
            data.pop(older.rpartition(".")[2], None)


def value_at(data: Mapping[str, Any], path: str) -> Any:
    """Return the value of a dotted path in plain settings."""
    value: Any = data
    for key in path.split("."):
        value = value[key]
    return value


def split_values(text: str) -> tuple[str, list[Any]]:
    """Read ``a.b=1,2,3``: a dotted path and its values in YAML, lists in brackets.

    Raises
    ------
    InputError
        It has another form, or there is no value.
    """
    path, equals, values = text.partition("=")
    if not equals or not all(path.strip().split(".")):
        raise InputError(f"--vary {text!r}: must have the form section.setting=value,value")
    try:
        read = yaml.safe_load(f"[{values}]")
    except _UNREADABLE:
        raise InputError(f"--vary {text!r}: the values are not valid YAML") from None
    if not isinstance(read, list) or not read:
        raise InputError(f"--vary {text!r}: names no value")
    if any(isinstance(value, dict) for value in read):
        raise InputError(f"--vary {text!r}: a value must be a value or a list, not a section")
    return path.strip(), read


def _explain(error: ValidationError) -> str:
    """Turn the first validation error into one sentence; count the others."""
    errors = error.errors(include_url=False)
    first = errors[0]
    name = ".".join(str(part) for part in first["loc"]) or "settings"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown setting {name}; {_alternatives(first['loc'])}{more}"
    if first["type"] == "value_error" and isinstance(first["input"], Mapping):
        # A rule between settings: the sentence already names them.
        prefix = f"{name}: " if first["loc"] else ""
        return f"{prefix}{first['ctx']['error']}{more}"
    value = json.dumps(first["input"], default=str)
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{name} = {value}: {message}{more}"


def _alternatives(location: tuple[int | str, ...]) -> str:
    section: type[BaseModel] = Scenario
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
    names = list(section.model_fields)
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f"did you mean {close[0]}?" if close else f"allowed are {', '.join(names)}"
