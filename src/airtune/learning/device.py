"""Where the model is and in which precision its products are (`model.device`, `model.autocast`).

The weights are on the device; adapters, gradients, states and scores are on the processor, where
the rounds work with them, and each pass takes an adapter there and brings a gradient back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from airtune.errors import InputError
from airtune.scenario.learning import Model

_ACCELERATORS = ("cuda", "mps")


@dataclass(frozen=True)
class Device:
    """A kind of device, and the precision of products on it.

    Attributes
    ----------
    kind : str
        As torch calls it: ``cpu``, ``cuda``, ``mps``.  Of several GPUs it is the present one.
    autocast : str
        ``none``, ``bfloat16`` or ``float16``.
    """

    kind: str = "cpu"
    autocast: str = "none"

    @property
    def is_plain(self) -> bool:
        """Whether passes are those of a processor in full precision, written by hand for it."""
        return self.kind == "cpu" and self.autocast == "none"

    @property
    def name(self) -> str:
        """The kind, with the model of a GPU and the precision where it is not the full one."""
        model = f" ({torch.cuda.get_device_name()})" if self.kind == "cuda" else ""
        return self.kind + model + (f", {self.autocast}" if self.autocast != "none" else "")

    @property
    def loss_scale(self) -> float:
        """Factor of the loss in a backward pass, a power of two.

        Slopes of activations are below the smallest number of float16 without it.
        """
        return 1024.0 if self.autocast == "float16" else 1.0

    def casting(self) -> AbstractContextManager[Any]:
        """Return a block in which products are computed in the lower precision."""
        if self.autocast == "none":
            return nullcontext()
        # Each adapter is used once in a pass: nothing is gained by keeping its cast.
        kept = {"cache_enabled": False}
        return torch.autocast(self.kind, getattr(torch, self.autocast), **kept)

    @contextmanager
    def random_stream(self, seed: int) -> Iterator[None]:
        """Draw from a stream of one's own on the processor and the device within the block."""
        devices = [] if self.kind == "cpu" else [0]
        if self.kind == "cuda":
            devices = [torch.cuda.current_device()]
        kind = self.kind if devices else "cuda"
        with torch.random.fork_rng(devices=devices, device_type=kind):
            torch.manual_seed(seed)
            yield


CPU = Device()


def is_there(kind: str) -> bool:
    """Tell whether torch has such a device here."""
    if kind == "cuda":
        return torch.cuda.is_available()
    if kind == "mps":
        return torch.backends.mps.is_available()
    return kind == "cpu"


def device_of(settings: Model) -> Device:
    """Return the device that the settings name, ``auto`` resolved.

    Raises
    ------
    InputError
        There is no such device here.

    Examples
    --------
    >>> device_of(Model(device="cpu", autocast="bfloat16")).name
    'cpu, bfloat16'
    """
    kind: str = settings.device
    if kind == "auto":
        kind = next((name for name in _ACCELERATORS if is_there(name)), "cpu")
    elif not is_there(kind):
        there = [name for name in ("cpu", *_ACCELERATORS) if is_there(name)]
        raise InputError(
            f"model.device = '{kind}': there is none here, or torch is built without it; allowed "
            f"are auto, {', '.join(there)}"
        )
    if kind == "cuda":
        # cuBLAS gives the same bits in every run with a workspace of a fixed size only.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return Device(kind, settings.autocast)
