"""Small models, mini-batches and adapters of several clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from airtune.learning.device import CPU, Device
from airtune.learning.model import AdapterModel
from airtune.learning.text import Example
from airtune.scenario.learning import Lora

from .families import FAMILIES

CLIENTS, SIZES = [0, 1, 2, 3, 4], [1, 4, 2, 4, 3]


def model_of(
    family: str, device: Device = CPU, checkpointing: bool = False, **lora: Any
) -> AdapterModel:
    import transformers

    torch.manual_seed(0)
    chosen = FAMILIES[family]
    causal = transformers.AutoModelForCausalLM.from_config(chosen.make()).eval()
    causal.requires_grad_(False)
    settings = Lora(rank=3, alpha=6.0, target_modules=lora.pop("targets", chosen.targets), **lora)
    return AdapterModel(causal, "base", settings, 5, checkpointing=checkpointing, device=device)


def parts_of(sizes: Sequence[int], seed: int = 0) -> list[list[Example]]:
    """Mini-batches of ragged lengths, with answers of one token and of many."""
    draw = np.random.default_rng(seed)

    def one() -> Example:
        length = int(draw.integers(4, 40))
        return Example(
            tuple(map(int, draw.integers(3, 396, length))), int(draw.integers(1, length)), ""
        )

    return [[one() for _ in range(size)] for size in sizes]


def adapters_of(model: AdapterModel, count: int) -> list[torch.Tensor]:
    draw = np.random.default_rng(1)
    away = draw.normal(scale=0.05, size=(count, model.size)).astype(np.float32)
    return [torch.from_numpy(model.initial + one) for one in away]


def difference(one: Any, other: Any) -> float:
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))
