"""Settings that do nothing beside the others are told of, by `check` and by what runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airtune.commands.check import check_and_show
from airtune.commands.run import read_settings
from airtune.errors import InputError
from airtune.scenario import Scenario
from airtune.scenario.file import load, shipped
from airtune.scenario.idle import doubts, doubts_of_points, idle
from airtune.study.sweep import Sweep, parse_axes

FLIP = "faults.poison.kind=sign-flip"


@pytest.mark.parametrize("name", shipped())
def test_shipped_scenarios_are_silent(name: str) -> None:
    assert idle(load(name)) == []


def test_a_file_with_every_default_is_silent() -> None:
    assert idle(Scenario.model_validate(Scenario().to_dict())) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["faults.poison.share=30%"], "faults.poison.share = 0.3: does nothing"),
        (["faults.poison.share=10%"], "faults.poison.share = 0.1: does nothing"),  # the default
        (
            ["faults.poison.scale=3", "faults.poison.from_round=2"],
            "faults.poison.from_round = 2: do",
        ),
        ([FLIP, "faults.poison.share=0"], "faults.poison.kind = sign-flip: does nothing"),
        ([FLIP, "faults.poison.from_round=31"], "is after the last round (training.rounds = 30)"),
        (["faults.poison.kind=label-noise", "faults.poison.scale=5"], "poison.scale = 5: does no"),
        (["faults.dropout.burst_rounds=4"], "faults.dropout.burst_rounds = 4: does nothing with "),
        (["faults.stragglers.deadline=2"], "faults.stragglers.deadline = 2: does nothing"),
        (["faults.side_information.factor_db=6"], "with faults.side_information.share = 0"),
        (["faults.antennas.dead_known=false"], "with faults.antennas.dead = 0"),
        (["aggregation.trim=0.3"], "aggregation.trim = 0.3: does nothing"),
        (["aggregation.groups=50"], "aggregation.groups = 50: more than clients.count = 10"),
        (
            ["aggregation.robust=median"],
            "does nothing for movable, fixed, random-position: one sum",
        ),
        (["training.anomaly_window=12"], "does nothing with training.anomaly_stop = null"),
    ],
)
def test_what_does_nothing_is_told(settings: list[str], told: str) -> None:
    schemes = "schemes=[ideal, movable, fixed, random-position, digital]"
    (said,) = idle(load("quickstart", [schemes, *settings]))
    assert told in said


@pytest.mark.parametrize(
    "settings",
    [
        [FLIP, "faults.poison.share=30%", "faults.poison.scale=2", "faults.poison.from_round=30"],
        ["faults.dropout.share=10%", "faults.dropout.burst_rounds=4"],
        ["faults.side_information.csi_share=10%"],
        ["aggregation.robust=trimmed-mean", "aggregation.trim=0.3", "aggregation.groups=10"],
        ["aggregation.robust=median", "schemes=[ideal, digital]"],
        ["aggregation.robust=median", "schemes=[ideal, no-such-scheme]"],
        ["training.anomaly_stop=6", "training.anomaly_window=12"],
    ],
)
def test_what_does_something_is_not(settings: list[str]) -> None:
    assert idle(load("quickstart", settings)) == []


def test_commands_tell_it_for_the_schemes_that_they_run(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["faults.poison.share=10%", "aggregation.robust=median"]
    asked = read_settings("quickstart", settings, "run", schemes=["movable"], seeds=2)
    assert asked == load("quickstart", [*settings, "schemes=[movable]", "seeds=2"])
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("airtune: warning: faults.poison.share = 0.1: does nothing")
    assert "does nothing for movable: one sum" in second
    read_settings("quickstart", settings[1:], "run", schemes="digital")
    assert capsys.readouterr().err == ""


SWEPT = [
    # What is varied switches on what the scenario only names.
    (["faults.poison.share=30%"], ["faults.poison.kind=sign-flip,random"], []),
    (["faults.poison.scale=3"], ["faults.poison.kind=none,scaling"], []),
    (["faults.poison.scale=3"], ["faults.poison.kind=label-noise,scaling"], []),
    ([FLIP], ["faults.poison.share=0,0.1,0.3"], []),
    ([], ["faults.poison.kind=none,sign-flip", "faults.poison.share=0,0.3"], []),
    (["faults.dropout.burst_rounds=4"], ["faults.dropout.share=0,0.1"], []),
    (["faults.dropout.share=10%"], ["faults.dropout.burst_rounds=null,4"], []),
    (["faults.side_information.factor_db=6"], ["faults.side_information.share=0.1,0.2"], []),
    (["faults.antennas.dead_known=false"], ["faults.antennas.dead=0,1"], []),
    (
        ["aggregation.trim=0.3", "aggregation.groups=5"],
        ["aggregation.robust=none,trimmed-mean"],
        [],
    ),
    (["aggregation.robust=median"], ["aggregation.groups=1,5,10"], []),
    (["training.anomaly_window=12"], ["training.anomaly_stop=null,6"], []),
    # What no point switches on.
    (["faults.poison.share=30%"], ["training.rounds=10,20"], ["faults.poison.share = 0.3: does"]),
    (
        [],
        ["faults.poison.share=0.2,0.3"],
        ["faults.poison.share = 0.2: does", "faults.poison.share = 0.3: does"],
    ),
    (
        [],
        ["faults.dropout.burst_rounds=null,4"],
        ["faults.dropout.burst_rounds = 4: does nothing with faults.dropout.share = 0"],
    ),
    (
        ["faults.poison.scale=3"],
        ["faults.poison.kind=none,label-noise"],
        ["faults.poison.scale = 3: does nothing with faults.poison.kind = label-noise"],
    ),
    (["aggregation.groups=5"], ["aggregation.trim=0.2,0.3"], ["trim = 0.3: does nothing"]),
    # What is likely a slip, at some points or at all.
    ([FLIP, "faults.poison.from_round=20"], ["training.rounds=10,30"], ["is after the last round"]),
    ([], ["aggregation.groups=5,50"], ["aggregation.groups = 50: more than"]),
    (["radio.carrier_hz=3.5"], ["radio.carrier_hz=3.5GHz,28GHz"], []),
    ([], ["radio.carrier_hz=3.5,28"], ["did you mean 3.5GHz?", "did you mean 28GHz?"]),
    (["radio.carrier_hz=3.5"], ["training.rounds=10,20"], ["did you mean 3.5GHz?"]),
]


@pytest.mark.parametrize(("settings", "vary", "told"), SWEPT)
def test_a_sweep_tells_what_its_points_leave_idle(
    settings: list[str], vary: list[str], told: list[str]
) -> None:
    base = load("quickstart", ["schemes=[ideal, movable]", *settings])
    axes = tuple(parse_axes(base, vary))
    said = doubts_of_points([p.run.scenario for p in Sweep(Path("swept"), base, axes).points])
    assert len(said) == len(told), said
    assert all(part in sentence for part, sentence in zip(told, said, strict=True))


def test_a_sweep_of_one_point_tells_what_a_run_would() -> None:
    assert doubts_of_points([]) == []
    for settings in (["faults.poison.share=30%"], ["aggregation.robust=median", "seed=2"], []):
        one = load("quickstart", settings)
        assert doubts_of_points([one]) == doubts(one)


def test_the_command_warns_of_the_points_only(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airtune import cli
    from airtune.commands import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "execute_sweep", lambda *given: True)
    for kinds, told in (("sign-flip,scaling", 0), ("none", 1)):
        words = ["sweep", "quickstart", "--vary", f"faults.poison.kind={kinds}"]
        words += ["--set", "faults.poison.share=30%", "--out", kinds]
        monkeypatch.setattr("sys.argv", ["airtune", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        said = capsys.readouterr().err
        assert (
            said.count("faults.poison.share = 0.3: does nothing") == said.count("warning") == told
        )


def test_check_warns_and_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_and_show("quickstart", ["faults.poison.share=30%", "schemes=[ideal]"], 0, True)
    (said,) = json.loads(capsys.readouterr().out)["warnings"]
    assert said.startswith("faults.poison.share = 0.3: does nothing")


def test_a_scale_that_is_no_scale_is_told_or_refused() -> None:
    poisoned = [FLIP, "faults.poison.share=30%"]
    (said,) = doubts(load("quickstart", [*poisoned, "faults.poison.scale=1e5"]))
    assert said.startswith("faults.poison.scale = 1e5 is far above what is plausible")
    with pytest.raises(InputError, match=r"faults\.poison\.scale = .*1e30.*1e-12 \.\. 1e\+12"):
        load("quickstart", [*poisoned, "faults.poison.scale=1e30"])
