"""The resource turn: rounds, batches, clocks, back-off and pre-training within the budgets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from airtune.allocation import (
    Processors,
    ResourceProblem,
    SamplingMeans,
    ServerProcessor,
    allocate,
    is_feasible,
    sampled_with_replacement,
    sampled_without_replacement,
)
from airtune.bound import BoundConstants, participation_bias, pretraining_gap
from airtune.kinds import Mask, Real
from airtune.planning.objective import Objective
from airtune.planning.pilot import Pilot, objective_of
from airtune.planning.result import FixedCosts, Plan, describe
from airtune.planning.search import predicted_plan
from airtune.scenario import Scenario


@dataclass(frozen=True)
class PlanInputs:
    """What a plan is made for, whatever the air: who computes what, and within which budgets.

    Attributes
    ----------
    bound : BoundConstants
    clients : Processors
        All K clients; the radio's energies are left out (zero).
    server : ServerProcessor
    rounds : tuple of int
        Least and greatest T.
    steps, batches : tuple of int
        Ranges of T0 and B0; equal ends fix the number.
    charged : bool
        Whether pre-training is paid from the budgets.  If not, it is fixed.
    latency_s, energy_j : float
        Budgets of the run; infinity is no limit.
    shared_client_budget : bool
        Whether all clients have one budget, which is then named as one.
    objective : Objective or None
        What is minimised where it is predicted; None: the bound.
    """

    bound: BoundConstants
    clients: Processors
    server: ServerProcessor
    rounds: tuple[int, int]
    steps: tuple[int, int]
    batches: tuple[int, int]
    charged: bool
    latency_s: float
    energy_j: float
    shared_client_budget: bool = True
    objective: Objective | None = None

    @property
    def likely_rounds(self) -> int:
        """The least T, or where rounds are predicted those that an error-free run takes."""
        least, most = self.rounds
        if self.objective is None or not np.isfinite(self.objective.needed):
            return least
        return max(least, min(most, math.ceil(self.objective.needed)))


def plan_inputs(
    scenario: Scenario,
    constants: BoundConstants,
    *,
    omega: ArrayLike,
    cycles_per_sample: ArrayLike,
    data_sizes: ArrayLike,
    pretraining_cycles_per_sample: float = 0.0,
    pretraining_steps: int = 0,
    pretraining_batch: int = 1,
    pilot: Pilot | None = None,
) -> PlanInputs:
    """Read what a plan needs from a scenario.

    Parameters
    ----------
    scenario : Scenario
        Read: `client_processor`, `server_processor`, `training.batch_size_max`,
        `training.rounds`, `planning`, `budget`, `pretraining.charge`.
    constants : BoundConstants
        Constants of the bound.
    omega : array_like, shape (K,)
        Weights of the clients, sum 1.
    cycles_per_sample : array_like, shape (K,) or ()
        C_k H / phi_k, see :func:`airtune.costs.cycles_per_sample`.
    data_sizes : array_like of int, shape (K,)
        |D_k|, training records of each client.
    pretraining_cycles_per_sample, pretraining_steps, pretraining_batch : float, int, int
        Phase 1 at the server; the most steps and the largest batch when they are planned.

    pilot : Pilot, optional
        What a plan predicts from, where it minimises that (`planning.objective`).

    Returns
    -------
    PlanInputs

    Raises
    ------
    InputError
        The objective is to be predicted, and there is no pilot.
    """
    rounds, settings = scenario.training.rounds, scenario.planning
    charged = scenario.pretraining.charge and pretraining_cycles_per_sample > 0
    free = charged and settings.pretraining == "planned"
    budget = scenario.budget.client_energy_j
    return PlanInputs(
        bound=constants,
        clients=_processors(scenario, omega, cycles_per_sample, data_sizes),
        server=ServerProcessor(
            cycles=float(pretraining_cycles_per_sample),
            kappa=scenario.server_processor.kappa,
            f_min=scenario.server_processor.f_min_hz,
            f_max=scenario.server_processor.f_max_hz,
        ),
        rounds=(1 if settings.rounds == "planned" else rounds, rounds),
        steps=(0 if free else pretraining_steps, pretraining_steps),
        batches=(1 if free else pretraining_batch, pretraining_batch),
        charged=charged,
        latency_s=_or_infinity(scenario.budget.latency_s),
        energy_j=_or_infinity(scenario.budget.energy_j),
        shared_client_budget=not isinstance(budget, tuple),
        objective=objective_of(scenario, pilot, constants, omega),
    )


def _or_infinity(budget: float | None) -> float:
    return float("inf") if budget is None else budget


def _processors(
    scenario: Scenario, omega: ArrayLike, cycles: ArrayLike, data_sizes: ArrayLike
) -> Processors:
    weights = np.asarray(omega, float)
    processor, shape = scenario.client_processor, weights.shape
    budget = scenario.budget.client_energy_j

    def spread(values: ArrayLike) -> Real:
        return np.broadcast_to(np.asarray(values, float), shape).copy()

    return Processors(
        omega=weights,
        cycles=spread(cycles),
        kappa=spread(processor.kappa),
        f_min=spread(processor.f_min_hz),
        f_max=spread(processor.f_max_hz),
        batch_max=np.minimum(scenario.training.batch_size_max, spread(data_sizes)),
        radio_j=np.zeros(shape),
        fixed_j=np.zeros(shape),
        budget_j=spread(
            [_or_infinity(x) for x in budget] if isinstance(budget, tuple) else _or_infinity(budget)
        ),
    )


def try_plan(
    inputs: PlanInputs,
    mse_star: float,
    costs: FixedCosts,
    present: Mask,
    below: float = float("inf"),
) -> Plan | None:
    """Plan a run as :func:`airtune.planning.shortage.make_plan` does; None: a budget is too small.

    With the value of a plan that is known in `below` it is None, too, where what is predicted
    cannot be less.

    Pre-training that is not charged is where the run starts: the bound counts it, the budgets do
    not.  A movement that happens once, in the first round, is given either the time of computing,
    which is the same in all rounds, or time of its own: whichever has the lower value.
    """
    plan = _plan(inputs, mse_star, costs, present, below)
    hurried = np.isfinite(inputs.latency_s) or inputs.objective is not None
    if not (costs.overlap and costs.first_move_s > 0 and hurried):
        return plan
    known = below if plan is None else min(below, plan.value)
    other = _plan(inputs, mse_star, costs.serial_first, present, known)
    if plan is None or other is None:
        return plan or other
    return other if other.value < plan.value else plan


def _plan(
    inputs: PlanInputs, mse_star: float, costs: FixedCosts, present: Mask, below: float
) -> Plan | None:
    """Plan a run with its first movement as the costs say."""
    problem = resource_problem(inputs, mse_star, costs, present)
    if inputs.objective is not None:
        given = inputs.steps[1], inputs.batches[1]
        best = predicted_plan(problem, inputs.objective, costs, present, given, below)
        return None if best is None else best.spread(present, inputs.clients.f_min)
    if not is_feasible(problem):
        return None
    allocation = allocate(problem)
    if inputs.charged:
        pretraining = allocation.steps, allocation.pretraining_batch
    else:
        pretraining = inputs.steps[1], inputs.batches[1]
    plan = describe(problem, costs.of(present), allocation, pretraining)
    return plan.spread(present, inputs.clients.f_min)


def resource_problem(
    inputs: PlanInputs, mse_star: float, costs: FixedCosts, present: Mask
) -> ResourceProblem:
    """Arrange a run with these participants as the problem that `allocate` solves."""
    all_clients, mine = inputs.clients, costs.of(present)
    weights = all_clients.omega[present]
    sampling = sampling_means(weights, mine)
    clients = Processors(
        omega=weights if np.all(present) else weights / weights.sum(),
        cycles=all_clients.cycles[present],
        kappa=all_clients.kappa[present],
        f_min=all_clients.f_min[present],
        f_max=all_clients.f_max[present],
        batch_max=all_clients.batch_max[present],
        radio_j=mine.uplink_j if mine.backoff else np.zeros_like(mine.uplink_j),
        fixed_j=(mine.pilot_j if mine.backoff else mine.pilot_j + mine.uplink_j)
        + mine.uplink_fixed_j,
        budget_j=all_clients.budget_j[present],
    )
    if sampling is not None:
        clients = clients.sampled(np.sqrt(sampling.squared_weights), sampling.share)
    bound, steps, batches = inputs.bound, inputs.steps, inputs.batches
    if not inputs.charged:  # what is not paid for is where the run starts
        gap = float(pretraining_gap(bound, steps[1], batches[1]))
        bound, steps, batches = replace(bound, delta_pre=gap), (0, 0), (1, 1)
    return ResourceProblem(
        bound=bound,
        clients=clients,
        server=inputs.server,
        mse_star=mse_star,
        round_s=mine.round_s,
        round_j=mine.round_j,
        rounds=inputs.rounds,
        steps=steps,
        batches=batches,
        latency_s=inputs.latency_s - mine.first_s,
        energy_j=inputs.energy_j - mine.first_j,
        beta=_squared_bias(inputs, present, mine.misalignment, sampling),
        beside_s=mine.beside_s,
    )


def sampling_means(weights: Real, costs: FixedCosts) -> SamplingMeans | None:
    """Return the means over who of the participants transmits; None where all do."""
    if costs.transmitting is not None and costs.redrawn:
        return sampled_with_replacement(weights, costs.transmitting)
    if costs.transmitting is None or costs.transmitting >= len(weights):
        return None
    return sampled_without_replacement(weights, costs.transmitting)


def _squared_bias(
    inputs: PlanInputs, present: Mask, misalignment: float, sampling: SamplingMeans | None
) -> float:
    """Return beta of a round: absence, the air and the sampling (docs/theory.md, "A biased air").

    The biases of absence and of the air, ``G^2 e^H C e``, at worst have one direction and add up;
    the variance of a draw enters the descent with L eta^2 / 2, so L eta times it counts like a
    squared bias.
    """
    c = inputs.bound
    if sampling is None:
        absence, drawn = float(participation_bias(c, inputs.clients.omega, present)), 0.0
    else:
        absence = sampling.bias * c.zeta_sq
        drawn = c.L * c.eta * sampling.variance * c.zeta_sq
    bias = (absence**0.5 + (c.G_sq * misalignment) ** 0.5) ** 2 if misalignment else absence
    return bias + drawn
