"""The model at the start of fine-tuning, as a reference for later adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from airtune.learning.text import Example


class Reference:
    """Log-probabilities of responses under the model at the start, each computed once.

    Parameters
    ----------
    compute : callable
        Returns the log-probabilities of examples, float64, shape (n,).
    """

    def __init__(self, compute: Callable[[Sequence[Example]], torch.Tensor]) -> None:
        self._compute = compute
        self._cache: dict[Example, float] = {}

    def log_probabilities(self, examples: Sequence[Example]) -> torch.Tensor:
        """Return the log-probability of each response [nat], float64, shape (n,)."""
        new = [example for example in examples if example not in self._cache]
        # One by one: no bit may depend on what is cached, and a resumed run begins with nothing.
        values = [float(self._compute([one])) for one in new]
        self._cache.update(zip(new, values, strict=True))
        return torch.tensor([self._cache[example] for example in examples], dtype=torch.float64)
