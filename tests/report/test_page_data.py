"""What the page's figures are drawn from, and that text of others in it stays text."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.report import (
    gain_map,
    page,
    page_data,
    page_figures,
    plan_table,
    provenance,
    run_folder,
)

PER_CLIENT = {
    "clients": [1, 3],
    "gain_db": [-100.0, -90.5],
    "snr_db": [3.0, None],
    "alignment": [1.0, 0.97],
    "loss": [2.5, 2.0],
    "energy_j": [0.1, 0.2],
}
MAP = {"shape": [1, 2], "low_db": -3.0, "step_db": 0.5, "values": "AQI="}


def data_of(folder):
    return page_data.page_data(run_folder.load(folder))


@settings(max_examples=40, deadline=None)
@given(st.text())
def test_embedded_text_never_ends_its_element_and_is_read_back(text: str) -> None:
    shown = page_data.embedded({"name": text, text: "</script><!--<script>"})
    assert not set("<>&\u2028\u2029") & set(shown)
    assert json.loads(shown)[text if text != "name" else "name"] is not None
    assert json.loads(shown).get("name") in (text, "</script><!--<script>")


def test_curves_are_medians_within_the_band_of_the_seeds(write_run) -> None:
    curve = data_of(write_run(("ideal", "movable"), seeds=3))["curves"]["mse_db"]["schemes"]
    assert set(curve) == {"movable"}
    movable = curve["movable"]
    assert movable["round"] == list(range(1, 31))
    assert len(movable["time_s"]) == len(movable["energy_j"]) == 30
    low, high = np.array(movable["low"]), np.array(movable["high"])
    assert (low < high).all()
    assert all(x is not None for x in movable["predicted"])


def test_one_seed_has_no_band(write_run) -> None:
    curves = data_of(write_run(("movable",)))["curves"]["loss"]["schemes"]["movable"]
    assert "low" not in curves
    assert "predicted" not in curves


def test_an_older_folder_shows_the_last_places_and_who_took_part(write_run) -> None:
    folder = write_run(("ideal", "movable", "fixed"))
    data = data_of(folder)
    assert set(data["antennas"]) == {"movable", "fixed"}
    for scheme in ("movable", "fixed"):
        (only,) = data["antennas"][scheme]["rounds"]
        assert only["round"] == 30
        assert len(only["positions"]) == 4
        assert only["map"]["shape"] == [41, 41]
    run = run_folder.load(folder)
    document = run.scheme("movable").first_with("placement")
    at = np.linspace(0, 4, 41)
    exact = gain_map.weakest_gain_db(gain_map.as_arrays(document, ""), at, at)
    shown = data["antennas"]["movable"]["rounds"][0]["map"]
    level = np.frombuffer(base64.b64decode(shown["values"]), np.uint8).reshape(41, 41)
    drawn = shown["low_db"] + shown["step_db"] * level
    np.testing.assert_allclose(drawn, np.maximum(exact, exact.max() - 40), atol=0.1)
    assert set(data["clients"]["movable"]) == {"of", "clients", "rounds", "participation"}
    assert data["clients"]["movable"]["participation"][0] == [0, 1] * 5
    shown = page_figures.shown(run_folder.load(folder), data)
    assert shown["clients"].choices["figure"] == [("participation", "Participation")]
    assert "that the server believes in" in shown["antennas"].caption
    assert "left out" not in shown["antennas"].caption + shown["clients"].caption
    assert shown["forecast"] is None


def test_kept_rounds_are_drawn_each_with_its_places(write_run) -> None:
    folder = write_run(("movable",))
    path = folder / "movable" / "seed-0" / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()][:4]
    lines[1] |= {"positions": [[0.0, 1.0]], "gain_map": MAP, "per_client": PER_CLIENT}
    lines[3] |= {"positions": [[2.0, 1.0]], "gain_map": MAP}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = data_of(folder)
    rounds = data["antennas"]["movable"]["rounds"]
    assert [entry["positions"] for entry in rounds] == [[[0, 1]], None, [[2, 1]]]
    assert [entry["map"] is None for entry in rounds] == [False, True, False]
    table = data["clients"]["movable"]
    assert table["snr_db"][0] == [None, 3.0] + 8 * [None]
    assert table["alignment"][0][:4] == [None, 1.0, None, 0.97]
    assert table["loss"][1] == 10 * [None]
    shown = page_figures.shown(run_folder.load(folder), data)
    assert [key for key, _ in shown["clients"].choices["figure"]] == [
        *page_data.CLIENT_FIGURES,
        "participation",
    ]


def test_a_page_of_many_clients_and_rounds_stays_small(write_run) -> None:
    """Its caption says what is left out; the last round is there."""
    folder = write_run(("movable", "fixed"))
    scenario = yaml.safe_load((folder / "scenario.yaml").read_text())
    scenario["clients"]["count"] = 1000
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    rng = np.random.default_rng(1)
    values = base64.b64encode(rng.bytes(61 * 61)).decode()
    for scheme in ("movable", "fixed"):
        lines = []
        for index in range(201):
            who = np.sort(rng.choice(1000, 100, replace=False)).tolist()
            figures = {key: rng.normal(size=100).round(3).tolist() for key in PER_CLIENT}
            lines.append({"round": index, "clients": who, "loss": 2.0})
            lines[-1]["per_client"] = {**figures, "clients": who}
            if index:
                lines[-1]["positions"] = rng.uniform(0, 4, (4, 2)).round(4).tolist()
                lines[-1]["gain_map"] = {**MAP, "shape": [61, 61], "values": values}
        path = folder / scheme / "seed-0" / "metrics.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = run_folder.load(folder)
    data = page_data.page_data(run)
    assert len(page_data.embedded(data)) < 2_500_000
    table, places = data["clients"]["movable"], data["antennas"]["movable"]["rounds"]
    assert table["clients"] == list(range(0, 1000, 5))
    assert (len(table["rounds"]), table["rounds"][-1]) == (50, 200)
    assert np.shape(table["loss"]) == np.shape(table["participation"]) == (50, 200)
    assert (len(places), places[0]["round"], places[-1]["round"]) == (100, 1, 200)
    shown = page_figures.shown(run, data)
    assert "Shown: 200 of 1000 clients" in shown["clients"].caption
    assert "Shown: 50 of 200 rounds" in shown["clients"].caption
    assert "Shown: 100 of 200 rounds" in shown["antennas"].caption


def test_bands_are_of_the_seeds_that_have_finished(write_run) -> None:
    folder = write_run(("movable",), seeds=3)
    before = data_of(folder)["curves"]["loss"]["schemes"]["movable"]
    unfinished = folder / "movable" / "seed-9"
    unfinished.mkdir()
    lines = [{"round": index, "loss": 1e6} for index in range(3)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (unfinished / "metrics.jsonl").write_text(text)
    assert not run_folder.load(folder).schemes[0].seeds[-1].finished
    after = data_of(folder)["curves"]["loss"]["schemes"]["movable"]
    assert (after["low"], after["high"]) == (before["low"], before["high"])


def test_a_page_holds_the_notices_of_its_library(write_run) -> None:
    library = page.asset("plotly-cartesian.min.js").encode()
    digest = hashlib.sha256(library).hexdigest()
    stated = (Path(__file__).parents[2] / "docs" / "licences.md").read_text(encoding="utf-8")
    assert f"sha256 `{digest}`" in stated
    text = html.unescape(page.render(run_folder.load(write_run(("movable",)))))
    assert page.asset("plotly-license.txt") in text
    for words in ("Permission is hereby granted", "Michael Bostock", "Redistributions in binary"):
        assert words in text


@pytest.mark.parametrize("plan", ["shared", "own"])
def test_whose_plan_a_scheme_ran_by_stands_below_its_name(write_run, plan: str) -> None:
    folder = write_run(("movable", "fixed"))
    results = json.loads((folder / "results.json").read_text())
    results.setdefault("scenario", {})["plan"] = plan
    for entry in results["schemes"].values():
        entry["plan"] = {"rounds": 4, "energy_j": {"movement": 0.1}}
    (folder / "results.json").write_text(json.dumps(results))
    rows = plan_table.plan_rows(run_folder.load(folder)).rows
    notes = {row.name: row.note for row in rows}
    assert notes == {"movable": "", "fixed": "plan of Movable" if plan == "shared" else ""}


def test_a_plan_stands_beside_what_it_came_to(write_run) -> None:
    folder = write_run(("movable", "fixed"))
    results = json.loads((folder / "results.json").read_text())
    entry = results["schemes"]["movable"]
    entry["rounds"] = 30
    entry["plan"] = {
        "rounds": 28,
        "bound": 0.5,
        "latency_s": {"compute": 2.0, "uplink": 1.0},
        "energy_j": {"compute": 0.5},
        "booked_less_planned": {"latency_s": {}, "energy_j": {}},
    }
    (folder / "results.json").write_text(json.dumps(results))
    plan = {"rounds": {"finetuning": 28}, "batch": {}, "frequency_hz": {}, "latency_s": {}}
    plan |= {"energy_j": {}, "limits": ["air_noise", "latency"]}
    plan |= {"bound": {"initial_gap": 0.1, "air_noise": 0.3, "bias": 0.0}}
    (folder / "movable" / "seed-0" / "plan.json").write_text(json.dumps(plan))
    run = run_folder.load(folder)
    (row,) = plan_table.plan_rows(run).rows
    assert [cell.text for cell in row.cells][:3] == ["28", "30", "3.00\u202fs"]
    assert row.cells[-1].text == "air noise, latency"
    entry["plan"]["latency_s"]["uplink"] = {"median": 1.0, "p10": 0.5, "p90": 2.0}
    (folder / "results.json").write_text(json.dumps(results))
    seeds = plan_table.plan_rows(run_folder.load(folder))
    assert "Time planned" not in seeds.columns  # medians of parts are no parts of a median
    assert "Energy planned" in seeds.columns
    shutil.copytree(folder / "movable/seed-0", folder / "movable/seed-1")
    several = run_folder.load(folder)
    assert plan_table.plan_notes(several)[-1].startswith("What limits a plan")
    costs = page_figures.shown(several, page_data.page_data(several))["energy"]
    assert "Medians over the seeds of each component" in costs.caption
    assert len(seeds.rows[0].cells) == len(seeds.columns)
    assert plan_table.plan_notes(run) == [
        "The bound of Movable is made of 75\u00a0% the noise of the air, "
        "25\u00a0% what is left of the initial gap."
    ]


def test_a_run_says_how_it_is_made_again_and_cited(write_run) -> None:
    folder = write_run(("movable",))
    about = {"packages": {"airtune": "0.2.0"}, "date": "2026-05-01T00:00:00+00:00"}
    about |= {"commit": "0123456789abcdef"}
    about["command"] = "airtune --import my.codes run x.yaml\n--scheme movable"
    (folder / "environment.json").write_text(json.dumps(about))
    run = run_folder.load(folder)
    assert provenance.again(run).splitlines() == [
        "# airtune 0.2.0, commit 0123456789ab",
        "airtune --import my.codes run scenario.yaml --scheme movable",
        "# as it was typed: airtune --import my.codes run x.yaml --scheme movable",
    ]
    cited = provenance.citation(run)
    assert "version = {0.2.0}" in cited
    assert "year    = {2026}" in cited
    assert cited.count("{") == cited.count("}")
    compared = run_folder.load(write_run(("ideal", "movable")))
    assert "airtune compare scenario.yaml" in provenance.again(compared)
