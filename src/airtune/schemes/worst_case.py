"""Places and beamformers for the worst of all bounded errors (`placement.robust: worst-case`).

The errors of a transmitter's paths are counted in standard deviations of `radio.csi`: xi holds for
every path the real and the imaginary part of its relative gain error, in units of gain_error /
sqrt 2, and the two parts of the turn of its direction in the tangent plane, in units of
angle_error_deg.  What must be withstood is, for each transmitter by itself, a ball

    U = {xi : ||xi|| <= Omega},

the ellipsoidal set of robust optimisation [1]_, as of robust beamforming [2]_.  As far as
w^H g(xi) is affine, its part in any direction of the complex plane stays within Omega standard
deviations on U, which the Gaussian errors of `radio.csi` exceed with probability Phi(-Omega) on a
side.  Since the sets of the transmitters are independent, the least gain is that of the worst
clients over the interference of the worst interferers,

    t(r, w) = min_k min_{xi in U} |w^H g_k(xi)|^2
              / (sigma^2 ||w||^2 + sum_j q_j max_{xi in U} |w^H v_j(xi)|^2).

It is raised by cutting planes [3]_: solve for the channels that are known, find the worst errors of
the answer, add the channels with these errors, solve again.  The answer kept is the one whose
worst errors were the least bad, of which the nominal one is the first.

References
----------
.. [1] A. Ben-Tal, L. El Ghaoui, A. Nemirovski, "Robust Optimization", Princeton University Press
   2009, sections 1.2 and 2.3.
.. [2] S. A. Vorobyov, A. B. Gershman, Z.-Q. Luo, "Robust adaptive beamforming using worst-case
   performance optimization: a solution to the signal mismatch problem", IEEE Transactions on Signal
   Processing 51(2), 2003, doi:10.1109/TSP.2002.806865.
.. [3] A. Mutapcic, S. Boyd, "Cutting-set methods for robust convex optimization with pessimizing
   oracles", Optimization Methods and Software 24(3), 2009, doi:10.1080/10556780802712889.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from airtune.kinds import Complex, Mask, Real
from airtune.placement import Placement, Problem
from airtune.placement.problem import evaluate
from airtune.radio.channels.directions import lift

STARTS, STEPS = 4, 12
"""Starts and steps of the search for the worst error: no error, and others on the sphere."""
SHARES = (1.0, 0.5, 0.2, 0.05)
"""Parts of the way to the point of the sphere that a step tries."""
SILENT = 1e-9
"""Worst gains below this share of the believed one are none: rounding alone tells them apart."""
CLOSE = 1.0 + 1e-3
"""The cuts end where the gain on the known channels exceeds that with the worst error by less."""


@dataclass(frozen=True)
class ErrorSet:
    """A ball of errors for each transmitter.

    Attributes
    ----------
    gain : float
        Standard deviation of a path's complex gain error, relative to the gain.
    angle : float
        Standard deviation of a direction's turn along each tangent axis [rad].
    radius : float
        Omega, in standard deviations.
    """

    gain: float
    angle: float
    radius: float

    def applied(self, gains: Complex, directions: Real, errors: Real) -> tuple[Complex, Real]:
        """Return gains (..., L) and directions (..., L, 2) with errors xi, shape (..., L, 4)."""
        relative = self.gain / math.sqrt(2.0) * (errors[..., 0] + 1j * errors[..., 1])
        turned, _ = _turned(directions, self.angle * errors[..., 2:])
        return gains * (1.0 + relative), turned


@dataclass(frozen=True)
class Worst:
    """The worst errors that were found for an answer.

    Attributes
    ----------
    gain : float
        t(r, w) with them: the true least one is no greater.
    problem : Problem
        The channels with these errors.
    """

    gain: float
    problem: Problem


def worst_errors(
    problem: Problem, errors: ErrorSet, positions: Real, w: Complex, rng: np.random.Generator
) -> Worst:
    """Return the worst errors of an answer, transmitter by transmitter.

    By steps to the point of the sphere that is the farthest along the gradient (Frank-Wolfe), and
    of clients to where the sum would vanish (Gauss-Newton), or a part of the way.  With gain errors
    alone this is exact after one step; with angle errors it is the worst end of several starts.

    Parameters
    ----------
    problem : Problem
        Believed channels.
    errors : ErrorSet
    positions : ndarray, shape (N, 2)  [wavelengths]
    w : ndarray, complex, shape (N,)
    rng : Generator
        Source of the starts.
    """
    on, sigma = problem.active, problem.noise * float((np.abs(w) ** 2).sum())
    gains, directions = problem.gains.copy(), problem.directions.copy()
    least = _Search(errors, gains[on], directions[on], positions, w, -1.0)
    xi, heard = least.best(rng)
    gains[on], directions[on] = errors.applied(gains[on], directions[on], xi)
    heard = heard * problem.powers[on] / problem.weights[on] ** 2
    others = problem.interferer_gains, problem.interferer_directions
    most = _Search(errors, *others, positions, w, 1.0)
    xi, leaked = most.best(rng)
    others = errors.applied(*others, xi)
    wrong = replace(
        problem,
        gains=gains,
        directions=directions,
        interferer_gains=others[0],
        interferer_directions=others[1],
    )
    leak = float((problem.interferer_powers * leaked).sum())
    return Worst(float(heard.min(initial=math.inf)) / (sigma + leak), wrong)


def withstand(
    problem: Problem,
    errors: ErrorSet,
    settle: Callable[[list[Problem]], Placement],
    most: int,
    rng: np.random.Generator,
) -> tuple[Placement, Worst]:
    """Return the answer whose worst errors are the least bad, and these.

    Every answer is held against the errors that were found for all of them, not only against those
    that its own search has found.  Where errors of the set silence a client whatever the answer, it
    is the one for the believed channels.

    Parameters
    ----------
    problem : Problem
        Believed channels.
    errors : ErrorSet
    settle : callable
        Solves for several channels at once.
    most : int
        Channels at most, the believed one among them.
    rng : Generator
    """
    known, found = [problem], []
    while True:
        answer = settle(known)
        worst = worst_errors(problem, errors, answer.positions, answer.beamformer, rng)
        found.append((answer, worst))
        if len(known) == most or answer.worst_gain <= CLOSE * worst.gain:
            break
        known.append(worst.problem)
    judged = []
    for answer, worst in found:
        others = (other.problem for _, other in found if other is not worst)
        gains = (Worst(evaluate(p, answer.positions, answer.beamformer), p) for p in others)
        judged.append((answer, min([worst, *gains], key=lambda one: one.gain)))
    audible = SILENT * found[0][0].worst_gain
    return max(judged, key=lambda one: one[1].gain if one[1].gain > audible else 0.0)


@dataclass(frozen=True)
class _Search:
    """Greatest sign |w^H h(xi)|^2 over the ball, for all rows (M, L) of paths at once."""

    errors: ErrorSet
    gains: Complex
    directions: Real
    positions: Real
    w: Complex
    sign: float

    def best(self, rng: np.random.Generator) -> tuple[Real, Real]:
        """Return the errors, shape (M, L, 4), and |w^H h|^2 with them, shape (M,)."""
        shape = (*self.gains.shape, 4)
        xi, value = np.zeros(shape), self.sign * np.abs(self._sum(np.zeros(shape))) ** 2
        for start in range(STARTS):
            first = np.zeros(shape) if start == 0 else self._sphere(rng.standard_normal(shape))
            end, reached = self._climb(first)
            better = reached > value
            xi[better], value[better] = end[better], reached[better]
        return xi, self.sign * value

    def _climb(self, xi: Real) -> tuple[Real, Real]:
        value = self.sign * np.abs(self._sum(xi)) ** 2
        for _ in range(STEPS):
            before, at = value.copy(), xi
            for goal in self._goals(xi):
                for share in SHARES:
                    tried = at + share * (goal - at)
                    reached = self.sign * np.abs(self._sum(tried)) ** 2
                    better: Mask = reached > value
                    xi = np.where(better[:, None, None], tried, xi)
                    value = np.where(better, reached, value)
            if not (value - before > 1e-6 * np.abs(value)).any():
                break
        return xi, value

    def _goals(self, xi: Real) -> list[Real]:
        """Return points of the balls to go to, shape (M, L, 4) each."""
        total, slopes = self._slopes(xi)
        goals = [self._sphere(self.sign * (total.conj()[:, None, None] * slopes).real)]
        if self.sign < 0:
            # the shortest error with which the sum is 0 to first order, or as far towards it
            rows = np.stack([slopes.real, slopes.imag], axis=1)
            gram = np.einsum("maln,mbln->mab", rows, rows)
            gram += 1e-12 * (np.trace(gram, axis1=1, axis2=2)[:, None, None] + 1e-300) * np.eye(2)
            wanted = np.einsum("maln,mln->ma", rows, xi) - np.stack([total.real, total.imag], 1)
            zero = np.einsum("maln,ma->mln", rows, _solved(gram, wanted))
            size = np.sqrt((zero**2).sum(axis=(1, 2), keepdims=True))
            goals.append(zero * np.minimum(1.0, self.errors.radius / np.maximum(size, 1e-300)))
        return goals

    def _sphere(self, direction: Real) -> Real:
        """Return the points of the spheres along some directions, shape (M, L, 4)."""
        used = np.array([self.errors.gain > 0] * 2 + [self.errors.angle > 0] * 2)
        direction = direction * used
        size = np.sqrt((direction**2).sum(axis=(1, 2), keepdims=True))
        return np.asarray(self.errors.radius * direction / np.maximum(size, 1e-300))

    def _sum(self, xi: Real) -> Complex:
        """w^H h(xi), shape (M,)."""
        gains, u = self.errors.applied(self.gains, self.directions, xi)
        waves = np.exp(2j * np.pi * np.einsum("mld,nd->mln", u, self.positions))
        return np.asarray(np.einsum("ml,mln,n->m", gains, waves, self.w.conj()))

    def _slopes(self, xi: Real) -> tuple[Complex, Complex]:
        """w^H h(xi), shape (M,), and its slopes by xi, shape (M, L, 4)."""
        gains, _ = self.errors.applied(self.gains, self.directions, xi)
        u, bends = _turned(self.directions, self.errors.angle * xi[..., 2:])
        waves = np.exp(2j * np.pi * np.einsum("mld,nd->mln", u, self.positions)) * self.w.conj()
        heard = waves.sum(axis=2)
        along = self.errors.gain / math.sqrt(2.0) * self.gains * heard
        by_u = 2j * np.pi * np.einsum("mln,nd->mld", waves, self.positions)
        turn = self.errors.angle * gains[..., None] * np.einsum("mld,mlid->mli", by_u, bends)
        slopes = np.stack([along, 1j * along, turn[..., 0], turn[..., 1]], axis=-1)
        return (gains * heard).sum(axis=1), slopes


def _solved(matrices: Real, sides: Real) -> Real:
    """Return the solutions of 2 x 2 systems, shapes (M, 2, 2) and (M, 2)."""
    a, b, c, d = (matrices[:, i, j] for i in range(2) for j in range(2))
    first, second = sides[:, 0], sides[:, 1]
    found = np.stack([d * first - b * second, a * second - c * first], axis=1)
    return np.asarray(found / np.maximum(np.abs(a * d - b * c), 1e-300)[:, None])


def _turned(directions: Real, turns: Real) -> tuple[Real, Real]:
    """Return in-plane parts after turns in the tangent plane, and their slopes by the turns.

    Along great circles, as `radio.channels.directions.random_step`; shapes (..., 2) of both
    arguments and of the first result, (..., 2, 2) of the second: turn, then in-plane axis.
    """
    unit = lift(directions)
    x, y, z = unit[..., 0], unit[..., 1], unit[..., 2]
    cross = -x * y / (1.0 + z)
    tangents = np.stack(
        [
            np.stack([1.0 - x * x / (1.0 + z), cross], axis=-1),
            np.stack([cross, 1.0 - y * y / (1.0 + z)], axis=-1),
        ],
        axis=-2,
    )
    angle = np.sqrt((turns**2).sum(axis=-1))
    reach = np.sinc(angle / np.pi)
    # (cos - sinc) / angle^2, by its series where that would cancel
    small = angle < 1e-3
    safe = np.where(small, 1.0, angle)
    curve = np.where(small, -1.0 / 3.0 + angle**2 / 30.0, (np.cos(safe) - reach) / safe**2)
    way = np.einsum("...i,...id->...d", turns, tangents)
    turned = np.cos(angle)[..., None] * unit[..., :2] + reach[..., None] * way
    slopes = reach[..., None, None] * (
        tangents - turns[..., None] * unit[..., None, :2]
    ) + (curve[..., None] * turns)[..., None] * way[..., None, :]  # fmt: skip
    # rounding never leaves |u| <= 1
    size = np.maximum(1.0, np.sqrt((turned**2).sum(axis=-1, keepdims=True)))
    return turned / size, slopes
