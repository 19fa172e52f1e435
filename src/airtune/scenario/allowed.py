"""What a setting may be, in words, by its JSON schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]


def allowed(schema: Schema) -> str:
    """Return what a setting may be.

    Parameters
    ----------
    schema : mapping
        JSON schema of the setting; names of a registry, which others can add to, are those in it.

    Examples
    --------
    >>> allowed({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "null"}]})
    'a whole number (1 .. 9) or null'
    >>> allowed({"enum": ["shared", "own"], "type": "string"})
    'shared or own'
    """
    kinds = list(_kinds(schema))
    numbers = any(kind.get("type") in ("number", "integer") for kind in kinds)
    named = any("enum" in kind for kind in kinds)
    # text is a number with its unit there, or a name that has been added
    texts = not (numbers or named)
    words = [word for kind in kinds if texts or not _is_text(kind) for word in _words(kind) if word]
    *others, last = dict.fromkeys(words) or ("another value",)
    return f"{', '.join(others)} or {last}" if others else last


def _kinds(schema: Schema) -> Iterator[Schema]:
    for kind in schema.get("anyOf", [schema]):
        if "anyOf" in kind:
            yield from _kinds(kind)
        else:
            yield kind


def _is_text(kind: Schema) -> bool:
    return kind.get("type") == "string" and "enum" not in kind and "const" not in kind


def _words(kind: Schema) -> Iterator[str]:
    sort = kind.get("type")
    if "enum" in kind:
        yield from map(str, kind["enum"])
    elif "const" in kind:
        yield str(kind["const"])
    elif sort in ("number", "integer"):
        yield f"{'a whole number' if sort == 'integer' else 'a number'}{_limits(kind)}"
    elif sort == "array":
        entries = kind.get("prefixItems", [])
        inside = list(_kinds(entries[0] if entries else kind.get("items", {})))
        count = f"{len(entries)} " if entries else ""
        numbers = any(one.get("type") in ("number", "integer") for one in inside)
        yield f"a list of {count}{'numbers' if numbers else 'names'}"
    elif sort == "object":
        yield "a section of names, each with its value"
    else:
        yield {"string": "text", "boolean": "true, false", "null": "null"}.get(str(sort), "")


def _limits(kind: Schema) -> str:
    if "minimum" in kind and "maximum" in kind:
        return f" ({_text(kind['minimum'])} .. {_text(kind['maximum'])})"
    signs = {">": "exclusiveMinimum", ">=": "minimum", "<": "exclusiveMaximum", "<=": "maximum"}
    limits = [f"{sign} {_text(kind[name])}" for sign, name in signs.items() if name in kind]
    return f" ({', '.join(limits)})" if limits else ""


def _text(limit: float) -> str:
    """Return a number in short where that is the same number."""
    short = f"{limit:g}"
    return short if float(short) == limit else str(limit)
