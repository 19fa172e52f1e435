"""Which cells the study has, section by section."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import mean

from airtune import load_scenario
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.study.outcomes import PROPOSAL, REFERENCE
from studies.points import Cell, Point
from studies.results import Results

CONCURRENCY = (1, 2, 4, 8)
TUNING_SEEDS = {"paper-v2-k-1": (1000, 1001, 1002)}
"""Learning rates are chosen on seeds that no other cell uses: one, or those named here.

With one client a round the final losses of two learning rates differ less than those of two seeds.
"""
GRID = (0.003, 0.01, 0.03)
FURTHER = {0.003: (0.001, 0.0003), 0.03: (0.1, 0.3)}
"""Where the best of the grid is at its edge, these are tried besides."""

OWN_PLAN_SCHEMES = ("ideal", "movable", "fixed", "fixed-2n", "sparse", "digital")
CAPPED_SCHEMES = ("ideal", "movable", "fixed", "fixed-2n", "sparse", "selection-compact")
"""Those that have the choice: the others align by a rule of their own or not at all."""
REGIME_SCHEMES = (
    "ideal",
    "movable",
    "fixed",
    "fixed-2n",
    "sparse",
    "selection-compact",
    "truncated",
    "digital",
)
LATER = (
    *("selection", "digital-movable", "digital-selection", "non-coherent"),
    "massive-digital",
    *("zeroth-order", "zeroth-order-movable", "zeroth-order-digital", "feedsign"),
)
EVERY_SCHEME = tuple(name for name in SCHEMES if name not in LATER)
"""All there were when the cells were run."""
BOOKS = (
    *("radio.hardware.profile=radiated", "radio.pilot_rule=equal", "radio.silent_symbols=0"),
    *("array.drive=custom", "array.speed_mps=0.5", "array.drive_power_w=0.5"),
    *("array.field_pilots=1", "aggregation.scale_reports=sequential", "planning.overlap=false"),
    "planning.movement=each-round",
    *("digital.quantizer=uniform", "digital.bits=auto", "digital.error_feedback=true"),
)
"""What the cells were booked with: radiated energy, movement before computing, a uniform grid."""
SELECTION = "selection-compact"
ELECTRICAL_SCHEMES = ("ideal", "movable", "fixed", "selection", "fixed-2n", "ris", "digital")
POLICIES = {
    "when-needed": ("planning.movement=when-needed",),
    "once": ("planning.movement=once",),
    "priced": ("planning.movement=priced",),
    "priced, any way": ("planning.movement=priced", "placement.max_travel="),
    "statistical": ("planning.movement=statistical", "placement.max_travel="),
}
"""Ways to move the antennas; `each-round` is in the cells of `electrical`."""
ALWAYS = "planning.movement=each-round"
DECIDED = ("each-round", "when-needed", "once")
DECIDING_SEEDS = tuple(range(5, 13))
"""Seeds of `default-policy`, beyond those of all other sections."""
RADIATED = "dense-cell-radiated"
"""The point of dense-cell in the books of :data:`BOOKS`."""
NOISE_FIGURES_DB = (5.0, 15.0, 25.0)
INTERFERENCE_DBM = (None, 10.0, 23.0)
BANDWIDTHS_HZ = (2e5, 2e6)
COMPUTE_SPEEDS = (0.1, 1.0, 10.0)
"""Factors on the clients' FLOP per cycle; booked again exactly, for nothing else changes."""


@dataclass(frozen=True)
class Options:
    """What a run of the study is given.

    Attributes
    ----------
    results : Results
        The finished cells.
    cache : Path
        Folder of pre-trained models.
    smollm2, alpaca : Path
        A real model (GGUF) and an instruction file; their cells are only run where they exist, and
        known again by the files' names.
    reduced : bool
        Tiny settings that touch every part of the study in about a minute.
    untuned : bool
        Count cells, too, that wait for their step size.
    """

    results: Results
    cache: Path
    smollm2: Path = Path("SmolLM2-135M-Instruct.Q4_1.gguf")
    alpaca: Path = Path("alpaca_sample.jsonl")
    reduced: bool = False
    untuned: bool = False

    def seeds(self, count: int) -> tuple[int, ...]:
        """Return the seeds of a section."""
        return tuple(range(1 if self.reduced else count))

    def schemes(self, wanted: Sequence[str] = EVERY_SCHEME) -> tuple[str, ...]:
        """Return those of the wanted schemes that there are."""
        few = ("ideal", "movable", "fixed", "digital")
        return tuple(s for s in wanted if s in SCHEMES and (not self.reduced or s in few))

    def runnable(self, section: str) -> bool:
        """Tell whether a section's inputs are there."""
        return section != "real-model" or (self.smollm2.is_file() and self.alpaca.is_file())

    def scenario(self, name: str, *settings: str) -> Scenario:
        """Return a shipped scenario with some settings of the study, and the books of then."""
        return self.booked(name, *BOOKS, *settings)

    def booked(self, name: str, *settings: str) -> Scenario:
        """Return a shipped scenario with some settings of the study, in its own books."""
        tiny = _TINY if self.reduced else ()
        common = (f"cache={self.cache}", "threads=1", "evaluation.answers=0")
        return _load(name, (*common, *settings, *tiny))


@cache
def _load(name: str, overrides: tuple[str, ...]) -> Scenario:
    return load_scenario(name, overrides)


_TINY = (
    *("model.small.hidden=32", "model.small.layers=1", "model.small.heads=2"),
    *("model.small.intermediate=64", "model.lora.rank=2", "pretraining.steps=3"),
    *("training.rounds=3", "training.batch_size_max=2", "evaluation.records=20"),
    *("clients.count=4", "placement.mode=fast", "budget.latency_s="),
)


def tuning(options: Options) -> Iterator[Point]:
    """Learning rates of each scheme in each tuned scenario, on seeds of their own."""
    grid = GRID[1:2] if options.reduced else GRID
    for name in tuned_scenarios(options):
        for scheme in options.schemes():
            for rate in (*grid, *_beyond(options, name, scheme, grid)):
                yield _tried(options, name, scheme, rate)


def _tried(options: Options, name: str, scheme: str, rate: float) -> Point:
    """Return the cells of one scheme and learning rate in a tuned scenario."""
    seeds = (1000,) if options.reduced else TUNING_SEEDS.get(name, (1000,))
    scenario = tuned_scenarios(options)[name]
    return Point("step-size", name, scenario, (scheme,), seeds, {scheme: rate})


def tuned_scenarios(options: Options) -> dict[str, Scenario]:
    """Return the scenarios in which every scheme gets a step size of its own."""
    places = {name: options.scenario(name) for name in ("paper-v1", "cell-edge")}
    for k in _concurrency(options):
        places[f"paper-v2-k-{k}"] = options.scenario("paper-v2", f"clients.concurrency={k}")
    return places


def _concurrency(options: Options) -> tuple[int, ...]:
    return CONCURRENCY[1:2] if options.reduced else CONCURRENCY


def _beyond(options: Options, name: str, scheme: str, grid: Sequence[float]) -> Iterator[float]:
    """Yield learning rates beyond an edge of the grid while the best is at the edge."""
    best = best_rate(options, name, scheme, tuple(grid))
    for rate in FURTHER.get(best or 0.0, ()) if len(grid) > 1 else ():
        yield rate
        if best_rate(options, name, scheme, (best or rate, rate)) != rate:
            return
        best = rate


def best_rate(options: Options, name: str, scheme: str, rates: Sequence[float]) -> float | None:
    """Return the learning rate of the least mean final loss; None while a cell is missing."""
    losses = {}
    for rate in rates:
        final = []
        for cell in _tried(options, name, scheme, rate).cells():
            document = options.results.find(cell)
            if document is None:
                return None
            last = document["history"]["loss"][-1] if "history" in document else None
            final.append(math.inf if last is None else last)
        losses[rate] = mean(final)
    return min(sorted(losses), key=losses.__getitem__)


def tuned(options: Options, name: str) -> dict[str, float]:
    """Return the chosen learning rates in a tuned scenario; schemes not tuned yet are left out."""
    chosen: dict[str, float] = {}
    for scheme in options.schemes():
        grid = GRID[1:2] if options.reduced else GRID
        tried = [*grid, *_beyond(options, name, scheme, grid)]
        best = best_rate(options, name, scheme, tried)
        if best is None and options.untuned:
            best = tuned_scenarios(options)[name].training.learning_rate
        if best is not None:
            chosen[scheme] = best
    return chosen


def claims(options: Options) -> Iterator[Point]:
    """Time and energy to target in paper-v1 (one plan, and each its own) and at the cell edge.

    At the cell edge also with capped powers, where the weakest client does not set the scale.
    """
    own = ("plan=own", "planning.rounds=planned", "budget.client_energy_j=0.3")
    if options.reduced:
        own = ("plan=own",)
    seeds = options.seeds(5)
    capped = ("aggregation.alignment=capped",)
    for name, label, extra, wanted in (
        ("paper-v1", "shared-plan", (), EVERY_SCHEME),
        ("cell-edge", "shared-plan", (), EVERY_SCHEME),
        ("paper-v1", "own-plan", own, OWN_PLAN_SCHEMES),
        ("cell-edge", "capped-powers", capped, CAPPED_SCHEMES),
    ):
        scenario = options.scenario(name, *extra)
        rates = tuned(options, name)
        schemes = tuple(scheme for scheme in rates if scheme in wanted)
        yield Point(name, label, scenario, schemes, seeds, rates)


def electrical(options: Options) -> Iterator[Point]:
    """Time and energy to target in electrical books, with movement beside computing.

    Step sizes of paper-v1 and cell-edge are those that were chosen there, of `selection` that of
    `selection-compact`; dense-cell has its scenario's for every scheme, and the radiated books
    besides, which it has nowhere else.
    """
    schemes = options.schemes(ELECTRICAL_SCHEMES)
    places = ("paper-v1",) if options.reduced else ("paper-v1", "cell-edge", "dense-cell")
    for name in places:
        rates = tuned(options, name) if name in tuned_scenarios(options) else {}
        if SELECTION in rates:
            rates = {**rates, "selection": rates[SELECTION]}
        rates = {scheme: rates[scheme] for scheme in schemes if scheme in rates}
        scenario = options.booked(name, ALWAYS)
        yield Point("electrical", name, scenario, schemes, options.seeds(5), rates)
    if not options.reduced:
        scenario = options.scenario("dense-cell")
        yield Point("electrical", RADIATED, scenario, schemes, options.seeds(5), {})


def policies(options: Options) -> Iterator[Point]:
    """Movable antennas under each movement policy; all else is as in `electrical`."""
    for place in electrical(options):
        if place.name == RADIATED:
            continue
        for policy, changes in POLICIES.items():
            scenario = options.booked(place.name, *changes)
            name = f"{place.name}: {policy}"
            schemes = tuple(scheme for scheme in place.schemes if scheme == PROPOSAL)
            yield Point("policies", name, scenario, schemes, place.seeds, place.rates)


def default_policy(options: Options) -> Iterator[Point]:
    """Movable antennas on seeds that no choice has seen, which decide the default of movement."""
    seeds = options.seeds(1) if options.reduced else DECIDING_SEEDS
    for place in electrical(options):
        if place.name == RADIATED:
            continue
        for policy in DECIDED:
            changes = POLICIES.get(policy, (ALWAYS,))
            wanted = (PROPOSAL,) if policy in POLICIES else (REFERENCE, PROPOSAL)
            schemes = tuple(scheme for scheme in place.schemes if scheme in wanted)
            scenario = options.booked(place.name, *changes)
            name = f"{place.name}: {policy}"
            yield Point("default-policy", name, scenario, schemes, seeds, place.rates)


def movement(options: Options) -> Iterator[Point]:
    """Movable antennas that move only when needed; the other cells of a seed are the claims'.

    The plan is the same: it books a movement every round.
    """
    for name in ("paper-v1", "cell-edge"):
        scenario = options.scenario(name, "planning.movement=when-needed")
        rates = tuned(options, name)
        schemes = tuple(scheme for scheme in rates if scheme == PROPOSAL)
        yield Point(name, "shared-plan-when-needed", scenario, schemes, options.seeds(5), rates)


def perplexity(options: Options) -> Iterator[Point]:
    """Perplexity at round 30 and fairness for each number of clients that transmit together."""
    for k in _concurrency(options):
        scenario = options.scenario("paper-v2", f"clients.concurrency={k}")
        rates = tuned(options, f"paper-v2-k-{k}")
        yield Point("paper-v2", f"k-{k}", scenario, tuple(rates), options.seeds(5), rates)


def real_model(options: Options) -> Iterator[Point]:
    """The table of paper-v2 on SmolLM2-135M and Alpaca records, with small batches."""
    if options.reduced:
        return
    settings = (
        f"model.source={options.smollm2}",
        f"data.source={options.alpaca}",
        *("data.partition=iid", "data.max_tokens=96", "training.batch_size_max=2"),
        *("training.learning_rate=1e-3", "evaluation.every=10", "evaluation.records=32"),
        "evaluation.batch_size=4",
    )
    schemes = options.schemes(("ideal", "movable", "fixed", "digital"))
    for k in (2, 8):
        scenario = options.scenario("paper-v2", f"clients.concurrency={k}", *settings)
        yield Point("paper-v2-smollm2", f"k-{k}", scenario, schemes, options.seeds(1), {})


def regimes(options: Options, when_needed: bool = False) -> Iterator[Point]:
    """A coarse grid of noise, interference and bandwidth on a small learner: cells of seconds.

    With `when_needed` the proposal alone, moving only when needed.
    """
    spared = ("planning.movement=when-needed",) if when_needed else ()
    learner = (
        *("model.small.hidden=64", "model.small.layers=2", "model.small.heads=4"),
        *("model.small.intermediate=160", "pretraining.steps=800", "training.rounds=25"),
        *("training.batch_size_max=8", "evaluation.records=150", "budget.latency_s="),
    )
    grid = itertools.product(NOISE_FIGURES_DB, INTERFERENCE_DBM, BANDWIDTHS_HZ)
    for noise, interference, bandwidth in list(grid)[: 1 if options.reduced else None]:
        others = (
            ("radio.interferers.count=0",)
            if interference is None
            else (f"radio.interferers.tx_power_dbm={interference}",)
        )
        scenario = options.scenario(
            "paper-v1",
            *learner,
            f"radio.noise_figure_db={noise}",
            f"radio.bandwidth_hz={bandwidth}",
            *others,
            *spared,
        )
        label = "none" if interference is None else f"{interference:g}dbm"
        name = f"noise-{noise:g}db-interference-{label}-bandwidth-{bandwidth / 1e6:g}mhz"
        name += "-when-needed" * when_needed
        schemes = options.schemes((PROPOSAL,) if when_needed else REGIME_SCHEMES)
        yield Point("regimes", name, scenario, schemes, options.seeds(2), {})


def privacy(options: Options) -> Iterator[Point]:
    """Clipped updates of randomly chosen clients, for the privacy that the air's noise gives."""
    for name in ("paper-v1",) if options.reduced else ("paper-v1", "cell-edge"):
        for count in (2,) if options.reduced else (4,):
            scenario = options.scenario(
                name,
                *("training.clip_norm=1.0", "clients.selection=random", "budget.latency_s="),
                f"clients.concurrency={count}",
            )
            schemes = options.schemes(("movable", "fixed"))
            yield Point("privacy", name, scenario, schemes, options.seeds(1), {})


SECTIONS: dict[str, Callable[[Options], Iterator[Point]]] = {
    "step-size": tuning,
    "claims": claims,
    "movement": movement,
    "electrical": electrical,
    "policies": policies,
    "default-policy": default_policy,
    "perplexity": perplexity,
    "regimes": regimes,
    "regimes-movement": partial(regimes, when_needed=True),
    "privacy": privacy,
    "real-model": real_model,
}


def cells(options: Options, names: Sequence[str]) -> Iterator[Cell]:
    """Yield the cells of some sections: first one seed of everything, then the next."""
    for name in names:
        points = list(SECTIONS[name](options))
        if name == "step-size":
            yield from (cell for point in points for cell in point.cells())
            continue
        for seed in sorted({s for point in points for s in point.seeds}):
            for point in points:
                yield from (cell for cell in point.cells() if cell.seed == seed)
