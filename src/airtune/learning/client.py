"""One client's part of a round: the gradient, or the change that local steps bring."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from airtune.kinds import Integer
from airtune.learning.objectives.base import LocalTask
from airtune.learning.results import ClientState, ClientUpdate, Vector
from airtune.registry import CLIENT_OBJECTIVES
from airtune.scenario.learning import Training
from airtune.streams import generator, torch_seed

if TYPE_CHECKING:
    import torch

    from airtune.learning.batches import Batch
    from airtune.learning.model import AdapterModel
    from airtune.learning.objectives.base import ClientObjective
    from airtune.learning.text import Example


def choose(
    examples: Sequence[Example], size: int, seed: int, round_index: int, client: int, step: int
) -> list[Example]:
    """Draw the examples of a client's mini-batch, without replacement, from its named stream.

    The batch of a smaller size is the beginning of that of a larger one.  A client with fewer
    records than `size` uses all of them.

    Parameters
    ----------
    examples : sequence of Example
        The client's training data.
    size : int
        Samples.
    seed, round_index, client, step : int
        Name the random stream; `step` counts the local steps of the round from 0.

    Examples
    --------
    The smaller batch is the beginning of the larger one:

    >>> from airtune.learning.text import Example
    >>> examples = [Example(ids=(1, answer), prompt=1, label="") for answer in range(5)]
    >>> two = choose(examples, 2, seed=1, round_index=0, client=0, step=0)
    >>> four = choose(examples, 4, seed=1, round_index=0, client=0, step=0)
    >>> len(two), len(four), two == four[:2]
    (2, 4, True)
    """
    name = ("batch", round_index, client)
    stream = generator(seed, *name) if step == 0 else generator(seed, *name, step)
    return [examples[i] for i in stream.permutation(len(examples))[:size]]


def mini_batch(
    examples: Sequence[Example], size: int, seed: int, round_index: int, client: int, step: int
) -> Batch:
    """Return the padded mini-batch of :func:`choose`.

    Examples
    --------
    >>> from airtune.learning.text import Example
    >>> examples = [Example((5, 6, 7), prompt=1, label=""), Example((8, 9), prompt=1, label="")]
    >>> batch = mini_batch(examples, 8, seed=1, round_index=0, client=0, step=0)
    >>> tuple(batch.ids.shape), batch.tokens  # of all records: there are fewer than eight
    ((2, 3), 5)
    """
    from airtune.learning.batches import collate

    return collate(choose(examples, size, seed, round_index, client, step))


def client_update(
    model: AdapterModel,
    adapter: Vector,
    examples: Sequence[Example],
    settings: Training,
    *,
    batch_size: int,
    seed: int,
    round_index: int,
    client: int,
    state: ClientState | None = None,
    moved: Integer | None = None,
) -> ClientUpdate:
    """Compute a client's descent direction at `adapter`.

    H = 1: the gradient of the client objective on one mini-batch.  H > 1: H steps of
    `client_optimizer` with `local_learning_rate`, each on a mini-batch of its own, and
    (before - after) / rate.
    Then the direction is scaled down to `clip_norm`, if set and exceeded.

    Parameters
    ----------
    model : AdapterModel
        Shared model.  Several threads may use it at once if it `packs`; otherwise they may for
        H = 1 without dropout, with a `single_pass` objective and with `adapter` loaded.
    adapter : ndarray, float32, shape (d,)
        Global adapter.
    examples : sequence of Example
        The client's training data.
    settings : Training
        `client_objective` and its `beta`, `local_steps`, `local_learning_rate` and `clip_norm` are
        used.
    batch_size : int
        Samples per step.
    seed, round_index, client : int
        Name the random streams.
    state : dict of str to ndarray, optional
        The client's state after its last round; None before its first.
    moved : ndarray, int, optional
        Entries that the payload of the round sends: the steps move these only, and the update is 0
        elsewhere.  All by default.

    Returns
    -------
    ClientUpdate
        With zeros and ``finite=False`` if a NaN or an infinity came up: it must not leave the
        client.
    """
    steps = client_steps(
        model,
        adapter,
        examples,
        settings,
        batch_size=batch_size,
        seed=seed,
        round_index=round_index,
        client=client,
        state=state,
        moved=moved,
    )
    return alone(steps)


@dataclass(frozen=True)
class Pass:
    """A forward and backward pass that a client is about to make.

    Attributes
    ----------
    flat : Tensor, float32, shape (d,)
        Its adapter.
    examples : list of Example
        Mini-batch.
    """

    flat: torch.Tensor
    examples: list[Example]


Gradient = tuple[float, "torch.Tensor"]
"""A training loss and its gradient."""

Steps = Generator[Pass, "Gradient | None", ClientUpdate]
"""A client's part of a round that halts before each pass and takes its result, if it is known."""


def alone(steps: Steps) -> ClientUpdate:
    """Return the update of a client that makes its passes by itself."""
    try:
        next(steps)
        while True:
            steps.send(None)
    except StopIteration as end:
        return cast(ClientUpdate, end.value)


@dataclass
class _Foreseen:
    """The model for one step of a client whose gradient another pass has computed already."""

    model: AdapterModel
    known: Pass
    gradient: Gradient | None

    def gradient_at(
        self,
        flat: torch.Tensor,
        examples: Sequence[Example],
        random: torch.Generator | None = None,
        *,
        weights: torch.Tensor | None = None,
    ) -> Gradient:
        """See :meth:`AdapterModel.gradient_at`; what is not known is computed."""
        same = flat is self.known.flat and examples is self.known.examples
        if same and weights is None and self.gradient is not None:
            # The caller may change it.
            found, self.gradient = self.gradient, None
            return found
        return self.model.gradient_at(flat, examples, random, weights=weights)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def client_steps(
    model: AdapterModel,
    adapter: Vector,
    examples: Sequence[Example],
    settings: Training,
    *,
    batch_size: int,
    seed: int,
    round_index: int,
    client: int,
    state: ClientState | None = None,
    moved: Integer | None = None,
) -> Steps:
    """Compute a client's update as :func:`client_update` does, and halt before each pass.

    Yields
    ------
    Pass
        What the next local step works on.  It is to be sent the training loss and its gradient
        there, or None: then the client computes it.
    """
    from airtune.learning.local_steps import local_steps

    objective: ClientObjective = CLIENT_OBJECTIVES[settings.client_objective]
    rate = single(settings.local_learning_rate)
    rest = None if moved is None else _others(moved, len(adapter))
    with _dropout(model, seed, round_index, client) as random:
        task = LocalTask(model, _tensor(adapter), settings, random)
        before = objective.init(task) if state is None else state
        after, flat, losses, tokens = objective.start(task, before), _tensor(adapter), [], 0
        step = local_steps(flat, settings, rate)
        for number in range(settings.local_steps):
            chosen = choose(examples, batch_size, seed, round_index, client, number)
            known = Pass(flat, chosen)
            found = yield known
            own = task if found is None else replace(task, model=_foreseen(model, known, found))
            loss, gradient, after = objective.step(own, flat, chosen, after)
            if rest is not None:
                gradient = gradient.masked_fill(rest, 0.0)
            losses.append(loss)
            tokens += sum(len(example.ids) for example in chosen)
            if settings.local_steps > 1:
                step(gradient)
                if rest is not None and settings.client_weight_decay > 0:
                    flat[rest] = task.adapter[rest]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if settings.local_steps > 1:
            update = (adapter - flat.numpy()) / np.float32(rate)
        else:
            update = gradient.numpy()
        norm = float(np.linalg.norm(update.astype(np.float64)))
        mean = float(np.mean(losses))
    if not (np.isfinite(norm) and np.isfinite(mean)):
        return ClientUpdate(np.zeros_like(update), mean, tokens, finite=False, state=before)
    if settings.clip_norm is not None and norm > settings.clip_norm:
        update *= np.float32(settings.clip_norm / norm)
    return ClientUpdate(update, mean, tokens, finite=True, state=after)


def _foreseen(model: AdapterModel, known: Pass, gradient: Gradient) -> AdapterModel:
    return cast("AdapterModel", _Foreseen(model, known, gradient))


def single(number: float) -> float:
    """Return a number as single precision holds it: infinite where it is beyond that.

    Examples
    --------
    >>> single(0.5), single(1e300)
    (0.5, inf)
    """
    with np.errstate(over="ignore"):
        return float(np.float32(number))


def _tensor(adapter: Vector) -> torch.Tensor:
    """Return a copy of an adapter."""
    import torch

    return torch.from_numpy(np.array(adapter, np.float32))


def _others(moved: Integer, length: int) -> torch.Tensor:
    """Return which entries do not move, shape (d,)."""
    import torch

    rest = torch.ones(length, dtype=torch.bool)
    rest[torch.from_numpy(moved)] = False
    return rest


@contextmanager
def _dropout(
    model: AdapterModel, seed: int, round_index: int, client: int
) -> Iterator[torch.Generator | None]:
    """Activate the adapters' dropout, if any, on its named stream."""
    import torch

    if model.settings.dropout == 0:
        yield None
        return
    name = torch_seed(seed, "dropout", round_index, client)
    if model.packs:
        yield torch.Generator().manual_seed(name)
        return
    model.dropout(True)
    try:
        with model.device.random_stream(name):
            yield None
    finally:
        model.dropout(False)
