"""Powers of scale groups: the benchmark's own parts (`benchmarks/loaded.py`)."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import loaded
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.schemes import Uploads


@pytest.mark.parametrize("rule", loaded.RULES)
def test_a_group_has_the_error_of_its_power(rule: str) -> None:
    name = loaded.noisy(rule, 0.5)
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
        # powers in proportion to the scales, with a mean of 1: 2 / 11 and 20 / 11
        powers = {"block": (1.0, 1.0), "loaded": (2 / 11, 20 / 11)}[rule]
        for part, scale, power in ((off[:4000], 1.0, powers[0]), (off[4000:], 10.0, powers[1])):
            assert np.mean(part**2) == pytest.approx(0.5 * scale**2 / power, rel=0.1)
    finally:
        SCHEMES.remove(name)


def test_cells_of_a_seed_begin_with_what_sets_its_target() -> None:
    cells = list(loaded.grid())
    firsts = {cell.seed: cell for cell in reversed(cells)}
    assert all(cell == loaded.Cell(cell.seed) for cell in firsts.values())
    assert len({cell.name for cell in cells}) == len(cells)


def test_the_table_has_the_seeds_that_are_whole() -> None:
    cells = {}
    for cell in loaded.grid():
        losses = {0.0: [4.0, *[3.0] * 29, 2.0], 0.1: [4.0, 3.0, 2.0], 1.0: [4.0] * 46}[cell.mse]
        losses = [4.0, 2.0] if cell.rule == "loaded" else losses
        cells[cell.name] = {"losses": losses}
    last = loaded.Cell(loaded.SEEDS[-1], 1.0, "loaded").name
    text = loaded.text_of({"cells": {k: v for k, v in cells.items() if k != last}})
    count = len(loaded.SEEDS) - 1
    assert f"| MSE 1 | {' / '.join(['never'] * count)} | {' / '.join(['0.9'] * count)} |" in text
    assert f"| {' / '.join(['0.50'] * count)} (median 0.50) |" in text
    assert loaded.text_of({"cells": {}}) == ""
