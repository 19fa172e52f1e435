"""Who is poisoned: settings, numbers, the named stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.scenario import Poison, Scenario
from airtune.scenario.file import load


def test_nobody_is_by_default() -> None:
    assert not Scenario().faults.poison.active
    assert not len(Scenario().faults.poison.clients(10, 1))
    assert not Poison(kind="scaling", share=0).active


@given(st.integers(1, 60), st.floats(0.001, 1), st.floats(0.001, 1), st.integers(0, 50))
def test_a_larger_share_holds_the_clients_of_a_smaller_one(
    count: int, one: float, other: float, seed: int
) -> None:
    small, large = (
        Poison(kind="random", share=share).clients(count, seed) for share in sorted((one, other))
    )
    assert set(small) <= set(large) <= set(range(count))
    assert len(small) == max(1, int(np.floor(min(one, other) * count + 0.5)))


def test_they_are_fixed_per_seed_and_begin_with_their_round() -> None:
    poison = Poison(kind="sign-flip", share=0.3, from_round=4)
    chosen = poison.clients(10, seed=1)
    assert len(chosen) == 3
    assert chosen.tolist() == poison.clients(10, 1, 4).tolist() == poison.clients(10, 1, 9).tolist()
    assert not len(poison.clients(10, 1, 3))
    assert len({tuple(poison.clients(10, seed)) for seed in range(8)}) > 3


def test_settings_are_read_as_text() -> None:
    asked = ["faults.poison.kind=Sign_Flip", "faults.poison.share=30%", "aggregation.trim=25%"]
    scenario = load("quickstart", asked)
    assert (scenario.faults.poison.kind, scenario.faults.poison.share) == ("sign-flip", 0.3)
    assert scenario.aggregation.trim == 0.25
    assert scenario.faults.poison.factor == 1.0
    assert Poison(kind="scaling").factor == 10.0
    assert Poison(kind="scaling", scale=3).factor == 3.0


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("faults.poison.kind=evil", r"faults\.poison\.kind = \"evil\""),
        ("faults.poison.share=1.5", r"faults\.poison\.share = 1\.5"),
        ("faults.poison.scale=0", r"faults\.poison\.scale = 0"),
        ("aggregation.trim=0.5", r"aggregation\.trim = 0\.5"),
        ("aggregation.groups=0", r"aggregation\.groups = 0"),
        ("aggregation.robust=mode", r"aggregation\.robust = \"mode\""),
        ("training.anomaly_stop=0", r"training\.anomaly_stop = 0"),
        ("training.anomaly_window=4", r"training\.anomaly_window = 4"),
    ],
)
def test_bad_settings_are_named(setting: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as raised:
        load("quickstart", [setting])
    assert len(str(raised.value)) <= 400
