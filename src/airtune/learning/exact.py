"""Exact aggregation of LoRA: the mean of the clients' products B A, not the product of the means.

The mean of what clients have come to has no low rank, so a part of it goes where rank does not
count: into the frozen weights.  Their *change* is kept as one vector, the products of all adapted
layers one after the other, in units of B A (before the scale alpha / r).  A model is then the
entries of the adapter followed by those of the change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airtune.errors import InputError, clip
from airtune.kinds import Floating, Real
from airtune.learning.product_bias import STACKED
from airtune.learning.results import AdapterMatrix, Vector
from airtune.streams import generator


@dataclass(frozen=True, slots=True)
class Pair:
    """The two factors of an adapted layer and the place of their product in a change.

    Attributes
    ----------
    a, b : AdapterMatrix
        A, shape (r, n), and B, shape (m, r).
    start : int
        The product, m x n row by row, is ``change[start : start + m n]``.
    """

    a: AdapterMatrix
    b: AdapterMatrix
    start: int

    @property
    def shape(self) -> tuple[int, int]:
        """m and n."""
        return self.b.shape[0], self.a.shape[1]

    @property
    def size(self) -> int:
        """Entries m n of the product."""
        return self.b.shape[0] * self.a.shape[1]

    def factors(self, rows: Real) -> tuple[Real, Real]:
        """Return A, shape (S, r, n), and B, shape (S, m, r), of adapters, shape (S, d)."""
        a, b = (
            rows[:, one.start : one.start + one.size].reshape(len(rows), *one.shape)
            for one in (self.a, self.b)
        )
        return a, b

    def message(self, clients: int) -> int:
        """Return the numbers in which a sum of so many products is told: factors, or all of it."""
        return min(self.size, clients * (self.a.size + self.b.size))


def pairs_of(matrices: Sequence[AdapterMatrix]) -> tuple[Pair, ...]:
    """Return the pairs of factors of all adapted layers, in the order of their A.

    Raises
    ------
    InputError
        A matrix is no factor of a linear layer.

    Examples
    --------
    >>> a = AdapterMatrix("q.lora_A.weight", (2, 5), 0, 10)
    >>> b = AdapterMatrix("q.lora_B.weight", (3, 2), 10, 6)
    >>> [(pair.shape, pair.start, pair.message(1)) for pair in pairs_of([a, b])]
    [((3, 5), 0, 15)]
    """
    others = {matrix.name: matrix for matrix in matrices if "lora_B" in matrix.name}
    pairs, start = [], 0
    for a in matrices:
        if "lora_B" in a.name:
            continue
        b = others.pop(a.name.replace("lora_A", "lora_B"), None)
        if b is None or "lora_A" not in a.name or STACKED.search(a.name) or len(a.shape) != 2:
            raise _no_pair(a)
        pairs.append(Pair(a, b, start))
        start += pairs[-1].size
    for b in others.values():
        raise _no_pair(b)
    return tuple(pairs)


def _no_pair(matrix: AdapterMatrix) -> InputError:
    return InputError(
        f"digital.aggregation: the matrix {clip(matrix.name)!r} is no factor of LoRA on a linear "
        "layer; must be mean or fedsa with these model.lora.target_modules"
    )


def mean_products(pairs: Sequence[Pair], rows: Floating, weights: Real) -> Real:
    """Return ``sum_k omega_k B_k A_k`` of all layers, shape (D,).

    Parameters
    ----------
    pairs : sequence of Pair
    rows : ndarray, float, shape (S, d)
        Adapters.
    weights : ndarray, float, shape (S,)
        omega_k.

    Examples
    --------
    >>> pairs = pairs_of([AdapterMatrix("q.lora_A", (1, 1), 0, 1),
    ...                   AdapterMatrix("q.lora_B", (1, 1), 1, 1)])
    >>> mean_products(pairs, np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.5, 0.5])).tolist()
    [7.0]
    """
    found, wide = [], rows.astype(np.float64)
    for pair in pairs:
        a, b = pair.factors(wide)
        stacked = (weights[:, None, None] * a).reshape(-1, a.shape[2])  # (S r, n)
        found.append((b.transpose(1, 0, 2).reshape(b.shape[1], -1) @ stacked).reshape(-1))
    return np.concatenate(found) if found else np.zeros(0)


@dataclass(frozen=True)
class ExactAggregation(ABC):
    """What the server makes of the adapters that clients have come to.

    The server takes their mean, as in the papers: `training.server_optimizer` has no part in it.

    Attributes
    ----------
    pairs : tuple of Pair
    seed : int
        Root of the repetition's streams, known to server and clients.
    """

    pairs: tuple[Pair, ...]
    seed: int

    @property
    def size(self) -> int:
        """Entries D of the change of the frozen weights."""
        return sum(pair.size for pair in self.pairs)

    @property
    def total(self) -> int:
        """Entries d of an adapter."""
        return sum(pair.a.size + pair.b.size for pair in self.pairs)

    @abstractmethod
    def aggregated(
        self, adapter: Vector, change: Vector, rows: Real, weights: Real, round_index: int
    ) -> tuple[Vector, Vector]:
        """Return adapter and change after a round.

        Parameters
        ----------
        adapter : ndarray, float32, shape (d,)
            Where the clients began.
        change : ndarray, float32, shape (D,)
            Of the frozen weights, until then.
        rows : ndarray, float, shape (S, d)
            Adapters that the clients have come to, as decoded.
        weights : ndarray, float, shape (S,)
            omega_k, sum 1.
        round_index : int
        """

    @abstractmethod
    def message(self, clients: int) -> int:
        """Return the numbers of the broadcast after a round with so many clients; 0: the first.

        The first one is the adapter that the run begins with.  The change of a layer is told by
        factors, or by all of its entries where these are fewer.
        """


class Stacked(ExactAggregation):
    """FLoRA [1]_: the clients' factors are stacked, ``[B_1 ... B_S] [omega_1 A_1; ...; omega_S
    A_S] = sum_k omega_k B_k A_k``, and merged into the frozen weights.

    Clients begin each round with new factors, A drawn from the shared seed as PEFT draws it
    (uniform within 1 / sqrt(n)) and B = 0.  The broadcast holds the stacked factors of all clients,
    S d numbers, or the mean product of a layer itself where that is shorter.

    References
    ----------
    .. [1] Z. Wang et al., "FLoRA: federated fine-tuning large language models with heterogeneous
       low-rank adaptations", NeurIPS 2024, arXiv:2409.05976.
    """

    def aggregated(
        self, adapter: Vector, change: Vector, rows: Real, weights: Real, round_index: int
    ) -> tuple[Vector, Vector]:
        """See :meth:`ExactAggregation.aggregated`."""
        after = (change + mean_products(self.pairs, rows, weights)).astype(np.float32)
        fresh, stream = np.zeros_like(adapter), generator(self.seed, "factors", round_index)
        for pair in self.pairs:
            most = 1.0 / np.sqrt(pair.a.shape[1])
            place = slice(pair.a.start, pair.a.start + pair.a.size)
            fresh[place] = stream.uniform(-most, most, pair.a.size)
        return fresh, after

    def message(self, clients: int) -> int:
        """See :meth:`ExactAggregation.message`."""
        return sum(pair.message(clients) for pair in self.pairs) if clients else self.total


class Residual(ExactAggregation):
    """FedEx-LoRA [1]_: the factors are averaged apart, and what their product misses, ``sum_k
    omega_k B_k A_k - Bbar Abar = sum_k omega_k (B_k - Bbar)(A_k - Abar)``, goes into the frozen
    weights.

    The broadcast holds the mean factors and the residual, which has rank (S - 1) r at most.

    References
    ----------
    .. [1] R. Singhal, K. Ponkshe, P. Vepakomma, "FedEx-LoRA: exact aggregation for federated and
       efficient fine-tuning of foundation models", ACL 2025, arXiv:2410.09432.
    """

    def aggregated(
        self, adapter: Vector, change: Vector, rows: Real, weights: Real, round_index: int
    ) -> tuple[Vector, Vector]:
        """See :meth:`ExactAggregation.aggregated`."""
        mean: Vector = (weights @ rows.astype(np.float64)).astype(np.float32)
        exact: Real = mean_products(self.pairs, rows, weights)
        missed = exact - mean_products(self.pairs, mean[None].astype(np.float64), np.ones(1))
        return mean, (change + missed).astype(np.float32)

    def message(self, clients: int) -> int:
        """See :meth:`ExactAggregation.message`."""
        return self.total + sum(pair.message(max(0, clients - 1)) for pair in self.pairs)


AGGREGATIONS: dict[str, type[ExactAggregation]] = {"flora": Stacked, "fedex": Residual}
"""By the name in `digital.aggregation`, as `airtune.scenario.digital.EXACT_PRODUCTS` lists."""
