"""One client's part of a round: the gradient, or the change that local steps bring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from airtune.learning.results import ClientUpdate, Vector
from airtune.scenario.learning import Training
from airtune.streams import generator, torch_seed

if TYPE_CHECKING:
    import torch

    from airtune.learning.batches import Batch
    from airtune.learning.model import AdapterModel
    from airtune.learning.preference import Preference
    from airtune.learning.text import Example


def choose(
    examples: Sequence[Example],
    size: int,
    seed: int,
    round: int,  # noqa: A002
    client: int,
    step: int,
) -> list[Example]:
    """Draw the examples of a client's mini-batch, without replacement, from its named stream.

    The batch of a smaller size is the beginning of that of a larger one.  A client with fewer
    records than `size` uses all of them.
    """
    name = ("batch", round, client) if step == 0 else ("batch", round, client, step)
    order = generator(seed, *name).permutation(len(examples))
    return [examples[i] for i in order[:size]]


def mini_batch(
    examples: Sequence[Example],
    size: int,
    seed: int,
    round: int,  # noqa: A002
    client: int,
    step: int,
) -> Batch:
    """Return the padded mini-batch of :func:`choose`."""
    from airtune.learning.batches import collate

    return collate(choose(examples, size, seed, round, client, step))


def client_update(
    model: AdapterModel,
    adapter: Vector,
    examples: Sequence[Example],
    settings: Training,
    *,
    batch_size: int,
    seed: int,
    round: int,  # noqa: A002
    client: int,
    preference: Preference | None = None,
) -> ClientUpdate:
    """Compute a client's descent direction at `adapter`.

    H = 1: the gradient of :meth:`LanguageModel.training_loss` on one mini-batch.  H > 1: H steps of
    SGD with `local_learning_rate`, each on a mini-batch of its own, and (before - after) / rate.
    Then the direction is scaled down to `clip_norm`, if set and exceeded.

    Parameters
    ----------
    model : AdapterModel
        Shared model.  Several threads may use it at once if it `packs`; otherwise they may for
        H = 1 without dropout and with `adapter` loaded.
    adapter : ndarray, float32, shape (d,)
        Global adapter.
    examples : sequence of Example
        The client's training data.
    settings : Training
        `local_steps`, `local_learning_rate`, `clip_norm` are used.
    batch_size : int
        Samples per step.
    seed, round, client : int
        Name the random streams.
    preference : Preference, optional
        Objective of pairs of answers, in place of the training loss.

    Returns
    -------
    ClientUpdate
        With zeros and ``finite=False`` if a NaN or an infinity came up: it must not leave the
        client.
    """
    import torch

    steps = settings.local_steps
    losses, tokens = [], 0
    flat = torch.from_numpy(np.array(adapter, np.float32))
    with _dropout(model, seed, round, client) as random:
        for step in range(steps):
            chosen = choose(examples, batch_size, seed, round, client, step)
            if preference is None:
                loss, gradient = model.gradient_at(flat, chosen, random)
            else:
                loss, gradient = preference.loss_and_gradient(flat, chosen)
            losses.append(loss)
            tokens += sum(len(example.ids) for example in chosen)
            if steps > 1:
                flat.sub_(gradient, alpha=settings.local_learning_rate)
    if steps > 1:
        update = (adapter - flat.numpy()) / np.float32(settings.local_learning_rate)
    else:
        update = gradient.numpy()
    norm = float(np.linalg.norm(update.astype(np.float64)))
    loss = float(np.mean(losses))
    if not (np.isfinite(norm) and np.isfinite(loss)):
        return ClientUpdate(np.zeros_like(update), loss, tokens, finite=False)
    if settings.clip_norm is not None and norm > settings.clip_norm:
        update *= np.float32(settings.clip_norm / norm)
    return ClientUpdate(update, loss, tokens, finite=True)


@contextmanager
def _dropout(
    model: AdapterModel,
    seed: int,
    round: int,  # noqa: A002
    client: int,
) -> Iterator[torch.Generator | None]:
    """Activate the adapters' dropout, if any, on its named stream."""
    import torch

    if model.settings.dropout == 0:
        yield None
        return
    name = torch_seed(seed, "dropout", round, client)
    if model.packs:
        yield torch.Generator().manual_seed(name)
        return
    model.dropout(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(name)
            yield None
    finally:
        model.dropout(False)
