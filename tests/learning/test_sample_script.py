"""The script that makes the shipped sample makes the shipped sample."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from airtune.learning.data import sample_bytes

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_sample.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    pytest.importorskip("reasoning_gym")
    spec = importlib.util.spec_from_file_location("make_sample", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_sample"] = module
    spec.loader.exec_module(module)
    return module


def test_the_domains_are_those_shipped(script: ModuleType) -> None:
    assert script.part(script.DOMAINS, script.SEEDS["domains"]) == sample_bytes("domains")


def test_a_general_task_is_the_one_shipped(script: ModuleType) -> None:
    number, task = next((i, t) for i, t in enumerate(script.GENERAL) if t.name == "arithmetic")
    made = list(script.generate(task, 1000 * script.SEEDS["general"] + number))
    rows = [json.loads(line) for line in sample_bytes("general").splitlines()]
    shipped = [row for row in rows if row["domain"] == task.name]
    assert sorted(map(str, made)) == sorted(map(str, shipped))


@pytest.mark.slow
def test_the_hash_seed_changes_nothing(script: ModuleType) -> None:
    script.check()
