"""Quantisers of digital uploads and of the broadcast: rounds to the target, and the constant chi.

    python benchmarks/quantisers.py                what has no result yet, cell by cell
    python benchmarks/quantisers.py --limit 900    begin no cell after so many s of the processor
    python benchmarks/quantisers.py --write-docs   only the tables of docs/digital.md

The quickstart's model and data, ten clients with batches of 16 samples, Adam at its eta; nothing
but the rounding disturbs the mean.  The target of a seed is 90 % of what the exact mean gains in 30
rounds.  chi of a quantiser is that of the law ``rounds / error-free rounds = sqrt(1 + chi MSE)``
which fits its cells best, MSE being what :mod:`airtune.schemes.air.coding` expects.  The seeds are
tuning seeds: no figure of a study may use them.  Each cell goes to
benchmarks/results/quantisers.json as soon as it is done.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from scipy.optimize import minimize_scalar  # noqa: E402

import manual  # noqa: E402
from airtune import load_scenario, record  # noqa: E402
from airtune.bound.forecast import crossing  # noqa: E402
from airtune.kinds import Floating, Real  # noqa: E402
from airtune.learning.learner import Learner, prepare  # noqa: E402
from airtune.learning.sizes import sizes_of  # noqa: E402
from airtune.radio.quantisers import encode  # noqa: E402
from airtune.radio.quantisers.coding import Coding  # noqa: E402
from airtune.registry import SERVER_OPTIMIZERS  # noqa: E402
from airtune.schemes.air.coding import error_of_mean  # noqa: E402
from airtune.streams import generator  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "quantisers.json"
MANUAL = ROOT / "docs" / "digital.md"
TUNING_SEEDS = (101, 102)
BATCH, REFERENCE_ROUNDS, MOST_ROUNDS, SHARE = 16, 30, 45, 0.9
EXACT = "exact"


@dataclass(frozen=True)
class Cell:
    """One run: how the updates and the broadcast are rounded.

    Attributes
    ----------
    up, down : Coding or None
        Of the updates, and of the change of the adapter; None: nothing is rounded.
    """

    up: Coding | None = None
    down: Coding | None = None

    @property
    def name(self) -> str:
        """A name for the result."""
        parts = [
            f"{way} {c.quantizer} {c.bits}"
            + (f" of {c.share:g}" if c.quantizer == "top-k" else "")
            + (" feedback" if c.feedback and way == "up" else "")
            for way, c in (("up", self.up), ("down", self.down))
            if c is not None
        ]
        return ", ".join(parts) or EXACT


def cells() -> Iterator[Cell]:
    """Yield the cells, the exact one first."""
    yield Cell()
    for bits in (1, 2, 3):
        for feedback in (False, True):
            yield Cell(Coding("lloyd-max", bits, feedback))
    for bits in (1, 2):
        for feedback in (False, True):
            yield Cell(Coding("entropy", bits, feedback))
    for share in (0.03, 0.1, 0.3):
        for feedback in (False, True):
            yield Cell(Coding("top-k", 4, feedback, share))
    for bits in (2, 4):
        yield Cell(Coding("uniform", bits, True))
    yield Cell(Coding("uniform", 4, False))
    for bits in (2, 4):
        yield Cell(down=Coding("lloyd-max", bits, True))
    yield Cell(Coding("lloyd-max", 2, False), Coding("lloyd-max", 4, True))


@dataclass
class Trial:
    """The rounds of a cell on a learner at hand."""

    learner: Learner
    seed: int

    def __post_init__(self) -> None:
        records = np.array(sizes_of(self.learner).data_sizes, dtype=np.float64)
        self.omega = records / records.sum()
        self.batches = np.minimum(BATCH, records).astype(int).tolist()
        self.sizes = np.array([m.size for m in sizes_of(self.learner).matrices])
        self.memory: dict[int, Real | None] = {}

    def run(self, cell: Cell, target: float | None) -> tuple[list[float], dict[str, float]]:
        """Return the losses round by round, up to the target, and means over the rounds."""
        learner, training = self.learner, self.learner.scenario.training
        server = SERVER_OPTIMIZERS[training.server_optimizer]
        theta = learner.initial_adapter()
        copy = theta
        state = server.init(theta, training)
        losses, errors, bits = [learner.evaluate(theta).loss], [], []
        clients = list(range(len(self.omega)))
        for index in range(1, (REFERENCE_ROUNDS if target is None else MOST_ROUNDS) + 1):
            if cell.down is None:
                copy = theta
            else:
                change = cell.down.quantiser.quantise(theta.astype(float) - copy, self.sizes)
                copy = (copy + change.values).astype(np.float32)
            found = learner.client_updates(copy, clients, self.batches, self.seed, index)
            exact = self.omega @ np.array([one.update for one in found], dtype=np.float64)
            mean, sent = exact, 0
            if cell.up is not None:
                mean = np.zeros(len(exact))
                for client, one in zip(clients, found, strict=True):
                    values, length = self._encode(cell.up, client, one.update, index)
                    mean, sent = mean + self.omega[client] * values, sent + length
                scale = sum(
                    w * float(one.update @ one.update)
                    for w, one in zip(self.omega, found, strict=True)
                )
                errors.append(float(np.sum((mean - exact) ** 2)) / scale)
                bits.append(sent / len(clients) / len(exact))
            theta, state = server.step(theta, mean, state, training)
            losses.append(learner.evaluate(theta).loss)
            if target is not None and losses[-1] <= target:
                break
        means = {"mse": errors, "bits": bits}
        return losses, {k: float(np.mean(v[1:] or v)) for k, v in means.items() if v}

    def _encode(
        self, coding: Coding, client: int, update: Floating, index: int
    ) -> tuple[Real, int]:
        rng = generator(self.seed, "quantisation", index, client)
        sent, self.memory[client] = encode(
            coding.quantiser,
            update,
            self.memory.get(client),
            self.sizes,
            feedback=coding.feedback,
            rng=None if coding.feedback else rng,
        )
        return sent.values, sent.bits


def speed(learner: Learner, seed: int) -> dict[str, Any]:
    """Return the processor time of a client's update, and of coding and decoding it."""
    import torch

    torch.set_num_threads(1)
    trial = Trial(learner, seed)
    theta, times = learner.initial_adapter(), []
    for index in (1, 2, 3):
        began = time.process_time()
        found = learner.client_updates(theta, [0], trial.batches[:1], seed, index)
        times.append(time.process_time() - began)
    update, rows = found[0].update, {}
    for cell in cells():
        if cell.up is None or cell.down is not None or cell.up.feedback:
            continue
        best = np.inf
        for _ in range(7):
            began = time.process_time()
            cell.up.quantiser.quantise(update, trial.sizes)
            best = min(best, time.process_time() - began)
        rows[cell.name] = {"s": best, "entries_per_s": len(update) / best}
    return {"update_s": min(times), "entries": len(update), "quantisers": rows}


def fitted(found: dict[str, Any]) -> dict[str, Any]:
    """Return chi by quantiser and feedback, and how well the law holds with it."""
    omega, sizes = np.array(found["omega"]), np.array(found["matrix_sizes"])
    groups: dict[str, list[tuple[float, float]]] = {}
    for cell in cells():
        rows = found["cells"].get(cell.name, {})
        if cell.up is None or cell.down is not None:
            continue
        for seed, row in rows.items():
            exact = found["cells"][EXACT][seed]["rounds"]
            if row["rounds"] is not None:
                key = f"{cell.up.quantizer}{', feedback' if cell.up.feedback else ''}"
                mse = error_of_mean(cell.up, omega, sizes)
                groups.setdefault(key, []).append((mse, row["rounds"] / exact))
    result = {}
    for key, pairs in groups.items():
        mse, ratio = np.array(pairs).T

        def misfit(log_chi: float, mse: Real = mse, ratio: Real = ratio) -> float:
            return float(np.sum((np.log(ratio) - np.log1p(np.exp(log_chi) * mse) / 2) ** 2))

        best = minimize_scalar(misfit, bounds=(np.log(0.1), np.log(300.0)), method="bounded")
        result[key] = {
            "chi": float(np.exp(best.x)),
            "points": len(mse),
            "spread": float(np.sqrt(best.fun / len(mse))),
        }
    return result


def measure(limit_s: float) -> dict[str, Any]:
    """Return all results, those on disk and those that are made now."""
    began = time.process_time()
    found: dict[str, Any] = {"cells": {}, "processor_s": 0.0}
    if RESULT.exists():
        found = json.loads(RESULT.read_text(encoding="utf-8"))
    spent = found["processor_s"]
    for seed in TUNING_SEEDS:
        open_cells = [c for c in cells() if str(seed) not in found["cells"].get(c.name, {})]
        if not open_cells and "speed" in found:
            continue
        scenario = load_scenario("quickstart", [f"seed={seed}"])
        learner = prepare(scenario, seed)
        trial = Trial(learner, seed)
        found |= {"omega": trial.omega.tolist(), "matrix_sizes": trial.sizes.tolist()}
        if "speed" not in found:
            found["speed"] = speed(learner, seed)
        for cell in open_cells:
            if time.process_time() - began > limit_s:
                return found
            exact = found["cells"].get(EXACT, {}).get(str(seed))
            losses, means = Trial(learner, seed).run(cell, exact and exact["target"])
            start, end = losses[0], min(losses[-1], losses[0])
            target = start - SHARE * (start - end) if exact is None else exact["target"]
            rounds = crossing(losses, target)
            row = {
                "rounds": rounds if np.isfinite(rounds) else None,
                "best_loss": min(losses),
                "target": target,
                **means,
            }
            found["cells"].setdefault(cell.name, {})[str(seed)] = row
            found["environment"] = record.environment(scenario)
            found["processor_s"] = spent + time.process_time() - began
            found["chi"] = fitted(found)
            record.write_json(RESULT, found)
            print(cell.name, seed, row, round(time.process_time() - began), flush=True)
    return found


def rounds_table(found: dict[str, Any]) -> str:
    """Return the table of rounds to the target."""
    rows = []
    for cell in cells():
        seeds = found["cells"].get(cell.name)
        if seeds is None:
            continue
        rounds = [seeds[s]["rounds"] for s in map(str, TUNING_SEEDS) if s in seeds]
        bits = [row["bits"] for row in seeds.values() if "bits" in row]
        expected = ""
        if cell.up is not None:
            omega, sizes = np.array(found["omega"]), np.array(found["matrix_sizes"])
            expected = f"{error_of_mean(cell.up, omega, sizes):.4f}"
        rows.append(
            [
                cell.name,
                f"{np.mean(bits):.2f}" if bits else "",
                expected,
                " / ".join("never" if r is None else f"{r:.1f}" for r in rounds),
            ]
        )
    head = ["rounded", "bits an entry up", "error expected", "rounds, by seed"]
    return "\n".join(manual.table(head, rows))


def chi_table(found: dict[str, Any]) -> str:
    """Return the table of the constants."""
    rows = [
        [name, f"{row['chi']:.1f}", str(row["points"]), f"{100 * row['spread']:.0f} %"]
        for name, row in found["chi"].items()
    ]
    return "\n".join(manual.table(["quantiser", "chi", "runs", "spread of the rounds"], rows))


def speed_table(found: dict[str, Any]) -> str:
    """Return the table of coding times."""
    speeds = found["speed"]
    rows = [
        [
            name.removeprefix("up "),
            f"{1e3 * row['s']:.1f}",
            f"{row['entries_per_s'] / 1e6:.1f}",
            f"{100 * row['s'] / speeds['update_s']:.1f} %",
        ]
        for name, row in speeds["quantisers"].items()
    ]
    head = ["quantiser", "ms an update", "million entries a second", "of the client's update"]
    return "\n".join(manual.table(head, rows))


def write_docs(found: dict[str, Any]) -> None:
    """Put the tables into the manual."""
    for name, text in (
        ("rounds", rounds_table(found)),
        ("chi", chi_table(found)),
        ("speed", speed_table(found)),
    ):
        manual.put(MANUAL, f"quantisers: {name}", text)


def main() -> None:
    """Measure what is missing, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--limit", type=float, default=float("inf"), help="s")
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    if options.write_docs:
        found = json.loads(RESULT.read_text(encoding="utf-8"))
        found["chi"] = fitted(found)
    else:
        found = measure(options.limit)
    if "chi" in found:
        write_docs(found)


if __name__ == "__main__":
    main()
