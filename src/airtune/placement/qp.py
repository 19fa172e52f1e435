"""The convex subproblem of SQP, solved in its dual by a small active-set method.

    maximise  s - d'H d / 2   s.t.   e_i s <= h_i + c_i' d,   e_i in {0, 1}

With H = U' U and b_i = U'^-1 c_i the dual is

    minimise  nu' Q nu / 2 + h' nu   s.t.   nu >= 0,  sum_i e_i nu_i = 1,     Q_ij = b_i' b_j,

and d = U^-1 sum_i nu_i b_i. Its multiplier of the equality is s. The rows (clients, box, spacing)
are few, so everything is done with dense triangles of the size of the active set.
"""

from __future__ import annotations

import math

import numpy as np

from airtune.placement.field import entry, inner


@entry
def cholesky(H, shift, U):  # type: ignore[no-untyped-def]
    """Upper U with U' U = H + shift I (lower triangle of H); False if not positive definite.

    Row by row and four earlier rows at a time: the inner loop runs along memory and needs no
    reordering of sums.
    """
    n = H.shape[0]
    for i in range(n):
        row = U[i]
        for j in range(i, n):
            row[j] = H[j, i]
        row[i] += shift
        fours = i - i % 4
        for k in range(0, fours, 4):
            r0, r1, r2, r3 = U[k], U[k + 1], U[k + 2], U[k + 3]
            f0, f1, f2, f3 = r0[i], r1[i], r2[i], r3[i]
            for j in range(i, n):
                row[j] -= f0 * r0[j] + f1 * r1[j] + f2 * r2[j] + f3 * r3[j]
        for k in range(fours, i):
            r0 = U[k]
            f0 = r0[i]
            for j in range(i, n):
                row[j] -= f0 * r0[j]
        if not row[i] > 1e-10:
            return False
        scale = 1 / math.sqrt(row[i])
        for j in range(i, n):
            row[j] *= scale
    return True


@inner
def _solve_active(Q, h, e, active, count, T, nu):  # type: ignore[no-untyped-def]
    """Equality-constrained dual on the active rows: nu (in order of `active`) and s.

    Q_PP nu + h_P - s e_P = 0,  e_P' nu = 1, through two triangular solves with Q_PP = T T'.
    """
    first, second = np.empty(count), np.empty(count)
    for i in range(count):
        a = active[i]
        for j in range(i):
            acc = Q[a, active[j]]
            for k in range(j):
                acc -= T[i, k] * T[j, k]
            T[i, j] = acc / T[j, j]
        acc = Q[a, a] * (1 + 1e-10) + 1e-14
        for k in range(i):
            acc -= T[i, k] * T[i, k]
        T[i, i] = math.sqrt(max(acc, 1e-12 * Q[a, a] + 1e-16))
        up, down = e[a], h[a]
        for k in range(i):
            up -= T[i, k] * first[k]
            down -= T[i, k] * second[k]
        first[i], second[i] = up / T[i, i], down / T[i, i]
    ee = eh = 0.0
    for i in range(count):
        ee += first[i] * first[i]
        eh += first[i] * second[i]
    s = (1 + eh) / max(ee, 1e-300)
    for i in range(count - 1, -1, -1):
        acc = s * first[i] - second[i]
        for k in range(i + 1, count):
            acc -= T[k, i] * nu[k]
        nu[i] = acc / T[i, i]
    return s


@entry
def dual(Q, h, e, rows, active, count, nu, T, work):  # type: ignore[no-untyped-def]
    """Active-set solution of the dual; returns (size of the active set, s).

    Parameters
    ----------
    Q : ndarray, shape (m, m)
    h, e : ndarray, shape (m,)
    rows : int
        Rows in use.
    active : ndarray, int, shape (m,)
        In: a guess with at least one row of e = 1. Out: the active set.
    count : int
        Size of the guess.
    nu : ndarray, shape (m,)
        Out: multiplier of active[i] at i.
    T : ndarray, shape (m, m)
    work : ndarray, shape (m,)
    """
    nu[:count] = 0.0
    known = False
    s = 0.0
    for _ in range(4 * rows + 8):
        s = _solve_active(Q, h, e, active, count, T, work)
        low = 0
        for i in range(count):
            if work[i] < work[low]:
                low = i
        if work[low] < -1e-12:
            # leave by the first row to reach zero on the way from a dual feasible point,
            # or, from a mere guess, by the most negative row
            leave, part = low, 1.0
            if known:
                for i in range(count):
                    if work[i] < -1e-12:
                        reach = nu[i] / (nu[i] - work[i])
                        if reach < part:
                            leave, part = i, reach
                for i in range(count):
                    nu[i] += part * (work[i] - nu[i])
            elif e[active[low]] > 0:
                clients = 0
                for i in range(count):
                    clients += int(e[active[i]])
                if clients == 1:
                    return count, s
            count -= 1
            for i in range(leave, count):
                active[i] = active[i + 1]
                nu[i] = nu[i + 1]
            continue
        known = True
        for i in range(count):
            nu[i] = work[i]
        enter, least = -1, -1e-9
        for r in range(rows):
            slack = h[r] - s * e[r]
            for i in range(count):
                slack += Q[r, active[i]] * nu[i]
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
