"""What the soak calls growth, and what it calls a fault."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reliability_soak as soak


@given(st.lists(st.floats(1, 1e6), min_size=4, max_size=60), st.integers(1, 4))
def test_memory_that_only_falls_does_not_grow(values: list[float], window: int) -> None:
    assert soak.growth(sorted(values, reverse=True), window) == 0.0
    assert soak.growth(values, window) >= 0.0


def test_a_leak_of_a_page_a_round_is_seen() -> None:
    """4 KiB a round on 300 MiB are 1.2 % in 900 rounds; 20 KiB are above the limit of 5 %."""
    small, large = ([300 + x * t / 1024 for t in range(900)] for x in (4, 20))
    assert 0.009 < soak.growth(small, 100) < soak.FLAT
    assert soak.growth(large, 100) > soak.FLAT


def test_the_process_is_measured() -> None:
    before = soak.open_files()
    with Path(os.devnull).open():
        assert soak.open_files() == before + 1
    held = b"x" * (32 * soak.MIB)
    assert soak.resident_bytes() > len(held)


def parts(**changes: Any) -> dict[str, dict[str, Any]]:
    flat = {
        "diverged": [],
        "warm_up_rounds": 100,
        "memory_growth": {"movable": 0.01},
        "open_files": {"movable": [9, 9]},
        "slower": {"movable": 1.01},
    }
    return {"rounds": flat | changes, "clients": {"diverged": []}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"memory_growth": {"movable": 0.06}}, "movable: memory grew by 6.0 % after warm-up"),
        ({"open_files": {"movable": [9, 10]}}, "movable: open files grew from 9 to 10"),
        ({"slower": {"movable": 2.0}}, "movable: late rounds take 2.00 times the early ones"),
        ({"slower": {"movable": 2.0}, "warm_up_rounds": 10}, ""),
        ({"diverged": ["digital"]}, "['digital'] diverged"),
    ],
)
def test_faults_are_told(changes: dict[str, Any], told: str) -> None:
    said = soak.faults(parts(**changes))
    assert len(said) == bool(told), said
    assert all(told in text for text in said)


def test_the_parts_are_settings_that_can_be_used(tmp_path: Path) -> None:
    size = soak.Size()
    scenarios = {n: soak.scenario_of(n, size, tmp_path / "data.jsonl") for n in soak.PARTS}
    assert scenarios["rounds"].training.rounds == 1000
    assert scenarios["clients"].clients.limit == 1000
    assert scenarios["clients"].array.antennas == 64
    assert scenarios["registered"].clients.count == 10_000
    assert scenarios["registered"].clients.limit == 10
