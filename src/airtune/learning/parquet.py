"""Rows of a parquet file, counted before they are taken.

Few bytes of such a file may hold any number of rows and values: what is the same, or missing, is
written once.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from airtune.errors import InputError, clip
from airtune.learning.pages import pages
from airtune.memory import PARSED, demand

BATCH = 256
"""Rows that are unpacked before their memory is counted."""

VALUES = 4_000_000
"""Values that any file may hold; beyond these each must have a byte of the file.

In JSON a value takes two bytes at least, so that the size of the file bounds the time that it
takes; here only a limit does."""

ROW = 400.0
"""Memory of a row without its columns: its place, and the record or the reason that it becomes
[bytes]."""

OBJECT = 64.0
"""Memory of a Python object over that of what it holds [bytes]."""

POINTER = 9.0
"""Memory of naming an object in a list, which keeps room for some more [bytes]."""

STEP = 2.0**20
"""Memory between two looks at how much there is [bytes]."""

PAGE = 8
"""Values that take as long as the header of a page."""

NAMES = 100
"""Names of columns that are not read which a row knows, for messages, which clip them."""


class PartialRow(dict[str, Any]):
    """A row of which only the columns in use were read.

    Attributes
    ----------
    unread : tuple of str
        Names of other columns, the first `NAMES` in order.
    """

    __slots__ = ("unread",)

    def __init__(self, values: dict[str, Any], unread: tuple[str, ...]) -> None:
        super().__init__(values)
        self.unread = unread


def column_names(row: Mapping[str, Any]) -> list[str]:
    """Return the names of a row's columns in order, read or not, for messages."""
    return sorted([*map(str, row), *getattr(row, "unread", ())])


def read_parquet(path: Path, columns: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the rows of a parquet file.

    Parameters
    ----------
    path : Path
    columns : collection of str, optional
        The columns that are read, where the file has them; by default all.

    Raises
    ------
    InputError
        It is no parquet file, has more rows and values than `VALUES` and its bytes, or its rows
        need more memory than there is.
    """
    try:
        return list(_rows(path, columns))
    except InputError:
        raise
    except Exception as error:  # of Arrow, of its readers of types, of what they call
        why = clip((str(error) or type(error).__name__).split("\n")[0])
        raise InputError(f"data.source: {clip(path)} is not a parquet file ({why})") from None


def _rows(path: Path, columns: Collection[str] | None) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    about = parquet.read_metadata(path)
    schema = about.schema.to_arrow_schema()
    names = dict.fromkeys(schema.names)
    used = [name for name in names if columns is None or name in columns]
    starts = tuple(f"{name}." for name in used)
    leaves = [
        (index, leaf)
        for index, leaf in enumerate(map(about.schema.column, range(about.num_columns)))
        if f"{leaf.path}.".startswith(starts)
    ]
    count = _Count(path, len(used))
    kinds = [field.type for field in schema if field.name in used]
    count.foresee(about, leaves, max(map(_padded, kinds), default=1))
    # What the file holds once for many rows stays so until all of these have been counted.
    texts = [leaf.path for _, leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    unread = tuple(sorted(names.keys() - {*used})[:NAMES])
    # A batch of two groups has nested texts of two dictionaries, which Arrow cannot join.
    nested = any("." in text for text in texts)
    each = [[group] for group in range(about.num_row_groups)] if nested else [None]
    with parquet.ParquetFile(path, metadata=about, read_dictionary=texts) as file:
        for groups in each:
            for batch in file.iter_batches(BATCH, row_groups=groups, columns=used):
                count.add(batch)
                rows = batch.to_pylist()
                yield from (PartialRow(row, unread) for row in rows) if unread else rows


class _Count:
    """What has been read of a file, and the refusal of more than is allowed.

    Parameters
    ----------
    path : Path
    columns : int
        Number of columns that are read.
    """

    def __init__(self, path: Path, columns: int) -> None:
        self.path, self.what = path, f"data.source: {clip(path)}"
        self.file_bytes = path.stat().st_size
        self.row_bytes = ROW + sys.getsizeof(str(path)) + _dict_bytes(columns)
        self.bytes = self.values = self.demanded = 0.0

    def foresee(self, about: Any, leaves: list[tuple[int, Any]], padded: int) -> None:
        """Refuse by what the file says of itself: its metadata, and its pages."""
        groups = [about.row_group(index) for index in range(about.num_row_groups)]
        values = float(max(about.num_rows, sum(max(group.num_rows, 0) for group in groups)))
        size = values * self.row_bytes
        self._check_values(values)
        with self.path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            for group in groups:
                for index, leaf in leaves:
                    chunk = group.column(index)
                    fixed = leaf.physical_type == "FIXED_LEN_BYTE_ARRAY"
                    value_bytes = padded * (POINTER + (max(leaf.length, 0) if fixed else 0))
                    begin = chunk.dictionary_page_offset or chunk.data_page_offset
                    left = max(chunk.num_values, 0)
                    values += left
                    size += value_bytes * left
                    self._check_values(values)
                    for page in pages(data, min(begin, chunk.data_page_offset), left):
                        # Beyond what the metadata says, and the page itself, which takes time.
                        more = max(page.values - left, 0)
                        left = max(left - page.values, 0)
                        values += PAGE + more
                        size += value_bytes * more + PARSED * page.size
                        self._check_values(values)
        self._demand(size)

    def add(self, batch: Any) -> None:
        """Count the rows of a batch before they become Python objects."""
        self.values += batch.num_rows
        self.bytes += batch.num_rows * self.row_bytes
        for column in batch.columns:
            values, size = _unpacked(column)
            self.values += values
            self.bytes += size
        self._check_values(self.values)
        if self.bytes > self.demanded + STEP:
            self._demand(self.bytes)

    def _check_values(self, values: float) -> None:
        if values > VALUES + self.file_bytes:
            raise InputError(
                f"{self.what}: its {self.file_bytes} bytes hold at least {values:.0f} rows "
                f"and values; at most {VALUES} and one for each byte are read"
            )

    def _demand(self, size: float) -> None:
        self.demanded = max(self.demanded, size)
        demand(f"{self.what}: its records", size)


def _padded(kind: Any) -> int:
    """Return for how many values of Arrow one of the file may stand: a list of fixed size.

    One that is missing is a single value in the file, and as long as all others in memory.
    """
    from pyarrow import BaseExtensionType, types

    if isinstance(kind, BaseExtensionType):
        return _padded(kind.storage_type)
    if types.is_struct(kind):
        return max((_padded(kind.field(i).type) for i in range(kind.num_fields)), default=1)
    if types.is_map(kind):
        return max(_padded(kind.key_type), _padded(kind.item_type))
    if types.is_fixed_size_list(kind):
        return max(int(kind.list_size), 1) * _padded(kind.value_type)
    return _padded(kind.value_type) if _is_list(kind) else 1


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def _unpacked(column: Any) -> tuple[float, float]:
    """Return the number of values of a column of Arrow, and their bytes as Python objects.

    Texts count anew for each row that names them.
    """
    from pyarrow import BaseExtensionType, compute, types

    kind, number = column.type, float(len(column))
    if not number:
        return 0.0, 0.0
    if isinstance(kind, BaseExtensionType):
        values, size = _unpacked(column.storage)
        return values, size + number * OBJECT
    if types.is_struct(kind):
        return _sum(column.flatten(), number, number * _dict_bytes(kind.num_fields))
    if types.is_map(kind):  # a list of tuples of two
        first, last = column.offsets[0].as_py(), column.offsets[-1].as_py()
        parts = [part.slice(first, last - first) for part in (column.keys, column.items)]
        return _sum(parts, number, (number + last - first) * (OBJECT + POINTER))
    if _is_list(kind):
        return _sum([column.flatten()], number, number * (OBJECT + POINTER))
    if types.is_null(kind) or types.is_boolean(kind):
        return number, number * POINTER
    size = number * (OBJECT + POINTER)
    if types.is_dictionary(kind) and not types.is_primitive(kind.value_type):
        lengths = compute.binary_length(column.dictionary).take(column.indices.drop_null())
        return number, size + PARSED * float(compute.sum(lengths).as_py() or 0)
    return number, size + PARSED * float(column.nbytes)


def _sum(parts: Iterable[Any], values: float, size: float) -> tuple[float, float]:
    for part in parts:
        more, bigger = _unpacked(part)
        values, size = values + more, size + bigger
    return values, size


def _dict_bytes(keys: int) -> float:
    """Return the memory of a dict with so many keys, its values apart [bytes]."""
    return float(sys.getsizeof(dict.fromkeys(map(str, range(keys))))) + POINTER
