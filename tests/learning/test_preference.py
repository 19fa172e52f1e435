"""Direct preference optimisation: the loss by hand, its gradient by autograd, and in rounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune.learning.data import Record
from airtune.learning.learner import Learner, prepare
from airtune.learning.objectives.base import LocalTask
from airtune.learning.objectives.dpo import DPO
from airtune.learning.server import ADAM
from airtune.scenario import Scenario

BETA = 0.3


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions with the right and a wrong answer; the wrong ones are longer."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [
        {"prompt": f"Say the digit {i % 10} ({i}).", "chosen": f"{i % 10}", "rejected": f"no, {i}"}
        for i in range(40)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="module")
def tuned(scenario_with: Callable[..., Scenario], pairs_file: Path) -> Learner:
    return prepare(
        scenario_with(
            training={"objective": "dpo", "beta": BETA, "learning_rate": 0.02},
            data={
                "source": str(pairs_file),
                "format": "preference",
                "partition": "iid",
                "validation_fraction": 0.2,
            },
            clients__count=3,
        ),
        seed=3,
    )


def somewhere(learner: Learner) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(learner.size)
    return (learner.initial_adapter() + 0.1 * noise).astype(np.float32)


def task_of(learner: Learner, adapter: np.ndarray) -> LocalTask:
    import torch

    return LocalTask(learner._model, torch.from_numpy(adapter), learner.scenario.training)


def loss_and_gradient(learner: Learner, adapter: np.ndarray, pairs: Any) -> tuple[float, Any]:
    task = task_of(learner, adapter)
    loss, gradient, state = DPO.step(task, task.adapter, pairs, {})
    assert state == {}
    return loss, gradient


def log_probability(learner: Learner, adapter: np.ndarray, example: Any) -> float:
    """Sum over the answer, from the logits of the whole model."""
    import torch

    learner._model.load(adapter)
    ids = torch.tensor([example.ids])
    with torch.no_grad():
        logs = learner._model.causal(input_ids=ids).logits.log_softmax(-1)[0]
    places = range(example.prompt, len(example.ids))
    return sum(float(logs[place - 1, example.ids[place]]) for place in places)


def test_the_loss_is_that_of_the_paper(tuned: Learner) -> None:
    start, adapter = tuned.initial_adapter(), somewhere(tuned)
    pairs = tuned._clients[0][:3]
    expected = []
    for pair in pairs:
        ratio = [
            log_probability(tuned, adapter, e) - log_probability(tuned, start, e)
            for e in (pair, pair.worse)
        ]
        expected.append(np.log1p(np.exp(-BETA * (ratio[0] - ratio[1]))))
    loss, _ = loss_and_gradient(tuned, adapter, pairs)
    assert loss == pytest.approx(np.mean(expected), rel=1e-5)
    # At the start there is nothing to choose.
    loss, _ = loss_and_gradient(tuned, start, pairs)
    assert loss == pytest.approx(np.log(2), rel=1e-6)


@pytest.mark.parametrize("packed", [True, False])
def test_the_gradient_is_that_of_autograd(
    tuned: Learner, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss once more, as the paper writes it, differentiated by torch."""
    import torch
    from torch.nn import functional

    if not packed:
        monkeypatch.setattr(tuned._model, "packs", False)
    adapter, pairs = somewhere(tuned), tuned._clients[0][:4]
    loss, gradient = loss_and_gradient(tuned, adapter, pairs)
    model = tuned._model
    reference = model.reference.log_probabilities([*pairs, *(p.worse for p in pairs)]).float()

    def log_probabilities(examples: list[Any]) -> torch.Tensor:
        sums = []
        for example in examples:
            logs = model.causal(input_ids=torch.tensor([example.ids])).logits[0].log_softmax(-1)
            ids = torch.tensor(example.ids)
            sums.append(logs[:-1].gather(1, ids[1:, None])[example.prompt - 1 :].sum())
        return torch.stack(sums)

    model.load(adapter)
    ratios = log_probabilities([*pairs, *(p.worse for p in pairs)]) - reference
    better, worse = ratios.chunk(2)
    expected = -functional.logsigmoid(BETA * (better - worse)).mean()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    exact = torch.cat([g.reshape(-1) for g in torch.autograd.grad(expected, model._trained)])
    assert float(exact.norm()) > 0
    assert float((gradient - exact).norm()) < 1e-4 * float(exact.norm())


def test_the_margin_grows_over_rounds(tuned: Learner) -> None:
    adapter, settings = tuned.initial_adapter(), tuned.scenario.training
    state = ADAM.init(adapter, settings)
    before = tuned.evaluate(adapter)
    assert before.loss == pytest.approx(np.log(2), rel=1e-6)
    assert before.preference_accuracy == 0.5  # nothing is preferred yet
    for number in range(8):
        updates = tuned.client_updates(adapter, [0, 1, 2], [6, 6, 6], seed=1, round_index=number)
        assert all(update.finite for update in updates)
        mean = np.mean([u.update for u in updates], axis=0)
        adapter, state = ADAM.step(adapter, mean, state, settings)
    after = tuned.evaluate(adapter)
    assert after.loss < 0.8 * before.loss
    assert after.preference_accuracy > 0.9
    assert after.exact_match is after.perplexity is None
    assert after.records == len(tuned._validation_examples)
    task = task_of(tuned, adapter)
    margins = DPO.margins(task, task.adapter, tuned._validation_examples)
    assert float(margins.mean()) > 0.3


def test_references_do_not_depend_on_what_was_computed_before(tuned: Learner) -> None:
    from airtune.learning.pairs import answers
    from airtune.learning.reference import Reference

    pairs, calls = tuned._clients[0], []
    start = tuned._model.reference._compute
    anew = Reference(lambda some: calls.append(len(some)) or start(some))  # type: ignore[func-returns-value]
    anew.log_probabilities(answers(pairs[:3]))
    calls.clear()
    both = anew.log_probabilities(answers(pairs[:5]))
    assert calls == [1] * 4, "the two new pairs must be computed one by one"
    expected = [log_probability(tuned, tuned.initial_adapter(), e) for e in answers(pairs[:5])]
    assert both.tolist() == pytest.approx(expected, rel=1e-5)


def test_the_objective_is_no_part_that_learners_share(tuned: Learner) -> None:
    from airtune.learning.learner import prepared_from

    def under(**changes: Any) -> dict[str, Any]:
        plain = tuned.scenario.to_dict()
        return prepared_from(
            Scenario.model_validate(plain | {"training": plain["training"] | changes})
        )

    assert under(learning_rate=0.5) == under()
    assert under(beta=0.5) != under()
    assert under(client_objective="sft", objective="sft") != under()


def test_a_pair_costs_both_answers_and_a_forward_pass_more(
    tuned: Learner, scenario_with: Callable[..., Scenario], pairs_file: Path
) -> None:
    plain = prepare(
        tuned.scenario.model_copy(
            update={
                "training": tuned.scenario.training.model_copy(update={"client_objective": "sft"})
            }
        ),
        seed=3,
    )
    # The worse answers are longer than the better ones.
    assert tuned.flop_per_sample > 3 * plain.flop_per_sample


def test_settings_that_do_not_fit_are_told(scenario_with: Callable[..., Scenario]) -> None:
    with pytest.raises(ValueError, match=r"objective = dpo: needs data\.format = preference"):
        scenario_with(training__objective="dpo")
    with pytest.raises(ValueError, match=r"not preference and 0\.1"):
        scenario_with(
            training__objective="dpo", data__format="preference", model__lora={"dropout": 0.1}
        )


def test_records_without_a_worse_answer_are_told(encoder: Any) -> None:
    from airtune.errors import InputError
    from airtune.learning.pairs import encode_pairs

    with pytest.raises(InputError, match=r"needs two answers"):
        encode_pairs(encoder, [Record("a", "", "b")])


@pytest.mark.parametrize("entry", [np.nan, np.inf, 3e38])
def test_adapters_beyond_all_numbers_are_scored(tuned: Learner, entry: float) -> None:
    adapter = np.full(tuned.size, entry, np.float32)
    assert not np.isfinite(tuned.evaluate(adapter).loss)
    sent = tuned.client_update(adapter, 0, 4, seed=1, round_index=1)
    assert not sent.finite and not sent.update.any()
