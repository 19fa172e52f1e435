"""A check whose facts are known is quick: it opens no model library."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = """
import sys
sys.argv = ["airtune", "check", "quickstart", "--set", "cache={cache}"]
from airtune.cli import main
try:
    main()
finally:
    print(sorted(set(sys.modules) & {{"torch", "transformers", "matplotlib"}}))
"""
ALONE = "import numba, scipy.optimize, pydantic, typer, rich"
"""What a plan, its settings and the terminal take by themselves."""
MOST = 4.0
"""Processor time of a check over that of these imports; 2.6 were measured, 4.8 with torch."""


def processor_s(code: str) -> tuple[float, str]:
    """Run Python code in a process of its own; return its processor time [s] and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return spent, done.stdout


@pytest.mark.slow
def test_a_check_whose_facts_are_known_is_quick(tmp_path: Path) -> None:
    check = CHECK.format(cache=tmp_path)
    processor_s(check)  # makes the facts, and compiles kernels where that is not done
    _, text = processor_s(check)
    assert "No problem found" in text
    assert text.splitlines()[-1] == "[]", "a check of known facts needs none of them"
    ratios = [processor_s(check)[0] / processor_s(ALONE)[0] for _ in range(3)]
    assert min(ratios) < MOST, ratios


def test_commands_load_what_only_others_need_when_they_run() -> None:
    code = "import sys, airtune.commands.app; print(sorted(sys.modules))"
    _, text = processor_s(code)
    heavy = {"airtune.record", "airtune.scenario", "numba", "numpy", "pydantic", "torch"}
    assert not [name for name in heavy if f"'{name}'" in text]
