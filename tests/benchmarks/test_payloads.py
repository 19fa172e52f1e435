"""What is sent: the benchmark's own parts (`benchmarks/payloads.py`)."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import payloads
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.schemes import Uploads


def test_a_target_is_crossed_between_two_rounds() -> None:
    assert payloads.crossing([3.0, 2.0, 1.0], 1.25) == 1.75
    assert payloads.crossing([3.0, 2.0, 1.0], 0.5) is None
    assert payloads.crossing([3.0, None, 1.0], 1.0) is None
    cells = {"lora; mse 0; seed 1": {"losses": [4.0] * 30 + [2.0]}}
    assert payloads.target_of(cells, 1) == pytest.approx(2.2)
    assert payloads.target_of(cells, 2) is None


def test_the_noise_has_the_error_that_its_name_says() -> None:
    name = payloads.noisy(0.5)
    try:
        air = SCHEMES[name].air.build(Scenario())
        random = np.random.default_rng(1)
        scales = np.repeat([1.0, 10.0], 4000)
        updates = (random.standard_normal((3, 8000)) * scales).astype(np.float32)
        omega, sizes = np.array([0.5, 0.3, 0.2]), np.array([4000, 4000])
        uploads = Uploads(updates, np.arange(3), omega, sizes)
        radio = SimpleNamespace(seed=1, round=1)
        received = air.combine(uploads, SimpleNamespace(radio=radio), 1.0)  # type: ignore[arg-type]
        off = received.mean - omega @ updates.astype(np.float64)
        for part, scale in ((off[:4000], 1.0), (off[4000:], 10.0)):
            assert np.mean(part**2) == pytest.approx(0.5 * scale**2, rel=0.1)
    finally:
        SCHEMES.remove(name)


def test_cells_of_a_seed_begin_with_what_sets_its_target() -> None:
    for section in ("rounds", "tuning"):
        cells = list(payloads.grid(section))
        firsts = {cell.seed: cell for cell in reversed(cells)}
        assert all(cell == payloads.Cell("lora", 0.0, cell.seed) for cell in firsts.values())
    assert not {c.seed for c in payloads.grid("rounds")} & {c.seed for c in payloads.grid("tuning")}


def test_a_table_has_the_rows_that_all_seeds_have_been_run_of() -> None:
    assert payloads.rounds_table({}) == payloads.tuning_table({}) == payloads.books_table({}) == ""
    cells = {}
    for seed in payloads.SEEDS:
        cells[f"lora; mse 0; seed {seed}"] = {"losses": [4.0, *[3.0] * 29, 2.0]}
        cells[f"lora; mse 0.1; seed {seed}"] = {"losses": [4.0, 3.0, 2.0]}
        cells[f"lora; mse 1; seed {seed}"] = {"losses": [4.0] * 46}
        cells[f"ffa; mse 0; seed {seed}"] = {"losses": [4.0, 2.0]}
    table = payloads.rounds_table({"cells": cells})
    assert "| `lora` | 29.8 / 29.8 / 29.8 / 29.8 / 29.8 | 1.8 / 1.8" in table
    assert "never / never" in table and "ffa" not in table
    del cells["lora; mse 1; seed 5"]
    assert payloads.rounds_table({"cells": cells}) == ""
