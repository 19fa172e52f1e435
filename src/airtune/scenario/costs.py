"""Whose costs are booked: those of the model itself, or of a twin (system model, section 7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import Field

from airtune.scenario.base import Settings

NONE = "none"
"""No twin: the model is booked as it is."""


class Costs(Settings):
    """Whose computing and radio costs are booked, and what the simulation itself draws."""

    model: str = Field(
        NONE,
        min_length=1,
        max_length=4096,
        description="cost twin: book FLOP, uploads, reports and broadcast as those of a model of "
        "this shape (none, openllama-3b-qv, openllama-3b, or a folder with a config.json, which "
        "carries the adapters of model.lora); losses and tokens stay those of the trained model",
    )
    measure: Literal["none", "zeus", "codecarbon"] = Field(
        "none",
        description="library that reads what this machine draws while it simulates, from its "
        "counters (RAPL, NVML); reported beside the modelled energy of the clients, never in it",
    )


@dataclass(frozen=True)
class CostTwin:
    """The shape of a model whose costs are booked in place of those of the trained one.

    Attributes
    ----------
    name : str
        As `costs.model` names it.
    parameters : int
        Weights of the base model, embeddings included: each costs 2 FLOP per token in a forward
        pass and 2 more in a backward pass to the activations.
    matrix_sizes : tuple of int
        Entries of each adapter matrix, A and B of each layer in turn; each has a scale of its own.
    """

    name: str
    parameters: int
    matrix_sizes: tuple[int, ...]

    @property
    def entries(self) -> int:
        """Real entries d of an update."""
        return sum(self.matrix_sizes)

    def entries_for(self, sent: int, total: int) -> int:
        """Return the entries booked where `sent` of the `total` entries of an update are sent.

        The same share of the twin's entries, to the nearest.

        Examples
        --------
        >>> CostTwin("twin", 10, (600, 400)).entries_for(sent=25, total=100)
        250
        """
        return (2 * sent * self.entries + total) // (2 * total)

    def factor(self, name: str) -> CostTwin:
        """Return a twin that sends one factor of LoRA only, A or B.

        Examples
        --------
        >>> CostTwin("twin", 10, (600, 400)).factor("B").matrix_sizes
        (400,)
        """
        return self.sending(self.matrix_sizes["AB".index(name) :: 2])

    def sending(self, matrix_sizes: tuple[int, ...]) -> CostTwin:
        """Return a twin of the same model that sends blocks of other sizes."""
        return replace(self, matrix_sizes=matrix_sizes)

    def to_dict(self) -> dict[str, Any]:
        """Return name and sizes as plain JSON types."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "entries": self.entries,
            "matrices": len(self.matrix_sizes),
        }


@dataclass(frozen=True)
class LlamaShape:
    """Sizes of a LLaMA without grouped queries, as in its ``config.json``.

    Attributes
    ----------
    vocabulary, hidden, intermediate, layers : int
        Tokens, width, width of the feed-forward layers, and decoder layers.
    """

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int

    @property
    def parameters(self) -> int:
        """Weights, with an embedding and a language head that share none.

        A layer has four attention matrices, three of the feed-forward part and two norms.
        """
        attention, forward = 4 * self.hidden**2, 3 * self.hidden * self.intermediate
        layer = attention + forward + 2 * self.hidden
        return self.layers * layer + 2 * self.vocabulary * self.hidden + self.hidden

    def adapters(self, rank: int, targets: tuple[str, ...]) -> tuple[int, ...]:
        """Return the entries of A (rank x inputs) and B (outputs x rank) of each target layer."""
        ends = {
            **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), (self.hidden, self.hidden)),
            **dict.fromkeys(("gate_proj", "up_proj"), (self.hidden, self.intermediate)),
            "down_proj": (self.intermediate, self.hidden),
        }
        each = tuple(rank * width for target in targets for width in ends[target])
        return self.layers * each


OPENLLAMA_3B = LlamaShape(vocabulary=32_000, hidden=3200, intermediate=8640, layers=26)
"""OpenLLaMA 3B v2 (openlm-research/open_llama_3b_v2, config.json): 3.4e9 parameters."""

_QV = ("q_proj", "v_proj")
_ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def _named() -> Iterator[CostTwin]:
    for name, targets in (("openllama-3b-qv", _QV), ("openllama-3b", _ALL)):
        yield CostTwin(name, OPENLLAMA_3B.parameters, OPENLLAMA_3B.adapters(8, targets))


SHAPES: dict[str, CostTwin] = {twin.name: twin for twin in _named()}
"""Twins by name: adapters of rank 8 on q and v, and on all seven layers as in the scenario."""


def config_file(name: str) -> str | None:
    """Return the file that a twin is counted from; None where it is none or has a shape by name.

    Examples
    --------
    >>> config_file("openllama-3b-qv"), config_file("models/mine")
    (None, 'models/mine/config.json')
    """
    return None if name == NONE or name in SHAPES else f"{name}/config.json"
