"""What measuring where the antennas stand brings where the paths are believed wrongly.

    python benchmarks/csi.py [--out FOLDER] [--seeds N]
    python benchmarks/csi.py --table             # that of docs/schemes.md from the committed cells

Rounds of the radio alone, no model is trained.  Antennas are placed by believed paths with errors
of gains and angles; beamformer and powers follow the believed paths (`paths`), channels measured at
the antennas (`measured`; a surface's also before its phases are chosen), or are measured after one
or two steps to better places nearby (`refined 1`, `refined 2`).  The error is that of uniform
forcing over the true air, noise and misalignment; `exact` knows the paths.  Every cell is one
scheme of one seed; goes on where it was stopped; writes csi.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import manual
import resumable
from airtune.kinds import Real
from airtune.planning import Repetition, plan_run
from airtune.planning.replan import CurrentPlan
from airtune.radio.power_control import misalignment
from airtune.rounds import places
from airtune.scenario import Scenario
from airtune.scenario.file import load
from airtune.schemes import Forecast, Link
from airtune.schemes.air.analog import forced, noise_after

ROOT = Path(__file__).parents[1]
SCENARIOS = ("paper-v1", "dense-cell")
LEVELS = {"5 %, 0.2 degrees": (0.05, 0.2), "10 %, 0.5 degrees": (0.1, 0.5)}
WAYS: dict[str, tuple[str, ...]] = {
    "exact": (),
    "paths": (),
    "measured": ("radio.csi.beamformer=measured",),
    "refined 1": ("radio.csi.beamformer=measured", "placement.refinements=1"),
    "refined 2": ("radio.csi.beamformer=measured", "placement.refinements=2"),
}
SCHEMES = ("movable", "selection", "fixed", "ris")
ROUNDS = 8


def scenario_of(name: str, level: tuple[float, float], way: str) -> Scenario:
    """Return a shipped scenario with errors, each scheme by its own plan; latency is no limit."""
    gain, angle = (0.0, 0.0) if way == "exact" else level
    errors = (f"radio.csi.gain_error={gain}", f"radio.csi.angle_error_deg={angle}")
    return load(name, ("plan=own", "budget.latency_s=null", *errors, *WAYS[way]))


def true_error(link: Link, weights: Real) -> float:
    """Return the error over the true air of uniform forcing as the server chooses it."""
    clients = np.flatnonzero(weights > 0)
    sent = forced(link, clients, weights[clients], 1.0)
    air = link.true.of(clients)
    missed = misalignment(air.channel, sent, weights[clients])
    return noise_after(sent.beamformer, air) + float(np.sum(np.abs(missed) ** 2))


def radio_rounds(scenario: Scenario, name: str, seed: int) -> dict[str, float]:
    """Return means over rounds of the radio alone of a scheme."""
    repetition = Repetition.open(scenario, seed)
    joint = plan_run(repetition, name)
    current, scheme = CurrentPlan.first(repetition, joint), repetition.scheme(name)
    weights = repetition.weights(joint.plan.participants)
    clients, positions = np.flatnonzero(weights > 0), scheme.array.start()
    errors, ways = [], []

    def forecast(link: Link) -> Forecast:
        return scheme.air.forecast(link, weights, repetition.matrix_sizes)

    for index in range(1, ROUNDS + 1):
        now = places.Standing(repetition, scheme, current, index - 1, positions, weights)
        radio = repetition.radio(index)
        there = places.arrive(now, radio, forecast, clients, lambda moved: None)
        positions = there.moved.positions
        ways.append(there.moved)
        errors.append(true_error(there.link, weights))
    signalling = repetition.signalling(scheme.array, clients)
    pilots = signalling.soundings * scenario.radio.pilot_symbols_per_client * len(clients)
    return {
        "mse_db": 10 * float(np.log10(np.mean(errors))),
        "median_mse_db": 10 * float(np.log10(np.median(errors))),
        "worst_mse_db": 10 * float(np.log10(np.max(errors))),
        "drive_j": float(np.mean([way.energy_j for way in ways])),
        "way_s": float(np.mean([way.time_s for way in ways])),
        "pilot_symbols": float(pilots + signalling.silent_symbols),
    }


def cells(seeds: int) -> Iterator[resumable.Cell]:
    """Yield every cell by its name; steps of refinement are for antennas that move."""
    for seed in range(1, seeds + 1):
        for where, scheme in itertools.product(SCENARIOS, SCHEMES):
            exact = scenario_of(where, (0.0, 0.0), "exact")
            yield f"{where}, {scheme}, exact, {seed}", partial(radio_rounds, exact, scheme, seed)
            for (level, errors), way in itertools.product(LEVELS.items(), WAYS):
                if way == "exact" or (way.startswith("refined") and scheme != "movable"):
                    continue
                scenario = scenario_of(where, errors, way)
                name = f"{where}, {scheme}, {way} at {level}, {seed}"
                yield name, partial(radio_rounds, scenario, scheme, seed)


def summarise(document: dict[str, Any]) -> dict[str, Any]:
    """Return medians over the seeds that are whole."""
    groups = resumable.by_case(document["cells"])
    return {
        name: {key: float(np.median([cell[key] for cell in some])) for key in some[0]}
        for name, some in groups.items()
    }


def table(document: dict[str, Any]) -> str:
    """Return the table of the manual: medians over the seeds."""
    known = document["medians"]
    levels = [f"{way} at {level}" for level in LEVELS for way in list(WAYS)[1:]]
    rows = []
    for where, scheme in itertools.product(SCENARIOS, SCHEMES):
        found = [known.get(f"{where}, {scheme}, {way}") for way in ("exact", *levels)]
        if not any(found):  # not measured yet
            continue
        rows.append([where, f"`{scheme}`", *map(_shown, found)])
    heads = [way.replace("paths at", "believed paths,").replace(" at ", ", ") for way in levels]
    return "\n".join(manual.table(["scenario", "scheme", "exact", *heads], rows, 2))


def _shown(row: dict[str, float] | None) -> str:
    return "" if row is None else f"{row['median_mse_db']:.1f} ({row['mse_db']:.1f})"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="docs/schemes.md from the results")
    arguments = parser.parse_args()
    if arguments.table:
        document = json.loads((arguments.out / "csi.json").read_text(encoding="utf-8"))
        manual.put(ROOT / "docs" / "schemes.md", "csi", f"\n{table(document)}\n")
        return
    settings = {"scenarios": list(SCENARIOS), "rounds": ROUNDS, "placement": "default"}
    file = arguments.out / "csi.json"
    document = resumable.measure(file, settings, cells(arguments.seeds))
    document["medians"] = summarise(document)
    resumable.write(file, document)
    for name, row in document["medians"].items():
        print(name, {key: round(value, 3) for key, value in row.items()})


if __name__ == "__main__":
    main()
