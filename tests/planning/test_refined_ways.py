"""Steps of refinement in plans that predict: their ways are in every round, as in the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from airtune.engines import LocalEngine
from airtune.planning import JointPlan, plan_run
from airtune.planning.repetition import Repetition
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from airtune.schemes import Link
from planning.test_forecast_plan import planned
from quadratic import QuadraticLearner

MEASURED = {
    "radio__csi__beamformer": "measured",
    "placement__mode": "fast",
    "placement__max_travel": 0.05,
}
REFINED = {**MEASURED, "placement__refinements": 3, "placement__refinement_travel": 0.5}


def energy_plan(small: Scenario, **changes: object) -> tuple[Repetition, JointPlan]:
    given = {"planning__objective": "time", "planning__movement": "each-round", **changes}
    repetition = planned(small, **given)
    return repetition, plan_run(repetition, "movable")


def test_the_ways_of_refinement_are_those_that_a_run_goes(small_scenario: Scenario) -> None:
    _, alone = energy_plan(small_scenario, **MEASURED)
    repetition, joint = energy_plan(small_scenario, **REFINED)
    costs = joint.expected.costs
    assert costs.move_j > 2 * alone.expected.costs.move_j
    learner = QuadraticLearner(repetition.scenario, 1)
    run = FederatedRun(repetition, "movable", LocalEngine.over(learner), joint)  # type: ignore[arg-type]
    lines = [run.run_round() for _ in range(12)]
    moved = float(np.mean([line["round_energy_j"]["movement"] for line in lines[1:]]))
    assert 0.5 < costs.move_j / moved < 2.0
    # the longest ways that they may take are counted where no rounds are drawn
    settings = {"planning__objective": "bound", "planning__rounds": "fixed"}
    _, bound = energy_plan(small_scenario, **REFINED, **settings)
    _, still = energy_plan(small_scenario, **MEASURED, **settings)
    longest = 4 * 0.5 * repetition.scenario.array.antennas
    drives = repetition.scenario.array.drives
    wave = 299792458.0 / repetition.scenario.radio.carrier_hz
    more = bound.expected.costs.move_j - still.expected.costs.move_j
    np.testing.assert_allclose(more, longest * wave / drives.speed_mps * drives.power_w, rtol=1e-9)


@pytest.mark.parametrize(("changes", "some"), [(MEASURED, False), (REFINED, True)])
def test_without_steps_nothing_is_measured_in_a_walk(
    small_scenario: Scenario,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    some: bool,
) -> None:
    measured, names = Repetition.measured, list[str]()

    def noted(self: Repetition, link: Link, *given: Any) -> Link:
        names.append(given[-1])
        return measured(self, link, *given)

    monkeypatch.setattr(Repetition, "measured", noted)
    energy_plan(small_scenario, **changes)
    assert any(name.startswith("walk") for name in names) == some
