"""Whole federations of Flower: processes, encryption, keys, and nodes that are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest

from airtune.engines import LocalEngine
from airtune.engines.flower import certificates
from airtune.engines.flower.engine import FlowerEngine
from airtune.engines.flower.federation import Federation
from airtune.engines.flower.keeper import Kept
from airtune.engines.flower.programs import environment, free_port, program
from airtune.learning.learner import prepare
from airtune.scenario import Scenario, file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("flwr") is None, reason="Flower is not installed"),
]


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    small = {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 64, "vocabulary": 300}
    return Scenario.model_validate(
        {
            "name": "flower",
            "threads": 1,
            "schemes": ["ideal"],
            "cache": str(tmp_path_factory.mktemp("cache")),
            "clients": {"count": 4, "tx_power_dbm": -10},
            "model": {"small": small, "lora": {"rank": 2}},
            "pretraining": {"steps": 3, "batch_size": 4},
            "data": {"partition": "iid"},
            "evaluation": {"records": 30, "batch_size": 5, "answers": 1},
            "training": {"rounds": 3, "batch_size_max": 4},
            "placement": {"mode": "fast"},
            "engine": {"name": "flower", "workers": 2},
        }
    )


@pytest.fixture(scope="module")
def written(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenario") / "scenario.yaml"
    path.write_text(file.dump(scenario))
    return path


@pytest.fixture(scope="module")
def alone(written: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the local engine finds."""
    line = command(written, tmp_path_factory.mktemp("alone") / "run", "--engine", "local")
    return json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


def command(path: Path, folder: Path, *more: str) -> list[str]:
    line = [sys.executable, "-m", "airtune.cli", "run", str(path), "--scheme", "ideal"]
    return [*line, "--out", str(folder), "--json", *more]


def node_processes(driver: int) -> list[psutil.Process]:
    """Return the processes of ``airtune node`` under a run."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        try:
            line = process.cmdline()
        except psutil.Error:  # it has ended
            continue
        if line[1:5] == ["-P", "-m", "airtune.cli", "node"]:
            found.append(process)
    return found


def rounds(folder: Path) -> list[dict]:
    path = folder / "ideal" / "seed-0" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def marked(folder: Path) -> dict[str, str]:
    """Return the environment of a run whose processes can be told from those of others."""
    return {**os.environ, "AIRTUNE_TEST": str(folder)}


def processes_of(folder: Path) -> set[int]:
    """Return the processes that a marked run has started, and those that these have."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("AIRTUNE_TEST") == str(folder):
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


def wait_until_gone(folder: Path) -> None:
    until = time.monotonic() + 60
    while (left := processes_of(folder)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not left


def test_a_run_that_starts_its_own_federation_gives_the_numbers_of_the_local_engine(
    written, alone, tmp_path
) -> None:
    done = subprocess.run(
        command(written, tmp_path / "run"), capture_output=True, text=True, env=marked(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schemes"] == alone["schemes"]
    assert [line["missing"] for line in rounds(tmp_path / "run")[1:]] == [[], [], []]
    wait_until_gone(tmp_path)


@pytest.mark.skipif(find_spec("cryptography") is None, reason="cryptography is not installed")
def test_a_run_that_sees_sums_only_comes_to_the_losses_of_the_local_engine(
    written, alone, tmp_path
) -> None:
    line = command(written, tmp_path / "run", "--set", "engine.secure=true")
    done = subprocess.run(line, capture_output=True, text=True, env=marked(tmp_path))
    assert done.returncode == 0, done.stderr
    one, other = alone["schemes"]["ideal"], json.loads(done.stdout)["schemes"]["ideal"]
    for before, after in zip(one["history"], other["history"], strict=True):
        assert after["loss"] == pytest.approx(before["loss"], abs=1e-5)
    assert [line["missing"] for line in rounds(tmp_path / "run")[1:]] == [[], [], []]
    wait_until_gone(tmp_path)


def test_the_run_goes_on_without_a_node_that_is_killed(written, tmp_path) -> None:
    folder = tmp_path / "run"
    line = command(written, folder, "--set", "training.rounds=4")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, env=marked(tmp_path), **pipes) as run:
        killed: list[int] = []
        while not killed and run.poll() is None:
            if len(rounds(folder)) >= 2:
                one = node_processes(run.pid)[0]
                killed = clients_of_node(one)
                one.kill()
            time.sleep(0.05)
        _, err = run.communicate(timeout=1200)
    assert run.returncode == 0, err
    assert killed
    told = [line["missing"] for line in rounds(folder)[1:]]
    assert told[0] == []
    assert told[-1] == killed
    assert rounds(folder)[-1]["clients"] == [k for k in range(4) if k not in killed]
    wait_until_gone(tmp_path)


def clients_of_node(process: psutil.Process) -> list[int]:
    line = process.cmdline()
    return [int(part) for part in line[line.index("--clients") + 1].split(",")]


def test_without_any_node_it_ends_with_1_and_goes_on_later_to_the_same_result(
    written, alone, tmp_path
) -> None:
    folder = tmp_path / "run"
    line = command(written, folder)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, env=marked(tmp_path), **pipes) as run:
        killed = False
        while not killed and run.poll() is None:
            if len(rounds(folder)) >= 2:
                for process in node_processes(run.pid):
                    process.kill()
                killed = True
            time.sleep(0.05)
        _, err = run.communicate(timeout=1200)
    assert run.returncode == 1
    assert "all nodes of the federation are lost" in err
    assert "Traceback" not in err
    wait_until_gone(tmp_path)
    assert len(rounds(folder)) < 4
    again = [sys.executable, "-m", "airtune.cli", "resume", str(folder), "--json"]
    done = subprocess.run(again, capture_output=True, text=True, env=marked(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schemes"] == alone["schemes"]
    wait_until_gone(tmp_path)


def test_flower_keeps_its_patience_where_it_is_set() -> None:
    line = "from airtune.engines.flower.patient import wait_longer; print(wait_longer())"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"


class Standing:
    """A SuperLink and nodes as an administrator starts them, each by a command of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.settings = environment(folder / "flwr")
        certificates.write_certificates(folder, ["127.0.0.1"])
        line = [program("flower-superlink"), "--host", "127.0.0.1", "--port", str(self.port)]
        line += ["--ssl-ca-certfile", str(folder / "ca.pem")]
        line += ["--ssl-certfile", str(folder / "server.pem")]
        line += ["--ssl-keyfile", str(folder / "server.key")]
        line += ["--enable-supernode-auth", "--disable-runtime-dependency-installation"]
        self.processes = [Kept(line, folder / "superlink.log", self.settings)]
        (folder / "flwr").mkdir()
        (folder / "flwr" / "config.toml").write_text(
            f'[superlink.own]\naddress = "{self.address}"\n'
            f'root-certificates = "{folder / "ca.pem"}"\n'
        )

    def flwr(self, *arguments: str) -> dict:
        line = [program("flwr"), *arguments, "--format", "json"]
        done = subprocess.run(line, env=self.settings, capture_output=True, text=True)
        return json.loads(done.stdout[done.stdout.index("{") :])

    def key(self, name: str, *, known: bool) -> Path:
        path = self.folder / name
        public = certificates.write_node_key(path)
        until = time.monotonic() + 60
        while known and not self.flwr("supernode", "register", str(public), "own").get("success"):
            assert time.monotonic() < until
            time.sleep(1.0)
        return path

    def node(self, key: Path, *options: str) -> Kept:
        line = [sys.executable, "-m", "airtune.cli", "node", "--address", self.address]
        line += ["--certificate", str(self.folder / "ca.pem"), "--key", str(key), *options]
        self.processes.append(Kept(line, self.folder / f"{key.name}.log", dict(os.environ)))
        return self.processes[-1]


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[Standing]:
    made = Standing(tmp_path)
    yield made
    for process in reversed(made.processes):
        process.close()


def test_three_nodes_with_keys_are_joined_and_an_unknown_key_is_refused(
    scenario, standing, tmp_path
) -> None:
    local = LocalEngine(prepare)
    local.start(scenario, 1)
    cache = ("--cache", scenario.cache)
    for number in range(3):
        options = ("--clients", "1,3") if number == 0 else ()
        standing.node(standing.key(f"key-{number}", known=True), *cache, *options)
    stranger = standing.node(standing.key("stranger", known=False), *cache)
    own = {"address": standing.address, "certificate": str(tmp_path / "ca.pem"), "workers": 3}
    settings = scenario.engine.model_copy(update=own)
    joined = scenario.model_copy(update={"engine": settings})
    engine = FlowerEngine(prepare)
    try:
        engine.start(joined, 1)
        assert sorted(engine.processes().values(), key=len) == [[0], [2], [1, 3]]
        adapter, clients, sizes = local.initial_adapter(), np.arange(4), np.array([4, 1, 2, 3])
        for round_index in (1, 2):
            one = local.updates(adapter, clients, sizes, 1, round_index)
            other = engine.updates(adapter, clients, sizes, 1, round_index)
            assert np.array_equal(one.updates, other.updates)
            assert one.loss == other.loss
            adapter = adapter - np.float32(0.1) * one.updates.mean(axis=0)
        values = 4 * adapter.nbytes, 3 * adapter.nbytes
        assert values[0] <= engine.traffic[-1].received <= values[0] + 3 * 600
        assert values[1] <= engine.traffic[-1].sent <= values[1] + 3 * 600
    finally:
        engine.close()
    (run,) = standing.flwr("list", "own")["runs"]
    assert run["status"] == "finished:completed"
    assert standing.processes[0].running  # left as it was
    until = time.monotonic() + 120
    while stranger.running and time.monotonic() < until:
        time.sleep(0.5)
    assert "the SuperLink does not know its key" in stranger.said(1)
    assert "Failed to activate SuperNode" in stranger.said(1)  # what Flower says of it
    nodes = standing.flwr("supernode", "list", "own")["nodes"]
    assert len(nodes) == 3


def test_a_superlink_with_another_authority_is_not_trusted(standing, tmp_path) -> None:
    (tmp_path / "other").mkdir()
    certificates.write_certificates(tmp_path / "other", ["127.0.0.1"])
    standing.key("known", known=True)  # it is up
    stranger = Federation(standing.address, tmp_path / "other" / "ca.pem")
    try:
        with pytest.raises(ValueError, match=f"engine.address = '{standing.address}'"):
            stranger.open()
    finally:
        stranger.close()
