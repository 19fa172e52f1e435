"""Schemes, channels and policies of one's own, step sizes of schemes, memory of those that send."""

from __future__ import annotations

import json
import re
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from airtune.commands.app import app
from airtune.errors import InputError
from airtune.kinds import Real
from airtune.radio.layouts import fixed_array
from airtune.registry import CHANNELS, POLICIES, SCHEMES, Registry
from airtune.rounds.federated import State
from airtune.scenario import Scenario
from airtune.schemes import ArrayPolicy, OverTheAir, Scheme, register
from airtune.study import compare
from quadratic import QuadraticLearner, run_with
from schemes.radio import air_of, gaussian, link_of, radio_of, scenario_with, uploads_of

DOCS = Path(__file__).parents[2] / "docs"


class CornerArray(ArrayPolicy):
    """Half-wavelength array in the lower left corner."""

    about = "array in the corner"

    def start(self) -> Real:
        positions = fixed_array(self.array.antennas, self.array.region)
        return np.asarray(positions - positions.min(axis=0))


@pytest.fixture
def table() -> Iterator[dict[str, Scheme]]:
    """A copy of the table of schemes; what a test registers is forgotten after it."""
    before: list[tuple[Registry, set[str]]] = [(r, set(r)) for r in (SCHEMES, CHANNELS, POLICIES)]
    yield dict(SCHEMES)
    for registry, names in before:
        for name in set(registry) - names:
            registry.remove(name)


def test_all_schemes_and_one_of_one_s_own_compare_on_one_page(
    table, small_scenario, quadratic, no_figures, tmp_path
) -> None:
    register(Scheme("corner", CornerArray, OverTheAir))
    with pytest.raises(InputError, match="'corner' exists"):
        register(Scheme("corner", CornerArray, OverTheAir))
    scenario = scenario_with(small_scenario, schemes=list(SCHEMES), plan="own", training__rounds=2)
    results = compare.compare(scenario, tmp_path / "run")["schemes"]
    assert set(results) == set(table) | {"corner"}
    for entry in results.values():
        assert np.isfinite(entry["final_loss"])
        assert entry["latency_s"]["compute"] > 0
    assert results["corner"]["mse_db"] != results["fixed"]["mse_db"]
    moved = {name for name, entry in results.items() if entry["latency_s"]["movement"] > 0}
    assert moved == {name for name in table if "movable" in name}  # switching antennas moves none
    assert "corner" in (tmp_path / "run" / "report.html").read_text()


MODULE = """
from airtune.schemes import HalfWavelengthArray, OverTheAir, Scheme, register

register(Scheme("plain", HalfWavelengthArray, OverTheAir))
"""


def test_the_command_line_imports_a_scheme_and_a_resume_says_when_it_is_missing(
    table, small_scenario, quadratic, no_figures, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("own_plain.py").write_text(MODULE)
    settings = scenario_with(small_scenario, training__rounds=2).to_dict()
    Path("s.yaml").write_text(yaml.safe_dump(settings | {"name": "s", "schemes": ["fixed"]}))
    own = ["--import", "own_plain"]
    command = ["compare", "s.yaml", "--schemes", "plain,fixed", "--out", "run", "--json"]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, InputError)
    assert "--import MODULE" in str(refused.exception)
    done = CliRunner().invoke(app, own + command)
    assert done.exit_code == 0
    before = json.loads(Path("run/results.json").read_text())["schemes"]
    assert before["plain"]["final_loss"] == before["fixed"]["final_loss"]
    # another process knows nothing of it
    SCHEMES.remove("plain")
    del sys.modules["own_plain"]
    Path("run/plain/seed-0/finished.json").unlink()
    refused = CliRunner().invoke(app, ["resume", "run"])
    assert isinstance(refused.exception, InputError)
    assert "schemes = 'plain': must be one of" in str(refused.exception)
    assert CliRunner().invoke(app, [*own, "resume", "run"]).exit_code == 0
    after = json.loads(Path("run/results.json").read_text())["schemes"]
    assert after["plain"]["final_loss"] == before["plain"]["final_loss"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such module"),
        ("import not_there_at_all", "needs the module 'not_there_at_all'"),
        ("from json import not_there", "cannot be imported"),
        ("def", "cannot be imported"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(
    text: str | None, message: str, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    if text is not None:
        Path("own_broken.py").write_text(text)
    done = CliRunner().invoke(app, ["--import", "own_broken", "schemes"])
    assert isinstance(done.exception, InputError)
    assert f"--import own_broken: {message}" in str(done.exception)


@pytest.mark.parametrize("name", ["", ".own", "own.py/x", "a..b", "own scheme"])
def test_a_name_that_no_module_has_is_refused(name: str) -> None:
    done = CliRunner().invoke(app, ["--import", name, "schemes"])
    assert isinstance(done.exception, InputError)
    assert "must be the name of a module" in str(done.exception)


def test_a_scheme_can_have_its_own_learning_rate(small_scenario) -> None:
    scenario = scenario_with(small_scenario, training__learning_rates={"ideal": 0.05})
    learner = QuadraticLearner(scenario, 1)
    steps = {}
    for name in ("ideal", "fixed"):
        run = run_with(scenario, name, 1, learner)
        run.run_round()
        steps[name] = float(np.linalg.norm(run.state.adapter))
    assert steps["fixed"] / steps["ideal"] == pytest.approx(6.0, rel=0.2)
    with pytest.raises(InputError, match=r"learning_rates\.fxed: must be one of"):
        wrong = scenario_with(small_scenario, training__learning_rates={"fxed": 0.05})
        compare.check(wrong, "compare")


def test_memory_holds_those_that_have_sent_only() -> None:
    """10 000 clients registered, 10 send: rows of 10, and far less than a dense array in use."""
    scenario = scenario_with(clients__count=10_000, digital__error_feedback=True)
    link = link_of_few(scenario)
    uploads = uploads_of(gaussian(10))
    chosen = np.arange(0, 10_000, 1000)
    tracemalloc.start()
    received = air_of(scenario, "digital").combine(replace(uploads, clients=chosen), link, 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sorted(received.memory) == chosen.tolist()
    assert all(row.shape == (5000,) for row in received.memory.values())
    assert peak < 10_000 * 5000 * 8 / 50


def link_of_few(scenario: Scenario):  # type: ignore[no-untyped-def]
    radio = radio_of(scenario)
    return radio.at(fixed_array(scenario.array.antennas, scenario.array.region))


def test_memory_survives_a_checkpoint(small_scenario) -> None:
    scenario = scenario_with(small_scenario, digital__error_feedback=True)
    learner = QuadraticLearner(scenario, 1)
    run = run_with(scenario, "digital", 1, learner)
    run.run_round()
    saved = run.state.arrays()
    other = run_with(scenario, "digital", 1, learner)
    totals = {"latency_s": {}, "energy_j": {}}
    other.state.load(1, saved, totals)
    assert isinstance(other.state, State)
    assert sorted(other.state.memory) == [0, 1, 2]
    for client, row in run.state.memory.items():
        assert np.array_equal(other.state.memory[client], row)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (
            "digital__bits",
            0,
            r"digital\.bits = 0: must be a whole number from 1 to 16, auto or planned",
        ),
        ("digital__bits", "many", r"digital\.bits = \"many\": must be a whole number"),
        ("aggregation__truncation_db", "low", r"truncation_db = \"low\": must be a number or auto"),
        ("aggregation__alignment", "none", r"alignment = \"none\""),
        ("ris__position_m", [0, 0, 0], r"position_m = \[0\.0, 0\.0, 0\.0\]: must be at least 1 m"),
        ("array__selection_places", 1, r"selection_places = 1"),
        ("training__learning_rates", {"fixed": 0}, r"learning_rates\.fixed = 0"),
    ],
)
def test_bad_settings_are_named(path: str, value: object, told: str) -> None:
    from airtune.scenario import file as scenario_file

    data = Scenario().to_dict()
    section, name = path.split("__")
    data[section][name] = value
    with pytest.raises(InputError, match=told):
        scenario_file.parse(data)


@pytest.mark.parametrize("name", ["selection", "selection-compact"])
def test_a_pool_without_room_is_refused(name: str) -> None:
    cramped = scenario_with(array__region=[1.0, 1.0], schemes=[name])
    with pytest.raises(InputError, match=r"array\.selection_places = 4: array\.region"):
        compare.check(cramped, "compare")


def run_examples(page: str, folder: Path) -> None:
    """Run the Python blocks of a page of the manual, one after the other, as one module."""
    text = (DOCS / page).read_text(encoding="utf-8")
    space: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", text, flags=re.S):
        inside = re.sub(r'"runs/([a-z-]+)"', lambda m: repr(str(folder / m[1])), code)
        exec(compile(inside, str(DOCS / page), "exec"), space)


def test_every_scheme_is_in_the_manual_and_the_examples_run(
    table, quadratic, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "publish", lambda folder: None)  # no page
    text = (DOCS / "schemes.md").read_text(encoding="utf-8")
    for name in table:
        assert f"`{name}`" in text
    run_examples("schemes.md", tmp_path)
    assert set(SCHEMES) - set(table) == {"turned"}
    assert "line-of-sight" in CHANNELS
    results = json.loads((tmp_path / "own-channel" / "results.json").read_text())
    assert results["scenario"]["radio"]["channel"] == "line-of-sight"
    assert results["schemes"]["fixed"]["mse_db"] is not None


def test_every_policy_is_in_the_manual_and_its_example_runs(
    table, quadratic, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "publish", lambda folder: None)  # no page
    text = (DOCS / "selection.md").read_text(encoding="utf-8")
    for name in POLICIES:
        assert f"`{name}`" in text
    run_examples("selection.md", tmp_path)
    lines = (tmp_path / "own-policy" / "fixed" / "seed-0" / "metrics.jsonl").read_text()
    chosen = [json.loads(line)["clients"] for line in lines.splitlines()[1:]]
    assert chosen == [[0, 1], [2, 3], [0, 4], [1, 2]]


@pytest.mark.parametrize(
    ("setting", "group"),
    [
        ("radio__channel", "channel"),
        ("clients__selection", "policy"),
    ],
)
def test_an_unknown_name_is_refused_with_what_there_is(setting: str, group: str) -> None:
    scenario = scenario_with(**{setting: "nobody-s"})
    known = {"channel": "block-fading", "policy": "best-channel"}[group]
    path = setting.replace("__", r"\.")
    with pytest.raises(
        InputError, match=f"{path} = 'nobody-s': must be one of .*{known}.*--import"
    ):
        compare.check(scenario, "compare")


def test_a_repetition_takes_the_channel_that_it_is_given(small_scenario) -> None:
    from airtune.planning.repetition import Repetition
    from airtune.radio.channels.block_fading import BlockFading

    other = BlockFading(small_scenario.radio, small_scenario.clients, 7)
    learner = QuadraticLearner(small_scenario, 1)
    repetition = Repetition(small_scenario, 1, learner, channel=other)  # type: ignore[arg-type]
    assert np.array_equal(repetition.radio(2).true.clients.gains, other.block(2).true.clients.gains)
    assert repetition.scheme("ris") is repetition.scheme("ris")


def test_a_limit_of_travel_and_the_effort_are_handed_to_the_policy() -> None:
    from airtune.schemes import Effort, Travel

    scenario = scenario_with(placement__mode="default")
    policy, radio = SCHEMES["movable"].build(scenario, 1).array, radio_of(scenario)
    omega, start = np.full(10, 0.1), policy.start()
    near = policy.place(radio, omega, start, Travel(0.2), Effort(mode="fast"))
    distances = np.linalg.norm(near[:, None] - start[None], axis=-1).min(axis=1)
    assert distances.max() <= 0.2 + 1e-9
    limited = scenario_with(placement__mode="fast", placement__max_travel=0.2)
    by_settings = SCHEMES["movable"].build(limited, 1).array
    assert np.array_equal(by_settings.place(radio_of(limited), omega, start), near)
    free = policy.place(radio, omega, start, effort=Effort(mode="fast"))
    quick = SCHEMES["movable"].build(scenario_with(placement__mode="fast"), 1).array
    assert np.array_equal(free, quick.place(radio, omega, start))


def test_the_broadcast_is_booked_where_the_antennas_were_when_it_was_sent() -> None:
    scenario, sizes, clients = scenario_with(), np.array([3000, 2000]), np.arange(10)
    radio, air = radio_of(scenario), air_of(scenario, "fixed")
    here = radio.at(fixed_array(4, scenario.array.region))
    there = radio.at(here.positions + 1.0)
    mixed = air.overheads(here, there, clients, sizes)
    alike = [air.overheads(link, link, clients, sizes) for link in (here, there)]
    assert (mixed.downlink_s, mixed.downlink_j) == (alike[0].downlink_s, alike[0].downlink_j)
    assert mixed.pilot_s == alike[1].pilot_s
    assert alike[0].downlink_s != alike[1].downlink_s


def test_links_of_all_arrays_have_their_antennas() -> None:
    scenario = scenario_with(placement__mode="fast", ris__elements=4)
    for name in SCHEMES:
        antennas = 8 if name == "fixed-2n" else 4
        assert link_of(scenario, name).positions.shape == (antennas, 2)
