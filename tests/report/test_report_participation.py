"""The figure of who transmitted when."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from airtune.record.documents import MetricsLine
from airtune.report.participation import course, participation
from airtune.report.run_folder import RunFolder, SchemeRun, SeedRun


def scheme_of(rounds: list[list[int]], name: str = "fixed") -> SchemeRun:
    lines = [MetricsLine(round=0, evaluated=True)]
    lines += [MetricsLine(round=t, clients=clients) for t, clients in enumerate(rounds, start=1)]
    return SchemeRun(name, None, (SeedRun(0, tuple(lines), None, (), False),))


def test_each_client_has_a_row_and_each_round_a_column() -> None:
    shares = course(scheme_of([[0, 2], [1, 2]]), 4)
    assert shares is not None
    assert shares.T.tolist() == [[1, 0, 1, 0], [0, 1, 1, 0]]


def test_many_clients_share_rows() -> None:
    chosen = [list(range(0, 10_000, 2)), [9_999]]
    shares = course(scheme_of(chosen), 10_000)
    assert shares is not None
    assert shares.shape == (24, 2)
    np.testing.assert_allclose(shares[:, 0], 0.5, atol=0.01)
    assert shares[:23, 1].sum() == 0
    assert shares[23, 1] > 0


def test_everybody_in_each_round_is_no_figure() -> None:
    assert course(scheme_of([[0, 1, 2]] * 3), 3) is None
    assert course(scheme_of([]), 3) is None


def test_schemes_with_one_course_share_a_panel(tmp_path: Path) -> None:
    rounds = [[0, 1], [1, 2]]
    schemes = (
        scheme_of(rounds, "ideal"),
        scheme_of(rounds, "fixed"),
        scheme_of([[0], [1]], "movable"),
    )

    def run(*chosen: SchemeRun) -> RunFolder:
        scenario = {"clients": {"count": 3}}
        return RunFolder(tmp_path, scenario, "", {}, {}, chosen, ())

    figure = participation(run(*schemes))
    assert len(figure.axes) == 2
    assert "," in figure.axes[0].get_title(loc="left")
    assert participation(run(scheme_of([[0, 1, 2]]))) is None
