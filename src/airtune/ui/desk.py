"""What all browsers share, on the server: they come and go."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from airtune.errors import InputError, clip
from airtune.record import names
from airtune.report import page, run_folder
from airtune.ui.access import FILES
from airtune.ui.board import Board
from airtune.ui.runs import Run, Runs
from airtune.ui.start import Wish

SO_FAR = "so-far.html"
"""Name of the page of a run that is not finished, drawn when it is asked for."""


class Desk:
    """What all browsers share: the cell, the runs, and whom to tell of news.

    Parameters
    ----------
    runs : Runs
    source : str
        Scenario that is shown first.
    own : tuple of str
        Scenario files that can be chosen besides the shipped ones.

    Attributes
    ----------
    files_origin : str
        Origin of the addresses of files; that of the pages where it is empty.
    order : asyncio.Lock
        Held by one change of the cell after the other, in the order in which they came.
    """

    def __init__(self, runs: Runs, source: str, own: tuple[str, ...] = ()) -> None:
        self.runs, self.own = runs, own
        self.files_origin = ""
        self._secret = secrets.token_bytes(32)
        self.order = asyncio.Lock()
        self.listeners: set[Callable[[], None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.board = Board(source, self._changed)

    def attach(self) -> None:
        """Tell news in the loop that runs now."""
        self._loop = asyncio.get_running_loop()

    def address(self, run: Run) -> str:
        """Return where the report of a run is; empty where there is nothing to look at yet."""
        if run.page and run.state == "finished":
            return self._file(run.name, names.PAGE)
        readable = run.kind in ("run", "compare") and run.begun
        if readable:
            return self._file(run.name, SO_FAR)
        return self._file(run.name, names.PAGE) if run.page else ""

    def wish(self, given: dict[str, Any]) -> Wish:
        """Return what the form of the page asks for.

        Raises
        ------
        InputError
            A field is not what it should be.
        """
        schemes, settings = given.get("schemes"), given.get("settings")
        numbers = {name: given.get(name) for name in ("rounds", "seeds")}
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} = {clip(value)}: must be a whole number >= 1")
        for name, value in (("schemes", schemes), ("settings", settings)):
            if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
                raise InputError(f"{name}: must be a list of texts")
        return Wish(
            name=str(given.get("name") or ""),
            schemes=tuple(map(str, schemes or ())),
            settings=tuple(map(str, settings or ())),
            **{name: int(str(value)) for name, value in numbers.items()},
        )

    def report(self, name: str, path: str) -> tuple[bytes, str]:
        """Return a file of a run, or its page so far, with its type; raises `InputError`."""
        if path != SO_FAR:
            file, kind = self.runs.file(name, path)
            return file.read_bytes(), kind
        folder = self.runs.folder(name)
        with run_folder.understood(folder):
            text = page.render(run_folder.load(folder))
        return text.encode(), "text/html; charset=utf-8"

    def opens(self, path: str) -> bool:
        """Tell whether the path of a file's address has the key of its run."""
        key, _, rest = path.removeprefix(FILES).partition("/")
        return self.fits(key, rest.partition("/")[0])

    def fits(self, key: str, name: str) -> bool:
        """Tell whether a key is that of the files of a run."""
        return secrets.compare_digest(key.encode(), self._files_key(name).encode())

    def _files_key(self, name: str) -> str:
        """Return what opens the files of one run: its own pages can read it, and no other key."""
        return hmac.new(self._secret, name.encode("utf-8", "surrogateescape"), "sha256").hexdigest()

    def _file(self, name: str, path: str) -> str:
        return f"{self.files_origin}{FILES}{self._files_key(name)}/{quote(name)}/{path}"

    def _changed(self) -> None:
        """Have all browsers told, from whatever thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            listener()
