"""The state that the server keeps, and the thread that answers the newest change."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airtune.errors import InputError
from airtune.ui import board as boards
from airtune.ui.board import Board
from airtune.ui.cell import Spot
from airtune.ui.latest import Latest

WAIT_S = 120


def test_only_the_newest_order_is_done() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work(order: int) -> int:
        begun.set()
        assert go_on.wait(WAIT_S)
        return -order

    latest = Latest(work, lambda order, answer: done.append((order, answer)))
    latest.put(1)
    assert begun.wait(WAIT_S)
    for order in (2, 3, 4):
        latest.put(order)
    go_on.set()
    latest.close()
    assert done == [(1, -1), (4, -4)]


def test_an_error_is_an_answer() -> None:
    done: list[tuple[int, object]] = []
    latest = Latest(lambda order: 1 // order, lambda order, answer: done.append((order, answer)))
    latest.put(0)
    latest.close()
    assert [(order, type(answer)) for order, answer in done] == [(0, ZeroDivisionError)]


class News:
    """Waits for what the board has to tell."""

    def __init__(self) -> None:
        self.board: Board | None = None
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def until(self, true: object) -> None:
        with self._changed:
            assert self._changed.wait_for(true, WAIT_S)  # type: ignore[arg-type]


@pytest.fixture
def news(monkeypatch: pytest.MonkeyPatch) -> Iterator[News]:
    monkeypatch.setattr(boards, "compiled", lambda: True)
    monkeypatch.setattr(boards, "warm_cells", lambda: ())
    news = News()
    news.board = Board("quickstart", news)
    yield news
    news.board.close()


def test_changes_are_answered_and_errors_leave_what_was(news: News, tmp_path: Path) -> None:
    board = news.board
    assert board is not None
    news.until(lambda: board.message()["look"] is not None)
    first = board.message()
    assert json.loads(json.dumps(first)) == first
    assert first["warming"] is None
    assert not first["changed"]

    board.move("clients", 0, Spot(10.0, 5.0, 0.0))
    board.set("array.antennas", 3)
    news.until(lambda: len(board.message()["look"]["movable"]) == 3)
    message = board.message()
    assert message["stations"]["clients"][0] == [10.0, 5.0, 0.0]
    assert (message["moved"], message["changed"]) == (1, True)

    scenario = tmp_path / "other.yaml"
    scenario.write_text("extends: quickstart\nradio: {channel: file, channel_file: none.npz}\n")
    with pytest.raises(InputError, match=r"none\.npz"):
        board.open(str(scenario))
    with pytest.raises(InputError):
        board.set("array.antennas", 1000)
    assert board.cell.scenario.array.antennas == 3

    # What fits the settings, and not the region, is told beside the last picture.
    board.set("array.region.x", 0.5)
    board.set("array.region.y", 0.5)
    board.set("array.antennas", 16)
    news.until(lambda: board.message()["error"])
    assert "region" in board.message()["error"]
    board.reset()
    news.until(lambda: not board.message()["error"])
    assert board.message()["settings"] == first["settings"]
    assert board.message()["look"]["movable"] == first["look"]["movable"]


def test_what_breaks_is_told_and_the_next_change_is_answered(
    news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = news.board
    assert board is not None
    news.until(lambda: board.ready and board.message()["look"])
    with monkeypatch.context() as broken:
        broken.setattr(boards, "look", lambda cell: [][0])
        board.set("array.antennas", 5)
        news.until(lambda: "IndexError" in board.message()["error"])
    board.set("array.antennas", 6)
    news.until(lambda: len(board.message()["look"]["movable"]) == 6)


def test_a_message_does_not_wait_for_a_cell_that_is_being_made(
    news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = news.board
    assert board is not None
    begun, go_on = threading.Event(), threading.Event()
    opened = boards.open_cell

    def slowly(source: str) -> object:
        begun.set()
        assert go_on.wait(WAIT_S)
        return opened(source)

    monkeypatch.setattr(boards, "open_cell", slowly)
    opening = threading.Thread(target=board.reset)
    opening.start()
    assert begun.wait(WAIT_S)
    told = threading.Thread(target=board.message)
    told.start()
    told.join(10)
    waited = told.is_alive()
    # A change that comes meanwhile is made of the new cell, and is the last one to be looked at.
    later = threading.Thread(target=board.set, args=("array.antennas", 3))
    later.start()
    go_on.set()
    for thread in (opening, told, later):
        thread.join(WAIT_S)
    assert not waited
    news.until(lambda: not board.message()["stale"])
    assert len(board.message()["look"]["movable"]) == 3


def test_figures_of_an_earlier_cell_are_marked(news: News, monkeypatch: pytest.MonkeyPatch) -> None:
    board = news.board
    assert board is not None
    news.until(lambda: board.ready and board.message()["look"])
    assert not board.message()["stale"]
    go_on, look = threading.Event(), boards.look
    monkeypatch.setattr(boards, "look", lambda cell: go_on.wait(WAIT_S) and look(cell))
    board.set("array.antennas", 5)
    assert board.message()["stale"]
    go_on.set()
    news.until(lambda: not board.message()["stale"])
    board.set("array.region.x", 0.5)
    board.set("array.region.y", 0.5)
    board.set("array.antennas", 16)
    news.until(lambda: board.message()["error"])
    assert board.message()["stale"]


def test_what_the_solver_needs_first_is_shown_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, go_on = boards.open_cell("quickstart"), threading.Event()
    monkeypatch.setattr(boards, "compiled", lambda: True)
    monkeypatch.setattr(boards, "warm_cells", lambda: (cell,))
    look = boards.look
    monkeypatch.setattr(boards, "look", lambda cell: go_on.wait(WAIT_S) and look(cell))
    news = News()
    board = Board("quickstart", news)
    try:
        news.until(lambda: board.message()["warming"] == {"step": 1, "text": boards.STEPS[1]})
        assert not board.ready
        assert board.message()["look"] is None
        go_on.set()
        news.until(lambda: board.message()["look"] is not None)
        assert board.message()["warming"] is None
    finally:
        go_on.set()
        board.close()
