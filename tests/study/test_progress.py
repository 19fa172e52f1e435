"""The bars of a study are whole in 80 columns: nothing is cut, nothing wraps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune import record
from airtune.scenario import Scenario
from airtune.study.progress import Lines, Progress, preparing

NAMES = ("ideal", "random-position", "digital-selection", "selection-compact")


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("seeds", [1, 12])
def test_lines_are_whole_in_80_columns(tmp_path, capsys, seeds: int) -> None:
    scenario = Scenario(schemes=NAMES, seeds=seeds).model_copy(
        update={"training": Scenario().training.model_copy(update={"rounds": 300})}
    )
    folder = record.create(tmp_path / "run", scenario, "compare")
    with Progress(folder) as progress:
        progress.preparing("calibration: gradients, round 300", 1.0)
        for number, cell in enumerate(folder.cells):
            scale = 10.0 ** (number % 12)
            progress.round_done(cell, 300, 12.3456, 1.2345e9 / scale, 9.87e8 / scale)
            progress.cell_done(cell)
    lines = capsys.readouterr().err.rstrip().splitlines()
    assert len(lines) == 1 + len(folder.cells)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for cell in folder.cells:
        assert (f"{cell.scheme} seed {cell.seed}" if seeds > 1 else cell.scheme) in text
    assert text.count("300/300") == len(folder.cells)
    assert text.count("loss 12.346") == len(folder.cells)
    assert text.count("J") == len(folder.cells)
    assert "…" not in "".join(lines[1:])
    assert "342 917 h" in text


@settings(deadline=None)
@given(text=st.text(st.characters(categories=["L", "N", "P"]), max_size=30), n=st.integers(1, 12))
def test_a_text_is_cut_between_words(text: str, n: int) -> None:
    lines = Lines(("prepare",), 100)
    shown = lines.short_status(" ".join([text] * n))
    assert len(shown) <= lines.status
    words = set(text.split())
    if all(len(word) < lines.status - 2 for word in words):
        assert set(shown.split()) <= words | {"…"}


def test_one_bar_for_a_preparation(capsys, monkeypatch) -> None:
    monkeypatch.setattr("airtune.study.progress.shows_bars", lambda: True)
    with preparing() as show:
        show("calibration: " + "a long word " * 20, 0.5)
    assert max(map(len, capsys.readouterr().err.splitlines()), default=0) <= 80
