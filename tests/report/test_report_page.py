"""The page of a run: complete, safe, self-contained, repeatable."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.report import build, figures, page, run_folder

FIGURES = {kind.name for kind in figures.KINDS} - {"forecast"}
"""Files of a run whose plans predict nothing."""

SHOWN = {"convergence", "energy", "latency", "antennas", "clients", "domains", "holdings"}
"""Figures in its page."""


class Reader(HTMLParser):
    """Collects what a browser would make of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.sheets: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        kind = self.tags[-1][0] if self.tags else ""
        if self.cdata_elem:
            (self.scripts if kind == "script" else self.sheets).append(data)
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def attributes(self, *names: str) -> list[str]:
        return [str(attrs[n]) for _, attrs in self.tags for n in names if n in attrs]


@pytest.fixture(scope="module")
def folder(write_run) -> Path:
    folder = write_run()
    assert build(folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def reader(folder: Path) -> Reader:
    return Reader((folder / "report.html").read_text(encoding="utf-8"))


def rendered(folder: Path) -> Reader:
    """Return the page without the files of its figures, which take most of the time."""
    return Reader(page.render(run_folder.load(folder)))


def test_page_names_every_scheme_and_figure(reader: Reader) -> None:
    for label in ("Ideal", "Movable", "Fixed", "Random position", "Digital"):
        assert label in reader.text
    assert {tag[1]["id"] for tag in reader.tags if tag[0] == "figure"} == SHOWN
    labels = [attrs.get("aria-label") for tag, attrs in reader.tags if attrs.get("role") == "img"]
    assert len(labels) == len(SHOWN)
    assert all(label and len(label) > 40 for label in labels)


def test_headline_tells_gains_and_what_was_not_reached(reader: Reader, folder: Path) -> None:
    headline = json.loads((folder / "results.json").read_text())["headline"]
    faster, less = headline["faster_pct"]["digital"], headline["less_energy_pct"]["digital"]
    assert f"{faster:.0f} % faster with {less:.0f} % less energy than digital upload" in reader.text
    assert "The fixed array did not reach it by the last round." in reader.text
    assert f"> {headline['faster_pct']['fixed']:.1f} %" in reader.text


def test_hostile_strings_are_text(reader: Reader) -> None:
    assert "<script>alert('before')</script>" in reader.text
    tags = Counter(tag for tag, _ in reader.tags)
    assert not set(tags) & {"img", "iframe", "link", "object", "base"}
    assert tags["script"] == len(reader.scripts) == 3
    library, script = reader.scripts[1:]
    assert library.startswith("/**\n* plotly.js (cartesian - minified)")
    assert script == page.asset("page.js")
    assert not [name for _, attrs in reader.tags for name in attrs if name.startswith("on")]


def test_page_fetches_nothing(reader: Reader) -> None:
    addresses = reader.attributes("src", "href", "xlink:href", "srcset", "action")
    assert addresses
    for address in addresses:
        assert address.startswith("#"), address
    assert len(reader.sheets) == 2
    for sheet in reader.sheets:
        assert "@import" not in sheet
        assert "url(" not in sheet


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_content_policy_allows_these_sheets_and_scripts_only(reader: Reader) -> None:
    policy = next(a["content"] for t, a in reader.tags if "http-equiv" in a)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [digest(text) for text in reader.scripts[1:]]
    assert rules["style-src"].split() == [digest(text) for text in reader.sheets]
    # Plotly clears style attributes; only the empty one is allowed.
    assert rules["style-src-attr"].split() == ["'unsafe-hashes'", digest("")]
    assert rules.keys() <= {"default-src", "script-src", "style-src", "style-src-attr", "img-src",
                            "base-uri", "form-action"}  # fmt: skip
    assert not reader.attributes("style")


def test_a_page_of_a_sweep_has_no_script() -> None:
    assert "script-src 'none'" in page.content_policy("p {}", page.Policy())
    assert "style-src-attr" not in page.content_policy("p {}", page.Policy())


def test_identifiers_are_unique_and_references_resolve(reader: Reader) -> None:
    identifiers = Counter(reader.attributes("id"))
    assert max(identifiers.values()) == 1
    local = [a[1:] for a in reader.attributes("href", "xlink:href") if a.startswith("#")]
    named = reader.attributes("aria-labelledby")
    assert local
    assert named
    assert {*local, *named} <= set(identifiers)


def test_tables_have_headings(reader: Reader) -> None:
    scopes = Counter(reader.attributes("scope"))
    assert scopes["row"] == 3 * 5
    assert sum(tag == "caption" for tag, _ in reader.tags) == 3


def test_figures_are_not_blank_and_in_print_quality(folder: Path) -> None:
    from matplotlib.image import imread

    for name in FIGURES:
        pixels = imread(folder / "figures" / f"{name}.png")
        assert pixels.shape[1] == 3.5 * 300
        dark = (pixels[..., :3].min(axis=-1) < 0.6).mean()
        assert 0.005 < dark < 0.9, name
        pdf = (folder / "figures" / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF")
        assert b"/MediaBox [ 0 0 252 " in pdf


def test_same_folder_gives_the_same_bytes(folder: Path, tmp_path: Path, monkeypatch) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("figures", "report.html"))
    names = ("loss-time", "energy-split", "antenna-positions")
    monkeypatch.setattr(figures, "KINDS", [k for k in figures.KINDS if k.name in names])
    text = build(copy).read_text(encoding="utf-8")
    made = list((copy / "figures").iterdir())
    assert len(made) == 2 * len(names)
    for path in made:
        assert path.read_bytes() == (folder / "figures" / path.name).read_bytes(), path
    assert text == (folder / "report.html").read_text(encoding="utf-8")


def test_partial_comparison_says_what_is_missing(write_run, monkeypatch) -> None:
    few = [k for k in figures.KINDS if k.name in ("loss-rounds", "antenna-positions")]
    monkeypatch.setattr(figures, "KINDS", few)
    folder = write_run(finished=("ideal", "movable"), extras=False)
    stale = folder / "figures" / "antenna-positions.pdf"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")
    text = Reader(build(folder).read_text(encoding="utf-8")).text
    assert "This run is not finished." in text
    assert "Fixed: not finished, 11 of 30 rounds done." in text
    assert "Random position: not started." in text
    assert "Digital: not started." in text
    assert not stale.exists()
    assert (folder / "figures" / "loss-rounds.pdf").exists()


def test_nothing_finished_yet(write_run) -> None:
    text = rendered(write_run(finished=())).text
    assert "No scheme has finished yet" in text
    assert "Ideal: not finished, 11 of 30 rounds done." in text


def test_single_scheme_is_complete(write_run) -> None:
    text = rendered(write_run(("movable",))).text
    assert "not finished" not in text
    assert "not started" not in text
    assert "against each baseline" not in text
    assert "airtune · run" in text


def test_several_seeds_show_their_range(write_run) -> None:
    folder = write_run(seeds=3)
    results = json.loads((folder / "results.json").read_text())
    text = rendered(folder).text
    assert "medians over 3 seeds" in text
    rounds = results["schemes"]["movable"]["rounds_to_target"]
    assert f"{rounds['p10']:g} to {rounds['p90']:g}" in text


def test_schemes_have_one_name_and_ranges_that_tell_nothing_are_left_out(write_run) -> None:
    folder = write_run(seeds=3)
    results = json.loads((folder / "results.json").read_text())
    of_random = results["schemes"]["random-position"]
    of_random |= {"rounds_to_target": None, "rounds_not_finite": 2}
    of_random["energy_j"]["pilots"] = {"median": 2.0, "p10": 2.0, "p90": 2.0}
    (folder / "results.json").write_text(json.dumps(results))
    text = rendered(folder).text
    assert "Random position's loss" in text
    assert "Random position: 2 rounds had no finite update" in text
    assert "random-position" not in text.partition("Provenance")[0]
    assert "2.00\u202fJ to 2.00\u202fJ" not in text


def test_unfinished_seeds_are_told(write_run) -> None:
    folder = write_run(("ideal", "movable"), seeds=3)
    (folder / "movable" / "seed-2" / "finished.json").unlink()
    assert "Movable: 2 of 3 seeds finished." in rendered(folder).text


def test_null_figures_everywhere(write_run) -> None:
    folder = write_run(("ideal", "movable", "fixed"))
    results = json.loads((folder / "results.json").read_text())
    for entry in results["schemes"].values():
        entry.update(dict.fromkeys(set(entry) - {"history"}, None))
        for line in entry["history"]:
            line.update(loss=None, mse_db=None)
    results["headline"] = {"faster_pct": {"fixed": None}, "less_energy_pct": {"fixed": None}}
    (folder / "results.json").write_text(json.dumps(results))
    for metrics in folder.glob("*/seed-0/metrics.jsonl"):
        metrics.unlink()
    text = Reader(build(folder).read_text(encoding="utf-8")).text
    assert "Movable antennas did not reach the target loss" in text
    assert "nor did any other scheme" in text
    drawn = {path.stem for path in (folder / "figures").iterdir()}
    assert drawn == {"antenna-positions", "label-distribution"}


def test_torn_last_line_is_left_out(write_run) -> None:
    folder = write_run(("movable",))
    path = folder / "movable" / "seed-0" / "metrics.jsonl"
    path.write_text(path.read_text()[:-20])
    scheme = run_folder.load(folder).scheme("movable")
    assert scheme is not None
    assert scheme.rounds_done == 29


def test_names_with_markup_and_formulas(write_run, monkeypatch) -> None:
    monkeypatch.setattr(figures, "KINDS", [k for k in figures.KINDS if k.name == "exact-match"])
    folder = write_run(("movable",), extras=False)
    path = folder / "movable" / "seed-0" / "metrics.jsonl"
    path.write_text(path.read_text().replace('"calendar"', '"$x_{</svg><script>"'))
    text = build(folder).read_text(encoding="utf-8")
    assert text.count("<script") == 3
    data = json.loads(Reader(text).scripts[0])
    assert "$x_{</svg><script>" in data["domains"]["after"]["movable"]
    assert (folder / "figures" / "exact-match.pdf").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", "{not json", "not valid JSON"),
        ("results.json", "[1]", "must hold a JSON object"),
        ("scenario.yaml", "a: [", "not valid YAML"),
        ("movable/seed-0/metrics.jsonl", "{\n{}\n", "line 1 is not valid JSON"),
        ("movable/seed-0/placement.json", '{"clients": {"gains_re": [[1]]}}', "not a placement"),
    ],
)
def test_broken_files_are_named(
    write_run, monkeypatch, name: str, content: str, message: str
) -> None:
    monkeypatch.setattr(
        figures, "KINDS", [k for k in figures.KINDS if k.name == "antenna-positions"]
    )
    folder = write_run(("movable",), extras=False)
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        build(folder)
    assert Path(name).name in str(caught.value)


def test_what_is_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds neither"):
        build(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        build(tmp_path / "absent")


def test_import_is_light() -> None:
    code = (
        "import sys, airtune.report; "
        "print([m for m in ('matplotlib', 'jinja2', 'rich', 'torch') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_style_sheet_leaves_the_users_settings_alone(write_run) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 20.0, "axes.facecolor": "red"}):
        run = run_folder.load(write_run(("movable",), extras=False))
        with figures.style.sheet():
            assert mpl.rcParams["font.size"] == 8
            assert figures.KINDS[0].draw(run) is not None
        assert mpl.rcParams["font.size"] == 20.0


def test_curves_use_metrics_that_results_do_not_hold(write_run) -> None:
    scheme = run_folder.load(write_run(("movable",), seeds=3)).scheme("movable")
    assert scheme is not None
    rounds, predicted = scheme.series("round", "mse_predicted_db")
    assert rounds == list(range(1, 31))
    seeds = [[line.mse_predicted_db for line in seed.metrics] for seed in scheme.seeds]
    np.testing.assert_allclose(predicted, np.median(np.array(seeds, float)[:, 1:], axis=0))


@pytest.mark.parametrize(("schemes", "beside"), [(5, True), (9, False)])
def test_curves_are_named_beside_or_above(write_run, schemes: int, beside: bool) -> None:
    folder = write_run(("movable",), extras=False)
    for index in range(schemes - 1):
        shutil.copytree(folder / "movable", folder / f"other-{index}")
    with figures.style.sheet():
        figure = figures.KINDS[0].draw(run_folder.load(folder))
        figure.draw_without_rendering()
    (axes,) = figure.axes
    names = {text.get_text() for text in axes.texts}
    assert ({"Movable", "other-0"} <= names) == beside
    assert bool(figure.legends) != beside
