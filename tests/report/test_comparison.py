"""Runs side by side as one page: figures in which every run is a line, and the tables of `diff`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from airtune import record
from airtune.commands.app import app
from airtune.report import comparison, run_folder, style, svg
from airtune.scenario import Scenario
from airtune.study.difference import difference

WriteRun = Callable[[Sequence[str]], Path]


@pytest.fixture
def folders(write_run: WriteRun, tmp_path: Path) -> list[Path]:
    return [
        run_of(write_run(("ideal", "movable", "fixed")), tmp_path / "one <b>"),
        run_of(write_run(("ideal", "movable", "digital")), tmp_path / "two"),
    ]


def run_of(written: Path, folder: Path) -> Path:
    """Return a run folder, as a run begins one, with what was written for another."""
    run = record.create(folder, Scenario(), "compare").folder
    kept = shutil.ignore_patterns("scenario.yaml", "run.json", "environment.json")
    shutil.copytree(written, run, ignore=kept, dirs_exist_ok=True)
    shutil.rmtree(written)
    return run


def test_schemes_of_both_runs_are_drawn_a_line_and_a_bar_each(folders: list[Path]) -> None:
    drawn = comparison.draw(folders)
    names = [figure.name for figure in drawn]
    assert names == ["scheme-0-loss", "scheme-0-costs", "scheme-1-loss", "scheme-1-costs"]
    assert all(figure.svg.startswith('<svg class="plot"') for figure in drawn)
    runs = [run_folder.load(folder).scheme("movable") for folder in folders]
    last = [run.series("round", "loss")[1][-1] for run in runs if run]
    assert drawn[2].alt == f"Last values: A {last[0]:.3g}, B {last[1]:.3g}."
    parts = [sum((run.result or {})["energy_j"].values()) for run in runs if run]
    assert f"A {parts[0]:.3g} J, B {parts[1]:.3g} J" in drawn[3].alt


def test_curves_are_the_losses_over_rounds_time_and_energy(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(
        comparison, "inline", lambda figure, name, alt: kept.update({name: figure}) or "<svg>"
    )
    comparison.draw(folders)
    movable = run_folder.load(folders[1]).scheme("movable")
    assert movable is not None
    for axes, field in zip(
        kept["scheme-1-loss"].axes, ("round", "time_s", "energy_j"), strict=True
    ):
        curve = axes.get_lines()[1]
        xs, ys = movable.series(field, "loss")
        assert list(curve.get_ydata()) == ys
        scale = xs[-1] / curve.get_xdata()[-1]
        assert list(curve.get_xdata()) == pytest.approx([x / scale for x in xs])
        assert scale in (1.0, 1e-3, 1e3, 60.0, 3600.0)
    widths = [bar.get_width() for bar in kept["scheme-1-costs"].axes[0].patches]
    assert sum(widths) > 0


def test_the_page_holds_everything_and_escapes_what_is_not_its_own(
    folders: list[Path], tmp_path: Path
) -> None:
    page = tmp_path / "both.html"
    done = CliRunner().invoke(app, ["diff", *map(str, folders), "--page", str(page)])
    assert done.exit_code == 0, done.output
    assert f"Page: {page}" in done.output.replace("\n", "")
    text = page.read_text(encoding="utf-8")
    assert "one &lt;b&gt;" in text and "one <b>" not in text
    assert text.count('<svg class="plot"') == 4
    assert not re.search(r'(src|href)="(?!#)', text)
    assert 'http-equiv="Content-Security-Policy"' in text
    for row in ("final loss", "energy in all [J]"):
        assert row in text
    assert 'style="' not in text


@pytest.mark.parametrize("hostile", ['x"><img src=x onerror=alert(1)>', r"x\q", r"\1"])
def test_names_of_schemes_are_text(folders: list[Path], tmp_path: Path, hostile: str) -> None:
    for folder in folders:
        path = folder / "results.json"
        results = json.loads(path.read_text())
        results["schemes"][hostile] = results["schemes"]["movable"]
        record.write_json(path, results)
    page = tmp_path / "both.html"
    done = CliRunner().invoke(app, ["diff", *map(str, folders), "--page", str(page)])
    assert done.exit_code == 0, done.exception
    text = page.read_text(encoding="utf-8")
    assert "<img" not in text
    ids = re.findall(r'id="([^"]*)"', text)
    assert ids and all(re.fullmatch(r"[\w-]+", one) for one in ids)
    assert len(set(ids)) == len(ids)


def test_schemes_that_are_titled_as_other_tables_have_one_of_their_own(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "draw", lambda folders: [])  # takes most of the time
    same = ["Settings", "Environment", style.scheme_style("movable").label]
    for number, folder in enumerate(folders):
        path = folder / "results.json"
        results = json.loads(path.read_text())
        for name in same:
            results["schemes"][name] = results["schemes"]["movable"]
        record.write_json(path, results)
        run = folder / "environment.json"
        record.write_json(run, json.loads(run.read_text()) | {"platform": f"machine {number}"})
    found = difference(folders)
    found["settings"] = {"seed": [1, 2]}
    content = comparison.content_of(found)
    assert content["differing"]["Settings"] == [("seed", "1", "2")]
    assert ("platform", "machine 0", "machine 1") in content["differing"]["Environment"]
    titles = [title for title, _ in content["schemes"]]
    assert len(titles) == len(found["schemes"]) and titles.count(same[2]) == 2
    text = comparison.body(found, folders)
    assert text.count("<h2>Settings</h2>") == text.count("<h2>Environment</h2>") == 2
    heads = re.findall(r'<tr><th scope="col">(\w+)</th>', text)
    assert heads == ["Setting", "What", *["Figure"] * len(titles)]
    done = CliRunner().invoke(app, ["diff", *map(str, folders)])
    assert done.exit_code == 0 and "machine 1" in done.output


def test_no_file_of_a_run_is_replaced(folders: list[Path]) -> None:
    page = folders[1] / "results.json"
    before = page.read_bytes()
    done = CliRunner().invoke(app, ["diff", *map(str, folders), "--page", str(page)])
    assert done.exit_code != 0 and "in the run folder" in str(done.exception)
    assert page.read_bytes() == before


def test_a_page_that_cannot_be_there_is_refused(folders: list[Path], tmp_path: Path) -> None:
    for where, said in ((tmp_path, "--page"), (tmp_path / "no" / "page.html", "cannot be written")):
        done = CliRunner().invoke(app, ["diff", *map(str, folders), "--page", str(where)])
        error = done.exception
        assert error is not None and said in str(error)
        assert len(str(error)) <= 400


def test_runs_without_a_common_scheme_have_tables_alone(
    write_run: WriteRun, tmp_path: Path
) -> None:
    one = run_of(write_run(("ideal", "movable")), tmp_path / "one")
    two = run_of(write_run(("digital", "fixed")), tmp_path / "two")
    assert comparison.draw([one, two]) == []


def test_many_runs_keep_a_letter_each() -> None:
    letters = [comparison.letter(n) for n in range(40)]
    assert len(set(letters)) == 40


def test_figures_of_like_names_have_identifiers_of_their_own() -> None:
    drawing = '<svg><defs><path id="p"/></defs><use xlink:href="#p" clip-path="url(#p)"/></svg>'
    names = ["a.b", "a-b", "a_b", "a b", "a_2e_b", "ä", "_"]
    marks = []
    for name in names:
        text = svg.inline(drawing, name, "a drawing")
        (mark,) = re.findall(r'id="([A-Za-z0-9_-]+)"', text)
        assert f'href="#{mark}"' in text and f'"url(#{mark})"' in text
        marks.append(mark)
    assert len(set(marks)) == len(names)
