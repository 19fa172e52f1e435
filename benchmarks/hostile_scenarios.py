"""Scenarios that are wrong in every way that a person, a program or an enemy makes them."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any, get_args

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from airtune.scenario import Scenario
from airtune.scenario.plausible import quantity_of

Path = tuple[str, ...]
EXTREMES: tuple[Any, ...] = (
    *(0, -1, 1, 2, 2**31, 2**63, 10**19, 10**30, -(10**30), 10**400),
    *(0.0, -0.0, 5e-324, 1e-300, 1e-30, 1e-9, 0.5, 1e9, 1e30, 1e300, 1.7e308, -1e308),
    *(math.inf, -math.inf, math.nan),
)
ODD: tuple[Any, ...] = (
    *(None, True, False, "", " ", "text", "null", "-", "0x10", "1_000", "1e", "e5", "NaN", "inf"),
    *([], [1], [1, 2, 3], [None], [[1]], {}, {"a": 1}, {"count": 3}, "[1, 2]", "a: b", "*", "&a"),
    *("2020-01-01", "12:30:45", "~", "yes", "off", "!!int 3", "١٢", "１２", "½", "∞"),
)
UNITS = (
    "Hz",
    "GHz",
    "dBm",
    "dB",
    "W",
    "kW",
    "ms",
    "s",
    "J",
    "km",
    "m",
    "%",
    "bit",
    "XHz",
    "",
    "µs",
)
TEXTS = (
    *("\\ud800", "\\udfff\\ud800", "\\0", "\\x1b[31m", "\\u202e", "\\u200b", "\\ufeff", "\\u2028"),
    *("\\u0085", "\\U0001F600", "é" * 300, "../../../etc/passwd", "/dev/zero", "/dev/null", "~"),
    *("a/b", "-rf", "$(id)", "%s%n", "{instruction}", "{{7*7}}", "con", "a" * 5000),
)
KEYS = (
    *("2020-01-01", "3", "3.5", "null", "true", "[a]", "{a: b}", "? [x]\n", "!!binary aGk=", "''"),
    *("<<", "=", "&a b", "*a", "!!python/name:os.system", "2020-01-01 10:00:00", "~", "0o7"),
)
PIECES = (
    *("\t", ":", "- ", "#", '"', "'", "%", "@", "`", "|", ">", "&x ", "*x", "!!set", "\x07", "?"),
    *("---\n", "...\n", "\r", "\0", "{", "}", "[", "]", "\ud800", "\n\n", "!!python/object:x"),
)


def _leaves(section: type[BaseModel], prefix: Path) -> Iterator[tuple[Path, FieldInfo]]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(kind, (*prefix, name))
        else:
            yield (*prefix, name), field


LEAVES = tuple(_leaves(Scenario, ()))
"""Path and definition of every setting."""

FREE = {
    *(("model", "source"), ("data", "source"), ("cache",), ("model", "adapter")),
    *(("data", "pretraining_corpus"), ("model", "trust_remote_code")),
}
"""Settings that name files or the hub; `hostile_files` has those."""


def put(tree: dict[str, Any], path: Path, value: Any) -> None:
    """Set one value of plain settings."""
    for name in path[:-1]:
        inner = tree.get(name)
        if not isinstance(inner, dict):
            inner = tree[name] = {}
        tree = inner
    tree[path[-1]] = value


def allowed(field: FieldInfo, draw: random.Random) -> Any:
    """Return a number that is allowed by itself and likely extreme; None: it is no number."""
    low, high, whole = -1e12, 1e12, False
    quantity = quantity_of(field)
    if quantity is not None and not quantity.is_level:
        low, high = quantity.computable
    known = list(field.metadata)
    for part in (field.annotation, *get_args(field.annotation)):
        whole = whole or part is int
        for one in get_args(part):
            whole = whole or one is int
            known += [one, *getattr(one, "metadata", [])]
    for one in known:
        for rule in (one, *getattr(one, "metadata", [])):
            if isinstance(rule, Ge | Gt):
                low = max(low, float(getattr(rule, "ge", getattr(rule, "gt", low))))
            if isinstance(rule, Le | Lt):
                high = min(high, float(getattr(rule, "le", getattr(rule, "lt", high))))
    if not (whole or field.annotation is float or quantity is not None):
        return None
    side = draw.choice((low, high, None, None))
    if side is None and low >= 0:
        side = math.exp(draw.uniform(math.log(max(low, high * 1e-24)), math.log(high)))
    if side is None:
        side = draw.uniform(low, high)
    return round(side) if whole else side


def _value(draw: random.Random, tree: dict[str, Any]) -> str:
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        put(tree, draw.choice(LEAVES)[0], draw.choice(EXTREMES + ODD))
    return dumped(tree)


def _lists(draw: random.Random, tree: dict[str, Any]) -> str:
    entries = [draw.choice(EXTREMES + ODD) for _ in range(draw.choice((0, 1, 2, 3, 10, 300)))]
    put(tree, draw.choice(LEAVES)[0], entries)
    return dumped(tree)


def _edges(draw: random.Random, tree: dict[str, Any]) -> str:
    """Several settings at once near the ends of what is allowed: their products meet."""
    for path, field in draw.sample(LEAVES, draw.choice((1, 2, 3, 6))):
        value = None if path in FREE else allowed(field, draw)
        if value is not None:
            put(tree, path, value)
    return dumped(tree)


def _units(draw: random.Random, tree: dict[str, Any]) -> str:
    number = draw.choice(("1", "-5", "1e400", "1e-400", "3,5", "9" * 5000, "0x3", "1e9999", "NaN"))
    text = f"{number}{draw.choice(('', ' ', '  '))}{draw.choice(UNITS)}"
    put(tree, draw.choice(LEAVES)[0], draw.choice((text, [text, text])))
    return dumped(tree)


def _unknown(draw: random.Random, tree: dict[str, Any]) -> str:
    path = draw.choice(LEAVES)[0]
    name = draw.choice((path[-1][:-1], path[-1].upper(), "x" * draw.choice((1, 300, 9000)), "a.b"))
    put(tree, (*path[:-1], name or "q"), draw.choice(ODD))
    return dumped(tree)


def _sections(draw: random.Random, tree: dict[str, Any]) -> str:
    """A section where a value is expected, and the other way round."""
    path = draw.choice(LEAVES)[0]
    depth = draw.randint(1, len(path))
    put(
        tree,
        path[:depth],
        draw.choice((3, None, "x", [1], {"a": {"b": {}}}, json.loads(json.dumps(tree)))),
    )
    return dumped(tree)


def _keys(draw: random.Random, tree: dict[str, Any]) -> str:
    key = draw.choice(KEYS)
    line = f"{key}: {draw.choice(('1', '{}', '[1]', '*a', '{seed: 3}'))}\n"
    section = draw.choice([path[0] for path, _ in LEAVES if len(path) > 1])
    return draw.choice((line, f"{section}:\n  {line}")) + dumped(tree)


def _nesting(draw: random.Random, tree: dict[str, Any]) -> str:
    depth = draw.choice((5, 29, 31, 100, 1000, 5000, 100_000))
    name = draw.choice(LEAVES)[0][0]
    opened, closed = draw.choice(
        (("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("[{a: ", "}]"))
    )
    text = f"{name}: " if opened in ("[", "{a: ", "[{a: ") else ""
    return f"{text}{opened * depth}1{closed * draw.choice((depth, depth - 1, 0))}\n"


def _aliases(draw: random.Random, tree: dict[str, Any]) -> str:
    kind = draw.choice(("bomb", "long", "self", "merge", "chain", "unknown"))
    path = ".".join(draw.choice(LEAVES)[0])
    if kind == "self":
        return draw.choice(("&a [*a]\n", "a: &a {b: *a}\n", "radio: &r\n  paths: *r\n"))
    if kind == "unknown":
        return f"{path}: *{draw.choice(('x', 'y' * 3000))}\n"
    if kind == "long":
        return (
            f"name: &a {'x' * draw.choice((100, 10_000))}\nschemes: [{', '.join(['*a'] * 9000)}]\n"
        )
    width, depth = draw.choice(((2, 30), (9, 9), (10, 100), (3, 4), (1, 2000)))
    lines = ["a0: &a0 [x, x]"]
    for i in range(1, depth):
        inner = ", ".join([f"*a{i - 1}"] * width)
        lines.append(f"a{i}: &a{i} " + (f"{{<<: [{inner}]}}" if kind == "merge" else f"[{inner}]"))
    return "\n".join(lines) + f"\n{path.split('.')[0]}: *a{depth - 1}\n"


def _unicode(draw: random.Random, tree: dict[str, Any]) -> str:
    path = draw.choice([path for path, _ in LEAVES if path not in FREE])
    put(tree, path, "MARK")
    return dumped(tree).replace("MARK", f'"{draw.choice(TEXTS)}"')


def _sizes(draw: random.Random, tree: dict[str, Any]) -> str:
    path = draw.choice(LEAVES)[0]
    size = draw.choice((300, 20_000, 150_000, 400_000, 3_000_000))
    kind = draw.choice(("text", "list", "keys", "comment", "digits"))
    if kind == "text":
        put(tree, path, "y" * size)
    elif kind == "digits":
        return f"{path[0]}: {'7' * size}\n"
    elif kind == "comment":
        return "#" * size + "\n" + dumped(tree)
    elif kind == "list":
        return f"{path[0]}: [{'1,' * min(size // 2, 150_000)}1]\n"
    else:
        return "".join(f"k{i}: 1\n" for i in range(min(size // 7, 60_000)))
    return dumped(tree)


def _characters(draw: random.Random, tree: dict[str, Any]) -> str:
    text = list(dumped(tree))
    for _ in range(draw.choice((1, 3, 30))):
        at = draw.randrange(len(text) + 1)
        text[at : at + draw.choice((0, 1, 20))] = draw.choice(PIECES)
    return "".join(text)


def _extends(draw: random.Random, tree: dict[str, Any]) -> str:
    wanted = draw.choice(("quickstart", ".", "..", "/", "", "'a\\0'", "[a]", "3", "x" * 300, "*"))
    return f"extends: {wanted}\n" + dumped(tree)


MUTATIONS: dict[str, Callable[[random.Random, dict[str, Any]], str]] = {
    "types and extremes": _value,
    "lists": _lists,
    "edges": _edges,
    "units": _units,
    "unknown keys": _unknown,
    "sections": _sections,
    "odd keys": _keys,
    "nesting": _nesting,
    "aliases": _aliases,
    "unicode": _unicode,
    "sizes": _sizes,
    "characters": _characters,
    "extends": _extends,
}


def dumped(tree: dict[str, Any]) -> str:
    """Return plain settings as YAML."""
    return yaml.safe_dump(json.loads(json.dumps(tree), parse_constant=float), sort_keys=False)


def mutated(
    draw: random.Random, base: dict[str, Any], kinds: tuple[str, ...] = ()
) -> tuple[str, str]:
    """Return the kind of a mutation and the text of the mutated scenario.

    Parameters
    ----------
    draw : random.Random
    base : dict
        Settings to start from; they stay as they are.
    kinds : tuple of str
        Kinds to choose from; all by default.
    """
    kind = draw.choice(kinds or tuple(MUTATIONS))
    return kind, MUTATIONS[kind](draw, json.loads(json.dumps(base)))
