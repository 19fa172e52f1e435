"""The convex subproblem of SQP, solved in its dual by a small active-set method.

    maximise  s - d'H d / 2   s.t.   e_i s <= h_i + c_i' d,   e_i in {0, 1}

With H = U' U and b_i = U'^-1 c_i the dual is

    minimise  nu' Q nu / 2 + h' nu   s.t.   nu >= 0,  sum_i e_i nu_i = 1,     Q_ij = b_i' b_j,

and d = U^-1 sum_i nu_i b_i. Its multiplier of the equality is s. The rows (clients, box, spacing)
are few, so everything is done with dense triangles of the size of the active set.
"""

from __future__ import annotations

import math

from airtune.placement.kernels.field import entry, inner
from airtune.placement.kernels.lanes import WIDTH, fill, load, store


@entry
def cholesky(H, shift, U):  # type: ignore[no-untyped-def]
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
def _solve_active(Q, h, e, active, kept, count, T, first, second, nu):  # type: ignore[no-untyped-def]
    """Equality-constrained dual on the active rows: nu (in order of `active`) and s.

    Q_PP nu + h_P - s e_P = 0,  e_P' nu = 1, through two triangular solves with Q_PP = T T'; the
    first `kept` rows of T are still valid. The diagonal of T holds reciprocals.
    """
    for i in range(kept, count):
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
    s = (1 + eh) / max(ee, 1e-300)
    for i in range(count):
        nu[i] = s * first[i] - second[i]
    for i in range(count - 1, -1, -1):
        row = T[i]
        nu[i] *= row[i]
        for k in range(i):
            nu[k] -= row[k] * nu[i]
    return s


@entry
def dual(Q, h, e, rows, active, count, nu, T, work, known):  # type: ignore[no-untyped-def]
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
        Its first `count` rows are those that belong to the guess if `known`.
    work : ndarray, shape (3, m)
    known : bool
        The guess is the answer, with nu, of a problem with fewer rows.
    """
    first, second, trial = work[0], work[1], work[2]
    kept = count if known else 0
    if not known:
        nu[:count] = 0.0
    s = 0.0
    for _ in range(4 * rows + 8):
        s = _solve_active(Q, h, e, active, kept, count, T, first, second, trial)
        kept = count
        low = 0
        for i in range(count):
            if trial[i] < trial[low]:
                low = i
        if trial[low] < -1e-12:
            # leave by the first row to reach zero on the way from a dual feasible point,
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
            kept = leave
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
