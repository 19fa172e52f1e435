"""The coherence time against the times of a planned round."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airtune.planning.coherence import Coherence
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings


def coherence(scenario) -> Coherence | None:
    run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
    return Coherence.of(run.repetition, run.current.joint)


def test_paths_that_stay_for_a_whole_round_have_none(small_scenario) -> None:
    assert coherence(with_settings(small_scenario, radio__paths__doppler_hz=10.0)) is None


@pytest.mark.parametrize("overlap", [True, False])
def test_computing_and_moving_add_up_where_one_waits_for_the_other(
    small_scenario, overlap: bool
) -> None:
    changes = {"radio__channel": "tracks", "planning__overlap": overlap}
    found = coherence(with_settings(small_scenario, **changes))
    assert found is not None and found.overlap == overlap
    assert set(found.to_dict()) == {"max_doppler_hz", "coherence_s", "move_s", "compute_s"}
    times = replace(found, coherence_s=1.0, move_s=0.7, compute_s=0.8)
    assert times.age_s == pytest.approx(0.8 if overlap else 1.5)
    assert ("paths last that long" in times.sentence()) == overlap
    assert ("paths change meanwhile" in times.sentence()) != overlap
