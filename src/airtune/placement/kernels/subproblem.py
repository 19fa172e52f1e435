"""Arrays of the SQP climb: what a step knows, and the rows of its subproblem."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from airtune.compiled import inner
from airtune.kinds import Integer, Mask, Real
from airtune.placement.kernels.arrays import blank_integers
from airtune.placement.kernels.field import Field
from airtune.placement.kernels.lanes import padded
from airtune.placement.kernels.qp import Dual, dual_space


class Model(NamedTuple):
    """Quadratic model at the current point.

    Z : ndarray, shape (2 M + 1, P)
        Re and Im of z_k = grad u_k / u_k (rows 2k, 2k + 1) for clients, of grad u_j for
        interferers, then grad p. P >= n, zeros from n on: see `lanes`.
    J : ndarray, shape (K, P)
        J_k = 2 Re z_k - grad log p.
    f : ndarray, shape (K,)
        Values f_k.
    lam : ndarray, shape (K,)
        Multipliers of the clients.
    H, U : ndarray, shape (n, P)
        Hessian and its Cholesky factor.
    d : ndarray, shape (>= 4 N,)
        Step.
    """

    Z: Real
    J: Real
    f: Real
    lam: Real
    H: Real
    U: Real
    d: Real


class Rows(NamedTuple):
    """Rows of the subproblem (see `qp`); R is the most there can be.

    dual : Dual
    B : ndarray, shape (n, R)
        Columns b_i.
    owner : ndarray, int, shape (K,)
        Client of each row that stands for one.
    taken : ndarray, bool, shape (4 N + N N,)
        Box and spacing rows that are in.
    c : ndarray, shape (>= 4 N,)
        The row that joins next.
    """

    dual: Dual
    B: Real
    owner: Integer
    taken: Mask
    c: Real


@inner
def subproblem(field: Field, n: int) -> tuple[Model, Rows]:
    """Arrays for n variables: 4 N, or 2 N if the positions stay; for any number of climbs."""
    N, K = field.antennas, field.clients
    M, R = K + field.interferers, padded(K + 6 * N + 8)
    width, length = padded(n), padded(4 * N)
    model = Model(
        np.zeros((2 * M + 1, width)),
        np.zeros((K, width)),
        np.empty(K),
        np.zeros(K),
        np.zeros((n, width)),
        np.zeros((n, width)),
        np.zeros(length),
    )
    rows = Rows(
        dual_space(R),
        np.zeros((n, R)),
        blank_integers(K),
        np.zeros(4 * N + N * N, np.bool_),
        np.zeros(length),
    )
    return model, rows
