"""Whole commands as a user types them, on a tiny LLaMA."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

TINY = (
    "model.small.hidden=32",
    "model.small.layers=1",
    "model.small.heads=2",
    "model.small.intermediate=64",
    "model.lora.rank=2",
    "pretraining.steps=3",
    "training.rounds=3",
    "training.batch_size_max=4",
    "evaluation.records=30",
    "placement.mode=fast",
    "clients.tx_power_dbm=-10",
)

NO_NETWORK = """
import socket

def refuse(*args, **kwargs):
    raise RuntimeError("network use is not allowed")

socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process that cannot reach any network."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(NO_NETWORK)
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture(scope="session")
def tiny(cache: Path) -> list[str]:
    """Options that make the quickstart tiny."""
    settings = [*TINY, f"cache={cache}"]
    return [part for setting in settings for part in ("--set", setting)]


@pytest.fixture(scope="session")
def command() -> list[str]:
    return [sys.executable, "-m", "airtune.cli"]


@pytest.fixture(scope="session")
def airtune(command: list[str], environment: dict[str, str]) -> Run:
    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            **options,  # type: ignore[call-overload]
        )

    return run


@pytest.fixture(scope="session")
def compared(
    airtune: Run, tiny: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A finished comparison: its folder and what the command printed."""
    folder = tmp_path_factory.mktemp("compared") / "run"
    return folder, airtune("compare", "quickstart", *tiny, "--out", folder, "--json")
