"""The causal language model: forward passes, and LoRA adapters as one flat vector."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from airtune.learning import fused
from airtune.learning.base_change import BaseChange
from airtune.learning.batches import Batch, Packed, collate, pack, pieces
from airtune.learning.device import CPU, Device
from airtune.learning.folders import readable
from airtune.learning.lora import read_adapter, shape_of, trained_of, wrap
from airtune.learning.reference import Reference
from airtune.learning.results import Vector
from airtune.learning.text import Example
from airtune.learning.text_path import states_before_head, text_decoder
from airtune.scenario.learning import Lora

# Response tokens whose logits are held at once in evaluation.
PIECE = 128
# Tokens of one packed pass: enough for full speed, few enough that activations stay in the cache.
PASS = 512


class LanguageModel:
    """A transformers causal LM whose logits are computed at the response positions only.

    Parameters
    ----------
    causal : transformers.PreTrainedModel
        Model with a language head.
    device : Device
        Where it is.  Batches come from the processor and scores go back there.
    """

    def __init__(self, causal: Any, device: Device = CPU) -> None:
        self.causal, self.device = causal, device
        self._decoder = text_decoder(causal)
        self._head = causal.get_output_embeddings()
        # Some architectures scale or cap their logits after the head; those need the full forward.
        self._split = states_before_head(causal)
        self._turn: AbstractContextManager[Any] = nullcontext()

    def as_it_came(self) -> None:
        """Take changes of frozen weights, if there are any, out of the model."""

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Return `examples` in the form that the model works on fastest."""
        return collate(examples)

    def score(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cross-entropy in nat and hit of the M response tokens, without gradients.

        A hit is a target that has the largest logit.  Logits are made piece by piece: with a large
        vocabulary all at once would fill the memory.
        """
        batch = batch.on(self.device.kind)
        with torch.inference_mode(), self.device.casting():
            states = self.response_states(batch) if self._split else self.response_logits(batch)
            losses, hits = [], []
            for part, targets in zip(
                torch.split(states, PIECE), torch.split(batch.targets, PIECE), strict=True
            ):
                logits = (self._head(part) if self._split else part).float()
                losses.append(functional.cross_entropy(logits, targets, reduction="none"))
                hits.append(logits.argmax(-1) == targets)
            return torch.cat(losses).cpu(), torch.cat(hits).cpu()

    def response_logits(self, batch: Batch) -> torch.Tensor:
        """Return the logits that predict the response tokens, shape (M, vocabulary)."""
        batch = batch.on(self.device.kind)
        if not self._split:
            with self._turn:
                logits = self.causal(input_ids=batch.ids, use_cache=False).logits
            return torch.as_tensor(logits[batch.rows, batch.columns])
        return torch.as_tensor(self._head(self.response_states(batch)))

    def response_states(self, batch: Batch) -> torch.Tensor:
        """Return the last hidden states at the response predictions, shape (M, hidden)."""
        batch = batch.on(self.device.kind)
        return self.last_states(batch.ids)[batch.rows, batch.columns]

    def last_states(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the last hidden states of padded tokens (B, T), shape (B, T, hidden)."""
        ids = ids.to(self.device.kind)
        with self._turn:
            if self._decoder is not self.causal:
                output = self._decoder(input_ids=ids, use_cache=False).last_hidden_state
            else:
                every = self.causal(input_ids=ids, use_cache=False, output_hidden_states=True)
                output = every.hidden_states[-1]
        return torch.as_tensor(output)

    def training_loss(self, batch: Batch, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Return the mean over samples of each sample's mean cross-entropy, a scalar in nat.

        Samples count alike, whatever their length, so the gradient of a mini-batch is the mean of
        independent per-sample gradients and its variance falls as 1/B (system-model 6).
        With `weights`, shape (B,), it is the sum of the samples' token losses times their weights.
        """
        batch = batch.on(self.device.kind)
        with self.device.casting():
            logits = self.response_logits(batch)
        losses = functional.cross_entropy(logits.float(), batch.targets, reduction="none")
        if weights is None:
            weights = 1.0 / (batch.lengths * len(batch.lengths))
        return torch.sum(losses * weights.to(self.device.kind)[batch.rows])


def count_parameters(causal: Any) -> tuple[int, int]:
    """Return the weights of the decoder without its embedding, and those of the language head.

    A weight in 4 bits counts as one.
    """
    embedding, head = (
        getattr(layer, "weight", None)
        for layer in (causal.get_input_embeddings(), causal.get_output_embeddings())
    )
    lookup = _weights(embedding) if embedding is not None else 0
    top = _weights(head) if head is not None else 0
    total = sum(_weights(p) for p in causal.parameters())
    return total - lookup - (0 if head is embedding else top), top


def _weights(parameter: Any) -> int:
    packed = getattr(parameter, "quant_state", None)
    return int(parameter.numel() if packed is None else packed.shape.numel())


def weights_used(causal: Any, examples: Sequence[Example]) -> float:
    """Return the mean over examples of weights times the tokens that they work on.

    The language head works on response tokens only; embedding look-ups cost nothing.
    """
    body, head = count_parameters(causal)
    tokens = float(np.mean([len(e.ids) for e in examples]))
    responses = float(np.mean([example.learnt_tokens for example in examples]))
    return body * tokens + head * responses


class AdapterModel(LanguageModel):
    """A frozen base model with LoRA adapters [1]_ that are views of one flat vector.

    The base is loaded once; :meth:`load` swaps adapters in place, so all clients share it.

    Parameters
    ----------
    base : transformers.PreTrainedModel
        Causal LM; it is changed in place.
    folder : Path or str
        Folder or hub id of the base, which saved adapters name.
    settings : Lora
        Rank, scale, dropout and target layers.
    seed : int
        Seed of the initial adapter (the A matrices; the B matrices start at zero).
    start : Path, optional
        PEFT folder of an adapter to start from instead.
    checkpointing : bool
        Recompute each layer in the backward pass instead of keeping its activations.
    device : Device
        Where the model goes.  Adapters are made on the processor, so that a seed gives the same
        ones everywhere.

    Raises
    ------
    InputError
        A target layer is not in the model, or the adapter in `start` does not fit.

    References
    ----------
    .. [1] Hu et al.: LoRA: low-rank adaptation of large language models, 2022.
    """

    def __init__(
        self,
        base: Any,
        folder: Path | str,
        settings: Lora,
        seed: int,
        start: Path | None = None,
        *,
        checkpointing: bool = False,
        device: Device = CPU,
    ) -> None:
        super().__init__(base, device)
        self.settings = settings
        self.peft = wrap(base, folder, settings, seed)
        if device.kind != "cpu":
            self.peft.to(device.kind)
        # It may carry an adapter now.
        self._head = base.get_output_embeddings()
        self.peft.eval()
        self._checkpointed = []
        if checkpointing:
            base.activation_checkpointing_enable({"use_reentrant": False})
            self._checkpointed = [
                m for m in base.modules() if hasattr(m, "_gradient_checkpointing_func")
            ]
        trained, shape = trained_of(self.peft), shape_of(self.peft)
        self.matrices = shape.matrices
        if any(type(module).__name__ == "ParamWrapper" for module in self.peft.modules()):
            # PEFT adds the adapters of stacked experts to their weights during a forward pass.
            self._turn = threading.RLock()
        self.size = sum(matrix.size for matrix in self.matrices)
        self.flat = torch.cat([p.detach().reshape(-1) for _, p in trained])
        self._trained = [p for _, p in trained]
        self._matrices = fused.views(self.flat, self.matrices)
        self.base_change = BaseChange(self.peft, self.matrices)
        for matrix, (_, parameter) in zip(self.matrices, trained, strict=True):
            place = slice(matrix.start, matrix.start + matrix.size)
            parameter.data = self.flat[place].view(matrix.shape)
        if start is not None:
            self.load(read_adapter(start, settings, shape))
        self.initial: Vector = self.flat.cpu().numpy().copy()
        self.reference = Reference(
            lambda examples: self.log_probabilities(torch.from_numpy(self.initial), examples)
        )
        # What is computed again would need the same dropout again.
        self.packs = (
            device.is_plain
            and not (checkpointing and settings.dropout)
            and self._head_is_plain()
            and fused.install(self.causal, self.peft, self.matrices)
        )
        if self.packs and not self._packs_rightly():
            self.packs = False
            fused.restore_attention(self.causal)

    def _head_is_plain(self) -> bool:
        head = self._head
        return self._split and type(head) is torch.nn.Linear and head.bias is None

    def _packs_rightly(self) -> bool:
        # Layers that mix sequences by other means than attention show here.
        pair = [Example((3, 2, 4, 1), 1, ""), Example((2, 5, 3), 1, "")]
        self.flat.add_(0.02)
        try:
            with torch.inference_mode():
                packed = self.response_states(pack(pair))
                plain = torch.cat([self.response_states(collate([one])) for one in pair])
            return bool((packed - plain).norm() <= 1e-3 * plain.norm())
        except (TypeError, ValueError, RuntimeError, KeyError):
            # The model takes no positions, or not this attention.
            return False
        finally:
            self.flat.copy_(torch.from_numpy(self.initial))

    def load(self, adapter: Vector) -> None:
        """Put the adapter vector, shape (d,), into the model.

        A change of the frozen weights may follow it (:mod:`airtune.learning.exact`); without one
        they are as they were.
        """
        self.recompute(False)
        adapter = self.base_change.put(adapter)
        self.flat.copy_(torch.from_numpy(np.ascontiguousarray(adapter, np.float32)))

    def as_it_came(self) -> None:
        """See :meth:`LanguageModel.as_it_came`."""
        self.base_change.take_out()

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Return `examples` packed if the model can work on packed batches, else padded."""
        return pack(examples) if self.packs else collate(examples)

    def response_states(self, batch: Batch) -> torch.Tensor:
        """Return the last hidden states at the response predictions, shape (M, hidden)."""
        if not isinstance(batch, Packed):
            return super().response_states(batch)
        if fused.current() is None:
            # A forward pass of the adapter that is loaded.
            with fused.running(fused.Run(self.flat, self._matrices, (), batch.sequences)):
                return self._packed_states(batch)
        return self._packed_states(batch)

    def _packed_states(self, batch: Packed) -> torch.Tensor:
        hidden = self._decoder(
            input_ids=batch.ids, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        return torch.as_tensor(hidden[0, batch.places])

    def gradient_at(
        self,
        flat: torch.Tensor,
        examples: Sequence[Example],
        random: torch.Generator | None = None,
        *,
        weights: torch.Tensor | None = None,
    ) -> tuple[float, torch.Tensor]:
        """Return the training loss of `examples` and its gradient at an adapter.

        With packed batches the model stays as it is, so several threads may call it at once with
        different adapters.  Otherwise `flat` is loaded.

        Parameters
        ----------
        flat : Tensor, float32, shape (d,)
            Adapter.
        examples : sequence of Example
            Mini-batch.
        random : Generator, optional
            Source of the adapters' dropout; used with packed batches only.
        weights : Tensor, shape (B,), optional
            Weight of each response token of an example, instead of those of the mean.
        """
        if not self.packs:
            if flat.device != self.flat.device or not torch.equal(flat, self.flat):
                self.flat.copy_(flat)
            return self.loss_and_gradient(collate(examples), weights)
        self.recompute(True)
        gradient, loss = torch.zeros_like(flat), 0.0
        anchor = torch.zeros((), requires_grad=True)
        matrices, slopes = (fused.views(vector, self.matrices) for vector in (flat, gradient))
        done = 0
        for piece in pieces(examples, PASS):
            batch = pack(piece)
            if weights is None:
                shares = 1.0 / (batch.lengths * len(examples))
            else:
                shares = weights[done : done + len(piece)]
            done += len(piece)
            with fused.running(fused.Run(anchor, matrices, slopes, batch.sequences, random)):
                part = fused.response_loss(
                    self._packed_states(batch),
                    self._head.weight.detach(),
                    batch.targets,
                    shares[batch.rows],
                )
                part.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            loss += float(part.detach())
        return loss, gradient

    def log_probabilities(self, flat: torch.Tensor, examples: Sequence[Example]) -> torch.Tensor:
        """Return the log-probability of each response at an adapter, float64, shape (B,).

        As :meth:`gradient_at`, for several threads at once with packed batches only.
        """
        sums = []
        matrices = fused.views(flat, self.matrices)
        for piece in pieces(examples, PASS):
            batch = self.batch(piece)
            if isinstance(batch, Packed):
                with fused.running(fused.Run(flat, matrices, (), batch.sequences)):
                    losses, _ = self.score(batch)
            else:
                self.flat.copy_(flat)
                losses, _ = self.score(batch)
            total = torch.zeros(len(piece), dtype=torch.float64)
            sums.append(-total.index_add_(0, batch.rows, losses.double()))
        return torch.cat(sums)

    def loss_and_gradient(
        self, batch: Batch, weights: torch.Tensor | None = None
    ) -> tuple[float, torch.Tensor]:
        """Return the training loss and its gradient, shape (d,), on the processor.

        Leaves no trace in the model, so several threads may call it at once.
        """
        self.recompute(True)
        with self._turn if self._checkpointed else nullcontext():
            loss = self.training_loss(batch, weights)
            # Experts that no token chose have no gradient.
            scale = self.device.loss_scale
            scaled = loss if scale == 1.0 else loss * scale
            parts = torch.autograd.grad(scaled, self._trained, materialize_grads=True)
        gradient = torch.cat([part.reshape(-1) for part in parts]).cpu()
        return float(loss.detach()), gradient if scale == 1.0 else gradient / scale

    def recompute(self, active: bool) -> None:
        """Let layers with gradient checkpointing, if any, drop what they can compute again."""
        # Transformers takes it from the layer's own flag; dropout and the like have theirs.
        for layer in self._checkpointed:
            layer.training = active

    def dropout(self, active: bool) -> None:
        """Switch the adapters' dropout on or off; the base model never uses dropout."""
        for name, module in self.peft.named_modules():
            if "lora_dropout" in name:
                module.train(active)

    def save(self, adapter: Vector, folder: Path) -> None:
        """Write a standard PEFT folder (adapter_config.json, adapter_model.safetensors)."""
        self.load(adapter)
        folder.mkdir(parents=True, exist_ok=True)
        self.peft.save_pretrained(folder, save_embedding_layers=False)
        if len(adapter) > self.size:
            self.base_change.rewrite(folder, adapter)
        readable(folder)
