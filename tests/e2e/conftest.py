"""Whole commands as a user types them, on a tiny LLaMA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

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
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test run have in common."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def cache(shared: Path) -> Path:
    folder = shared / "cache"
    folder.mkdir(exist_ok=True)
    return folder


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
    airtune: Run, tiny: list[str], shared: Path
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A finished comparison: its folder and what the command printed; made once for all."""
    folder, printed = shared / "compared", shared / "compared.json"
    with FileLock(shared / "compared.lock"):
        if not printed.is_file():
            done = airtune("compare", "quickstart", *tiny, "--out", folder, "--json")
            printed.write_text(json.dumps([done.args, done.returncode, done.stdout, done.stderr]))
    return folder, subprocess.CompletedProcess(*json.loads(printed.read_text()))
