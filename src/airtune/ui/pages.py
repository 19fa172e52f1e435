"""The pages on NiceGUI: what they show, what the browser tells, and what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from airtune.errors import FailedError, InputError
from airtune.report import comparison
from airtune.scenario.file import shipped
from airtune.study.difference import difference
from airtune.ui import start, views
from airtune.ui.cell import Spot
from airtune.ui.desk import Desk

EVERY_S = 2.0
"""How often the pages of runs look for news [s]."""

PATIENCE_S = 60.0
"""How long a page may take to be made where the machine is busy [s]."""

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="4" cy="11" r="3" '
    'fill="#d55e00"/><circle cx="12" cy="5" r="3" fill="#0072b2"/></svg>'
)

_HEAD = (
    '<link rel="stylesheet" href="/assets/page.css"><link rel="stylesheet" href="/assets/ui.css">'
    '<script defer src="/assets/ui.js"></script>'
)

Given = dict[str, Any]
Act = Callable[[Given], Awaitable[None] | None]


def add(desk: Desk) -> None:
    """Add the pages to NiceGUI's application."""
    from nicegui import ui

    def cell() -> None:
        _Browser(desk).cell()

    async def runs() -> None:
        await _Browser(desk).runs()

    async def run(name: str) -> None:
        await _Browser(desk).run(name)

    async def compare() -> None:
        asked = ui.context.client.request.query_params.getlist("run")
        await _Browser(desk).compare(asked)

    ui.page("/", title="Cell · airtune", response_timeout=PATIENCE_S)(cell)
    ui.page("/runs", title="Runs · airtune", response_timeout=PATIENCE_S)(runs)
    ui.page("/run/{name}", title="Run · airtune", response_timeout=PATIENCE_S)(run)
    ui.page("/compare", title="Comparison · airtune", response_timeout=PATIENCE_S)(compare)


async def _nothing() -> None:
    """Look for news where there are none."""


class _Browser:
    """One page in one browser."""

    def __init__(self, desk: Desk) -> None:
        from nicegui import ui

        self._desk, self._board, self._runs = desk, desk.board, desk.runs
        self._client = ui.context.client
        self._acts: dict[str, Act] = {
            "set": self._set,
            "move": self._move,
            "open": self._open,
            "reset": lambda _: self._change(self._board.reset),
            "limit": self._limit,
            "start": self._start,
            "stop": self._stop,
            "resume": self._resume,
            "forget": self._forget,
        }
        self._look: Callable[[], Awaitable[None]] = _nothing
        self._run, self._left = "", False
        ui.add_head_html(_HEAD)
        ui.on("airtune", self._told)

    def cell(self) -> None:
        """Show the cell; all browsers show the same one."""
        self._show(views.cell_page(self._desk.own))
        self._desk.listeners.add(self._draw)
        self._client.on_delete(lambda: self._desk.listeners.discard(self._draw))
        self._client.on_connect(self._draw)

    async def runs(self) -> None:
        """Show all runs."""
        runs = await asyncio.to_thread(self._runs.all)
        self._show(views.runs_page(self._runs.root, runs))

        def rows() -> str:
            return views.runs_rows(self._runs.all())

        self._follow(rows, views.runs_rows(runs))

    async def run(self, name: str) -> None:
        """Show a run."""
        try:
            run = await asyncio.to_thread(self._runs.one, name)
        except InputError as error:
            self._show(views.missing_page(name, str(error)))
            return
        self._run = name
        address = self._desk.address(run)
        self._show(views.run_page(run, address))

        def rows() -> str:
            now = self._runs.one(name)
            return views.run_rows(now, self._desk.address(now))

        self._follow(rows, views.run_rows(run, address))

    async def compare(self, names: Sequence[str]) -> None:
        """Show runs side by side."""

        def found() -> str:
            folders = [self._runs.folder(name) for name in names]
            return views.compare_page(names, difference(folders), folders)

        try:
            text = await asyncio.to_thread(found)
        except InputError as error:
            text = views.missing_page(comparison.TITLE, str(error))
        self._show(text)

    def _show(self, text: str) -> None:
        from nicegui import ui

        ui.html(text, sanitize=False)  # of a template that escapes what is not its own

    def _follow(self, rows: Callable[[], str], shown: str) -> None:
        """Look for news every now and then, and put them into the page."""
        from nicegui import ui

        last = [shown]

        async def look() -> None:
            if self._left:
                return
            try:
                now = await asyncio.to_thread(rows)
            except (InputError, FailedError) as error:
                self._call("refused", str(error))
                return
            if now != last[0]:
                last[0] = now
                self._call("replace", now)

        self._look = look
        ui.timer(EVERY_S, look)

    def _draw(self) -> None:
        """Send what the cell's page shows."""
        cell = self._board.cell
        scenario = cell.scenario
        form = {
            "source": cell.source,
            "rounds": scenario.training.rounds,
            "seeds": scenario.seeds,
            "schemes": list(scenario.schemes),
        }
        self._call("show", self._board.message())
        self._call("form", form)

    def _call(self, function: str, content: Any) -> None:
        self._client.run_javascript(f"airtune.{function}({json.dumps(content)})")

    async def _told(self, event: Any) -> None:
        """Do what the browser asks for; say why where it cannot be done."""
        given = event.args if isinstance(event.args, dict) else {}
        act = self._acts.get(str(given.get("action")))
        if act is None:
            return
        try:
            waiting = act(given)
            if waiting is not None:
                await waiting
        except (InputError, FailedError) as error:
            if given.get("action") in ("set", "open", "move", "limit", "reset"):
                self._draw()  # as it was; the controls have gone ahead
            self._call("refused", str(error))

    async def _change(self, change: Callable[..., None], *values: Any) -> None:
        """Change the cell in a thread: a channel may take a while to make, and pages go on."""
        async with self._desk.order:
            await asyncio.to_thread(change, *values)

    async def _set(self, given: Given) -> None:
        await self._change(self._board.set, given.get("name"), given.get("value"))

    async def _limit(self, given: Given) -> None:
        await self._change(self._board.limit, bool(given.get("limited")))

    async def _move(self, given: Given) -> None:
        spot, index = given.get("spot"), given.get("index")
        numbers = [x for x in spot if isinstance(x, int | float)] if isinstance(spot, list) else []
        if len(numbers) != 3 or not isinstance(index, int):
            raise InputError("place of a station: must be three numbers")
        spot_to = Spot(*map(float, numbers))
        await self._change(self._board.move, str(given.get("group")), index, spot_to)

    async def _open(self, given: Given) -> None:
        source = str(given.get("source"))
        if source not in (*shipped(), *self._desk.own):
            raise InputError("scenario: must be one of the list")
        await self._change(self._board.open, source)

    async def _start(self, given: Given) -> None:
        wish = self._desk.wish(given)
        name = await asyncio.to_thread(start.begin, self._runs, self._board.cell, wish)
        self._go(name)

    async def _stop(self, given: Given) -> None:
        await asyncio.to_thread(self._runs.processes.stop, str(given.get("run")))
        await self._look()

    async def _resume(self, given: Given) -> None:
        await asyncio.to_thread(self._runs.resume, str(given.get("run")))
        await self._look()

    async def _forget(self, given: Given) -> None:
        name = str(given.get("run"))
        self._left = name == self._run  # its page has nothing to show any more
        await asyncio.to_thread(self._runs.processes.forget, name)
        if self._left:
            self._client.run_javascript("location.href = '/runs'")
        else:
            await self._look()

    def _go(self, name: str) -> None:
        from urllib.parse import quote

        self._client.run_javascript(f"location.href = {json.dumps(f'/run/{quote(name)}')}")
