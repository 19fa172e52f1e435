"""`airtune plan` names how the antennas move, and what it has found for it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import yaml

from airtune.commands.plan import plan_and_show
from airtune.commands.terminal import show_rows
from airtune.errors import InputError
from airtune.planning import draws
from airtune.scenario import Scenario
from rounds.test_federated import with_settings


def test_headings_keep_units_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows(("gain [dB]", "delay [s]"), [("1", "2")])
    shown = capsys.readouterr().out
    assert "gain [dB]" in shown
    assert "delay [s]" in shown


@pytest.mark.parametrize("movement", ["when-needed", "priced", "statistical"])
def test_policy_drive_and_what_was_found_are_told(
    movement: str,
    small_scenario: Scenario,
    quadratic: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scenario = with_settings(
        small_scenario,
        cache=str(tmp_path / "cache"),
        array__drive="stepper",
        planning__movement=movement,
        planning__draws=3,
        placement__max_travel=0.1,
        placement__travel_price_db=1.5,
    )
    file = tmp_path / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario.to_dict()))
    out = tmp_path / "plan"
    plan_and_show(str(file), [], None, out, False)
    shown = " ".join(capsys.readouterr().out.split())
    radio = json.loads((out / "plan.json").read_text())["radio"]
    assert f"{movement}, stepper (0.1 m/s, 5 W)" in shown
    assert "│ hardware profile │ radiated │" in shown
    assert "latency [s]" in shown
    assert "│ longest way in a round │ 0.1 wavelengths │" in shown
    assert ("counted in every round as in the first" in shown) == (movement == "when-needed")
    price = f"{radio['travel_price_db']:.3g} dB a wavelength"
    assert (price in shown) == (movement == "priced")
    assert ("expected error over v^2" in shown) == ("expected_error" in radio)
    if movement == "statistical":
        assert f"│ {10 * math.log10(radio['expected_error']['mean']):.1f} dB (" in shown
    plan_and_show(str(file), [], "fixed", out, False)
    assert "stepper" not in capsys.readouterr().out


def test_a_policy_that_is_chosen_is_told_beside_the_others(
    small_scenario: Scenario,
    quadratic: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(draws, "WALK", 2)
    monkeypatch.setattr(draws, "LONGEST", 2)
    scenario = with_settings(
        small_scenario,
        cache=str(tmp_path / "cache"),
        plan="own",
        planning__movement="planned",
        planning__objective="time",
        planning__rounds="planned",
        training__rounds=30,
        training__server_optimizer="adam",
        training__learning_rate=0.1,
    )
    file = tmp_path / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario.to_dict()))
    out = tmp_path / "plan"
    plan_and_show(str(file), [], None, out, False)
    shown = " ".join(capsys.readouterr().out.split())
    choice = json.loads((out / "plan.json").read_text())["movement"]
    assert list(choice["candidates"]) == ["when-needed", "each-round", "once", "priced"]
    assert f"movement │ {choice['policy']} (planned), actuator" in shown
    assert "When the antennas move" in shown
    assert "mean of drawn rounds" in shown
    assert "counted in every round as in the first" not in shown
    with pytest.raises(InputError, match=r"planning\.movement = planned: needs planning\.obj") as e:
        plan_and_show(str(file), ["planning.objective=bound"], None, out, False)
    assert len(str(e.value)) <= 400


def test_where_the_array_faces_is_told(
    small_scenario: Scenario,
    quadratic: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scenario = with_settings(
        small_scenario,
        cache=str(tmp_path / "cache"),
        array__element="tr38901",
        array__rotation__movable="turned",
        array__rotation__draws=1,
    )
    file = tmp_path / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario.to_dict()))
    plan_and_show(str(file), [], None, tmp_path / "plan", False)
    angles = json.loads((tmp_path / "plan" / "plan.json").read_text())["radio"]["rotation_deg"]
    shown = " ".join(capsys.readouterr().out.split())
    told = ", ".join(f"{angle:g}" for angle in angles)
    assert f"array faces [deg]: yaw, pitch, roll │ {told} in round 1" in shown
    plan_and_show(str(file), [], "fixed", tmp_path / "plan", False)
    assert "array faces" not in capsys.readouterr().out
