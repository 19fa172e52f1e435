"""The model of this process with its adapters, for whoever holds data beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airtune.scenario import Scenario
from airtune.streams import torch_seed

if TYPE_CHECKING:
    from airtune.learning.device import Device
    from airtune.learning.model import AdapterModel


def make_deterministic() -> None:
    """Have torch compute the same bits in every run, for the whole process."""
    import torch

    torch.use_deterministic_algorithms(True)
    # It would write into every new tensor before the operation that fills it does.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # set on the module


def adapter_model(
    scenario: Scenario, seed: int, base: Any, name: str, device: Device
) -> AdapterModel:
    """Return a base model with the adapters of a scenario.

    Parameters
    ----------
    scenario : Scenario
        Its section `model` is read.
    seed : int
        Root of the repetition's streams: the first adapter.
    base : transformers.PreTrainedModel
    name : str
        Folder or hub id of the base model.
    device : Device
    """
    from airtune.learning.model import AdapterModel

    start = None if scenario.model.adapter is None else Path(scenario.model.adapter)
    return AdapterModel(
        base,
        name,
        scenario.model.lora,
        torch_seed(seed, "adapter"),
        start,
        checkpointing=scenario.model.gradient_checkpointing,
        device=device,
    )
