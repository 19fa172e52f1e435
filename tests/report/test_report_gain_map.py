"""The gain map against a direct loop, and its odd cases."""

from __future__ import annotations

import cmath
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.errors import InputError
from airtune.record.documents import PlacementDocument
from airtune.report import gain_map, run_folder, style


def parse(document: dict[str, Any], where: str) -> gain_map.Placement:
    typed = record.parse_document(document, PlacementDocument, Path(where))
    return gain_map.as_arrays(typed, where)


def test_map_agrees_with_a_direct_loop(make_placement) -> None:
    document = make_placement("movable")
    document["clients"]["auxiliary_scale"] = [1.0 + 0.3 * k for k in range(10)]
    placement = parse(document, "here")
    x, y = np.array([0.0, 0.37, 3.1]), np.array([0.2, 2.9])
    level = gain_map.weakest_gain_db(placement, x, y)
    assert level.shape == (2, 3)

    def field(group, index: int, px: float, py: float) -> complex:
        paths = zip(
            group["gains_re"][index],
            group["gains_im"][index],
            group["directions"][index],
            strict=True,
        )
        return sum(
            complex(re, im) * cmath.exp(2j * math.pi * (u[0] * px + u[1] * py))
            for re, im, u in paths
        )

    clients, others = document["clients"], document["interferers"]
    for row, py in enumerate(y):
        for column, px in enumerate(x):
            noise = document["noise_w"] + sum(
                power * abs(field(others, j, px, py)) ** 2
                for j, power in enumerate(others["powers"])
            )
            weakest = min(
                abs(scale * field(clients, k, px, py)) ** 2
                for k, scale in enumerate(clients["auxiliary_scale"])
            )
            assert level[row, column] == pytest.approx(10 * math.log10(weakest / noise), abs=1e-9)


def test_map_without_interferers(make_placement) -> None:
    document = make_placement("movable")
    alone = parse({**document, "interferers": {"gains_re": [], "powers": []}}, "here")
    both = parse(document, "here")
    at = np.linspace(0, 4, 5)
    assert np.all(gain_map.weakest_gain_db(alone, at, at) > gain_map.weakest_gain_db(both, at, at))


def test_silent_clients_do_not_count(make_placement) -> None:
    document = make_placement("movable")
    before = gain_map.weakest_gain_db(parse(document, ""), np.zeros(1), np.zeros(1))
    for part in ("gains_re", "gains_im", "directions"):
        document["clients"][part].append(np.zeros_like(document["clients"][part][0]).tolist())
    document["clients"]["auxiliary_scale"].append(1.0)
    after = gain_map.weakest_gain_db(parse(document, ""), np.zeros(1), np.zeros(1))
    assert after == pytest.approx(before)


def test_schemes_that_share_positions_share_a_marker(write_run) -> None:
    with style.sheet():
        figure = gain_map.antenna_positions(run_folder.load(write_run()))
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Movable", "Fixed, Digital", "Random position"]


def test_many_schemes_on_one_array_have_a_short_name(write_run) -> None:
    folder = write_run(("movable", "fixed", "digital"))
    source = folder / "fixed" / "seed-0" / "placement.json"
    for name in ("cotaf", "truncated"):
        cell = folder / name / "seed-0"
        cell.mkdir(parents=True)
        (cell / "metrics.jsonl").write_text('{"round": 0}\n')
        (cell / "placement.json").write_text(source.read_text())
    with style.sheet():
        figure = gain_map.antenna_positions(run_folder.load(folder))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Movable", "Fixed and 3 more"]


def test_line_region_is_drawn_as_a_curve(write_run, make_placement) -> None:
    import json

    folder = write_run(("movable",), extras=False)
    document = make_placement("movable")
    document["region"] = [4.0, 0.0]
    document["positions"] = [[x, 0.0] for x in (0.1, 1.3, 2.2, 3.9)]
    (folder / "movable" / "seed-0" / "placement.json").write_text(json.dumps(document))
    with style.sheet():
        figure = gain_map.antenna_positions(run_folder.load(folder))
    (axes,) = figure.axes
    curve, antennas = axes.lines
    assert antennas.get_xdata() == pytest.approx([0.1, 1.3, 2.2, 3.9])
    expected = np.interp(antennas.get_xdata(), curve.get_xdata(), curve.get_ydata())
    assert antennas.get_ydata() == pytest.approx(expected)


def test_nobody_heard_draws_nothing(write_run, make_placement) -> None:
    import json

    folder = write_run(("movable",), extras=False)
    document = make_placement("movable")
    document["clients"] = {key: [] for key in document["clients"]}
    (folder / "movable" / "seed-0" / "placement.json").write_text(json.dumps(document))
    assert gain_map.antenna_positions(run_folder.load(folder)) is None


@pytest.mark.parametrize("field", ["positions", "region", "noise_w", "clients"])
def test_missing_fields_are_named(make_placement, field: str) -> None:
    document = make_placement("movable")
    del document[field]
    with pytest.raises(InputError, match=f"here: not a placement.*{field}"):
        parse(document, "here")
