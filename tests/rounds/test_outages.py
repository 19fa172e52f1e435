"""Outages: the share in every round, the length of bursts, and rounds in any order."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.rounds.outages import Outages
from airtune.scenario.faults import Outages as Settings

COUNT = 4000


def lengths(states: np.ndarray) -> np.ndarray:
    """Lengths of the outages of one thing that begin and end within the rounds."""
    edges = np.diff(states.astype(int))
    begins, ends = np.flatnonzero(edges == 1) + 1, np.flatnonzero(edges == -1) + 1
    if len(begins):
        ends = ends[ends > begins[0]]
    return ends - begins[: len(ends)]


@pytest.mark.parametrize(("share", "bursts"), [(0.3, None), (0.1, None), (0.3, 4.0), (0.1, 2.0)])
def test_the_share_holds_in_every_round_and_bursts_last_as_long_as_set(
    share: float, bursts: float | None
) -> None:
    outages = Outages(Settings(share=share, burst_rounds=bursts), 1, "dropout", COUNT)
    out = np.array([outages.at(index) for index in range(1, 61)])
    assert out.mean(axis=1) == pytest.approx(share, abs=5 * np.sqrt(share / COUNT))
    mean = 1 / (1 - share) if bursts is None else bursts
    short = np.concatenate([lengths(one) for one in out.T])
    assert short.mean() == pytest.approx(mean, rel=0.06)  # the longest ones are cut by the window


def test_a_round_depends_on_seed_kind_and_round_only() -> None:
    settings = Settings(share=0.4, burst_rounds=3.0)
    outages = Outages(settings, 1, "dropout", 50)
    forwards = [outages.at(index).copy() for index in range(1, 9)]
    fresh = Outages(settings, 1, "dropout", 50)
    for index in (8, 3, 1, 5):
        assert np.array_equal(fresh.at(index), forwards[index - 1])
    for other in (Outages(settings, 2, "dropout", 50), Outages(settings, 1, "broadcast", 50)):
        assert not np.array_equal(other.at(4), forwards[3])
