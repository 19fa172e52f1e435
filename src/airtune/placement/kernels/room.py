"""Work space of the SQP climb: what a step knows and the rows of its subproblem."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from airtune.placement.kernels.field import inner
from airtune.placement.kernels.lanes import padded
from airtune.placement.problem import Real


class Model(NamedTuple):
    """Quadratic model at the current point.

    Z, J, f : ndarray
        See `derivatives`.
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
    """Rows of the subproblem (see `qp`) and its work space; R is the most there can be.

    B : ndarray, shape (n, R); Q, T : (R, R); h, e, nu : (R,); work : (3, R); active : int (R,)
    owner : ndarray, int, shape (K,)
        Client of each row that stands for one.
    taken : ndarray, bool, shape (4 N + N N,)
        Box and spacing rows that are in.
    c : ndarray, shape (>= 4 N,)
    """

    B: Real
    Q: Real
    T: Real
    h: Real
    e: Real
    nu: Real
    work: Real
    active: NDArray[np.int64]
    owner: NDArray[np.int64]
    taken: NDArray[np.bool_]
    c: Real


@inner
def room(field, n):  # type: ignore[no-untyped-def]
    """Work space for n variables: 4 N, or 2 N if the positions stay; for any number of climbs."""
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
        np.zeros((n, R)),
        np.empty((R, R)),
        np.empty((R, R)),
        np.empty(R),
        np.empty(R),
        np.empty(R),
        np.empty((3, R)),
        np.empty(R, np.int64),
        np.empty(K, np.int64),
        np.zeros(4 * N + N * N, np.bool_),
        np.zeros(length),
    )
    return model, rows
