"""Search under a total energy budget: bounds for all, then the exact round problem for a few.

1. A coarse table of the dual ranks (T, T0 B0); the best few give a first plan.
2. A table that is fine around this plan bounds all (T, T0 B0); few stay below the plan.
3. In the order of their bounds these get the relaxation of their own, which also improves the plan.
4. What is left is enumerated, within a limit of nodes; whatever is not finished keeps its bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from airtune.allocation.dual_table import DualTable, scan_front, table_bound, tabulate
from airtune.allocation.kernels import Clients, Grid, Limits, RoundProblem, deadline_at
from airtune.allocation.knapsack import RoundSolution, solve_round
from airtune.allocation.problem import BACKOFF_MIN
from airtune.allocation.separable import separable_noise
from airtune.kinds import Integer, Real

TOLERANCE = 1e-12


@dataclass(frozen=True)
class Effort:
    """Limits of the search; they bound the work, never the validity of the bound.

    Attributes
    ----------
    relaxations : int
        Work for the relaxations of single (T, T0 B0), in clients.
    nodes : int
        Nodes of one enumeration.
    total_nodes : int
        Nodes of all enumerations.
    gap : float
        Relative gap that is small enough.
    """

    relaxations: int = 1_200_000
    nodes: int = 4_000_000
    total_nodes: int = 10_000_000
    gap: float = 1e-9


@dataclass
class Incumbent:
    """Best plan so far."""

    value: float
    t: int = -1
    p: int = -1
    backoff: float = 0.0
    batch: Real | None = None


class Open(NamedTuple):
    """(T, T0 B0) still to be closed: indices and lower bounds, arrays of shape (C,)."""

    t: Integer
    p: Integer
    bound: Real


@dataclass(frozen=True)
class _Search:
    clients: Clients
    limits: Limits
    grid: Grid
    best: Incumbent
    trial: Real

    def own_noise(self, t: int, p: int) -> float:
        """Least noise of a round if there were no total budget; infinity where there is no plan."""
        g, limits = self.grid, self.limits
        deadline = deadline_at(limits, g.rounds[t], g.samples[p] * limits.server_fast)
        noise, _ = separable_noise(
            self.clients, limits, g.rounds[t], deadline, np.inf, False, self.trial
        )
        return float(noise)

    def attempt(
        self, t: int, p: int, price: float, sweeps: int, nodes: int
    ) -> tuple[float, RoundSolution]:
        """Solve one round problem; the lower bound of its plans, and its solution."""
        g, best = self.grid, self.best
        cut = (best.value * (1 - TOLERANCE) - g.shrink[t] * g.start[p]) / g.gain[t]
        problem = RoundProblem(self.clients, self.limits, g.rounds[t], g.samples[p])
        solved = solve_round(problem, cut, price, sweeps, nodes, self.trial)
        base = g.shrink[t] * g.start[p]
        if np.isfinite(solved.value) and base + g.gain[t] * solved.value < best.value:
            best.value = float(base + g.gain[t] * solved.value)
            best.t, best.p, best.backoff = t, p, solved.backoff
            best.batch = self.trial.copy()
        return float(base + g.gain[t] * solved.lower), solved


def search_total(
    clients: Clients, limits: Limits, grid: Grid, cut: float, effort: Effort
) -> tuple[Incumbent, float]:
    """Best plan below `cut` and a valid lower bound of all plans."""
    best = Incumbent(cut)
    search = _Search(clients, limits, grid, best, np.empty(clients.alpha.size))
    shortest = max(float(np.max(clients.cycles / clients.f_max)), float(limits.beside_s))
    longest = float(deadline_at(limits, grid.rounds[0], 0.0))
    prices = _price_grid(clients, limits, shortest, longest)
    floor = BACKOFF_MIN if limits.radio > 0 else 1.0
    deadlines = _deadlines(shortest, longest, None)
    coarse = tabulate(clients, limits, prices, deadlines, grid.rounds[0], floor)
    price, centre = _first_plan(search, coarse)
    middle = int(np.clip(np.searchsorted(prices, price), 0, prices.size - 1))
    pairs = _scan(search, coarse, middle, np.arange(grid.rounds.size))
    if pairs.t.size > 64:
        fine = _fine_prices(clients, limits, price, centre)
        parts = []
        for rows in _groups(grid.rounds, np.unique(pairs.t), limits.metered):
            first = grid.rounds[rows[0]]
            deadlines = _deadlines(shortest, float(deadline_at(limits, first, 0.0)), centre)
            least = floor
            if limits.radio > 0:
                least = min(1.0, max(floor, _least_useful_backoff(limits, grid, rows, best.value)))
            table = tabulate(clients, limits, fine, deadlines, first, least)
            parts.append(_scan(search, table, fine.size // 2, rows))
        pairs = Open(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return best, _refine(search, pairs, price, effort)


def _least_useful_backoff(limits: Limits, grid: Grid, rows: Integer, value: float) -> float:
    """Back-off below which the air noise alone lifts the bound of every such T above `value`."""
    margin = value - grid.shrink[rows] * grid.start.min()
    with np.errstate(divide="ignore", invalid="ignore"):  # no margin: no back-off is enough
        needed = limits.air * grid.gain[rows] / np.maximum(margin, 0.0)
    return float(np.nan_to_num(np.min(needed), nan=0.0))


def _groups(rounds: Real, rows: Integer, metered: bool) -> list[Integer]:
    """Split rows of T into groups that share a table.

    Clients with budgets of their own may spend E_k / T in a round: such a table is made for the
    least T of a narrow group.
    """
    if not metered:
        return [rows]
    ratio = max(1.06, float(rounds[rows[-1]] / rounds[rows[0]]) ** (1 / 24))
    marks = np.floor(np.log(rounds[rows] / rounds[rows[0]]) / np.log(ratio) + 1e-9)
    return [rows[marks == mark] for mark in np.unique(marks)]


def _scan(search: _Search, table: DualTable, price: int, among: Integer) -> Open:
    """All (T, T0 B0) whose bound in the table is below the best plan."""
    g, cut = search.grid, search.best.value * (1 - TOLERANCE)
    at, bounds = np.empty(g.samples.size, np.int64), np.empty(g.samples.size)
    rows: list[tuple[Integer, Integer, Real]] = []
    for t in among:
        size, price = scan_front(search.clients, search.limits, table, g, t, cut, price, at, bounds)
        if size:
            rows.append((np.full(size, t, np.int64), at[:size].copy(), bounds[:size].copy()))
    if not rows:
        return Open(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Open(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _price_grid(
    clients: Clients, limits: Limits, shortest: float, longest: float, points: int = 32
) -> Real:
    """Prices from where all take their largest batch and full power to where nobody does."""
    fast = clients.cubic / shortest**2
    slow = clients.cubic / longest**2
    with np.errstate(divide="ignore", invalid="ignore"):  # computing may be free
        least = clients.slow + 3 * fast * clients.batch_max**2
        low = clients.alpha / clients.batch_max**2 / least
        high = clients.alpha / np.maximum(clients.slow, slow)
    ends = [low[low > 0], high[high > 0]]
    if limits.radio > 0 and limits.air > 0:
        ends.append(np.array([0.1, 1e6]) * limits.air / limits.radio)
    values = np.concatenate(ends)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return np.array([0.0, 1.0])
    return np.append(0.0, np.geomspace(values.min() / 2, values.max() * 2, points))


def _fine_prices(clients: Clients, limits: Limits, price: float, deadline: float) -> Real:
    """Prices around the one that matters.

    Where the budget is slack at the best plan, plans nearby pay what the last sample of a batch is
    worth.
    """
    if price > 0:
        return price * np.concatenate(
            (
                [0.0],
                np.geomspace(1e-4, 0.25, 8),
                np.geomspace(0.3, 3.3, 64),
                np.geomspace(4, 1e4, 8),
            )
        )
    top = clients.batch_max
    slope = clients.slow + 3 * clients.cubic / deadline**2 * top**2
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = clients.alpha / top**2 / slope
    worth = worth[np.isfinite(worth) & (worth > 0)]
    if limits.radio > 0 and limits.air > 0:
        worth = np.append(worth, limits.air / limits.radio)
    if worth.size == 0:
        return np.array([0.0, 1.0])
    return np.append(0.0, np.geomspace(worth.min() / 3, worth.max() * 100, 56))


def _deadlines(shortest: float, longest: float, centre: float | None) -> Real:
    """Grid of deadlines, denser around `centre`; wide cells would make weak tangents."""
    if np.isinf(longest):
        return np.array([np.inf])
    longest = max(longest, shortest * (1 + 1e-6))
    points = int(np.clip(np.log(longest / shortest) / np.log(1.12), 24, 120))
    grid = np.geomspace(shortest, longest, points)
    if centre is not None:
        near = np.geomspace(0.6 * centre, 1.6 * centre, 96)
        grid = np.concatenate((grid, near[(near > shortest) & (near < longest)]))
    return np.unique(grid)


def _first_plan(search: _Search, table: DualTable) -> tuple[float, float]:
    """Try the most promising (T, T0 B0) of a coarse selection; its price and deadline."""
    g = search.grid
    some_t = np.unique(np.geomspace(1, g.rounds.size, 24).astype(int)) - 1
    some_p = np.unique(np.linspace(0, g.samples.size - 1, 24).astype(int))
    ranked = []
    price = table.prices.size // 2
    for t in some_t:
        for p in some_p:
            noise, price = table_bound(table, search.limits, g.rounds[t], g.samples[p], price)
            if np.isfinite(noise) and search.limits.metered:
                noise = max(noise, search.own_noise(int(t), int(p)))
            if np.isfinite(noise):
                bound = g.shrink[t] * g.start[p] + g.gain[t] * max(noise, 0.0)
                guess = float(table.prices[max(price, 1)])
                ranked.append((float(bound), int(t), int(p), guess))
    ranked.sort()
    best_price, centre = 0.0, float(table.deadlines[-1])
    for _, t, p, guess in ranked[: 24 if search.limits.metered else 4]:
        before = search.best.value
        _, solved = search.attempt(t, p, guess, 12, 0)
        if search.best.value < before:
            best_price = solved.price
            centre = float(deadline_at(search.limits, g.rounds[t], solved.server_time))
    return best_price, centre


def _refine(
    search: _Search,
    pairs: Open,
    price: float,
    effort: Effort,
) -> float:
    """Close the remaining (T, T0 B0); the lower bound of all plans."""
    best, K = search.best, search.clients.alpha.size
    price = price if price > 0 else 1.0
    order = np.argsort(pairs.bound)
    open_pairs: list[tuple[float, int, int, float]] = []
    allowed = max(50, effort.relaxations // (100 + K))
    if search.limits.metered:  # bounds for many at once are weaker: more need their own
        allowed *= 4
    lower = np.inf
    for index in order:
        bound = float(pairs.bound[index])
        if bound >= best.value * (1 - TOLERANCE):
            break
        if allowed <= 0:
            lower = bound
            break
        t, p = int(pairs.t[index]), int(pairs.p[index])
        own, solved = search.attempt(t, p, price, 8, 0)
        allowed -= max(1, int(solved.bands))
        price = solved.price if solved.price > 0 else price
        open_pairs.append((max(own, bound), t, p, price))
    open_pairs.sort()
    left = effort.total_nodes
    for bound, t, p, guess in open_pairs:
        if bound >= best.value * (1 - effort.gap):
            lower = min(lower, bound)
            break
        if bound > lower or left <= 0:  # something unfinished lies lower: no use
            lower = min(lower, bound)
            break
        nodes = min(effort.nodes, left)
        own, solved = search.attempt(t, p, guess, 12, nodes)
        left -= nodes - int(solved.nodes)
        lower = min(lower, max(own, bound))
    return min(lower, best.value)
