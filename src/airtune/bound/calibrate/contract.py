"""What calibration measures on model and data.

:class:`airtune.learning.measurements.Measurements` measures on a learner, tests on losses whose
constants are known.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Vector = NDArray[np.float32]


class Loss(Protocol):
    """A loss F = sum_k omega_k F_k over a flat vector of d entries."""

    @property
    def weights(self) -> FloatArray:
        """omega_k, shape (K,), sum 1."""

    @property
    def records(self) -> NDArray[np.int64]:
        """Records behind each F_k, shape (K,)."""

    @property
    def matrix_sizes(self) -> NDArray[np.int64]:
        """Entries of each weight matrix, shape (B,)."""

    @property
    def start(self) -> Vector:
        """Where training starts, shape (d,)."""

    def losses(self, point: Vector) -> list[FloatArray]:
        """Losses of each client's calibration samples, K arrays of shape (m_k,)."""

    def gradients(self, point: Vector, client: int) -> Vector:
        """Gradients of a client's calibration samples, shape (m_k, d)."""

    def updates(self, point: Vector, batch_size: int, round_index: int) -> Vector:
        """Clients' gradients on fresh mini-batches, shape (K, d)."""

    def curvature(self, point: Vector, direction: Vector, samples: int) -> Vector:
        """Independent estimates of the Hessian-vector product H v, shape (samples, d)."""


class DataSets(Protocol):
    """Samples of both data in one embedding space."""

    @property
    def pretraining(self) -> FloatArray:
        """Embeddings of pre-training samples, shape (n, e)."""

    @property
    def clients(self) -> tuple[FloatArray, ...]:
        """Embeddings of each client's samples, K arrays of shape (n_k, e)."""

    @property
    def weights(self) -> FloatArray:
        """omega_k, shape (K,), sum 1."""


class Measurements(Protocol):
    """Measurements on one learner's model and data."""

    def undisturbed(self) -> AbstractContextManager[None]:
        """Leave the learner as it was."""

    def fingerprint(self) -> str:
        """Digest of data, base model and first adapter."""

    def tuning(self) -> Loss:
        """The fine-tuning loss over the adapters."""

    def pretraining(self) -> Loss:
        """The pre-training loss."""

    def trained_weights(self) -> Vector | None:
        """End of pre-training in the space of :meth:`pretraining`; None for a ready model."""

    def data_sets(self) -> DataSets:
        """Samples of both data."""

    def data_losses(self, adapter: Vector) -> tuple[FloatArray, list[FloatArray]]:
        """Losses of the same samples under an adapter."""
