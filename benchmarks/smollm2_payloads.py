"""Payloads and codings on SmolLM2-135M-Instruct with records in Alpaca's format.

    python benchmarks/smollm2_payloads.py --model MODEL.gguf --data alpaca.jsonl
    python benchmarks/smollm2_payloads.py --table    # the table of the manual only

MODEL as the scenario smollm2 says; the file with the data is yours (the sample that the committed
figures come from is the demo set of LLaMA-Factory, CC BY-NC 4.0, which is not shipped).  Ten
clients with two records a round of at most 64 tokens, drawn evenly, Adam, no errors but those of
the coding; steps of the payloads as they are by default, tuned on the small model only.  The target
of a seed is 90 % of what `lora` gains in 10 rounds; a cell ends there, or after 20.  Several
processes may run it at once.  Writes benchmarks/results/smollm2_payloads.json.
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

import manual  # noqa: E402
from airtune import load_scenario  # noqa: E402
from airtune.engines import LocalEngine  # noqa: E402
from airtune.learning.shared import SharedLearners  # noqa: E402
from airtune.scenario import Scenario  # noqa: E402
from airtune.study.targets import target_loss  # noqa: E402
from campaigns import Campaign, Document, Task  # noqa: E402
from payload_map import digital, rounds_of  # noqa: E402
from payloads import crossing  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "smollm2_payloads.json"
MANUAL = ROOT / "docs" / "payloads.md"
SEEDS = (0, 1)
GAIN_ROUNDS, MOST_ROUNDS, SHARE = 10, 20, 0.9
MASK = 0.22
"""Share of the entries that `mask` sends: that of 16384 on the small model."""

LORA = "lora"
CASES = {
    LORA: ("ideal", ("aggregation.payload=lora",)),
    "ffa": ("ideal", ("aggregation.payload=ffa",)),
    "mask": ("ideal", ("aggregation.payload=mask",)),
    **{f"lora, {bits} bit": ("digital", digital(f"lloyd-max-{bits}")) for bits in (1, 2, 3, 4)},
}
FACTS = {
    "settings": {
        "gain": SHARE,
        "gain_rounds": GAIN_ROUNDS,
        "most_rounds": MOST_ROUNDS,
        "mask_share": MASK,
    }
}

ABOUT = """\
## On SmolLM2-135M-Instruct with Alpaca records

Ten clients with two records of at most 64 tokens a round, d = {entries}, seeds {seeds}. `lora`
without errors goes from {gains} in {rounds} rounds; the target is 90 % of that, and after {most}
rounds a run is *never*. `mask` sends {share} of the entries; bits are Lloyd-Max levels without
feedback. Steps of `ffa` and `mask` were not tuned on this model. A check with few rounds and 24
records of validation, no study: {hours} hours of one core, by
[benchmarks/smollm2_payloads.py](../benchmarks/smollm2_payloads.py)."""


class Runs:
    """Runs of the model at hand.

    Parameters
    ----------
    model, data : str
        Paths.
    """

    def __init__(self, model: str, data: str) -> None:
        self.learners = SharedLearners(most=1)
        self.given = (
            *(f"model.source={model}", f"data.source={data}", "data.format=alpaca"),
            *("data.partition=iid", "evaluation.every=1", "evaluation.answers=0"),
            *(f"training.rounds={MOST_ROUNDS}", "budget.latency_s=null", "threads=1"),
        )

    def scenario(self, *more: str) -> Scenario:
        """Return the scenario with these settings."""
        return load_scenario("smollm2", [*self.given, *more])

    def run(self, case: str, seed: int, reference: Document | None) -> Document:
        """Return what a case takes to the target; the reference has none yet."""
        scheme, more = CASES[case]
        engine = LocalEngine(self.learners)
        with closing(engine):
            sizes = engine.start(self.scenario(), seed)
            entries = sum(matrix.size for matrix in sizes.matrices)
            if case == "mask":
                more = (*more, f"aggregation.payload_size={round(MASK * entries)}")
            scenario = self.scenario(*more)
            sizes = engine.start(scenario, seed)
            target = None if reference is None else reference["target"]
            most = GAIN_ROUNDS if reference is None else MOST_ROUNDS
            lines = rounds_of(scenario, scheme, seed, engine, sizes, target, most)
        losses = [line["loss"] for line in lines]
        if target is None:
            target = target_loss(losses, SHARE)
        arrived = crossing(losses, target)
        return {"losses": losses, "target": target, "entries": entries, "rounds": arrived}


def name_of(case: str, seed: int) -> str:
    """Return the key of a case and a seed."""
    return f"{case}; seed {seed}"


def tasks(runs: Runs) -> Iterator[Task]:
    """Yield the cells, seed by seed."""
    for seed in SEEDS:
        first = name_of(LORA, seed)
        for case in CASES:

            def work(
                document: Document, case: str = case, seed: int = seed, first: str = first
            ) -> Document:
                reference = None if case == LORA else document["cells"][first]
                return runs.run(case, seed, reference)

            yield Task(name_of(case, seed), work, None if case == LORA else first)


def text(found: Document) -> str:
    """Return the section of the manual; nothing before all cases of a seed are there."""
    cells = found["cells"]
    seeds = [seed for seed in SEEDS if all(name_of(case, seed) in cells for case in CASES)]
    if not seeds:
        return ""
    rows = []
    for case in CASES:
        some = [cells[name_of(case, seed)] for seed in seeds]
        rounds = ["never" if c["rounds"] is None else f"{c['rounds']:.1f}" for c in some]
        rows.append([case, " / ".join(rounds), " / ".join(f"{c['losses'][-1]:.3f}" for c in some)])
    first = [cells[name_of(LORA, seed)] for seed in seeds]
    gains = " / ".join(f"{c['losses'][0]:.3f} to {c['losses'][-1]:.3f}" for c in first)
    hours = sum(cells[name_of(case, seed)]["cell_cpu_s"] for case in CASES for seed in seeds) / 3600
    head = ["sent", "rounds to the target", "loss where the run ended"]
    about = ABOUT.format(
        entries=first[0]["entries"],
        seeds=", ".join(map(str, seeds)),
        gains=gains,
        rounds=GAIN_ROUNDS,
        most=MOST_ROUNDS,
        share=f"{MASK:.0%}",
        hours=f"{hours:.1f}",
    )
    return "\n".join([about, "", *manual.table(head, rows)])


def main() -> None:
    """Measure what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="weights of the scenario smollm2")
    parser.add_argument("--data", help="a file in Alpaca's format")
    parser.add_argument("--seconds", type=float, help="begin no cell after so many seconds")
    parser.add_argument("--table", action="store_true", help="write the table only")
    given = parser.parse_args()
    campaign = Campaign(RESULT, FACTS)
    if not given.table:
        if given.model is None or given.data is None:
            parser.error("--model and --data are needed")
        until = None if given.seconds is None else time.time() + given.seconds
        campaign.run(tasks(Runs(given.model, given.data)), until)
    manual.put(MANUAL, "smollm2 payloads", text(campaign.read()))


if __name__ == "__main__":
    main()
