"""YAML text into plain settings, and files that extend others."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from airtune.errors import InputError, clip, shown

_UNREADABLE = (yaml.YAMLError, ValueError, TypeError, RecursionError)
"""What PyYAML raises on text that holds no plain settings: dates, odd keys, endless nesting."""

MOST_BYTES = 1_000_000
"""Longest text that is read; the lists of 10 000 clients take a third of it."""

_MOST_NODES, _MOST_CHARACTERS = 100_000, 2 * MOST_BYTES
"""Values of a file, and characters in them, at most, with every alias written out."""

_DEEPEST = 30
"""Sections and lists in one another at most."""

_MOST_DIGITS = 400

_TEXT, _MERGE, _WHOLE = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "merge", "int"))

EXTENDS = "extends"
"""The key of a file that names the scenario it builds on."""

OLDER_NAMES = {"training.objective": "training.client_objective"}
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


class _Loader(yaml.SafeLoader):
    """Reads plain values only, none in endless depth, and refuses two equal keys in a mapping, of
    which YAML's usual readers silently keep the last."""

    _depth = _count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Read a value and count it, before anything is made of it."""
        self._depth += 1
        self._count += 1
        if self._depth > _DEEPEST or self._count > _MOST_NODES:
            reader: Any = self  # its types are not complete
            line = f"line {reader.peek_event().start_mark.line + 1}"
            if self._depth > _DEEPEST:
                raise _RefusedError(f"{line}: YAML values in more than {_DEEPEST} others")
            raise _RefusedError(f"{line}: holds more than {_MOST_NODES} values")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        """Read a mapping; its keys are single values, all different."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            line = f"line {key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode) or key.tag not in (_TEXT, _MERGE):
                written = f"{shown(key.value)} is " if isinstance(key, yaml.ScalarNode) else ""
                raise _RefusedError(f"{line}: {written}not a setting's name")
            if (key.tag, key.value) in seen:
                raise _RefusedError(f"{line}: the setting {shown(key.value)} appears twice")
            seen.add((key.tag, key.value))
        return node


class _RefusedError(Exception):
    """What is wrong with a YAML text that YAML itself allows."""


def parse_yaml(text: str, where: str) -> Any:
    """Read YAML text of plain values.

    Raises
    ------
    InputError
        It is not valid YAML, gives a key twice, refers to itself, or is too long, too deep or too
        large with its aliases written out; begins with `where`.

    Examples
    --------
    >>> parse_yaml("seed: 3", "x.yaml")
    {'seed': 3}
    >>> parse_yaml("seed: 3\\nseed: 4", "x.yaml")
    Traceback (most recent call last):
    ...
    airtune.errors.InputError: x.yaml: line 2: the setting 'seed' appears twice
    """
    if len(text) > MOST_BYTES:
        raise InputError(f"{where}: is longer than {MOST_BYTES} characters")
    try:
        loader = _Loader(text)
    except _UNREADABLE as error:  # characters that no YAML text has
        raise InputError(f"{where}: not valid YAML: {clip(' '.join(str(error).split()))}") from None
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        nodes, characters, depth = _size(node, {})
        if depth > _DEEPEST:
            raise _RefusedError(f"holds YAML values in more than {_DEEPEST} others")
        if nodes > _MOST_NODES:
            raise _RefusedError(f"holds more than {_MOST_NODES} values")
        if characters > _MOST_CHARACTERS:
            raise _RefusedError(f"holds more than {_MOST_CHARACTERS} characters of values")
        return loader.construct_document(node)
    except _RefusedError as error:
        raise InputError(f"{where}: {error}") from None
    except _UNREADABLE as error:
        raise InputError(f"{where}: not valid YAML: {clip(' '.join(str(error).split()))}") from None
    finally:
        loader.dispose()


_Size = tuple[int, int, int]


def _size(node: yaml.Node, known: dict[int, _Size]) -> _Size:
    """Return how many values are under a node, how many characters, and how deep they go.

    Aliases are counted each time they are used.
    """
    if isinstance(node, yaml.ScalarNode):
        _check_text(node)
        return 1, len(node.value), 1
    size = known.get(id(node))
    if size == (0, 0, 0):
        raise ValueError("a value that contains itself")
    if size is None:
        known[id(node)] = (0, 0, 0)
        pairs = isinstance(node, yaml.MappingNode)
        parts = [value for _, value in node.value] if pairs else node.value
        sizes = [_size(part, known) for part in parts]
        names = sum(len(key.value) for key, _ in node.value) if pairs else 0
        size = known[id(node)] = (
            1 + sum(size[0] for size in sizes),
            names + sum(size[1] for size in sizes),
            1 + max((size[2] for size in sizes), default=0),
        )
    return size


def _check_text(node: yaml.ScalarNode) -> None:
    """Refuse text that no file name and no model can hold, and numbers without end.

    These are zero bytes and halves of characters, and whole numbers that Python will not write.
    """
    line = f"line {node.start_mark.line + 1}"
    if node.tag == _WHOLE and len(node.value) > _MOST_DIGITS:
        raise _RefusedError(f"{line}: a number of more than {_MOST_DIGITS} digits")
    found = re.search("[\0\ud800-\udfff]", node.value)
    if found:
        code = f"\\u{ord(found.group()):04x}"
        raise _RefusedError(f"{line}: the text {shown(node.value)} holds {code}, which is no text")


@dataclass
class PlainSettings:
    """Settings before they are validated, and the file that each was read from.

    Attributes
    ----------
    values : dict
    origins : dict
        Dotted path to the file that gave the value; for a section, to the first that has it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def overridden(self, path: str, where: str) -> None:
        """Note that a setting or a whole section has been set anew."""
        for one in [x for x in self.origins if x.startswith(f"{path}.")]:
            del self.origins[one]
        self.origins[path] = where

    def origin(self, path: str, default: str) -> str:
        """Return the file that a setting was read from, or what it is in.

        `default` is returned for a section that several files have a part in.
        """
        below = {file for one, file in self.origins.items() if one.startswith(f"{path}.")}
        if below:
            return below.pop() if len(below) == 1 else default
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path.rpartition(".")[0]
        return default


def read(source: str | Path) -> PlainSettings:
    """Read a file or a shipped scenario, with everything that it extends.

    Raises
    ------
    InputError
        A file is missing, cannot be read or is no mapping of settings, or a file extends itself.
    """
    settings = PlainSettings()
    for where, values in reversed(_chain(source)):
        _merge(settings.values, values, settings.origins, where, "")
    return settings


def _chain(source: str | Path) -> list[tuple[str, dict[str, Any]]]:
    """Return name and content of a file and of those that it extends, each after who extends it."""
    chain: list[tuple[str, dict[str, Any]]] = []
    seen: list[Path | str] = []
    wanted: str | Path = source
    folder: Path | None = None
    while True:
        names = " -> ".join(clip(name) for name, _ in chain)
        text, where, identity = _find(
            wanted, folder, f"{chain[-1][0]}: extends = " if chain else ""
        )
        if identity in seen:
            raise InputError(f"{names} -> {clip(where)}: extends itself in a circle")
        seen.append(identity)
        data = parse_yaml(text, clip(where))
        if data is None:
            data = {}
        if not isinstance(data, dict):
            kind = type(data).__name__
            raise InputError(f"{clip(where)}: must be a mapping of settings, not {kind}")
        wanted = data.pop(EXTENDS, None)
        chain.append((where, _with_newer_names(data, where)))
        if wanted is None:
            return chain
        if not isinstance(wanted, str) or not wanted.strip():
            raise InputError(
                f"{clip(where)}: extends = {shown(wanted)}: must be a file, or the name of a "
                f"shipped scenario ({', '.join(shipped())})"
            )
        folder = identity.parent if isinstance(identity, Path) else None


def _find(source: str | Path, folder: Path | None, subject: str) -> tuple[str, str, Path | str]:
    """Return text, name for messages and identity of a file or a shipped scenario.

    `folder` is what relative names begin at; `subject` begins the message about a missing file.
    """
    path = Path(source) if folder is None else folder / source
    inside = bool(subject) and folder is None  # a shipped scenario extends shipped ones only
    try:
        is_file = not inside and path.exists() and not path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        is_file = False
    if is_file:
        try:
            return _text_of(path), str(path), path.resolve()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{clip(path)}: cannot be read as text ({clip(error)})") from None
    if str(source) in shipped():
        text = (_SHIPPED / f"{source}.yaml").read_text(encoding="utf-8")
        return text, str(source), str(source)
    raise InputError(
        f"{clip(subject) if subject else 'scenario '}{shown(str(source))}: no such file, and the "
        f"shipped scenarios are {', '.join(shipped())}"
    )


def _text_of(path: Path) -> str:
    """Return the text of a file; nothing that may never end is waited for, or read on and on.

    Raises
    ------
    InputError
        It is a pipe or a device, longer than `MOST_BYTES`, or has no end.
    OSError, UnicodeDecodeError
        It cannot be read, or is no text.
    """
    pieces, left = [], MOST_BYTES + 1
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(f"{clip(path)}: is a pipe or a device; must be a file")
        while left > 0 and (piece := file.read(left)) != b"":
            if piece is None:  # whoever writes it has not finished
                raise InputError(f"{clip(path)}: has no end; must be a file")
            pieces.append(piece)
            left -= len(piece)
    if left <= 0:
        raise InputError(f"{clip(path)}: is longer than {MOST_BYTES} bytes")
    text = b"".join(pieces).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _with_newer_names(data: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the settings of a file without the older names of settings.

    Raises
    ------
    InputError
        The two names of one setting have different values.
    """
    for older, newer in OLDER_NAMES.items():
        section, _, last = older.partition(".")
        inside, newer_last = data.get(section), newer.partition(".")[2]
        if isinstance(inside, dict) and last in inside:
            inside = dict(inside)
            value = inside.pop(last)
            if inside.setdefault(newer_last, value) != value:
                raise InputError(
                    f"{clip(where)}: {newer} = {clip(inside[newer_last])} and {older} = "
                    f"{clip(value)}: two names of one setting; must not differ"
                )
            data = {**data, section: inside}
    return data


def _merge(
    target: dict[str, Any], values: Mapping[str, Any], origins: dict[str, str], where: str, at: str
) -> None:
    """Put the settings of a file over those of what it extends: sections by setting."""
    for key, value in values.items():
        path = f"{at}{key}"
        if isinstance(value, dict):
            if not isinstance(target.get(key), dict):
                target[key] = {}
                origins[path] = where
            _merge(target[key], value, origins, where, f"{path}.")
        else:
            target[key] = value
            origins[path] = where
