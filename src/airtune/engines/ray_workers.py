"""Client updates on workers of Ray: on this machine, or on all machines of a cluster.

Each worker is a process that holds model and data and prepares them from scenario and seed by
itself.  In a round the adapter goes to the workers through Ray's store of objects, each computes
the updates of a share of the clients, and the results come back in the order of the clients: they
do not depend on how many workers there are.  A worker that dies is replaced, and its share is
computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airtune.engines import cluster
from airtune.engines.base import Engine, Progress, RoundUpdates
from airtune.engines.local import round_updates
from airtune.engines.shares import shares
from airtune.engines.worker import Worker
from airtune.errors import InputError
from airtune.registry import IMPORTED

if TYPE_CHECKING:
    from airtune.learning.results import ClientState, ClientUpdate, Evaluation
    from airtune.learning.sizes import Sizes
    from airtune.scenario import Scenario


class RayWorker(Worker):
    """A worker whose evaluations wait for the shares of others in Ray's store."""

    def updates_under(self, scenario: Scenario, *given: Any) -> list[ClientUpdate]:
        """Compute the updates of some clients with the payload of another scenario."""
        other = RayWorker(scenario, self._seed, *self._place)
        other._made = self.learner.under(scenario)
        return other.updates(*given)

    def evaluate_with(self, adapter: NDArray[np.float32], others: Sequence[Any]) -> Evaluation:
        """Score an adapter with the shares that other workers are computing at the same time."""
        return self.evaluate(adapter, others)

    def collected(self, others: Sequence[Any]) -> Sequence[Mapping[int, Any]]:
        import ray

        found: list[Mapping[int, Any]] = ray.get(list(others))
        return found


class RayEngine(Engine):
    """Computes client updates on workers of Ray.

    Parameters
    ----------
    prepare : callable
        Not called: the workers prepare by themselves.
    """

    def __init__(self, prepare: object = None) -> None:
        self._opened = ExitStack()
        self._workers: list[Any] = []
        self._facts: dict[str, Any] = {}
        self._scenario: Any = None

    @classmethod
    def check(cls, scenario: Scenario) -> None:
        """Refuse what cannot run: see :func:`airtune.engines.cluster.check`."""
        cluster.check(scenario)

    @classmethod
    def session(cls, scenario: Scenario) -> AbstractContextManager[Any]:
        """Return a block within which Ray runs."""
        return cluster.session(scenario)

    def start(self, scenario: Scenario, seed: int, progress: Progress | None = None) -> Sizes:
        tell = progress or (lambda text, fraction: None)
        tell("starting Ray", 0.0)
        self._opened.enter_context(self.session(scenario))
        share = cluster.share_of(scenario, scenario.clients.count)
        self._workers = [_worker(scenario, seed, share) for _ in range(share.workers)]
        self._opened.callback(self._end_workers)
        # The first may have to pre-train; the others then find the model in the cache.
        tell(f"preparing worker 1 of {share.workers}", 0.1)
        began = [_asked(self._workers[0].begin)]
        waiting = [(worker.begin.remote, worker.begin.remote()) for worker in self._workers[1:]]
        for number, (ask, reference) in enumerate(waiting, 2):
            tell(f"preparing worker {number} of {share.workers}", number / (share.workers + 1))
            began.append(cluster.result_of(reference, ask))
        _check_alike([one["digests"] for one in began])
        self._facts = _asked(self._workers[0].facts)
        tell("workers ready", 1.0)
        sizes: Sizes = self._facts["sizes"]
        return sizes

    def under(self, scenario: Scenario) -> RayEngine:
        """Return an engine with another payload on the same workers, which stay this one's."""
        import ray

        other = type(self)()
        other._workers, other._facts = self._workers, self._facts
        other._scenario = ray.put(scenario)
        return other

    def processes(self) -> list[int]:
        """Return the process numbers of the workers on their machines."""
        return [_asked(worker.begin)["process"] for worker in self._workers]

    def initial_adapter(self) -> NDArray[np.float32]:
        return np.array(self._facts["adapter"])

    def updates(
        self,
        adapter: NDArray[np.float32],
        clients: NDArray[np.int64],
        batch_sizes: NDArray[np.int64],
        seed: int,
        round_index: int,
        states: Mapping[int, ClientState] | None = None,
    ) -> RoundUpdates:
        import ray

        known, sizes = states or {}, batch_sizes[clients].tolist()
        names, sent = clients.tolist(), ray.put(adapter)
        parts = [part for part in shares(sizes, len(self._workers)) if part]
        asks = [
            partial(
                self._updates_of(worker),
                sent,
                [names[i] for i in part],
                [sizes[i] for i in part],
                seed,
                round_index,
                {names[i]: known[names[i]] for i in part if names[i] in known},
            )
            for worker, part in zip(self._workers, parts, strict=False)
        ]
        asked = [ask() for ask in asks]
        results: dict[int, Any] = {}
        for part, reference, ask in zip(parts, asked, asks, strict=True):
            results |= zip(part, cluster.result_of(reference, ask), strict=True)
        found = round_updates([results[i] for i in range(len(names))], clients, len(adapter))
        # What comes out of the store may only be read.
        for state in found.states.values():
            state |= {name: np.array(array) for name, array in state.items()}
        return found

    def _updates_of(self, worker: Any) -> Callable[..., Any]:
        """Return what asks a worker for updates with the payload of this engine."""
        if self._scenario is None:
            return partial(worker.updates.remote)
        return partial(worker.updates_under.remote, self._scenario)

    def evaluate(self, adapter: NDArray[np.float32]) -> Evaluation:
        import ray

        sent, (first, *rest) = ray.put(adapter), self._workers
        if not rest or not self._facts["maps_batches"]:
            whole: Evaluation = _asked(first.evaluate, sent)
            return whole
        count = len(self._workers)

        def ask() -> Any:
            parts = [worker.part.remote(sent, n, count) for n, worker in enumerate(rest, 1)]
            return first.evaluate_with.remote(sent, parts)

        found: Evaluation = cluster.result_of(ask(), ask)
        return found

    def samples(self, adapter: NDArray[np.float32], count: int) -> list[dict[str, str]]:
        found: list[dict[str, str]] = _asked(self._workers[0].samples, adapter, count)
        return found

    def holdings(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = self._facts["holdings"]
        return found

    def left_out(self) -> dict[str, Any]:
        return dict(self._facts["left_out"])

    def inputs(self) -> dict[str, Any]:
        return dict(self._facts["inputs"])

    def save(self, adapter: NDArray[np.float32], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        files = _asked(self._workers[0].saved, adapter)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def close(self) -> None:
        self._opened.close()

    def _end_workers(self) -> None:
        import ray

        for worker in self._workers:
            ray.kill(worker)
        self._workers = []

    @classmethod
    def tasks(
        cls,
        scenario: Scenario,
        function: Callable[..., Any],
        jobs: Sequence[tuple[Any, ...]],
        waiting: Callable[[], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Run a function for many jobs on the workers' places of a cluster, one job each at a time.

        A process that dies is replaced, and its job is run again.

        Parameters
        ----------
        scenario : Scenario
            Its engine and threads say how many run at a time and what each may use.
        function : callable
            Of a module that the workers can import; called with a job's arguments.
        jobs : sequence of tuple
        waiting : callable, optional
            Called a few times a second while jobs run; what it raises ends them.

        Yields
        ------
        index : int
            Number of a job that has ended, in the order in which they do.
        result : object
            What the function returned, or the error that it raised.
        """
        with cls.session(scenario):
            yield from _tasks(cluster.share_of(scenario, len(jobs)), function, jobs, waiting)


def _asked(method: Any, *values: Any) -> Any:
    """Call a method of a worker, again where the worker has to be replaced."""
    ask = partial(method.remote, *values)
    return cluster.result_of(ask(), ask)


def _worker(scenario: Scenario, seed: int, share: cluster.Share) -> Any:
    import ray

    again = {"max_restarts": cluster.RESTARTS, "max_task_retries": cluster.RESTARTS}
    made = ray.remote(**share.options, **again)(RayWorker)
    return made.remote(scenario, seed, str(Path.cwd()), tuple(IMPORTED))


def _check_alike(digests: Sequence[Mapping[str, Any]]) -> None:
    """Refuse workers that work on different things: other files, or other versions of packages."""
    for name, what in (
        ("device", "model.device"),
        ("data", "data.source"),
        ("model", "model.source"),
        ("adapter", "model.lora"),
    ):
        if any(one[name] != digests[0][name] for one in digests):
            raise InputError(
                f"{what}: is not the same on all workers of the cluster; use a folder that all "
                "machines share, the same versions of packages, and machines of one kind"
            )


def _tasks(
    share: cluster.Share,
    function: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    waiting: Callable[[], None] | None,
) -> Iterator[tuple[int, Any]]:
    import ray

    remote = ray.remote(**share.options, max_retries=cluster.RESTARTS)(function)
    left, running = list(enumerate(jobs))[::-1], dict[Any, int]()
    try:
        while left or running:
            while left and len(running) < share.workers:
                number, job = left.pop()
                running[remote.remote(*job)] = number
            ready, _ = ray.wait(list(running), timeout=0.3)
            if waiting is not None:
                waiting()
            for reference in ready:
                yield running.pop(reference), _outcome(reference)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _outcome(reference: Any) -> Any:
    """Return what a job returned, or the error that it raised."""
    try:
        return cluster.result_of(reference)
    except Exception as error:
        return error
