"""The door of the learning wing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from airtune.learning.learner import Learner, prepare
from airtune.scenario import Scenario


def test_every_client_of_the_sample_has_a_domain(learner: Learner) -> None:
    assert len(set(learner.client_labels)) == 10
    assert (learner.data_sizes > 0).all()
    assert learner.data_sizes.sum() + len(learner._validation) <= 300


def test_validation_is_spread_and_never_trained_on(learner: Learner) -> None:
    found = learner.evaluate(learner.initial_adapter())
    assert sum(score.records for score in found.domains.values()) == 20
    assert set(found.domains) == set(learner.client_labels)
    trained = {example.ids[: example.prompt] for own in learner._clients for example in own}
    assert not trained & {e.ids[: e.prompt] for e in learner._validation_examples}


def test_flop_per_sample_counts_weights_and_tokens(learner: Learner) -> None:
    examples = [example for own in learner._clients for example in own]
    tokens = np.mean([len(example.ids) for example in examples])
    weights = 2 * (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32) + 32
    assert 4 * weights * tokens < learner.flop_per_sample < 4 * (weights + 32 * 400) * tokens


def test_gradient_steps_lower_the_validation_loss(learner: Learner) -> None:
    adapter = learner.initial_adapter()
    before = learner.evaluate(adapter).loss
    for number in range(12):
        updates = [learner.client_update(adapter, k, 8, 3, number) for k in range(10)]
        adapter = adapter - np.mean([u.update for u in updates], axis=0)
    assert learner.evaluate(adapter).loss < before - 0.1


def test_samples_are_answers_to_held_out_prompts(learner: Learner) -> None:
    shown = learner.samples(learner.initial_adapter(), 2)
    assert [set(s) for s in shown] == [{"prompt", "reference", "answer", "domain"}] * 2
    assert shown == learner.samples(learner.initial_adapter(), 2)
    assert [s["reference"] for s in shown] == [r.output for r in learner._validation[:2]]


def test_seeds_change_the_split_but_not_the_base_model(
    learner: Learner, scenario_with: Callable[..., Scenario]
) -> None:
    other = prepare(scenario_with(), seed=4)
    assert not np.array_equal(other.initial_adapter(), learner.initial_adapter())
    assert [r.input for r in other._validation] != [r.input for r in learner._validation]
    names = [m._model.peft.peft_config["default"].base_model_name_or_path for m in (learner, other)]
    assert names[0] == names[1]


@pytest.mark.parametrize("module", ["learning", "learning.learner", "learning.server"])
def test_importing_is_light(module: str) -> None:
    code = f"import sys, airtune.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_holdings_count_the_labels_of_each_client(learner: Learner) -> None:
    found = learner.holdings()
    assert [sum(counts) for counts in found["counts"]] == learner.data_sizes.tolist()
    # One domain per client: one label each, in the order of the clients.
    for name, counts in zip(learner.client_labels, found["counts"], strict=True):
        assert [label for label, n in zip(found["labels"], counts, strict=True) if n] == [name]


def test_what_a_run_depends_on_is_digested(
    learner: Learner, scenario_with: Callable[..., Scenario]
) -> None:
    found, other = learner.inputs(), prepare(scenario_with(), seed=4).inputs()
    assert found == learner.inputs()
    assert (Path(found["model_folder"]) / "model.safetensors").is_file()
    assert found["made"]
    assert found["model_folder"] == other["model_folder"]
    assert found["data"] != other["data"]
    assert found["adapter"] != other["adapter"]
