"""Measurements of a model and its data for calibration: gradients, curvature, embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from airtune.learning.batches import by_length
from airtune.learning.corpus import corpus_examples, mixture_examples
from airtune.learning.federated_loss import (
    BATCH,
    FederatedLoss,
    FloatArray,
    Groups,
    RestrictedLoss,
    sample_losses,
)
from airtune.learning.model import AdapterModel, LanguageModel
from airtune.learning.payload import payload_of
from airtune.learning.pretrain import fresh_model
from airtune.learning.results import Vector
from airtune.learning.text import Example
from airtune.learning.vocabulary import check_ids
from airtune.streams import generator, torch_seed

if TYPE_CHECKING:
    from airtune.learning.learner import Learner

# Weights of each parameter that go into the fingerprint of a model.
MARKS = 64


@dataclass(frozen=True)
class DataSets:
    """Samples of both data in the model's embedding, with their losses.

    Attributes
    ----------
    pretraining : ndarray, shape (n, e)
        Embeddings of pre-training samples.
    clients : tuple of ndarray, shape (n_k, e)
        Embeddings of the samples of each client looked at.
    weights : ndarray, shape (K,)
        Weights of these clients, sum 1.
    """

    pretraining: FloatArray
    clients: tuple[FloatArray, ...]
    weights: FloatArray


class Measurements:
    """Measurements on a learner's model and data, for calibration.

    Parameters
    ----------
    learner : Learner
        Only its adapter is changed, and put back by :meth:`undisturbed`.  The frozen weights are
        measured without the change that a run may have left in them.
    seed : int
        Names the random streams.

    Attributes
    ----------
    clients : ndarray, int
        The clients looked at: all, or `calibration.clients` of them drawn at random.
    weights : ndarray
        Their weights, sum 1.
    """

    def __init__(self, learner: Learner, seed: int) -> None:
        self.scenario, self.seed = learner.scenario, seed
        self._learner = learner
        self._settings = learner.scenario.calibration
        most = min(self._settings.clients, len(learner.data_sizes))
        order = generator(seed, "calibration", "clients").permutation(len(learner.data_sizes))
        self.clients = np.sort(order[:most])
        sizes = learner.data_sizes[self.clients].astype(float)
        self.weights: FloatArray = sizes / sizes.sum()

    @property
    def _model(self) -> AdapterModel:
        """The learner's model, with the frozen weights that it came with."""
        model = self._learner._model
        model.as_it_came()
        return model

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Put the adapter back at the end."""
        before = self._model.flat.clone()
        try:
            yield
        finally:
            self._model.flat.copy_(before)

    def fingerprint(self) -> str:
        """Return a digest of the clients' data, the base model's weights and the first adapter."""
        sha = hashlib.sha256(self._learner.initial_adapter().tobytes())
        for name, weight in self._model.causal.state_dict().items():
            if "lora_" not in name:
                flat = weight.detach().reshape(-1)
                marks = flat[:: max(1, len(flat) // MARKS)].float()
                sha.update(f"{name} {tuple(weight.shape)}".encode() + marks.cpu().numpy().tobytes())
        for k in self.clients:
            for example in self._learner._clients[k]:
                skipped = [place for places in example.skipped for place in places]
                facts = [example.prompt, *example.ids, *skipped]
                sha.update(np.array(facts, np.int64).tobytes())
        return sha.hexdigest()

    def tuning(self) -> FederatedLoss | RestrictedLoss:
        """Return the fine-tuning loss over the adapters, as far as the payload ever moves them."""
        whole, settings = self._over_adapters(), self.scenario.aggregation
        payload = payload_of(settings, self._model.matrices, self.seed)
        if payload.movable is None:
            return whole
        sizes = np.concatenate([payload.blocks(part) for part in payload.parts])
        return RestrictedLoss(whole, payload.movable, sizes)

    def _over_adapters(self) -> FederatedLoss:
        model = self._model
        return self._loss(
            model=model,
            flat=model.flat,
            parameters=[p for p in model.peft.parameters() if p.requires_grad],
            pools=tuple(self._learner._clients[k] for k in self.clients),
            weights=self.weights,
            sizes=np.array([matrix.size for matrix in model.matrices]),
            start=self._learner.initial_adapter(),
        )

    def pretraining(self) -> FederatedLoss:
        """Return the pre-training loss: of all weights of the untrained small model; else adapters.

        A ready model is not trained again: its loss on `data.pretraining_corpus` over the adapters
        shows how far it is from what it could reach there.

        Raises
        ------
        InputError
            A ready model without a corpus.
        """
        examples = self._pretraining_examples
        groups = tuple(
            tuple(examples[k :: self._settings.clients]) for k in range(self._settings.clients)
        )
        groups = tuple(group for group in groups if group)
        weights = np.full(len(groups), 1 / len(groups))
        if self.scenario.model.source != "small":
            tuning = self._over_adapters()
            return self._loss(
                model=self._model,
                flat=self._model.flat,
                parameters=tuning._parameters,
                pools=groups,
                weights=weights,
                sizes=tuning.matrix_sizes,
                start=tuning.start,
            )
        causal = fresh_model(
            self.scenario.model.small,
            self._learner._encoder.tokenizer,
            torch_seed(self.scenario.seed, "weights"),
        )
        causal.to(self._model.device.kind).eval()
        parameters = list(causal.parameters())
        flat = _flatten(parameters)
        sizes = np.array([p.numel() for p in parameters])
        start = flat.cpu().numpy().copy()
        return self._loss(
            model=LanguageModel(causal, self._model.device),
            flat=flat,
            parameters=parameters,
            pools=groups,
            weights=weights,
            sizes=sizes,
            start=start,
        )

    def trained_weights(self) -> Vector | None:
        """Return the pre-trained weights in the order of :meth:`pretraining`; None if ready."""
        if self.scenario.model.source != "small":
            return None
        named = self._model.causal.named_parameters()
        own = [p.detach().reshape(-1) for name, p in named if "lora_" not in name]
        return np.asarray(torch.cat(own).cpu().numpy(), np.float32)

    def data_sets(self) -> DataSets:
        """Return embeddings of pre-training samples and of each client's samples."""
        return DataSets(
            self._embed(self._shift_pretraining()),
            tuple(self._embed(part) for part in self._shift_clients()),
            self.weights,
        )

    def data_losses(self, adapter: Vector) -> tuple[FloatArray, list[FloatArray]]:
        """Return the losses of the same samples under an adapter, as long as `tuning` has it."""
        tuning = self.tuning()
        whole = tuning.among_all(adapter) if isinstance(tuning, RestrictedLoss) else adapter
        self._model.load(whole)
        workers = self._learner.workers
        return (
            sample_losses(self._model, self._shift_pretraining(), workers),
            [sample_losses(self._model, part, workers) for part in self._shift_clients()],
        )

    def _shift_clients(self) -> list[list[Example]]:
        each = max(8, self._settings.shift_samples // len(self.clients))
        return [self._draw(self._learner._clients[k], each, "shift", int(k)) for k in self.clients]

    def _shift_pretraining(self) -> list[Example]:
        return self._pretraining_examples[: self._settings.shift_samples]

    @cached_property
    def _pretraining_examples(self) -> list[Example]:
        """Return pre-training samples in random order, the tasks of the mixture in turn."""
        random = generator(self.seed, "calibration", "pretraining")
        if self.scenario.model.source == "small":
            return mixture_examples(self._learner._encoder.tokenizer, random)
        encoder = self._learner._encoder
        examples = corpus_examples(self.scenario.data, encoder, random)
        check_ids(self.scenario.model.source, self._model.causal, encoder.tokenizer, examples)
        return examples

    def _draw(self, examples: Sequence[Example], count: int, *name: str | int) -> list[Example]:
        order = generator(self.seed, "calibration", *name).permutation(len(examples))
        return [examples[i] for i in order[:count]]

    def _embed(self, examples: Sequence[Example]) -> FloatArray:
        """Return the mean last hidden state over the response tokens, shape (n, e).

        Taken with the first adapter, which changes nothing.  Every such state has seen the prompt
        and the answer so far, its own token included: what the loss is about, labels included.
        """
        self._model.load(self._learner.initial_adapter())
        embedded: dict[int, FloatArray] = {}
        for chosen, batch in by_length(examples, BATCH):
            with torch.inference_mode():
                states = self._model.last_states(batch.ids).cpu().double()
            answers = states[batch.rows, batch.columns + 1]
            sums = torch.zeros(len(chosen), states.shape[-1], dtype=torch.float64)
            sums.index_add_(0, batch.rows, answers)
            means = (sums / batch.lengths[:, None]).numpy()
            embedded.update(zip(chosen, means, strict=True))
        return np.stack([embedded[i] for i in range(len(examples))])

    def _loss(
        self,
        *,
        model: LanguageModel,
        flat: torch.Tensor,
        parameters: Sequence[torch.Tensor],
        pools: Groups,
        weights: FloatArray,
        sizes: NDArray[np.int64],
        start: Vector,
    ) -> FederatedLoss:
        count = self._settings.samples
        samples = tuple(
            tuple(self._draw(pool, count, "samples", k)) for k, pool in enumerate(pools)
        )
        return FederatedLoss(
            weights=weights,
            records=np.array([len(pool) for pool in pools]),
            matrix_sizes=sizes,
            start=start,
            _flat=flat,
            _parameters=tuple(parameters),
            _model=model,
            _pools=pools,
            _samples=samples,
            _workers=self._learner.workers,
            _seed=self.seed,
        )


def _flatten(parameters: Sequence[Any]) -> torch.Tensor:
    """Make the parameters views of one flat vector."""
    flat = torch.cat([p.detach().reshape(-1) for p in parameters])
    start = 0
    for parameter in parameters:
        parameter.data = flat[start : start + parameter.numel()].view(parameter.shape)
        start += parameter.numel()
    return flat
