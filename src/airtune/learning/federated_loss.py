"""The federated loss over a flat vector of weights: values, gradients and curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from airtune.learning.batches import Batch, by_length, collate
from airtune.learning.client import mini_batch
from airtune.learning.model import LanguageModel
from airtune.learning.results import Vector
from airtune.learning.text import Example
from airtune.learning.workers import Workers

FloatArray = NDArray[np.float64]
Groups = tuple[tuple[Example, ...], ...]

BATCH = 16


@dataclass(frozen=True)
class FederatedLoss:
    """A loss sum_k omega_k F_k over a flat vector of d weights.

    Attributes
    ----------
    weights : ndarray, shape (K,)
        omega_k, sum 1.
    records : ndarray, int, shape (K,)
        Records behind each F_k.
    matrix_sizes : ndarray, int, shape (B,)
        Entries of each weight matrix.
    start : ndarray, float32, shape (d,)
        Where training starts.
    """

    weights: FloatArray
    records: NDArray[np.int64]
    matrix_sizes: NDArray[np.int64]
    start: Vector
    _flat: torch.Tensor
    _parameters: tuple[torch.Tensor, ...]
    _model: LanguageModel
    _pools: Groups
    _samples: Groups
    _workers: Workers
    _seed: int

    def losses(self, point: Vector) -> list[FloatArray]:
        """Return the losses of each client's calibration samples, K arrays of shape (m_k,)."""
        self._load(point)
        return [sample_losses(self._model, samples, self._workers) for samples in self._samples]

    def gradients(self, point: Vector, client: int) -> Vector:
        """Return the gradients of a client's calibration samples, shape (m_k, d)."""
        self._load(point)
        rows = self._workers.map(
            lambda sample: self._gradient(collate([sample])).numpy(), self._samples[client]
        )
        return np.stack(rows)

    def updates(self, point: Vector, batch_size: int, round_index: int) -> Vector:
        """Return the clients' gradients on fresh mini-batches, shape (K, d)."""
        self._load(point)

        def one(client: int) -> Vector:
            pool = self._pools[client]
            batch = mini_batch(pool, batch_size, self._seed, round_index, client, 0)
            return np.asarray(self._gradient(batch).numpy())

        return np.stack(self._workers.map(one, range(len(self._pools))))

    def curvature(self, point: Vector, direction: Vector, samples: int) -> Vector:
        """Return Hessian-vector products at `point`, one for each of `samples` draws.

        Parameters
        ----------
        point, direction : ndarray, float32, shape (d,)
            Where, and the unit vector v.
        samples : int
            Draw s holds sample s of every client, weighted by omega.

        Returns
        -------
        ndarray, float32, shape (samples, d)
            H_s v; their mean estimates H v.
        """
        self._load(point)
        vector = torch.from_numpy(np.ascontiguousarray(direction, np.float32))
        weights = torch.from_numpy(self.weights.astype(np.float32))

        def one(draw: int) -> Vector:
            batch = collate([group[draw % len(group)] for group in self._samples])
            try:
                return np.asarray(self._hessian_product(batch, weights, vector).numpy())
            except RuntimeError as error:
                if "derivative" not in str(error) and "backward" not in str(error):
                    raise
                return np.full(len(vector), np.nan, np.float32)

        # The fused attention kernels have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            rows = self._workers.map(one, range(samples))
        if not np.isnan(rows[0]).all():
            return np.stack(rows)
        return self._differences(point, direction, samples)

    def _differences(self, point: Vector, direction: Vector, samples: int) -> Vector:
        """Central differences of gradients, for models whose layers have no second derivative."""
        weights = torch.from_numpy(self.weights.astype(np.float32))
        step = np.float32(1e-2)
        sides = []
        for sign in (1, -1):
            self._load(point + sign * step * direction)
            batches = [
                collate([group[draw % len(group)] for group in self._samples])
                for draw in range(samples)
            ]
            sides.append(
                np.stack(self._workers.map(lambda b: self._gradient(b, weights).numpy(), batches))
            )
        return np.asarray((sides[0] - sides[1]) / (2 * step))

    def _load(self, point: Vector) -> None:
        self._model.as_it_came()
        self._flat.copy_(torch.from_numpy(np.ascontiguousarray(point, np.float32)))

    def _gradient(self, batch: Batch, weights: torch.Tensor | None = None) -> torch.Tensor:
        loss = self._loss(batch, weights)
        parts = torch.autograd.grad(loss, self._parameters, materialize_grads=True)
        return torch.cat([part.reshape(-1) for part in parts]).float().cpu()

    def _loss(self, batch: Batch, weights: torch.Tensor | None) -> torch.Tensor:
        """Return the mean of the samples' losses, or their sum with `weights` (B,).

        In full precision, whatever `model.autocast` is: constants are differences of close numbers.
        """
        kind = self._model.device.kind
        if weights is None and self._model.device.autocast == "none":
            return self._model.training_loss(batch)
        if weights is None:
            weights = torch.full((len(batch.lengths),), 1.0 / len(batch.lengths))
        batch = batch.on(kind)
        losses = functional.cross_entropy(
            self._model.response_logits(batch).float(), batch.targets, reduction="none"
        )
        return torch.sum(losses * (weights.to(kind) / batch.lengths)[batch.rows])

    def _hessian_product(
        self, batch: Batch, weights: torch.Tensor, vector: torch.Tensor
    ) -> torch.Tensor:
        loss = self._loss(batch, weights)
        first = torch.autograd.grad(
            loss, self._parameters, create_graph=True, materialize_grads=True
        )
        slope = torch.cat([part.reshape(-1) for part in first])
        slope = slope @ vector.to(slope.device)
        second = torch.autograd.grad(slope, self._parameters, materialize_grads=True)
        return torch.cat([part.reshape(-1) for part in second]).cpu()


@dataclass(frozen=True)
class RestrictedLoss:
    """A loss over some of its weights, the others as they start.

    Attributes
    ----------
    whole : FederatedLoss
    entries : ndarray, int, shape (m,)
        Ascending indices of these weights.
    matrix_sizes : ndarray, int, shape (B',)
        How many of them are in each matrix that has any.
    """

    whole: FederatedLoss
    entries: NDArray[np.int64]
    matrix_sizes: NDArray[np.int64]

    @property
    def weights(self) -> FloatArray:
        """omega_k, shape (K,)."""
        return self.whole.weights

    @property
    def records(self) -> NDArray[np.int64]:
        """Records behind each F_k, shape (K,)."""
        return self.whole.records

    @property
    def start(self) -> Vector:
        """Where training starts, shape (m,)."""
        return np.asarray(self.whole.start[self.entries])

    def among_all(self, point: Vector) -> Vector:
        """Return a point, shape (m,), with the weights that stay, shape (d,)."""
        full = self.whole.start.copy()
        full[self.entries] = point
        return full

    def losses(self, point: Vector) -> list[FloatArray]:
        """See :meth:`FederatedLoss.losses`."""
        return self.whole.losses(self.among_all(point))

    def gradients(self, point: Vector, client: int) -> Vector:
        """See :meth:`FederatedLoss.gradients`."""
        return np.asarray(self.whole.gradients(self.among_all(point), client)[:, self.entries])

    def updates(self, point: Vector, batch_size: int, round_index: int) -> Vector:
        """See :meth:`FederatedLoss.updates`."""
        rows = self.whole.updates(self.among_all(point), batch_size, round_index)
        return np.asarray(rows[:, self.entries])

    def curvature(self, point: Vector, direction: Vector, samples: int) -> Vector:
        """See :meth:`FederatedLoss.curvature`."""
        along = np.zeros(len(self.whole.start), np.float32)
        along[self.entries] = direction
        rows = self.whole.curvature(self.among_all(point), along, samples)
        return np.asarray(rows[:, self.entries])


def sample_losses(
    model: LanguageModel, examples: Sequence[Example], workers: Workers
) -> FloatArray:
    """Return each example's mean cross-entropy over its response tokens [nat], shape (n,)."""

    def score(batch: Batch) -> FloatArray:
        losses = model.score(batch)[0].double().numpy()
        sums = np.bincount(batch.rows.numpy(), losses, minlength=len(batch.lengths))
        return np.asarray(sums / batch.lengths.numpy())

    batches = list(by_length(examples, BATCH))
    means = np.empty(len(examples))
    scores = workers.map(score, [batch for _, batch in batches])
    for (chosen, _), losses in zip(batches, scores, strict=True):
        means[chosen] = losses
    return means
