"""Parquet files are counted before they are unpacked, and columns in use alone are read."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.errors import MESSAGE, InputError
from airtune.learning import parquet
from airtune.learning.formats import FORMATS, read_records, to_records, used_fields
from airtune.learning.pages import pages
from airtune.learning.rows import read_rows
from airtune.scenario.learning import Data

pyarrow = pytest.importorskip("pyarrow")


def write(path: Path, *, store_schema: bool = True, **columns: Any) -> Path:
    from pyarrow import parquet as files

    table = pyarrow.table(columns)
    files.write_table(table, path, store_schema=store_schema, compression="zstd")
    return path


def one_list(values: Any) -> Any:
    return pyarrow.ListArray.from_arrays(pyarrow.array([0, len(values)], pyarrow.int32()), values)


def talk(texts: Any) -> Any:
    said = pyarrow.StructArray.from_arrays([texts], ["content"])
    return pyarrow.ListArray.from_arrays(
        pyarrow.array(range(len(texts) + 1), pyarrow.int32()), said
    )


def pairs(number: int) -> Any:
    kind = pyarrow.map_(pyarrow.string(), pyarrow.int64())
    return pyarrow.array([[("a", 1), ("b", 2)]] * number, kind)


def columns_of(kind: str, number: int) -> Any:
    """A column of so many values of a kind, which takes few bytes in a file."""
    nothing = pyarrow.struct([(name, pyarrow.string()) for name in "abcdefgh"])
    fixed = pyarrow.FixedSizeListArray
    made = {
        "null": lambda: pyarrow.nulls(number),
        "bool": lambda: pyarrow.repeat(True, number),
        "integer": lambda: pyarrow.array(range(10**9, 10**9 + number)),
        "text": lambda: pyarrow.repeat("x", number),
        "wide text": lambda: pyarrow.repeat("x" * 99 + "\U0001f642", number),
        "bytes": lambda: pyarrow.repeat(b"x", number),
        "time": lambda: pyarrow.repeat(
            pyarrow.scalar(1, pyarrow.timestamp("ns", "Europe/Berlin")), number
        ),
        "decimal": lambda: pyarrow.array([1] * number).cast(pyarrow.decimal128(20, 1)),
        "uuid": lambda: pyarrow.ExtensionArray.from_storage(
            pyarrow.uuid(), pyarrow.array([b"x" * 16] * number, pyarrow.binary(16))
        ),
        "list of nulls": lambda: one_list(pyarrow.nulls(number)),
        "list of bools": lambda: one_list(pyarrow.repeat(True, number)),
        "list of texts": lambda: one_list(pyarrow.repeat("x", number)),
        "list of records": lambda: one_list(pyarrow.nulls(number, nothing)),
        "records": lambda: pyarrow.StructArray.from_arrays(
            [pyarrow.nulls(number, pyarrow.string())] * 8, list("abcdefgh")
        ),
        "lists": lambda: talk(pyarrow.repeat("x", number)),
        "maps": lambda: pairs(number),
        "fixed lists": lambda: fixed.from_arrays(pyarrow.repeat(1.5, 3 * number), 3),
    }
    return made[kind]() if kind else sorted(made)


@pytest.mark.parametrize("kind", columns_of("", 0))
def test_no_kind_of_column_takes_more_than_what_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = write(tmp_path / "data.parquet", x=columns_of(kind, 2000))
    read_rows(path)  # imports, and names that stay
    counted = [0.0]
    monkeypatch.setattr(parquet, "demand", lambda what, size: counted.append(size))
    gc.collect()
    tracemalloc.start()
    try:
        rows = read_rows(path)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert rows and taken <= max(counted) + 4096  # of what reads


@pytest.mark.parametrize("kind", ["null", "bool", "list of nulls", "list of bools"])
def test_many_values_of_few_bytes_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = write(tmp_path / "data.parquet", x=columns_of(kind, 1_000_000))
    assert path.stat().st_size < 5000
    # Not even one batch.
    monkeypatch.setattr(parquet, "_unpacked", lambda column: pytest.fail("was read"))
    monkeypatch.setattr("airtune.memory.total_bytes", lambda: 7e6)
    with pytest.raises(InputError, match=r"its records need about .* of memory"):
        read_rows(path)
    monkeypatch.setattr("airtune.memory.total_bytes", lambda: 1e15)
    monkeypatch.setattr(parquet, "VALUES", 990_000)
    words = r"its \d+ bytes hold at least [12]0000\d\d rows and values; at most 990000 and one"
    with pytest.raises(InputError, match=words) as refused:
        read_rows(path)
    assert len(str(refused.value)) <= MESSAGE


@pytest.mark.parametrize("kind", ["null", "list of bools", "records"])
def test_files_that_say_too_little_of_themselves_are_refused_as_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = write(tmp_path / "data.parquet", x=columns_of(kind, 300_000))
    monkeypatch.setattr(parquet._Count, "foresee", lambda *_: None)
    monkeypatch.setattr("airtune.memory.total_bytes", lambda: 2e6)
    with pytest.raises(InputError, match=r"its records need about .* of memory"):
        read_rows(path)
    monkeypatch.setattr("airtune.memory.total_bytes", lambda: 1e15)
    monkeypatch.setattr(parquet, "VALUES", 50_000)
    with pytest.raises(InputError, match="and one for each byte"):
        read_rows(path)


def test_a_column_that_says_to_be_shorter_than_its_pages_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import parquet as files

    number = 1_000_000
    path = write(tmp_path / "data.parquet", x=columns_of("list of nulls", number))
    body = path.read_bytes()
    # Thrift: field 5 of the column, one integer of 64 bits, zigzag in groups of 7 bits.
    stated = b"\x16" + bytes(
        [2 * number & 127 | 128, 2 * number >> 7 & 127 | 128, 2 * number >> 14]
    )
    assert body.count(stated) == 1
    path.write_bytes(body.replace(stated, b"\x16\x82\x80\x00"))
    assert files.read_metadata(path).row_group(0).column(0).num_values == 1
    monkeypatch.setattr(parquet, "VALUES", 900_000)
    monkeypatch.setattr(parquet, "_unpacked", lambda column: pytest.fail("was read"))
    with pytest.raises(InputError, match=r"bytes hold at least 10000.* rows and values"):
        read_rows(path)


def test_groups_of_more_rows_than_the_file_says_are_not_read(tmp_path: Path) -> None:
    from pyarrow import parquet as files

    path = write(tmp_path / "data.parquet", x=pyarrow.nulls(12_345))
    body = path.read_bytes()
    before, stated, after = body[:-8].rpartition(b"\x16\xf2\xc0\x01")  # 12345 as Thrift has it
    assert stated
    foot = int.from_bytes(body[-8:-4], "little") + 3
    trillion = b"\x16\x80\xc0\xa8\xca\x9a\x3a"
    path.write_bytes(before + trillion + after + foot.to_bytes(4, "little") + b"PAR1")
    about = files.read_metadata(path)
    assert about.num_rows == 12_345 and about.row_group(0).num_rows == 10**12
    for columns in (None, {"y"}):
        with pytest.raises(InputError, match=r"bytes hold at least \d+ rows and values; at most"):
            read_rows(path, columns)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_pages_are_those_of_the_library_that_wrote_them(
    tmp_path: Path, version: str, compression: str, dictionary: bool
) -> None:
    from pyarrow import parquet as files

    path = tmp_path / "data.parquet"
    texts = [str(number % 700) * 5 for number in range(4000)]
    table = pyarrow.table({"x": texts, "y": [[1.0, None]] * 4000, "z": pyarrow.nulls(4000)})
    options = {"data_page_version": version, "compression": compression}
    files.write_table(
        table, path, use_dictionary=dictionary, row_group_size=1500, data_page_size=2000,
        write_batch_size=100, **options,
    )  # fmt: skip
    about, data = files.read_metadata(path), path.read_bytes()
    for group in map(about.row_group, range(about.num_row_groups)):
        for chunk in map(group.column, range(about.num_columns)):
            begin = chunk.dictionary_page_offset or chunk.data_page_offset
            found = list(pages(data, begin, chunk.num_values))
            assert sum(page.values for page in found) == chunk.num_values
            # The library counts the headers, too.
            headers = chunk.total_uncompressed_size - sum(page.size for page in found)
            assert 10 * len(found) < headers < 200 * len(found)
    assert len(list(pages(data, about.row_group(0).column(0).data_page_offset, 1500))) > 1


@given(st.binary(max_size=300), st.integers(-10, 400))
def test_headers_of_pages_may_hold_anything(data: bytes, offset: int) -> None:
    try:
        found = list(pages(data, offset, 100))
    except ValueError as error:
        assert "page" in str(error)
    else:
        assert sum(page.values for page in found) >= 100


@pytest.mark.parametrize("nested", [False, True])
def test_missing_lists_of_fixed_size_are_counted_as_long_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    column = pyarrow.nulls(200, pyarrow.list_(pyarrow.float32(), 3000))
    path = write(tmp_path / "data.parquet", x=one_list(column) if nested else column)
    assert path.stat().st_size < 1000
    monkeypatch.setattr("airtune.memory.total_bytes", lambda: 2.4e6)
    monkeypatch.setattr(parquet, "_unpacked", lambda column: pytest.fail("was read"))
    with pytest.raises(InputError, match=r"its records need about .* of memory"):
        read_rows(path)


def test_values_that_have_their_bytes_in_the_file_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [os.urandom(8).hex() for _ in range(3000)]
    path = write(tmp_path / "data.parquet", x=texts)
    monkeypatch.setattr(parquet, "VALUES", 100)
    assert [row["x"] for _, row in read_rows(path)] == texts


@pytest.mark.parametrize("kind", ["text", "plain", "talk"])
def test_a_parquet_file_that_unpacks_to_more_than_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    one = pyarrow.array([0] * 5000, pyarrow.int32())
    text = pyarrow.DictionaryArray.from_arrays(one, pyarrow.array(["x" * 10_000]))
    text = talk(text) if kind == "talk" else text
    path = tmp_path / "data.parquet"
    write(path, instruction=text, output=text, store_schema=kind != "plain")
    assert path.stat().st_size < 50_000
    monkeypatch.setattr("airtune.memory.total_bytes", lambda: 40e6)
    with pytest.raises(InputError, match=r"its records need about .* of memory") as refused:
        read_rows(path)
    assert len(str(refused.value)) <= MESSAGE


POOL = pyarrow.proxy_memory_pool(pyarrow.system_memory_pool())
"""Knows the most that was taken of it alone; it must outlive all of that."""


@pytest.mark.parametrize("nested", [True, False])
def test_long_values_of_a_parquet_file_are_counted_before_they_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    rows = [[{"value": "x" * 2_000_000}] if nested else "x" * 2_000_000] * 40
    path = write(tmp_path / "data.parquet", instruction=rows, output=["y"] * 40)
    monkeypatch.setattr("airtune.memory.total_bytes", lambda: 60e6)
    usual = pyarrow.default_memory_pool()
    pyarrow.set_memory_pool(POOL)
    try:
        with pytest.raises(InputError, match=r"its records need about .* of memory"):
            read_rows(path)
    finally:
        pyarrow.set_memory_pool(usual)
    assert 2e6 <= POOL.max_memory() <= 20e6


READ = """
import sys
from airtune.errors import InputError
from airtune.learning.formats import read_records
from airtune.scenario.learning import Data
import pyarrow.parquet
import resource
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
try:
    read_records(Data(source=sys.argv[1]))
except InputError as refused:
    print(refused)
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="limits and their use are read as Linux has them"
)
def test_a_process_with_little_memory_refuses_rows_of_nothing(tmp_path: Path) -> None:
    """The limit of the process is what there is, and it is enough to say so."""
    path = write(tmp_path / "data.parquet", instruction=pyarrow.nulls(50_000_000))
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and not done.stderr
    assert "rows and values; at most" in done.stdout


def test_columns_that_no_setting_names_are_not_read(tmp_path: Path) -> None:
    many = 300
    strange = {
        "embedding": pyarrow.array([[1.0, 2.0]] * many, pyarrow.list_(pyarrow.float32(), 2)),
        "map": pairs(many),
        "view": pyarrow.array([["x"]] * many, pyarrow.list_view(pyarrow.string())),
        "instruction.more": ["x"] * many,
        "bomb": one_list(pyarrow.repeat(True, 9_000_000)).take(
            pyarrow.array([0] + [None] * (many - 1))
        ),
    }
    path = tmp_path / "data.parquet"
    write(path, instruction=["Q"] * many, output=["A"] * many, **strange)
    records, left_out = read_records(Data(source=str(path)))
    assert len(records) == many and not left_out
    assert (records[0].instruction, records[0].output) == ("Q", "A")
    names = "bomb, embedding, instruction, instruction.more, map, output, view"
    with pytest.raises(InputError, match=f"no field 'text' .*; it has {names}$"):
        read_records(Data(source=str(path), format="text"))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (
            pyarrow.array([[1.0, 2.0], None], pyarrow.list_(pyarrow.float32(), 2)),
            [[1.0, 2.0], None],
        ),
        (pyarrow.array([["x"], []], pyarrow.list_view(pyarrow.string())), [["x"], []]),
        (pyarrow.array([["x"], []], pyarrow.large_list(pyarrow.large_string())), [["x"], []]),
        (pairs(2), [[("a", 1), ("b", 2)]] * 2),
        (pyarrow.array(["x", None], pyarrow.string_view()), ["x", None]),
        (pyarrow.array([1, 2]).dictionary_encode(), [1, 2]),
        (pyarrow.array(["{}", None], pyarrow.json_()), ["{}", None]),
    ],
    ids=lambda value: str(value.type) if hasattr(value, "type") else "",
)
def test_all_kinds_of_columns_are_read(tmp_path: Path, column: Any, expected: list[Any]) -> None:
    path = write(tmp_path / "data.parquet", x=column)
    assert [row for _, row in read_rows(path)] == [{"x": value} for value in expected]


NAMES = ("instruction", "input", "output", "context", "response", "category", "text", "messages")
MORE = ("prompt", "chosen", "rejected", "system", "tools", "topic", "question")
ANSWERED = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.sampled_from(["x", "y", None, 3, ANSWERED, []]) for name in NAMES + MORE
        },
    ),
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from([{}, {"label": "topic"}, {"instruction": "question", "output": "system"}]),
)
def test_the_fields_that_are_used_are_all_that_a_format_reads(
    row: dict[str, Any], kind: str, fields: dict[str, str]
) -> None:
    settings = Data(format=kind, fields=fields)
    used = used_fields(settings)
    assert outcome(row, settings) == outcome({k: v for k, v in row.items() if k in used}, settings)


def outcome(row: dict[str, Any], settings: Data) -> Any:
    try:
        return to_records([("a:1", row)], settings)
    except InputError as error:
        return str(error).split("; it has")[0]


def test_rows_without_a_column_that_is_used(tmp_path: Path) -> None:
    path = write(tmp_path / "data.parquet", a=[1, 2], b=["x", "y"])
    rows = read_rows(path, {"instruction"})
    assert [(place.split(", ")[1], dict(row)) for place, row in rows] == [
        ("row 1", {}),
        ("row 2", {}),
    ]
    assert parquet.column_names(rows[0][1]) == ["a", "b"]


def test_many_columns_are_named_in_bounded_time(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    write(path, **{f"column {index}": pyarrow.nulls(2000) for index in range(2000)})
    began = time.process_time()
    with pytest.raises(InputError, match=r"left out 2000, .* it has column 0, column 1, "):
        read_records(Data(source=str(path)))
    assert time.process_time() - began < 5
