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

from airtune.placement.kernels.field import entry, inner
from airtune.placement.kernels.nulling import factor, leak_solve
from airtune.placement.kernels.qp import dual
from airtune.placement.problem import Complex, Placement, Problem, Real, evaluate, normalise

SAFETY = 1 + 1e-8
LEAST_PIVOT = 1e-6
KIND = "fixed positions: branch and bound over the clients' phases"
CLIMBS = 4
"""Steps in mu at a node that is not closed at once"""


@inner
def _solve_lower(L, B):  # type: ignore[no-untyped-def]
    """B <- L^-1 B in place."""
    for i in range(B.shape[0]):
        for k in range(i):
            for c in range(B.shape[1]):
                B[i, c] -= L[i, k] * B[k, c]
        for c in range(B.shape[1]):
            B[i, c] /= L[i, i].real


@inner
def _solve_upper(L, b):  # type: ignore[no-untyped-def]
    """b <- L^-H b in place."""
    for i in range(len(b) - 1, -1, -1):
        for k in range(i + 1, len(b)):
            b[i] -= L[k, i].conjugate() * b[k]
        b[i] /= L[i, i].real


@entry
def whiten(R, G):  # type: ignore[no-untyped-def]
    """L with R = L L^H, and H = L^-1 G^T of shape (N, K) for G (K, N)."""
    L, H = R.copy(), G.T.copy()
    factor(L)
    _solve_lower(L, H)
    return L, H


@entry
def unwhiten(L, b):  # type: ignore[no-untyped-def]
    """w = L^-H b, shape (N,)."""
    w = b.copy()
    _solve_upper(L, w)
    return w


@inner
def _reduced(H, mu, S):  # type: ignore[no-untyped-def]
    """Factor of Q = I - sum_k mu_k h_k h_k^H, and S = factor^-1 H; whether Q is definite enough."""
    N, K = H.shape
    Q = np.zeros((N, N), np.complex128)
    for i in range(N):
        Q[i, i] = 1.0
        for j in range(i + 1):
            for k in range(K):
                Q[i, j] -= mu[k] * H[i, k] * H[j, k].conjugate()
    factor(Q)
    for i in range(N):
        if not Q[i, i].real * Q[i, i].real > LEAST_PIVOT:
            return Q, False
    S[:] = H
    _solve_lower(Q, S)
    return Q, True


@entry
def multipliers(H):  # type: ignore[no-untyped-def]
    """mu close to the maximum of sum_k mu_k s.t. Q >= 0, by Newton steps on the barrier

    sum_k mu_k + tau (log det Q + sum_k log mu_k); shape (K,). 1 / sum mu is the semidefinite bound.
    """
    N, K = H.shape
    S, G = np.empty((N, K), np.complex128), np.empty((K, K), np.complex128)
    size = 0.0
    for k in range(K):
        for n in range(N):
            size += (H[n, k] * H[n, k].conjugate()).real
    mu = np.full(K, 0.5 / size)
    tau = mu.sum() / (N + K)
    for _ in range(200):
        _, sound = _reduced(H, mu, S)
        if not sound:
            break
        slope = np.zeros(K, np.complex128)
        for k in range(K):
            for c in range(k + 1):
                g = 0j
                for n in range(N):
                    g += S[n, k].conjugate() * S[n, c]
                power = (g * g.conjugate()).real
                G[k, c] = tau * power
                if c == k:
                    slope[k] = 1 - tau * math.sqrt(power) + tau / mu[k]
                    G[k, k] += tau / (mu[k] * mu[k])
        step = slope.copy()
        factor(G)
        leak_solve(G, step)
        decrement, part = 0.0, 1.0
        for k in range(K):
            decrement += (slope[k] * step[k]).real / tau
        if decrement > 0.1:
            part = 1 / (1 + math.sqrt(decrement))
        for k in range(K):
            if step[k].real < 0:
                part = min(part, -0.9 * mu[k] / step[k].real)
        trial = mu.copy()
        for k in range(K):
            trial[k] += part * step[k].real
        _, sound = _reduced(H, trial, S)
        if not sound:
            break
        mu = trial
        if decrement < 0.3:
            if tau * (N + K) < 1e-4 * mu.sum():
                break
            tau *= 0.3
    return mu


@entry
def relax(H, mu, low, high, b):  # type: ignore[no-untyped-def]
    """Lower bound of ||b||^2 for arguments in [low, high], and where it is attained.

    Parameters
    ----------
    H : ndarray, complex, shape (N, K)
        Columns h_k.
    mu : ndarray, shape (K,)
    low, high : ndarray, shape (K,)
        Intervals of arg x_k; pi or wider means free, one at least must be narrower  [rad]
    b : ndarray, complex, shape (N,)
        Out: the minimiser.

    Returns
    -------
    float
        -inf if Q is not definite enough.
    """
    N, K = H.shape
    S = np.empty((N, K), np.complex128)
    Q, sound = _reduced(H, mu, S)
    if not sound:
        return -np.inf
    most = 3 * K + 1
    A, c, size = np.empty((N, most), np.complex128), np.empty(most), 0
    for side in range(3):  # chords, then the two sides of each cone
        for k in range(K):
            width = high[k] - low[k]
            if width > math.pi - 1e-6:
                continue
            if side == 0:
                at, scale, c[size] = 0.5 * (low[k] + high[k]), 1 / math.cos(0.5 * width), 1.0
            else:
                at, scale, c[size] = low[k] + 0.5 * math.pi, 1.0, 0.0
                if side == 2:
                    at = high[k] - 0.5 * math.pi
            turn = scale * complex(math.cos(at), math.sin(at))
            for n in range(N):
                A[n, size] = S[n, k] * turn
            size += 1
    P = np.empty((most, most))
    for i in range(size):
        for j in range(i + 1):
            acc = 0.0
            for n in range(N):
                acc += A[n, i].real * A[n, j].real + A[n, i].imag * A[n, j].imag
            P[i, j] = P[j, i] = acc
    active, nu, T = np.zeros(most, np.int64), np.zeros(most), np.empty((most, most))
    count, _ = dual(P, np.zeros(most), c, size, active, 1, nu, T, np.empty((3, most)), False)
    total, length = 0.0, 0.0
    b[:] = 0.0
    for i in range(count):
        value, row = max(0.0, nu[i]), active[i]
        total += value * c[row]
        length += value * math.sqrt(P[row, row])
        for n in range(N):
            b[n] += value * A[n, row]
    power = 1e-14 * length * length  # what rounding may have taken away
    for n in range(N):
        power += b[n].real * b[n].real + b[n].imag * b[n].imag
    power /= total * total
    for n in range(N):
        b[n] /= total * power
    _solve_upper(Q, b)
    bound = 1 / power
    for k in range(K):
        bound += mu[k]
    return bound


class Node(NamedTuple):
    """A box of arguments: bound, number (ties), intervals, minimiser and its multipliers."""

    bound: float
    number: int
    low: Real
    high: Real
    b: Complex
    mu: Real


def prove(
    problem: Problem, found: Placement, *, gap_db: float = 0.01, nodes: int = 20_000
) -> Placement:
    """The best beamformer at the positions of `found`, with a bound that no other one exceeds.

    Parameters
    ----------
    problem : Problem
    found : Placement
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
        return replace(found, upper_bound=math.inf, bound_kind="no active client")
    G, R = problem.auxiliary_channel(found.positions), problem.covariance(found.positions)
    L, H = whiten(R, G / math.sqrt(found.worst_gain))  # ||b|| = 1 is what was found
    tree = _Tree(H, 10 ** (gap_db / 10))
    least, b = tree.search(nodes)
    w, gain = found.beamformer, found.worst_gain
    if b is not None:
        w = normalise(problem, found.positions, unwhiten(L, b))
        gain = evaluate(problem, found.positions, w)
    bound = max(gain, found.worst_gain / least * SAFETY)
    return replace(found, beamformer=w, worst_gain=gain, upper_bound=bound, bound_kind=KIND)


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
