"""Loss curves of SmolLM2-135M for the forecast: error-free, and in the air of movable and fixed.

    python benchmarks/forecast_smollm2.py --model MODEL.gguf
    python benchmarks/forecast_study.py      # predicted over measured rounds, with these runs

MODEL as the scenario smollm2 says, whose data and air are used; every round is evaluated.  The
error-free run has 20 rounds; the target is 90 % of what it gained by the last, and the others end
there, or after 40.  A few cells, no study.  Several processes may run it at once.  Writes
benchmarks/results/forecast_smollm2.json, cell by cell.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from airtune import load_scenario  # noqa: E402
from airtune.engines import LocalEngine  # noqa: E402
from airtune.learning.shared import SharedLearners  # noqa: E402
from airtune.study.targets import target_loss  # noqa: E402
from campaigns import Campaign, Document, Task  # noqa: E402
from payload_map import rounds_of  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "forecast_smollm2.json"
SEEDS = (0, 1, 2)
GAIN_ROUNDS, MOST_ROUNDS, SHARE = 20, 40, 0.9
IDEAL = "ideal"
SCHEMES = (IDEAL, "movable", "fixed")
FACTS = {"settings": {"gain": SHARE, "gain_rounds": GAIN_ROUNDS, "most_rounds": MOST_ROUNDS}}


class Runs:
    """Runs of the model at hand, whose path is `model`."""

    def __init__(self, model: str) -> None:
        self.model, self.learners = model, SharedLearners(most=1)

    def run(self, scheme: str, seed: int, reference: Document | None) -> Document:
        """Return the losses and errors of a run; the reference has no target yet."""
        given = (
            *(f"model.source={self.model}", f"training.rounds={MOST_ROUNDS}", "threads=1"),
            *("evaluation.every=1", "evaluation.answers=0", "budget.latency_s=null"),
        )
        scenario = load_scenario("smollm2", given)
        engine = LocalEngine(self.learners)
        with closing(engine):
            sizes = engine.start(scenario, seed)
            target = None if reference is None else reference["target"]
            most = GAIN_ROUNDS if reference is None else MOST_ROUNDS
            lines = rounds_of(scenario, scheme, seed, engine, sizes, target, most)
        losses = [line["loss"] for line in lines]
        errors = [line["mse"] for line in lines[1:] if line.get("mse") is not None]
        if target is None:
            target = target_loss(losses, SHARE)
        return {"losses": losses, "target": target, "mse": errors}


def name_of(scheme: str, seed: int) -> str:
    """Return the key of a scheme and a seed."""
    return f"{scheme}; seed {seed}"


def tasks(runs: Runs) -> Iterator[Task]:
    """Yield the cells, seed by seed."""
    for seed in SEEDS:
        first = name_of(IDEAL, seed)
        for scheme in SCHEMES:

            def work(
                document: Document, scheme: str = scheme, seed: int = seed, first: str = first
            ) -> Document:
                return runs.run(scheme, seed, None if scheme == IDEAL else document["cells"][first])

            yield Task(name_of(scheme, seed), work, None if scheme == IDEAL else first)


def measured() -> dict[tuple[str, int], dict[str, Document]]:
    """Return the runs that are there, by point and seed and by scheme, as a study has them."""
    found: dict[tuple[str, int], dict[str, Document]] = {}
    for name, cell in Campaign(RESULT, FACTS).read()["cells"].items():
        scheme, _, seed = name.partition("; seed ")
        history = {"loss": cell["losses"], "mse": cell["mse"]}
        found.setdefault(("smollm2", int(seed)), {})[scheme] = {"history": history}
    return found


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="weights of the scenario smollm2")
    parser.add_argument("--seconds", type=float, help="begin no cell after so many seconds")
    given = parser.parse_args()
    until = None if given.seconds is None else time.time() + given.seconds
    Campaign(RESULT, FACTS).run(tasks(Runs(given.model)), until)


if __name__ == "__main__":
    main()
