"""The folder of a Ray that is started here: whose it is, where it lies, and when it goes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from airtune.engines import cluster
from airtune.engines.ray_workers import RayEngine
from airtune.errors import FailedError, InputError
from airtune.scenario import Scenario

pytestmark = pytest.mark.timeout(1200)
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture
def scenario() -> Scenario:
    return Scenario.model_validate({"threads": 1, "engine": {"name": "ray", "workers": 2}})


class Started(list):
    """Stands in for Ray: the options of each start, and what it does then."""

    error: Exception | None = None

    def init(self, **options: object) -> None:
        folder = Path(str(options.get("_temp_dir", "/tmp/ray")))
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)  # as Ray does
        (folder / "log").write_text("")
        self.append(folder)
        if self.error is not None:
            raise self.error


@pytest.fixture
def started(monkeypatch) -> Started:
    ray, found = ModuleType("ray"), Started()
    ray.init, ray.shutdown, ray.is_initialized = found.init, lambda: None, lambda: False
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(cluster, "check_installed", lambda *package: None)
    monkeypatch.setattr(cluster, "_keep_off_stdout", lambda: None)
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    return found


@pytest.fixture
def short() -> Iterator[str]:
    """Return a folder of few letters, in which one of at most 26 bytes fits."""
    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as folder:
        yield folder


def test_every_start_of_ray_has_a_folder_that_goes_with_it(
    scenario, started, short: str, monkeypatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", f"{short}/new")  # Ray makes it
    for _ in range(2):
        with cluster.session(scenario):
            own = started[-1].parent
            assert own.parent == Path(short, "new")
            assert own.stat().st_uid == os.getuid()
        assert not own.exists()
    assert started[0] != started[1]


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize("letters", ["", "x" * 12, "é" * 6, "x" * 13, "é" * 7, "x" * 200])
def test_sockets_of_ray_are_where_their_paths_are_not_too_long(
    scenario, started, short: str, letters: str, name: str, monkeypatch
) -> None:
    place = Path(short, letters)
    place.mkdir(exist_ok=True)
    monkeypatch.setenv(name, str(place))
    with cluster.session(scenario):
        own = started[-1].parent
        assert stat.S_IMODE(own.stat().st_mode) == 0o700
    fits = len(os.fsencode(place)) <= 26
    assert own.parent == (place if fits else Path("/tmp"))
    session = "session_2026-11-30_17-49-41_782123_4194304"
    assert len(os.fsencode(started[-1] / session / "sockets" / "plasma_store")) <= 107


def test_where_ray_cannot_be_started_its_logs_stay_and_are_named(
    scenario, started, short: str, monkeypatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", short)
    started.error = RuntimeError("out of files")
    block = cluster.session(scenario)
    with pytest.raises(FailedError, match=r"cannot be started \(out of files\)") as told:
        block.__enter__()
    own = started[-1].parent
    assert str(own) in str(told.value)
    assert len(str(told.value)) <= 400
    assert (started[-1] / "log").is_file()


def test_without_a_folder_for_ray_the_setting_is_named(scenario, started, monkeypatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/" + "x" * 300)
    monkeypatch.setattr(os, "access", lambda *path: False)
    block = cluster.session(scenario)
    with pytest.raises(InputError, match=r"RAY_TMPDIR = '/x.*26 bytes") as told:
        block.__enter__()
    assert len(str(told.value)) <= 400
    assert not started


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("length", [120, 26])
def test_ray_starts_in_a_folder_of_its_own_which_goes_with_it(
    scenario, short: str, length: int, monkeypatch
) -> None:
    named = Path(short, "x" * (length - len(short) - 1))
    named.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(named))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def twice(number: int) -> int:
        return 2 * number

    with cluster.session(scenario):
        import ray

        session = Path(ray._private.worker._global_node.get_session_dir_path())
        own = session.parents[1]
        assert own.parent == (named if length == 26 else Path("/tmp"))
        assert stat.S_IMODE(own.stat().st_mode) == 0o700
        assert (session / "sockets" / "plasma_store").is_socket()
        found = sorted(value for _, value in RayEngine.tasks(scenario, twice, [(2,), (3,)]))
    assert found == [4, 6]
    assert not own.exists()


@needs_ray
@pytest.mark.slow
def test_the_folder_of_ray_goes_with_a_process_that_ends_without_closing(short: str) -> None:
    code = """
from airtune.engines import cluster
from airtune.scenario import Scenario
block = cluster.session(Scenario.model_validate({"engine": {"name": "ray"}}))
block.__enter__()
import os
print(os.listdir(os.environ["RAY_TMPDIR"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "RAY_TMPDIR": short},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ray-" in done.stdout
    assert list(Path(short).iterdir()) == []
