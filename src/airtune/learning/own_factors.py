"""Clients that keep factors of their own (FedSA-LoRA): their training and their scores.

What a client keeps is in its state, which the rounds carry and engines hand to clients as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from airtune.kinds import Integer, Real
from airtune.learning.payload.base import entries_of
from airtune.learning.results import ClientState, ClientUpdate, DomainScore, Evaluation, Vector
from airtune.scenario.learning import Training

if TYPE_CHECKING:
    from airtune.learning.client import Steps
    from airtune.learning.model import AdapterModel
    from airtune.learning.text import Example

OWN = "own_factors"
"""Name in a client's state of the entries of its B."""


def keeps(state: ClientState | None) -> bool:
    """Tell whether a client has factors of its own."""
    return state is not None and OWN in state


def adapter_of(adapter: Vector, own: Vector, kept: Integer) -> Vector:
    """Return the shared adapter with a client's own entries in their places.

    Examples
    --------
    >>> adapter_of(np.zeros(3, np.float32), np.ones(1, np.float32), np.array([1])).tolist()
    [0.0, 1.0, 0.0]
    """
    personal = adapter.copy()
    personal[kept] = own
    return personal


def personal_steps(
    model: AdapterModel,
    adapter: Vector,
    examples: Sequence[Example],
    settings: Training,
    *,
    batch_size: int,
    seed: int,
    round_index: int,
    client: int,
    state: ClientState | None,
) -> Steps:
    """Compute the update of a client with factors of its own; its next state has their next values.

    Parameters and yields are those of :func:`airtune.learning.client.client_steps`.  The update is
    0 at the client's own entries; `clip_norm` holds for the others.
    """
    from airtune.learning.client import client_steps, single

    assert state is not None
    kept, own = entries_of(tuple(model.matrices), "B"), state[OWN]
    start, others = adapter_of(adapter, own, kept), {k: v for k, v in state.items() if k != OWN}
    free = settings.model_copy(update={"clip_norm": None})
    done = yield from client_steps(
        model,
        start,
        examples,
        free,
        batch_size=batch_size,
        seed=seed,
        round_index=round_index,
        client=client,
        state=others or None,
    )
    update = done.update.copy()
    after = own - np.float32(single(settings.local_learning_rate)) * update[kept]
    update[kept] = 0.0
    norm = float(np.linalg.norm(update.astype(np.float64)))
    if not np.isfinite(after).all():
        return ClientUpdate(np.zeros_like(update), done.loss, done.tokens, finite=False)
    if settings.clip_norm is not None and norm > settings.clip_norm:
        update *= np.float32(settings.clip_norm / norm)
    return ClientUpdate(update, done.loss, done.tokens, done.finite, {**done.state, OWN: after})


def label_shares(holdings: Mapping[str, Sequence[Any]], weights: Real) -> dict[str, Real]:
    """Return how much each client's model counts for the records of a label, shape (K,), sum 1.

    In proportion to the training records of the label that the clients hold; where nobody holds
    any, as the clients count for the whole.

    Parameters
    ----------
    holdings : mapping
        ``labels`` and ``counts`` as :meth:`airtune.engines.Engine.holdings` returns them.
    weights : ndarray, float, shape (K,)
        omega_k of the clients whose models count, 0 for the others.

    Examples
    --------
    >>> label_shares({"labels": ["a"], "counts": [[3], [1]]}, np.array([0.5, 0.5]))["a"].tolist()
    [0.75, 0.25]
    """
    counts = np.array(holdings["counts"], float) * (weights > 0)[:, None]
    whole = weights / weights.sum()
    return {
        label: held / held.sum() if held.sum() else whole
        for label, held in zip(holdings["labels"], counts.T, strict=True)
    }


def merged_scores(
    scores: Sequence[Evaluation], shares: Mapping[str, Real], whole: Real
) -> Evaluation:
    """Return the scores of the clients' models, each on the domains that the client learns.

    Parameters
    ----------
    scores : sequence of Evaluation, length K
        Of each client's model, on all domains.
    shares : mapping of str to ndarray, float, shape (K,)
        By domain (:func:`label_shares`).
    whole : ndarray, float, shape (K,)
        For domains that are not in `shares`.

    Returns
    -------
    Evaluation
        Without `token_accuracy`.
    """
    domains = {}
    for name, first in scores[0].domains.items():
        share = shares.get(name, whole)
        hits = [score.domains[name].exact_match for score in scores]
        right = [score.domains[name].preference_accuracy for score in scores]
        domains[name] = DomainScore(
            loss=_mean(share, [score.domains[name].loss for score in scores]),
            exact_match=None if first.exact_match is None else _mean(share, hits),
            records=first.records,
            preference_accuracy=None if first.preference_accuracy is None else _mean(share, right),
            tokens=first.tokens,
        )
    every = list(domains.values())
    sizes = np.array([one.records if one.tokens is None else one.tokens for one in every], float)
    records = np.array([one.records for one in every], float)
    loss = _mean(sizes / sizes.sum(), [one.loss for one in every])
    exact = scores[0].exact_match is not None
    hits = [one.exact_match for one in every]
    perplexity = None if scores[0].perplexity is None else float(np.exp(min(loss, 700.0)))
    return Evaluation(
        loss, perplexity, _mean(records / records.sum(), hits) if exact else None, domains
    )


def _mean(weights: Real, values: Sequence[float | None]) -> float:
    """Return a weighted mean; values of weight 0 do not count, whatever they are."""
    pairs = zip(weights.tolist(), values, strict=True)
    return float(sum(w * v for w, v in pairs if w > 0 and v is not None))
