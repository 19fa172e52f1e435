"""What limits a plan: how far the bound would fall if one limit were relaxed a little."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from airtune.bound import BoundParts
from airtune.planning.expected_radio import ExpectedRadio
from airtune.planning.resources import PlanInputs, try_plan

RELAXED = 0.1
NAMES = {
    "latency_s": "the latency budget",
    "energy_j": "the total energy budget",
    "client_energy_j": "the clients' energy budgets",
    "air": "the air (its error at full power)",
    "shift": "the change of data (W1)",
    "pretraining": "pre-training (steps and batch)",
    "rounds": "the number of rounds",
    "batch_size": "the largest batch",
}
TERMS = {
    "initial_gap": "the initial gap",
    "shift": "the change of data",
    "batch_noise": "the noise of the batches",
    "air_noise": "the noise of the air",
    "bias": "the bias of those left out",
}


@dataclass(frozen=True)
class Margins:
    """Changes of the bound when single things are relaxed by a share, all else planned anew.

    Attributes
    ----------
    relaxed : float
        The share.
    changes : dict of str to float or None
        By the names of :data:`NAMES`; null where the plan with the change is impossible (given
        rounds that no longer fit) and absent where there is no such limit.
    clients : dict of int to float
        Of single clients' energy budgets, where all of them at once change the bound.
    term : str
        Largest term of the bound.

    Examples
    --------
    >>> margins = Margins(0.1, {"latency_s": -0.25, "rounds": 0.0}, {}, "air_noise")
    >>> margins.tightest
    'latency_s'
    >>> margins.sentence()  # doctest: +ELLIPSIS
    'the noise of the air is the largest term; what limits most is the latency budget: ...'
    """

    relaxed: float
    changes: dict[str, float | None]
    clients: dict[int, float]
    term: str

    @property
    def tightest(self) -> str | None:
        """What would lower the bound most; None when nothing would."""
        known = {name: change for name, change in self.changes.items() if change is not None}
        best = min(known, key=lambda name: known[name], default=None)
        return best if best is not None and known[best] < 0 else None

    def to_dict(self) -> dict[str, Any]:
        """Return the margins as plain JSON types."""
        return {
            "relaxed_by": self.relaxed,
            "bound_change": dict(self.changes),
            "bound_change_by_client": {str(k): change for k, change in self.clients.items()},
            "tightest": self.tightest,
            "largest_term": self.term,
        }

    def sentence(self) -> str:
        """Say in a sentence what limits the plan."""
        largest = f"{TERMS[self.term]} is the largest term"
        if self.tightest is None:
            return f"{largest}; relaxing no limit by {self.relaxed:.0%} lowers the bound"
        name = NAMES[self.tightest]
        if self.tightest == "client_energy_j" and self.clients:
            worst = min(self.clients, key=lambda k: self.clients[k])
            name += f" (most of all client {worst}'s)"
        change = self.changes[self.tightest]
        assert change is not None
        return f"{largest}; what limits most is {name}: {self.relaxed:.0%} more ease, {change:+.3g}"


def measure_margins(
    inputs: PlanInputs, expected: ExpectedRadio, bound: BoundParts, relaxed: float = RELAXED
) -> Margins:
    """Plan again with each limit relaxed by itself.

    Parameters
    ----------
    inputs : PlanInputs
    expected : ExpectedRadio
        What the plan was made for.
    bound : BoundParts
        Of the plan.
    relaxed : float
        Share by which a limit is relaxed: budgets and largest numbers up, errors down.

    Returns
    -------
    Margins
    """
    changes: dict[str, float | None] = {}
    for name, (changed, mse_star) in _relaxations(inputs, expected.mse_star, relaxed):
        changes[name] = _change(changed, expected, mse_star, bound)
    clients: dict[int, float] = {}
    if changes.get("client_energy_j"):
        for k in np.flatnonzero(np.isfinite(inputs.clients.budget_j) & expected.participants):
            budget = inputs.clients.budget_j.copy()
            budget[k] *= 1 + relaxed
            one = replace(inputs, clients=replace(inputs.clients, budget_j=budget))
            change = _change(one, expected, expected.mse_star, bound)
            clients[int(k)] = 0.0 if change is None else change
    return Margins(relaxed, changes, clients, bound.largest)


def _change(
    inputs: PlanInputs, expected: ExpectedRadio, mse_star: float, bound: BoundParts
) -> float | None:
    plan = try_plan(inputs, mse_star, expected.costs, expected.participants)
    return None if plan is None else plan.bound.total - bound.total


def _relaxations(
    inputs: PlanInputs, mse_star: float, share: float
) -> Iterator[tuple[str, tuple[PlanInputs, float]]]:
    """Yield the inputs and the error of the air with one limit relaxed at a time."""
    more, less = 1 + share, 1 - share

    def up(pair: tuple[int, int]) -> tuple[int, int]:
        top = math.ceil(pair[1] * more)
        return (top if pair[0] == pair[1] else pair[0], top)

    if math.isfinite(inputs.latency_s):
        yield "latency_s", (replace(inputs, latency_s=inputs.latency_s * more), mse_star)
    if math.isfinite(inputs.energy_j):
        yield "energy_j", (replace(inputs, energy_j=inputs.energy_j * more), mse_star)
    if np.any(np.isfinite(inputs.clients.budget_j)):
        clients = replace(inputs.clients, budget_j=inputs.clients.budget_j * more)
        yield "client_energy_j", (replace(inputs, clients=clients), mse_star)
    if mse_star > 0:
        yield "air", (inputs, mse_star * less)
    if inputs.bound.W1 > 0:
        yield (
            "shift",
            (replace(inputs, bound=replace(inputs.bound, W1=inputs.bound.W1 * less)), mse_star),
        )
    if inputs.steps[1] > 0:
        longer = replace(inputs, steps=up(inputs.steps), batches=up(inputs.batches))
        yield "pretraining", (longer, mse_star)
    yield "rounds", (replace(inputs, rounds=up(inputs.rounds)), mse_star)
    sizes = np.ceil(inputs.clients.batch_max * more)
    yield (
        "batch_size",
        (replace(inputs, clients=replace(inputs.clients, batch_max=sizes)), mse_star),
    )


def bound_curve(
    inputs: PlanInputs, expected: ExpectedRadio, most: int
) -> dict[int, BoundParts | None]:
    """Bound of the best plan of each T up to `most`, at up to some fifty of them; None: no plan.

    The last T with a plan and the first without are among them.

    Parameters
    ----------
    inputs : PlanInputs
    expected : ExpectedRadio
        What the plan was made for.
    most : int
        Greatest T.
    """
    dense = np.arange(1, 16)
    wide = np.unique(np.round(np.geomspace(1, max(most, 1), 28)).astype(int))
    even = np.unique(np.linspace(1, most, 12).astype(int))
    chosen = np.unique(np.concatenate((dense[dense <= most], wide, even)))

    def best(T: int) -> BoundParts | None:
        fixed = replace(inputs, rounds=(T, T))
        plan = try_plan(fixed, expected.mse_star, expected.costs, expected.participants)
        return None if plan is None else plan.bound

    curve = {int(T): best(int(T)) for T in chosen}
    last = max((T for T, bound in curve.items() if bound is not None), default=most)
    first = min((T for T, bound in curve.items() if bound is None), default=last + 1)
    while first - last > 1:  # more rounds cost more: halving finds the end
        middle = (first + last) // 2
        curve[middle] = best(middle)
        last, first = (last, middle) if curve[middle] is None else (middle, first)
    return curve
