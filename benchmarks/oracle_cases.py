"""Scenarios and plans that benchmarks/oracle.py compares."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airtune import load_scenario
from airtune.scenario import Scenario
from trials.tiny import SETTINGS as TINY

BASES = ("quickstart", "paper-v1", "cell-edge", "dense-cell")
VARIANTS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "narrow band": ("radio.bandwidth_hz=2e5",),
    "noisy receiver": ("radio.noise_figure_db=15",),
    "slow clients": ("client_processor.f_max_hz=8e8",),
    "slow drives": ("array.speed_mps=0.1",),
}
FIRST_SEED = 201
SEED_STEP = 100
"""From a scenario's seed to that of its next repetition."""

SMALL = (
    *("model.small.hidden=64", "model.small.layers=2", "model.small.heads=4"),
    *("model.small.intermediate=160", "pretraining.steps=800", "evaluation.records=150"),
    "training.batch_size_max=8",
)
SCHEME, MOST_ROUNDS = "movable", 60
BASE_SETTINGS = (
    *("plan=own", "threads=1", f"training.rounds={MOST_ROUNDS}"),
    *("budget.latency_s=null", "budget.energy_j=null", "budget.client_energy_j=null"),
    *("pretraining.charge=false", "evaluation.every=1", "planning.rounds_margin=2.5"),
)


@dataclass(frozen=True)
class Grid:
    """The plans of a grid.

    Attributes
    ----------
    batches : tuple of float
        Shares of the largest batches; each is run.
    backoffs : tuple of float
        rho; each is run.
    travels : tuple of float
        Shares of the longest way of an antenna in a round; each is run.
    windows : tuple of float
        Times of computing, over the shortest; booked.
    """

    batches: tuple[float, ...] = (0.25, 0.5, 1.0)
    backoffs: tuple[float, ...] = (0.25, 1.0)
    travels: tuple[float, ...] = (0.0, 0.2, 1.0)
    windows: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0)

    def runs(self) -> Iterator[tuple[float, float, float]]:
        """Yield what is run: shares of batches, back-off and share of the way."""
        yield from itertools.product(self.batches, self.backoffs, self.travels)


GRID = Grid()
REDUCED = Grid((0.5, 1.0), (1.0,), (0.0, 1.0), (1.0, 2.0))
FULL = (1.0, 1.0, 1.0)
"""The run of the unplanned; its window is the shortest."""


@dataclass(frozen=True)
class Case:
    """A scenario of the comparison."""

    name: str
    settings: tuple[str, ...]
    base: str
    seed: int
    grid: Grid = GRID
    gain: tuple[float, int] = (0.9, 30)
    """The target: this share of what the pilot promises to gain in so many error-free rounds."""
    again: int = 0
    """Which repetition with another seed; 0: the comparison itself."""

    def scenario(self, *more: str) -> Scenario:
        """Return its settings."""
        return load_scenario(self.base, [*BASE_SETTINGS, *self.settings, *more])

    def file(self, folder: Path) -> Path:
        """Return its file of results."""
        name = self.name.replace(", ", "-").replace(" ", "-")
        return folder / (name + (f"-again-{self.again}.json" if self.again else ".json"))


def cases(
    *, again: int = 0, own_model: bool = False, few: bool = False, reduced: bool = False
) -> list[Case]:
    """Return the scenarios, so that the first four have all bases.

    Parameters
    ----------
    again : int
        Which repetition with other seeds; 0: the comparison itself.
    own_model : bool
        Whether the model is that of the scenario.
    few : bool
        Whether the grid has few plans.
    reduced : bool
        One scenario of the smallest model, few rounds and few plans.
    """
    first = FIRST_SEED + again * SEED_STEP
    if reduced:
        settings = (*TINY, "training.rounds=8", "planning.pilot_rounds=2")
        return [Case("quickstart, tiny", settings, "quickstart", first, REDUCED, (0.5, 2), again)]
    model, grid = () if own_model else SMALL, REDUCED if few else GRID
    pairs = itertools.product(VARIANTS, BASES)
    return [
        Case(
            f"{base}, {variant}",
            (*model, *VARIANTS[variant]),
            base,
            first + index,
            grid,
            again=again,
        )
        for index, (variant, base) in enumerate(pairs)
    ]


def grid_name(shares: Sequence[float]) -> str:
    """Return the key of a run of the grid.

    >>> grid_name((0.25, 1.0, 0.2))
    'batch 0.25; back-off 1; way 0.2'
    """
    return "batch {:g}; back-off {:g}; way {:g}".format(*shares)
