"""Changes of frozen weights and factors of single clients on the language model."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from airtune.engines import LocalEngine
from airtune.errors import InputError
from airtune.learning.base_change import factored
from airtune.learning.exact import AGGREGATIONS, mean_products, pairs_of
from airtune.learning.lora import CONFIG
from airtune.learning.measurements import Measurements
from airtune.learning.own_factors import OWN, adapter_of, label_shares, merged_scores
from airtune.learning.payload.base import entries_of
from airtune.learning.results import AdapterMatrix, DomainScore, Evaluation
from airtune.learning.shared import SharedLearners
from airtune.streams import generator


def matrices_of(shapes: list[tuple[int, int]], rank: int) -> tuple[AdapterMatrix, ...]:
    found, start = [], 0
    for i, (m, n) in enumerate(shapes):
        for factor, shape in (("A", (rank, n)), ("B", (m, rank))):
            size = shape[0] * shape[1]
            found.append(AdapterMatrix(f"l{i}.lora_{factor}.weight", shape, start, size))
            start += size
    return tuple(found)


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=3),
    st.integers(1, 4),
    st.integers(1, 5),
    st.sampled_from(["flora", "fedex"]),
)
def test_products_are_aggregated_exactly(shapes, rank, clients, kind) -> None:
    """The model after a round is the mean of the clients' models, whatever the ranks."""
    pairs = pairs_of(matrices_of(shapes, rank))
    server, random = AGGREGATIONS[kind](pairs, 3), np.random.default_rng(len(shapes) + clients)
    adapter = random.standard_normal(server.total).astype(np.float32)
    base = random.standard_normal(server.size).astype(np.float32)
    rows = random.standard_normal((clients, server.total))
    weights = random.dirichlet(np.ones(clients))
    after, change = server.aggregated(adapter, base, rows, weights, 1)
    found = change + mean_products(pairs, after[None], np.ones(1))
    wanted = base + sum(
        w * mean_products(pairs, row[None], np.ones(1))
        for w, row in zip(weights, rows, strict=True)
    )
    assert np.allclose(found, wanted, atol=1e-4)
    most = server.total + server.size
    assert server.message(0) == server.total
    assert server.message(clients) <= (most if kind == "fedex" else server.size)


def changed(learner, seed: int = 0) -> np.ndarray:
    """Return an adapter with a change of the frozen weights of half of its rank's size."""
    random, pairs = generator(seed, "change"), pairs_of(learner.matrices)
    rows = 0.3 * random.standard_normal((3, learner.size))
    base = mean_products(pairs, rows, np.full(3, 1 / 3))
    return np.concatenate([rows[0], base]).astype(np.float32)


def test_the_adapter_that_is_written_is_the_model(learner, tmp_path: Path) -> None:
    """PEFT on the unchanged base computes the same as the model with its frozen weights changed."""
    from peft import PeftModel

    model = changed(learner)
    before = learner.evaluate(learner.initial_adapter())
    scored = learner.evaluate(model)
    assert abs(scored.loss - learner.evaluate(model[: learner.size]).loss) > 1e-3
    assert learner.evaluate(learner.initial_adapter()) == before  # put back bit for bit
    learner.save_adapter(model, tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / CONFIG).read_text())
    assert config["r"] == 6  # three clients of rank 2, of which the adapter is one
    assert config["lora_alpha"] == 12
    learner._model.load(learner.initial_adapter())
    ids = torch.tensor([[5, 7, 9, 11, 3]])
    causal = learner._model.causal
    with torch.inference_mode():
        learner._model.load(model)
        wanted = causal(input_ids=ids).logits.clone()
        learner._model.load(np.zeros(learner.size, np.float32))
        plain = causal(input_ids=ids).logits.clone()
        base = copy.deepcopy(learner._model.peft).unload()
        loaded = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
        found = loaded(input_ids=ids).logits
    assert torch.allclose(found, wanted, atol=1e-4)
    assert (wanted - plain).abs().max() > 1e-2


def test_nothing_of_a_change_is_left_for_who_comes_next(learner) -> None:
    """The next run of a shared learner, its calibration and the weights that others compare."""
    first = [weight.clone() for weight in learner.base_weights()]
    measured = Measurements(learner, 3)
    marks, weights = measured.fingerprint(), measured.trained_weights()
    loss = measured.tuning()
    scored = loss.losses(learner.initial_adapter())
    for later in (
        lambda: list(learner.base_weights()),
        lambda: list(learner.under(learner.scenario)._model.causal.state_dict().values()),
    ):
        learner.samples(changed(learner), 1)  # how a run ends
        later()
        now = [w for n, w in learner._model.peft.named_parameters() if "lora_" not in n]
        assert all(torch.equal(a, b) for a, b in zip(first, now, strict=True))
    learner.samples(changed(learner), 1)
    assert Measurements(learner, 3).fingerprint() == marks
    learner.samples(changed(learner), 1)
    assert measured.fingerprint() == marks
    learner.samples(changed(learner), 1)
    assert np.array_equal(measured.trained_weights(), weights)
    learner.samples(changed(learner), 1)
    again = loss.losses(learner.initial_adapter())
    assert all(np.array_equal(a, b) for a, b in zip(scored, again, strict=True))


def test_updates_are_those_at_the_changed_weights(learner) -> None:
    """Gradients with a change are those of an adapter that has the change in it."""
    model = changed(learner)
    moved = learner.client_updates(model, [0, 1], [4, 4], 5, 1)
    plain = learner.client_updates(model[: learner.size], [0, 1], [4, 4], 5, 1)
    assert moved[0].loss != plain[0].loss
    assert len(moved[0].update) == learner.size
    engine = LocalEngine.over(learner)
    batches = np.full(len(learner.data_sizes), 4)
    again = engine.updates(model, np.array([0, 1]), batches, 5, 1)
    assert np.array_equal(again.updates[0], moved[0].update)
    # one step of the loss by finite differences in a direction of the adapter
    direction = generator(1, "direction").standard_normal(learner.size).astype(np.float32)
    direction /= np.linalg.norm(direction)
    losses = []
    for sign in (1, -1):
        there = model.copy()
        there[: learner.size] += sign * 5e-3 * direction
        losses.append(learner.client_updates(there, [0], [4], 5, 1)[0].loss)
    slope = (losses[0] - losses[1]) / 1e-2
    assert slope == pytest.approx(float(direction @ moved[0].update), abs=2e-3)


def test_a_client_trains_its_own_factors_and_sends_none_of_them(scenario_with, learner) -> None:
    scenario = scenario_with(training__local_steps=3, training__local_learning_rate=0.1)
    moving = learner.under(scenario)
    adapter, kept = learner.initial_adapter(), entries_of(learner.matrices, "B")
    own = generator(2, "own").standard_normal(len(kept)).astype(np.float32) / 10
    plain = moving.client_updates(adapter_of(adapter, own, kept), [1], [4], 5, 1)[0]
    found = moving.client_updates(adapter, [1], [4], 5, 1, {1: {OWN: own}})[0]
    others = np.setdiff1d(np.arange(learner.size), kept)
    assert np.array_equal(found.update[others], plain.update[others])
    assert not np.any(found.update[kept])
    assert np.allclose(found.state[OWN], own - 0.1 * plain.update[kept], atol=1e-7)
    clipped = learner.under(
        scenario_with(
            training__local_steps=3, training__local_learning_rate=0.1, training__clip_norm=0.01
        )
    ).client_updates(adapter, [1], [4], 5, 1, {1: {OWN: own}})[0]
    assert np.linalg.norm(clipped.update) == pytest.approx(0.01, rel=1e-4)
    assert np.array_equal(clipped.state[OWN], found.state[OWN])


def test_domains_are_scored_by_the_clients_that_learn_them() -> None:
    def of(losses: list[float]) -> Evaluation:
        domains = {
            name: DomainScore(loss, loss / 10, 10, tokens=tokens)
            for name, loss, tokens in zip("ab", losses, (100, 300), strict=True)
        }
        return Evaluation(9.0, 9.0, 0.5, domains, token_accuracy=0.5)

    omega = np.array([0.5, 0.5])
    shares = label_shares({"labels": ["a", "b"], "counts": [[4, 1], [0, 3]]}, omega)
    merged = merged_scores([of([1.0, 5.0]), of([2.0, 3.0])], shares, omega)
    assert merged.domains["a"].loss == 1.0
    assert merged.domains["b"].loss == 0.25 * 5 + 0.75 * 3
    assert merged.loss == pytest.approx((100 * 1.0 + 300 * 3.5) / 400)
    assert merged.exact_match == pytest.approx((0.1 + 0.35) / 2)
    assert merged.token_accuracy is None
    # nobody else holds it, and one client is left out
    alone = label_shares({"labels": ["a", "c"], "counts": [[4, 0], [1, 0]]}, np.array([0.0, 1.0]))
    assert alone["a"].tolist() == [0.0, 1.0]
    assert alone["c"].tolist() == [0.0, 1.0]


def test_one_rank_serves_all_layers() -> None:
    """The largest that a layer needs; nothing above rounding is lost."""
    pairs = pairs_of(matrices_of([(5, 6), (4, 3)], 1))
    random = np.random.default_rng(0)
    base = np.concatenate(
        [
            (random.standard_normal((m, r)) @ random.standard_normal((r, n))).reshape(-1)
            for m, n, r in ((5, 6, 2), (4, 3, 1))
        ]
    )
    model = np.concatenate([random.standard_normal(18), base]).astype(np.float32)
    rank, factors = factored(pairs, model)
    assert rank == 3
    wanted = mean_products(pairs, model[None, :18], np.ones(1)) + model[18:]
    for pair in pairs:
        product = factors[pair.b.name] @ factors[pair.a.name]
        assert np.allclose(
            product.reshape(-1), wanted[pair.start : pair.start + pair.size], atol=1e-5
        )


@pytest.mark.parametrize("name", ["q.lora_embedding_A", "experts.lora_A.weight", "q.weight"])
def test_what_is_no_linear_layer_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"digital.aggregation: the matrix '.*' is no factor"):
        pairs_of([AdapterMatrix(name, (2, 3), 0, 6)])


def test_the_next_point_of_a_sweep_begins_with_the_frozen_weights(
    learner, scenario_with, monkeypatch
) -> None:
    """Points share a learner, whatever the aggregation and the plan of each."""
    made = []

    def prepare(*given: object) -> object:
        made.append(given)
        return learner

    monkeypatch.setattr("airtune.learning.learner.prepare", prepare)
    shared, steps = SharedLearners(), {"local_steps": 2}
    one = scenario_with(digital={"aggregation": "flora"}, training=steps)
    first = shared(one, 3)
    weights = [weight.clone() for weight in first.base_weights()]
    before = first.evaluate(first.initial_adapter())
    first.samples(changed(first), 1)
    second = shared(scenario_with(training=steps, planning={"rounds": "planned"}), 3)
    now = [w for n, w in second._model.peft.named_parameters() if "lora_" not in n]
    assert len(made) == 1
    assert all(torch.equal(a, b) for a, b in zip(weights, now, strict=True))
    assert second.evaluate(second.initial_adapter()) == before
