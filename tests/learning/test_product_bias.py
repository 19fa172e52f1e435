"""The bias of averaging A and B apart, against dense products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.learning.product_bias import product_bias
from airtune.learning.results import AdapterMatrix


def factors(rank: int, layers: int) -> list[AdapterMatrix]:
    matrices, start = [], 0
    for layer in range(layers):
        for name, shape in (("lora_A", (rank, 5)), ("lora_B", (3, rank))):
            size = shape[0] * shape[1]
            matrices.append(AdapterMatrix(f"l{layer}.{name}.weight", shape, start, size))
            start += size
    return matrices


@given(st.integers(1, 3), st.integers(1, 2), st.integers(1, 4), st.integers(0, 10**6))
def test_it_is_that_of_the_dense_products(rank: int, layers: int, clients: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    matrices = factors(rank, layers)
    size = sum(m.size for m in matrices)
    adapter = random.normal(size=size).astype(np.float32)
    changes = random.normal(size=(clients, size))
    weights = random.dirichlet(np.ones(clients))

    def products(flat: np.ndarray) -> np.ndarray:
        parts = [flat[m.start : m.start + m.size].reshape(m.shape) for m in matrices]
        return np.concatenate(
            [(b @ a).ravel() for a, b in zip(parts[::2], parts[1::2], strict=True)]
        )

    start = adapter.astype(float)
    mean = sum(w * products(start + c) for w, c in zip(weights, changes, strict=True))
    biased = products(start + weights @ changes)
    expected = np.linalg.norm(mean - biased) / np.linalg.norm(mean - products(start))
    found = product_bias(adapter, changes, weights, matrices)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_there_is_none_for_one_client_or_one_factor_moved() -> None:
    matrices = factors(2, 1)
    random = np.random.default_rng(0)
    size = sum(m.size for m in matrices)
    adapter = random.normal(size=size).astype(np.float32)
    changes = random.normal(size=(3, size))
    weights = np.full(3, 1 / 3)
    assert product_bias(adapter, changes[:1], np.ones(1), matrices) == pytest.approx(0, abs=1e-12)
    changes[:, : matrices[0].size] = 0
    assert product_bias(adapter, changes, weights, matrices) == pytest.approx(0, abs=1e-12)


def test_without_pairs_or_a_step_there_is_nothing_to_say() -> None:
    block = [AdapterMatrix("block0", (4,), 0, 4)]
    assert product_bias(np.zeros(4, np.float32), np.ones((1, 4)), np.ones(1), block) is None
    matrices = factors(1, 1)
    zeros = np.zeros((1, sum(m.size for m in matrices)))
    assert product_bias(zeros[0].astype(np.float32), zeros, np.ones(1), matrices) is None


def test_what_is_beyond_any_number_has_no_bias() -> None:
    matrices = factors(2, 1)
    size = sum(m.size for m in matrices)
    changes = 1e200 * np.random.default_rng(0).normal(size=(3, size))
    assert product_bias(np.ones(size, np.float32), changes, np.full(3, 1 / 3), matrices) is None
