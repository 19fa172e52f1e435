"""The figure of who holds what."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from airtune.record.documents import HoldingsDocument
from airtune.report import holdings
from airtune.report.run_folder import RunFolder, SchemeRun, SeedRun


def a_run(content: dict[str, object] | None) -> RunFolder:
    document = None if content is None else HoldingsDocument.model_validate(content)
    seed = SeedRun(0, (), None, (), True, document)
    return RunFolder(Path(), {}, "", {}, {}, (SchemeRun("ideal", None, (seed,)),), ())


def test_circles_are_where_records_are_and_their_area_is_the_number() -> None:
    run = a_run({"labels": ["few", "many"], "counts": [[1, 4], [0, 8], [2, 0]]})
    figure = holdings.label_distribution(run)
    assert figure is not None
    (axes,) = figure.axes
    (circles,) = axes.collections
    # The most frequent label is the first row.
    assert [text.get_text() for text in axes.get_yticklabels()] == ["many", "few"]
    offsets, sizes = circles.get_offsets().tolist(), circles.get_sizes()
    places = {tuple(place): size for place, size in zip(offsets, sizes, strict=True)}
    assert set(places) == {(1.0, 0.0), (2.0, 0.0), (1.0, 1.0), (3.0, 1.0)}
    assert np.isclose(places[2.0, 0.0], 8 * places[1.0, 1.0])
    assert "3 clients in 2 labels; a client has 2 to 8 records of 1 to 2" in holdings.in_words(run)


def test_many_clients_are_cut_and_old_folders_have_no_figure() -> None:
    figure = holdings.label_distribution(a_run({"labels": ["x"], "counts": [[1]] * 500}))
    assert figure is not None
    assert len(figure.axes[0].collections[0].get_offsets()) == holdings.CLIENTS_SHOWN
    for content in (None, {}, {"labels": ["x"], "counts": [[1, 2]]}):
        assert holdings.label_distribution(a_run(content)) is None
