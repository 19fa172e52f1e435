"""The best beamformer of fixed positions, proved: branch and bound over the phases of the clients.

With R = L L^H, h_k = L^-1 g_k and b = L^H w the largest worst gain is 1 / min ||b||^2 over

    |x_k| >= 1,    x_k = h_k^H b.

Two relaxations are known. Where the argument of x_k is confined to [l, u], u - l < pi, the convex
hull of what is allowed is the cone cut by the chord, Re(x_k e^{-j(l+u)/2}) >= cos((u - l) / 2):
least norm under linear inequalities (argument cuts; C. Lu and Y.-F. Liu, "An efficient global
algorithm for single-group multicast beamforming", IEEE Trans. Signal Process. 65(14), 2017). And
the semidefinite relaxation, in its dual form max sum mu_k s.t. Q = I - sum_k mu_k h_k h_k^H >= 0,
needs no confinement. A node of the tree has both at once: for any mu >= 0 with Q > 0

    ||b||^2 = b^H Q b + sum_k mu_k |x_k|^2 >= sum_k mu_k + min { b^H Q b : argument cuts },

which is concave in mu with the slope 1 - |x_k|^2 at the minimiser. With rows a_i^H b >= c_i and the
Gram matrix P of the a_i under Q^-1 the minimum is at least 1 / nu'P nu for any nu >= 0 with
c'nu = 1, so no bound depends on how well a subproblem was solved, only on rounding, which a factor
1 + 1e-8 covers (the pivots of Q stay above 1e-6).
"""

from __future__ import annotations

import heapq
import math
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.kernels.phases import multipliers, relax, unwhiten, whiten
from airtune.placement.problem import Placement, Problem, evaluate, normalise

SAFETY = 1 + 1e-8
KIND = "fixed positions: branch and bound over the clients' phases"
CLIMBS = 4
"""Steps in mu at a node that is not closed at once"""


class Node(NamedTuple):
    """A box of arguments: bound, number (ties), intervals, minimiser and its multipliers."""

    bound: float
    number: int
    low: Real
    high: Real
    b: Complex
    mu: Real


def prove(
    problem: Problem, placement: Placement, *, gap_db: float = 0.01, nodes: int = 20_000
) -> Placement:
    """The best beamformer at the positions of `placement`, with a bound that no other one exceeds.

    Parameters
    ----------
    problem : Problem
    placement : Placement
        Its beamformer is where the search starts from; it is replaced if a better one turns up.
    gap_db : float
        Stop when the bound is this close  [dB]
    nodes : int
        Most boxes to look at; a bound reached by then is valid, only farther away.

    Returns
    -------
    Placement
        `upper_bound` is for these positions only.
    """
    if not problem.active.any():
        return replace(placement, upper_bound=math.inf, bound_kind="no active client")
    G, R = problem.auxiliary_channel(placement.positions), problem.covariance(placement.positions)
    L, H = whiten(R, G / math.sqrt(placement.worst_gain))  # ||b|| = 1 is the beamformer at hand
    tree = _Tree(H, 10 ** (gap_db / 10))
    least, b = tree.search(nodes)
    w, gain = placement.beamformer, placement.worst_gain
    if b is not None:
        w = normalise(problem, placement.positions, unwhiten(L, b))
        gain = evaluate(problem, placement.positions, w)
    bound = max(gain, placement.worst_gain / least * SAFETY)
    return replace(placement, beamformer=w, worst_gain=gain, upper_bound=bound, bound_kind=KIND)


class _Tree:
    """Best-first search; every bound and value is ||b||^2."""

    def __init__(self, H: Complex, gap: float) -> None:
        self.H, self.gap = H, gap
        self.best = 1.0
        self.answer: Complex | None = None
        self.count = 0

    def search(self, nodes: int) -> tuple[float, Complex | None]:
        """A proved lower bound, and a b that is better than ||b|| = 1 if one was met."""
        K = self.H.shape[1]
        low, high = np.zeros(K), np.full(K, 2 * np.pi)
        # b may be turned as a whole: the client with the weakest channel has argument 0
        high[np.argmin((np.abs(self.H) ** 2).sum(axis=0))] = 0.0
        mu = multipliers(self.H)
        heap = [self._node(low, high, (mu, np.zeros(K)), 0.0)]
        while heap[0].bound * self.gap < self.best and self.count < nodes:
            node = heapq.heappop(heap)
            for low, high in self._split(node):
                tried = self._node(low, high, (node.mu, np.zeros(K)), node.bound)
                heapq.heappush(heap, tried)
        return min(heap[0].bound, self.best), self.answer

    def _node(self, low: Real, high: Real, guesses: tuple[Real, ...], least: float) -> Node:
        """The best bound of some multipliers, then a few steps up their slope."""
        best = Node(-math.inf, self.count, low, high, np.empty(0, np.complex128), guesses[0])
        step = 0.3
        for trial in range(len(guesses) + CLIMBS):
            if trial < len(guesses):
                mu = guesses[trial]
            else:
                slope = np.maximum(1 - self._power(best.b), -1.0)
                mu = np.maximum(0.0, best.mu + step * slope * np.maximum(best.mu, 0.02))
            b = np.empty(len(self.H), np.complex128)
            bound = relax(self.H, mu, low, high, b)
            better = bound > best.bound
            if better:
                best = best._replace(bound=bound, b=b, mu=mu)
                self._offer(b)
            if trial >= len(guesses):
                step *= 1.5 if better else 0.35
            if best.bound * self.gap >= self.best:
                break
        self.count += 1
        return best._replace(bound=max(best.bound, least))

    def _split(self, node: Node) -> list[tuple[Real, Real]]:
        """Cut the interval of the client that the minimiser leaves weakest, at its argument."""
        x = self._gains(node.b)
        width = node.high - node.low
        k = int(np.argmax(np.where(width > 1e-3, 1 - np.abs(x), -np.inf)))
        if np.abs(x[k]) >= 1:
            k = int(np.argmax(width))
        at = float(np.angle(x[k]))
        if width[k] > math.pi:
            cuts = [at + turn * math.pi / 3 for turn in (-3, -1, 1, 3)]
        else:
            part = (at - node.low[k]) % (2 * math.pi) / width[k]
            part = min(0.8, max(0.2, part)) if part <= 1 else 0.5
            cuts = [node.low[k], node.low[k] + part * width[k], node.high[k]]
        boxes = []
        for left, right in pairwise(cuts):
            low, high = node.low.copy(), node.high.copy()
            low[k], high[k] = left, right
            boxes.append((low, high))
        return boxes

    def _offer(self, b: Complex) -> None:
        """Keep b, scaled to reach every client, if it beats the incumbent."""
        weakest = float(self._power(b).min())
        value = float((np.abs(b) ** 2).sum()) / max(weakest, 1e-300)
        if value < self.best * (1 - 1e-9):
            self.best, self.answer = value, b

    def _gains(self, b: Complex) -> Complex:
        """x_k; without BLAS, whose rounding depends on where arrays lie in memory."""
        return np.asarray((self.H.conj() * b[:, None]).sum(axis=0), dtype=np.complex128)

    def _power(self, b: Complex) -> Real:
        return np.asarray(np.abs(self._gains(b)) ** 2, dtype=np.float64)
