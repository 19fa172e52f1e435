"""Which client holds which training records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from airtune.errors import InputError

Indices = NDArray[np.int64]


def partition(
    labels: Sequence[str],
    clients: int,
    kind: str,
    random: np.random.Generator,
    *,
    alpha: float = 0.5,
    shares: Sequence[float] | None = None,
) -> tuple[Indices, ...]:
    """Share records among clients; every record goes to exactly one client, none stays empty.

    Parameters
    ----------
    labels : sequence of str
        Domain of each record; ``""`` when unknown.
    clients : int
        Clients K.
    kind : {"domain", "iid", "dirichlet", "size"}
        ``domain``: the labels in alphabetical order are dealt to the clients in turn.  With more
        clients than labels the clients of one label share its records evenly; with more labels
        than clients a client holds several.  ``iid``: evenly, at random.  ``dirichlet``: each
        label's records are shared by proportions drawn from a symmetric Dirichlet distribution
        [1]_.  ``size``: at random, by `shares`.
    random : Generator
        Decides the order and the proportions.
    alpha : float
        Concentration of the Dirichlet distribution; small means unlike clients.
    shares : sequence of float, length K, optional
        Relative sizes of the clients, needed by ``size``.

    Returns
    -------
    tuple of ndarray, int, each ascending
        Record indices of each client.

    Raises
    ------
    InputError
        Fewer records than clients, or a partition by label of unlabelled records.

    References
    ----------
    .. [1] Hsu, Qi, Brown: Measuring the effects of non-identical data distribution for federated
       visual classification, 2019.

    Examples
    --------
    Three clients and two domains: two clients share the records of the first one.

    >>> labels = ["algebra"] * 4 + ["botany"] * 3
    >>> parts = partition(labels, 3, "domain", np.random.default_rng(1))
    >>> [sorted({labels[i] for i in part}) for part in parts]
    [['algebra'], ['botany'], ['algebra']]
    >>> [len(part) for part in parts]
    [2, 3, 2]
    >>> even = partition(labels, 3, "iid", np.random.default_rng(1))
    >>> sorted(int(i) for part in even for i in part)
    [0, 1, 2, 3, 4, 5, 6]
    """
    if len(labels) < clients:
        raise InputError(
            f"clients.count: {clients} clients cannot share {len(labels)} training records; "
            "every client needs one"
        )
    if kind in ("domain", "dirichlet") and not all(labels):
        raise InputError(
            f"data.partition: '{kind}' needs a label on every record; name its field in "
            "data.fields.label or use 'iid'"
        )
    groups = _groups(labels, random)
    if kind == "domain":
        parts = _by_domain(groups, clients)
    elif kind == "dirichlet":
        parts = _by_dirichlet(groups, clients, alpha, random)
    elif kind == "size":
        if shares is None:
            raise ValueError("a partition by size needs shares")
        ends = np.cumsum(shares) / np.sum(shares) * len(labels)
        parts = np.split(random.permutation(len(labels)), np.round(ends[:-1]).astype(int))
    else:
        parts = np.array_split(random.permutation(len(labels)), clients)
    return tuple(np.sort(part).astype(np.int64) for part in _fill(list(parts)))


def _groups(labels: Sequence[str], random: np.random.Generator) -> list[Indices]:
    """Return the shuffled record indices of each label, labels in alphabetical order."""
    array = np.asarray(labels)
    return [random.permutation(np.flatnonzero(array == name)) for name in sorted(set(labels))]


def _by_domain(groups: list[Indices], clients: int) -> list[Indices]:
    if len(groups) >= clients:
        return [np.concatenate(groups[k::clients]) for k in range(clients)]
    parts: list[Indices] = [np.empty(0, np.int64)] * clients
    for g, group in enumerate(groups):
        owners = range(g, clients, len(groups))
        for k, part in zip(owners, np.array_split(group, len(owners)), strict=True):
            parts[k] = part
    return parts


def _by_dirichlet(
    groups: list[Indices], clients: int, alpha: float, random: np.random.Generator
) -> list[Indices]:
    pieces: list[list[Indices]] = [[] for _ in range(clients)]
    for group in groups:
        shares = random.dirichlet(np.full(clients, alpha))
        cuts = np.round(np.cumsum(shares)[:-1] * len(group)).astype(int)
        for piece, part in zip(pieces, np.split(group, cuts), strict=True):
            piece.append(part)
    return [np.concatenate(piece) for piece in pieces]


def _fill(parts: list[Indices]) -> list[Indices]:
    """Give each empty client one record of the client that has most."""
    for k, part in enumerate(parts):
        if len(part) == 0:
            richest = max(range(len(parts)), key=lambda i: len(parts[i]))
            parts[k], parts[richest] = parts[richest][-1:], parts[richest][:-1]
    return parts
