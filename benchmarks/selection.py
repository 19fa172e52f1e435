"""What the selection policies do: error, bias, fairness and loss with 4 of 20 clients a round.

A learner with a known answer (client k minimises |theta - c_k|^2 / 2) stands in the place of the
language model, so that the radio and the policies decide.  Writes
benchmarks/results/selection.json and the table of docs/selection.md; a minute or two.  Run from
the repository with the package installed:

    OMP_NUM_THREADS=1 python benchmarks/selection.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import manual

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from airtune import record  # noqa: E402
from airtune.record import Cell, names  # noqa: E402
from airtune.rounds import cell_io  # noqa: E402
from airtune.scenario import Scenario  # noqa: E402
from airtune.study.statistics import jain_index  # noqa: E402
from quadratic import QuadraticLearner, run_with  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "selection.json"
MANUAL = ROOT / "docs" / "selection.md"
COUNT, LIMIT, ROUNDS, SEEDS = 20, 4, 30, 3
SCHEMES = ("ideal", "movable", "fixed")
POLICIES: dict[str, dict[str, Any]] = {
    "all": {"concurrency": None},
    "random": {},
    "random, unbiased": {"selection": "random", "unbiased": True},
    "best-channel": {},
    "proportional-fair": {},
    "joint": {},
}


def scenario_of(policy: str) -> Scenario:
    """20 clients at -10 dBm within 500 m, 8 dB of shadowing, two interferers, 4 antennas."""
    clients = {
        "count": COUNT,
        "concurrency": LIMIT,
        "selection": policy,
        "tx_power_dbm": -10.0,
        **POLICIES[policy],
    }
    return Scenario.model_validate(
        {
            "clients": clients,
            "placement": {"mode": "fast"},
            "training": {
                "rounds": ROUNDS,
                "server_optimizer": "sgd",
                "learning_rate": 0.1,
                "batch_size_max": 8,
            },
        }
    )


def cell_of(policy: str, scheme: str, seed: int, folder: Path) -> dict[str, float]:
    """Run one scheme under one policy; return what the table shows of it."""
    scenario = scenario_of(policy)
    learner = QuadraticLearner(scenario, seed)
    cell = Cell(folder / policy / scheme / names.seed_folder(seed), scheme, seed)
    run = run_with(scenario, scheme, seed, learner)
    cell_io.execute(run, cell, lambda line: None)
    lines = record.read_metrics(cell)
    start, end = lines[0]["loss"] - 1.0, lines[-1]["loss"] - 1.0
    errors = [line["mse"] for line in lines[1:] if line["mse"] is not None]
    return {
        "mse_db": 10 * float(np.log10(np.mean(errors))) if errors else float("nan"),
        "gap_left": end / start,
        "bias": float(np.mean([line["bias"] for line in lines[1:]])),
        "transmitted": float(np.mean([line["transmitted"] for line in lines[1:]])),
        "fairness": jain_index(run.state.participation),
    }


def measure() -> dict[str, Any]:
    """Return the medians over the seeds of every policy and scheme."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for policy in POLICIES:
            found[policy] = {}
            for scheme in SCHEMES:
                cells = [cell_of(policy, scheme, seed, Path(folder)) for seed in range(SEEDS)]
                medians = {name: float(np.median([c[name] for c in cells])) for name in cells[0]}
                found[policy][scheme] = {
                    name: value if np.isfinite(value) else None for name, value in medians.items()
                }
                print(policy, scheme, found[policy][scheme], flush=True)
    return found


def table(found: dict[str, Any]) -> str:
    """Return the table of the manual."""
    head = ["policy", "clients a round", "fairness", "bias of the bound / zeta^2"]
    head += ["error, movable / fixed", "gap left: ideal / movable / fixed"]
    rows = []
    for policy, schemes in found.items():
        movable = schemes["movable"]
        errors = " / ".join(f"{schemes[s]['mse_db']:.1f} dB" for s in ("movable", "fixed"))
        gaps = " / ".join(f"{100 * schemes[s]['gap_left']:.1f} %" for s in SCHEMES)
        rows.append(
            [
                policy,
                f"{movable['transmitted']:.1f}",
                f"{movable['fairness']:.2f}",
                f"{movable['bias']:.2f}",
                errors,
                gaps,
            ]
        )
    return "\n".join(manual.table(head, rows, None))


def main() -> None:
    """Measure, write the result and put the table into the manual."""
    found = measure()
    record.write_json(
        RESULT,
        {
            "clients": COUNT,
            "transmit": LIMIT,
            "rounds": ROUNDS,
            "seeds": SEEDS,
            "medians": found,
            "environment": record.environment(scenario_of("random")),
        },
    )
    manual.put(MANUAL, "study", table(found))


if __name__ == "__main__":
    main()
