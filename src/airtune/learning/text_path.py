"""The way of text through a model: its text decoder, and the layers that text never reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from airtune.errors import InputError


def text_decoder(causal: Any) -> Any:
    """Return the part of a model that turns tokens into last hidden states.

    It is the innermost transformers model that holds the token embedding and not the language
    head.  ``get_decoder`` of transformers returns the model with its head for some classes, and
    for models of several media the part that also holds the towers of images and sound.

    Parameters
    ----------
    causal : transformers.PreTrainedModel
        Model with a language head.

    Returns
    -------
    transformers.PreTrainedModel
        `causal` itself if no part of it is of that kind.

    Examples
    --------
    >>> import torch
    >>> from transformers import AutoModelForCausalLM, Llama4TextConfig
    >>> config = Llama4TextConfig(num_hidden_layers=1, num_local_experts=1, vocab_size=99)
    >>> with torch.device("meta"):
    ...     model = AutoModelForCausalLM.from_config(config)
    >>> type(text_decoder(model)).__name__
    'Llama4TextModel'
    """
    from transformers import PreTrainedModel

    embedding, head = causal.get_input_embeddings(), causal.get_output_embeddings()
    found = causal
    # From the outside to the inside.
    for module in causal.modules():
        if isinstance(module, PreTrainedModel) and module is not causal:
            inside = set(module.modules())
            if embedding in inside and head not in inside:
                found = module
    return found


def states_before_head(causal: Any) -> bool:
    """Return whether the logits are the language head of the text decoder's last hidden states.

    Some models scale or cap their logits.  The hidden states of this test are made so large that
    it would show: freshly drawn weights have small logits, on which a cap does nothing.

    Parameters
    ----------
    causal : transformers.PreTrainedModel
        Model with a language head.
    """
    decoder, head, seen = text_decoder(causal), causal.get_output_embeddings(), []
    if decoder is causal or head is None:
        return False

    def enlarge(module: Any, given: Any, output: Any) -> Any:
        seen.append(output.last_hidden_state)
        factor = 100.0 / head(seen[0]).abs().amax().clamp(min=1e-6)
        output.last_hidden_state = seen[0] * factor
        seen.append(output.last_hidden_state)
        return output

    ids = _few_tokens(causal)
    hook = decoder.register_forward_hook(enlarge)
    try:
        with torch.no_grad():
            logits = causal(input_ids=ids, use_cache=False).logits
            hook.remove()
            alone = decoder(input_ids=ids, use_cache=False).last_hidden_state
            if len(seen) != 2 or logits.shape[:2] != ids.shape:
                return False
            return _same(alone, seen[0]) and _same(head(seen[1]), logits)
    except (AttributeError, TypeError, ValueError, RuntimeError):
        # Another kind of output, or a part that does not work by itself.
        return False
    finally:
        hook.remove()


def layers_without_text(causal: Any) -> list[str]:
    """Return the names of the layers that text alone does not reach, each with all that it holds.

    These are the towers of images and sound with their projections, layers that attend to images
    only, and linear layers that return more than one tensor.  An adapter there gets no gradient
    or does not fit.  Experts that the few tokens of the test do not choose are reached.

    Parameters
    ----------
    causal : transformers.PreTrainedModel
        On the device ``meta`` too: where the test cannot run there, whatever lies outside the text
        decoder is taken.

    Raises
    ------
    InputError
        The model does not work on text alone.
    """
    return list(_unreached("", causal, _trace(causal)))


@dataclass(frozen=True)
class _Trace:
    reached: set[Any]
    head: Any
    decoder: Any
    complete: bool

    def holds(self, module: Any) -> bool:
        """Tell whether text reaches a module or something in it."""
        inside = set(module.modules())
        if self.head in inside:
            return True
        if self.complete:
            return not inside.isdisjoint(self.reached)
        return self.decoder in inside or module in self.reached


def _trace(causal: Any) -> _Trace:
    reached: set[Any] = set()
    odd: set[Any] = set()
    decoder, head = text_decoder(causal), causal.get_output_embeddings()

    def note(module: Any, given: Any, output: Any) -> None:
        linear = isinstance(module, torch.nn.Linear) and not isinstance(output, torch.Tensor)
        (odd if linear else reached).add(module)

    hooks = [module.register_forward_hook(note) for module in causal.modules()]
    try:
        with torch.no_grad():
            causal(input_ids=_few_tokens(causal), use_cache=False)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        if causal.device.type != "meta":
            first = str(error).strip().split("\n")[0]
            raise InputError(
                f"model.source: the model does not work on text alone: {first}"
            ) from error
        return _Trace(set(decoder.modules()), head, decoder, complete=False)
    finally:
        for hook in hooks:
            hook.remove()
    return _Trace(reached, head, decoder, complete=True)


def _unreached(place: str, module: Any, trace: _Trace) -> Iterator[str]:
    children = dict(module.named_children())
    reached = {name for name, child in children.items() if trace.holds(child)}
    kinds = {type(children[name]) for name in reached}
    for name, child in children.items():
        full = f"{place}.{name}" if place else name
        if name in reached:
            yield from _unreached(full, child, trace)
        elif isinstance(module, torch.nn.ModuleList) and type(child) in kinds:
            continue  # An expert that was not chosen.
        elif next(child.parameters(), None) is not None:
            yield full


def _few_tokens(causal: Any) -> torch.Tensor:
    words = causal.get_input_embeddings().weight.shape[0]
    return torch.arange(8, device=causal.device).remainder(words)[None]


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-4)
