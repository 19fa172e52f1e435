"""Scenarios as files: YAML in, YAML out, ``--set`` overrides, one clear message on bad input."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from airtune.errors import InputError, clip, shown
from airtune.scenario import Scenario
from airtune.scenario.explain import explain
from airtune.scenario.reading import EXTENDS, OLDER_NAMES, PlainSettings, parse_yaml, read, shipped

__all__ = [
    "commented",
    "dump",
    "load",
    "newer_name",
    "parse",
    "put",
    "shipped",
    "split_values",
    "value_at",
]

_DEEPEST = 10
"""Dots in the path of a setting at most; no scenario has more than three."""


def load(
    source: str | Path,
    overrides: Sequence[str] = (),
    unnamed: Mapping[str, Any] | None = None,
) -> Scenario:
    """Read a scenario.

    Parameters
    ----------
    source : str or Path
        A YAML file, or the name of a shipped scenario.  A file with ``extends: NAME_OR_FILE`` holds
        what differs from another file (named relative to it) or from a shipped scenario.
    overrides : sequence of str
        Assignments ``a.b=c``; the value is read as YAML.
    unnamed : mapping, optional
        Values, by dotted path, of settings that the file does not name, in place of the defaults.

    Raises
    ------
    InputError
        The file is missing or not YAML, a key is unknown, or a value is not allowed.
    """
    settings = read(source)
    for path, value in (unnamed or {}).items():
        if not _is_named(settings.values, path):
            put(settings.values, path, value, str(source))
    named: dict[str, tuple[str, Any]] = {}
    for assignment in overrides:
        written, value = _assign(settings.values, assignment)
        path = newer_name(written)
        other, before = named.setdefault(path, (written, value))
        if other != written and before != value:
            raise InputError(
                f"--set {clip(f'{other}={before}')} and --set {clip(f'{written}={value}')}: "
                "two names of one setting; must not differ"
            )
        named[path] = (written, value)
        settings.overridden(path, "--set")
    return _validated(settings, where=str(source))


def parse(data: Mapping[str, Any], where: str = "scenario") -> Scenario:
    """Validate plain settings.

    Raises
    ------
    InputError
        A key is unknown or a value is not allowed; names the setting, value and what is allowed.
    """
    return _validated(PlainSettings(dict(data)), where)


def _validated(settings: PlainSettings, where: str) -> Scenario:
    try:
        return Scenario.model_validate(settings.values)
    except ValidationError as error:
        path, sentence = explain(error)
        raise InputError(f"{clip(_giver(settings, path, sentence, where))}: {sentence}") from None


def _giver(settings: PlainSettings, path: str, sentence: str, where: str) -> str:
    """Return what gave the values that a sentence is about: a file, or ``--set``.

    A rule between settings has no path, or that of a section; the settings that were given are
    then those that the sentence names.
    """
    named = re.findall(r"[a-z_]+(?:\.[a-z_0-9]+)+", sentence)
    givers = {settings.origins[name] for name in named if name in settings.origins}
    if path not in settings.origins and len(givers) == 1:
        return givers.pop()
    return settings.origin(path, where)


def dump(scenario: Scenario) -> str:
    """Return the scenario as YAML that :func:`load` reads back to an equal scenario."""
    return yaml.safe_dump(scenario.to_dict(), sort_keys=False, width=100)


def commented(scenario: Scenario) -> str:
    """Return the scenario as YAML with each setting's description as a comment.

    Behind a value that is not the default the default stands, as what a file without that line has.
    """
    head = (
        f"# A scenario of airtune.  Run it:  airtune compare {scenario.name}.yaml\n"
        "# Every setting is shown with its value.  A line left out takes its default, which\n"
        "# stands behind values that differ from it.\n"
        "# A number may have its unit: 3.5GHz, 20ms, 0dBm.\n"
        "# A file may also hold only what differs from another file or a shipped scenario,\n"
        "# with a line that names it:  extends: quickstart\n"
    )
    return head + "\n".join(_commented_lines(scenario, Scenario(), indent=0)) + "\n"


def _commented_lines(section: BaseModel, defaults: BaseModel, indent: int) -> list[str]:
    pad, lines = " " * indent, []
    for name, field in type(section).model_fields.items():
        value, default = getattr(section, name), getattr(defaults, name)
        if isinstance(value, BaseModel):
            about = (type(value).__doc__ or "").split("\n")[0]
            lines += ["", f"{pad}# {about}"] if indent == 0 else [f"{pad}# {about}"]
            lines += [f"{pad}{name}:", *_commented_lines(value, default, indent + 2)]
            continue
        lines += textwrap.wrap(
            field.description or "",
            98 - indent,
            initial_indent=f"{pad}# ",
            subsequent_indent=f"{pad}# ",
        )
        differs = "" if value == default else f"  # default: {_on_a_line(defaults, name)}"
        lines.append(f"{pad}{name}: {_on_a_line(section, name)}{differs}")
    return lines


def _on_a_line(section: BaseModel, name: str) -> str:
    """Return the value of a setting as YAML on one line."""
    plain = section.model_dump(mode="json", include={name})[name]
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()


def _assign(data: dict[str, Any], assignment: str) -> tuple[str, Any]:
    """Set what an assignment says, and return its path as written and its value."""
    where = f"--set {shown(assignment)}"
    path, equals, text = assignment.partition("=")
    path = path.strip()
    if not equals or not all(path.split(".")):
        raise InputError(f"{where}: must have the form section.setting=value")
    if path.count(".") > _DEEPEST:
        raise InputError(f"{where}: no setting lies below {_DEEPEST} sections")
    if path == EXTENDS:
        raise InputError(f"{where}: {EXTENDS} stands in files; name the scenario itself")
    value = _value(text, where) if text.strip() else None
    put(data, path, value, where)
    return path, value


def _value(text: str, where: str) -> Any:
    """Read the value of an option as YAML."""
    try:
        return parse_yaml(text, where)
    except InputError as error:
        if "not valid YAML" in str(error):
            raise InputError(f"{where}: the value is not valid YAML") from None
        raise


def newer_name(path: str) -> str:
    """Return the name by which a setting goes today, for a dotted path that may be an older one."""
    return OLDER_NAMES.get(path, path)


def put(data: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Set one value of plain settings.

    Raises
    ------
    InputError
        A part of the dotted path is a value, not a section.
    """
    path = newer_name(path)
    keys = path.split(".")
    for depth, key in enumerate(keys[:-1]):
        section = data.setdefault(key, {})
        if not isinstance(section, dict):
            raise InputError(f"{where}: {clip('.'.join(keys[: depth + 1]))} is no section")
        data = section
    data[keys[-1]] = value
    for older, newer in OLDER_NAMES.items():
        if newer == path:
            data.pop(older.rpartition(".")[2], None)


def _is_named(data: Mapping[str, Any], path: str) -> bool:
    """Tell whether plain settings hold a dotted path, or something else where a section is due."""
    section: Any = data
    for key in path.split("."):
        if not isinstance(section, Mapping):
            return True
        if key not in section:
            return False
        section = section[key]
    return True


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
    where = f"--vary {shown(text)}"
    path, equals, values = text.partition("=")
    if not equals or not all(path.strip().split(".")):
        raise InputError(f"{where}: must have the form section.setting=value,value")
    read_values = _value(f"[{values}]", where)
    if not isinstance(read_values, list) or not read_values:
        raise InputError(f"{where}: names no value")
    if any(isinstance(value, dict) for value in read_values):
        raise InputError(f"{where}: a value must be a value or a list, not a section")
    return path.strip(), read_values
