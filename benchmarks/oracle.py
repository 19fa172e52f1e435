"""Plans by forecast against the best of a grid of plans that are run: docs/forecast.md.

    python benchmarks/oracle.py                      all cells that are missing, then the tables
    python benchmarks/oracle.py --scenarios 5        the first five scenarios only
    python benchmarks/oracle.py --only "paper-v1, as it is"
    python benchmarks/oracle.py --only "paper-v1, as it is" --again 4    so many more seeds
    python benchmarks/oracle.py --processes 2        two scenarios at a time, a process each
    python benchmarks/oracle.py --limit 600          begin no cell after so many s of a processor
    python benchmarks/oracle.py --own-model          the scenario's model, not the small one
    python benchmarks/oracle.py --few                a grid of four runs
    python benchmarks/oracle.py --reduced --results DIR   that of one tiny scenario: a test
    python benchmarks/oracle.py --write-docs         only the tables

A scenario is one of `BASES` with one of `VARIANTS` (benchmarks/oracle_cases.py) and a seed of its
own, without budgets, with the model of two layers of the regime map.  The target is 90 % of what
its pilot promises to gain in 30 error-free rounds.  The grid is all combinations of `GRID`.  What
changes what is learnt (batches, back-off, travel) is measured: one run to the target each, at most
60 rounds.  What only changes the books, the window of computing that sets the clocks, is booked:
batches and errors stay, time and energy of computing are those of the window, and what of the
antennas' way does not fit into it is added.  In the window that was run the books of every run
must be those of its metrics, or the script stops.

Against the least time and the least energy of the grid stand: the plan by predicted time and that
by predicted energy, the plan by the bound (30 rounds) and none: all samples, full power, the
highest clocks.  All run to the target on the same air and data, and none has a budget.  Planned by
time keeps the limits (`LIMITS` of benchmarks/oracle_tables.py) where its median over the scenarios
is not above the first and its worst not above the second; the same for energy.  A plan that is
refused or not there after 60 rounds counts as infinite; scenarios in which no plan of the grid
arrives are named and not counted.  The least of many measured plans is a lucky one, so even a
perfect forecast is above it.  The pilot's own time and energy are in no ratio, but shown beside.

Scenarios of which there are more seeds (`--again`) have a table of their own beside: a way to plan,
and each plan of the grid, by the means over their seeds, so the least is less a lucky one.

Each scenario has a file in benchmarks/results/oracle, which is written anew after each cell.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

import manual  # noqa: E402
import resumable  # noqa: E402
from airtune.engines import LocalEngine  # noqa: E402
from airtune.errors import InputError  # noqa: E402
from airtune.learning.learner import Learner  # noqa: E402
from airtune.learning.shared import SharedLearners  # noqa: E402
from airtune.learning.sizes import sizes_of  # noqa: E402
from airtune.planning import JointPlan, Repetition, plan_run  # noqa: E402
from airtune.rounds.federated import FederatedRun  # noqa: E402
from airtune.study.pilot import find_pilot  # noqa: E402
from oracle_cases import (  # noqa: E402
    BASE_SETTINGS,
    SCHEME,
    Case,
    cases,
    grid_name,
)
from oracle_tables import check_books, compared, write_docs  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "oracle"
PAGE = ROOT / "docs" / "forecast.md"


class Stage:
    """A case with its learner and its pilot, ready for runs."""

    def __init__(self, case: Case) -> None:
        self.case, self.learners = case, SharedLearners(most=1)
        scenario = case.scenario("planning.objective=time", "planning.rounds=planned")
        self.pilot = find_pilot(scenario, case.seed, self.learners)
        assert self.pilot is not None
        self.target = self.pilot.curve().target(*case.gain)
        self.most = scenario.training.rounds

    def opened(self, *more: str) -> tuple[Repetition, Learner]:
        """Return the repetition under more settings, and its learner."""
        scenario = self.case.scenario(f"planning.target_loss={self.target!r}", *more)
        learner = self.learners(scenario, self.case.seed)
        sizes, pilot = sizes_of(learner), self.pilot
        return Repetition(scenario, self.case.seed, sizes, pilot=pilot), learner

    def by(self, objective: str) -> dict[str, Any]:
        """Run the plan of least time, least energy or least bound."""
        rounds = "planned"
        if objective == "bound":  # says nothing of the rounds: given
            rounds = "fixed"
        repetition, learner = self.opened(
            f"planning.objective={objective}",
            f"planning.rounds={rounds}",
            *(
                (f"training.rounds={min(self.case.gain[1], self.most)}",)
                if rounds == "fixed"
                else ()
            ),
        )
        began = time.process_time()
        try:
            joint = plan_run(repetition, SCHEME)
        except InputError as problem:  # a forecast of *never*, say
            return {"refused": str(problem)}
        planning = time.process_time() - began
        forecast = joint.plan.forecast
        return self.run(repetition, learner, joint) | {
            "planning_cpu_s": planning,
            "batches": joint.plan.batch_sizes.tolist(),
            "backoff": joint.plan.power_backoff,
            "predicted_rounds": None if forecast is None else forecast.rounds,
            "predicted_time_s": None if forecast is None else forecast.time_s,
            "predicted_energy_j": None if forecast is None else forecast.energy_j,
        }

    def of_grid(self, shares: Sequence[float]) -> dict[str, Any]:
        """Run a plan of the grid at the highest clocks."""
        share, backoff, way = shares
        # Of the plan only what has no choice is left, so it must not be one that can be refused.
        repetition, learner = self.opened("planning.objective=bound", "planning.rounds=fixed")
        joint = plan_run(repetition, SCHEME)
        clients = repetition.inputs.clients
        plan = replace(
            joint.plan,
            batch_sizes=np.maximum(1, np.floor(share * clients.batch_max + 1e-9)).astype(int),
            frequencies=np.array(clients.f_max, float),
            power_backoff=backoff,
        )
        longest = repetition.scenario.placement.max_travel
        assert longest is not None  # as in all of `BASES`
        expected = replace(joint.expected, max_travel=way * longest, price_db=0.0)
        return self.run(repetition, learner, replace(joint, plan=plan, expected=expected))

    def run(self, repetition: Repetition, learner: Learner, joint: JointPlan) -> dict[str, Any]:
        """Run a plan to the target; what each round took, by what the window changes."""
        run = FederatedRun(repetition, SCHEME, LocalEngine.over(learner), joint)
        losses, rows, totals = [run.first_metrics()["loss"]], list[list[float]](), [[0.0, 0.0]]
        while run.state.round < self.most:
            line = run.run_round()
            losses.append(line["loss"])
            latency, energy = line["round_latency_s"], line["round_energy_j"]
            others = sum(latency.values()) - latency["compute"] - latency["movement"]
            rows.append([others, line["move_s"], sum(energy.values()) - energy["compute"]])
            totals.append([line["time_s"], line["energy_j"]])
            if losses[-1] is None or losses[-1] <= self.target:
                break
        clients, plan = repetition.inputs.clients, joint.plan
        sizes = plan.batch_sizes.astype(float)
        window = float(np.max(clients.cycles * sizes / plan.frequencies))
        energy_j = float(np.sum(clients.kappa * clients.cycles * sizes * plan.frequencies**2))
        found: dict[str, Any] = {
            "losses": losses,
            "rounds": np.array(rows).T.tolist(),
            "window_s": window,
            "compute_j": energy_j,
            "overlap": repetition.scenario.planning.overlap,
            "clients": {
                "batches": sizes.tolist(),
                "cycles": np.broadcast_to(clients.cycles, sizes.shape).tolist(),
                "f_min": np.broadcast_to(clients.f_min, sizes.shape).tolist(),
                "kappa": float(np.max(clients.kappa)),
            },
        }
        check_books(found, self.target, np.array(totals))
        return found


def measure(case: Case, folder: Path, limit_s: float) -> None:
    """Run the cells of a case that its file lacks, and write it after each."""
    file, began = case.file(folder), time.process_time()
    settings = {
        "base": case.base,
        "settings": [*BASE_SETTINGS, *case.settings],
        "seed": case.seed,
        "gain": list(case.gain),
    }
    document: dict[str, Any] = {"settings": settings, "cells": {}, "cpu_s": 0.0}
    if file.exists():
        before = json.loads(file.read_text())
        document = before if before["settings"] == settings else document
    spent = document["cpu_s"]
    wanted = [("plan; " + name, name) for name in ("time", "energy", "bound")]
    todo: list[tuple[str, Any]] = [*wanted, *((grid_name(s), s) for s in case.grid.runs())]
    todo = [(name, what) for name, what in todo if name not in document["cells"]]
    stage = Stage(case) if todo and limit_s > 0 else None
    for name, what in todo:
        if stage is None or time.process_time() - began > limit_s:
            return
        document["target"] = stage.target
        document["pilot"] = {"time_s": stage.pilot.time_s, "energy_j": stage.pilot.energy_j}
        one = stage.by(what) if isinstance(what, str) else stage.of_grid(what)
        document["cells"][name] = one
        document["cpu_s"] = spent + time.process_time() - began
        document["machine"] = resumable.machine()
        document["compared"] = compared(case, document)
        resumable.write(file, document)
        said = one.get("refused") or f"{len(one['losses']) - 1} rounds"
        print(f"{case.name}: {name}: {said}", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scenarios", type=int, default=None, metavar="N")
    parser.add_argument("--only", default=None, metavar="NAME")
    parser.add_argument("--processes", type=int, default=1, metavar="N")
    parser.add_argument("--limit", type=float, default=math.inf, metavar="S")
    parser.add_argument("--own-model", action="store_true")
    parser.add_argument("--few", action="store_true")
    parser.add_argument("--reduced", action="store_true")
    parser.add_argument("--results", type=Path, default=None)
    parser.add_argument("--again", type=int, default=0, metavar="N")
    parser.add_argument("--write-docs", action="store_true")
    given = parser.parse_args(argv)
    name = RESULTS.name + ("-own" if given.own_model else "") + ("-few" if given.few else "")
    folder = given.results or RESULTS.with_name(name)
    kind = {"own_model": given.own_model, "few": given.few, "reduced": given.reduced}
    every = cases(**kind)
    chosen = [c for c in every if given.only in (None, c.name)][: given.scenarios]
    more = [cases(again=index + 1, **kind) for index in range(given.again)]
    chosen += [
        c for repetition in more for c in repetition if c.name in {one.name for one in chosen}
    ]
    if not given.write_docs and given.processes > 1:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(given.processes, mp_context=context) as pool:
            jobs = [pool.submit(measure, case, folder, given.limit) for case in chosen]
        for job in jobs:  # each has been done, whatever another came to
            job.result()
    elif not given.write_docs:
        for case in chosen:
            measure(case, folder, given.limit - time.process_time())
    text = write_docs(every, folder)
    if text and folder == RESULTS:
        manual.put(PAGE, "plans against a grid", text)
    elif text:
        print(text)


if __name__ == "__main__":
    main()
