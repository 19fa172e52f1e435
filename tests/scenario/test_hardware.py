"""Hardware and drives: a profile, and what is set beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.costs import PROFILES, FrontEnd
from airtune.scenario import Array, Hardware


def test_profiles_are_those_of_the_table() -> None:
    small, macro = PROFILES["small-cell"], PROFILES["macro"]
    assert small.station_w(FrontEnd(4)) == pytest.approx(4 * 0.2 + 0.1)
    assert macro.station_w(FrontEnd(8)) == pytest.approx(8 * 0.4 + 0.2)
    assert small.station_w(FrontEnd(4, ports=16)) == pytest.approx(0.9 + 16 * 0.005)
    assert small.station_w(FrontEnd(4, surface=True)) == pytest.approx(0.9 + 1.0)
    assert PROFILES["radiated"].station_w(FrontEnd(8, ports=99, surface=True)) == 0.0


@given(profile=st.sampled_from(list(PROFILES)), value=st.just(0.0) | st.floats(1e-6, 100))
def test_what_is_set_replaces_the_profile_s_value_only(profile: str, value: float) -> None:
    found = Hardware(profile=profile, chain_w=value).resolved()
    assert found.chain_w == value
    base = PROFILES[profile]
    assert (found.lo_w, found.pa_efficiency) == (base.lo_w, base.pa_efficiency)
    assert Hardware(profile=profile).resolved() == base


@pytest.mark.parametrize("share", [0.0, 1.1, -0.4])
def test_efficiencies_are_shares(share: float) -> None:
    with pytest.raises(ValueError, match="client_pa_efficiency"):
        Hardware(client_pa_efficiency=share)


def test_a_word_sets_speed_power_and_grid() -> None:
    pixel, stepper = Array(drive="pixel").drives, Array(drive="stepper").drives
    assert (pixel.speed_mps, pixel.power_w, pixel.grid) == (1e5, 5e-3, 0.1)
    assert (stepper.speed_mps, stepper.power_w, stepper.grid) == (0.1, 5.0, 0.0)
    by_hand = Array(drive="pixel", speed_mps=2.0, grid=0.0).drives
    assert (by_hand.speed_mps, by_hand.power_w, by_hand.grid) == (2.0, 5e-3, 0.0)
    with pytest.raises(ValueError, match=r"custom: needs numbers for drive_power_w \(W\)"):
        Array(drive="custom", speed_mps=1.0)
    both = r"numbers for speed_mps \(m/s\) and drive_power_w \(W\)"
    with pytest.raises(ValueError, match=both):
        Array(drive="custom")
