"""The contract of a selection policy: what it knows when a round begins, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from airtune.bound.convergence import BoundConstants
from airtune.errors import InputError
from airtune.kinds import Complex, Integer, Real
from airtune.schemes import ArrayPolicy, RadioRound


@dataclass(frozen=True)
class Candidates:
    """The clients that may transmit in a round, and what is known of them.

    Attributes
    ----------
    radio : RadioRound
        The round's paths; a policy reads the perceived ones only.
    clients : ndarray, int, shape (E,)
        Ascending indices of those that may be chosen.
    limit : int
        Most clients that transmit together (`clients.concurrency`).
    omega : ndarray, float, shape (K,)
        Weights of all clients, sum 1.
    scaled_weights : ndarray, float, shape (K,)
        omega_k times the client's last reported scale over the common one: nu_k of a set S is
        this over the weight of S.
    batch_sizes : ndarray, int, shape (K,)
        Planned mini-batches.
    average_rates : ndarray, float, shape (K,)
        Average rate that each client was served with [bit/s/Hz]; zeros before the first round.
    array : ArrayPolicy
        Where the antennas can be.
    positions : ndarray, float, shape (N, 2)
        Where they are [wavelengths].
    constants : BoundConstants
        Of the convergence bound.
    unbiased : bool
        Setting `clients.unbiased`.
    fair_window : float
        Setting `clients.fair_window` [rounds].
    """

    radio: RadioRound
    clients: Integer
    limit: int
    omega: Real
    scaled_weights: Real
    batch_sizes: Integer
    average_rates: Real
    array: ArrayPolicy
    positions: Real
    constants: BoundConstants
    unbiased: bool
    fair_window: float

    @cached_property
    def sinr(self) -> Real:
        """Mean SINR of each client at one antenna, shape (K,), averaged over its place.

        ``P_k sum_l |a_kl|^2 / (sigma^2 + sum_j q_j sum_l |a_jl|^2)``: what no movement changes, so
        that all schemes of a comparison choose the same clients.
        """
        perceived, budget = self.radio.perceived, self.radio.budget
        interference = budget.interferer_powers * _path_power(perceived.interferers.gains)
        sinr = np.asarray(
            budget.client_powers
            * _path_power(perceived.clients.gains)
            / (budget.noise + interference.sum())
        )
        # its antennas send so that they add up at the one that receives
        return sinr if self.radio.client_antennas == 1 else sinr * self.radio.client_antennas


@dataclass(frozen=True)
class Choice:
    """The answer of a policy.

    Attributes
    ----------
    clients : ndarray, int, shape (S,)
        Ascending indices of those that transmit.
    factors : ndarray, float, shape (S,)
        Their weights in the mean over omega_k.
    bias_free : bool
        Whether the expected mean over the draws is the mean over all clients.
    average_rates : ndarray, float, shape (K,), or None
        What the policy remembers; None leaves it as it is.
    """

    clients: Integer
    factors: Real
    bias_free: bool = False
    average_rates: Real | None = None

    def spread(self, values: Real) -> Real:
        """Return `values`, shape (K,), times the factors of those chosen, 0 for all others."""
        spread = np.zeros(len(values))
        spread[self.clients] = values[self.clients] * self.factors
        return spread


class Policy(ABC):
    """Chooses the clients that transmit together in a round.

    ``airtune.registry.POLICIES`` names objects of this class; the setting `clients.selection`
    chooses one.  A policy has no state: draws come from named streams of (seed, round), and what
    it has to remember goes out with `Choice.average_rates` and comes back with the candidates.

    Attributes
    ----------
    about : str
        Of the class: one line for the manual.
    looks_at_channels : bool
        Of the class: whether the choice needs the channels of this round, so that all who may be
        chosen have to send pilots (`radio.pilot_rule: by-array`).

    Examples
    --------
    Clients that take turns:

    >>> class RoundRobin(Policy):
    ...     about = "one set of clients after the other"
    ...     looks_at_channels = False
    ...
    ...     def select(self, candidates):
    ...         c = candidates
    ...         first = (c.radio.round - 1) * c.limit
    ...         turn = (first + np.arange(min(c.limit, len(c.clients)))) % len(c.clients)
    ...         return renormalised(c.clients[turn], c.omega)
    """

    about: ClassVar[str]
    looks_at_channels: ClassVar[bool] = True

    @abstractmethod
    def select(self, candidates: Candidates) -> Choice:
        """Return the clients of one round.

        Parameters
        ----------
        candidates : Candidates
            At least one client that may be chosen.

        Returns
        -------
        Choice
            At least one of them and at most `candidates.limit`.
        """


def choose(name: str, policy: Policy, candidates: Candidates) -> Choice:
    """Return the choice of a policy, refused where it breaks the contract.

    Parameters
    ----------
    name : str
        Of the policy, for messages.
    policy : Policy
    candidates : Candidates

    Raises
    ------
    InputError
        The policy answers with something else than a choice of 1 to `candidates.limit` of the
        candidates, in ascending order and each once, with a positive factor for each.
    """
    choice = policy.select(candidates)
    where = f"clients.selection = {name!r}: in round {candidates.radio.round} the policy"
    if not isinstance(choice, Choice):
        raise InputError(f"{where} returned {type(choice).__name__}, not a Choice")
    chosen, factors = np.asarray(choice.clients), np.asarray(choice.factors)
    if not 1 <= len(chosen) <= max(candidates.limit, 1):
        raise InputError(f"{where} chose {len(chosen)} clients; 1 to {candidates.limit} may send")
    if not np.isin(chosen, candidates.clients).all() or (np.diff(chosen) <= 0).any():
        raise InputError(
            f"{where} chose {chosen.tolist()}: must be candidates, ascending and each once"
        )
    if factors.shape != chosen.shape or not (np.isfinite(factors) & (factors > 0)).all():
        raise InputError(f"{where} gave the factors {factors.tolist()}: must be positive numbers")
    return choice


def renormalised(clients: Integer, omega: Real, average_rates: Real | None = None) -> Choice:
    """Return the choice of these clients with omega renormalised over them (system model, 4).

    Parameters
    ----------
    clients : ndarray, int, shape (S,)
        Distinct indices, in any order.
    omega : ndarray, float, shape (K,)
        Weights of all clients, sum 1.
    average_rates : ndarray, float, shape (K,), optional
        What the policy remembers.

    Examples
    --------
    >>> choice = renormalised(np.array([2, 0]), np.array([0.25, 0.5, 0.25]))
    >>> choice.clients.tolist(), choice.factors.tolist()
    ([0, 2], [2.0, 2.0])
    """
    chosen = np.sort(clients)
    # exactly 1 where everybody transmits, whatever the rounding of the sum
    share = 1.0 if len(chosen) == len(omega) else float(omega[chosen].sum())
    return Choice(chosen, np.full(len(chosen), 1.0 / share), average_rates=average_rates)


def strongest(scores: Real, clients: Integer, count: int) -> Integer:
    """Return the `count` clients of the largest scores (of equal ones the first).

    Parameters
    ----------
    scores : ndarray, float, shape (K,)
        Of all clients.
    clients : ndarray, int
        Indices of those that may be taken.
    count : int

    Examples
    --------
    >>> strongest(np.array([1.0, 5.0, 3.0]), np.array([0, 2]), 1).tolist()
    [2]
    """
    order = np.argsort(-scores[clients], kind="stable")
    return np.asarray(clients[order[:count]])


def _path_power(gains: Complex) -> Real:
    """Return the sum of the squared moduli over the paths, shape (K,)."""
    return np.asarray(np.sum(gains.real**2 + gains.imag**2, axis=1))
