"""Rounds run again on recorded updates: all of a run but the learning.

Where the mean that the server decodes is the same, so are the updates of the next round.  A run is
recorded once, and then run again under other books (a cost twin), or on another air where the air
makes no errors (digital interfaces with all clients): the radio, the places and the books are those
of a whole run, and training is left out.  Every adapter is compared with the recorded one, so a
replay that would not be the run is refused.

On an air that makes other errors the same gives a forecast: books and errors are those of updates
without errors, and :mod:`airtune.bound.forecast` tells how many rounds they lead to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airtune.engines import Engine, RoundUpdates
from airtune.engines.base import Progress
from airtune.engines.wrapped import WrappedEngine
from airtune.errors import FailedError, InputError
from airtune.learning.results import ClientState, Evaluation
from airtune.planning.pilot import Pilot
from airtune.planning.repetition import Repetition
from airtune.rounds.federated import FederatedRun
from airtune.rounds.metrics import Metrics
from airtune.scenario import Scenario

if TYPE_CHECKING:
    from airtune.learning.sizes import Sizes

Vector = NDArray[np.float32]


@dataclass
class Recorded:
    """What an engine has answered in a run.

    Attributes
    ----------
    sizes : Sizes
        Of model and data.
    initial : ndarray, float32, shape (d,)
        The adapter to start from.
    updates : dict of int to RoundUpdates
        By round.
    evaluations : dict of bytes to Evaluation
        By the digest of the adapter.
    adapters : dict of int to bytes
        Digest of the adapter of each round's updates.
    """

    sizes: Sizes
    initial: Vector
    updates: dict[int, RoundUpdates] = field(default_factory=dict)
    evaluations: dict[bytes, Evaluation] = field(default_factory=dict)
    adapters: dict[int, bytes] = field(default_factory=dict)


def digest(adapter: Vector) -> bytes:
    """Return what tells an adapter from every other, to the last bit."""
    return hashlib.sha256(np.ascontiguousarray(adapter).tobytes()).digest()


def keep(recorded: Recorded, file: Path) -> None:
    """Write what was recorded, but for the sizes, as compressed arrays; the file appears whole.

    Of an evaluation, loss and perplexity are kept.

    Raises
    ------
    FailedError
        Clients have states, which are not kept.
    """
    rounds = sorted(recorded.updates)
    arrays: dict[str, Any] = {"initial": recorded.initial, "rounds": np.array(rounds, np.int64)}
    for index in rounds:
        one = recorded.updates[index]
        if one.states or one.missing:
            raise FailedError("replay: states of clients and missing clients are not kept")
        arrays |= {
            f"updates {index}": one.updates,
            f"clients {index}": one.clients,
            f"dropped {index}": np.array(one.dropped, np.int64),
            f"loss {index}": np.array(np.nan if one.loss is None else one.loss),
            f"losses {index}": np.array([*one.losses.items()], np.float64).reshape(-1, 2),
            f"adapter {index}": np.frombuffer(recorded.adapters[index], np.uint8),
        }
    known = recorded.evaluations
    nan = float("nan")
    figures = [(e.loss, nan if e.perplexity is None else e.perplexity) for e in known.values()]
    arrays["evaluated"] = np.frombuffer(b"".join(known), np.uint8).reshape(-1, 32)
    arrays["figures"] = np.array(figures, np.float64).reshape(-1, 2)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}.tmp")
    with unfinished.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    unfinished.replace(file)


def kept(file: Path, sizes: Sizes) -> Recorded:
    """Return what :func:`keep` has written.

    Parameters
    ----------
    file : Path
    sizes : Sizes
        Of model and data of the run.
    """

    def known(value: Any) -> float | None:
        return None if np.isnan(value) else float(value)

    with np.load(file, allow_pickle=False) as arrays:
        found = Recorded(sizes, arrays["initial"])
        for index in map(int, arrays["rounds"]):
            found.adapters[index] = arrays[f"adapter {index}"].tobytes()
            found.updates[index] = RoundUpdates(
                arrays[f"updates {index}"],
                arrays[f"clients {index}"],
                tuple(map(int, arrays[f"dropped {index}"])),
                known(arrays[f"loss {index}"]),
                losses={int(client): float(x) for client, x in arrays[f"losses {index}"]},
            )
        for key, (loss, perplexity) in zip(arrays["evaluated"], arrays["figures"], strict=True):
            scores = Evaluation(float(loss), known(perplexity), None, {})
            found.evaluations[key.tobytes()] = scores
    return found


class _Begun(Engine):
    """An engine that starts as a recorded run has."""

    recorded: Recorded

    def start(self, scenario: Scenario, seed: int, progress: Progress | None = None) -> Sizes:
        return self.recorded.sizes

    def initial_adapter(self) -> Vector:
        return self.recorded.initial.copy()


@dataclass
class Recorder(_Begun, WrappedEngine):
    """A started engine, recorded.

    Parameters
    ----------
    engine : Engine
    recorded : Recorded
        Gets what the engine answers.
    """

    recorded: Recorded

    @classmethod
    def of(cls, engine: Engine, sizes: Sizes) -> Recorder:
        """Return a recorder of an engine that has started with these sizes."""
        return cls(engine, Recorded(sizes, engine.initial_adapter()))

    def updates(
        self,
        adapter: Vector,
        clients: NDArray[np.int64],
        batch_sizes: NDArray[np.int64],
        seed: int,
        round_index: int,
        states: Mapping[int, ClientState] | None = None,
    ) -> RoundUpdates:
        found = self.engine.updates(adapter, clients, batch_sizes, seed, round_index, states)
        if found.held is not None:
            raise InputError(
                "engine.secure = True: must be False where updates are kept to be replayed; only "
                "sums of them are known"
            )
        self.recorded.updates[round_index] = found
        self.recorded.adapters[round_index] = digest(adapter)
        return found

    def evaluate(self, adapter: Vector) -> Evaluation:
        key = digest(adapter)
        if key not in self.recorded.evaluations:
            self.recorded.evaluations[key] = self.engine.evaluate(adapter)
        return self.recorded.evaluations[key]


NOT_THE_SAME = "so learning is not the same; the cell has to be run"

UNKNOWN = Evaluation(float("nan"), None, None, {})
"""The evaluation of an adapter of a forecast: nothing is known of it."""


@dataclass
class Replayed(_Begun):
    """Answers of a recorded run.

    Attributes
    ----------
    recorded : Recorded
    exact : bool
        Whether every adapter has to be the recorded one; without it the updates are those of the
        recorded run whatever the adapter is, and nothing is evaluated.
    """

    recorded: Recorded
    exact: bool = True

    def updates(
        self,
        adapter: Vector,
        clients: NDArray[np.int64],
        batch_sizes: NDArray[np.int64],
        seed: int,
        round_index: int,
        states: Mapping[int, ClientState] | None = None,
    ) -> RoundUpdates:
        kept = self.recorded
        if round_index not in kept.updates:
            raise FailedError(f"replay: the recorded run has no round {round_index}")
        if self.exact and digest(adapter) != kept.adapters[round_index]:
            raise FailedError(
                f"replay: the adapter of round {round_index} is not that of the recorded run, "
                f"{NOT_THE_SAME}"
            )
        found = kept.updates[round_index]
        if not np.array_equal(np.union1d(found.clients, np.array(found.dropped, int)), clients):
            raise FailedError(f"replay: round {round_index} has other clients than were recorded")
        return found

    def evaluate(self, adapter: Vector) -> Evaluation:
        if not self.exact:
            return UNKNOWN
        key = digest(adapter)
        if key not in self.recorded.evaluations:
            raise FailedError(f"replay: an adapter is none of the recorded run, {NOT_THE_SAME}")
        return self.recorded.evaluations[key]

    def samples(self, adapter: Vector, count: int) -> list[dict[str, str]]:
        return []

    def holdings(self) -> dict[str, list[Any]]:
        return {"labels": [], "counts": []}

    def save(self, adapter: Vector, folder: Path) -> None:
        raise FailedError("replay: there is no model to save the adapter of")


def run_rounds(
    scenario: Scenario,
    scheme: str,
    seed: int,
    engine: Engine,
    sizes: Sizes,
    pilot: Pilot | None = None,
) -> tuple[list[Metrics], dict[str, Any]]:
    """Run all rounds of a cell without writing anything.

    Parameters
    ----------
    scenario : Scenario
    scheme : str
    seed : int
        Root of the random streams.
    engine : Engine
        Started.
    sizes : Sizes
        What it has.
    pilot : Pilot, optional
        Where the plan minimises what is predicted.

    Returns
    -------
    lines : list of dict
        As they stand in ``metrics.jsonl``, round 0 first.
    plan : dict
        As it stands in ``plan.json``.

    Raises
    ------
    InputError
        No plan keeps the budgets.
    """
    repetition = replace(Repetition.open(scenario, seed, sizes=sizes), pilot=pilot)
    run = FederatedRun(repetition, scheme, engine)
    plan = run.current.joint.to_dict()
    lines = [run.first_metrics()]
    while run.state.round < run.current.last_round:
        lines.append(run.run_round())
    return lines, plan
