"""The process that holds model and data for an engine elsewhere, here without one."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.engines import LocalEngine
from airtune.engines.worker import Worker, settle
from airtune.learning.learner import prepare
from airtune.scenario import Scenario


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    small = {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 64, "vocabulary": 300}
    return Scenario.model_validate(
        {
            "threads": 1,
            "cache": str(tmp_path_factory.mktemp("cache")),
            "clients": {"count": 3},
            "model": {"small": small, "lora": {"rank": 2}},
            "pretraining": {"steps": 0},
            "data": {"partition": "iid", "max_records": 120},
            "evaluation": {"records": 20, "batch_size": 5},
            "training": {
                "client_objective": "scaffold",
                "local_steps": 2,
                "batch_size_max": 4,
            },
        }
    )


@pytest.fixture(scope="module")
def worker(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    return Worker(scenario, 1, str(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def local(scenario: Scenario, worker: Worker) -> LocalEngine:
    engine = LocalEngine(prepare)
    engine.start(scenario, 1)
    return engine


@pytest.fixture(autouse=True)
def stay(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)


def read_only(array: np.ndarray) -> np.ndarray:
    """As arrays come out of a store of objects."""
    array = np.array(array)
    array.setflags(write=False)
    return array


def test_updates_are_those_of_the_local_engine_though_arrays_may_only_be_read(
    worker, local
) -> None:
    adapter, clients = local.initial_adapter(), np.arange(3)
    sizes, states = np.array([4, 2, 3]), {}
    for round_index in (1, 2):
        done = local.updates(adapter, clients, sizes, 1, round_index, states)
        sent = {k: {n: read_only(x) for n, x in state.items()} for k, state in states.items()}
        found = worker.updates(read_only(adapter), [0, 1, 2], [4, 2, 3], 1, round_index, sent)
        assert np.array_equal(done.updates, [one.update for one in found])
        assert done.loss == float(np.mean([one.loss for one in found]))
        states = done.states
        adapter = adapter - np.float32(0.1) * done.updates.mean(axis=0)
    assert set(states) == {0, 1, 2}  # the second round began with states


@pytest.mark.parametrize("parts", [1, 3])
def test_an_evaluation_in_parts_is_the_whole_one(worker, local, parts: int) -> None:
    adapter = read_only(local.initial_adapter() + np.float32(0.01))
    others = [worker.part(adapter, part, parts) for part in range(1, parts)]
    assert worker.evaluate(adapter, others) == local.evaluate(np.array(adapter))


def test_answers_and_files_are_those_of_the_local_engine(worker, local, tmp_path) -> None:
    adapter = read_only(local.initial_adapter())
    assert worker.samples(adapter, 1) == local.samples(np.array(adapter), 1)
    local.save(np.array(adapter), tmp_path / "adapter")
    files = worker.saved(adapter)
    weights = (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes()
    assert files["adapter_model.safetensors"] == weights
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == set(files)


def test_its_digests_tell_another_model_and_other_data(worker, scenario) -> None:
    began = worker.begin()["digests"]
    assert worker.begin()["digests"] == began
    other = Worker(scenario, 2, ".").begin()["digests"]  # another repetition shares data out anew
    assert other["data"] != began["data"]
    assert other["model"] == began["model"]


def test_settle_imports_the_modules_of_a_run_from_its_folder(tmp_path, monkeypatch) -> None:
    (tmp_path / "settled_names.py").write_text("FOUND = True\n")
    monkeypatch.setattr("sys.path", ["/nowhere"])
    settle(str(tmp_path), ["settled_names"])
    import settled_names  # noqa: F401

    settle(str(tmp_path / "missing"), [])  # not there on this machine: the process stays
