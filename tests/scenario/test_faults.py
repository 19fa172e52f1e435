"""The section ``faults``: off by default, and refused in one sentence where it makes no sense."""

from __future__ import annotations

import pytest

from airtune.errors import InputError
from airtune.scenario import Faults, Scenario
from airtune.scenario.file import load


def test_nothing_is_wrong_by_default() -> None:
    assert Scenario().faults == Faults()
    assert Scenario.model_validate({"faults": {}}) == Scenario()


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("faults.dropout.share=1.5", r"faults\.dropout\.share = 1\.5: .*less than or equal to 1"),
        ("faults.dropout.when=after", r"faults\.dropout\.when = \"after\".*'before' or 'during'"),
        (
            "faults.dropout={share: 0.9, burst_rounds: 2}",
            r"share = 0\.9: must be at most .*0\.6666",
        ),
        (
            "faults.dropout={share: 0.9999999, burst_rounds: 1000000}",
            r"share = 0\.9999999: must be at most .* = 0\.999999, ",
        ),
        ("faults.stragglers.slowdown=0.5", r"faults\.stragglers\.slowdown = 0\.5"),
        ("faults.antennas.dead=4", r"faults\.antennas\.dead = 4: must be less than .* = 4"),
        ("faults.antennas={dead: 2, stuck: 3}", r"faults\.antennas\.stuck = 3: .* at most the 2"),
        ("faults.jammer.distance_m=[500, 100]", r"distance_m = \[500\.0, 100\.0\]"),
        ("faults.synchronisation.timing=0.7", r"faults\.synchronisation\.timing = 0\.7"),
        ("faults.restarts.share=0.1", r"unknown setting faults\.restarts"),
    ],
)
def test_what_makes_no_sense_is_refused(setting: str, part: str) -> None:
    with pytest.raises(InputError, match=part) as refused:
        load("quickstart", [setting])
    assert len(str(refused.value)) <= 400


def test_shares_angles_and_powers_have_units() -> None:
    faults = load(
        "quickstart",
        [
            "faults.dropout.share=30%",
            "faults.synchronisation.phase_deg=0.1rad",
            "faults.jammer.power_dbm=1W",
            "faults.jammer.distance_m=[0.2km, 600m]",
            "faults.amplifier.clip_db=3dB",
        ],
    ).faults
    assert faults.dropout.share == pytest.approx(0.3)
    assert faults.synchronisation.phase_deg == pytest.approx(5.7296, rel=1e-4)
    assert faults.jammer.power_dbm == pytest.approx(30.0)
    assert faults.jammer.distance_m == (200.0, 600.0)
    assert faults.amplifier.clip_db == 3.0


def test_a_federation_whose_clients_learn_from_wrong_answers_runs_no_pilot() -> None:
    settings = ["faults.poison.kind=label-noise", "planning.objective=time", "engine.name=flower"]
    with pytest.raises(
        InputError, match=r"planning\.pilot = clients: must be server or"
    ) as refused:
        load("quickstart", settings)
    assert len(str(refused.value)) <= 400
    load("quickstart", settings[:2])
    load("quickstart", [*settings, "faults.poison.share=0"])
