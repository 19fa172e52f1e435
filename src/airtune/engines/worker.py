"""A process that holds model and data for an engine elsewhere.

It is handed a scenario and a seed and prepares by itself: weights and records never travel, only
adapters, updates, states and scores do.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from airtune.engines.shares import PartDone, PartOf
from airtune.scenario import Scenario

if TYPE_CHECKING:
    from airtune.learning.learner import Learner
    from airtune.learning.results import ClientState, ClientUpdate, Evaluation
    from airtune.learning.sizes import Sizes
    from airtune.learning.workers import Workers


def settle(directory: str, modules: Sequence[str]) -> None:
    """Make this process one like that of the run: its folder, and the names that it knows.

    Parameters
    ----------
    directory : str
        Folder in which the run was begun; files may be named relative to it.  Where this machine
        has no such folder the process stays where it is.
    modules : sequence of str
        Modules to import, which register names.
    """
    with contextlib.suppress(OSError):
        os.chdir(directory)
    if modules and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    for name in modules:
        import_module(name)


class Worker:
    """Model and data of one scenario and one seed, resident in this process.

    Nothing is prepared before the first call that needs it, so that an error in the settings is
    raised by the call, and a process that takes the place of one that died prepares by itself.

    Parameters
    ----------
    scenario : Scenario
    seed : int
    directory, modules
        As of :func:`settle`.
    """

    def __init__(
        self, scenario: Scenario, seed: int, directory: str, modules: Sequence[str] = ()
    ) -> None:
        self._scenario, self._seed = scenario, seed
        self._place = directory, tuple(modules)
        self._made: Learner | None = None

    @property
    def learner(self) -> Learner:
        """Model and data, prepared when they are first asked for."""
        if self._made is None:
            from airtune.learning.learner import prepare

            settle(*self._place)
            self._made = prepare(self._scenario, self._seed)
        return self._made

    def begin(self) -> dict[str, Any]:
        """Prepare, and return what this process works on.

        Returns
        -------
        dict
            ``process``, its number; ``digests`` of data, first adapter and base model, which are
            the same in every process of a run.
        """
        found = self.learner.inputs()
        digests = {name: found.get(name) for name in ("data", "adapter", "device")}
        return {"process": os.getpid(), "digests": {**digests, "model": fingerprint(self.learner)}}

    def facts(self) -> dict[str, Any]:
        """Return what an engine tells of the beginning: ``sizes``, ``adapter`` and the rest."""
        from airtune.learning.sizes import sizes_of

        sizes: Sizes = sizes_of(self.learner)
        return {
            "sizes": sizes,
            "adapter": self.learner.initial_adapter(),
            "holdings": self.learner.holdings(),
            "left_out": self.learner.left_out(),
            "inputs": self.learner.inputs(),
            "maps_batches": self.learner.objective.maps_batches,
        }

    def updates(
        self,
        adapter: NDArray[np.float32],
        clients: Sequence[int],
        batch_sizes: Sequence[int],
        seed: int,
        round_index: int,
        states: Mapping[int, ClientState],
    ) -> list[ClientUpdate]:
        """Compute the updates of some clients; see ``Learner.client_updates``."""
        own = {client: _writable(state) for client, state in states.items()}
        return self.learner.client_updates(
            np.array(adapter), clients, batch_sizes, seed, round_index, own
        )

    def part(self, adapter: NDArray[np.float32], part: int, parts: int) -> dict[int, Any]:
        """Compute one share of the batches of an evaluation, by their places."""
        workers = PartOf(self.learner.workers.map, part, parts)
        try:
            self.learner.evaluate(np.array(adapter), cast("Workers", workers))
        except PartDone as done:
            return done.results
        raise RuntimeError("the objective's evaluate does not call workers.map")

    def evaluate(
        self, adapter: NDArray[np.float32], others: Sequence[Mapping[int, Any]] = ()
    ) -> Evaluation:
        """Score an adapter; the first share of the batches is computed here.

        Parameters
        ----------
        adapter : ndarray, float32, shape (d,)
        others : sequence of dict
            Results of the other shares, of :meth:`part`; none where all is computed here.
        """
        if not others:
            return self.learner.evaluate(np.array(adapter))
        inner = self.learner.workers.map
        workers = PartOf(inner, 0, len(others) + 1, lambda: self.collected(others))
        return self.learner.evaluate(np.array(adapter), cast("Workers", workers))

    def collected(self, others: Sequence[Mapping[int, Any]]) -> Sequence[Mapping[int, Any]]:
        """Return the results of the other shares, once they are there."""
        return others

    def samples(self, adapter: NDArray[np.float32], count: int) -> list[dict[str, str]]:
        """Return greedy answers to `count` validation records."""
        return self.learner.samples(np.array(adapter), count)

    def saved(self, adapter: NDArray[np.float32]) -> dict[str, bytes]:
        """Return the files of the adapter's PEFT folder, by their names in it."""
        with tempfile.TemporaryDirectory() as folder:
            self.learner.save_adapter(np.array(adapter), Path(folder))
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _writable(state: ClientState) -> ClientState:
    """Return a copy of a state: what comes from a store of objects may be read only."""
    return {name: np.array(array) for name, array in state.items()}


def fingerprint(learner: Learner) -> int:
    """Return a checksum of the weights of the base model."""
    import torch

    check = 0
    for weight in learner.base_weights():
        plain = weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        check = zlib.crc32(plain.numpy().data, check)
    return check
