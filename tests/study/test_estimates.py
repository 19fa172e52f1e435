"""What a check says of the time of a run: it is of the machine, not of what else runs there."""

from __future__ import annotations

import time

import numpy as np
import pytest

from airtune.study.estimates import clocks, matmul_rate, spent_s


def test_time_in_which_others_compute_is_not_counted() -> None:
    began = clocks()
    time.sleep(0.3)
    assert spent_s(began) < 0.2


def test_the_rate_of_a_machine_is_not_that_of_the_share_which_others_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free, wall = matmul_rate(64, 64, 1), time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: 100.0 * wall())
    assert matmul_rate(64, 64, 1) > free / 10


@pytest.mark.parametrize("tick_s", [0.01, 1e9])
def test_a_clock_that_ticks_seldom_gives_a_rate(
    monkeypatch: pytest.MonkeyPatch, tick_s: float
) -> None:
    """As small products do: most of them take no time by such a clock."""
    free, clock = matmul_rate(8, 16, 1), time.process_time
    monkeypatch.setattr(time, "process_time", lambda: clock() // tick_s * tick_s)
    rate = matmul_rate(8, 16, 1)
    assert np.isfinite(rate)
    if tick_s < 1:
        assert free / 3 < rate < 3 * free
