"""The gain map against its formula, one place at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.radio.gain_map import weakest_gain_db


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2)),
    silent=st.booleans(),
)
def test_every_place_has_the_weakest_clients_gain(seed, sizes, silent) -> None:
    (clients, paths, others), rng = sizes, np.random.default_rng(seed)

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        gains = rng.normal(size=(count, paths)) + 1j * rng.normal(size=(count, paths))
        return gains, rng.uniform(-0.7, 0.7, size=(count, paths, 2))

    (gains, directions), (theirs, towards) = drawn(clients), drawn(others)
    if silent and clients > 1:
        gains[0] = 0.0
    x, y = np.sort(rng.uniform(0, 4, size=3)), np.sort(rng.uniform(0, 4, size=2))
    level = weakest_gain_db(gains, directions, theirs, towards, 0.3, x, y)
    assert level.shape == (2, 3)
    for j, i in np.ndindex(2, 3):
        place = np.array([x[i], y[j]])
        heard = np.abs(np.sum(gains * np.exp(2j * np.pi * directions @ place), axis=1)) ** 2
        noise = np.abs(np.sum(theirs * np.exp(2j * np.pi * towards @ place), axis=1)) ** 2
        counted = heard[np.any(gains != 0, axis=1)]
        expected = 10 * np.log10(max(counted.min() / (0.3 + noise.sum()), 1e-30))
        np.testing.assert_allclose(level[j, i], expected, atol=1e-8)
