"""The engine on real workers of Ray: the numbers of the local one, and workers that are killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from airtune.engines import LocalEngine, cluster, extras
from airtune.engines.ray_workers import RayEngine
from airtune.errors import FailedError, InputError
from airtune.learning.learner import prepare
from airtune.scenario import Scenario
from airtune.study import compare

pytestmark = pytest.mark.timeout(1200)
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    small = {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 64, "vocabulary": 300}
    return Scenario.model_validate(
        {
            "name": "ray",
            "threads": 1,
            "schemes": ["ideal"],
            "cache": str(tmp_path / "cache"),
            "clients": {"count": 4, "tx_power_dbm": -10},
            "model": {"small": small, "lora": {"rank": 2}},
            "pretraining": {"steps": 3, "batch_size": 4},
            "data": {"partition": "iid"},
            "evaluation": {"records": 30, "batch_size": 5, "answers": 1},
            "training": {"rounds": 3, "batch_size_max": 4},
            "placement": {"mode": "fast"},
            "engine": {"name": "ray", "workers": 2},
        }
    )


def test_without_ray_it_says_how_to_install_it(small_scenario, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    settings = small_scenario.to_dict() | {"engine": {"name": "ray"}}
    with pytest.raises(InputError, match=r"engine\.name = 'ray': .* pip install 'airtune\[ray\]'"):
        compare.compare(Scenario.model_validate(settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("address", ["ray://host:10001", "host", "a b:1", "user@host:6379", ""])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Scenario.model_validate({"engine": {"name": "ray", "address": address}})


@pytest.mark.parametrize(
    "named",
    ["ray://127.0.0.1:10001", "nonsense", "local", ":6379", "127.0.0.1:1", "[::1]:1", "h:1e3"],
)
def test_auto_joins_what_the_environment_names_or_says_that_it_does(
    small_scenario, named: str, monkeypatch
) -> None:
    monkeypatch.setattr(cluster, "check_installed", lambda *package: None)
    monkeypatch.setenv("RAY_ADDRESS", named)
    settings = small_scenario.to_dict()
    joining = Scenario.model_validate(settings | {"engine": {"name": "ray", "address": "auto"}})
    with pytest.raises(InputError, match=f"RAY_ADDRESS = '{re.escape(named)}'") as told:
        RayEngine.check(joining)
    assert len(str(told.value)) <= 400
    RayEngine.check(Scenario.model_validate(settings | {"engine": {"name": "ray"}}))


@pytest.mark.parametrize("mode", [None, "disabled", "token", "nonsense", ""])
@pytest.mark.parametrize("token", [None, " ", "0123456789"])
def test_a_cluster_that_is_started_here_asks_for_a_token_unless_the_user_says_otherwise(
    small_scenario, mode: str | None, token: str | None, monkeypatch
) -> None:
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    for name, value in (("RAY_AUTH_MODE", mode), ("RAY_AUTH_TOKEN", token)):
        monkeypatch.setenv(name, value or "")
        if value is None:
            monkeypatch.delenv(name)
    cluster._prepare_environment(small_scenario)
    if mode == "disabled":  # the user has said so
        assert os.environ["RAY_AUTH_MODE"] == mode
        assert os.environ.get("RAY_AUTH_TOKEN") == token
        return
    assert os.environ["RAY_AUTH_MODE"] == "token"
    found = os.environ["RAY_AUTH_TOKEN"]
    assert found == token if token == "0123456789" else len(found) == 64


def test_where_ray_runs_already_no_address_is_looked_for(small_scenario, monkeypatch) -> None:
    monkeypatch.setattr(cluster, "check_installed", lambda *package: None)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    engine = {"name": "ray", "address": "auto"}
    joining = Scenario.model_validate(small_scenario.to_dict() | {"engine": engine})
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    RayEngine.check(joining)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    with pytest.raises(InputError, match="RAY_ADDRESS"):
        RayEngine.check(joining)


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:a worker of Ray died")
def test_rounds_are_those_of_the_local_engine_also_when_a_worker_dies(scenario) -> None:
    local, spread = LocalEngine(prepare), RayEngine()
    local.start(scenario, 1)
    try:
        spread.start(scenario, 1)
        adapter, clients, sizes = local.initial_adapter(), np.arange(4), np.array([4, 1, 2, 3])
        assert np.array_equal(spread.initial_adapter(), adapter)
        for round_index in (1, 2, 3):
            if round_index == 2:
                before = spread.processes()
                os.kill(before[1], signal.SIGKILL)
            one = local.updates(adapter, clients, sizes, 1, round_index)
            other = spread.updates(adapter, clients, sizes, 1, round_index)
            assert np.array_equal(one.updates, other.updates)
            assert one.loss == other.loss
            assert local.evaluate(adapter) == spread.evaluate(adapter)
            adapter = adapter - np.float32(0.1) * one.updates.mean(axis=0)
        after = spread.processes()
        assert after[0] == before[0]
        assert after[1] != before[1]
        assert spread.samples(adapter, 1) == local.samples(adapter, 1)
    finally:
        spread.close()
    for process in after:  # ended with the engine
        with pytest.raises(ProcessLookupError):
            for _ in range(100):
                os.kill(process, 0)
                time.sleep(0.1)


@needs_ray
@pytest.mark.slow
def test_more_workers_than_the_machine_carries_are_refused(scenario) -> None:
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        engine = RayEngine()
        with pytest.raises(InputError, match=r"engine\.workers = 2: needs 2 processors"):
            engine.start(scenario, 1)
        engine.close()
        assert ray.is_initialized()  # it is not ours
        with pytest.raises(FailedError, match="a worker died 4 times"):
            list(iter_raising(scenario))
    finally:
        ray.shutdown()


def iter_raising(scenario: Scenario):
    one = scenario.model_copy(update={"engine": scenario.engine.model_copy(update={"workers": 1})})

    def end() -> None:
        os._exit(3)

    for _, result in RayEngine.tasks(one, end, [()]):
        raise result


@needs_ray
@pytest.mark.slow
def test_an_error_of_a_worker_is_told_as_if_it_came_up_here(scenario) -> None:
    data = scenario.data.model_copy(update={"source": "gone.jsonl"})
    engine = RayEngine()
    try:
        with pytest.raises(InputError, match=r"data\.source: gone\.jsonl does not exist"):
            engine.start(scenario.model_copy(update={"data": data}), 1)
    finally:
        engine.close()


def command(*arguments: object, folder: Path) -> list[str]:
    given = map(str, arguments)
    return [sys.executable, "-m", "airtune.cli", *given, "--out", str(folder), "--json"]


@needs_ray
@pytest.mark.slow
def test_the_commands_with_ray_write_what_they_write_here(scenario, tmp_path) -> None:
    from airtune.scenario import file

    path = tmp_path / "scenario.yaml"
    path.write_text(file.dump(scenario))
    found = {}
    for name in ("ray", "local"):
        folder = tmp_path / name
        line = command("run", path, "--scheme", "ideal", "--engine", name, folder=folder)
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        found[name] = json.loads(done.stdout)["schemes"]
        assert (folder / "ideal" / "seed-0" / "adapter" / "adapter_model.safetensors").is_file()
    assert found["ray"] == found["local"]


@needs_ray
@pytest.mark.slow
def test_payloads_that_plans_choose_share_the_workers(scenario, tmp_path) -> None:
    """Workers for every processor, pilots of three payloads and a plan for each scheme."""
    from airtune.scenario import file

    path = tmp_path / "scenario.yaml"
    path.write_text(file.dump(scenario.model_copy(update={"schemes": ("ideal", "fixed")})))
    planned = {
        "plan": "own",
        "aggregation.payload": "planned",
        "planning.objective": "time",
        "planning.rounds": "planned",
        "planning.pilot_rounds": 2,
        "engine.workers": "null",
    }
    options = [part for name, x in planned.items() for part in ("--set", f"{name}={x}")]
    found = {}
    for name in ("ray", "local"):
        cache = f"cache={tmp_path / name / 'cache'}"  # pilots of its own
        line = command(
            *("compare", path, *options, "--set", cache, "--engine", name),
            folder=tmp_path / name / "run",
        )
        done = subprocess.run(line, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        pilots = (tmp_path / name / "run" / "pilots-0.json").read_text()
        found[name] = json.loads(done.stdout)["schemes"], json.loads(pilots)["pilots"]
    assert list(found["ray"][1]) == ["lora", "ffa", "rolora"]
    assert found["ray"] == found["local"]


@needs_ray
@pytest.mark.slow
def test_a_sweep_runs_every_cell_once_though_a_worker_is_killed(scenario, tmp_path) -> None:
    from airtune.scenario import file

    path, folder = tmp_path / "scenario.yaml", tmp_path / "sweep"
    path.write_text(file.dump(scenario))
    vary = ("--vary", "training.learning_rate=0.01,0.02,0.03")
    line = command("sweep", path, *vary, folder=folder)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        killed: list[int] = []

        def kill_one() -> None:
            while not killed and run.poll() is None:
                if any(folder.glob("point-*/*/seed-0/metrics.jsonl")):
                    killed.extend(kill_task(run.pid))
                time.sleep(0.02)

        killer = threading.Thread(target=kill_one)
        killer.start()
        out, err = run.communicate(timeout=900)
        killer.join()
    assert run.returncode == 0, err
    assert killed
    results = json.loads(out)
    assert [point["finished"] for point in results["points"]] == [1, 1, 1]
    for cell in folder.glob("point-*/*/seed-0"):
        lines = (cell / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(one)["round"] for one in lines] == [0, 1, 2, 3]
    alone = tmp_path / "alone"
    line = command("sweep", path, *vary, "--engine", "local", folder=alone)
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["points"] == results["points"]


def kill_task(driver: int) -> list[int]:
    """Kill one process under a driver that runs a cell."""
    import psutil

    for process in psutil.Process(driver).children(recursive=True):
        if "ray::run_cell" in " ".join(process.cmdline()):
            process.kill()
            return [process.pid]
    return []


@needs_ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:a worker of Ray died")
def test_a_cluster_is_joined_by_its_address_and_may_lose_a_machine(scenario) -> None:
    import ray
    from ray.cluster_utils import Cluster

    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    other = machines.add_node(num_cpus=2)
    settings = scenario.engine.model_copy(update={"address": machines.address, "workers": 4})
    joined = scenario.model_copy(update={"engine": settings})
    local, spread = LocalEngine(prepare), RayEngine()
    local.start(scenario, 1)
    try:
        spread.start(joined, 1)
        adapter, clients, sizes = local.initial_adapter(), np.arange(4), np.array([4, 1, 2, 3])
        machines.add_node(num_cpus=2)
        machines.remove_node(other, allow_graceful=False)
        one = local.updates(adapter, clients, sizes, 1, 1)
        assert np.array_equal(spread.updates(adapter, clients, sizes, 1, 1).updates, one.updates)
        assert local.evaluate(adapter) == spread.evaluate(adapter)
    finally:
        spread.close()
        assert not ray.is_initialized()  # left, and still there for others
        machines.shutdown()


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:6379", "127.0.0.1:99999"])
def test_an_address_where_no_cluster_is_is_refused_at_once(small_scenario, address: str) -> None:
    settings = {"name": "ray", "address": address}
    scenario = Scenario.model_validate(small_scenario.to_dict() | {"engine": settings})
    with pytest.raises(InputError, match=f"engine.address = '{address}': no cluster of Ray"):
        RayEngine().start(scenario, 1)
