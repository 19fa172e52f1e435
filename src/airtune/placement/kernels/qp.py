"""The convex subproblem of SQP, solved in its dual by a small active-set method.

    maximise  s - d'H d / 2   s.t.   e_i s <= h_i + c_i' d,   e_i in {0, 1}

With H = U' U and b_i = U'^-1 c_i the dual is

    minimise  nu' Q nu / 2 + h' nu   s.t.   nu >= 0,  sum_i e_i nu_i = 1,     Q_ij = b_i' b_j,

and d = U^-1 sum_i nu_i b_i. Its multiplier of the equality is s. The rows (clients, box, spacing)
are few, so everything is done with dense triangles of the size of the active set.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from airtune.compiled import entry, inner
from airtune.kinds import Integer, Real
from airtune.placement.kernels.arrays import blank, blank_integers
from airtune.placement.kernels.lanes import WIDTH, fill, load, store


class Dual(NamedTuple):
    """A dual problem of up to R rows, its answer and work space.

    Q : ndarray, shape (R, R)
    h, e : ndarray, shape (R,)
    active : ndarray, int, shape (R,)
        The active set, in its first entries.
    nu : ndarray, shape (R,)
        Multiplier of the row active[i] at i.
    T : ndarray, shape (R, R)
        Triangle of Q on the active rows; its diagonal holds reciprocals.
    work : ndarray, shape (3, R)
    """

    Q: Real
    h: Real
    e: Real
    active: Integer
    nu: Real
    T: Real
    work: Real


@inner
def dual_space(rows: int) -> Dual:
    """Arrays for a dual problem of up to `rows` rows."""
    return Dual(
        blank(rows, rows),
        np.empty(rows),
        np.empty(rows),
        blank_integers(rows),
        np.empty(rows),
        blank(rows, rows),
        blank(3, rows),
    )


@entry
def cholesky(H: Real, shift: float, U: Real) -> bool:
    """Upper U with U' U = H + shift I; False if not positive definite.

    Parameters
    ----------
    H : ndarray, shape (n, P)
        Upper triangle, finite numbers below; columns n and up are 0 (P: see `lanes`).
    shift : float
    U : ndarray, shape (n, P)
        Out: upper triangle; what is below means nothing.
    """
    n, width = H.shape
    for i in range(n):
        row, source, first = U[i], H[i], i - i % WIDTH
        for b in range(first, width, WIDTH):
            acc = load(source, b)
            for k in range(i):
                above = U[k]
                acc -= fill(above[i]) * load(above, b)
            store(row, b, acc)
        pivot = row[i] + shift
        if not pivot > 1e-10:
            return False
        row[i] = pivot
        scale = fill(1 / math.sqrt(pivot))
        for b in range(first, width, WIDTH):
            store(row, b, load(row, b) * scale)
    return True


@inner
def _solve_active(dual: Dual, valid: int, count: int) -> float:
    """Equality-constrained dual on the active rows: nu (in order of `active`) to work[2]; gives s.

    Q_PP nu + h_P - s e_P = 0,  e_P' nu = 1, through two triangular solves with Q_PP = T T'; the
    first `valid` rows of T, and entries of work[0] and work[1], need no change.
    """
    Q, h, e, active, T = dual.Q, dual.h, dual.e, dual.active, dual.T
    first, second, nu = dual.work[0], dual.work[1], dual.work[2]
    for i in range(valid, count):
        a = active[i]
        row, line = T[i], Q[a]
        for j in range(i):
            acc, other = line[active[j]], T[j]
            for k in range(j):
                acc -= row[k] * other[k]
            row[j] = acc * other[j]
        acc = line[a] * (1 + 1e-10) + 1e-14
        for k in range(i):
            acc -= row[k] * row[k]
        row[i] = 1 / math.sqrt(max(acc, 1e-12 * line[a] + 1e-16))
        up, down = e[a], h[a]
        for k in range(i):
            up -= row[k] * first[k]
            down -= row[k] * second[k]
        first[i], second[i] = up * row[i], down * row[i]
    ee = eh = 0.0
    for i in range(count):
        ee += first[i] * first[i]
        eh += first[i] * second[i]
    s: float = (1 + eh) / max(ee, 1e-300)
    for i in range(count):
        nu[i] = s * first[i] - second[i]
    for i in range(count - 1, -1, -1):
        row = T[i]
        nu[i] *= row[i]
        for k in range(i):
            nu[k] -= row[k] * nu[i]
    return s


@entry
def solve_dual(dual: Dual, rows: int, count: int, known: bool) -> tuple[int, float]:
    """Active-set solution of the dual.

    Parameters
    ----------
    dual : Dual
        In: Q, h, e, and in `active` a guess with at least one row of e = 1. Out: `active`, `nu`.
    rows : int
        Rows in use.
    count : int
        Size of the guess.
    known : bool
        The guess is the answer, with nu, T and work, of a problem with fewer rows.

    Returns
    -------
    count : int
        Size of the active set.
    s : float
        Multiplier of the equality.
    """
    Q, h, e, active, nu, trial = dual.Q, dual.h, dual.e, dual.active, dual.nu, dual.work[2]
    valid = count if known else 0
    if not known:
        nu[:count] = 0.0
    s = 0.0
    for _ in range(4 * rows + 8):
        s = _solve_active(dual, valid, count)
        valid = count
        low = 0
        for i in range(count):
            if trial[i] < trial[low]:
                low = i
        if trial[low] < -1e-12:
            # leave by the first row to reach zero on the line from a dual feasible point,
            # or, from a mere guess, by the most negative row
            leave, part = low, 1.0
            if known:
                for i in range(count):
                    if trial[i] < -1e-12:
                        reach = nu[i] / (nu[i] - trial[i])
                        if reach < part:
                            leave, part = i, reach
                for i in range(count):
                    nu[i] += part * (trial[i] - nu[i])
            elif e[active[low]] > 0:
                clients = 0
                for i in range(count):
                    clients += int(e[active[i]])
                if clients == 1:
                    return count, s
            count -= 1
            valid = leave
            for i in range(leave, count):
                active[i] = active[i + 1]
                nu[i] = nu[i + 1]
            continue
        known = True
        for i in range(count):
            nu[i] = trial[i]
        enter, least = -1, -1e-9
        for r in range(rows):
            line = Q[r]
            slack = h[r] - s * e[r]
            for i in range(count):
                slack += line[active[i]] * nu[i]
            if slack < least:
                inside = False
                for i in range(count):
                    inside = inside or active[i] == r
                if not inside:
                    enter, least = r, slack
        if enter < 0:
            break
        active[count] = enter
        nu[count] = 0.0
        count += 1
    return count, s
