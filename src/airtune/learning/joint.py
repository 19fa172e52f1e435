"""Several clients in one pass: one base model under all their samples, each adapter on its own.

The rows of a padded batch are the clients' samples one client after another.  The frozen layers
work on all rows at once; the low-rank products of a layer are one batched product over the clients
(batched LoRA [1]_, [2]_).  The loss of the pass is the sum of the clients' losses, so the gradient
at the adapter of a client is that of its own loss.

References
----------
.. [1] Chen et al.: Punica: multi-tenant LoRA serving, MLSys 2024.
.. [2] Ye et al.: mLoRA: fine-tuning LoRA adapters via highly-efficient pipeline parallelism in
   multiple GPUs, PVLDB 2025.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from airtune.learning.batches import Batch, collate
from airtune.learning.fused import is_plain_lora
from airtune.learning.text import Example

if TYPE_CHECKING:
    from airtune.learning.client import Gradient
    from airtune.learning.model import AdapterModel

# Relative difference of gradients that the pass at the start may show, in full and in lower
# precision: adapters that change places give more than 1.
_FULL, _LOW = 1e-3, 0.3


@dataclass
class _Run:
    """What one pass works with.

    Attributes
    ----------
    matrices : list of Tensor, shape (S, rows of the matrix, its columns)
        A and B of each layer in turn, of S clients.
    samples, width : int
        Rows N and columns T of the padded batch.
    take, give : Tensor or None
        Sample in each place of the grid of S clients times the most samples of one, and the place
        of each of the N samples; None where all clients have as many.
    seen : set of int
        Layers that have been called.
    """

    matrices: list[torch.Tensor]
    samples: int
    width: int
    take: torch.Tensor | None
    give: torch.Tensor | None
    seen: set[int] = field(default_factory=set)

    def delta(self, x: torch.Tensor, a: int, b: int) -> torch.Tensor:
        """Return x A' B' with each client's own A and B, shape (N, T, out).

        Raises
        ------
        ValueError
            The layer works on some of the tokens, or in an order of its own.
        """
        self.seen.add(a)
        down, up = self.matrices[a], self.matrices[b]
        tokens = self.samples * self.width
        if x.shape[0] not in (self.samples, tokens) or x.numel() != tokens * x.shape[-1]:
            raise ValueError("a layer with an adapter does not work on all tokens in their order")
        rows = x.reshape(self.samples, self.width, -1).to(down.dtype)
        if self.take is not None:
            rows = rows.index_select(0, self.take)
        clients = len(down)
        y = torch.bmm(torch.bmm(rows.reshape(clients, -1, rows.shape[-1]), down.mT), up.mT)
        y = y.reshape(-1, self.width, y.shape[-1])
        return y if self.give is None else y.index_select(0, self.give)


def _grid(sizes: Sequence[int]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Return `take` and `give` of a :class:`_Run` for the samples of each client.

    Free places hold the client's own first sample: nothing of another client gets into its sums.

    Examples
    --------
    >>> take, give = _grid([1, 3])
    >>> take.tolist(), give.tolist()
    ([0, 0, 0, 1, 2, 3], [0, 3, 4, 5])
    >>> _grid([2, 2])
    (None, None)
    """
    most = max(sizes)
    if min(sizes) == most:
        return None, None
    starts = np.cumsum([0, *sizes[:-1]])
    take = np.repeat(starts, most).reshape(-1, most)
    for row, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        take[row, :size] = np.arange(start, start + size)
    give = np.concatenate([row * most + np.arange(size) for row, size in enumerate(sizes)])
    return torch.from_numpy(take.reshape(-1)), torch.from_numpy(give)


class JointPass:
    """Forward and backward passes of several clients at once, each at an adapter of its own.

    Parameters
    ----------
    model : AdapterModel
        Its layers with adapters are changed so that they follow a joint pass while one is running;
        outside of one they are as they were.  There is no dropout in a joint pass.

    Raises
    ------
    ValueError
        The model has adapters that cannot be put side by side, such as those of experts.
    """

    def __init__(self, model: AdapterModel) -> None:
        self._model = model
        # Where layers are computed again on a device, torch does so in a thread of its own; there
        # is one pass at a time there.
        here = model.device.kind == "cpu"
        self._now: Any = threading.local() if here else SimpleNamespace()
        self._plain = self._install()
        try:
            self._check()
        except (TypeError, ValueError, RuntimeError, KeyError, IndexError) as error:
            for module, forward in self._plain.items():
                module.forward = forward
            raise ValueError("adapters cannot be put side by side in this model") from error

    def _install(self) -> dict[Any, Callable[..., Any]]:
        places = {matrix.name: number for number, matrix in enumerate(self._model.matrices)}
        layers = {
            name: module
            for name, module in self._model.peft.named_modules()
            if hasattr(module, "lora_A") and is_plain_lora(module)
        }
        if 2 * len(layers) != len(places):
            raise ValueError("adapters of another kind than those of linear layers")
        plain = {module: module.forward for module in layers.values()}
        for name, module in layers.items():
            pair = places[f"{name}.lora_A.weight"], places[f"{name}.lora_B.weight"]
            module.forward = partial(_forward, plain[module], module, pair, self._now)
        return plain

    def _check(self) -> None:
        """Compare a joint pass with passes of single clients."""
        model = self._model
        # The embedding of padding can be zero, from which a deep model's gradients are not finite.
        padding = model.causal.config.pad_token_id
        a, b, c, d, e = [token for token in range(1, 7) if token != padding][:5]
        parts = [
            [Example((c, b, d, a), 1, ""), Example((b, e, c), 1, "")],
            [Example((e, b, a, d, c), 2, "")],
        ]
        start = torch.from_numpy(model.initial)
        flats = [start + 0.02, start - 0.03]
        try:
            alone = [model.gradient_at(*pair) for pair in zip(flats, parts, strict=True)]
        finally:
            model.flat.copy_(start)
        run = self._run(flats, parts)
        joint = self._gradients(run, collate([e for part in parts for e in part]), parts)
        if len(run.seen) != len(self._plain):
            raise ValueError("a layer with an adapter was not called")
        low = model.device.autocast != "none" or self._is_low()
        tolerance = _LOW if low else _FULL
        for (loss, gradient), (expected, other) in zip(joint, alone, strict=True):
            near = (gradient - other).norm() <= tolerance * other.norm()
            if not near or abs(loss - expected) > tolerance * abs(expected):
                raise ValueError("a joint pass gives other gradients")

    def _is_low(self) -> bool:
        weights = [w for w in self._model.causal.parameters() if w.is_floating_point()]
        return any(w.dtype in (torch.bfloat16, torch.float16) for w in weights)

    def gradients(
        self, flats: Sequence[torch.Tensor], examples: Sequence[Sequence[Example]]
    ) -> list[Gradient]:
        """Return the training loss and its gradient of each client.

        Parameters
        ----------
        flats : sequence of Tensor, float32, shape (d,)
            Adapter of each client, on the processor.
        examples : sequence of sequence of Example
            Mini-batch of each client.

        Returns
        -------
        list of tuple
            As of :meth:`AdapterModel.gradient_at`.
        """
        batch = collate([example for part in examples for example in part])
        return self._gradients(self._run(flats, examples), batch, examples)

    def saved_bytes(
        self, flats: Sequence[torch.Tensor], examples: Sequence[Sequence[Example]]
    ) -> int:
        """Return the memory of what a pass keeps for its way back [bytes], by making it.

        What is shared counts once, the weights of the model not at all.  What would be computed
        again in the backward pass to save memory counts.
        """
        found: dict[int, int] = {}
        causal = self._model.causal
        own = {t.untyped_storage().data_ptr() for t in (*causal.parameters(), *causal.buffers())}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                found[storage.data_ptr()] = storage.nbytes()
                kept.append(tensor)
            return tensor

        # Alive until all are counted: a place may be taken twice.
        kept: list[torch.Tensor] = []
        batch = collate([example for part in examples for example in part])
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            self._gradients(self._run(flats, examples), batch, examples, again=False)
        return sum(found.values())

    def _run(self, flats: Sequence[torch.Tensor], examples: Sequence[Sequence[Example]]) -> _Run:
        kind, matrices = self._model.device.kind, self._model.matrices
        rows = torch.stack(list(flats)).to(kind)
        leaves = [
            rows[:, m.start : m.start + m.size].reshape(len(rows), *m.shape).requires_grad_()
            for m in matrices
        ]
        take, give = (None if t is None else t.to(kind) for t in _grid([len(e) for e in examples]))
        width = max(len(example.ids) for part in examples for example in part)
        return _Run(leaves, sum(len(part) for part in examples), width, take, give)

    def _gradients(
        self,
        run: _Run,
        batch: Batch,
        examples: Sequence[Sequence[Example]],
        *,
        again: bool = True,
    ) -> list[Gradient]:
        model, sizes = self._model, [len(part) for part in examples]
        owners = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
        shares = 1.0 / (batch.lengths * torch.tensor(sizes)[owners])
        kind, scale = model.device.kind, model.device.loss_scale
        batch, owners, shares = batch.on(kind), owners.to(kind), shares.to(kind)
        model.recompute(again)
        with self._running(run):
            with model.device.casting():
                logits = model.response_logits(batch)
            losses = functional.cross_entropy(logits.float(), batch.targets, reduction="none")
            del logits
            weighed = losses * shares[batch.rows]
            own = weighed.new_zeros(len(sizes)).index_add(0, owners[batch.rows], weighed)
            parts = torch.autograd.grad(own.sum() * scale, run.matrices, materialize_grads=True)
        gradients = torch.cat([part.reshape(len(sizes), -1) for part in parts], dim=1).cpu()
        if scale != 1.0:
            gradients = gradients / scale
        return list(zip(own.detach().cpu().tolist(), gradients.unbind(0), strict=True))

    @contextmanager
    def _running(self, run: _Run) -> Iterator[None]:
        self._now.run = run
        try:
            yield
        finally:
            self._now.run = None


def _forward(
    plain: Callable[..., Any],
    module: Any,
    pair: tuple[int, int],
    now: Any,
    x: torch.Tensor,
    *rest: Any,
    **more: Any,
) -> Any:
    """Compute a linear layer with the adapters of the joint pass, if there is one."""
    run: _Run | None = getattr(now, "run", None)
    if run is None:
        return plain(x, *rest, **more)
    y = module.base_layer(x, *rest, **more)
    delta = run.delta(x, *pair).reshape(y.shape) * module.scaling["default"]
    return (y + delta).to(y.dtype)
