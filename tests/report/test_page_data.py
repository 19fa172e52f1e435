"""What the page's figures are drawn from, and that text of others in it stays text."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.report import page_data, page_figures, plan_table, provenance, run_folder

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
    (only,) = data["antennas"]["movable"]["rounds"]
    assert (only["round"], only["map"]) == (30, None)
    assert set(data["clients"]["movable"]) == {"count", "rounds", "participation"}
    assert data["clients"]["movable"]["participation"][0] == [0, 1] * 5
    shown = page_figures.shown(run_folder.load(folder), data)
    assert shown["clients"].choices["figure"] == [("participation", "Participation")]
    assert "no gain maps" in shown["antennas"].caption
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
    assert [entry["positions"] for entry in rounds] == [[[0, 1]], [[0, 1]], [[2, 1]]]
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
    assert plan_table.plan_notes(run) == [
        "The bound of Movable is made of 75\u00a0% the noise of the air, "
        "25\u00a0% what is left of the initial gap."
    ]


def test_a_run_says_how_it_is_made_again_and_cited(write_run) -> None:
    folder = write_run(("movable",))
    about = {"packages": {"airtune": "0.2.0"}, "date": "2026-05-01T00:00:00+00:00"}
    about |= {"commit": "0123456789abcdef", "command": "airtune run x.yaml\n--scheme movable"}
    (folder / "environment.json").write_text(json.dumps(about))
    run = run_folder.load(folder)
    assert provenance.again(run).splitlines() == [
        "# airtune 0.2.0, commit 0123456789ab",
        "airtune run scenario.yaml --scheme movable",
        "# as it was typed: airtune run x.yaml --scheme movable",
    ]
    cited = provenance.citation(run)
    assert "version = {0.2.0}" in cited
    assert "year    = {2026}" in cited
    assert cited.count("{") == cited.count("}")
    compared = run_folder.load(write_run(("ideal", "movable")))
    assert "airtune compare scenario.yaml" in provenance.again(compared)
