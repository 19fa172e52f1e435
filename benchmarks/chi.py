"""chi of white noise, fitted on tuning seeds: benchmarks/results/chi.json, docs/forecast.md.

    python benchmarks/chi.py                 cells that are missing, then the fit and the table
    python benchmarks/chi.py --limit 600     begin no cell after so many s of the processor
    python benchmarks/chi.py --only lora     only settings whose name holds this
    python benchmarks/chi.py --write-docs    only the fit and the table

The law says ``rounds / error-free rounds = sqrt(1 + chi MSE)``.  A cell is a run with the exact mean
and white noise of variance MSE v_b^2 on every number that is decoded, fresh each round: nothing but
the MSE differs between the cells of a setting and a seed.  The target is 90 % of what the error-free
run of the same setting and seed gains in 30 rounds.  The seeds are tuning seeds: no figure of a study
uses them.  gamma is the median over the first eight error-free rounds, as a pilot reports it.  Each
cell is written as soon as it is done.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

import manual  # noqa: E402
import payloads  # noqa: E402
import resumable  # noqa: E402
from airtune import load_scenario  # noqa: E402
from airtune.bound.forecast import crossing, noise_inflation  # noqa: E402
from airtune.bound.forecast_constants import fit_chi_by_seed  # noqa: E402
from airtune.learning.shared import SharedLearners  # noqa: E402
from airtune.schemes import Reception, Scheme, Uploads, register  # noqa: E402
from airtune.schemes.arrays.fixed import NoArray  # noqa: E402
from airtune.schemes.link import Link  # noqa: E402
from runs import run_on  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "chi.json"
PAGE = ROOT / "docs" / "forecast.md"

GAIN_ROUNDS, MOST_ROUNDS, SHARE, PILOT = 30, 60, 0.9, 8
LEVELS = (0.0, 0.03, 0.1, 0.3, 1.0)

MODELS: dict[str, tuple[str, ...]] = {
    "two layers": (
        "model.small.hidden=64",
        "model.small.layers=2",
        "model.small.heads=4",
        "model.small.intermediate=160",
        "pretraining.steps=800",
        "evaluation.records=150",
        "training.batch_size_max=8",
    ),
    "quickstart": (),
}
"""Models by name: that of the regime map, and the quickstart's."""

SETTINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "lora, adam": ("two layers", ()),
    "lora, yogi": ("two layers", ("training.server_optimizer=yogi",)),
    "ffa, adam": ("two layers", ("aggregation.payload=ffa",)),
    "rolora, adam": ("two layers", ("aggregation.payload=rolora",)),
    "lora, adam, 4 local steps": ("two layers", ("training.local_steps=4",)),
    "lora, adam, half step": ("two layers", ("training.learning_rate=0.005",)),
    "lora, adam, quickstart": ("quickstart", ()),
}
"""What is fitted: the model and the settings that differ."""

SEEDS = {"two layers": (1000, 1001, 1002, 1003, 1004), "quickstart": (1000, 1001)}


class Recorded(payloads.WhiteNoise):
    """The mean with white noise; keeps gamma of the updates."""

    about: ClassVar[str] = "error-free mean with white noise, gamma kept"
    gammas: ClassVar[list[float]] = []

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Return the noisy mean."""
        self.gammas.append(noise_inflation(uploads.updates, uploads.omega))
        return super().combine(uploads, link, backoff)


@dataclass(frozen=True)
class Cell:
    """One run."""

    setting: str
    seed: int
    mse: float

    @property
    def name(self) -> str:
        """The key of the cell in the results."""
        return f"{self.setting}; seed {self.seed}; mse {self.mse:g}"


def grid(only: str = "") -> Iterator[Cell]:
    """Yield the cells, seed by seed, the error-free one of each seed first."""
    for setting, (model, _) in SETTINGS.items():
        for seed in SEEDS[model] if only in setting else ():
            yield from (Cell(setting, seed, mse) for mse in LEVELS)


def scheme(mse: float) -> str:
    """Return the name of the scheme with this error; it is made known the first time."""
    from airtune.registry import SCHEMES

    name = f"recorded-white-noise-{mse:g}"
    if name not in SCHEMES:
        air = type(f"Recorded{mse:g}", (Recorded,), {"mse": mse})
        register(Scheme(name, NoArray, air))
    return name


def measured(cell: Cell, learners: SharedLearners, target: float | None) -> dict[str, Any]:
    """Run a cell: to the target, or for :data:`GAIN_ROUNDS` where there is none yet."""
    model, settings = SETTINGS[cell.setting]
    rounds = f"training.rounds={MOST_ROUNDS}"
    scenario = load_scenario(
        "quickstart", ["budget.latency_s=", "threads=1", rounds, *MODELS[model], *settings]
    )
    began = time.process_time()
    Recorded.gammas.clear()
    run = run_on(learners(scenario, cell.seed), scenario, scheme(cell.mse), cell.seed)
    losses = [run.first_metrics()["loss"]]
    while run.state.round < (GAIN_ROUNDS if target is None else MOST_ROUNDS):
        losses.append(run.run_round()["loss"])
        if losses[-1] is None or (target is not None and losses[-1] <= target):
            break
    return {
        "losses": losses,
        "gamma": float(np.median(Recorded.gammas[:PILOT])),
        "cpu_s": time.process_time() - began,
    }


def target_of(cells: dict[str, Any], setting: str, seed: int) -> float | None:
    """Return the loss at 90 % of what the error-free run gains; None: it has not been run."""
    reference = cells.get(Cell(setting, seed, 0.0).name)
    if reference is None:
        return None
    losses = reference["losses"]
    return float(losses[0] - SHARE * (losses[0] - losses[GAIN_ROUNDS]))


def fitted(cells: dict[str, Any]) -> dict[str, Any]:
    """Return chi, gamma and their ratio of every setting with two seeds or more."""
    found: dict[str, Any] = {}
    for setting, (model, _) in SETTINGS.items():
        rows, gammas = list[tuple[int, float, float]](), list[float]()
        for seed in SEEDS[model]:
            known = [c for mse in LEVELS if (c := Cell(setting, seed, mse)).name in cells]
            if len(known) < len(LEVELS):
                continue
            target = target_of(cells, setting, seed)
            assert target is not None
            gammas.append(cells[known[0].name]["gamma"])
            for cell in known:
                losses = [math.nan if x is None else x for x in cells[cell.name]["losses"]]
                rows.append((seed, cell.mse, crossing(losses, target)))
        if len(gammas) < 2:
            continue
        seeds, errors, rounds = (np.array(column) for column in zip(*rows, strict=True))
        chi, spread = fit_chi_by_seed(seeds, errors, rounds)
        one = [
            fit_chi_by_seed(seeds[seeds == s], errors[seeds == s], rounds[seeds == s])[0]
            for s in np.unique(seeds)
        ]
        pace = {
            f"{mse:g}": [float(x) for x in rounds[errors == mse] / rounds[errors == 0]]
            for mse in LEVELS[1:]
        }
        found[setting] = {
            "chi": chi,
            "gamma": float(np.median(gammas)),
            "ratio": chi / float(np.median(gammas)),
            "chi_by_seed": one,
            "scatter": spread,
            "never": int(np.sum(~np.isfinite(rounds))),
            "slowdown": {
                mse: [x if math.isfinite(x) else None for x in values]
                for mse, values in pace.items()
            },
        }
    return found


def write_docs(document: dict[str, Any]) -> None:
    """Write the table of docs/forecast.md."""
    rows = []
    for setting, one in document["fit"].items():
        by_seed = sorted(one["chi_by_seed"])
        paces = [
            " / ".join("never" if x is None else f"{x:.2f}" for x in values)
            for values in one["slowdown"].values()
        ]
        rows.append(
            [
                setting,
                f"{one['chi']:.1f} ({by_seed[0]:.1f} to {by_seed[-1]:.1f})",
                f"{one['gamma']:.1f}",
                f"{one['ratio']:.2f}",
                *paces,
            ]
        )
    head = ["setting", "chi (seeds)", "gamma", "chi / gamma", *(f"MSE {m:g}" for m in LEVELS[1:])]
    manual.put(PAGE, "chi of white noise", "\n".join(manual.table(head, rows)))


def main() -> None:
    """Measure what is missing, fit, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--limit", type=float, default=math.inf, metavar="S")
    parser.add_argument("--only", default="", metavar="NAME")
    parser.add_argument("--write-docs", action="store_true")
    given = parser.parse_args()
    document = json.loads(RESULT.read_text()) if RESULT.exists() else {"cells": {}}
    learners, cells = SharedLearners(most=1), document["cells"]
    for cell in grid(given.only):
        if given.write_docs or time.process_time() > given.limit:
            break
        if cell.name not in cells:
            target = target_of(cells, cell.setting, cell.seed) if cell.mse else None
            cells[cell.name] = measured(cell, learners, target)
            document["machine"] = resumable.machine()
            resumable.write(RESULT, document)
            took = cells[cell.name]["cpu_s"]
            print(f"{cell.name}: {len(cells[cell.name]['losses']) - 1} ({took:.0f} s)", flush=True)
    document["settings"] = {
        "models": {name: list(s) for name, s in MODELS.items()},
        "settings": {name: [model, *s] for name, (model, s) in SETTINGS.items()},
        "seeds": {name: list(s) for name, s in SEEDS.items()},
        "levels": list(LEVELS),
        "gain_rounds": GAIN_ROUNDS,
        "most_rounds": MOST_ROUNDS,
        "share": SHARE,
    }
    document["fit"] = fitted(cells)
    resumable.write(RESULT, document)
    write_docs(document)


if __name__ == "__main__":
    main()
