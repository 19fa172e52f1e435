"""What is sent of an update, and what comes back (`airtune.learning.payload`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.learning.lora import AdapterShape, read_adapter
from airtune.learning.payload import PAYLOADS, Payload, payload_of, subspace
from airtune.learning.payload.base import shared_out
from airtune.learning.product_bias import product_bias
from airtune.learning.results import AdapterMatrix
from airtune.scenario import Aggregation
from airtune.scenario.costs import SHAPES
from airtune.streams import generator

OMEGA = np.array([0.5, 0.3, 0.2])
SIZED = tuple(name for name, kind in PAYLOADS.items() if kind.sized)


def settings(name: str, size: int = 40) -> dict[str, object]:
    """Settings of a payload, by their dotted names as a scenario's maker takes them."""
    sized = {"aggregation__payload_size": size} if name in SIZED else {}
    return {"aggregation__payload": name, **sized}


def two_layers() -> tuple[AdapterMatrix, ...]:
    """A (2 x 30, 2 x 20) and B (10 x 2, 25 x 2) of two layers."""
    shapes = [("q.lora_A", (2, 30)), ("q.lora_B", (10, 2)), ("v.lora_A", (2, 20))]
    shapes.append(("v.lora_B", (25, 2)))
    matrices, start = [], 0
    for name, shape in shapes:
        matrices.append(AdapterMatrix(f"{name}.weight", shape, start, shape[0] * shape[1]))
        start += shape[0] * shape[1]
    return tuple(matrices)


def made(name: str, size: int = 40, seed: int = 7) -> Payload:
    given = {"payload_size": size} if name in SIZED else {}
    return payload_of(Aggregation(payload=name, **given), two_layers(), seed)


def full(payload: Payload, values: np.ndarray, round_index: int) -> np.ndarray:
    """Return decoded values with zeros where nothing moves, shape (d,)."""
    entries = payload.entries(round_index)
    update = np.zeros(payload.total)
    update[slice(None) if entries is None else entries] = values
    return update


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=12).flatmap(
        lambda sizes: st.tuples(st.just(sizes), st.integers(len(sizes), sum(sizes)))
    )
)
def test_numbers_are_shared_out_in_proportion(case: tuple[list[int], int]) -> None:
    sizes, size = case
    counts = shared_out(size, np.array(sizes))
    assert counts.sum() == size
    assert np.all((counts >= 1) & (counts <= sizes))
    quotas = np.array(sizes) * size / sum(sizes)
    if np.all(quotas >= 1):
        assert np.all(np.abs(counts - quotas) < 1)


@pytest.mark.parametrize("name", ["lora", "ffa", "rolora", "mask"])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_sum_of_what_is_sent_is_the_exact_mean(scenario_with, learner, name, steps) -> None:
    changed = scenario_with(training__local_steps=steps, **settings(name))
    moving = learner.under(changed)
    payload = payload_of(changed.aggregation, learner.matrices, 5)
    adapter = learner.initial_adapter()
    for round_index in (1, 2):
        batches = [4, 4, 4]
        results = moving.client_updates(adapter, [0, 1, 2], batches, 5, round_index)
        updates = np.array([result.update for result in results])
        sent = payload.coded(updates, round_index)
        assert sent.shape[1] == payload.blocks(payload.part(round_index)).sum()
        decoded = payload.decoded(OMEGA @ sent.astype(np.float64), round_index)
        # Updates are 0 where nothing is sent: what is decoded is the mean of all that moved.
        exact = OMEGA @ updates.astype(np.float64)
        assert np.allclose(full(payload, decoded, round_index), exact, rtol=1e-12, atol=1e-15)
        adapter = adapter - 0.5 * exact.astype(np.float32)


@pytest.mark.parametrize("name", list(PAYLOADS))
def test_the_product_is_exact_where_one_factor_rests(scenario_with, learner, name) -> None:
    size = learner.size // 2
    changed = scenario_with(
        training__local_steps=3, training__local_learning_rate=0.5, **settings(name, size)
    )
    payload = payload_of(changed.aggregation, learner.matrices, 5)
    adapter = learner.initial_adapter()
    adapter = adapter + 0.1 * generator(1, "test").standard_normal(len(adapter), np.float32)
    for round_index in (1, 2):
        results = learner.under(changed).client_updates(
            adapter, [0, 1, 2], [4, 4, 4], 5, round_index
        )
        sent = payload.coded(np.array([result.update for result in results]), round_index)
        changes = -0.5 * payload.spread(sent, round_index).astype(np.float64)
        bias = product_bias(adapter, changes, OMEGA, learner.matrices)
        assert bias is not None
        if name in ("ffa", "rolora"):
            assert bias == 0
        else:
            assert bias > 1e-4


def test_clients_move_only_what_is_sent(scenario_with, learner) -> None:
    adapter = learner.initial_adapter()
    for name in ("ffa", "rolora", "mask"):
        changed = scenario_with(training__local_steps=2, **settings(name))
        payload = payload_of(changed.aggregation, learner.matrices, 5)
        for round_index in (1, 2):
            (result,) = learner.under(changed).client_updates(adapter, [0], [4], 5, round_index)
            moved = np.zeros(learner.size, bool)
            moved[payload.entries(round_index)] = True
            assert not result.update[~moved].any()
            adapter = adapter - result.update
        assert adapter[moved].any()


def test_rolora_begins_with_b_for_a_has_no_gradient_at_first(learner, scenario_with) -> None:
    payload = payload_of(Aggregation(payload="rolora"), learner.matrices, 5)
    assert [payload.part(index) for index in (1, 2, 3, 4)] == ["B", "A", "B", "A"]
    update = learner.client_update(learner.initial_adapter(), 0, 4, 5, 1).update
    assert update[payload.entries(1)].any()
    assert not update[payload.entries(2)].any()


def test_masks_are_new_each_round_and_known_to_both_ends() -> None:
    one, other = made("mask"), PAYLOADS["mask"](two_layers(), 7, 40)
    assert np.array_equal(one.entries(3), other.entries(3))
    assert not np.array_equal(one.entries(3), one.entries(4))
    assert not np.array_equal(one.entries(3), made("mask", seed=8).entries(3))
    for matrix, count in zip(one.matrices, one.blocks(""), strict=True):
        inside = one.entries(3)[(one.entries(3) >= matrix.start)]
        assert np.sum(inside < matrix.start + matrix.size) == count


@pytest.mark.slow
def test_subspaces_are_unbiased_with_the_stated_energy() -> None:
    payload, rounds = made("subspace", 60), 1500
    update = generator(2, "test").standard_normal(payload.total)
    rows = np.array(
        [
            payload.decoded(payload.coded(update[None].astype(np.float32), index)[0], index)
            for index in range(1, rounds + 1)
        ]
    )
    for matrix, number in zip(payload.matrices, payload.blocks(""), strict=True):
        span = slice(matrix.start, matrix.start + matrix.size)
        energy = np.sum(update[span] ** 2)
        factor = np.sum(rows[:, span] ** 2, axis=1) / energy
        expected = (matrix.size + number + 1) / number
        assert factor.mean() == pytest.approx(expected, abs=5 * factor.std() / np.sqrt(rounds))
        assert factor.mean() == pytest.approx(expected, rel=0.1)
        # E ||mean - d||^2 is (d + 1) / n times the energy over the number of rounds; of a biased
        # estimate it would not fall with them.
        off = np.sum((rows[:, span].mean(axis=0) - update[span]) ** 2)
        assert off / energy < 3 * (matrix.size + 1) / number / rounds
    assert payload.inflation == pytest.approx(((payload.matrix_sizes + 1) / payload.counts).max())


def test_noise_on_coefficients_comes_back_with_d_over_n() -> None:
    payload = made("subspace", 60)
    noise = generator(3, "test").standard_normal((400, 60))
    back = [np.sum(payload.decoded(row, i + 1) ** 2) for i, row in enumerate(noise)]
    sent = (payload.matrix_sizes * 1.0).sum()  # n_b d_b / n_b of each block
    assert np.mean(back) == pytest.approx(sent, rel=0.1)


def test_subspaces_need_little_memory_and_no_matter_how_much(monkeypatch) -> None:
    payload = made("subspace", 60)
    update = generator(4, "test").standard_normal((3, payload.total), np.float32)
    whole = payload.coded(update, 9)
    monkeypatch.setattr(subspace, "CHUNK", 64)
    pieces = [piece.size for _, _, piece in payload._pieces(9)]
    assert max(pieces) <= 64
    assert sum(pieces) == int(payload.matrix_sizes @ payload.counts)
    assert np.allclose(payload.coded(update, 9), whole, rtol=1e-5, atol=1e-5)
    spread = payload.spread(whole, 9)
    for row, back in zip(whole, spread, strict=True):
        assert np.allclose(payload.decoded(row.astype(np.float64), 9), back, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", list(PAYLOADS))
def test_what_a_client_sends_is_no_longer_than_the_clip_norm(name: str) -> None:
    payload = made(name, 60)
    updates = generator(5, "test").standard_normal((50, payload.total), np.float32)
    updates *= (2.0 / np.linalg.norm(updates, axis=1)).astype(np.float32)[:, None]
    for index in (1, 2):
        norms = np.linalg.norm(payload.coded(updates, index, 2.0).astype(np.float64), axis=1)
        assert norms.max() <= 2.0 * (1 + 1e-6)
    if name == "subspace":  # half of the rows are longer by chance and cut
        assert np.linalg.norm(payload.coded(updates, 1), axis=1).max() > 2.0


def test_error_feedback_follows_the_entries() -> None:
    payload = made("mask")
    first = np.arange(1.0, 41.0)
    memory = payload.memorised(first, None, 1)
    assert np.array_equal(payload.remembered(memory, 1), first)
    again = payload.memorised(np.zeros(40), memory, 2)
    both = np.intersect1d(payload.entries(1), payload.entries(2))
    assert len(both) > 0
    assert not again[both].any()
    alone = np.setdiff1d(payload.entries(1), both)
    assert np.array_equal(again[alone], memory[alone])
    assert made("subspace").memorised(first, None, 1) is None


def test_twins_send_what_the_payload_sends() -> None:
    twin = SHAPES["openllama-3b-qv"]
    a, b = made("ffa").booked(twin, ""), made("rolora").booked(twin, "A")
    assert (len(a.matrix_sizes), a.entries) == (52, twin.entries // 2)
    assert b.entries + made("rolora").booked(twin, "B").entries == twin.entries
    up = SHAPES["openllama-3b"]
    widths = {3200 * 8, 8640 * 8}
    assert set(made("ffa").booked(up, "").matrix_sizes) == widths
    for name in SIZED:
        mask = made(name, 40).booked(twin, "")
        assert mask.entries == pytest.approx(twin.entries * 40 / made(name).total, abs=1)
        assert len(mask.matrix_sizes) == len(twin.matrix_sizes)
    assert made("lora").booked(twin, "") is twin


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("size", [3, 171, 10**11])
def test_a_size_that_does_not_fit_is_refused(name: str, size: int) -> None:
    with pytest.raises(InputError, match=rf"aggregation\.payload_size = {size}: .* 4, .* 170,"):
        made(name, size)


def test_a_model_without_factors_is_refused() -> None:
    matrices = (AdapterMatrix("vector", (3,), 0, 3),)
    for name in ("ffa", "rolora"):
        with pytest.raises(InputError, match=r"the matrix 'vector' is no factor A or B of LoRA"):
            payload_of(Aggregation(payload=name), matrices, 1)


def test_adapters_come_out_as_plain_lora(learner, scenario_with, tmp_path: Path) -> None:
    import json

    adapter = learner.initial_adapter()
    payload = payload_of(Aggregation(payload="ffa"), learner.matrices, 5)
    moved = adapter.copy()
    moved[payload.entries(1)] -= 0.1
    learner.save_adapter(moved, tmp_path / "adapter")
    lora = scenario_with().model.lora
    shape = AdapterShape(learner.matrices, {})
    assert np.array_equal(read_adapter(tmp_path / "adapter", lora, shape), moved)
    assert json.loads((tmp_path / "adapter/adapter_config.json").read_text())["r"] == lora.rank
