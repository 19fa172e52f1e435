"""Machine code on disk must not outlive the files whose kernels it contains."""

from __future__ import annotations

import ast
import gc
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import airtune
from airtune.compiled import _place, entry, kept_at, sources

ROOT = Path(airtune.__file__).parent
DECORATORS = {"compiled", "entry", "inner"}
MINE = ("mine", "kernels-mine", "kernels-0123456789abcdef")
"""Folders that someone else has in the cache folder; the last one without a mark of use"""
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from kernels.outer import twice
print(twice(3.0), sum(twice.outside.stats.cache_hits.values()))
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test's kernel is kept in the user's folder, where others would have to go for it."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "cache"))


def kernel_files() -> list[Path]:
    """Files that compile something."""

    def compiles(path: Path) -> bool:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        return any(
            isinstance(node, ast.FunctionDef)
            and any(isinstance(d, ast.Name) and d.id in DECORATORS for d in node.decorator_list)
            for node in ast.walk(tree)
        )

    return [path for path in sorted(ROOT.rglob("*.py")) if compiles(path)]


def imported_files(path: Path) -> set[Path]:
    """Files of the package that a file imports when it is loaded."""
    modules = {
        node.module
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airtune.")
    }
    return {Path(str(importlib.import_module(name).__file__)) for name in modules if name}


def test_kernels_call_only_kernels_of_their_own_folder() -> None:
    files = kernel_files()
    assert len(files) > 10
    for path in files:
        for other in imported_files(path) & set(files):
            assert other.parent == path.parent, f"{path} inlines kernels of {other}"


def test_all_placement_kernels_stand_in_their_folder() -> None:
    folders = {path.parent for path in kernel_files() if "placement" in path.parts}
    assert folders == {ROOT / "placement" / "kernels"}


def test_stamp_names_every_file_of_the_folder() -> None:
    folder = ROOT / "placement" / "kernels"
    assert [name for name, _ in sources(folder)] == sorted(p.name for p in folder.glob("*.py"))


def write_kernels(folder: Path, value: float) -> None:
    """A package of two kernels, one inside the other."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text("")
    (folder / "outer.py").write_text(
        "from airtune.compiled import entry\n"
        "from kernels.helper import factor\n\n"
        "@entry\ndef twice(x: float) -> float:\n    return factor() * x\n"
    )
    (folder / "helper.py").write_text(
        "from airtune.compiled import inner\n\n"
        f"@inner\ndef factor() -> float:\n    return {value!r}\n"
    )


def call_twice(folder: Path, cache: Path) -> tuple[float, int]:
    """Result of the kernel in a process of its own, and how often it was read from the disk."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result, hits = out.stdout.split()
    return float(result), int(hits)


def test_changing_a_kernel_recompiles_those_that_contain_it(tmp_path: Path) -> None:
    def run(value: float) -> tuple[float, int]:
        write_kernels(tmp_path / "kernels", value)
        return call_twice(tmp_path, tmp_path / "cache")

    assert [run(2.0), run(2.0), run(2.5), run(2.0)] == [(6.0, 0), (6.0, 1), (7.5, 0), (6.0, 1)]


def test_a_copy_elsewhere_finds_the_code_that_was_compiled(tmp_path: Path) -> None:
    for copy, expected in (("first", (6.0, 0)), ("second", (6.0, 1))):
        write_kernels(tmp_path / copy / "kernels", 2.0)
        os.utime(tmp_path / copy / "kernels" / "outer.py", (1, len(copy)))
        assert call_twice(tmp_path / copy, tmp_path / "cache") == expected


def test_the_place_of_the_code_follows_the_contents(tmp_path: Path) -> None:
    for copy, value in (("a", 2.0), ("b", 2.0), ("c", 3.0)):
        write_kernels(tmp_path / copy, value)
    a, b, c = (kept_at(tmp_path / copy) for copy in "abc")
    assert a == b != c


@pytest.mark.parametrize("package", ["numba", "llvmlite", "numpy"])
def test_another_version_of_what_makes_the_code_has_another_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    write_kernels(tmp_path / "own", 2.0)
    before = kept_at(tmp_path / "own")
    monkeypatch.setattr(f"{package}.__version__", "0.0.1")
    _place.cache_clear()
    assert kept_at(tmp_path / "own") != before


def kernel(file: Path, parameters: str = "", value: str = "2") -> Any:
    """A kernel that is written in a file, as a new process has it."""
    scope: dict[str, Any] = {"np": np, "__name__": __name__}  # a module that can be imported
    exec(compile(f"def twice({parameters}):\n    return {value}\n", str(file), "exec"), scope)
    return entry(scope["twice"])


def hits(some: Any) -> int:
    """How often its code came from the disk."""
    return sum(some.outside.stats.cache_hits.values())


def test_old_code_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airtune.compiled.GENERATIONS", 2)
    for name in MINE:
        (tmp_path / "cache" / name).mkdir(parents=True)
    for copy in range(4):
        folder = tmp_path / str(copy)
        write_kernels(folder, float(copy))
        kept_at(folder).mkdir()
        (kept_at(folder) / "used").touch()
        os.utime(kept_at(folder) / "used", (copy + 1, copy + 1))
    write_kernels(tmp_path / "4", 4.0)
    assert kernel(tmp_path / "4" / "outer.py")() == 2
    left = {path.name for path in (tmp_path / "cache").iterdir()}
    assert left == {*MINE, kept_at(tmp_path / "3").name, kept_at(tmp_path / "4").name}


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [0, 30])
def test_damaged_code_on_a_full_disk_stops_no_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, left: int
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    write_kernels(tmp_path / "own", 2.0)
    file = tmp_path / "own" / "outer.py"
    kernel(file)()
    (kept,) = kept_at(file.parent).glob(f"*.{ending}")
    kept.write_bytes(kept.read_bytes()[:left])
    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._open_for_write", full)
    found = kernel(file)
    assert (found(), hits(found)) == (2, 0)


def test_code_for_other_arguments_is_not_taken(tmp_path: Path) -> None:
    """Two processes that begin to keep a kernel's code at the same time name one file."""
    write_kernels(tmp_path / "own", 2.0)
    file, arguments = tmp_path / "own" / "outer.py", (np.arange(6.0)[::2], np.arange(3.0))
    for one in arguments:
        kernel(file, "x", "x[1] + x[2]")(one)
    first, second = sorted(kept_at(file.parent).glob("*.nbc"))
    first.write_bytes(second.read_bytes())  # it would take strided entries for neighbours
    for expected in (0, 1):
        found = kernel(file, "x", "x[1] + x[2]")
        assert [found(one) for one in arguments] == [6.0, 3.0]
        assert hits(found) == 1 + expected


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [0, 30])
def test_damaged_code_is_compiled_and_kept_again(tmp_path: Path, ending: str, left: int) -> None:
    write_kernels(tmp_path / "own", 2.0)
    file = tmp_path / "own" / "outer.py"
    kernel(file)()
    (kept,) = kept_at(file.parent).glob(f"*.{ending}")
    kept.write_bytes(kept.read_bytes()[:left])
    for expected in (0, 1):
        found = kernel(file)
        assert (found(), hits(found)) == (2, expected)


def test_code_is_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    write_kernels(tmp_path / "own", 2.0)
    file = tmp_path / "own" / "outer.py"
    kernel(file)()
    monkeypatch.setattr(Path, "touch", refuse)
    found = kernel(file)
    assert (found(), hits(found)) == (2, 1)


def test_a_kernel_works_without_a_place_for_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "a file"))
    assert kernel(tmp_path / "nowhere" / "outer.py")() == 2


def test_a_full_disk_stops_no_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    write_kernels(tmp_path / "own", 2.0)
    assert kernel(tmp_path / "own" / "outer.py")() == 2


def test_what_numba_compiles_on_the_way_serves_other_code(tmp_path: Path) -> None:
    """`np.zeros` and a complex quotient are left unfinished inside a kernel, not for others."""
    write_kernels(tmp_path / "own", 2.0)
    value = "np.zeros((2, count)).sum() + z / z"
    assert kernel(tmp_path / "own" / "outer.py", "count, z", value)(3, 1 + 2j) == 1

    other: Any = numba.njit(lambda count, z: np.zeros((2, count)).sum() + z / (z * z))
    assert other(3, 1 + 2j) == pytest.approx(1 / (1 + 2j), rel=1e-15)


@pytest.mark.parametrize("collecting", [True, False])
def test_after_a_kernel_all_is_as_before(tmp_path: Path, collecting: bool) -> None:
    """Dead objects are looked for, or not, and numba finishes what it compiles."""
    write_kernels(tmp_path / "own", 2.0)
    before = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        assert kernel(tmp_path / "own" / "outer.py")() == 2
        with pytest.raises(numba.TypingError):
            kernel(tmp_path / "own" / "outer.py", value="'a' - 1")()
        assert gc.isenabled() is collecting
        assert numba.njit(lambda x: x + 1)(1) == 2
    finally:
        (gc.enable if before else gc.disable)()
