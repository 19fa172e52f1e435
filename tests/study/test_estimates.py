"""What a check says of the time of a run: it is of the machine, not of what else runs there."""

from __future__ import annotations

import time

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
