"""Validation of what a run has come to: one model, or one of each client."""

from __future__ import annotations

import numpy as np

from airtune.engines import Engine
from airtune.kinds import Integer, Real
from airtune.learning.own_factors import OWN, adapter_of, label_shares, merged_scores
from airtune.learning.results import Evaluation, Vector
from airtune.rounds.state import State


def client_models(state: State, kept: Integer, count: int) -> list[Vector]:
    """Return the shared A with the B of each client; the first B of those that never took part."""
    first = state.adapter[kept]
    owns = (state.client_states.get(k, {}).get(OWN, first) for k in range(count))
    return [adapter_of(state.adapter, own, kept) for own in owns]


def shared_model(state: State, kept: Integer | None, weights: Real) -> Vector:
    """Return the model that stands for the run: with the mean of the clients' B where they differ.

    Parameters
    ----------
    state : State
    kept : ndarray, int, or None
        Entries that stay with the clients.
    weights : ndarray, float, shape (K,)
        omega_k of those that take part, 0 for the others, as for :func:`evaluate`.
    """
    if kept is None:
        return state.model
    models = np.array(client_models(state, kept, len(weights)))
    return np.asarray(weights @ models.astype(np.float64), np.float32)


def evaluate(engine: Engine, state: State, kept: Integer | None, weights: Real) -> Evaluation:
    """Score what a run has come to on the validation records.

    Where clients keep factors of their own, the records of a domain are answered by the models of
    the clients that learn it, which count as they hold records of it.

    Parameters
    ----------
    engine : Engine
    state : State
    kept : ndarray, int, or None
        Entries that stay with the clients.
    weights : ndarray, float, shape (K,)
        omega_k of those that take part, 0 for the others.
    """
    if kept is None:
        return engine.evaluate(state.model)
    models = client_models(state, kept, len(weights))
    found: dict[bytes, Evaluation] = {}
    scores = []
    for model in models:
        key = model[kept].tobytes()
        if key not in found:
            found[key] = engine.evaluate(model)
        scores.append(found[key])
    return merged_scores(scores, label_shares(engine.holdings(), weights), weights / weights.sum())
