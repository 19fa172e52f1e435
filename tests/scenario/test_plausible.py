"""Numbers far outside what is plausible: warned of once, with the unit that was likely meant."""

from __future__ import annotations

import pytest

from airtune.commands.run import read_settings
from airtune.scenario import Scenario
from airtune.scenario.file import load, shipped
from airtune.scenario.plausible import implausible


@pytest.mark.parametrize("name", shipped())
def test_shipped_scenarios_are_silent(name: str) -> None:
    assert implausible(load(name)) == []


def test_the_defaults_are_silent() -> None:
    assert implausible(Scenario()) == []


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "radio.carrier_hz=3.5",
            "radio.carrier_hz = 3.5 Hz is far below what is plausible (1e8 .. 1e12 Hz); "
            "did you mean 3.5GHz?",
        ),
        (
            "radio.carrier_hz=3500",
            "radio.carrier_hz = 3500 Hz is far below what is plausible (1e8 .. 1e12 Hz); "
            "did you mean 3500MHz?",
        ),
        (
            "radio.bandwidth_hz=20",
            "radio.bandwidth_hz = 20 Hz is far below what is plausible (1000 .. 1e11 Hz); "
            "did you mean 20MHz?",
        ),
        (
            "clients.tx_power_dbm=200",
            "clients.tx_power_dbm = 200 dBm is far above what is plausible (-80 .. 60 dBm); "
            "did you mean 200mW?",
        ),
        (
            "radio.noise_psd_dbm_hz=174",
            "radio.noise_psd_dbm_hz = 174 dBm/Hz is far above what is plausible "
            "(-220 .. -80 dBm/Hz); did you mean -174 dBm/Hz?",
        ),
        (
            "radio.paths.delay_spread_s=100",
            "radio.paths.delay_spread_s = 100 s is far above what is plausible (1e-11 .. 0.001 s); "
            "did you mean 100ns?",
        ),
        (
            "array.region=[4e5, 4]",
            "array.region = 4e5 wavelengths is far above what is plausible "
            "(0.01 .. 1e4 wavelengths)",
        ),
    ],
)
def test_the_likely_unit_is_named(override: str, sentence: str) -> None:
    assert implausible(load("quickstart", [override])) == [sentence]


@pytest.mark.parametrize("number", [3.5, 28, 700, 2400])
@pytest.mark.parametrize("path", ["radio.carrier_hz", "radio.bandwidth_hz", "budget.latency_s"])
def test_what_is_suggested_is_silent(path: str, number: float) -> None:
    for sentence in implausible(load("quickstart", [f"{path}={number}"])):
        meant = sentence.rpartition(" ")[2].removesuffix("?")
        assert meant.startswith(f"{number:g}")
        assert not implausible(load("quickstart", [f"{path}={meant}"]))


def test_nought_is_never_a_slip_of_a_unit() -> None:
    off = ["radio.paths.doppler_hz=0", "array.drive_power_w=0", "radio.csi.angle_error_deg=0"]
    off.append("array.rotation.least_gain_db=0")
    assert implausible(load("quickstart", off)) == []


def test_a_command_warns_once_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    read_settings("quickstart", ["radio.carrier_hz=3.5", "seeds=3"], "compare", seeds=2)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("did you mean 3.5GHz?") == 1
    assert printed.err.startswith("airtune: warning: radio.carrier_hz = 3.5 Hz")
    read_settings("quickstart", None, "compare")
    assert capsys.readouterr().err == ""
