"""What the scheduler knows when a round begins, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from airtune.bound.convergence import BoundConstants
from airtune.kinds import Integer, Real
from airtune.radio.units import interferer_powers, receiver_noise
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

    @cached_property
    def rough(self) -> RadioRound:
        """The same round with the placement solver's fast mode, to try many sets."""
        scenario = self.radio.scenario
        placement = scenario.placement.model_copy(update={"mode": "fast"})
        return replace(self.radio, scenario=scenario.model_copy(update={"placement": placement}))

    @cached_property
    def sinr(self) -> Real:
        """Mean SINR of each client at one antenna, shape (K,), averaged over its place.

        ``P_k sum_l |a_kl|^2 / (sigma^2 + sum_j q_j sum_l |a_jl|^2)``: what no movement changes, so
        that all schemes of a comparison choose the same clients.
        """
        block, settings = self.radio.perceived, self.radio.scenario.radio
        heard = interferer_powers(settings.interferers) * _path_power(block.interferers.gains)
        return np.asarray(
            self.radio.powers
            * _path_power(block.clients.gains)
            / (receiver_noise(settings) + heard.sum())
        )


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

    def holds_all(self, count: int) -> bool:
        """Return whether all `count` clients transmit."""
        return len(self.clients) == count

    def spread(self, values: Real) -> Real:
        """Return `values`, shape (K,), times the factors of those chosen, 0 for all others."""
        spread = np.zeros(len(values))
        spread[self.clients] = values[self.clients] * self.factors
        return spread


def renormalised(clients: Integer, omega: Real, average_rates: Real | None = None) -> Choice:
    """Return the choice of these clients with omega renormalised over them (section 4)."""
    chosen = np.sort(clients)
    # exactly 1 where everybody transmits, whatever the rounding of the sum
    share = 1.0 if len(chosen) == len(omega) else float(omega[chosen].sum())
    return Choice(chosen, np.full(len(chosen), 1.0 / share), average_rates=average_rates)


def _path_power(gains: np.ndarray) -> Real:
    return np.asarray(np.sum(gains.real**2 + gains.imag**2, axis=1))
