"""The page in a real browser: from disk, without a network, by keyboard, on a desk and a phone."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from airtune.report import page, run_folder, style

pytestmark = pytest.mark.slow

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SCREENS = {
    "desk": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}
WAIT_MS = 400_000
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def with_rounds(folder: Path) -> Path:
    """Give the rounds of a folder places, maps and figures of the clients, and a hostile name."""
    rng = np.random.default_rng(2)
    for scheme in ("movable", "fixed"):
        path = folder / scheme / "seed-0" / "metrics.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines[1:]:
            level = rng.integers(0, 256, size=(5, 5), dtype=np.uint8)
            if scheme == "movable" or line["round"] == 1:
                line["positions"] = rng.uniform(0, 4, size=(4, 2)).tolist()
            if scheme == "movable":
                values = base64.b64encode(level.tobytes()).decode()
                line["gain_map"] = {"shape": [5, 5], "low_db": -20.0, "step_db": 0.1}
                line["gain_map"]["values"] = values
            count = len(line["clients"])
            line["per_client"] = {
                "clients": line["clients"],
                "gain_db": rng.normal(-100, 5, count).tolist(),
                "snr_db": rng.normal(5, 5, count).tolist(),
                "alignment": rng.normal(1, 0.1, count).tolist(),
                "loss": rng.normal(2, 0.1, count).tolist(),
                "energy_j": rng.uniform(0.1, 0.2, count).tolist(),
            }
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for path in folder.glob("*/seed-*/metrics.jsonl"):
        path.write_text(path.read_text().replace('"calendar"', json.dumps(HOSTILE)))
    results = json.loads((folder / "results.json").read_text())
    for number, entry in enumerate(results["schemes"].values()):
        entry["faults"] = {"participation": 0.75, "poison_bias": 1234.5, "cut": number}
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "report.html").write_text(page.render(run_folder.load(folder)), encoding="utf-8")
    return folder / "report.html"


@pytest.fixture(scope="module")
def report(write_run: Any) -> Path:
    return with_rounds(write_run(seeds=3))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium is installed; CHROMIUM may name one")
    with playwright.sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module", params=SCREENS)
def tab(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Any]:
    """Open the page without a network; what the console says or a dialog shows is a failure."""
    said: list[str] = []
    context = browser.new_context(**SCREENS[request.param], offline=True, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(WAIT_MS)
    opened.on("console", lambda line: said.append(f"{line.type}: {line.text}"))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: said.append(dialog.message))
    opened.on("request", lambda asked: said.append(asked.url))
    opened.goto(report.as_uri(), wait_until="commit")
    opened.wait_for_selector("#holdings .main-svg", state="attached")
    yield opened
    context.close()
    asked = [line for line in said if not line.startswith("blob:")]
    assert asked == [report.as_uri()]


@pytest.fixture
def opened(tab: Any) -> Any:
    """Set every control of the open page back to where it was."""
    tab.evaluate("""for (const form of document.forms) {
        form.reset();
        form.dispatchEvent(new Event("input"));
    }""")
    return tab


def traces(tab: Any, figure: str) -> list[dict[str, Any]]:
    code = "id => JSON.stringify(document.querySelector(`#${id} .draw`).data)"
    return json.loads(tab.evaluate(code, figure))


def saved(tab: Any, figure: str, part: str = "") -> list[list[str]]:
    wanted = f"#{figure} [data-csv]" + (f"[data-part={part}]" if part else ":not([data-part])")
    with tab.expect_download() as download:
        tab.locator(wanted).click()
    return list(csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))


def test_the_table_of_faults_is_saved_as_numbers(opened: Any) -> None:
    with opened.expect_download() as download:
        opened.locator("[data-table=faults]").click()
    assert download.value.suggested_filename.endswith("-faults.csv")
    head, *rows = csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8")))
    assert head == ["scheme", "participation", "cut", "poison_bias"]
    assert rows[1] == ["movable", "0.75", "1", "1234.5"]
    assert len(rows) == 5


def test_every_figure_is_drawn_and_nothing_runs_over_the_edge(opened: Any) -> None:
    code = "all => all.map(f => [f.id, f.querySelectorAll('.main-svg').length])"
    drawn = opened.locator("figure").evaluate_all(code)
    assert {name for name, count in drawn if count} == {
        "convergence", "energy", "latency", "antennas", "clients", "domains", "holdings",
    }  # fmt: skip
    assert opened.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_names_with_markup_are_shown_as_they_are(opened: Any) -> None:
    shown = opened.locator("#domains .ytick").all_text_contents()
    assert HOSTILE[:23] + "…" in shown
    assert HOSTILE in [row[0] for row in saved(opened, "domains")]


def test_curves_answer_their_switches(opened: Any) -> None:
    first = traces(opened, "convergence")
    assert sum("10-90" in trace["name"] for trace in first) == 5
    opened.locator("#convergence input[value=energy_j]").check()
    energy = traces(opened, "convergence")
    assert energy[1]["x"] != first[1]["x"]
    assert energy[1]["y"] == first[1]["y"]
    opened.locator("#convergence input[value=movable]").uncheck()
    assert "Movable" not in {trace["name"] for trace in traces(opened, "convergence")}
    opened.locator("#convergence select[name=y]").select_option("mse_db")
    assert any("predicted" in trace["name"] for trace in traces(opened, "convergence"))
    rows = saved(opened, "convergence")
    assert rows[0] == ["scheme", "round", "time_s", "energy_j", "mse_db", "p10", "p90", "predicted"]
    assert {row[0] for row in rows[1:]} == {"Fixed", "Random position", "Digital"}
    for figure in ("energy", "latency"):
        for how in ("share", "log", "total"):
            opened.locator(f"#{figure} input[value={how}]").check()
            assert traces(opened, figure)
        assert len(saved(opened, figure)) > 5


def test_antennas_move_by_slider_keys_and_play(opened: Any, report: Path) -> None:
    slider, said = opened.locator("#antennas input[type=range]"), opened.locator("#antennas output")
    assert said.inner_text() == "Round 1 of 30"
    slider.focus()
    opened.keyboard.press("ArrowRight")
    assert said.inner_text() == "Round 2 of 30"
    assert slider.get_attribute("aria-valuetext") == "Round 2 of 30"
    opened.keyboard.press("End")
    at = traces(opened, "antennas")[-1]
    line = json.loads((report.parent / "movable/seed-0/metrics.jsonl").read_text().splitlines()[-1])
    np.testing.assert_allclose(np.transpose([at["x"], at["y"]]), line["positions"])
    (ground,) = (trace for trace in traces(opened, "antennas") if trace.get("type") == "heatmap")
    level = np.frombuffer(base64.b64decode(line["gain_map"]["values"]), np.uint8).reshape(5, 5)
    np.testing.assert_allclose(np.asarray(ground["z"], float), -20.0 + 0.1 * level)
    assert len(saved(opened, "antennas", "second")) == 26
    play = opened.locator("#antennas [data-play]")
    play.focus()
    opened.keyboard.press("Enter")
    assert play.inner_text() == "Pause"
    # (the content policy lets no function of a test wait in the page)
    opened.locator("#antennas output", has_text="Round 3 of").wait_for()
    opened.keyboard.press("Enter")
    assert play.inner_text() == "Play"
    opened.locator("#antennas select").select_option("fixed")
    # what stands still has one map, of the last placement
    assert said.inner_text() == "Round 30 of 30"
    assert any(t.get("type") == "heatmap" for t in traces(opened, "antennas"))
    assert len(saved(opened, "antennas", "second")) == 1 + 41 * 41


def test_clients_show_every_figure_and_say_what_is_missing(opened: Any) -> None:
    figure, said = opened.locator("#clients select[name=figure]"), opened.locator("#clients output")
    seen = []
    for key in figure.locator("option").evaluate_all("all => all.map(o => o.value)"):
        figure.select_option(key)
        seen.append(json.dumps(traces(opened, "clients")[0]["z"]))
        assert said.inner_text() == ""
    assert len(set(seen)) == len(seen) == 6
    opened.locator("#clients select[name=scheme]").select_option("digital")
    figure.select_option("alignment")
    assert "Not recorded" in said.inner_text()
    rows = saved(opened, "clients")
    assert rows[0] == ["scheme", "round", "client", "participation"]
    assert len(rows) == 1 + 30 * 10


def test_many_clients_and_a_line_without_a_map(browser: Any, write_run: Any) -> None:
    """Small fields have no gaps, and a line of antennas has no gain to tell of."""
    folder = write_run(("movable",))
    scenario = yaml.safe_load((folder / "scenario.yaml").read_text())
    scenario["clients"]["count"], scenario["array"]["region"] = 700, [4.0, 0.0]
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    (folder / "movable/seed-0/placement.json").unlink()
    path = folder / "movable/seed-0/metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["positions"], lines[2]["positions"] = [[1.0, 0.0]], [[2.0, 0.0]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    opened = browser.new_page()
    opened.set_default_timeout(WAIT_MS)
    (folder / "report.html").write_text(page.render(run_folder.load(folder)), encoding="utf-8")
    opened.goto((folder / "report.html").as_uri(), wait_until="commit")
    opened.wait_for_selector("#clients .main-svg", state="attached")
    (bricks,) = traces(opened, "clients")
    assert len(bricks["y"]) == 175
    assert (bricks["xgap"], bricks["ygap"]) == (1, 0)
    code = "document.querySelector('#antennas .draw').layout.yaxis.title.text"
    assert opened.evaluate(code) == ""
    opened.close()


def test_a_forecast_stands_beside_what_was_measured(browser: Any, write_run: Any) -> None:
    folder = write_run(("movable", "fixed"))
    run = run_folder.load(folder)
    losses = [3.0 - 0.05 * t for t in range(31)]
    forecast = {"losses": losses, "target": 1.8, "rounds": 24.0}
    forecast |= {"limit_rounds": 26.0, "coverage": 0.9}
    movable, *others = run.schemes
    plan = {"radio": {"scheme": "movable"}, "forecast": forecast}
    movable = replace(movable, seeds=(replace(movable.seeds[0], plan=plan),))
    text = page.render(replace(run, schemes=(movable, *others)))
    (folder / "report.html").write_text(text, encoding="utf-8")
    opened = browser.new_page(accept_downloads=True)
    opened.set_default_timeout(WAIT_MS)
    opened.goto((folder / "report.html").as_uri(), wait_until="commit")
    opened.wait_for_selector("#forecast .main-svg", state="attached")
    names = [trace["name"] for trace in traces(opened, "forecast")]
    assert names == ["Up to the limit", "Predicted", "Measured"]
    head, *rows = saved(opened, "forecast")
    assert head == ["round", "predicted", "limit", "measured"]
    lines = (folder / "movable/seed-0/metrics.jsonl").read_text().splitlines()
    known = {str(line["round"]): line["loss"] for line in map(json.loads, lines)}
    measured = [known[row[0]] for row in rows]
    assert [float(row[1]) for row in rows] == pytest.approx(losses)
    assert [float(row[3]) for row in rows] == pytest.approx(measured, rel=1e-5)
    opened.close()


def test_what_is_printed_is_light(opened: Any) -> None:
    code = "document.querySelector('#convergence .draw').layout.font.color"
    before = opened.evaluate(code)
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.evaluate(code) == "#1b1f24"
    assert traces(opened, "convergence")[1]["line"]["color"] == style.scheme_style("ideal").color
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.evaluate(code) == before


def test_every_control_is_reached_by_keyboard_and_named(opened: Any) -> None:
    code = """() => [...document.querySelectorAll('button, input, select, summary, a')].filter(
        e => e.checkVisibility() && (e.tabIndex < 0 || !(e.labels?.length
        || e.textContent.trim() || e.getAttribute('aria-label')))).map(e => e.outerHTML)"""
    assert opened.evaluate(code) == []
    radio = opened.locator("#convergence input[value=round]")
    radio.focus()
    opened.keyboard.press("ArrowRight")
    assert opened.locator("#convergence input[value=time_s]").is_checked()
    box = opened.locator("#convergence input[value=fixed]")
    box.focus()
    opened.keyboard.press("Space")
    assert "Fixed" not in {trace["name"] for trace in traces(opened, "convergence")}


def test_the_scenario_is_saved_as_it_was(opened: Any, report: Path) -> None:
    with opened.expect_download() as download:
        opened.locator("[data-scenario]").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text == (report.parent / "scenario.yaml").read_text(encoding="utf-8")


def test_axe_finds_nothing(opened: Any) -> None:
    package = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    (script,) = Path(package.__file__).parent.rglob("axe.min.js")
    opened.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    opened.evaluate(script.read_text(encoding="utf-8"))
    found = opened.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.nodes.length]))")
    assert found == []
