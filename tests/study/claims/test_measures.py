"""The three measures of EdgeFlowerTune, by hand."""

from __future__ import annotations

import math

import pytest

from airtune.record.documents import MetricsLine
from airtune.study.claims import measures

LINES = [
    MetricsLine(round=i, time_s=2.0 * i, energy_j=5.0 * i, loss=loss, evaluated=loss is not None)
    for i, loss in enumerate([4.0, 3.0, None, 1.0, 1.5])
]


def test_quality_within_each_budget() -> None:
    def best(**budget: float) -> float | None:
        found: float | None = measures.quality_under_budget(LINES, 10.0, budget)["loss"]
        return found

    assert best() == 1.0
    assert best(time_s=5.9) == 3.0
    assert best(energy_j=15.0) == 1.0
    assert best(traffic_mb=29.0) == 3.0
    assert best(time_s=100.0, energy_j=4.0) == 4.0
    assert best(time_s=-1.0) is None
    found = measures.quality_under_budget(LINES, 10.0, {})
    assert (found["round"], found["perplexity"]) == (3, pytest.approx(math.e))


def test_cost_to_a_target_counts_whole_messages() -> None:
    found = measures.cost_to_target(LINES, 10.0, 3.5)
    assert found == {"rounds": 0.5, "time_s": 1.0, "energy_j": 2.5, "traffic_mb": 10.0}
    found = measures.cost_to_target(LINES, 10.0, 3.0)
    assert (found["rounds"], found["traffic_mb"]) == (1.0, 10.0)
    assert set(measures.cost_to_target(LINES, 10.0, 0.5).values()) == {None}


def test_robustness_is_the_share_of_the_gain_that_is_left() -> None:
    found = measures.robustness(4.0, 2.0, {"a": 2.0, "b": 3.0, "gone": None, "worse": 5.0})
    assert (found["worst"], found["condition"], found["median"]) == (0.0, "gone", 0.25)


def test_traffic_is_in_flowertunes_units() -> None:
    """Both directions, 32 bits an entry, over 1024 squared, of every client."""
    assert measures.traffic_mb(10, 74_496, 74_496) == 10 * 2 * 74_496 * 4 / 1024**2
    assert measures.traffic_mb(1, 2**20, 0, bits_up=4) == 0.5
    assert measures.FLOWERTUNE_LIMIT_MB == 200_000
