"""Each fault at two strengths on the quickstart: rounds and time to target, loss, clients, bias.

    python benchmarks/faults.py              # all cells that are missing; goes on where it stopped
    python benchmarks/faults.py --list       # the cells, and which are there
    python benchmarks/faults.py --only phase --minutes 20
    python benchmarks/faults.py --processes 2    # cells side by side, one thread each
    python benchmarks/faults.py --table      # docs/faults.md from the committed results
    python benchmarks/faults.py --reduced    # every fault on tiny settings; nothing is kept

A cell is one scheme under one fault at one strength; it is written to
benchmarks/results/faults.json as soon as it is done.  The target is that of the error-free scheme
without faults.

The strengths were set before any outcome was seen: 10 and 30 % where the fault has a share, else a
value of good hardware and one of bad hardware, or one and two antennas of four.  They are not to be
changed after a look at the results.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import environments
import manual
from airtune import load_scenario, record
from airtune.errors import InfeasibleError
from airtune.learning.shared import SharedLearners
from airtune.record import Cell, names
from airtune.scenario import Scenario
from airtune.study import cells, histories, outcomes
from airtune.study.targets import MAIN

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "faults.json"
MANUAL = ROOT / "docs" / "faults.md"
SCHEMES = ("movable", "fixed", "selection", "digital")
REFERENCE = ("ideal", "none", "")
SHARES = ("10 %", "30 %")
ROUNDING = 1e-20
"""Biases below it are those of sums that are exact but for rounding."""
UNBOUNDED = "faults.poison.kind=label-noise"
"""A setting under which no bound can book a bias: the page says why."""
LONGER = {"†": ("budget.latency_s=24",), "‡": ("budget.latency_s=null",)}
"""Where a fault leaves no plan within the quickstart's 12 s: decided after that was seen."""


def _share(section: str, *more: str) -> dict[str, list[str]]:
    return {share: [f"faults.{section}.share={share.replace(' ', '')}", *more] for share in SHARES}


FAULTS: dict[str, dict[str, list[str]]] = {
    "dropout before the upload": _share("dropout"),
    "dropout during the upload": _share("dropout", "faults.dropout.when=during"),
    "dropout in bursts of 4 rounds": _share("dropout", "faults.dropout.burst_rounds=4"),
    "stragglers, left out at twice the time": _share("stragglers", "faults.stragglers.deadline=2"),
    "stragglers, waited for": _share("stragglers"),
    "stuck antennas": {f"{n} of 4": [f"faults.antennas.stuck={n}"] for n in (1, 2)},
    "dead antennas, known": {f"{n} of 4": [f"faults.antennas.dead={n}"] for n in (1, 2)},
    "dead antennas, not known": {
        f"{n} of 4": [f"faults.antennas.dead={n}", "faults.antennas.dead_known=false"]
        for n in (1, 2)
    },
    "position error": {f"{x} λ": [f"faults.antennas.position_error={x}"] for x in (0.01, 0.05)},
    "backlash": {f"{x} λ": [f"faults.antennas.backlash={x}"] for x in (0.02, 0.1)},
    "phase error": {f"{x}°": [f"faults.synchronisation.phase_deg={x}"] for x in (10, 30)},
    "timing error": {f"{x} symbols": [f"faults.synchronisation.timing={x}"] for x in (0.05, 0.15)},
    "clipping": {f"{x} dB": [f"faults.amplifier.clip_db={x}"] for x in (6, 0)},
    "jammer, not known": _share("jammer"),
    "jammer, known": _share("jammer", "faults.jammer.known=true"),
    "lost broadcast": _share("broadcast"),
    "wrong reports (12 dB)": _share("side_information"),
    "outdated channels": {
        share: [f"faults.side_information.csi_share={share.replace(' ', '')}"] for share in SHARES
    },
    "server restart": _share("restart"),
    "a weak client": {
        f"{x} dB down": [f"clients.tx_power_dbm={[0.0 - x] + [0.0] * 9}"] for x in (20, 40)
    },
    **{
        f"poisoned clients, {kind}": _share("poison", f"faults.poison.kind={kind}")
        for kind in ("sign-flip", "scaling", "random", "label-noise")
    },
}
"""Settings of each fault at its strengths; more faults are more entries."""

ON_DIGITAL = ("dropout during the upload", "clipping")
"""Faults that have a code of their own for packets: the reduced form runs both."""

TINY = [
    *("model.small.hidden=32", "model.small.layers=1", "model.small.heads=2"),
    *("model.small.intermediate=64", "model.lora.rank=2"),
    "training.rounds=2",
    "training.batch_size_max=2",
    "pretraining.steps=3",
    "evaluation.records=16",
    "evaluation.answers=1",
    "placement.mode=fast",
    "budget.latency_s=null",
]


@dataclass(frozen=True)
class Point:
    """A cell: scheme, fault, strength, and what sets the fault."""

    scheme: str
    fault: str
    strength: str
    settings: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return " | ".join((self.fault, self.strength, self.scheme))


def points(reduced: bool = False) -> Iterator[Point]:
    """Yield all cells, those without a fault first."""
    yield Point(*REFERENCE)
    for scheme in SCHEMES[:1] if reduced else SCHEMES:
        yield Point(scheme, "none", "")
    for fault, strengths in FAULTS.items():
        few = ("movable", "digital") if fault in ON_DIGITAL else ("movable",)
        for strength, settings in list(strengths.items())[-1 if reduced else 0 :]:
            for scheme in few if reduced else SCHEMES:
                yield Point(scheme, fault, strength, tuple(settings))


def scenario_of(point: Point, reduced: bool, cache: str, more: Sequence[str] = ()) -> Scenario:
    """Return the quickstart with a fault."""
    tiny = TINY if reduced else []
    answers = [] if reduced else ["evaluation.answers=0"]
    settings = [*tiny, *answers, *more, f"cache={cache}", *point.settings]
    return load_scenario("quickstart", settings)


def run(
    point: Point, scenario: Scenario, learners: SharedLearners, target: float | None
) -> dict[str, Any]:
    """Run a cell; return what is kept of it."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        cell = Cell(Path(folder) / point.scheme / names.seed_folder(0), point.scheme, 0)
        cells.run_cells(scenario, 0, [cell], learners)
        history = histories.read_cell(cell)
    if point.scheme == REFERENCE[0]:
        target = outcomes.target_loss(history.losses)
    figures = outcomes.cell_figures(history, {} if target is None else {MAIN: target})
    lines = history.rounds[1:]
    faults = figures.get("faults", {})
    everybody = scenario.clients.count
    whole = [len(set(line.clients or ()) - set(line.missing)) / everybody for line in lines]
    return {
        "settings": list(point.settings),
        "target_loss": target,
        **{
            name: figures[name]
            for name in (
                *("rounds_to_target", "time_to_target_s", "energy_to_target_j"),
                *("final_loss", "mse_db", "diverged", "rounds"),
            )
        },
        "time_s": lines[-1].time_s,
        "energy_j": lines[-1].energy_j,
        "participation": float(np.mean(whole)),
        "bias": float(np.mean([line.number("bias") or 0.0 for line in lines])),
        "faults": faults,
        "run_wall_s": time.perf_counter() - began,
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run the cells that are missing, each written at once."""
    document: dict[str, Any] = {"cells": {}} if given.reduced else read()
    document.setdefault("environments", [])
    began, there = time.perf_counter(), set(document["cells"])
    asked = [point for point in points(given.reduced) if wanted(point, given.only)]
    missing = [point for point in asked if point.key not in there]
    with tempfile.TemporaryDirectory() as scratch:
        cache = str(Path(scratch) / "cache") if given.reduced else ".cache/airtune"
        threads = ["threads=1"] if given.processes > 1 else []
        make = partial(measured, cache=cache, reduced=given.reduced, more=threads)
        if missing and missing[0].key == Point(*REFERENCE).key:
            _keep(document, make(missing.pop(0), target=None), given.reduced)
        target = document["cells"][Point(*REFERENCE).key]["target_loss"]
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(given.processes, mp_context=spawn) as pool:
            at_work: set[Future[Measured]] = set()
            while missing or at_work:
                late = given.minutes and time.perf_counter() - began > 60 * given.minutes
                if late:
                    missing.clear()
                while missing and len(at_work) < given.processes:
                    at_work.add(pool.submit(make, missing.pop(0), target=target))
                ended, at_work = wait(at_work, return_when=FIRST_COMPLETED)
                for one in ended:
                    _keep(document, one.result(), given.reduced)
    return document


Measured = tuple[Point, dict[str, Any], dict[str, Any]]


@lru_cache
def _learners() -> SharedLearners:
    """Return the learners that all cells of a process share."""
    return SharedLearners()


def measured(
    point: Point, cache: str, reduced: bool, more: list[str], target: float | None
) -> Measured:
    """Run a cell; return it, what is kept of it, and the environment."""
    for settings in ((), *LONGER.values()):
        tried = replace(point, settings=(*point.settings, *settings))
        scenario = scenario_of(tried, reduced, cache, more)
        try:
            return point, run(tried, scenario, _learners(), target), record.environment(scenario)
        except InfeasibleError:
            continue
    raise InfeasibleError(f"{point.key}: no plan without a budget of time either")


def _keep(document: dict[str, Any], ended: Measured, reduced: bool) -> None:
    point, entry, environment = ended
    document["cells"][point.key] = entry
    entry["environment"] = environments.number_of(environment, document["environments"])
    print(f"{point.key}: {entry['run_wall_s']:.0f} s, loss {entry['final_loss']}", flush=True)
    if not reduced:
        record.write_json(RESULTS, document)


def wanted(point: Point, only: str | None) -> bool:
    """Tell whether a cell is asked for; those without a fault always are."""
    return only is None or point.fault == "none" or only in point.fault


def read() -> dict[str, Any]:
    """Return the committed results."""
    if not RESULTS.exists():
        return {"cells": {}}
    document: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return document


def table(document: dict[str, Any]) -> str:
    """Return the table of the manual: one row a fault and strength, one column a scheme."""
    found = document["cells"]
    head = ["fault", "strength", *SCHEMES]
    rows = []
    for fault, strength in dict.fromkeys((p.fault, p.strength) for p in points()):
        entries = [found.get(Point(s, fault, strength).key) for s in SCHEMES]
        if any(entry is None for entry in entries):
            continue
        rows.append([fault, strength, *map(_shown, entries)])
    return "\n".join(manual.table(head, rows, 2))


def section(document: dict[str, Any]) -> str:
    """Return what the manual has of the results: a caption with their places, and the table."""
    caption = (
        "Rounds to target (and simulated time until then) / final loss / participation / bias of "
        "the bound, the last two as means over the rounds; - where there is a bias that "
        "[no bound can book](#what-the-bound-books). † With "
        "twice the latency budget, ‡ without one: within that of the "
        "quickstart there is no plan under this fault (decided after it was seen). "
        f"Measured on {environments.described(environments.listed(document))}."
    )
    return f"\n{caption}\n\n{table(document)}\n"


def _shown(entry: dict[str, Any]) -> str:
    figures = (_rounds(entry), _loss(entry), f"{100 * entry['participation']:.0f} %")
    marks = [mark for mark, more in LONGER.items() if set(more) <= set(entry.get("settings", ()))]
    bias = f"{entry['bias'] if entry['bias'] > ROUNDING else 0.0:.2g}"
    if UNBOUNDED in entry.get("settings", ()):
        bias = "-"
    return " ".join((" / ".join((*figures, bias)), *marks))


def _rounds(entry: dict[str, Any]) -> str:
    """Return the rounds to the target and the simulated time until then."""
    if entry["rounds_to_target"] is None:
        return "never"
    time_s = float(f"{entry['time_to_target_s']:.3g}")
    shown = f"{time_s:,.0f}" if time_s >= 100 else f"{time_s:g}"
    return f"{entry['rounds_to_target']} ({shown} s)"


def _loss(entry: dict[str, Any]) -> str:
    return "diverged" if entry["final_loss"] is None else f"{entry['final_loss']:.3f}"


def main() -> None:
    """Measure what is missing, or show what is there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--list", action="store_true", help="the cells, and which are there")
    parser.add_argument("--only", help="faults whose names hold this text")
    parser.add_argument("--minutes", type=float, help="begin no cell after so many minutes")
    parser.add_argument("--processes", type=int, default=1, help="cells side by side")
    parser.add_argument("--table", action="store_true", help="docs/faults.md from the results")
    parser.add_argument("--reduced", action="store_true", help="tiny settings; nothing is kept")
    given = parser.parse_args()
    if given.list:
        there = read()["cells"]
        for point in points():
            print("there  " if point.key in there else "missing", point.key)
        return
    document = read() if given.table else measure(given)
    if given.reduced:
        assert len(document["cells"]) == len(list(points(reduced=True)))
        print(f"{len(document['cells'])} cells")
        return
    manual.put(MANUAL, "faults", section(document))


if __name__ == "__main__":
    main()
