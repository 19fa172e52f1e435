"""Server optimisers: the adapter steps along the aggregated update (FedOpt).

A server optimiser is a pair of functions without state of its own, (init, step), as in optax: the
run carries the state and the checkpoint keeps it.  Built in are, with the update u [1]_,

========  ============================================================
sgd       ``theta - eta u``: the method that the convergence bound describes
momentum  ``m <- momentum m + u``, ``theta - eta m`` [2]_
adam      ``m <- beta1 m + (1 - beta1) u``, ``v <- beta2 v + (1 - beta2) u^2``,
          ``theta - eta mhat / (sqrt(vhat) + epsilon)`` with bias correction [3]_
yogi      as adam, but ``v <- v - (1 - beta2) u^2 sign(v - u^2)`` [4]_: a rare large update is
          not forgotten as fast
========  ============================================================

References
----------
.. [1] Reddi et al.: Adaptive federated optimization, 2021.
.. [2] Hsu, Qi, Brown: Measuring the effects of non-identical data distribution for federated
   visual classification, 2019.
.. [3] Kingma, Ba: Adam: a method for stochastic optimization, 2015.
.. [4] Zaheer et al.: Adaptive methods for nonconvex optimization, 2018.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from airtune.errors import InputError
from airtune.learning.results import Vector
from airtune.scenario.learning import Training

OptimizerState = dict[str, NDArray[Any]]
"""Arrays by name; a checkpoint keeps them as they are."""


class ServerOptimizer(ABC):
    """The contract of a server optimiser.

    An entry of :data:`airtune.registry.SERVER_OPTIMIZERS` is an instance.  It holds no state: one
    instance serves all runs of a process.  `training.server_optimizer` names it.  Its own
    hyperparameters, beyond those of the section `training`, are attributes of the instance.

    Attributes
    ----------
    shrinks_under_noise : bool
        Whether the update is divided by the root of its second moment, as adam does, so that noise
        shrinks the step in the right direction by a known law (:mod:`airtune.bound.forecast`).
        `training.learning_rate_rule: noise-aware` needs it.

    Examples
    --------
    Descent along the signs, with the step halved at every change of the largest entry's sign:

    >>> class SignDescent(ServerOptimizer):
    ...     def init(self, adapter, settings):
    ...         return {"scale": np.ones(1), "sign": np.zeros(1)}
    ...
    ...     def step(self, adapter, update, state, settings):
    ...         sign = np.sign(update[np.argmax(np.abs(update))])
    ...         scale = state["scale"] / (2 if sign * state["sign"][0] < 0 else 1)
    ...         after = adapter - settings.learning_rate * scale * np.sign(update)
    ...         return after.astype(np.float32), {"scale": scale, "sign": np.array([sign])}
    >>> optimizer, settings = SignDescent(), Training(learning_rate=0.5)
    >>> adapter = np.zeros(2, np.float32)
    >>> state = optimizer.init(adapter, settings)
    >>> for update in ([3.0, -1.0], [-3.0, -1.0]):
    ...     adapter, state = optimizer.step(adapter, np.array(update), state, settings)
    >>> adapter.tolist()
    [-0.25, 0.75]

    ``airtune.registry.SERVER_OPTIMIZERS.add("sign-descent", SignDescent())`` makes it known in this
    process, an entry point of the group ``airtune.server_optimizers`` from another package.
    """

    shrinks_under_noise: ClassVar[bool] = False

    @abstractmethod
    def init(self, adapter: Vector, settings: Training) -> OptimizerState:
        """Return the state before the first round.

        Parameters
        ----------
        adapter : ndarray, float32, shape (d,)
            Adapter to start from.
        settings : Training
            The section `training`, with the learning rate of the run's scheme.

        Returns
        -------
        dict of str to ndarray
            Its names and shapes stay the same in all rounds.
        """

    @abstractmethod
    def step(
        self,
        adapter: Vector,
        update: NDArray[np.floating[Any]],
        state: OptimizerState,
        settings: Training,
    ) -> tuple[Vector, OptimizerState]:
        """Return the next adapter and the next state; the arguments stay as they are.

        Parameters
        ----------
        adapter : ndarray, float32, shape (d,)
            Global adapter.
        update : ndarray, float, shape (d,)
            Aggregated descent direction: the weighted mean of the clients' updates, with the error
            of the air.
        state : dict of str to ndarray
            What :meth:`init` or the last step returned.
        settings : Training
            As for :meth:`init`, but with the learning rate of the round
            (`training.learning_rate_rule`).

        Returns
        -------
        adapter : ndarray, float32, shape (d,)
            A new array.
        state : dict of str to ndarray
            A new dict.
        """


class GradientDescent(ServerOptimizer):
    """``theta - eta u``."""

    def init(self, adapter: Vector, settings: Training) -> OptimizerState:
        """Return the number of steps made."""
        return {"steps": np.zeros(1, np.int64)}

    def step(
        self,
        adapter: Vector,
        update: NDArray[np.floating[Any]],
        state: OptimizerState,
        settings: Training,
    ) -> tuple[Vector, OptimizerState]:
        """See :meth:`ServerOptimizer.step`."""
        u = np.asarray(update, np.float64)
        after = (adapter - settings.learning_rate * u).astype(np.float32)
        return after, {"steps": state["steps"] + 1}


class Momentum(ServerOptimizer):
    """``m <- momentum m + u``, ``theta - eta m``."""

    def init(self, adapter: Vector, settings: Training) -> OptimizerState:
        """Return the number of steps made and the first moment m."""
        return {"steps": np.zeros(1, np.int64), "first": np.zeros(len(adapter))}

    def step(
        self,
        adapter: Vector,
        update: NDArray[np.floating[Any]],
        state: OptimizerState,
        settings: Training,
    ) -> tuple[Vector, OptimizerState]:
        """See :meth:`ServerOptimizer.step`."""
        u = np.asarray(update, np.float64)
        first = settings.momentum * state["first"] + u
        after = (adapter - settings.learning_rate * first).astype(np.float32)
        return after, {"steps": state["steps"] + 1, "first": first}


class Adam(ServerOptimizer):
    """Adam with bias correction; subclasses may follow the second moment in another manner."""

    shrinks_under_noise: ClassVar[bool] = True

    def init(self, adapter: Vector, settings: Training) -> OptimizerState:
        """Return the number of steps made and the two moments m and v."""
        return {
            "steps": np.zeros(1, np.int64),
            "first": np.zeros(len(adapter)),
            "second": np.zeros(len(adapter)),
        }

    def step(
        self,
        adapter: Vector,
        update: NDArray[np.floating[Any]],
        state: OptimizerState,
        settings: Training,
    ) -> tuple[Vector, OptimizerState]:
        """See :meth:`ServerOptimizer.step`."""
        u = np.asarray(update, np.float64)
        beta1, beta2 = settings.beta1, settings.beta2
        steps = int(state["steps"].item()) + 1
        first = beta1 * state["first"] + (1 - beta1) * u
        second = self.second_moment(state["second"], u, beta2)
        mean = first / (1 - beta1**steps)
        square = second / (1 - beta2**steps)
        travel = settings.learning_rate * mean / (np.sqrt(square) + settings.epsilon)
        after = (adapter - travel).astype(np.float32)
        return after, {"steps": np.array([steps], np.int64), "first": first, "second": second}

    def second_moment(
        self, second: NDArray[np.float64], u: NDArray[np.float64], beta2: float
    ) -> NDArray[np.float64]:
        """Return the next v, shape (d,)."""
        return beta2 * second + (1 - beta2) * u**2


class Yogi(Adam):
    """Adam whose second moment moves by ``(1 - beta2) u^2`` towards u^2."""

    def second_moment(
        self, second: NDArray[np.float64], u: NDArray[np.float64], beta2: float
    ) -> NDArray[np.float64]:
        """Return the next v, shape (d,)."""
        return second - (1 - beta2) * u**2 * np.sign(second - u**2)


def finite_step(
    optimizer: ServerOptimizer,
    adapter: Vector,
    update: NDArray[np.floating[Any]],
    state: OptimizerState,
    settings: Training,
) -> tuple[Vector, OptimizerState] | None:
    """Return the step of an optimiser, or None where it is not finite.

    The server goes on from the adapter and the state that it has where a step is None: a step with
    a NaN or an infinity in it could not be undone by any later one.

    Parameters
    ----------
    optimizer : ServerOptimizer
    adapter, update, state, settings
        As for :meth:`ServerOptimizer.step`.

    Returns
    -------
    (adapter, state) or None
        None where the next adapter or an array of the next state holds a NaN or an infinity.

    Examples
    --------
    A step of 1e300 leaves what single precision holds:

    >>> adapter, update = np.zeros(1, np.float32), np.ones(1)
    >>> state = SGD.init(adapter, Training())
    >>> finite_step(SGD, adapter, update, state, Training(learning_rate=1e300)) is None
    True
    >>> finite_step(SGD, adapter, update, state, Training(learning_rate=0.5))[0].tolist()
    [-0.5]
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        after, next_state = optimizer.step(adapter, update, state, settings)
    finite = all(_is_finite(array) for array in (after, *next_state.values()))
    return (after, next_state) if finite else None


def _is_finite(array: NDArray[Any]) -> bool:
    """Tell whether no entry is a NaN or an infinity; whole numbers are none of them."""
    kind = np.asarray(array)
    return kind.dtype.kind not in "fc" or bool(np.isfinite(kind).all())


SGD, MOMENTUM, ADAM, YOGI = GradientDescent(), Momentum(), Adam(), Yogi()


def restore(fresh: OptimizerState, saved: Mapping[str, NDArray[Any]]) -> OptimizerState:
    """Return the state of a checkpoint, checked against what the optimiser starts with.

    Parameters
    ----------
    fresh : dict of str to ndarray
        What :meth:`ServerOptimizer.init` returns in this run.
    saved : mapping of str to ndarray
        Arrays of the checkpoint; empty ones are ignored.

    Raises
    ------
    InputError
        The state belongs to another optimiser or another size of adapter.

    Examples
    --------
    >>> fresh = MOMENTUM.init(np.zeros(3, np.float32), Training())
    >>> restore(fresh, {"steps": np.array([4]), "first": np.ones(3)})["first"]
    array([1., 1., 1.])
    >>> restore(fresh, {"steps": np.array([4])})
    Traceback (most recent call last):
    ...
    airtune.errors.InputError: training.server_optimizer: the checkpoint holds the moments \
{'steps': (1,)} of the server optimiser, not {'first': (3,), 'steps': (1,)}; go on with the \
optimiser that the run began with, or begin a new run
    """
    state = {name: np.array(value) for name, value in saved.items() if np.size(value)}
    expected, present = (
        {name: np.shape(value) for name, value in sorted(arrays.items()) if np.size(value)}
        for arrays in (fresh, state)
    )
    if present != expected:
        raise InputError(
            f"training.server_optimizer: the checkpoint holds the moments {present} of the server "
            f"optimiser, not {expected}; go on with the optimiser that the run began with, "
            "or begin a new run"
        )
    return {name: state.get(name, value) for name, value in fresh.items()}
