"""chi of white noise, fitted on tuning seeds: benchmarks/results/chi.json, docs/forecast.md.

    python benchmarks/chi.py                 cells that are missing, then the fit and the table
    python benchmarks/chi.py --limit 600     begin no cell after so many s of the processor
    python benchmarks/chi.py --only 'ffa, adam'  only the setting of this name
    python benchmarks/chi.py --write-docs    only the fit and the table

The law says ``rounds / error-free rounds = sqrt(1 + chi MSE)``.  A cell is a run with the exact
mean and white noise of variance MSE v_b^2 on every number that is decoded, fresh each round:
nothing but the MSE differs between the cells of a setting and a seed.  The target is 90 % of what
the error-free run of the same setting and seed gains in 30 rounds.  The seeds are tuning seeds: no
figure of a study uses them.  gamma is the median over the first eight error-free rounds, as a pilot
reports it.  Each cell is written as soon as it is done.

chi of payloads: the same fit of the cells of benchmarks/results/payloads.json that exist.
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
from airtune.bound import fit_learning_curve  # noqa: E402
from airtune.bound.conformal import score  # noqa: E402
from airtune.bound.forecast import crossing, noise_inflation, rounds_to_target  # noqa: E402
from airtune.bound.forecast_constants import chi_of, fit_chi_by_seed  # noqa: E402
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

SIZE = "aggregation.payload_size=4096"
"""Of 18 944 entries: the share that 16384 have of the quickstart's."""

SETTINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "lora, adam": ("two layers", ()),
    "lora, yogi": ("two layers", ("training.server_optimizer=yogi",)),
    "ffa, adam": ("two layers", ("aggregation.payload=ffa",)),
    "rolora, adam": ("two layers", ("aggregation.payload=rolora",)),
    "mask, adam": ("two layers", ("aggregation.payload=mask", SIZE)),
    "subspace, adam": ("two layers", ("aggregation.payload=subspace", SIZE)),
    "lora, adam, 4 local steps": ("two layers", ("training.local_steps=4",)),
    "lora, adam, half step": ("two layers", ("training.learning_rate=0.005",)),
    "lora, adam, quickstart": ("quickstart", ()),
}
"""What is fitted: the model and the settings that differ."""

SEEDS = {"two layers": (1000, 1001, 1002, 1003, 1004), "quickstart": (1000, 1001)}

BASE = "lora, adam"
SIGNS = "obda"
"""Scheme of signs, run in the base setting with the powers of paper-v1."""

LIMITS = tuple(range(1005, 1015)), (0.0, 0.1)
"""Seeds and levels of the base setting that give scores to limits; nothing is fitted to them."""


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
    signs: bool = False

    @property
    def name(self) -> str:
        """The key of the cell in the results."""
        if self.signs:
            return f"{self.setting}; seed {self.seed}; {SIGNS}"
        return f"{self.setting}; seed {self.seed}; mse {self.mse:g}"


def grid(only: str = "") -> Iterator[Cell]:
    """Yield the cells, seed by seed, the error-free one of each seed first."""
    for setting, (model, _) in SETTINGS.items():
        for seed in SEEDS[model] if only in (setting, "") else ():
            yield from (Cell(setting, seed, mse) for mse in LEVELS)
            if setting == BASE:
                yield Cell(setting, seed, math.nan, signs=True)
        if setting == BASE and only in (BASE, ""):
            yield from (Cell(BASE, seed, mse) for seed in LIMITS[0] for mse in LIMITS[1])


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
    settings += ("clients.tx_power_dbm=14",) if cell.signs else ()
    rounds = f"training.rounds={MOST_ROUNDS}"
    scenario = load_scenario(
        "quickstart", ["budget.latency_s=", "threads=1", rounds, *MODELS[model], *settings]
    )
    began = time.process_time()
    Recorded.gammas.clear()
    name = SIGNS if cell.signs else scheme(cell.mse)
    run = run_on(learners(scenario, cell.seed), scenario, name, cell.seed)
    losses = [run.first_metrics()["loss"]]
    while run.state.round < (GAIN_ROUNDS if target is None else MOST_ROUNDS):
        losses.append(run.run_round()["loss"])
        if losses[-1] is None or (target is not None and losses[-1] <= target):
            break
    return {
        "losses": losses,
        "gamma": None if cell.signs else float(np.median(Recorded.gammas[:PILOT])),
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


def of_payloads(found: dict[str, Any]) -> dict[str, Any]:
    """Return chi of every payload with a seed that has error-free and noisy cells.

    Parameters
    ----------
    found : dict
        Of benchmarks/payloads.py: losses to the target of `lora`, with the own step of a payload.
    """
    fits, cells = dict[str, Any](), found.get("cells", {})
    for sent in payloads.SENT:
        rows = list[tuple[int, float, float]]()
        for seed in payloads.SEEDS:
            names = {mse: payloads.Cell(sent, mse, seed).name for mse in payloads.ERRORS}
            known = {mse: cells[name]["losses"] for mse, name in names.items() if name in cells}
            target = payloads.target_of(cells, seed)
            if target is None or 0.0 not in known or len(known) < 2:
                continue
            rounds = {mse: payloads.crossing(losses, target) for mse, losses in known.items()}
            if rounds[0.0] is not None:
                rows += [(seed, mse, r or math.inf) for mse, r in rounds.items()]
        seeds, errors, taken = np.array(rows).T if rows else np.empty((3, 0))
        finite = np.isfinite(taken)
        if not np.any(finite & (errors > 0)):
            continue
        try:
            chi, scatter = fit_chi_by_seed(seeds, errors, taken)
        except ValueError:  # no seed has two runs that arrive
            continue
        fits[sent] = {
            "chi": chi,
            "scatter": scatter,
            "seeds": len(np.unique(seeds)),
            "runs": int(np.sum(errors > 0)),
            "never": int(np.sum(~finite)),
        }
    return fits


def signs(cells: dict[str, Any]) -> dict[str, Any]:
    """Return the rounds with signs over the error-free ones: of each seed, and their median."""
    seen = list[float]()
    for seed in SEEDS[SETTINGS[BASE][0]]:
        cell = cells.get(Cell(BASE, seed, math.nan, signs=True).name)
        target = target_of(cells, BASE, seed)
        if cell is not None and target is not None:
            losses = [math.nan if x is None else x for x in cell["losses"]]
            exact = crossing(cells[Cell(BASE, seed, 0.0).name]["losses"], target)
            seen.append(crossing(losses, target) / exact)
    median = float(np.median(seen)) if seen else math.nan
    return {"factor": median, "by_seed": [x if math.isfinite(x) else None for x in seen]}


def scores(cells: dict[str, Any]) -> list[float]:
    """Return the score of the whole forecast of each seed that is kept for limits.

    The pilot is the first eight error-free rounds, the run that at the last of the levels.
    """
    found = list[float]()
    for seed in LIMITS[0]:
        exact, noisy = (cells.get(Cell(BASE, seed, mse).name) for mse in LIMITS[1])
        target = target_of(cells, BASE, seed)
        if exact is None or noisy is None or target is None:
            continue
        curve = fit_learning_curve(exact["losses"][: PILOT + 1]).losses(200)
        predicted = rounds_to_target(curve, target, LIMITS[1][-1], chi_of(exact["gamma"]))
        losses = [math.nan if x is None else x for x in noisy["losses"]]
        found.append(score([crossing(losses, target)], [predicted]))
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
    signs = document["signs"]
    seen = [x for x in signs["by_seed"] if x is not None]
    said = (
        f"Signs: {signs['factor']:.2f} times the error-free rounds in the median of {len(seen)} "
        f"seeds ({min(seen):.2f} to {max(seen):.2f})."
        if seen
        else ""
    )
    manual.put(PAGE, "chi of white noise", "\n".join([*manual.table(head, rows), "", said]))
    fits = document.get("payloads", {})
    rows = [
        [f"`{sent}`", f"{one['chi']:.1f}", str(one["seeds"]), str(one["runs"]), str(one["never"])]
        for sent, one in fits.items()
    ]
    table = manual.table(["sent", "chi", "seeds", "noisy runs", "never there"], rows)
    manual.put(PAGE, "chi of payloads", "\n".join(table) if fits else "No cells yet.")


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
            exact = cell.mse == 0.0
            target = None if exact else target_of(cells, cell.setting, cell.seed)
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
        "limits": [list(LIMITS[0]), list(LIMITS[1])],
        "gain_rounds": GAIN_ROUNDS,
        "most_rounds": MOST_ROUNDS,
        "share": SHARE,
    }
    document["fit"] = fitted(cells)
    document["signs"] = signs(cells)
    if payloads.RESULT.exists():
        document["payloads"] = of_payloads(json.loads(payloads.RESULT.read_text()))
    resumable.write(RESULT, document)
    write_docs(document)


if __name__ == "__main__":
    main()
