"""Client objectives and server optimisers of one's own, client states, a setting's two names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from airtune.errors import InputError
from airtune.learning.learner import Learner, prepare
from airtune.learning.objectives.sft import SupervisedFineTuning
from airtune.registry import CLIENT_OBJECTIVES, SERVER_OPTIMIZERS, Registry
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file
from airtune.scenario.learning import Training
from airtune.study import compare

PAGE = Path(__file__).parents[2] / "docs" / "learning.md"
CODE = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget at the end what a test adds to the registries."""
    for registry in (CLIENT_OBJECTIVES, SERVER_OPTIMIZERS):
        assert isinstance(registry, Registry)
        monkeypatch.setattr(registry, "_objects", dict(registry._objects))
        monkeypatch.setattr(registry, "_added", list(registry._added))


def run_example(code: str, **texts: str) -> dict[str, Any]:
    for old, new in texts.items():
        assert old in code
        code = code.replace(old, new)
    space: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), space)
    return space


@pytest.mark.usefixtures("names", "quadratic")
def test_the_manual_s_server_optimiser_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "publish", lambda folder: None)  # no page
    space = run_example(CODE[0], **{'"runs/lion"': repr(str(tmp_path / "lion"))})
    assert all(np.isfinite(entry["final_loss"]) for entry in space["results"]["schemes"].values())
    assert "lion" in SERVER_OPTIMIZERS


@pytest.mark.usefixtures("names")
def test_the_manual_s_client_objective_runs(tmp_path: Path) -> None:
    tiny = [
        f"cache={tmp_path}",
        *("model.small.hidden=32", "model.small.layers=1", "model.small.heads=2"),
        *("model.small.intermediate=32", "evaluation.records=10", "threads=1"),
    ]
    more = ", ".join(repr(setting) for setting in tiny)
    space = run_example(CODE[1], **{'"pretraining.steps=20"': f'"pretraining.steps=3", {more}'})
    learner, update = space["learner"], space["update"]
    assert update.finite
    # The proximal term holds local steps back: the same steps without it go further.
    sft = learner.scenario.training.model_copy(update={"client_objective": "sft"})
    plain = learner.under(learner.scenario.model_copy(update={"training": sft}))
    free = plain.client_update(learner.initial_adapter(), 0, 8, 1, 1)
    assert 0 < np.linalg.norm(update.update) < np.linalg.norm(free.update)
    assert update.state == free.state == {}


class ControlVariates(SupervisedFineTuning):
    """Local gradients corrected by the client's last mean gradient and the server's last step.

    As SCAFFOLD does; the server's control variate is read off two global adapters, as a server
    without momentum makes it.
    """

    def init(self, task: Any) -> dict[str, np.ndarray]:
        zeros = np.zeros(len(task.adapter), np.float32)
        return {"own": zeros, "server": zeros, "sum": zeros, "last": task.adapter.numpy().copy()}

    def start(self, task: Any, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        settings, adapter = task.settings, task.adapter.numpy().copy()
        return {
            "own": state["sum"] / np.float32(settings.local_steps),
            "server": (state["last"] - adapter) / np.float32(settings.learning_rate),
            "sum": np.zeros_like(adapter),
            "last": adapter,
        }

    def step(self, task: Any, flat: Any, examples: Any, state: dict[str, np.ndarray]) -> Any:
        loss, gradient, _ = super().step(task, flat, examples, state)
        total = state["sum"] + gradient.numpy()
        corrected = gradient.numpy() - state["own"] + state["server"]
        return loss, type(gradient)(corrected), state | {"sum": total}


@pytest.mark.usefixtures("names")
def test_what_a_client_remembers_comes_back_in_its_next_round(
    scenario_with: Callable[..., Scenario], learner: Learner
) -> None:
    CLIENT_OBJECTIVES.add("control-variates", ControlVariates())
    settings = {"local_steps": 2, "local_learning_rate": 0.05}
    scenario = scenario_with(training={**settings, "client_objective": "control-variates"})
    own, plain = learner.under(scenario), learner.under(scenario_with(training=settings))
    adapter = learner.initial_adapter()
    first = own.client_updates(adapter, [0, 1], [4, 4], 3, 1)
    expected = plain.client_updates(adapter, [0, 1], [4, 4], 3, 1)
    for update, same in zip(first, expected, strict=True):
        assert np.allclose(update.update, same.update, atol=1e-6)  # nothing to correct yet
        assert np.allclose(update.state["sum"], same.update, atol=1e-4)
    states = {client: update.state for client, update in enumerate(first)}
    before = {name: value.copy() for name, value in states[0].items()}
    second = own.client_updates(adapter, [0, 1, 2], [4, 4, 4], 3, 2, states)
    assert np.allclose(second[0].state["own"], first[0].state["sum"] / 2)
    assert not second[2].state["own"].any()
    assert all(np.array_equal(states[0][name], value) for name, value in before.items())
    again = own.client_updates(adapter, [0], [4], 3, 2, states)[0]
    assert again.update.tobytes() == second[0].update.tobytes()
    unlike = own.client_updates(adapter, [0], [4], 3, 2)[0]
    assert not np.array_equal(unlike.update, again.update)
    broken = adapter.copy()
    broken[0] = np.nan
    failed = own.client_updates(broken, [0], [4], 3, 2, states)[0]
    assert not failed.finite and failed.state is states[0]


def test_an_unknown_objective_names_those_that_are_there(
    scenario_with: Callable[..., Scenario],
) -> None:
    with pytest.raises(InputError, match="client objective 'sftt': must be one of sft, dpo"):
        prepare(scenario_with(training__client_objective="sftt"), seed=1)


def test_the_older_name_of_the_setting_is_read_and_written(tmp_path: Path) -> None:
    assert Training.model_validate({"objective": "dpo"}).client_objective == "dpo"
    dumped = Training(client_objective="own").model_dump(mode="json")
    assert dumped["client_objective"] == dumped["objective"] == "own"
    assert Training.model_validate(dumped) == Training(client_objective="own")
    with pytest.raises(InputError, match="two names of one setting; must not differ"):
        scenario_file.parse({"training": {"objective": "dpo", "client_objective": "sft"}})
    whole = Scenario()
    assert scenario_file.parse(yaml.safe_load(scenario_file.dump(whole))) == whole
    training = scenario_file.commented(whole).partition("\ntraining:")[2].partition("\n\n")[0]
    assert "client_objective" in training and "\n  objective:" not in training


@pytest.mark.parametrize("written", ["objective: sft", "client_objective: sft", "both"])
@pytest.mark.parametrize("named", ["objective", "client_objective"])
def test_either_name_overrides_a_file(written: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    training = "objective: sft, client_objective: sft" if written == "both" else written
    path.write_text(f"training: {{{training}}}\ndata: {{format: preference, source: x.jsonl}}\n")
    scenario = scenario_file.load(path, [f"training.{named}=dpo"])
    assert scenario.training.client_objective == scenario.training.objective == "dpo"


def test_a_checkpoint_keeps_the_state_of_clients(small_scenario: Scenario) -> None:
    from quadratic import QuadraticLearner, run_with

    class Remembering(QuadraticLearner):
        """Counts the rounds of each client in its state."""

        def client_updates(self, *arguments: Any, **named: Any) -> list[Any]:
            *_, states = arguments
            found = super().client_updates(*arguments, **named)
            for client, update in zip(arguments[1], found, strict=True):
                count = states.get(client, {"count": np.zeros(1)})["count"] + 1
                update.state["count"] = count
            return found

    learner = Remembering(small_scenario, 1)
    run = run_with(small_scenario, "ideal", 1, learner)
    run.run_round()
    run.run_round()
    other = run_with(small_scenario, "ideal", 1, learner)
    other.state.load(2, run.state.arrays(), {"latency_s": {}, "energy_j": {}})
    counts = {k: float(s["count"].item()) for k, s in other.state.client_states.items()}
    assert counts == dict.fromkeys(range(small_scenario.clients.count), 2.0)
