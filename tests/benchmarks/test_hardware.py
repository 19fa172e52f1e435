"""The powers without a confirmed source at half and double: booked as a run would book them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import hardware
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings

ROOT = Path(__file__).parents[2]
ON_AIR = ("uplink", "downlink", "pilots")


@pytest.mark.parametrize(("scheme", "setting"), hardware.UNCONFIRMED.items())
def test_the_energy_of_another_power_is_that_of_a_run_with_it(
    small_scenario, scheme, setting
) -> None:
    scenario = with_settings(
        small_scenario,
        radio__hardware__profile="small-cell",
        budget__latency_s=20.0,
        ris__elements=4,
        array__antennas=2,
    )

    def lines_with(watts: float) -> list[dict]:
        given = with_settings(scenario, **{f"radio__hardware__{setting}": watts})
        run = run_with(given, scheme, 1, QuadraticLearner(given, 1))
        return [run.run_round() for _ in range(2)]

    usual = 1.0 if scheme == "ris" else 0.005
    once, twice = lines_with(usual), lines_with(2 * usual)
    drawn, on_air = hardware.drawn_w(scenario, scheme), dict.fromkeys(ON_AIR, 0.0)
    for one, two in zip(once, twice, strict=True):
        assert (one["loss"], one["time_s"]) == (two["loss"], two["time_s"])
        on_air = {name: seconds + one["round_latency_s"][name] for name, seconds in on_air.items()}
        outcome = SimpleNamespace(joules=one["energy_j"], parts_s={**on_air, "compute": 1e3})
        assert hardware.joules_at(outcome, drawn, 2.0) == pytest.approx(two["energy_j"], rel=1e-12)
        assert two["energy_j"] > one["energy_j"]


def test_the_manual_has_the_table_of_the_committed_cells() -> None:
    page = (ROOT / "docs" / "energy.md").read_text(encoding="utf-8")
    assert hardware.table(ROOT / "benchmarks" / "results" / "study") in page
