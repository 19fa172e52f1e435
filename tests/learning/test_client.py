"""Client updates against plain transformers, finite differences and hand-made local steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from airtune.learning.client import client_update, mini_batch
from airtune.learning.learner import Learner
from airtune.learning.text import Example
from airtune.scenario import Scenario
from airtune.scenario.learning import Lora, Training

LORA = Lora(rank=2, alpha=4.0)


@pytest.fixture
def model(fresh: Any) -> Any:
    from airtune.learning.model import AdapterModel

    return AdapterModel(fresh, "base", LORA, seed=1)


def some_adapter(model: Any) -> np.ndarray:
    """A generic point: at the start the gradient of every A matrix is zero."""
    noise = np.random.default_rng(0).standard_normal(model.size)
    return (model.initial + 0.1 * noise).astype(np.float32)


def plain_loss(causal: Any, examples: list[Example], pad: int) -> Any:
    """Mean over samples of transformers' own loss, padded and masked by labels of -100."""
    import torch

    losses = []
    for example in examples:
        ids = torch.tensor([[*example.ids, pad, pad]])
        labels = ids.clone()
        labels[0, : example.prompt] = -100
        labels[0, len(example.ids) :] = -100
        mask = torch.ones_like(ids)
        mask[0, len(example.ids) :] = 0
        losses.append(causal(input_ids=ids, attention_mask=mask, labels=labels).loss)
    return torch.stack(losses).mean()


def test_loss_and_gradient_equal_those_of_plain_transformers(
    model: Any, examples: list[Example]
) -> None:
    import torch

    from airtune.learning.batches import collate

    model.load(some_adapter(model))
    # Lengths differ, and padding with the end token must not matter.
    chosen = examples[:7]
    loss, gradient = model.loss_and_gradient(collate(chosen))
    reference = plain_loss(model.causal, chosen, pad=chosen[0].ids[-1])
    reference.backward()
    theirs = torch.cat([p.grad.reshape(-1) for p in model.peft.parameters() if p.requires_grad])
    assert loss == pytest.approx(reference.item(), rel=1e-5)
    assert torch.allclose(gradient, theirs, rtol=1e-3, atol=1e-6)
    assert torch.count_nonzero(gradient) > 0.9 * model.size


def test_the_gradient_matches_finite_differences(model: Any, examples: list[Example]) -> None:
    from airtune.learning.batches import collate

    batch = collate(examples[:5])
    point, step = some_adapter(model), 0.01
    model.load(point)
    gradient = model.loss_and_gradient(batch)[1].numpy()
    random = np.random.default_rng(1)
    for number in random.permutation(len(model.matrices))[:6]:
        block = model.matrices[number]
        place = slice(block.start, block.start + block.size)
        direction = np.zeros_like(point)
        # Along the gradient the slope stands out from single-precision rounding.
        direction[place] = gradient[place] / np.linalg.norm(gradient[place])
        model.load(point + step * direction)
        ahead = model.loss_and_gradient(batch)[0]
        model.load(point - step * direction)
        slope = (ahead - model.loss_and_gradient(batch)[0]) / (2 * step)
        assert slope == pytest.approx(np.linalg.norm(gradient[place]), rel=0.02)


def test_the_end_of_an_answer_is_trained_though_it_pads(examples: list[Example]) -> None:
    from airtune.learning.batches import collate

    chosen = sorted(examples, key=lambda e: len(e.ids))[:: len(examples) // 4]
    batch = collate(chosen)
    end = chosen[0].ids[-1]
    assert len({len(e.ids) for e in chosen}) > 1
    assert int((batch.targets == end).sum()) == len(chosen)
    assert batch.lengths.tolist() == [len(e.ids) - e.prompt for e in chosen]
    # Each target follows the place that predicts it.
    assert bool((batch.ids[batch.rows, batch.columns + 1] == batch.targets).all())


def test_a_smaller_batch_is_the_beginning_of_a_larger_one(examples: list[Example]) -> None:
    small = mini_batch(examples, 3, 1, 2, 0, 0)
    large = mini_batch(examples, 8, 1, 2, 0, 0)
    width = small.ids.shape[1]
    assert small.ids.tolist() == [row[:width] for row in large.ids[:3].tolist()]
    assert len(mini_batch(examples, 10**6, 1, 2, 0, 0).ids) == len(examples)
    others = [mini_batch(examples, 8, *name, 0) for name in [(2, 2, 0), (1, 3, 0), (1, 2, 1)]]
    assert all(other.ids.tolist() != large.ids.tolist() for other in others)


def test_local_steps_are_plain_sgd(model: Any, examples: list[Example]) -> None:
    rate, start = 0.05, some_adapter(model)
    settings = Training(local_steps=3, local_learning_rate=rate)
    model.load(start)
    found = client_update(
        model, start, examples, settings, batch_size=4, seed=1, round_index=2, client=0
    )
    theta, losses = start.copy(), []
    for step in range(3):
        model.load(theta)
        loss, gradient = model.loss_and_gradient(mini_batch(examples, 4, 1, 2, 0, step))
        theta = theta - np.float32(rate) * gradient.numpy()
        losses.append(loss)
    assert np.allclose(found.update, (start - theta) / rate, rtol=1e-3, atol=1e-5)
    assert found.loss == pytest.approx(np.mean(losses))
    assert found.finite


def one_update(model: Any, adapter: np.ndarray, examples: list[Example], **settings: Any) -> Any:
    model.load(adapter)
    return client_update(
        model,
        adapter,
        examples,
        Training(**settings),
        batch_size=4,
        seed=1,
        round_index=0,
        client=0,
    )


def test_clipping_keeps_the_direction(model: Any, examples: list[Example]) -> None:
    free = one_update(model, some_adapter(model), examples).update
    norm = np.linalg.norm(free)
    clipped = one_update(model, some_adapter(model), examples, clip_norm=norm / 4).update
    assert np.allclose(4 * clipped, free, rtol=1e-4)
    loose = one_update(model, some_adapter(model), examples, clip_norm=2 * norm).update
    assert np.array_equal(loose, free)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_nan_never_leaves_a_client(model: Any, examples: list[Example], steps: int) -> None:
    adapter = some_adapter(model)
    adapter[5] = np.nan
    found = one_update(model, adapter, examples, local_steps=steps)
    assert not found.finite
    assert not found.update.any()
    assert one_update(model, some_adapter(model), examples, local_steps=steps).finite


def test_dropout_comes_from_its_own_stream(fresh: Any, examples: list[Example]) -> None:
    from airtune.learning.model import AdapterModel

    model = AdapterModel(fresh, "base", Lora(rank=2, dropout=0.5), seed=1)
    adapter = some_adapter(model)
    first, second = (one_update(model, adapter, examples).update for _ in range(2))
    assert np.array_equal(first, second)
    model.settings = LORA
    assert not np.allclose(first, one_update(model, adapter, examples).update)


@pytest.mark.parametrize("settings", [{}, {"local_steps": 2}])
def test_updates_side_by_side_are_those_made_alone(
    scenario_with: Callable[..., Scenario], settings: dict[str, Any]
) -> None:
    from airtune.learning.learner import prepare

    changes = {f"training__{name}": value for name, value in settings.items()}
    alone = prepare(scenario_with(**changes), seed=3)
    together = prepare(scenario_with(threads=2, **changes), seed=3)
    adapter = some_adapter(alone._model)
    sizes = [2, 3, 4, 5, 6, 7]
    found = together.client_updates(adapter, range(6), sizes, seed=3, round_index=4)
    for client, update in enumerate(found):
        expected = alone.client_update(adapter, client, sizes[client], seed=3, round_index=4)
        assert update.update.tobytes() == expected.update.tobytes()
        assert (update.loss, update.tokens) == (expected.loss, expected.tokens)
    assert alone.evaluate(adapter) == together.evaluate(adapter)


def test_updates_repeat_bit_for_bit(
    learner: Learner, scenario_with: Callable[..., Scenario]
) -> None:
    from airtune.learning.learner import prepare

    again = prepare(scenario_with(), seed=3)
    assert np.array_equal(learner.initial_adapter(), again.initial_adapter())
    adapter = learner.initial_adapter()
    adapter += np.random.default_rng(0).standard_normal(learner.size).astype(np.float32) / 10
    for client in range(3):
        one = learner.client_update(adapter, client, 6, seed=3, round_index=1)
        # What another client did in between leaves no trace.
        again.client_update(-adapter, client + 1, 6, seed=3, round_index=7)
        two = again.client_update(adapter, client, 6, seed=3, round_index=1)
        assert one.update.tobytes() == two.update.tobytes()
        assert (one.loss, one.tokens) == (two.loss, two.tokens)
    assert learner.evaluate(adapter) == again.evaluate(adapter)


@pytest.mark.parametrize("rate", [1e300, 1e30, 1e-300])
def test_local_steps_that_diverge_send_nothing(
    model: Any, examples: list[Example], rate: float
) -> None:
    settings = Training(local_steps=3, local_learning_rate=rate)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        sent = client_update(
            model,
            some_adapter(model),
            examples[:6],
            settings,
            batch_size=4,
            seed=1,
            round_index=1,
            client=0,
        )
    assert not sent.finite
    assert not sent.update.any()
