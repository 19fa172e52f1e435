"""Settings of a tiny federation, and nodes in this process."""

from __future__ import annotations

import pytest

from airtune.engines.flower import engine as module
from airtune.engines.flower import programs

from .federations import InProcess


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict:
    small = {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 64, "vocabulary": 300}
    return {
        "name": "flower",
        "threads": 1,
        "schemes": ["ideal"],
        "cache": str(tmp_path_factory.mktemp("cache")),
        "clients": {"count": 3},
        "model": {"small": small, "lora": {"rank": 2}},
        "pretraining": {"steps": 0},
        "data": {"partition": "iid", "max_records": 120},
        "evaluation": {"records": 20, "batch_size": 5, "answers": 1},
        "training": {"rounds": 3, "batch_size_max": 4},
        "engine": {"name": "flower", "workers": 2},
    }


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> type[InProcess]:
    monkeypatch.setattr(module, "Federation", InProcess)
    monkeypatch.setattr(programs, "check_installed", lambda: None)
    monkeypatch.setattr(InProcess, "opened_ones", [], raising=False)
    monkeypatch.setattr(InProcess, "own_data", {}, raising=False)
    return InProcess
