"""The resource half of the joint plan as data: constants, fixed costs and budgets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from airtune.bound.convergence import BoundConstants
from airtune.costs import batch_energy
from airtune.kinds import Real

BACKOFF_MIN = 1e-6
ROUNDING = 1e-12  # relative slack of a budget, so that one met exactly counts as met


@dataclass(frozen=True)
class Processors:
    """Clients' processors and limits; every array has shape (K,).

    Where a client transmits in a share of the rounds only, its energies and its budget are scaled
    by this share: what it may do in its rounds stays the same, and sums over the clients are those
    of a mean round.

    Attributes
    ----------
    omega : ndarray, float, shape (K,)
        Weights, sum 1; the root of the mean squared weight where some transmit in a round.
    cycles : ndarray, float, shape (K,)
        Cycles per sample c_k = C_k H / phi_k (system model, section 7).
    kappa : ndarray, float, shape (K,)  [J s^2]
        Effective capacitance.
    f_min, f_max : ndarray, float, shape (K,)  [Hz]
        Range of the clock.
    batch_max : ndarray, float, shape (K,)
        Largest mini-batch, whole numbers >= 1.
    radio_j : ndarray, float, shape (K,)  [J]
        Energy of one upload at full power, P_k u_k; scaled by the back-off.
    fixed_j : ndarray, float, shape (K,)  [J]
        Energy of a round that no decision changes (pilots, reports).
    budget_j : ndarray, float, shape (K,)  [J]
        Energy budget over the whole run; infinity is no limit.
    share : ndarray, float, shape (K,), or float
        Share of the rounds that a client transmits in.
    """

    omega: Real
    cycles: Real
    kappa: Real
    f_min: Real
    f_max: Real
    batch_max: Real
    radio_j: Real
    fixed_j: Real
    budget_j: Real
    share: Real | float = 1.0

    def sampled(self, weights: Real, share: Real) -> Processors:
        """Return the clients with other weights (K,), each transmitting in a share of the rounds.

        See :mod:`airtune.allocation.client_sampling`.
        """
        return replace(
            self,
            omega=weights,
            kappa=self.kappa * share,
            radio_j=self.radio_j * share,
            fixed_j=self.fixed_j * share,
            budget_j=self.budget_j * share,
            share=share,
        )


@dataclass(frozen=True)
class ServerProcessor:
    """The server's processor in pre-training.

    Attributes
    ----------
    cycles : float
        Cycles per sample c_0; 0 where pre-training is not charged.
    kappa : float  [J s^2]
        Effective capacitance.
    f_min, f_max : float  [Hz]
        Range of the clock.
    """

    cycles: float
    kappa: float
    f_min: float
    f_max: float


@dataclass(frozen=True)
class ResourceProblem:
    """Everything the allocation needs; MSE* is constant over the rounds.

    Attributes
    ----------
    bound : BoundConstants
    clients : Processors
    server : ServerProcessor
    mse_star : float
        MSE of the aggregation at full power; MSE = mse_star / rho.
    round_s : float  [s]
        Time of a round besides computing (uplink, downlink, pilots, movement).
    round_j : float  [J]
        Energy of a round that no client pays (movement, downlink, pilots).
    rounds : (int, int)
        Least and largest T.
    steps, batches : (int, int)
        Ranges of T0 (from 0) and of B0 (from 1); equal ends fix the number.
    latency_s, energy_j : float  [s], [J]
        Total budgets; infinity is no limit.
    beta : float
        Squared bias of a round, see :func:`airtune.bound.participation_bias`.
    beside_s : float  [s]
        Time of what happens beside computing in each round (a movement): the time for computing is
        at least this.
    """

    bound: BoundConstants
    clients: Processors
    server: ServerProcessor
    mse_star: float
    round_s: float
    round_j: float
    rounds: tuple[int, int]
    steps: tuple[int, int]
    batches: tuple[int, int]
    latency_s: float
    energy_j: float
    beta: float = 0.0
    beside_s: float = 0.0

    @property
    def least_samples(self) -> int:
        """Fewest samples T0 B0 that pre-training may process."""
        return self.steps[0] * self.batches[0]

    def with_budgets(
        self,
        latency_s: float | None = None,
        energy_j: float | None = None,
        client_j: Real | None = None,
    ) -> ResourceProblem:
        """Return the problem with some budgets replaced; `client_j` as if in every round."""
        clients = self.clients
        if client_j is not None:
            clients = replace(clients, budget_j=client_j * clients.share)
        return replace(
            self,
            clients=clients,
            latency_s=self.latency_s if latency_s is None else latency_s,
            energy_j=self.energy_j if energy_j is None else energy_j,
        )


def deadline(problem: ResourceProblem, rounds: int, pretraining_s: float) -> float:
    """Time for computing in each round: D = (tau_max - t_pre) / T - fixed times  [s]."""
    return (problem.latency_s - pretraining_s) / rounds - problem.round_s


def client_energy(problem: ResourceProblem, batch: Real, limit: float) -> Real:
    """Least computing energy of one round, shape (K,)  [J], of batches (K,) by the deadline."""
    c = problem.clients
    return batch_energy(batch, limit, c.cycles, c.kappa, c.f_min)


def compute_allowance(problem: ResourceProblem, rounds: int, backoff: float) -> Real:
    """What a client may spend on computing in a round: E_k / T - rho p_k u - fixed, (K,)  [J]."""
    c = problem.clients
    return c.budget_j * (1 + ROUNDING) / rounds - backoff * c.radio_j - c.fixed_j


def server_time_range(problem: ResourceProblem, samples: int) -> tuple[float, float]:
    """Shortest and longest useful time of pre-training on T0 B0 samples  [s]."""
    work = samples * problem.server.cycles
    return work / problem.server.f_max, work / problem.server.f_min


def server_energy(problem: ResourceProblem, samples: int, time: float) -> float:
    """Energy of pre-training done in `time`: kappa_0 (n c_0)^3 / time^2  [J]."""
    if samples == 0:
        return 0.0
    work = samples * problem.server.cycles
    return float(problem.server.kappa * work * (work / time) ** 2)


def server_clock(problem: ResourceProblem, samples: int, time: float) -> float:
    """Clock f_0 that finishes T0 B0 samples in `time`; f_min where there is nothing to do."""
    if samples == 0:
        return problem.server.f_min
    clock = samples * problem.server.cycles / time
    return float(np.clip(clock, problem.server.f_min, problem.server.f_max))


def client_clocks(problem: ResourceProblem, batch: Real, limit: float) -> Real:
    """Slowest clocks f_k = max(f_min, c_k B_k / D), shape (K,)  [Hz]."""
    c = problem.clients
    return np.clip(c.cycles * batch / limit, c.f_min, c.f_max)
