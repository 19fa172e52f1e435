"""Whole rounds over several resource blocks, in every setting that they are let into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.errors import InputError
from airtune.registry import SCHEMES
from airtune.rounds import cell_io
from airtune.scenario import Scenario
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import cell_of, execute, with_settings

WIDE = {"radio__resource_blocks": 3, "radio__paths__delay_spread_s": 1e-6, "training__rounds": 3}

ROBUST = {
    "placement__robust": "sampled",
    "placement__robust_samples": 3,
    "radio__csi__angle_error_deg": 1.0,
}


def _slow(changes: object) -> object:
    return pytest.param(changes, marks=pytest.mark.slow)


def stopped_and_resumed(scenario: Scenario, scheme: str, folder: Path) -> tuple[list, list]:
    """Lines of a run in one go, and of one that was stopped in its second round."""

    def stop(line: dict[str, object]) -> None:
        if line["round"] == 2:
            raise KeyboardInterrupt

    whole = execute(scenario, scheme, folder / "whole")
    first = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    with pytest.raises(KeyboardInterrupt):
        cell_io.execute(first, cell_of(folder / "stopped", scheme), stop)
    resumed = execute(scenario, scheme, folder / "stopped")
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)
    assert np.array_equal(resumed.state.positions, whole.state.positions)
    assert resumed.state.energy_j == whole.state.energy_j
    one, other = (record.read_metrics(cell_of(folder / f, scheme)) for f in ("whole", "stopped"))
    for line in (*one, *other):
        for name in [name for name in line if name.endswith("_wall_s")]:
            del line[name]
    return one, other


@pytest.mark.parametrize(
    "changes",
    [
        {"planning__movement": "when-needed", "planning__quality_db": -30.0},
        _slow({"planning__movement": "each-round"}),
        _slow({"planning__movement": "once"}),
        _slow({"planning__movement": "priced", "placement__travel_price_db": 4.0}),
        _slow({"planning__movement": "statistical", "planning__draws": 2}),
        _slow(ROBUST),
        _slow({"array__drive": "pixel", "aggregation__alignment": "capped"}),
    ],
    ids=lambda changes: ",".join(changes),
)
def test_resume_is_bit_for_bit(small_scenario, tmp_path, changes: dict) -> None:
    scenario = with_settings(small_scenario, **WIDE, **changes)
    one, other = stopped_and_resumed(scenario, "movable", tmp_path)
    assert one == other and one[-1]["loss"] < one[0]["loss"]


@pytest.mark.parametrize(
    "scheme",
    [name if name == "digital" else _slow(name) for name, one in SCHEMES.items() if one.wideband],
)
def test_every_scheme_that_is_let_in_runs_and_resumes(small_scenario, tmp_path, scheme) -> None:
    one, other = stopped_and_resumed(with_settings(small_scenario, **WIDE), scheme, tmp_path)
    assert one == other


def test_other_schemes_are_refused(small_scenario) -> None:
    scenario, narrow = with_settings(small_scenario, **WIDE), 0
    for scheme in SCHEMES.values():
        if not scheme.wideband:
            narrow += 1
            with pytest.raises(InputError, match=r"radio\.resource_blocks = 3: must be 1"):
                scheme.build(scenario, 1)
    assert narrow >= 5
