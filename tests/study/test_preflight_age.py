"""What a check says of paths that are older than the next round's."""

from __future__ import annotations

import pytest

from airtune.study.preflight import preflight
from rounds.test_federated import with_settings


@pytest.mark.parametrize(("age_s", "warned"), [(2.5, True), (1.5, False), ("round", False)])
def test_an_age_beyond_the_next_block_is_warned_of(small_scenario, age_s, warned: bool) -> None:
    changes = {"radio__csi__age_s": age_s, "radio__paths__block_interval_s": 2.0}
    found = preflight(with_settings(small_scenario, radio__channel="tracks", **changes))
    told = [one for one in found.warnings if "radio.csi.age_s" in one]
    assert bool(told) == warned
    assert all("radio.paths.block_interval_s = 2 s" in one for one in told)
