"""Choice of ports against every choice: what greedy choice and exchange lose.

    python benchmarks/ports.py [--out FOLDER] [--instances N]

Small cases, N of 4 N ports: of the pool that is spread over the region (the scheme `selection`) and
of a half-wavelength array (`selection-compact`), without interferers and with two.  `select` is
greedy choice and exchange, `choose` the search that places movable antennas; the loss is the gain
of the best of all choices over what each finds [dB].  Goes on where it was stopped; writes
ports.json.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import resumable
from airtune.placement import Problem, beamform, select, sparse
from airtune.placement.examples import random_problem
from airtune.placement.places import choose
from airtune.radio.layouts import fixed_array

ROOT = Path(__file__).parents[1]
CASES = ((3, 12), (4, 16))
"""Antennas and ports."""
REGION = (4.0, 4.0)
POOLS: dict[str, Callable[[int], np.ndarray]] = {
    "spread": lambda ports: sparse(ports, np.array(REGION), 0.5),
    "compact": lambda ports: fixed_array(ports, REGION),
}


def best_of_all(problem: Problem, pool: np.ndarray) -> float:
    """Greatest worst gain of all choices: few starts each, many for the best twenty."""
    every = itertools.combinations(range(len(pool)), problem.antennas)
    gains = [(beamform(problem, pool[list(c)], starts=4).worst_gain, c) for c in every]
    finalists = sorted(gains, reverse=True)[:20]
    return max(beamform(problem, pool[list(c)], starts=32).worst_gain for _, c in finalists)


def losses(seed: int, antennas: int, ports: int, kind: str, interferers: int) -> dict[str, float]:
    """What each way to choose loses on one instance [dB]."""
    problem = random_problem(
        [seed, antennas], antennas=antennas, clients=6, region=REGION, interferers=interferers
    )
    pool = POOLS[kind](ports)
    best = best_of_all(problem, pool)
    found = {
        "select": select(problem, pool, seed=seed),
        "choose": choose(problem, pool, seed=seed),
    }
    return {name: 10 * math.log10(best / one.worst_gain) for name, one in found.items()}


def cells(instances: int) -> Iterator[resumable.Cell]:
    """Yield every instance by its name."""
    for seed in range(instances):
        for (antennas, ports), kind, interferers in itertools.product(CASES, POOLS, (0, 2)):
            name = f"{antennas} of {ports}, {kind}, {interferers} interferers, {seed}"
            yield name, partial(losses, seed, antennas, ports, kind, interferers)


def summarise(document: dict[str, Any]) -> dict[str, Any]:
    """Return the spread of the losses, by case and together."""
    groups: dict[str, list[dict[str, float]]] = {}
    for name, cell in document["cells"].items():
        groups.setdefault(name.rpartition(", ")[0], []).append(cell)
    groups["all"] = list(document["cells"].values())
    return {
        name: {way: resumable.spread(c[way] for c in some) for way in ("select", "choose")}
        for name, some in groups.items()
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--instances", type=int, default=12)
    arguments = parser.parse_args()
    settings = {"cases": [list(c) for c in CASES], "region": list(REGION), "clients": 6}
    file = arguments.out / "ports.json"
    document = resumable.measure(file, settings, cells(arguments.instances))
    document["loss_db"] = summarise(document)
    resumable.write(file, document)
    for name, ways in document["loss_db"].items():
        print(name, {way: round(figures["median"], 4) for way, figures in ways.items()})


if __name__ == "__main__":
    main()
