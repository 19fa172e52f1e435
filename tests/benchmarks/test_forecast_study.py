"""Constants of the forecast and their sources; forecasts of the studies' runs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import chi
import forecast
import forecast_study
from airtune.bound.forecast import CHI, slowdown
from airtune.bound.forecast_constants import CHI_OF, GAMMA, SIGNS
from airtune.learning.payload import PAYLOADS


def test_the_constants_are_those_of_the_fit() -> None:
    found = json.loads(chi.RESULT.read_text())
    fitted = chi.fitted(found["cells"])["lora, adam"]
    assert pytest.approx(fitted["chi"], abs=0.05) == CHI
    assert pytest.approx(fitted["gamma"], abs=0.05) == GAMMA
    for payload, constant in CHI_OF.items():
        one = chi.fitted(found["cells"])[f"{payload}, adam"]
        assert constant / GAMMA == pytest.approx(one["ratio"], abs=0.01)
    assert chi.signs(found["cells"])["factor"] == pytest.approx(SIGNS, abs=0.05)


def test_every_payload_can_be_fitted_on_its_own() -> None:
    assert {f"{payload}, adam" for payload in PAYLOADS} <= set(chi.SETTINGS)


def test_no_seed_of_a_study_is_a_tuning_seed() -> None:
    tuned = {seed for seeds in chi.SEEDS.values() for seed in seeds} | set(chi.LIMITS[0])
    used = {*forecast.CALIBRATION, *forecast.TEST}
    for name in forecast_study.FAMILIES:
        used |= {seed for _, seed in forecast_study.runs_of(name)[0]}
    assert not tuned & used
    assert not set(chi.LIMITS[0]) & {seed for seeds in chi.SEEDS.values() for seed in seeds}


def test_payloads_are_fitted_where_they_have_cells() -> None:
    def cell(rounds: float) -> dict[str, list[float]]:
        """Losses that fall by 0.1 a round and are at 90 % of `lora`'s gain after some rounds."""
        return {"losses": [3.0 - 2.7 * t / rounds for t in range(int(rounds) + 2)]}

    cells = {"lora; mse 0; seed 1": {"losses": [3.0 - 0.1 * t for t in range(31)]}}
    assert chi.of_payloads({"cells": cells}) == {}
    for mse, rounds in ((0.0, 20.0), (0.1, 20 * math.sqrt(1.5)), (1.0, 20 * math.sqrt(6.0))):
        cells[f"ffa; mse {mse:g}; seed 1"] = cell(rounds)
    found = chi.of_payloads({"cells": cells})
    assert set(found) == {"ffa"}
    assert found["ffa"]["chi"] == pytest.approx(5.0, rel=1e-3)
    cells["ffa; mse 1; seed 1"] = {"losses": [3.0] * 46}
    found = chi.of_payloads({"cells": cells})
    assert found["ffa"]["never"] == 1 and found["ffa"]["chi"] == pytest.approx(5.0, rel=1e-3)


def test_a_forecast_moves_to_the_constant_of_today() -> None:
    cell = {
        "gamma": GAMMA,
        "predicted_mse": 0.3,
        "predicted_rounds": 10.0,
        "predicted_time_s": 2.0,
        "predicted_energy_j": None,
        "measured_rounds": 9.0,
    }
    now = forecast.predicted_now(cell)
    before = float(slowdown(0.3, forecast.PLANNED_WITH * GAMMA))
    expected = 10.0 / before * float(slowdown(0.3, CHI))
    assert now["predicted_rounds"] == pytest.approx(expected)
    assert now["predicted_time_s"] == pytest.approx(0.2 * expected)
    assert now["predicted_energy_j"] is None
    assert forecast.predicted_now(cell | {"chi": CHI})["predicted_rounds"] == pytest.approx(10.0)
    assert forecast.scores({"101": cell}, (101, 102)) == [pytest.approx(math.log(9 / expected))]


def test_a_limit_is_never_from_the_scores_of_its_own_seed() -> None:
    rows = [
        {
            "study": "paper-v2",
            "scheme": "fixed",
            "seed": seed,
            "needed": 10.0,
            "factor": 1.0,
            "measured": 10.0 + seed,
            "ideal": 10.0,
        }
        for seed in range(12)
    ]
    forecast_study.with_limits(rows)
    # The eleven other scores have their tenth or, for the largest two, their last as a limit.
    last = sorted(row["score"] for row in rows)
    limits = np.log([row["limit"] for row in rows])
    assert limits == pytest.approx([last[11]] * 11 + [last[10]])
    assert [row["held"] for row in rows] == [True] * 11 + [False]
    few = [row for row in rows if row["seed"] < 5]
    forecast_study.with_limits(few)
    assert all(row["held"] is None for row in few)


def test_a_run_that_stands_in_two_studies_is_counted_once() -> None:
    run = {"scheme": "fixed", "seed": 1, "learnt": (2.0, 1.0, 0.1), "study": "paper-v1"}
    again = {**run, "study": "electrical"}
    others = [{**run, "seed": 2}, {**run, "learnt": (2.0, 1.0, 0.2)}, {**run, "scheme": "movable"}]
    assert forecast_study.once([run, again, *others]) == [run, *others]


def test_counts_over_all_are_of_different_runs() -> None:
    document = json.loads(forecast_study.RESULT.read_text())
    groups = document["groups"]
    assert document["rows"] == sum(
        one["runs"] for name, one in groups.items() if name.endswith(", all") and name != "all, all"
    )
    counts = [groups[f"all, {n}"]["runs"] for n in ("all", "noisy", "noisy, beyond the pilot")]
    assert document["rows"] > counts[0] > counts[1] > counts[2] >= 200
