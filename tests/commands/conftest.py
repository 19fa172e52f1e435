"""A finished run with a real model, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airtune.learning.learner import Learner
from airtune.record import RunFolder
from hub import TOKEN, Hub, running_hub
from tuned_run import make, settings


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Learner]:
    """A comparison of which `ideal` is unfinished, and its learner."""
    folder = tmp_path_factory.mktemp("tuned")
    scenario = settings(cache=str(folder / "cache"))
    return make(folder / "run", scenario, ("fixed", "movable"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A stand-in for the hub that this process uses, logged in."""
    from huggingface_hub import constants

    with running_hub() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.address)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found


@pytest.fixture(autouse=True)
def as_wide_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are cut where those of a file are, however wide the terminal of the tests is."""
    monkeypatch.setenv("COLUMNS", "110")
