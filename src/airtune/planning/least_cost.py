"""Least predicted time, energy or their product to a target loss (system model, sections 7b, 8).

    minimise   cost(R t, R e)   over integers B_k, the window D of computing, the back-off rho

with the rounds R to the target, a round's time ``t = D + fixed times`` and energy e; the planned
rounds, R rounded up, keep the budgets.  Clocks are the slowest that meet D.

For a window, batches enter by two sums: ``sum_k w_k^2 / B_k`` and the energy of computing.  Over
real batches all trade-offs of the two lie on one curve, that of the least
``sum w^2 / B + p energy`` for a price p in (0, infinity).  So three numbers, D, p and rho, are
searched by branch and bound over boxes: no plan of a box costs less than one with the largest
window, batches and power for the rounds and the smallest for time and energy.  What is reported is
made of whole samples, and the least bound of a box that was not closed certifies it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.allocation.problem import BACKOFF_MIN, ROUNDING, ResourceProblem
from airtune.costs import batch_energy
from airtune.kinds import Mask, Real
from airtune.planning.objective import Objective

GAP = 3e-3
"""Relative gap at which the search ends."""

SPLITS = 28
"""Times that all open boxes are halved at most."""

MOST_BOXES = 1200
"""Open boxes at most: the search ends with the gap that is left."""

TRIED = 16
"""Boxes of least bound of which plans are made after each split."""

NARROW = 1e-6
"""Sides of a box [log] that are not split."""

EXCHANGES = 12
"""Times that single samples are exchanged at most."""

CLOCKS = 33
"""Clocks of the server that a plan is tried with, where there is pre-training to pay for."""

TURNS = 5
"""Times that the caps of batches are found from the rounds of the batches before."""

BACKOFFS = np.geomspace(0.8, 1.25, 15)
"""Back-offs that are tried with them, over the one before."""

DEAREST = 1e12
"""Largest over least price besides what single clients need: beyond these nothing changes."""


@dataclass(frozen=True)
class LeastCost:
    """Decisions of least predicted cost.

    Attributes
    ----------
    rounds : int
        T, planned.
    batch : ndarray, float, shape (K,)
        Whole numbers.
    window : float
        Time for computing in a round [s].
    backoff : float
    server_s : float
        Time of pre-training [s].
    value : float
        Cost.
    """

    rounds: int
    batch: Real
    window: float
    backoff: float
    server_s: float
    value: float


def least_cost(
    problem: ResourceProblem,
    objective: Objective,
    reference: Real,
    bias: float = 0.0,
    below: float = np.inf,
) -> tuple[LeastCost | None, float]:
    """Return the plan of least predicted cost, and what no plan within the budgets is below.

    None where no plan was found that reaches the target within the budgets; there is none if what
    plans cannot be below is infinite.  Plans that cost `below` or more are not looked for.

    Parameters
    ----------
    problem : ResourceProblem
        Pre-training is given: equal ends of its ranges.
    objective : Objective
        Of the name ``time``, ``energy`` or ``energy-delay``.
    reference : ndarray, float, shape (K,)
        The pilot's batches of these clients.
    bias : float
        Part of the error over v^2 that no back-off changes.
    below : float
        Cost of a plan that is known: the search ends where none can cost less.

    Examples
    --------
    Two clients whose error-free run is at the target after two rounds; at most four are allowed:

    >>> from airtune.allocation.examples import two_clients
    >>> curve, pilot = np.array([4.0, 2.0, 1.5, 1.2, 1.0]), np.array([16.0, 16.0])
    >>> for name in ("time", "energy"):
    ...     objective = Objective(name, curve, 1.5, chi=6.0, batch_noise=0.2, reference=pilot)
    ...     found, least = least_cost(two_clients(), objective, pilot)
    ...     print(name, found.rounds, found.batch.tolist(), round(found.window, 2), "s")
    time 4 [4.0, 2.0] 0.2 s
    energy 3 [14.0, 10.0] 10.67 s
    """
    search = _Search(problem, objective, reference, bias)
    boxes = search.first_boxes()
    closed, limit = np.inf, below * (1 + 1e-9)
    for _ in range(SPLITS):
        bounds = search.bounds(boxes)
        closed = min(closed, float(np.min(bounds[bounds >= limit], initial=np.inf)))
        boxes, bounds = boxes[bounds < limit], bounds[bounds < limit]
        order = np.argsort(bounds)
        search.try_plans(boxes[order[: TRIED if search.found else MOST_BOXES // 4]])
        wide = np.max(boxes[:, :, 1] - boxes[:, :, 0], axis=1, initial=0.0) > NARROW
        keep = order[(wide & (bounds < search.value * (1 - GAP)))[order]][: MOST_BOXES // 2]
        left = np.setdiff1d(order, keep)
        closed = min(closed, float(np.min(bounds[left], initial=np.inf)))
        if not len(keep):
            break
        boxes = _halved(boxes[keep])
    else:
        closed = min(closed, float(np.min(search.bounds(boxes), initial=np.inf)))
    search.polish()
    return search.best(), min(closed, search.value)


def _halved(boxes: Real) -> Real:
    """Split each box, shape (n, 3, 2) of logarithms, along its longest side."""
    widths = boxes[:, :, 1] - boxes[:, :, 0]
    # Prices move batches by their square or fourth root.
    side = np.argmax(widths * np.array([1.0, 0.4, 0.6]), axis=1)
    rows = np.arange(len(boxes))
    middle = boxes[rows, side].mean(axis=1)
    low, high = boxes.copy(), boxes.copy()
    low[rows, side, 1], high[rows, side, 0] = middle, middle
    return np.concatenate([low, high])


class _Search:
    """Bounds and plans of boxes of ``(log D, log p, log rho)``, arrays of shape (n, 3, 2)."""

    def __init__(
        self, problem: ResourceProblem, objective: Objective, reference: Real, bias: float
    ) -> None:
        self.problem, self.objective = problem, objective
        c, self.count = problem.clients, len(problem.clients.omega)
        self.reference = float(objective.spread(c.omega, reference))
        self.bias = bias
        self.radio = float(c.radio_j.sum())
        server = problem.server
        cycles = problem.steps[0] * problem.batches[0] * server.cycles
        clocks = np.array([server.f_max])
        if cycles > 0 and server.f_min < server.f_max:
            clocks = np.geomspace(server.f_min, server.f_max, CLOCKS)
        self.server_s, self.server_j = cycles / clocks, server.kappa * cycles * clocks**2
        # No plan is below both at once.
        self.first_s, self.first_j = float(self.server_s.min()), float(self.server_j.min())
        self.fixed = problem.rounds[0] == problem.rounds[1]
        self.most = problem.rounds[1]
        self.value = np.inf
        self.found: tuple[int, Real, float, float, int] | None = None

    def first_boxes(self) -> Real:
        """Return one box that holds all plans worth looking at; none where there is no plan."""
        p, c = self.problem, self.problem.clients
        shortest = max(float(np.max(c.cycles / c.f_max)), p.beside_s)
        longest = max(float(np.max(c.cycles * c.batch_max / c.f_min)), p.beside_s)
        fewest = p.rounds[0]
        if np.isfinite(p.latency_s):
            left = (p.latency_s * (1 + ROUNDING) - self.first_s) / fewest - p.round_s
            longest = min(longest, left)
        if not 0 < shortest <= longest * (1 + ROUNDING):
            return np.empty((0, 3, 2))
        energetic = self.objective.name != "time" or np.isfinite(p.energy_j)
        least, dearest = 1e-30, 1e-30
        if energetic and np.any(c.kappa > 0):
            slow = np.maximum(c.kappa * c.cycles * c.f_min**2, 1e-300)
            fast = 3 * c.kappa * c.cycles**3 * c.batch_max**2 / shortest**2 + slow
            weights = np.maximum(c.omega**2, 1e-12)
            least = float(np.min(weights / c.batch_max**2 / fast))
            dearest = float(np.max(weights / slow))
            least = max(least, dearest / DEAREST)
        floor = self._least_backoff()
        if floor > 1:
            return np.empty((0, 3, 2))
        ends = [[shortest, max(longest, shortest)], [least, dearest], [floor, 1.0]]
        return np.asarray(np.log(np.array([ends])))

    def _least_backoff(self) -> float:
        """Return the back-off below which the law does not hold or that makes no sense."""
        metered = bool(np.any(np.isfinite(self.problem.clients.budget_j)))
        limited = metered or np.isfinite(self.problem.energy_j)
        if self.problem.mse_star == 0 or self.radio == 0 or self.objective.constant is not None:
            return 1.0  # nothing is said of weaker signals where no law in the MSE holds
        if self.objective.name == "time" and not limited:
            return 1.0
        if not bool(self.objective.holds(1e300)):
            room = self.objective.largest_mse - self.bias
            if room <= 0:
                return 2.0  # no back-off helps
            return max(self.problem.mse_star / room, BACKOFF_MIN)
        return max(BACKOFF_MIN, 1e-3)

    def _batches(self, window: Real, price: Real, caps: Real) -> Real:
        """Return the real batches of least ``w^2 / B + price energy``, shape (n, K)."""
        c = self.problem.clients
        weights, slow = c.omega**2, c.kappa * c.cycles * c.f_min**2
        cubic = c.kappa * c.cycles**3 / window[:, None] ** 2
        with np.errstate(divide="ignore", over="ignore"):
            low = np.sqrt(weights / (price[:, None] * slow))
            high = (weights / (3 * price[:, None] * cubic)) ** 0.25
        # The energy is the larger of both laws: below the kink the first holds, above the other.
        kink = c.f_min * window[:, None] / c.cycles
        batch = np.where(low <= kink, low, np.maximum(high, kink))
        return np.asarray(np.clip(batch, 1.0, np.maximum(caps, 1.0)))

    def _caps(self, window: Real, rounds: Real, backoff: Real) -> tuple[Real, Mask]:
        """Return the largest real batches within window and budgets, and where one sample fits."""
        c = self.problem.clients
        caps = np.minimum(c.batch_max, window[:, None] * c.f_max / c.cycles * (1 + ROUNDING))
        if np.any(np.isfinite(c.budget_j)):
            left = c.budget_j * (1 + ROUNDING) / rounds[:, None] - c.fixed_j
            left = left - backoff[:, None] * c.radio_j
            with np.errstate(divide="ignore", invalid="ignore"):
                slow = left / (c.kappa * c.cycles * c.f_min**2)
                cubic = np.cbrt(np.maximum(left, 0) / (c.kappa * c.cycles**3))
                cubic = cubic * window[:, None] ** (2 / 3)
            caps = np.minimum(caps, np.nan_to_num(np.minimum(slow, cubic), nan=np.inf))
        return caps, np.all(caps >= 1 - 1e-9, axis=1)

    def _energy(self, window: Real, batch: Real, backoff: Real) -> Real:
        """Return the energy of a round [J], shape (n,)."""
        c, p = self.problem.clients, self.problem
        computing = batch_energy(batch, window[:, None], c.cycles, c.kappa, c.f_min).sum(axis=1)
        return np.asarray(computing + backoff * self.radio + c.fixed_j.sum() + p.round_j)

    def _burden(self, batch: Real, backoff: Real) -> Real:
        mse = self.problem.mse_star / backoff + self.bias
        spread = self.objective.spread(self.problem.clients.omega, batch)
        burden = self.objective.burden(mse, spread, self.reference)
        return np.where(self.objective.holds(mse), burden, np.inf)

    def bounds(self, boxes: Real) -> Real:
        """Return what no plan of a box is below; infinite where a box holds none."""
        if not len(boxes):
            return np.empty(0)
        low, high = np.exp(boxes[:, :, 0]), np.exp(boxes[:, :, 1])
        window, power = high[:, 0], high[:, 2]
        free = np.broadcast_to(self.problem.clients.batch_max, (len(boxes), self.count))
        rounds = self.objective.rounds(self._burden(free, power))
        fits = np.isfinite(rounds)
        for _ in range(TURNS):  # budgets leave less for each of more rounds
            planned = np.full(len(boxes), self.most) if self.fixed else np.ceil(rounds - 1e-9)
            planned = np.clip(planned, 1.0, self.most)
            caps, room = self._caps(window, planned, low[:, 2])
            fits &= room
            most = self._batches(window, low[:, 1], caps)
            rounds = self.objective.rounds(self._burden(most, power))
        least = self._batches(low[:, 0], high[:, 1], caps)
        planned = np.full(len(boxes), self.most) if self.fixed else np.ceil(rounds - 1e-9)
        round_s = np.maximum(low[:, 0], self.problem.beside_s) + self.problem.round_s
        round_j = self._energy(window, least, low[:, 2])
        fits &= rounds <= self.most
        with np.errstate(invalid="ignore"):
            fits &= planned * round_s + self.first_s <= self.problem.latency_s * (1 + 1e-9)
            fits &= planned * round_j + self.first_j <= self.problem.energy_j * (1 + 1e-9)
            time, energy = self.first_s + rounds * round_s, self.first_j + rounds * round_j
            cost = self.objective.cost(time, energy)
        return np.where(fits, cost, np.inf)

    def try_plans(self, boxes: Real) -> None:
        """Keep the cheapest plan in whole samples that the middles of boxes lead to."""
        if not len(boxes):
            return
        middle, top = np.exp(boxes.mean(axis=2)), np.exp(boxes[:, :, 1])
        full = np.broadcast_to(self.problem.clients.batch_max, (len(boxes), self.count))
        plans: list[tuple[Real, Real, Real]] = []  # booked together: arrays of one box are short
        for window, price, backoff in (middle.T, (top[:, 0], middle[:, 1], top[:, 2])):
            batch = full
            for _ in range(TURNS):  # smaller batches take more rounds, and leave less for each
                rounds = self.objective.rounds(self._burden(batch, backoff))
                planned = np.full(len(boxes), self.most) if self.fixed else np.ceil(rounds - 1e-9)
                caps, fits = self._caps(window, np.clip(planned, 1, self.most), backoff)
                batch = self._batches(window, price, caps)
                for whole in (np.floor(batch + 1e-9), np.round(batch)):
                    sizes = np.minimum(whole, np.floor(caps + 1e-9))[fits]
                    plans.append((sizes, backoff[fits], window[fits]))
        self._offer(*(np.concatenate(parts) for parts in zip(*plans, strict=True)))

    def polish(self) -> None:
        """Exchange single samples of the best plan, with other back-offs, as long as it helps."""
        for _ in range(EXCHANGES):
            if self.found is None:
                return
            before, (_, batch, window, backoff, _) = self.value, self.found
            steps = np.concatenate([np.zeros((1, self.count)), np.eye(self.count)])
            sizes = np.unique(np.concatenate([batch + steps, batch - steps]), axis=0)
            most = self.problem.clients.batch_max
            sizes = sizes[np.all((sizes >= 1) & (sizes <= most), axis=1)]
            powers = np.array([backoff])
            if self.radio > 0:
                powers = np.minimum(np.append(backoff * BACKOFFS, 1.0), 1.0)
            both = np.repeat(sizes, len(powers), axis=0), np.tile(powers, len(sizes))
            self._offer(*both, np.full(len(both[0]), window))
            if not self.value < before:
                return

    def _windows(self, batch: Real, backoff: Real, planned: Real, given: Real) -> list[Real]:
        """Return the windows worth trying for plans: given, shortest, and as budgets ask for."""
        c, p = self.problem.clients, self.problem
        shortest = np.maximum(np.max(c.cycles * batch / c.f_max, axis=1), p.beside_s)
        windows = [np.maximum(given, shortest), shortest]
        if np.any(np.isfinite(c.budget_j)):
            left = c.budget_j / planned[:, None] - c.fixed_j - backoff[:, None] * c.radio_j
            with np.errstate(divide="ignore", invalid="ignore"):
                needed = np.sqrt(c.kappa * (c.cycles * batch) ** 3 / left)
            needed = np.where(left > 0, needed, np.inf)
            slowest = np.max(c.cycles * batch / c.f_min, axis=1)
            needed = np.minimum(np.max(needed, axis=1) * (1 + 1e-12), slowest)
            windows.append(np.maximum(needed, shortest))
        if np.isfinite(p.latency_s) and self.objective.name != "time":
            for first_s in np.unique(self.server_s[:: max(1, len(self.server_s) // 2)]):
                latest = (p.latency_s - first_s) / planned - p.round_s
                windows.append(np.maximum(latest, shortest))
        return windows

    def _offer(self, batch: Real, backoff: Real, given: Real) -> None:
        """Book plans of whole samples, in the given windows and others, and keep the best."""
        if not len(batch):
            return
        c, p = self.problem.clients, self.problem
        rounds = self.objective.rounds(self._burden(batch, backoff))
        planned = np.full(len(batch), self.most) if self.fixed else np.ceil(rounds - 1e-9)
        planned = np.maximum(planned, 1.0)
        reached = (rounds <= self.most) & np.isfinite(planned)
        batch, backoff, given = batch[reached], backoff[reached], given[reached]
        rounds, planned = rounds[reached], planned[reached]
        if not len(batch):
            return
        for window in self._windows(batch, backoff, planned, given):
            own = batch_energy(batch, window[:, None], c.cycles, c.kappa, c.f_min)
            own = own + backoff[:, None] * c.radio_j + c.fixed_j
            round_s, round_j = window + p.round_s, own.sum(axis=1) + p.round_j
            # One clock of the server for time and energy, shape (n, clocks).
            late = (planned * round_s)[:, None] + self.server_s > p.latency_s * (1 + 1e-12)
            dear = (planned * round_j)[:, None] + self.server_j > p.energy_j * (1 + 1e-12)
            over = ~np.all(planned[:, None] * own <= c.budget_j * (1 + ROUNDING), axis=1)
            time = (rounds * round_s)[:, None] + self.server_s
            cost = self.objective.cost(time, (rounds * round_j)[:, None] + self.server_j)
            cost = np.where(late | dear | over[:, None], np.inf, cost)
            best, clock = divmod(int(np.argmin(cost)), len(self.server_s))
            if cost[best, clock] < self.value:
                self.value = float(cost[best, clock])
                at = float(window[best]), float(backoff[best])
                self.found = (int(planned[best]), batch[best].copy(), *at, clock)

    def best(self) -> LeastCost | None:
        """Return the best plan, with the rounds of the margin as far as the budgets allow."""
        if self.found is None:
            return None
        rounds, batch, window, backoff, clock = self.found
        spent = self._spent(batch, window, backoff, clock)
        if not self.fixed:
            wanted = min(self.most, int(np.ceil(rounds * self.objective.margin - 1e-9)))
            rounds = max(rounds, min(wanted, spent))
        return LeastCost(rounds, batch, window, backoff, float(self.server_s[clock]), self.value)

    def _spent(self, batch: Real, window: float, backoff: float, clock: int) -> int:
        """Return the most rounds that the budgets pay."""
        c, p = self.problem.clients, self.problem
        one = np.array([window])
        round_j = float(self._energy(one, batch[None], np.array([backoff]))[0])
        own = batch_energy(batch, window, c.cycles, c.kappa, c.f_min)
        own = own + backoff * c.radio_j + c.fixed_j
        limits = [(p.latency_s - float(self.server_s[clock])) / (window + p.round_s)]
        if round_j > 0:
            limits.append((p.energy_j - float(self.server_j[clock])) / round_j)
        with np.errstate(divide="ignore", invalid="ignore"):
            limits.append(float(np.nanmin(np.where(own > 0, c.budget_j / own, np.inf))))
        least = min(limits)
        return int(least * (1 + 1e-12)) if np.isfinite(least) else self.most
