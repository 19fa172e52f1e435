"""The server's optimiser: SGD, or Adam on the aggregated update (FedOpt)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airtune.learning.results import Vector
from airtune.scenario import Training

EPSILON = 1e-8


class ServerOptimizer:
    """Steps the global adapter along the aggregated update.

    ``sgd`` is plain, ``theta - eta u``: the method that the convergence bound describes.  ``adam``
    is Adam with bias correction [1]_, its gradient replaced by the aggregate [2]_.

    Parameters
    ----------
    settings : Training
        `server_optimizer`, `learning_rate`, `beta1`, `beta2` are used.
    size : int
        Entries d of the adapter.

    References
    ----------
    .. [1] Kingma, Ba: Adam: a method for stochastic optimization, 2015.
    .. [2] Reddi et al.: Adaptive federated optimization, 2021.
    """

    def __init__(self, settings: Training, size: int) -> None:
        self.settings = settings
        self.steps = 0
        moments = size if settings.server_optimizer == "adam" else 0
        self.first = np.zeros(moments)
        self.second = np.zeros(moments)

    def step(self, adapter: Vector, update: NDArray[np.floating]) -> Vector:
        """Return the next adapter.

        Parameters
        ----------
        adapter : ndarray, float32, shape (d,)
            Global adapter.
        update : ndarray, float, shape (d,)
            Aggregated descent direction.

        Returns
        -------
        ndarray, float32, shape (d,)
            A new array.
        """
        s = self.settings
        u = np.asarray(update, np.float64)
        self.steps += 1
        if s.server_optimizer == "sgd":
            return (adapter - s.learning_rate * u).astype(np.float32)
        self.first = s.beta1 * self.first + (1 - s.beta1) * u
        self.second = s.beta2 * self.second + (1 - s.beta2) * u**2
        mean = self.first / (1 - s.beta1**self.steps)
        square = self.second / (1 - s.beta2**self.steps)
        step = s.learning_rate * mean / (np.sqrt(square) + EPSILON)
        return (adapter - step).astype(np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what a checkpoint must keep, as arrays by name."""
        return {
            "steps": np.array([self.steps], np.int64),
            "first": self.first.copy(),
            "second": self.second.copy(),
        }

    def load(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Go on from a state that :meth:`state` returned.

        Raises
        ------
        ValueError
            The state belongs to another optimiser or another size.
        """
        first, second = (np.array(state[key], np.float64) for key in ("first", "second"))
        if first.shape != self.first.shape or second.shape != self.second.shape:
            raise ValueError(
                f"the state holds {first.shape} moments, the optimiser {self.first.shape}"
            )
        self.steps = int(np.asarray(state["steps"]).item())
        self.first, self.second = first, second
