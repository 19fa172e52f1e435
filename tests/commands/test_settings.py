"""What the options of a command change in a scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from airtune.commands.calibrate import calibrate_and_show
from airtune.commands.plan import plan_and_show
from airtune.commands.run import read_settings, start_sweep
from airtune.errors import InputError
from airtune.registry import ENGINES
from airtune.study import compare


def test_options_change_settings_and_nothing_else() -> None:
    plain = read_settings("quickstart", None, "compare")
    changed = read_settings(
        "quickstart", ["seed=7"], "compare", schemes="movable, fixed", seeds=3, engine="elsewhere"
    )
    assert changed.schemes == ("movable", "fixed")
    assert (changed.seed, changed.seeds, changed.engine.name) == (7, 3, "elsewhere")
    options = ("schemes", "seed", "seeds", "engine")
    rest = [{k: v for k, v in s.to_dict().items() if k not in options} for s in (plain, changed)]
    assert rest[0] == rest[1]


def test_a_sweep_warns_of_what_its_points_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("airtune.commands.run.execute_sweep", lambda *_: None)
    wrong = ["schemes=[fixed]", "radio.bandwidth_hz=20", "radio.carrier_hz=7"]
    scenario = read_settings("quickstart", wrong, "sweep", tell=False)
    assert capsys.readouterr().err == ""
    vary = ["radio.carrier_hz=3.5,3.5GHz", "array.antennas=2,4"]
    start_sweep(scenario, vary, tmp_path / "out", False, lambda: False)
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "airtune: warning: radio.bandwidth_hz = 20 Hz is far below what is plausible "
        "(1000 .. 1e11 Hz); did you mean 20MHz?",
        "airtune: warning: radio.carrier_hz = 3.5 Hz is far below what is plausible "
        "(1e8 .. 1e12 Hz); did you mean 3.5GHz?",
    ]


def test_plan_and_calibrate_warn_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise InputError("before any work")

    monkeypatch.setattr("airtune.study.compare.check", stop)
    monkeypatch.setattr("airtune.commands.calibrate.calibrate_scenario", stop)
    wrong = ["radio.carrier_hz=3.5"]
    with pytest.raises(InputError, match="before any work"):
        plan_and_show("quickstart", wrong, None, None, True)
    with pytest.raises(InputError, match="before any work"):
        calibrate_and_show("quickstart", wrong, None, True)
    printed = capsys.readouterr()
    assert printed.err.count("did you mean 3.5GHz?") == 2
    assert printed.out == ""


def test_an_unknown_engine_lists_what_is_there(monkeypatch) -> None:
    scenario = read_settings("quickstart", None, "run", schemes=["fixed"], engine="elsewhere")
    with pytest.raises(InputError, match=r"engine\.name = 'elsewhere': must be one of local"):
        compare.check(scenario, "run")
    monkeypatch.setattr(ENGINES, "_objects", dict(ENGINES._objects))
    monkeypatch.setattr(ENGINES, "_added", list(ENGINES._added))
    ENGINES.add("elsewhere", ENGINES["local"])
    assert compare.check(scenario, "run") == scenario
