"""The bias of averaging the two factors of LoRA apart (system model, section 4)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airtune.learning.results import AdapterMatrix

FloatArray = NDArray[np.float64]

STACKED = re.compile(r"(\bexperts|\bbase_layer)\.lora_A\b")
"""Names of the factors of stacked experts; PEFT lays them one around another."""


def product_bias(
    adapter: NDArray[np.float32],
    changes: NDArray[np.floating],
    weights: FloatArray,
    matrices: Sequence[AdapterMatrix],
) -> float | None:
    """Return how far the product of the mean factors is from the mean product.

    Client k has come to the factors B_k, A_k.  The mean of their products less the product of
    their means is ``sum_k omega_k (B_k - Bbar)(A_k - Abar)``; with one local step from a common
    point the mean gradient is that of the mean loss, and no such bias counts.

    Parameters
    ----------
    adapter : ndarray, float, shape (d,)
        Where the clients began.
    changes : ndarray, float, shape (S, d)
        What local steps added, of each client.
    weights : ndarray, float, shape (S,)
        omega_k, sum 1.
    matrices : sequence of AdapterMatrix
        Pairs of factors are told by their names, ``lora_A`` and ``lora_B``.  Those of stacked
        experts (PEFT's target parameters, ``experts.lora_A``) are left out: they hold a product
        for each expert, and neither rank nor number of experts is seen in their shapes.

    Returns
    -------
    float or None
        Frobenius norm of the bias of all products over that of their mean step ``mean_k B_k A_k -
        B A``; None without pairs of factors, without a step, and where it is beyond any number.

    References
    ----------
    System model, section 4; Sun et al.: Improving LoRA in privacy-preserving federated learning,
    2024.

    Examples
    --------
    Two clients that move one factor each, B by 1 and A by 1, from B = A = 1:

    >>> a, b = AdapterMatrix("q.lora_A", (1, 1), 0, 1), AdapterMatrix("q.lora_B", (1, 1), 1, 1)
    >>> changes = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> product_bias(np.ones(2), changes, np.array([0.5, 0.5]), [a, b])
    0.25
    """
    with np.errstate(over="ignore", invalid="ignore"):
        bias, step = _squared_norms(adapter, changes, weights, matrices)
    found = float(np.sqrt(bias / step)) if step > 0 else None
    return found if found is not None and np.isfinite(found) else None


def _squared_norms(
    adapter: NDArray[np.float32],
    changes: NDArray[np.floating],
    weights: FloatArray,
    matrices: Sequence[AdapterMatrix],
) -> tuple[float, float]:
    """Return the squared norms of the bias of all products and of their mean step."""
    by_name = {matrix.name: matrix for matrix in matrices}
    bias = step = 0.0
    for name, a in by_name.items():
        b = by_name.get(name.replace("lora_A", "lora_B"))
        if "lora_A" not in name or b is None or STACKED.search(name):
            continue
        start_a, start_b = (_factor(adapter[None], m)[0] for m in (a, b))
        moved_a, moved_b = (_factor(changes, m) for m in (a, b))
        mean_a, mean_b = (np.tensordot(weights, moved, 1) for moved in (moved_a, moved_b))
        scaled = weights[:, None, None] * (moved_b - mean_b)
        bias += _squared_norm(scaled, moved_a - mean_a)
        # mean_k B_k A_k - B A = B dA + dB A + mean_k dB_k dA_k, as one product of stacked factors.
        left = np.concatenate([start_b[None], mean_b[None], weights[:, None, None] * moved_b])
        right = np.concatenate([mean_a[None], start_a[None], moved_a])
        step += _squared_norm(left, right)
    return bias, step


def _factor(rows: NDArray[np.floating], matrix: AdapterMatrix) -> FloatArray:
    """Return one factor of each row, shape (S, *matrix.shape)."""
    part = rows[:, matrix.start : matrix.start + matrix.size]
    return np.asarray(part, np.float64).reshape(len(rows), *matrix.shape)


def _squared_norm(left: FloatArray, right: FloatArray) -> float:
    """Return ``||sum_k left_k right_k||_F^2`` of shapes (S, m, r) and (S, r, n).

    By the Gram matrices of the S r columns and rows: the m x n product is never formed.
    """
    columns = left.transpose(1, 0, 2).reshape(left.shape[1], -1)
    rows = right.reshape(-1, right.shape[2])
    return max(0.0, float(np.sum((columns.T @ columns) * (rows @ rows.T))))
