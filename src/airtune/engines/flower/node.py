"""A node of a federation: the process that holds model and data and stays.

Flower starts a new process for each message; that one only hands the message to this process, at a
socket, and its answer back (:mod:`airtune.engines.flower.apps`).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from airtune.engines.flower import frames
from airtune.engines.flower.allowed import LABEL, LABELS, check_allowed
from airtune.engines.flower.given import Given
from airtune.engines.flower.sums import Kept, kept_of, share_of
from airtune.engines.flower.wire import rows_part, state_arrays, states_of, whole_adapter
from airtune.engines.worker import Worker
from airtune.errors import FailedError, InputError, OwnDataError, clip
from airtune.scenario import Scenario

if TYPE_CHECKING:
    from airtune.learning.learner import Learner


UNUSABLE = "data.source: the records of --data cannot be used; the node has told its user why"


class NodeWorker(Worker):
    """A worker whose client brings its own data, or several that share those of the scenario.

    Parameters
    ----------
    scenario : Scenario
    seed : int
    client, data, label
        Which client the records of a file are, and their field of labels, None for no labels;
        without a file all data are the scenario's.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        client: int | None = None,
        data: Path | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(scenario, seed, str(Path.cwd()))
        self._own, self._label = (client, data), label

    @property
    def scenario(self) -> Scenario:
        """The settings of the run."""
        return self._scenario

    @property
    def learner(self) -> Learner:
        """Model and data, prepared when they are first asked for."""
        client, data = self._own
        if self._made is None and client is not None and data is not None:
            from airtune.learning.own_data import prepare_client

            self._made = prepare_client(self._scenario, self._seed, client, data, label=self._label)
        return super().learner


class Node:
    """Answers the messages of runs, one after another.

    Parameters
    ----------
    clients : sequence of int
        Which clients it is; empty: those that the run gives it.
    data : Path, optional
        Records of its only client; by default it holds what the scenario names.
    cache : str
        Folder for models that are made here.
    label : str, optional
        Field of the file `data` whose values are labels, which the run hears with their counts; by
        default it hears of none, whatever its settings say.
    allowed : sequence of str
        Files, folders and hub ids that settings of a run may name.
    tell : callable, optional
        Called with what the user of the node is to know and the run is not.
    secure : bool
        Whether it answers only runs that see sums of updates (`engine.secure`).
    """

    def __init__(
        self,
        clients: Sequence[int] = (),
        data: Path | None = None,
        cache: str = ".cache/airtune",
        label: str | None = None,
        allowed: Sequence[str] = (),
        tell: Callable[[str], None] | None = None,
        *,
        secure: bool = False,
    ) -> None:
        if label is not None and data is None:
            raise InputError(
                f"--label {clip(label)}: names a field of --data FILE, which is missing"
            )
        if data is not None and len(clients) != 1:
            raise InputError(
                f"--data {clip(data)}: needs --clients with the one client whose data it is; it "
                f"names {len(clients)}"
            )
        self._clients, self._data, self._cache = tuple(clients), data, cache
        self._label, self._allowed = label, tuple(allowed)
        self._tell, self._secure = tell or (lambda text: None), secure
        self._kept: Kept | None = None
        self._given = Given()
        self._run = ""
        self._worker: NodeWorker | None = None
        self._last = "", b""

    def answer(self, message: bytes) -> bytes:
        """Return the answer to a message; what goes wrong is in the answer.

        A message that comes a second time gets the answer that it got.
        """
        try:
            header, arrays = frames.unpack(message)
            if header.get("message") == self._last[0] and self._last[1]:
                return self._last[1]
            done: Callable[[frames.Header, frames.Arrays], bytes]
            known = {"begin": self._begin, "updates": self._updates, "sum": self._share}
            done = known[str(header["do"])]
            answer = done(header, arrays)
        except OwnDataError as error:  # it may quote records
            self._tell(str(error))
            return frames.pack({"error": UNUSABLE, "kind": "input"})
        except (InputError, FailedError) as error:
            kind = "input" if isinstance(error, InputError) else "failed"
            return frames.pack({"error": str(error), "kind": kind})
        except Exception as error:  # whatever it is, the run is to hear of it
            what = type(error).__name__
            if self._data is None:
                what = f"{what}: {error}"
            else:  # the text may be of its records
                self._tell(f"{what}: {error}")
            return frames.pack({"error": what, "kind": "failed"})
        self._last = str(header.get("message")), answer
        return answer

    def _begin(self, header: frames.Header, arrays: frames.Arrays) -> bytes:
        """Prepare for a run, and say what this node works on and which clients it is."""
        scenario = Scenario.model_validate({**header["scenario"], "cache": self._cache})
        if scenario.model.trust_remote_code:
            raise InputError(
                "model.trust_remote_code = True: must be False with engine.name = 'flower'; a "
                "node runs no code that another machine names"
            )
        if self._secure and not scenario.engine.secure:
            raise InputError(
                "engine.secure = False: must be True; this node keeps its updates to itself and "
                "takes part in sums only (--secure)"
            )
        check_allowed(scenario, self._allowed, data=self._data is None)
        if header["run"] != self._run or self._worker is None:
            self._run, self._worker, self._kept = "", None, None  # memory of the run before
            self._given.begin()
            client = self._clients[0] if self._data is not None else None
            self._worker = NodeWorker(
                scenario, int(header["seed"]), client, self._data, self._label
            )
        began = self._worker.begin()
        self._run = str(header["run"])
        learner = self._worker.learner
        own = self._data is not None
        holdings = learner.holdings() if own else {}
        if own:
            _check_labels(holdings["labels"])
        return frames.pack(
            {
                **began,
                "clients": list(self._clients),
                "own": own,
                "sizes": learner.data_sizes.tolist() if own else [],
                "holdings": holdings,
            }
        )

    def _updates(self, header: frames.Header, arrays: frames.Arrays) -> bytes:
        """Compute the updates of some clients."""
        from airtune.learning.payload import payload_of

        if self._worker is None or header["run"] != self._run:
            return frames.pack({"unknown": True})
        learner, known = self._worker.learner, states_of(arrays)
        seed, round_index = int(header["seed"]), int(header["round"])
        if self._worker.scenario.engine.secure:
            self._kept = None
            self._given.check_round(round_index)
        payload = payload_of(self._worker.scenario.aggregation, learner.matrices, seed)
        clients = [int(client) for client in header["clients"]]
        results = self._worker.updates(
            whole_adapter(arrays["adapter"], learner.initial_adapter(), payload),
            clients,
            [int(size) for size in header["batch_sizes"]],
            seed,
            round_index,
            known,
        )
        if self._worker.scenario.engine.secure:
            clip_norm = self._worker.scenario.training.clip_norm
            self._kept, report = kept_of(results, clients, payload, round_index, clip_norm)
            return report
        rows = np.array([result.update for result in results], np.float32).reshape(len(clients), -1)
        part, kind = rows_part(rows, payload, round_index, known)
        states = {c: result.state for c, result in zip(clients, results, strict=True)}
        return frames.pack(
            {
                "clients": clients,
                "kind": kind,
                "losses": [float(result.loss) for result in results],
                "tokens": [int(result.tokens) for result in results],
                "finite": [bool(result.finite) for result in results],
            },
            {"updates": part, **state_arrays(states)},
        )

    def _share(self, header: frames.Header, arrays: frames.Arrays) -> bytes:
        """Give the share of a sum, once."""
        if self._worker is None or header["run"] != self._run:
            return frames.pack({"unknown": True})
        kept, self._kept = self._kept, None
        return share_of(kept, header, arrays, self._given)


def _check_labels(labels: Sequence[str]) -> None:
    """Refuse a field that holds texts rather than labels: they would all be told."""
    if len(labels) > LABELS or any(len(label) > LABEL for label in labels):
        raise InputError(
            f"--label: the field of the node's data has {len(labels)} different values, the "
            f"longest of {max(map(len, labels))} characters; labels are at most {LABELS}, each of "
            f"at most {LABEL} characters"
        )


def serve(node: Node, path: Path, running: Callable[[], bool]) -> None:
    """Answer messages that come to a socket while `running` says so.

    Parameters
    ----------
    node : Node
    path : Path
        Of the socket, which only this user may reach.
    running : callable
        Asked about twice a second.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen(8)
        listening.settimeout(0.5)
        while running():
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            # Who has asked may be gone before the answer is there; it then asks again.
            with connection, contextlib.suppress(OSError, FailedError):
                connection.settimeout(60.0)
                frames.send(connection, node.answer(frames.receive(connection)))
