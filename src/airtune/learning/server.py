"""The server's optimisers: the adapter steps along the aggregated update (FedOpt)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airtune.learning.results import Vector
from airtune.scenario.learning import Training

# Which moments of the update an optimiser keeps.
KEEPS_FIRST = ("momentum", "adam", "yogi")
KEEPS_SECOND = ("adam", "yogi")


class ServerOptimizer:
    """Steps the global adapter along the aggregated update u, as its gradient [1]_.

    ========  ============================================================
    sgd       ``theta - eta u``: the method that the convergence bound describes
    momentum  ``m <- momentum m + u``, ``theta - eta m`` [2]_
    adam      ``m <- beta1 m + (1 - beta1) u``, ``v <- beta2 v + (1 - beta2) u^2``,
              ``theta - eta mhat / (sqrt(vhat) + epsilon)`` with bias correction [3]_
    yogi      as adam, but ``v <- v - (1 - beta2) u^2 sign(v - u^2)`` [4]_: a rare large update is
              not forgotten as fast
    ========  ============================================================

    Parameters
    ----------
    settings : Training
        `server_optimizer`, `learning_rate`, `momentum`, `beta1`, `beta2`, `epsilon` are used.
    size : int
        Entries d of the adapter.

    References
    ----------
    .. [1] Reddi et al.: Adaptive federated optimization, 2021.
    .. [2] Hsu, Qi, Brown: Measuring the effects of non-identical data distribution for federated
       visual classification, 2019.
    .. [3] Kingma, Ba: Adam: a method for stochastic optimization, 2015.
    .. [4] Zaheer et al.: Adaptive methods for nonconvex optimization, 2018.
    """

    def __init__(self, settings: Training, size: int) -> None:
        self.settings = settings
        self.steps = 0
        kind = settings.server_optimizer
        self.first = np.zeros(size if kind in KEEPS_FIRST else 0)
        self.second = np.zeros(size if kind in KEEPS_SECOND else 0)

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
        if s.server_optimizer == "momentum":
            self.first = s.momentum * self.first + u
            return (adapter - s.learning_rate * self.first).astype(np.float32)
        self.first = s.beta1 * self.first + (1 - s.beta1) * u
        if s.server_optimizer == "adam":
            self.second = s.beta2 * self.second + (1 - s.beta2) * u**2
        else:
            self.second = self.second - (1 - s.beta2) * u**2 * np.sign(self.second - u**2)
        mean = self.first / (1 - s.beta1**self.steps)
        square = self.second / (1 - s.beta2**self.steps)
        step = s.learning_rate * mean / (np.sqrt(square) + s.epsilon)
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
