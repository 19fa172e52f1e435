"""A change of the frozen weights of adapted layers, put into a model and out of it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airtune.errors import InputError
from airtune.kinds import Floating
from airtune.learning.exact import Pair, mean_products, pairs_of
from airtune.learning.lora import CONFIG, WEIGHTS
from airtune.learning.results import AdapterMatrix, Vector

ROUNDING = 1e-6
"""Singular values of a product of float32 factors below this share of the largest are rounding."""


class BaseChange:
    """The frozen weights of a model under `digital.aggregation` (:mod:`airtune.learning.exact`).

    Parameters
    ----------
    peft : peft.PeftModel
        With one adapter named ``default``.
    matrices : sequence of AdapterMatrix
        The adapter matrices, named as PEFT saves them.
    """

    def __init__(self, peft: Any, matrices: Sequence[AdapterMatrix]) -> None:
        self._peft, self._matrices = peft, tuple(matrices)
        self._size = sum(matrix.size for matrix in matrices)
        self._present: Vector | None = None
        self._layers: list[tuple[Pair, Any]] = []
        self._originals: list[torch.Tensor] = []

    def put(self, model: Vector) -> Vector:
        """Put the change that follows the adapter's d entries, if any, in the place of the last.

        Returns
        -------
        ndarray, float32, shape (d,)
            The adapter, which stays to be loaded.
        """
        adapter, change = model[: self._size], model[self._size :]
        if not len(change):
            self.take_out()
            return adapter
        if not self._layers:
            self._layers = self._found()
            self._originals = [layer.base_layer.weight.data.clone() for _, layer in self._layers]
        if self._present is None or not np.array_equal(self._present, change):
            for (pair, layer), original in zip(self._layers, self._originals, strict=True):
                product = torch.from_numpy(change[pair.start : pair.start + pair.size].copy())
                moved = product.view(pair.shape).to(original.device) * layer.scaling["default"]
                moved = moved.t() if getattr(layer, "fan_in_fan_out", False) else moved
                layer.base_layer.weight.data.copy_(original.float() + moved)
            self._present = np.array(change)
        return adapter

    def take_out(self) -> None:
        """Make the frozen weights what they were before any change."""
        if self._present is None:
            return
        for (_, layer), original in zip(self._layers, self._originals, strict=True):
            layer.base_layer.weight.data.copy_(original)
        self._present = None

    def _found(self) -> list[tuple[Pair, Any]]:
        """Return the layer of each pair of factors.

        Raises
        ------
        InputError
            A layer has weights that cannot be changed for it alone.
        """
        layers = dict(self._peft.named_modules())
        embedding = getattr(self._peft.get_input_embeddings(), "weight", None)
        found = []
        for pair in pairs_of(self._matrices):
            name = pair.a.name.partition(".lora_A")[0]
            base = layers[name].base_layer
            if not base.weight.is_floating_point() or base.weight is embedding:
                raise InputError(
                    f"digital.aggregation: the frozen weights of {name[:80]!r} cannot be changed "
                    "(in few bits, or those of the embedding, too); must be mean or fedsa with it"
                )
            found.append((pair, layers[name]))
        return found

    def rewrite(self, folder: Path, model: Vector) -> None:
        """Replace the adapter of a PEFT folder by one that holds the change, too.

        The products of all layers, ``change + B A``, are factored anew by their singular values,
        all above rounding, at the largest rank that a layer needs: the adapter on the unchanged
        base is then the model, but for rounding.

        Parameters
        ----------
        folder : Path
            As PEFT has written it.
        model : ndarray, float32, shape (d + D,)
        """
        from safetensors.torch import save_file

        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        rank, tensors = factored(pairs_of(self._matrices), model)
        scaling = next(layer.scaling["default"] for _, layer in self._layers or self._found())
        alpha = scaling * rank
        config |= {
            "r": rank,
            "lora_alpha": int(alpha) if float(alpha).is_integer() else alpha,
            "use_rslora": False,
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
        weights = {name: torch.from_numpy(array) for name, array in tensors.items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def factored(pairs: Sequence[Pair], model: Floating) -> tuple[int, dict[str, Vector]]:
    """Return the products of a model as factors of one rank.

    Parameters
    ----------
    pairs : sequence of Pair
    model : ndarray, float32, shape (d + D,)
        Adapter and change.

    Returns
    -------
    rank : int
    factors : dict of str to ndarray, float32
        A, shape (rank, n), and B, shape (m, rank), by the names of the adapter matrices.

    Examples
    --------
    A change of rank 1 beside an adapter of rank 1:

    >>> pairs = pairs_of([AdapterMatrix("q.lora_A", (1, 2), 0, 2),
    ...                   AdapterMatrix("q.lora_B", (2, 1), 2, 2)])
    >>> model = np.array([1, 0, 1, 0, 0, 0, 0, 4], np.float32)
    >>> rank, factors = factored(pairs, model)
    >>> rank, (factors["q.lora_B"] @ factors["q.lora_A"]).round(6).tolist()
    (2, [[1.0, 0.0], [0.0, 4.0]])
    """
    size = sum(pair.a.size + pair.b.size for pair in pairs)
    whole = model.astype(np.float64)
    products = mean_products(pairs, whole[None, :size], np.ones(1)) + whole[size:]
    parts = []
    for pair in pairs:
        product = products[pair.start : pair.start + pair.size].reshape(pair.shape)
        u, s, v = np.linalg.svd(product, full_matrices=False)
        parts.append((u, s, v, int(np.sum(s > ROUNDING * s[0]))))
    rank = max([1, *(needed for *_, needed in parts)])
    factors: dict[str, Vector] = {}
    for pair, (u, s, v, needed) in zip(pairs, parts, strict=True):
        root = np.sqrt(s[:needed])
        a, b = np.zeros((rank, pair.shape[1])), np.zeros((pair.shape[0], rank))
        a[:needed], b[:, :needed] = root[:, None] * v[:needed], u[:, :needed] * root
        factors[pair.a.name], factors[pair.b.name] = a.astype(np.float32), b.astype(np.float32)
    return rank, factors
