"""Headers of the pages of a parquet file, which its metadata may belie.

A reader takes the memory that a page's header asks for, whatever the metadata of its column said.
The format is Apache Parquet's ``PageHeader`` in Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

_DATA, _DATA_V2 = 5, 8
"""Fields of a header that hold those of a page of values, of either version."""

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)


class Page(NamedTuple):
    """What the header of a page says.

    Attributes
    ----------
    values : int
        Number of values, nulls among them; 0 for a dictionary.
    size : int
        Bytes without compression.
    """

    values: int
    size: int


def pages(data: Any, offset: int, values: int) -> Iterator[Page]:
    """Yield the pages of a column chunk, up to the one that completes its values.

    Parameters
    ----------
    data : buffer
        The file.
    offset : int
        Of the first page [bytes].
    values : int
        What the metadata of the chunk says: the reader takes pages until it has so many.

    Raises
    ------
    ValueError
        There is no header where one must be.
    """
    while values > 0:
        try:
            header, offset = _struct(data, offset)
            held = header.get(_DATA) or header.get(_DATA_V2) or {1: 0}
            page, stored = Page(held[1], header[2]), header[3]
        except (IndexError, KeyError, TypeError):
            raise ValueError(f"no page at byte {offset}") from None
        if min(*page, stored, offset) < 0:
            raise ValueError(f"a page of negative size before byte {offset}")
        yield page
        values -= page.values
        offset += stored


def _struct(data: Any, at: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a struct by number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        kind = head & 15
        if kind in (_TRUE, _FALSE):  # the value is the kind
            fields[number] = kind == _TRUE
        else:
            fields[number], at = _value(data, at, kind)
    return fields, at + 1


def _value(data: Any, at: int, kind: int) -> tuple[Any, int]:
    """Return a value, None for what is only passed over, and where it ends."""
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _STRUCT:
        return _struct(data, at)
    if kind in (_TRUE, _FALSE, _BYTE):
        return None, at + 1
    if kind == _DOUBLE:
        return None, at + 8
    if kind == _BINARY:
        length, at = _unsigned(data, at)
        return None, at + length
    if kind in (_LIST, _SET):
        head, at = data[at], at + 1
        number = head >> 4
        if number == 15:
            number, at = _unsigned(data, at)
        for _ in range(number):
            at = _value(data, at, head & 15)[1]
            data[at]
        return None, at
    raise TypeError


def _unsigned(data: Any, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte, at = data[at], at + 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise TypeError


def _integer(data: Any, at: int) -> tuple[int, int]:
    number, at = _unsigned(data, at)
    return (number >> 1) ^ -(number & 1), at
