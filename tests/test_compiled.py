"""Machine code on disk must not outlive the files whose kernels it contains."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import airtune
from airtune.compiled import sources

ROOT = Path(airtune.__file__).parent
DECORATORS = {"compiled", "entry", "inner"}
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from kernels.outer import twice
print(twice(3.0))
"""


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
    assert [name for name, _, _ in sources(folder)] == sorted(p.name for p in folder.glob("*.py"))


def test_changing_a_kernel_recompiles_those_that_contain_it(tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "outer.py").write_text(
        "from airtune.compiled import entry\n"
        "from kernels.helper import factor\n\n"
        "@entry\ndef twice(x: float) -> float:\n    return factor() * x\n"
    )

    def run(value: float) -> float:
        (folder / "helper.py").write_text(
            "from airtune.compiled import inner\n\n"
            f"@inner\ndef factor() -> float:\n    return {value!r}\n"
        )
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return float(out.stdout)

    assert [run(2.0), run(2.0), run(2.5)] == [6.0, 6.0, 7.5]
