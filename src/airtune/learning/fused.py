"""Forward and backward passes of a frozen transformer with LoRA, by hand where that is faster.

Only activations and adapters have gradients, so the backward pass of a layer is one product with
the frozen weight and a few thin ones with the adapter.  Gradients go straight into one flat vector.
All that belongs to one pass is in a :class:`Run` of the thread that computes it: the model itself
is never changed, so several threads compute different adapters with one model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from airtune.learning.results import AdapterMatrix

ATTENTION = "airtune_packed"
# Response tokens whose logits are held at once: with 49 152 words 25 MB, which stay in the cache.
PIECE = 128

# Weights of a matrix from which on oneDNN's product is worth its set-up for each new shape.
WORTH = 100_000
ONEDNN = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")

_thread = threading.local()


@dataclass
class Run:
    """What one pass works with.

    Attributes
    ----------
    anchor : Tensor
        Requires a gradient; it ties the layers to the graph, since the adapters are not in it.
    matrices, gradients : list of Tensor
        A and B of each layer in turn; where their gradients are added.
    lengths : list of int
        Tokens of each of the sequences that lie one after the other.
    random : Generator or None
        Source of the adapters' dropout; None is no dropout.
    """

    anchor: torch.Tensor
    matrices: Sequence[torch.Tensor]
    gradients: Sequence[torch.Tensor]
    lengths: list[int]
    random: torch.Generator | None = None


@contextmanager
def running(run: Run) -> Iterator[None]:
    """Make `run` the one that the layers of this thread work with."""
    _thread.run = run
    try:
        yield
    finally:
        _thread.run = None


def current() -> Run | None:
    """Return the run of this thread, if any."""
    return getattr(_thread, "run", None)


def views(flat: torch.Tensor, matrices: Sequence[AdapterMatrix]) -> list[torch.Tensor]:
    """Return the adapter matrices as views of the flat vector."""
    return [flat[m.start : m.start + m.size].view(m.shape) for m in matrices]


def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    """Return x W' + bias, by oneDNN where that is the faster: a tenth on processors with AVX-512.

    Parameters
    ----------
    x : Tensor, float32, shape (rows, in)
    weight : Tensor, float32, shape (out, in)
        It may be a transposed view.
    bias : Tensor, optional
        Shape (out,).
    """
    if weight.numel() < WORTH or not ONEDNN:
        return functional.linear(x, weight, bias)
    # The operation that torch.compile uses on processors.
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@dataclass(frozen=True)
class LoraLayer:
    """A frozen linear layer and the place of its adapter in a run.

    Attributes
    ----------
    weight : callable
        Returns the frozen weight, shape (out, in), in the dtype of the activations.
    bias : Tensor or None
    scale : float
        alpha / r.
    dropout : float
        Probability that an input of the adapter is dropped.
    a, b : int
        Index of A, shape (r, in), and of B, shape (out, r), in the run's matrices.
    """

    weight: Callable[[], torch.Tensor]
    bias: torch.Tensor | None
    scale: float
    dropout: float
    a: int
    b: int


class _Lora(torch.autograd.Function):
    """y = x W' + scale (x A') B' with the adapter's gradients added to the run's."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, anchor: torch.Tensor, layer: LoraLayer, run: Run) -> Any:
        rows = x.reshape(-1, x.shape[-1])
        a, b = run.matrices[layer.a], run.matrices[layer.b]
        y = product(rows, layer.weight(), layer.bias)
        keep = None
        if layer.dropout and run.random is not None:
            keep = torch.empty_like(rows).bernoulli_(1 - layer.dropout, generator=run.random)
            keep.div_(1 - layer.dropout)
        low = functional.linear(rows if keep is None else rows * keep, a)
        y.addmm_(low, b.t(), alpha=layer.scale)
        ctx.layer, ctx.run, ctx.shape = layer, run, x.shape
        ctx.save_for_backward(rows, low, keep)
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        layer, run = ctx.layer, ctx.run
        rows, low, keep = ctx.saved_tensors
        g = grads[0].reshape(-1, grads[0].shape[-1])
        a, b = run.matrices[layer.a], run.matrices[layer.b]
        up = g @ b
        run.gradients[layer.b].addmm_(g.t(), low, alpha=layer.scale)
        seen = rows if keep is None else rows * keep
        run.gradients[layer.a].addmm_(up.t(), seen, alpha=layer.scale)
        if not ctx.needs_input_grad[0]:
            return None, None, None, None
        dx = product(g, layer.weight().t())
        if keep is None:
            dx.addmm_(up, a, alpha=layer.scale)
        else:
            dx.add_((up @ a).mul_(keep), alpha=layer.scale)
        return dx.view(ctx.shape), None, None, None


class _RmsNorm(torch.autograd.Function):
    """y = w x / sqrt(mean x^2 + eps) with a frozen w."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> Any:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        return torch.mul(x, inverse).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, weight, inverse = ctx.saved_tensors
        g = grads[0] * weight
        dot = torch.linalg.vecdot(g, x).unsqueeze(-1)
        pull = dot.mul_(inverse.pow(3)).div_(-x.shape[-1])
        return g.mul_(inverse).addcmul_(x, pull), None, None


class _ResponseLoss(torch.autograd.Function):
    """Weighted cross-entropy of a frozen language head, piece by piece: no logits are stored."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        head: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
    ) -> Any:
        gradient = torch.empty_like(states)
        total = states.new_zeros(())
        for start in range(0, len(states), PIECE):
            piece = slice(start, start + PIECE)
            logs = functional.log_softmax(functional.linear(states[piece], head).float(), dim=-1)
            chosen, share = targets[piece, None], weights[piece, None]
            total -= (logs.gather(1, chosen) * share).sum()
            slope = logs.exp_()
            slope.scatter_add_(1, chosen, slope.new_full(chosen.shape, -1.0))
            torch.mm(slope.to(head.dtype), head, out=gradient[piece]).mul_(share)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0], None, None, None


def response_loss(
    states: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Return the weighted sum of the cross-entropies, a scalar in nat.

    Parameters
    ----------
    states : Tensor, shape (M, hidden)
        Last hidden states at the response predictions.
    head : Tensor, shape (vocabulary, hidden)
        Frozen weight of the language head.
    targets : Tensor, int64, shape (M,)
    weights : Tensor, shape (M,)
    """
    return torch.as_tensor(_apply(_ResponseLoss, states, head, targets, weights))


def _apply(function: type[torch.autograd.Function], *values: Any) -> Any:
    return function.apply(*values)  # type: ignore[no-untyped-call]  # torch: untyped


def _lora_forward(
    plain: Callable[..., Any], layer: LoraLayer, x: torch.Tensor, *rest: Any, **more: Any
) -> Any:
    run = current()
    if run is None:
        return plain(x, *rest, **more)
    return _apply(_Lora, x, run.anchor, layer, run)


def _norm_forward(
    plain: Callable[..., Any], weight: torch.Tensor, epsilon: float, x: torch.Tensor
) -> Any:
    return plain(x) if current() is None else _apply(_RmsNorm, x, weight, epsilon)


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within each of the run's sequences; outside a run this is transformers' ``sdpa``."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    run = current()
    if run is None or len(run.lengths) == 1:
        result = sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
        return result[0], None
    split = (torch.split(t, run.lengths, dim=2) for t in (query, key, value))
    parts = zip(*split, strict=True)
    answers = [sdpa_attention_forward(module, *part, None, **settings)[0] for part in parts]
    return torch.cat(answers, dim=1), None


def install(causal: Any, peft: Any, matrices: Sequence[AdapterMatrix]) -> bool:
    """Let the layers of a model follow the thread's run, if there is one.

    Parameters
    ----------
    causal : transformers.PreTrainedModel
        Base model inside `peft`.
    peft : peft.PeftModel
        With one adapter named ``default``.
    matrices : sequence of AdapterMatrix
        The adapter matrices, named as PEFT saves them.

    Returns
    -------
    bool
        False, and nothing is changed, if the model has layers that this module does not know.
    """
    config = causal.config.get_text_config()
    if config._attn_implementation != "sdpa" or not _looks_at_all(config):
        return False
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    places = {matrix.name: number for number, matrix in enumerate(matrices)}
    layers: dict[Any, LoraLayer] = {}
    for name, module in peft.named_modules():
        if hasattr(module, "lora_A"):
            layer = _lora_layer(name, module, places)
            if layer is None:
                return False
            layers[module] = layer
    if 2 * len(layers) != len(matrices):
        return False
    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, packed_attention)
    config._attn_implementation = ATTENTION
    for module, layer in layers.items():
        module.forward = partial(_lora_forward, module.forward, layer)
    for module in causal.modules():
        epsilon = getattr(module, "variance_epsilon", None)
        if type(module).__name__.endswith("RMSNorm") and epsilon is not None:
            _install_norm(module, epsilon)
    return True


def _looks_at_all(config: Any) -> bool:
    """Return whether every token of every layer attends to all before it, however many."""
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "attention"}
    limits = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return not kinds and not any(limits)


def restore_attention(causal: Any) -> None:
    """Give a model its ordinary attention back; without a run its layers are as they were."""
    causal.config.get_text_config()._attn_implementation = "sdpa"


def is_plain_lora(module: Any) -> bool:
    """Tell whether a layer of PEFT is a linear one with one ordinary low-rank adapter."""
    return (
        type(module).__name__ in ("Linear", "Linear4bit")
        and list(module.lora_A) == ["default"]
        and not module.merged
        and not any(module.use_dora.values())
        and module.lora_B["default"].bias is None
    )


def _lora_layer(name: str, module: Any, places: dict[str, int]) -> LoraLayer | None:
    if not is_plain_lora(module):
        return None
    base = module.base_layer
    weight = _frozen_weight(base)
    if weight is None:
        return None
    return LoraLayer(
        weight=weight,
        bias=base.bias,
        scale=float(module.scaling["default"]),
        dropout=float(getattr(module.lora_dropout["default"], "p", 0.0)),
        a=places[f"{name}.lora_A.weight"],
        b=places[f"{name}.lora_B.weight"],
    )


def _frozen_weight(base: Any) -> Callable[[], torch.Tensor] | None:
    """Return what gives the fp32 weight of a linear layer; None for a layer of another kind."""
    if base.weight.requires_grad:
        return None
    if type(base) is torch.nn.Linear and base.weight.dtype == torch.float32:
        return lambda: torch.as_tensor(base.weight)
    state = getattr(base.weight, "quant_state", None)
    if type(base).__name__ != "Linear4bit" or state is None or state.dtype != torch.float32:
        return None
    if base.compute_dtype not in (None, torch.float32):
        return None
    from bitsandbytes.functional import dequantize_4bit

    return lambda: torch.as_tensor(dequantize_4bit(base.weight.data, base.weight.quant_state))


def _install_norm(module: Any, epsilon: float) -> None:
    """Use the written-out norm where it is the same function; some scale by 1 + w."""
    weight = module.weight.detach()
    x = torch.linspace(-2.0, 3.0, 3 * len(weight), dtype=weight.dtype).view(3, -1)
    with torch.no_grad():
        same = torch.allclose(module(x), _apply(_RmsNorm, x, weight, epsilon), rtol=1e-5, atol=1e-6)
    if same and weight.dtype == torch.float32:
        module.forward = partial(_norm_forward, module.forward, weight, epsilon)
