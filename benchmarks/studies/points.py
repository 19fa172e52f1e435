"""Points and cells of the study: which scenario, scheme, seed and learning rate is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from airtune.scenario import Scenario

Document = dict[str, Any]
"""A JSON object."""

FORMAT = 2
"""Raise it when cells of this version of the code no longer compare with older ones."""
_NOT_SETTINGS = ("name", "seed", "seeds", "schemes", "threads", "cache")


@dataclass(frozen=True)
class Point:
    """A scenario in which several schemes and seeds are run.

    Attributes
    ----------
    section, name : str
        The section names the file of its finished cells, the name the point within it.
    scenario : Scenario
    schemes : tuple of str
    seeds : tuple of int
        Added to `scenario.seed`.
    rates : dict of str to float
        Learning rate of each scheme; those not named take the scenario's.
    """

    section: str
    name: str
    scenario: Scenario
    schemes: tuple[str, ...]
    seeds: tuple[int, ...]
    rates: dict[str, float]

    @property
    def title(self) -> str:
        """Section and name, as they are told to people."""
        return f"{self.section}/{self.name}"

    @cached_property
    def settings(self) -> Document:
        """Every setting that the results depend on, as dotted paths."""
        data = {k: v for k, v in self.scenario.to_dict().items() if k not in _NOT_SETTINGS}
        flat = dict(_leaves(data))
        flat.pop("training.learning_rate")  # a cell's own
        for path in ("model.source", "data.source"):
            flat[path] = Path(flat[path]).name
        return flat | {"format": FORMAT, "version": version("airtune")}

    def cells(self) -> Iterator[Cell]:
        """Yield all cells, seed by seed."""
        for seed in self.seeds:
            for scheme in self.schemes:
                rate = self.rates.get(scheme, self.scenario.training.learning_rate)
                yield Cell(self, scheme, seed, rate)


@dataclass(frozen=True)
class Cell:
    """One scheme and one seed of a point, with its learning rate."""

    point: Point
    scheme: str
    seed: int
    rate: float

    @property
    def scenario(self) -> Scenario:
        """The scenario that is run: the point's with this scheme and its learning rate."""
        training = self.point.scenario.training
        training = training.model_copy(update={"learning_rates": {self.scheme: self.rate}})
        changes = {"training": training, "schemes": (self.scheme,)}
        return self.point.scenario.model_copy(update=changes)

    @property
    def title(self) -> str:
        """What the cell is, as it is told to people."""
        return f"{self.point.title} {self.scheme} seed {self.seed} lr {self.rate:g}"


def _leaves(data: Document, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted paths and values of nested settings."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
