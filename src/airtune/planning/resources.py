"""The plan of one run: rounds, batches, clocks, back-off and pre-training within its budgets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from airtune.allocation.allocate import allocate
from airtune.allocation.conflict import Knob, least_values
from airtune.allocation.feasibility import is_feasible
from airtune.allocation.problem import Processors, ResourceProblem, ServerProcessor
from airtune.allocation.turns import Turns, drawn_evenly, take_turns
from airtune.bound.convergence import (
    BoundConstants,
    batch_noise,
    bound_constant,
    participation_bias,
    pretraining_gap,
)
from airtune.costs import FloatArray
from airtune.errors import InputError
from airtune.planning.result import FixedCosts, Plan, describe, everybody
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
    )


def _or_infinity(budget: float | None) -> float:
    return float("inf") if budget is None else budget


def _processors(
    scenario: Scenario, omega: ArrayLike, cycles: ArrayLike, data_sizes: ArrayLike
) -> Processors:
    weights = np.asarray(omega, float)
    processor, shape = scenario.client_processor, weights.shape
    budget = scenario.budget.client_energy_j

    def spread(values: ArrayLike) -> FloatArray:
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


def make_plan(
    inputs: PlanInputs,
    mse_star: float,
    costs: FixedCosts,
    participants: NDArray[np.bool_] | None = None,
) -> Plan:
    """Plan a run for the air it meets.

    The result is exact (system-model 8) up to its certificate: no admissible choice has a bound
    below the certificate's, and of those with the same bound it takes the least energy that was
    met.

    Parameters
    ----------
    run : PlanInputs
    mse_star : float
        MSE of the participants' aggregation at full power (0 for an error-free one).
    costs : FixedCosts
        What a round with these participants costs besides computing; arrays of shape (K,).
    participants : ndarray of bool, shape (K,), optional
        Who takes part, all by default.  The others' weights are shared out in proportion, and the
        bias of their absence is part of the bound.

    Raises
    ------
    InputError
        When a budget cannot be met; the message names it and the least value that would do.
    """
    present = everybody(inputs.clients.omega) if participants is None else participants
    plan = try_plan(inputs, mse_star, costs, present)
    if plan is None:
        problem = resource_problem(inputs, mse_star, costs, present)
        raise InputError(_conflict(inputs, problem, costs, present))
    return plan


def try_plan(
    inputs: PlanInputs, mse_star: float, costs: FixedCosts, present: NDArray[np.bool_]
) -> Plan | None:
    """Plan a run as :func:`make_plan` does; None when a budget cannot be met."""
    problem = resource_problem(inputs, mse_star, costs, present)
    if not is_feasible(problem):
        return None
    found = allocate(problem)
    pretrained = found.steps, found.pretraining_batch
    if not inputs.charged:
        pretrained = inputs.steps[1], inputs.batches[1]
    noise = float(batch_noise(inputs.bound, problem.clients.omega, found.batch))
    parts = bound_constant(
        inputs.bound,
        rounds=found.rounds,
        pretraining=pretrained,
        noise=noise,
        mse=mse_star / found.backoff,
        beta=problem.beta,
    )
    return describe(
        problem,
        costs.of(present),
        rounds=found.rounds,
        pretrained=pretrained,
        samples=found.steps * found.pretraining_batch,
        batch=found.batch,
        clocks=found.clocks,
        backoff=found.backoff,
        server_time=found.server_time,
        bound=parts,
        lower_bound=min(found.lower_bound, parts.total),
    ).spread(present, inputs.clients.f_min)


def resource_problem(
    inputs: PlanInputs, mse_star: float, costs: FixedCosts, present: NDArray[np.bool_]
) -> ResourceProblem:
    """Arrange a run with these participants as the problem that `allocate` solves."""
    all_clients, mine = inputs.clients, costs.of(present)
    weights = all_clients.omega[present]
    turns = _turns(weights, mine)
    clients = Processors(
        omega=weights if np.all(present) else weights / weights.sum(),
        cycles=all_clients.cycles[present],
        kappa=all_clients.kappa[present],
        f_min=all_clients.f_min[present],
        f_max=all_clients.f_max[present],
        batch_max=all_clients.batch_max[present],
        radio_j=mine.uplink_j if mine.backoff else np.zeros_like(mine.uplink_j),
        fixed_j=mine.pilot_j if mine.backoff else mine.pilot_j + mine.uplink_j,
        budget_j=all_clients.budget_j[present],
    )
    if turns is not None:
        clients = clients.in_turn(np.sqrt(turns.squares), turns.share)
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
        latency_s=inputs.latency_s - mine.first_move_s,
        energy_j=inputs.energy_j - mine.first_move_j,
        beta=_squared_bias(inputs, present, mine.misalignment, turns),
    )


def _turns(weights: FloatArray, costs: FixedCosts) -> Turns | None:
    """Return the means over who of the participants transmits; None where all do."""
    if costs.together is not None and costs.redrawn:
        return drawn_evenly(weights, costs.together)
    if costs.together is None or costs.together >= len(weights):
        return None
    return take_turns(weights, costs.together)


def _squared_bias(
    inputs: PlanInputs, present: NDArray[np.bool_], misalignment: float, turns: Turns | None
) -> float:
    """Return beta of a round: absence, the air and the draw (docs/theory.md).

    The biases of absence and of the air, ``G^2 e^H C e``, at worst point one way; the variance of
    a draw enters the descent with L eta^2 / 2, so L eta times it counts like a squared bias.
    """
    c = inputs.bound
    if turns is None:
        absence, drawn = float(participation_bias(c, inputs.clients.omega, present)), 0.0
    else:
        absence, drawn = turns.bias * c.zeta_sq, c.L * c.eta * turns.spread * c.zeta_sq
    together = (absence**0.5 + (c.G_sq * misalignment) ** 0.5) ** 2 if misalignment else absence
    return together + drawn


def _conflict(
    inputs: PlanInputs, problem: ResourceProblem, costs: FixedCosts, present: NDArray[np.bool_]
) -> str:
    """Say which budgets of a scenario to raise, to which values."""
    found, together = least_values(problem, _knobs(inputs, costs, present))
    told = (" and " if together else " or ").join(
        f"{knob.name} = {knob.value:.9g} to at least {least!r}" for knob, least in found
    )
    fewest = problem.rounds[0]
    hint = (
        " (or lower training.rounds)" if fewest > 1 and inputs.rounds[0] == inputs.rounds[1] else ""
    )
    return (
        f"the budgets cannot be met in {fewest} round{'s' * (fewest > 1)} even with batches of one "
        f"sample: raise {told}{' together' * together}{hint}"
    )


def _knobs(inputs: PlanInputs, costs: FixedCosts, present: NDArray[np.bool_]) -> list[Knob]:
    """Budgets of the run by the names of their settings; the first way is not for sale."""
    budgets, knobs = inputs.clients.budget_j[present], []
    if np.isfinite(inputs.latency_s):
        way = costs.first_move_s
        knobs.append(
            Knob(
                "budget.latency_s", inputs.latency_s, lambda p, x: p.with_budgets(latency_s=x - way)
            )
        )
    if np.isfinite(inputs.energy_j):
        joules = costs.first_move_j
        knobs.append(
            Knob(
                "budget.energy_j", inputs.energy_j, lambda p, x: p.with_budgets(energy_j=x - joules)
            )
        )
    if inputs.shared_client_budget:
        if np.all(np.isfinite(budgets)):
            knobs.append(
                Knob(
                    "budget.client_energy_j",
                    float(budgets[0]),
                    lambda p, x: p.with_budgets(client_j=np.full_like(budgets, x)),
                )
            )
        return knobs
    names = np.flatnonzero(present)
    return knobs + [
        Knob.of_client(f"budget.client_energy_j[{names[i]}]", int(i), float(budgets[i]))
        for i in np.flatnonzero(np.isfinite(budgets))
    ]
