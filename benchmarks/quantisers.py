"""Quantisers of digital uploads and of the broadcast: rounds to the target, chi, time to code.

    python benchmarks/quantisers.py                what has no result yet, cell by cell
    python benchmarks/quantisers.py --limit 900    begin no cell after so many seconds
    python benchmarks/quantisers.py --only speed --model models/SmolLM2-135M-Instruct.Q4_1.gguf
    python benchmarks/quantisers.py --write-docs   only the tables of docs/digital.md

Several processes may run it at once; each cell is written as soon as it is there.

The quickstart's model and data, ten clients with batches of 16 samples, Adam at its eta; nothing
but the rounding disturbs the mean.  The target of a seed is 90 % of what the exact mean gains in 30
rounds; a cell ends there, or after 45.  chi of a quantiser is that of the law ``rounds / error-free
rounds = sqrt(1 + chi MSE)`` which fits its cells best, MSE being what
:mod:`airtune.schemes.air.coding` expects.  The seeds are tuning seeds: no figure of a study may use
them.  Speed is processor time on one core beside that of a client's own update: of the quickstart,
and of the scenario smollm2, whose weights --model names.  A quantiser gives what is decoded in the
same call; the indices of ``entropy`` are also written and read back by the library constriction
(asymmetric numeral systems), where it is installed.  Writes benchmarks/results/quantisers.json.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from scipy.optimize import minimize_scalar  # noqa: E402

import manual  # noqa: E402
from airtune import load_scenario  # noqa: E402
from airtune.bound.forecast import crossing  # noqa: E402
from airtune.kinds import Floating, Real  # noqa: E402
from airtune.learning.learner import Learner, prepare  # noqa: E402
from airtune.learning.sizes import sizes_of  # noqa: E402
from airtune.radio.quantisers import encode  # noqa: E402
from airtune.radio.quantisers.coding import Coding  # noqa: E402
from airtune.registry import SERVER_OPTIMIZERS  # noqa: E402
from airtune.schemes.air.coding import error_of_mean  # noqa: E402
from airtune.streams import generator  # noqa: E402
from campaigns import Campaign, Document, Task  # noqa: E402
from coding_speed import speed  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "quantisers.json"
MANUAL = ROOT / "docs" / "digital.md"
TUNING_SEEDS = (101, 102)
BATCH, REFERENCE_ROUNDS, MOST_ROUNDS, SHARE = 16, 30, 45, 0.9
EXACT = "exact"
BITS = (1, 2, 3, 4, 8)
SPEED = {"quickstart": "speed; quickstart", "smollm2": "speed; smollm2"}


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
    for quantizer in ("lloyd-max", "entropy", "uniform"):
        for bits in BITS:
            for feedback in (False, True):
                yield Cell(Coding(quantizer, bits, feedback))
    for share in (0.03, 0.1, 0.3):
        for feedback in (False, True):
            yield Cell(Coding("top-k", 4, feedback, share))
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


def rows_of(found: Document, cell: Cell) -> dict[int, Document]:
    """Return what was found of a cell, by seed."""
    names = {seed: f"{cell.name}; seed {seed}" for seed in TUNING_SEEDS}
    return {seed: found["cells"][name] for seed, name in names.items() if name in found["cells"]}


def fitted(found: Document) -> Document:
    """Return chi by quantiser and feedback, and how well the law holds with it."""
    exact = rows_of(found, Cell())
    groups: dict[str, list[tuple[float, float]]] = {}
    for cell in cells():
        if cell.up is None or cell.down is not None:
            continue
        for seed, row in rows_of(found, cell).items():
            if row["rounds"] is not None:
                key = f"{cell.up.quantizer}{', feedback' if cell.up.feedback else ''}"
                mse = expected(found, cell.up)
                groups.setdefault(key, []).append((mse, row["rounds"] / exact[seed]["rounds"]))
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


def expected(found: Document, coding: Coding) -> float:
    """Return the error of the mean that a plan expects of a coding."""
    exact = next(iter(rows_of(found, Cell()).values()))
    return error_of_mean(coding, np.array(exact["omega"]), np.array(exact["matrix_sizes"]))


def rounds_tasks() -> Iterator[Task]:
    """Yield the cells of all seeds; a seed is prepared when its first cell runs."""
    kept: dict[int, Learner] = {}

    def learner_of(seed: int) -> Learner:
        if seed not in kept:
            kept.clear()
            kept[seed] = prepare(load_scenario("quickstart", [f"seed={seed}"]), seed)
        return kept[seed]

    for seed in TUNING_SEEDS:
        first = f"{EXACT}; seed {seed}"
        for cell in cells():

            def work(
                document: Document, cell: Cell = cell, seed: int = seed, first: str = first
            ) -> Document:
                trial = Trial(learner_of(seed), seed)
                reference = None if cell == Cell() else document["cells"][first]
                losses, means = trial.run(cell, reference and reference["target"])
                start, end = losses[0], min(losses[-1], losses[0])
                facts = {"omega": trial.omega.tolist(), "matrix_sizes": trial.sizes.tolist()}
                target = start - SHARE * (start - end)
                if reference is not None:
                    facts, target = {}, reference["target"]
                rounds = crossing(losses, target)
                arrived = rounds if np.isfinite(rounds) else None
                return (
                    {"rounds": arrived, "best_loss": min(losses), "target": target} | means | facts
                )

            yield Task(f"{cell.name}; seed {seed}", work, None if cell == Cell() else first)


def speed_tasks(model: str | None) -> Iterator[Task]:
    """Yield the timings: of the quickstart, and of smollm2 where its weights are named."""
    models = {"quickstart": ["seed=101", "pretraining.steps=3"]}
    if model is not None:
        models["smollm2"] = [f"model.source={model}"]
    for name, settings in models.items():

        def work(_: Document, name: str = name, settings: list[str] = settings) -> Document:
            scenario = load_scenario(name, [*settings, "threads=1"])
            learner, batch = prepare(scenario, 101), scenario.training.batch_size_max
            codings = {c.name: c.up for c in cells() if c.up is not None and c.down is None}
            return speed(learner, 101, batch, codings)

        yield Task(SPEED[name], work)


def rounds_table(found: Document) -> str:
    """Return the table of rounds to the target."""
    rows = []
    for cell in cells():
        seeds = rows_of(found, cell)
        if not seeds:
            continue
        rounds = [row["rounds"] for row in seeds.values()]
        bits = [row["bits"] for row in seeds.values() if "bits" in row]
        rows.append(
            [
                cell.name,
                f"{np.mean(bits):.2f}" if bits else "",
                "" if cell.up is None else f"{expected(found, cell.up):.4f}",
                " / ".join("never" if r is None else f"{r:.1f}" for r in rounds),
            ]
        )
    head = ["rounded", "bits an entry up", "error expected", "rounds, by seed"]
    return "\n".join(manual.table(head, rows))


def chi_table(found: Document) -> str:
    """Return the table of the constants."""
    rows = [
        [name, f"{row['chi']:.1f}", str(row["points"]), f"{100 * row['spread']:.0f} %"]
        for name, row in fitted(found).items()
    ]
    return "\n".join(manual.table(["quantiser", "chi", "runs", "spread of the rounds"], rows))


def speed_table(found: Document) -> str:
    """Return the table of coding times, and what they are of."""
    speeds = {name: found["cells"][key] for name, key in SPEED.items() if key in found["cells"]}
    if not speeds:
        return ""
    words = [
        f"{name}: d = {one['entries']}, an update of {one['samples']} samples takes "
        f"{1e3 * one['update_s']:.0f} ms, coding with error feedback at most "
        f"{100 * _worst(one):.1f} % of it."
        for name, one in speeds.items()
    ]
    rows = []
    for cell in cells():
        times = [one["quantisers"].get(cell.name) for one in speeds.values()]
        if cell.up is None or cell.up.feedback or not all(times):
            continue
        rows.append([cell.name.removeprefix("up ")])
        for one, row in zip(speeds.values(), times, strict=True):
            coder = row.get("write_s", 0.0) + row.get("read_s", 0.0)
            share, both = row["s"] / one["update_s"], (row["s"] + coder) / one["update_s"]
            more = [f" + {1e3 * coder:.1f}", f" ({100 * both:.1f} %)"] if coder else ["", ""]
            rows[-1] += [f"{1e3 * row['s']:.1f}{more[0]}", f"{row['entries_per_s'] / 1e6:.0f}"]
            rows[-1] += [f"{100 * share:.1f} %{more[1]}"]
    head = ["quantiser"]
    for name in speeds:
        head += [f"{name}: ms", "million entries a second", "of the update"]
    return "\n".join([*words, "", *manual.table(head, rows)])


def _worst(one: Document) -> float:
    """Return the largest share of the update that coding with error feedback takes."""
    times = [row["s"] for name, row in one["quantisers"].items() if name.endswith("feedback")]
    return float(max(times) / one["update_s"])


def write_docs(found: Document) -> None:
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
    parser.add_argument("--limit", type=float, help="begin no cell after so many seconds")
    parser.add_argument("--only", choices=("speed", "rounds"))
    parser.add_argument("--model", help="weights of the scenario smollm2, for its speed")
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    campaign = Campaign(RESULT, {})
    until = None if options.limit is None else time.time() + options.limit
    if not options.write_docs:
        if options.only in (None, "speed"):
            campaign.run(speed_tasks(options.model), until)
        if options.only in (None, "rounds"):
            campaign.run(rounds_tasks(), until)
    write_docs(campaign.read())


if __name__ == "__main__":
    main()
