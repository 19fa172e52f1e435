"""Holding the interferers down: least-squares corrections of the beamformer.

Interferers 20 dB above the noise pin u_j = sum_n a_n v_j(r_n) near 0 along a curved manifold. A
step in positions leaves it at second order; the correction c of a that brings the leak back,

    minimise ||c||^2 + ||V c + delta||^2    =>    c = -V^H (V V^H + I)^{-1} delta,

is what makes long steps, and moves of single antennas, acceptable.
"""

from __future__ import annotations

import math

import numpy as np

from airtune.compiled import inner
from airtune.kinds import Complex, Real
from airtune.placement.kernels.field import Field


@inner
def leak_matrix(field: Field, g: Real) -> Complex:
    """Cholesky factor of V V^H + I, V (J, N) from the channel g (>= 2, N M)."""
    K, J = field.clients, field.interferers
    M = K + J
    W = np.zeros((J, J), np.complex128)
    for i in range(J):
        for j in range(i + 1):
            re = im = 0.0
            for n in range(field.antennas):
                p, q = n * M + K + i, n * M + K + j
                re += g[0, p] * g[0, q] + g[1, p] * g[1, q]
                im += g[1, p] * g[0, q] - g[0, p] * g[1, q]
            W[i, j] = complex(re, im)
        W[i, i] += 1.0
    factor(W)
    return W


@inner
def factor(W: Complex) -> None:
    """Cholesky factor of a Hermitian positive definite matrix, in its lower triangle, in place."""
    size = W.shape[0]
    for j in range(size):
        for k in range(j):
            W[j, j] -= W[j, k] * W[j, k].conjugate()
        W[j, j] = math.sqrt(W[j, j].real)
        for i in range(j + 1, size):
            for k in range(j):
                W[i, j] -= W[i, k] * W[j, k].conjugate()
            W[i, j] /= W[j, j].real


@inner
def leak_solve(W: Complex, b: Complex) -> None:
    """b <- A^{-1} b in place, with W the factor of A from `leak_matrix` or `factor`."""
    J = len(b)
    for i in range(J):
        for k in range(i):
            b[i] -= W[i, k] * b[k]
        b[i] /= W[i, i].real
    for i in range(J - 1, -1, -1):
        for k in range(i + 1, J):
            b[i] -= W[k, i].conjugate() * b[k]
        b[i] /= W[i, i].real


@inner
def hold_leak(field: Field, g: Real, wanted: Complex, z: Real) -> None:
    """Correct a (rows 0 and 1 of z) so that the leak V a comes back towards `wanted` (J,)."""
    ar, ai = z[0], z[1]
    K, J = field.clients, field.interferers
    M = K + J
    delta = np.empty(J, np.complex128)
    for j in range(J):
        re = im = 0.0
        for n in range(field.antennas):
            q = n * M + K + j
            re += ar[n] * g[0, q] - ai[n] * g[1, q]
            im += ar[n] * g[1, q] + ai[n] * g[0, q]
        delta[j] = complex(re, im) - wanted[j]
    leak_solve(leak_matrix(field, g), delta)
    for n in range(field.antennas):
        for j in range(J):
            q = n * M + K + j
            ar[n] -= g[0, q] * delta[j].real + g[1, q] * delta[j].imag
            ai[n] -= g[0, q] * delta[j].imag - g[1, q] * delta[j].real


@inner
def answer_leak(field: Field, g: Real, z: Real) -> None:
    """Correct a (rows 0 and 1 of z) so that the leak goes towards 0."""
    if field.interferers:
        hold_leak(field, g, np.zeros(field.interferers, np.complex128), z)


@inner
def response(field: Field, g: Real) -> tuple[Complex, Complex]:
    """How the placed antennas answer a leak s: the clients' sums change by -E s.

    Columns of g of antennas that are not placed must be 0.

    Returns
    -------
    E : ndarray, complex, shape (K, J)
        G V^H (V V^H + I)^{-1}.
    W : ndarray, complex, shape (J, J)
        Cholesky factor of V V^H + I.
    """
    K, J = field.clients, field.interferers
    M = K + J
    E = np.zeros((K, J), np.complex128)
    W = leak_matrix(field, g)
    if J == 0:
        return E, W
    for m in range(K):
        row = E[m]
        for j in range(J):
            re = im = 0.0
            for i in range(field.antennas):
                a, b = i * M + m, i * M + K + j
                re += g[0, a] * g[0, b] + g[1, a] * g[1, b]
                im += g[1, a] * g[0, b] - g[0, a] * g[1, b]
            row[j] = complex(re, -im)
        leak_solve(W, row)  # the matrix is Hermitian: this is the conjugate of the row of E
        for j in range(J):
            row[j] = row[j].conjugate()
    return E, W


@inner
def see_sums(field: Field, E: Complex, W: Complex, v: Real) -> None:
    """v (2, M) in place: clients v_k - E_k s, interferers W^{-1} s, with s = v_J."""
    K, J = field.clients, field.interferers
    if J == 0:
        return
    for k in range(K):
        for j in range(J):
            cr, ci = E[k, j].real, E[k, j].imag
            v[0, k] -= cr * v[0, K + j] - ci * v[1, K + j]
            v[1, k] -= cr * v[1, K + j] + ci * v[0, K + j]
    for i in range(J):
        for k in range(i):
            cr, ci = W[i, k].real, W[i, k].imag
            v[0, K + i] -= cr * v[0, K + k] - ci * v[1, K + k]
            v[1, K + i] -= cr * v[1, K + k] + ci * v[0, K + k]
        v[0, K + i] /= W[i, i].real
        v[1, K + i] /= W[i, i].real
