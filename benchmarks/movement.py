"""Movement policies side by side, error against the travel limit, and times of the placement modes.

    python benchmarks/movement.py [--out FOLDER] [--seeds N] [--first SEED] [--only modes]
    python benchmarks/movement.py --table        # that of docs/planning.md from the committed cells

Rounds of the radio alone, no model is trained: in each the antennas go where the policy says, by
the plan of the repetition, and the forecast of the aligned sum, the joules of the drives and the
time of the way are booked.  `rounds_factor` is what the law of the predicted loss has the errors
cost.
Every cell is one policy, limit or mode of one seed; goes on where it was stopped; writes
movement.json, and of the modes movement_modes.json.  The cell of a mode measures plain placements,
from scratch and from the places of a round ago, in turn with its own: the ratios are of one process
and one time, on a busy machine too.  Cells of the placement for many blocks give it fewer of them,
and tell its mean error over others than those which it has seen.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import manual
import resumable
from airtune.bound.forecast import RULES_CHI, slowdown
from airtune.kinds import Real
from airtune.placement import Problem, mean_error, solve
from airtune.placement.blocks import Blocks
from airtune.planning import Repetition, plan_run
from airtune.planning.draws import drawn_blocks
from airtune.planning.replan import CurrentPlan
from airtune.rounds import places
from airtune.scenario import Scenario
from airtune.scenario.file import load
from airtune.schemes import Forecast, Link, Travel

ROOT = Path(__file__).parents[1]
POLICIES = ("each-round", "when-needed", "once", "priced", "statistical")
DOPPLERS = (0.05, 0.2)
DRIVES = ("actuator", "stepper")
LIMITS = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, None)
MODES = {
    "plain": ("placement.max_travel=null",),
    "pixel": ("placement.max_travel=null", "array.drive=pixel"),
    "limited": ("placement.max_travel=0.5",),
    "limited on pixels": ("placement.max_travel=0.5", "array.drive=pixel"),
    "priced": ("placement.max_travel=null", "placement.travel_price_db=1"),
    "priced, 8 dB": ("placement.max_travel=null", "placement.travel_price_db=8"),
    "statistical": ("placement.max_travel=null",),
}
PLACED = range(2, 8)
"""Rounds in which the modes place."""
ANTENNAS = (4, 8)
DRAWS = (4, 8, 16)
"""Blocks for which places are chosen."""
DRAWN = PLACED[:2]
"""Rounds after which they are drawn."""
JUDGES = 64
"""Blocks that tell how good the places are."""
REPEATED = 3
"""Measurements of a time, of which the median counts."""
ROUNDS = 20


def moving(doppler_hz: float, *overrides: str) -> Scenario:
    """Return the scenario `paper-v1` at a Doppler shift, with a plan and a budget of its own.

    The scenario's 12 s are too short for slow drives that go far.
    """
    own = ("plan=own", "budget.latency_s=24", f"radio.paths.doppler_hz={doppler_hz}")
    changes = (*own, *overrides)
    return load("paper-v1", changes)


def radio_rounds(scenario: Scenario, seed: int, rounds: int) -> dict[str, float]:
    """Return the means over rounds of the radio alone."""
    repetition = Repetition.open(scenario, seed)
    began = time.thread_time()
    joint = plan_run(repetition, "movable")
    planned_s = time.thread_time() - began
    current, scheme = CurrentPlan.first(repetition, joint), repetition.scheme("movable")
    positions, placed_error = scheme.array.start(), None
    weights = repetition.weights(joint.plan.participants)
    errors, ways, spent = [], [], []

    def forecast(link: Link) -> Forecast:
        return scheme.air.forecast(link, weights, repetition.matrix_sizes)

    for index in range(1, rounds + 1):
        radio = repetition.radio(index)
        standing = places.Standing(
            repetition, scheme, current, index - 1, positions, weights, placed_error
        )
        began = time.thread_time()
        aim = places.target(standing, radio, forecast)
        spent.append(time.thread_time() - began)
        way = repetition.movement(scheme.array, positions, aim.positions)
        positions, placed_error = way.positions, aim.placed_error
        ways.append(way)
        errors.append(forecast(scheme.array.link(radio, weights, positions)).mse)
    later = ways[1:]
    return {
        "mse_db": 10 * float(np.log10(np.mean(errors))),
        "median_mse_db": 10 * float(np.log10(np.median(errors))),
        "rounds_factor": float(np.mean(slowdown(errors, RULES_CHI))),
        "drive_j": float(np.mean([way.energy_j for way in ways])),
        "later_drive_j": float(np.mean([way.energy_j for way in later])),
        "way_s": float(np.mean([way.time_s for way in ways])),
        "moves": float(np.mean([way.time_s > 0 for way in ways])),
        "price_db": float(joint.expected.price_db),
        "plan_cpu_s": planned_s,
        "place_cpu_ms": 1e3 * float(np.mean(spent)),
    }


def placement_times(mode: str, antennas: int, seed: int) -> dict[str, float]:
    """Return CPU times [ms] and errors of placements of a mode, from the places of a round ago.

    `scratch_ms` and `warm_ms` are those of plain placements in the same rounds, without present
    places and with them.
    """
    scenario = moving(0.2, *MODES[mode], f"array.antennas={antennas}")
    repetition = Repetition.open(scenario, seed)
    array, weights = repetition.scheme("movable").array, repetition.omega
    before = array.place(repetition.radio(1), weights, array.start(), Travel(None, 0.0))
    drawn = {i: drawn_blocks(repetition, i, "places") for i in PLACED if mode == "statistical"}

    def plain(index: int, start: Real | None) -> Real:
        problem = repetition.radio(index).chosen_for(weights)
        return solve(problem, mode=array.placement.mode, start=start).positions

    def place(index: int) -> Real:
        if index in drawn:
            return array.place_average(drawn[index], weights, before)
        return array.place(repetition.radio(index), weights, before)

    jobs = {
        "cpu_ms": place,
        "scratch_ms": partial(plain, start=None),
        "warm_ms": partial(plain, start=before),
    }
    for job in jobs.values():
        job(PLACED[0])  # machine code is read
    times: dict[str, list[float]] = {name: [] for name in jobs}
    errors = []
    for index in PLACED:
        for name, job in jobs.items():
            began = time.thread_time()
            positions = job(index)
            times[name].append(1e3 * (time.thread_time() - began))
            if name == "cpu_ms":
                link = repetition.radio(index).at(positions)
                errors.append(1 / link.best_beamformer(weights).worst_gain)
    medians = {name: float(np.median(some)) for name, some in times.items()}
    return {
        **medians,
        "worst_cpu_ms": max(times["cpu_ms"]),
        "over_scratch": medians["cpu_ms"] / medians["scratch_ms"],
        "over_warm": medians["cpu_ms"] / medians["warm_ms"],
        "mse_db": 10 * float(np.log10(np.mean(errors))),
    }


def block_times(antennas: int, seed: int) -> dict[str, float]:
    """Return CPU times [ms] of placements for many blocks, and their errors over other blocks.

    `chosen_db` is the mean error over the blocks for which places were chosen, `mse_db` that over
    :data:`JUDGES` others; `look_ms` the time of one look at all blocks: errors and gradient.
    """
    runs = {
        draws: Repetition.open(
            moving(
                0.2, *MODES["statistical"], f"array.antennas={antennas}", f"planning.draws={draws}"
            ),
            seed,
        )
        for draws in (*DRAWS, JUDGES)
    }
    array, weights = runs[JUDGES].scheme("movable").array, runs[JUDGES].omega
    found: dict[str, list[float]] = {}
    for index in DRAWN:
        others = [one.problem(weights) for one in drawn_blocks(runs[JUDGES], index, "judges")]
        plain = runs[JUDGES].radio(index).chosen_for(weights)
        for draws in DRAWS:
            radios = drawn_blocks(runs[draws], index, "places")
            own = [one.problem(weights) for one in radios]
            if draws == DRAWS[0]:
                array.place_average(radios, weights, array.start())  # machine code is read
                solve(plain, mode=array.placement.mode)
            times = []
            for _ in range(REPEATED):
                began = time.thread_time()
                places = array.place_average(radios, weights, array.start())
                middle = time.thread_time()
                solve(plain, mode=array.placement.mode)
                times.append((middle - began, time.thread_time() - middle))
            spent, scratch = np.median(times, axis=0)
            some = {
                "cpu_ms": 1e3 * spent,
                "over_scratch": spent / scratch,
                "look_ms": 1e3 * _look(own, places),
                "chosen_db": _db(mean_error(own, places).mean),
                "mse_db": _db(mean_error(others, places).mean),
            }
            for key, value in some.items():
                found.setdefault(f"{key}, {draws}", []).append(float(value))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _look(problems: list[Problem], places: Real) -> float:
    """Return the least time of a look at all blocks, with beamformers from nearby  [s]."""
    blocks = Blocks(problems, places, None, 0.0, 0)
    state, times = blocks.aimed(places), []
    for step in (0.01, 0.02, 0.03, 0.04):
        began = time.thread_time()
        blocks.looked(state, places + step / np.sqrt(2), np.inf)
        times.append(time.thread_time() - began)
    return min(times)


def _db(value: float) -> float:
    return 10 * float(np.log10(value))


def mode_cells(seeds: range) -> Iterator[resumable.Cell]:
    """Yield the cells of the placement modes, and of the numbers of blocks, by their names."""
    for seed, antennas in itertools.product(seeds, ANTENNAS):
        for mode in MODES:
            work = partial(placement_times, mode, antennas, seed)
            yield f"mode {mode}, {antennas} antennas, {seed}", work
        yield f"blocks, {antennas} antennas, {seed}", partial(block_times, antennas, seed)


def cells(seeds: range) -> Iterator[resumable.Cell]:
    """Yield the cells of policies and limits by their names."""
    for seed in seeds:
        for drive, doppler, policy in itertools.product(DRIVES, DOPPLERS, POLICIES):
            scenario = moving(doppler, f"planning.movement={policy}", f"array.drive={drive}")
            name = f"policy {policy}, {drive}, {doppler:g} Hz, {seed}"
            yield name, partial(radio_rounds, scenario, seed, ROUNDS)
        for doppler, limit in itertools.product(DOPPLERS, LIMITS):
            most = "null" if limit is None else max(limit, 1e-9)
            always = "planning.movement=each-round"
            scenario = moving(doppler, always, f"placement.max_travel={most}")
            name = f"limit {limit}, {doppler:g} Hz, {seed}"
            yield name, partial(radio_rounds, scenario, seed, ROUNDS // 2)


def summarise(document: dict[str, Any]) -> dict[str, Any]:
    """Return medians over whole seeds."""
    groups = resumable.by_case(document["cells"])
    return {
        name: {key: float(np.median([cell[key] for cell in some])) for key in some[0]}
        for name, some in groups.items()
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--seeds", type=int, default=4, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--only", choices=["modes"], help="times of the placement modes alone")
    parser.add_argument("--table", action="store_true", help="write that of the manual only")
    arguments = parser.parse_args()
    if arguments.table:
        manual.put(ROOT / "docs" / "planning.md", "movement", page(arguments.out))
        return
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    measure(
        arguments.out / "movement_modes.json",
        {"scenario": "paper-v1", "placed": len(PLACED), "judges": JUDGES},
        mode_cells(seeds),
    )
    if arguments.only is None:
        settings = {"scenario": "paper-v1", "rounds": ROUNDS}
        measure(arguments.out / "movement.json", settings, cells(seeds))


def measure(file: Path, settings: dict[str, Any], some: Iterator[resumable.Cell]) -> None:
    """Measure cells, write them with their medians and print these."""
    document = resumable.measure(file, settings, some)
    document["medians"] = summarise(document)
    resumable.write(file, document)
    for name, row in document["medians"].items():
        print(name, {key: round(value, 3) for key, value in row.items()})


def page(folder: Path) -> str:
    """Return the tables of the manual."""
    rounds, modes = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("movement", "movement_modes")
    )
    medians, cases = rounds["medians"], list(itertools.product(DRIVES, DOPPLERS))
    policies = [
        [f"`{policy}`", *(_policy(medians[f"policy {policy}, {d}, {f:g} Hz"]) for d, f in cases)]
        for policy in POLICIES
    ]
    limits = [
        [
            "none" if limit is None else f"{limit:g}",
            *(f"{medians[f'limit {limit}, {f:g} Hz']['mse_db']:.1f}" for f in DOPPLERS),
        ]
        for limit in LIMITS
    ]
    times = [
        [
            mode,
            *(
                f"{row[key]:{form}}"
                for n in ANTENNAS
                for row in [modes["medians"][f"mode {mode}, {n} antennas"]]
                for key, form in (("cpu_ms", ".0f"), ("over_scratch", ".2f"), ("over_warm", ".1f"))
            ),
        ]
        for mode in MODES
    ]
    drawn = [
        [
            f"{draws}",
            *(
                f"{row[f'{key}, {draws}']:{form}}"
                for n in ANTENNAS
                for row in [modes["medians"][f"blocks, {n} antennas"]]
                for key, form in (
                    ("cpu_ms", ".0f"),
                    ("over_scratch", ".2f"),
                    ("look_ms", ".2f"),
                    ("chosen_db", ".1f"),
                    ("mse_db", ".1f"),
                )
            ),
        ]
        for draws in DRAWS
    ]
    hertz = [f"Doppler {f:g} Hz" for f in DOPPLERS]
    lines = [
        *manual.table(["policy", *(f"{d}, Doppler {f:g} Hz" for d, f in cases)], policies, None),
        "",
        *manual.table(["limit [wavelengths]", *(f"error [dB], {f}" for f in hertz)], limits),
        "",
        *manual.table(
            [
                "placement",
                *(
                    f"{what}, N = {n}"
                    for n in ANTENNAS
                    for what in ("ms", "of one from scratch", "of one from present places")
                ),
            ],
            times,
        ),
        "",
        *manual.table(
            [
                "blocks",
                *(
                    f"{what}, N = {n}"
                    for n in ANTENNAS
                    for what in (
                        "ms",
                        "of one from scratch",
                        "ms of a look",
                        "error [dB]",
                        f"error over {modes['settings']['judges']} others [dB]",
                    )
                ),
            ],
            drawn,
        ),
        "",
        f"Medians over {len(_seeds(rounds))} seeds of the tables of errors, over "
        f"{len(_seeds(modes))} of that of times.",
    ]
    return "\n".join(lines)


def _policy(row: dict[str, float]) -> str:
    return f"{row['mse_db']:.1f} dB, {row['drive_j']:.2g} J, {1e3 * row['way_s']:.0f} ms"


def _seeds(document: dict[str, Any]) -> set[str]:
    return {name.rsplit(", ", 1)[1] for name in document["cells"]}


if __name__ == "__main__":
    main()
