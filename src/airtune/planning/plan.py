"""The plan of one run: batches, clocks and back-off within the scenario's budgets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from airtune.errors import InputError
from airtune.planning.bound import BoundConstants, batch_noise, bound_constant
from airtune.planning.clocks import cheapest_server_time
from airtune.planning.closed_form import best_backoff
from airtune.planning.cost import FloatArray
from airtune.planning.feasibility import is_feasible, least_budget
from airtune.planning.problem import (
    Processors,
    ResourceProblem,
    ServerProcessor,
    client_clocks,
    deadline,
    server_time_range,
)
from airtune.planning.result import FixedCosts, Plan, describe
from airtune.scenario import Scenario


def make_plan(
    scenario: Scenario,
    *,
    omega: ArrayLike,
    cycles_per_sample: ArrayLike,
    data_sizes: ArrayLike,
    mse_star: float,
    uplink_s: float,
    uplink_power_w: ArrayLike,
    uplink_airtime_s: ArrayLike | None = None,
    backoff: bool = True,
    downlink_s: float = 0.0,
    downlink_j: float = 0.0,
    pilot_s: float = 0.0,
    pilot_j: ArrayLike = 0.0,
    move_s: float = 0.0,
    move_j: float = 0.0,
    pretraining_cycles_per_sample: float = 0.0,
    pretraining_steps: int = 0,
    pretraining_batch: int = 1,
    rounds: int | None = None,
) -> Plan:
    """Plan a run of given rounds and given pre-training: batches, clocks and back-off.

    The result is exact (system-model 8): no admissible choice has a lower bound, and of those with
    the same bound it takes the least energy.

    Parameters
    ----------
    scenario : Scenario
        Read: `client_processor`, `server_processor`, `training.batch_size_max`,
        `training.rounds`, `budget`, `bound`, `pretraining.charge`.
    omega : array_like, shape (K,)
        Weights of the clients, sum 1.
    cycles_per_sample : array_like, shape (K,) or ()
        C_k H / phi_k, see :func:`airtune.planning.cost.cycles_per_sample`.
    data_sizes : array_like of int, shape (K,)
        |D_k|, training records of each client.
    mse_star : float
        MSE of the aggregation at full power (0 for an error-free one).
    uplink_s : float  [s]
        What the upload of all clients adds to a round; of digital clients in turn: the sum.
    uplink_power_w : array_like, shape (K,) or ()  [W]
        Power of each client while it uploads.
    uplink_airtime_s : array_like, shape (K,), optional  [s]
        How long each client uploads; `uplink_s` by default.
    backoff : bool
        Whether transmit powers may be scaled down (over the air: yes; digital: no).
    downlink_s, pilot_s, move_s : float  [s]
        Per round; `pilot_s` includes the side information.
    downlink_j, move_j : float  [J]
        Per round.
    pilot_j : array_like, shape (K,) or ()  [J]
        Pilots and side information, paid by each client.
    pretraining_cycles_per_sample, pretraining_steps, pretraining_batch : float, int, int
        Phase 1 at the server.
    rounds : int, optional
        T; `training.rounds` by default.

    Raises
    ------
    InputError
        When a budget cannot be met; the message names it and the least value that would do.
    """
    clients = np.asarray(omega, float).shape[0]
    airtime = uplink_s if uplink_airtime_s is None else np.asarray(uplink_airtime_s, float)
    fixed = FixedCosts(
        uplink_s=uplink_s,
        downlink_s=downlink_s,
        pilot_s=pilot_s,
        move_s=move_s,
        uplink_j=np.broadcast_to(np.asarray(uplink_power_w, float) * airtime, clients),
        pilot_j=np.broadcast_to(np.asarray(pilot_j, float), clients),
        downlink_j=downlink_j,
        move_j=move_j,
        backoff=backoff,
    )
    total_rounds = scenario.training.rounds if rounds is None else rounds
    charged = scenario.pretraining.charge and pretraining_cycles_per_sample > 0
    steps = pretraining_steps if charged else 0
    batch = pretraining_batch if steps else 1
    problem = ResourceProblem(
        bound=BoundConstants.from_mapping(scenario.bound.model_dump()),
        clients=_processors(scenario, omega, cycles_per_sample, data_sizes, fixed),
        server=ServerProcessor(
            cycles=float(pretraining_cycles_per_sample),
            kappa=scenario.server_processor.kappa,
            f_min=scenario.server_processor.f_min_hz,
            f_max=scenario.server_processor.f_max_hz,
        ),
        mse_star=mse_star,
        round_s=uplink_s + downlink_s + pilot_s + move_s,
        round_j=downlink_j + move_j,
        rounds=(total_rounds, total_rounds),
        steps=(steps, steps),
        batches=(batch, batch),
        latency_s=_or_infinity(scenario.budget.latency_s),
        energy_j=float("inf"),
    )
    _check_budgets(problem)
    return _solve(problem, fixed, pretrained=(pretraining_steps, pretraining_batch))


def _or_infinity(budget: float | None) -> float:
    return float("inf") if budget is None else budget


def _processors(
    scenario: Scenario,
    omega: ArrayLike,
    cycles: ArrayLike,
    data_sizes: ArrayLike,
    fixed: FixedCosts,
) -> Processors:
    weights = np.asarray(omega, float)
    processor, shape = scenario.client_processor, weights.shape

    def spread(values: ArrayLike) -> FloatArray:
        return np.broadcast_to(np.asarray(values, float), shape).copy()

    return Processors(
        omega=weights,
        cycles=spread(cycles),
        kappa=spread(processor.kappa),
        f_min=spread(processor.f_min_hz),
        f_max=spread(processor.f_max_hz),
        batch_max=np.minimum(scenario.training.batch_size_max, spread(data_sizes)),
        radio_j=spread(fixed.uplink_j if fixed.backoff else 0.0),
        fixed_j=spread(fixed.pilot_j if fixed.backoff else fixed.pilot_j + fixed.uplink_j),
        budget_j=spread(_or_infinity(scenario.budget.client_energy_j)),
    )


def _check_budgets(problem: ResourceProblem) -> None:
    if is_feasible(problem):
        return
    clients = problem.clients.budget_j
    answers = []
    least = least_budget(lambda x: problem.with_budgets(latency_s=x), problem.latency_s)
    if np.isfinite(problem.latency_s) and least is not None:
        answers.append(("budget.latency_s", problem.latency_s, least))
    if np.all(np.isfinite(clients)):
        least = least_budget(
            lambda x: problem.with_budgets(client_j=np.full_like(clients, x)), float(clients[0])
        )
        if least is not None:
            answers.append(("budget.client_energy_j", float(clients[0]), least))
    if answers:
        told = " or ".join(
            f"{name} = {value:.9g} to at least {need!r}" for name, value, need in answers
        )
        raise InputError(
            f"the budgets cannot be met in {problem.rounds[0]} rounds even with batches of one "
            f"sample: raise {told} (or lower training.rounds)"
        )
    raise InputError(
        f"budget.latency_s = {problem.latency_s:.9g} and budget.client_energy_j = "
        f"{float(clients[0]):.9g} conflict: {problem.rounds[0]} rounds need more of both"
    )


def _solve(problem: ResourceProblem, fixed: FixedCosts, pretrained: tuple[int, int]) -> Plan:
    rounds, samples = problem.rounds[0], problem.least_samples
    shortest = server_time_range(problem, samples)[0]
    found = best_backoff(problem, rounds, deadline(problem, rounds, shortest))
    if found is None:  # the budgets were checked
        raise AssertionError("a feasible problem has no plan")
    _, rho, batch = found
    time = cheapest_server_time(problem, rounds, samples, batch, rho)
    if time is None:
        raise AssertionError("the clocks of a feasible plan do not exist")
    limit = deadline(problem, rounds, time)
    clocks = client_clocks(problem, batch, limit)
    parts = bound_constant(
        problem.bound,
        rounds=rounds,
        pretraining=pretrained,
        noise=float(batch_noise(problem.bound, problem.clients.omega, batch)),
        mse=problem.mse_star / rho,
    )
    return describe(
        problem,
        fixed,
        rounds=rounds,
        pretrained=pretrained,
        samples=samples,
        batch=batch,
        clocks=clocks,
        backoff=rho,
        server_time=time,
        bound=parts,
        lower_bound=parts.total,
    )
