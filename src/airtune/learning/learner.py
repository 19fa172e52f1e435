"""Model and data, ready for rounds: :func:`prepare` returns a :class:`Learner`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airtune.learning import data
from airtune.learning.data import LeftOut, asked_text
from airtune.learning.example import digest_of
from airtune.learning.federated_data import federated_data
from airtune.learning.folders import CACHED
from airtune.learning.formats import read_records
from airtune.learning.objectives.base import LocalTask
from airtune.learning.payload import payload_of
from airtune.learning.resident import adapter_model, make_deterministic
from airtune.learning.results import (
    AdapterMatrix,
    ClientState,
    ClientUpdate,
    Evaluation,
    PretrainingCost,
    Vector,
)
from airtune.learning.selected import Job, Selected, Together, check_passes, together
from airtune.learning.split import shares_of, split_records
from airtune.learning.text import Encoder, Example
from airtune.learning.wrong_answers import wrong_answers
from airtune.registry import CLIENT_OBJECTIVES
from airtune.scenario import Scenario

if TYPE_CHECKING:
    import torch

    from airtune.learning.model import AdapterModel
    from airtune.learning.objectives.base import ClientObjective
    from airtune.learning.workers import Workers

Progress = Callable[[str, float], None]
Prepare = Callable[[Scenario, int, Progress | None], "Learner"]
"""Makes the learner of a scenario and a seed."""


@dataclass(frozen=True)
class Learner:
    """A model with adapters, the clients' data and the validation data, ready for rounds.

    Adapters and updates are flat vectors of d entries in the order of `matrices`.

    Attributes
    ----------
    matrices : tuple of AdapterMatrix
        The adapter matrices.
    size : int
        Entries d.
    data_sizes : ndarray, int, shape (K,)
        Training records of each client.
    client_labels : tuple of str
        Domain of each client; empty when its records are of several domains or unlabelled.
    flop_per_sample : float
        Training FLOP of one sample of mean length with a frozen base: 4 per weight and token
        (forward, and backward to the activations), 6 for each answer of a pair.  Embedding look-ups
        cost nothing; the language head works on response tokens only.
    flop_per_parameter : float
        As in :class:`airtune.learning.sizes.Sizes`.
    pretraining_cost : PretrainingCost
        Phase 1; 0 steps for a model that was ready.
    workers : Workers
        Threads that compute side by side.
    """

    scenario: Scenario
    matrices: tuple[AdapterMatrix, ...]
    size: int
    data_sizes: NDArray[np.int64]
    client_labels: tuple[str, ...]
    flop_per_sample: float
    flop_per_parameter: float
    pretraining_cost: PretrainingCost
    workers: Workers
    _model: AdapterModel
    _encoder: Encoder
    _clients: tuple[tuple[Example, ...], ...]
    _validation: tuple[data.Record, ...]
    _validation_examples: tuple[Example, ...]
    _left_out: tuple[LeftOut, ...] = ()
    _base_name: str = ""
    _together: Together | None = None

    def under(self, scenario: Scenario) -> Learner:
        """Return this learner under other settings that :func:`prepare` does not read.

        Parameters
        ----------
        scenario : Scenario
            Its :func:`prepared_from` equals that of the scenario prepared for.  A change of the
            frozen weights that an earlier run has left in the model is taken out.
        """
        self._model.as_it_came()
        return replace(self, scenario=scenario)

    def initial_adapter(self) -> Vector:
        """Return a copy of the adapter to start from, shape (d,); it leaves the model as it is."""
        return self._model.initial.copy()

    def client_update(
        self,
        adapter: Vector,
        client: int,
        batch_size: int,
        seed: int,
        round_index: int,
    ) -> ClientUpdate:
        """Compute one client's update; see :func:`airtune.learning.client.client_update`.

        Parameters
        ----------
        adapter : ndarray, float32, shape (d,)
            Global adapter.
        client : int
            Index of the client, from 0.
        batch_size : int
            Samples of each local step.
        seed, round_index : int
            Name the random streams.
        """
        return self.client_updates(adapter, [client], [batch_size], seed, round_index)[0]

    def client_updates(
        self,
        adapter: Vector,
        clients: Sequence[int],
        batch_sizes: Sequence[int],
        seed: int,
        round_index: int,
        states: Mapping[int, ClientState] | None = None,
    ) -> list[ClientUpdate]:
        """Compute the updates of several clients, side by side where that is possible.

        The results do not depend on who computes at the same time, but for the rounding of clients
        that share a pass (`model.clients_per_pass`).  They are 0 at the entries that
        `aggregation.payload` does not send in the round.

        Parameters
        ----------
        adapter : ndarray, float32, shape (d,)
            Global adapter; a change of the frozen weights may follow it.
        clients : sequence of int
            Indices of the clients, from 0.
        batch_sizes : sequence of int
            Samples of each local step, for each of `clients`.
        seed, round_index : int
            Name the random streams.
        states : mapping of int to dict of str to ndarray, optional
            States of the clients that took part before, by index; each result has the next one.
        """
        known, whole, scenario = states or {}, adapter, self.scenario
        adapter = self._model.base_change.put(adapter)
        moved = payload_of(scenario.aggregation, self.matrices, seed).entries(round_index)
        jobs = [
            Job(client, size, self._examples(client, seed, round_index), known.get(client))
            for client, size in zip(map(int, clients), map(int, batch_sizes), strict=True)
        ]
        selected = Selected(
            self._model, scenario.training, self.workers, seed, round_index, adapter, whole, moved
        )
        return selected.updates(jobs, self._together)

    def _examples(self, client: int, seed: int, round_index: int) -> tuple[Example, ...]:
        """Return what a client learns from in a round: wrong answers if it is poisoned so."""
        held, poison = self._clients[client], self.scenario.faults.poison
        if poison.kind != "label-noise":
            return held
        if client not in poison.clients(len(self._clients), seed, round_index):
            return held
        return wrong_answers(held, seed, client, self.scenario.data.max_tokens)

    def evaluate(self, adapter: Vector, workers: Workers | None = None) -> Evaluation:
        """Score an adapter on the validation records.

        Parameters
        ----------
        adapter : ndarray, float32, shape (d,)
        workers : Workers, optional
            Compute the batches; the learner's own by default.
        """
        self._model.load(adapter)
        task = LocalTask(self._model, self._model.flat.clone(), self.scenario.training)
        batch_size = self.scenario.evaluation.batch_size
        return self.objective.evaluate(
            task, self._validation_examples, batch_size, workers or self.workers
        )

    def base_weights(self) -> Iterator[torch.Tensor]:
        """Yield the weights of the frozen base model, in the order in which it has them.

        They are those that it came with: a change of a run is taken out.
        """
        self._model.as_it_came()
        for name, weight in self._model.peft.named_parameters():
            if "lora_" not in name:
                yield weight

    @property
    def objective(self) -> ClientObjective:
        """What clients minimise."""
        objective: ClientObjective = CLIENT_OBJECTIVES[self.scenario.training.client_objective]
        return objective

    def holdings(self) -> dict[str, list[Any]]:
        """Return the ``labels`` and, for each client, the ``counts`` of its records of each."""
        names = sorted({example.label for part in self._clients for example in part})
        counts = [Counter(example.label for example in part) for part in self._clients]
        return {"labels": names, "counts": [[own[n] for n in names] for own in counts]}

    def left_out(self) -> dict[str, Any]:
        """Return the ``count`` of the records that are not used, and the first of them.

        Each has ``place`` and ``why``; there are at most `data.LEFT_OUT_KEPT`.
        """
        first = [
            {"place": one.place, "why": one.why} for one in self._left_out[: data.LEFT_OUT_KEPT]
        ]
        return {"count": len(self._left_out), "records": first}

    def inputs(self) -> dict[str, Any]:
        """Return where the base model is, and digests of the data and the first adapter.

        Returns
        -------
        dict
            ``model_folder``, None where it has none; ``made``, whether it was trained or converted
            here; the digests ``data`` of all examples, client by client, and ``adapter``;
            ``device``, where it is.
        """
        from airtune.learning.sources import folder_of

        folder = folder_of(self._base_name)
        return {
            "model_folder": None if folder is None else str(folder),
            "made": folder is not None and (folder / CACHED).is_file(),
            "data": digest_of((*self._clients, self._validation_examples)),
            "adapter": hashlib.sha256(self.initial_adapter().tobytes()).hexdigest(),
            "device": self._model.device.name,
        }

    def save_adapter(self, adapter: Vector, folder: Path) -> None:
        """Write the adapter as a standard PEFT folder that can be passed on, with the tokenizer."""
        from airtune.learning.origin import complete

        self._model.save(adapter, folder)
        base = self._model.peft.get_base_model()
        complete(folder, self.scenario.model, self._encoder.tokenizer, base)

    def samples(self, adapter: Vector, count: int) -> list[dict[str, str]]:
        """Return greedy answers to the first validation records, taken from the domains in turn.

        Returns
        -------
        list of dict
            With ``prompt``, ``reference``, ``answer`` and ``domain``.
        """
        from airtune.learning.evaluate import greedy_answer

        self._model.load(adapter)
        with self._model.device.casting():
            return [
                {
                    "prompt": asked_text(r),
                    "reference": r.output,
                    "answer": greedy_answer(self._model.causal, self._encoder, r),
                    "domain": r.label,
                }
                for r in self._validation[:count]
            ]


_NOT_PREPARED_FROM = {
    *("name", "seed", "seeds", "schemes", "plan", "engine"),
    *("radio", "array", "aggregation", "digital", "placement", "planning"),
    *("client_processor", "server_processor", "costs"),
    *("budget", "bound", "training", "zeroth_order", "faults"),
}


def prepared_from(scenario: Scenario) -> dict[str, Any]:
    """Return the settings that :func:`prepare` may read; equal ones give the same learner.

    Nothing of the radio is read, and of `training` all but the client objective is read in the
    rounds.
    """
    settings = {k: v for k, v in scenario.to_dict().items() if k not in _NOT_PREPARED_FROM}
    training = scenario.training
    return settings | {
        "clients": scenario.clients.count,
        "objective": [training.client_objective, training.beta],
    }


def prepare(scenario: Scenario, seed: int, progress: Progress | None = None) -> Learner:
    """Load or make everything that the federated rounds need.

    Sets torch's number of threads and its deterministic algorithms for the whole process: repeated
    runs then give the same bits.

    Parameters
    ----------
    scenario : Scenario
        Settings.
    seed : int
        Root of this repetition's streams: held-out records, partition, initial adapter, batches.
    progress : callable, optional
        Called with a text and the fraction done.

    Raises
    ------
    InputError
        Model, data or their settings cannot be used.
    """
    from airtune.learning.device import device_of
    from airtune.learning.model import count_parameters
    from airtune.learning.pretrain import pretraining_cost
    from airtune.learning.sources import open_model
    from airtune.learning.workers import Workers

    check_passes(scenario)
    make_deterministic()
    device = device_of(scenario.model)
    records, left_out = read_records(scenario.data)
    # What the settings ask for may be impossible: that is said before any model is opened.
    shares_of(scenario, split_records(scenario, records, seed)[0], seed)
    base, tokenizer, name = open_model(scenario, progress or (lambda text, fraction: None))
    held = federated_data(scenario, seed, (records, left_out), base, tokenizer)
    split, examples = held.split, held.split.training_examples
    weights = sum(count_parameters(base))
    # Threads side by side only wait for each other at a GPU.
    workers = Workers(scenario.threads if device.kind == "cpu" else 1, weights)
    model = adapter_model(scenario, seed, base, name, device)
    return Learner(
        scenario=scenario,
        matrices=model.matrices,
        size=model.size,
        data_sizes=held.sizes,
        client_labels=tuple(
            data.common_label([split.training[i] for i in part]) for part in held.shares
        ),
        flop_per_sample=held.flop_per_sample,
        flop_per_parameter=held.flop_per_parameter,
        pretraining_cost=(
            pretraining_cost(Path(name), scenario.pretraining, weights)
            if scenario.model.source == "small"
            else PretrainingCost(0.0, 0, 1)
        ),
        _model=model,
        workers=workers,
        _encoder=held.encoder,
        _clients=tuple(tuple(examples[i] for i in part) for part in held.shares),
        _validation=split.validation,
        _validation_examples=split.validation_examples,
        _left_out=split.left_out,
        _base_name=name,
        _together=together(scenario, model, examples),
    )
