"""Exact joint allocation of T, T0, B0, batches, clocks and back-off (system model, section 8)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from airtune.allocation.clocks import cheapest_server_time, total_energy
from airtune.allocation.feasibility import least_backoff
from airtune.allocation.kernels import Grid, RoundProblem, best_backoff, kernel_data
from airtune.allocation.pretraining import Front, pretraining_front
from airtune.allocation.problem import (
    BACKOFF_MIN,
    ResourceProblem,
    client_clocks,
    deadline,
    server_clock,
)
from airtune.allocation.separable import rounds_bounds, search_separable
from airtune.allocation.total_budget import TOLERANCE, Effort, search_total
from airtune.bound.convergence import (
    BoundParts,
    batch_noise,
    bound_constant,
    noise_gain,
    pretraining_gap,
    shift_gap,
)
from airtune.kinds import Real
from airtune.memory import demand


@dataclass(frozen=True)
class Allocation:
    """A solution of the resource problem.

    Attributes
    ----------
    rounds, steps, pretraining_batch : int
        T, T0, B0.
    batch : ndarray, float, shape (K,)
        B_k, whole numbers.
    clocks : ndarray, float, shape (K,)  [Hz]
        f_k.
    backoff : float
        rho.
    server_time : float  [s]
        Time of pre-training.
    server_clock : float  [Hz]
        f_0.
    bound : BoundParts
        Terms of the bound that is minimised.
    lower_bound : float
        No admissible choice has a smaller bound.
    energy_j : float  [J]
        Of the whole run.
    """

    rounds: int
    steps: int
    pretraining_batch: int
    batch: Real
    clocks: Real
    backoff: float
    server_time: float
    server_clock: float
    bound: BoundParts
    lower_bound: float
    energy_j: float


@dataclass(frozen=True)
class _Choice:
    rounds: int
    steps: int
    pretraining_batch: int
    batch: Real
    backoff: float

    @property
    def samples(self) -> int:
        return self.steps * self.pretraining_batch


def allocate(problem: ResourceProblem, effort: Effort | None = None) -> Allocation:
    """Minimise the convergence bound within the budgets (system model, section 8).

    Without a total energy budget the clients separate and the answer is exact; with one the search
    is branch and bound, and `lower_bound` of the answer says how far it may be from the least.

    Parameters
    ----------
    problem : ResourceProblem
        Must be feasible, see :func:`airtune.allocation.feasibility.is_feasible`.
    effort : Effort, optional
        Limits of the search under a total budget; the certificate is valid whatever they are.

    Returns
    -------
    Allocation
        Of the plans with the same bound, the one of least energy that was met.

    Raises
    ------
    ArithmeticError
        When the clocks of an admissible plan are lost to rounding, or a search does not end, as it
        may with numbers that are too far apart.
    InputError
        When there are too many choices to compare, or their tables do not fit into the memory.

    Examples
    --------
    Two clients of which the second computes at half the speed, in at most 4 rounds and 6 seconds:

    >>> import numpy as np
    >>> from airtune.allocation import Processors, ResourceProblem, ServerProcessor, allocate
    >>> from airtune.bound import BoundConstants
    >>> constants = BoundConstants(
    ...     L=4, mu=0.5, eta=0.1, sigma_g_sq=4, G_sq=8,
    ...     L0=4, mu0=0.05, eta0=0.1, sigma0_sq=4, delta_pre=6, L_x=0.5, W1=1,
    ... )
    >>> two = np.ones(2)
    >>> clients = Processors(
    ...     omega=0.5 * two, cycles=np.array([1e8, 2e8]), kappa=2.5e-28 * two,
    ...     f_min=3e8 * two, f_max=2e9 * two, batch_max=16 * two,
    ...     radio_j=0.003 * two, fixed_j=0 * two, budget_j=np.inf * two,
    ... )
    >>> problem = ResourceProblem(
    ...     constants, clients, ServerProcessor(1e7, 1e-27, 1e9, 3e9),
    ...     mse_star=0.05, round_s=0.6, round_j=0.5, rounds=(1, 4), steps=(0, 0), batches=(1, 1),
    ...     latency_s=6, energy_j=np.inf,
    ... )
    >>> answer = allocate(problem)
    >>> answer.rounds, answer.batch.astype(int).tolist(), answer.backoff
    (4, [16, 9], 1.0)
    >>> (answer.clocks / 1e9).round(3).tolist()  # the slowest clocks that meet the deadline
    [1.778, 2.0]
    """
    if problem.bound.contraction == 0:  # one round forgets the start: more only cost
        fewest = problem.rounds[0]
        problem = replace(problem, rounds=(fewest, fewest), steps=(problem.steps[0],) * 2)
    clients, limits = kernel_data(problem)
    front = _affordable_front(problem)
    grid = _grid(problem, front)
    choice = _least_choice(problem)
    offset = _bias_offset(problem)
    value = _objective(problem, choice).total - offset
    batch = np.empty(clients.alpha.size)
    lower = None
    if np.isfinite(problem.energy_j):
        tables = 48.0 * clients.alpha.size * float(clients.batch_max.max())
        demand("the largest batches: tables of what each may cost every client", tables)
        best, lower = search_total(clients, limits, grid, value, effort or Effort())
        t, p, rho = best.t, best.p, best.backoff
        lower += offset
        batch = batch if best.batch is None else best.batch
    else:
        bounds = rounds_bounds(clients, limits, grid)
        order = np.argsort(bounds)
        _, t, p, rho = search_separable(clients, limits, grid, bounds, order, value, batch)
    if t >= 0:
        choice = _Choice(
            int(grid.rounds[t]), int(front.steps[p]), int(front.batch[p]), batch.copy(), float(rho)
        )
    choice = _cheaper_twin(problem, _thriftier(problem, grid, front, choice))
    return _finish(problem, choice, lower)


def allocation_of(
    problem: ResourceProblem,
    rounds: int,
    batch: Real,
    backoff: float,
    lower_bound: float | None = None,
) -> Allocation:
    """Return given decisions as a solution: clocks, the server's time and the bound with them.

    Parameters
    ----------
    problem : ResourceProblem
        Pre-training is given: of its ranges the lower ends are taken.
    rounds : int
        T.
    batch : ndarray, float, shape (K,)
        Whole numbers; they keep the budgets.
    backoff : float
        rho in (0, 1].
    lower_bound : float, optional
        Of the bound; by default that of these decisions.

    Raises
    ------
    ArithmeticError
        The decisions do not keep the budgets.
    """
    first = problem.batches[0] if problem.steps[0] else 1
    return _finish(problem, _Choice(rounds, problem.steps[0], first, batch, backoff), lower_bound)


def _affordable_front(problem: ResourceProblem) -> Front:
    """Pareto front of pre-training within latency and total energy."""
    s, most = problem.server, float(problem.steps[1]) * problem.batches[1]
    if s.cycles > 0:
        slack = problem.latency_s * (1 + 1e-9) - problem.rounds[0] * problem.round_s
        most = min(most, slack * s.f_max / s.cycles)
        if s.kappa > 0:
            most = min(most, problem.energy_j * (1 + 1e-9) / (s.kappa * s.f_min**2 * s.cycles))
    return pretraining_front(
        problem.bound, problem.steps, problem.batches, max(most, problem.least_samples)
    )


def _grid(problem: ResourceProblem, front: Front) -> Grid:
    rounds = np.arange(problem.rounds[0], problem.rounds[1] + 1, dtype=float)
    return Grid(
        rounds=rounds,
        shrink=problem.bound.contraction**rounds,
        gain=noise_gain(problem.bound, rounds),
        samples=front.samples,
        start=front.gap + shift_gap(problem.bound) - _bias_offset(problem),
    )


def _bias_offset(problem: ResourceProblem) -> float:
    """Floor beta / (2 mu) of the bias term.

    The term is (1 - q) times this floor; taken out of the bound and out of the initial gap, it
    leaves a problem without bias: q Delta + (1 - q) x = q (Delta - x) + x.
    """
    return problem.beta / (2 * problem.bound.mu)


def _least_choice(problem: ResourceProblem) -> _Choice:
    """Cheapest admissible choice of all; feasible when any is."""
    return _Choice(
        problem.rounds[0],
        problem.steps[0],
        problem.batches[0] if problem.steps[0] else 1,
        np.ones_like(problem.clients.omega),
        least_backoff(problem),
    )


def _objective(problem: ResourceProblem, choice: _Choice) -> BoundParts:
    return bound_constant(
        problem.bound,
        rounds=choice.rounds,
        pretraining=(choice.steps, choice.pretraining_batch),
        noise=float(batch_noise(problem.bound, problem.clients.omega, choice.batch)),
        mse=problem.mse_star / choice.backoff,
        beta=problem.beta,
    )


def _thriftier(problem: ResourceProblem, grid: Grid, front: Front, choice: _Choice) -> _Choice:
    """Leave out rounds, then pre-training, that change the bound by rounding errors only."""
    c = problem.bound
    noise = float(batch_noise(c, problem.clients.omega, choice.batch))
    noise += c.G_sq * problem.mse_star / choice.backoff
    target = _objective(problem, choice).total * (1 + TOLERANCE)
    offset = _bias_offset(problem)
    target -= offset
    gap = float(pretraining_gap(c, choice.steps, choice.pretraining_batch)) + shift_gap(c) - offset
    t = int(np.argmax(grid.shrink * gap + grid.gain * noise <= target))
    p = int(np.argmax(grid.shrink[t] * grid.start + grid.gain[t] * noise <= target))
    if grid.samples[p] >= choice.samples:
        return replace(choice, rounds=int(grid.rounds[t]))
    return replace(
        choice,
        rounds=int(grid.rounds[t]),
        steps=int(front.steps[p]),
        pretraining_batch=int(front.batch[p]),
    )


def _cheaper_twin(problem: ResourceProblem, choice: _Choice) -> _Choice:
    """Among clients of equal weight, give the larger batches to those that compute cheaply.

    The bound does not change, the energy falls; taken when it is admissible with no less power.
    """
    c = problem.clients
    clients, limits = kernel_data(problem)
    batch = choice.batch.copy()
    for weight in np.unique(c.omega):
        group = np.flatnonzero(c.omega == weight)
        cheap_first = group[np.lexsort((c.kappa[group] * c.cycles[group] ** 3,))]
        batch[cheap_first] = np.sort(batch[group])[::-1]
    if np.any(batch > c.batch_max) or np.array_equal(batch, choice.batch):
        return choice
    rho, _ = best_backoff(
        RoundProblem(clients, limits, float(choice.rounds), float(choice.samples)), batch
    )
    if rho < choice.backoff:
        return choice
    other = replace(choice, batch=batch, backoff=max(rho, choice.backoff))
    before = _finish(problem, choice, None)
    after = _finish(problem, other, None)
    better = (after.bound.total, after.energy_j) <= (before.bound.total, before.energy_j)
    return other if better else choice


def _finish(problem: ResourceProblem, choice: _Choice, lower: float | None) -> Allocation:
    """Find the clocks and the parts of the bound of a choice."""
    backoff = choice.backoff
    time = None
    for slack in (0.0, 1e-12, 1e-10):  # the back-off may sit on its limit to the last digit
        backoff = max(choice.backoff * (1 - slack), least_backoff(problem), BACKOFF_MIN)
        time = cheapest_server_time(problem, choice.rounds, choice.samples, choice.batch, backoff)
        if time is not None:
            break
    if time is None:
        raise ArithmeticError("the clocks of an admissible plan were lost to rounding")
    choice = replace(choice, backoff=backoff)
    bound = _objective(problem, choice)
    return Allocation(
        rounds=choice.rounds,
        steps=choice.steps,
        pretraining_batch=choice.pretraining_batch,
        batch=choice.batch,
        clocks=client_clocks(problem, choice.batch, deadline(problem, choice.rounds, time)),
        backoff=backoff,
        server_time=time,
        server_clock=server_clock(problem, choice.samples, time),
        bound=bound,
        lower_bound=bound.total if lower is None else min(lower, bound.total),
        energy_j=total_energy(problem, choice.rounds, choice.samples, choice.batch, backoff, time),
    )
