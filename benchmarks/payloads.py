"""What is sent of an update: rounds to the target, costs of a round, time to code, tuned steps.

    python benchmarks/payloads.py                     # cells that are missing, then the manual
    python benchmarks/payloads.py --seconds 900       # no new cell after so many seconds
    python benchmarks/payloads.py --only tuning       # one section: rounds, books, coding, tuning
    python benchmarks/payloads.py --table             # the tables of the manual only

Several processes may run it at once; each cell is written as soon as it is there.

The quickstart's model and data, all ten clients with batches of 16, validated on 100 records,
without any budget; one thread.  `rounds`: rounds until the validation loss has made 90 % of the
gain of `lora` without errors in 30 rounds of the same seed (at most 45), error-free and with white
noise of variance MSE v_b^2 on every number that is decoded; seed by seed.  `tuning`: the same
without errors for several steps, on seeds of its own.  `books`: numbers, symbols and joules of a
round on the quickstart's air.  `coding`: processor time to code and decode on one core beside that
of the client's own update.  Writes benchmarks/results/payloads.json.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

# Before NumPy and PyTorch: times of one core.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

import manual  # noqa: E402
from airtune import load_scenario  # noqa: E402
from airtune.learning.payload import PAYLOADS, payload_of  # noqa: E402
from airtune.learning.shared import SharedLearners  # noqa: E402
from airtune.radio.scales import group_sizes, report_scales  # noqa: E402
from airtune.scenario import Scenario  # noqa: E402
from airtune.schemes import Reception, Scheme, Uploads, register  # noqa: E402
from airtune.schemes.air.ideal import ErrorFree  # noqa: E402
from airtune.schemes.arrays.fixed import NoArray  # noqa: E402
from airtune.schemes.link import Link  # noqa: E402
from airtune.streams import generator  # noqa: E402
from campaigns import Campaign, Document, Task  # noqa: E402
from coding_speed import best  # noqa: E402
from runs import run_on  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "payloads.json"
MANUAL = ROOT / "docs" / "payloads.md"

SENT: dict[str, tuple[str, int | None]] = {
    "lora": ("lora", None),
    "ffa": ("ffa", None),
    "rolora": ("rolora", None),
    "mask 16384": ("mask", 16384),
    "mask 4096": ("mask", 4096),
    "subspace 16384": ("subspace", 16384),
    "subspace 4096": ("subspace", 4096),
}
ERRORS = (0.0, 0.1, 1.0)
SEEDS = (1, 2, 3, 4, 5)
TUNING_SEEDS = (101, 102)
STEPS = (0.5, 1.0, 2.0, 4.0, 8.0)
GAIN_ROUNDS, MOST_ROUNDS, GAIN = 30, 45, 0.9
BITS = 4
DIGITAL = (
    "digital.quantizer=lloyd-max",
    f"digital.bits={BITS}",
    "digital.error_feedback=false",
)
BOOKED = ("fixed", "movable", "digital")
SECTIONS = ("coding", "books", "rounds", "tuning")
CODING = "coding"
FACTS = {
    "settings": {
        "sent": {name: list(what) for name, what in SENT.items()},
        "steps": {name: kind.step for name, kind in PAYLOADS.items()},
        "grid": {"steps": list(STEPS), "seeds": list(TUNING_SEEDS)},
        "gain": GAIN,
        "gain_rounds": GAIN_ROUNDS,
        "most_rounds": MOST_ROUNDS,
    }
}

TEXTS = {
    "tuning": """\
Rounds to the target by step, without errors, seed by seed:""",
    "rounds": """\
## Rounds to the target

Quickstart's model, ten clients with 16 samples each, Adam, at most 45 rounds, seeds 1 to 5. Target:
90 % of what `lora` gains in 30 rounds without errors, seed by seed. The error is white noise of
variance MSE v_b^2 on every number that is decoded, fresh each round. By
[benchmarks/payloads.py](../benchmarks/payloads.py).""",
    "books": """\
## Costs of a round

Numbers that a client sends (`rolora`: the mean of its halves), the broadcast, the entries of a
digital upload with 4 bits, symbols of one upload over the air, electrical energy on the air
(uplink, pilots with reports, broadcast) of the quickstart's first two rounds, `digital` with 4
bits; processor time to code one update and to decode one mean on one core, and its share of the
client's own update (16 samples). Drawing and multiplying with Z costs d_b n_b operations a block,
whatever the model costs; the other payloads copy entries. By
[benchmarks/payloads.py](../benchmarks/payloads.py).""",
}
"""What stands above a table of the manual."""


class WhiteNoise(ErrorFree):
    """The exact mean with white noise of variance MSE v_b^2 on each of its numbers."""

    about: ClassVar[str] = "error-free mean with white noise"
    mse: ClassVar[float] = 0.0

    def combine(self, uploads: Uploads, link: Link, backoff: float) -> Reception | None:
        """Return the noisy mean."""
        exact = super().combine(uploads, link, backoff)
        if exact is None or self.mse == 0:
            return exact
        sizes = group_sizes(uploads.matrix_sizes.tolist(), "block")
        deviations = report_scales(uploads.updates, sizes).deviations
        spread = np.sqrt(self.mse * (uploads.omega @ deviations**2))
        noise = generator(link.radio.seed, "white noise", link.radio.round)
        drawn = noise.standard_normal(len(exact.mean))
        return replace(exact, mean=exact.mean + np.repeat(spread, sizes) * drawn)


def noisy(mse: float) -> str:
    """Return the name of the scheme with this error; it is made known the first time."""
    from airtune.registry import SCHEMES

    name = f"white-noise-{mse:g}"
    if name not in SCHEMES:
        air = type(f"WhiteNoise{mse:g}", (WhiteNoise,), {"mse": mse})
        register(Scheme(name, NoArray, air))
    return name


@dataclass(frozen=True)
class Cell:
    """One run: what is sent, the error of its mean, the seed, and the step if it is not its own."""

    sent: str
    mse: float
    seed: int
    step: float | None = None

    @property
    def name(self) -> str:
        """The key of the cell in the results."""
        step = "" if self.step is None else f"; step {self.step:g}"
        return f"{self.sent}; mse {self.mse:g}; seed {self.seed}{step}"


def scenario_of(sent: str, step: float | None = None, *more: str) -> Scenario:
    """Return the settings of a payload."""
    payload, size = SENT[sent]
    settings = [f"aggregation.payload={payload}", f"training.rounds={MOST_ROUNDS}", *more]
    settings += ["threads=1", "evaluation.records=100"]
    settings += [] if size is None else [f"aggregation.payload_size={size}"]
    settings += [] if step is None else [f"aggregation.payload_step={step}"]
    return load_scenario("quickstart", ["budget.latency_s=null", *settings])


def losses_of(cell: Cell, learners: SharedLearners, target: float | None) -> list[float | None]:
    """Return the losses of a cell after each round, until the target is reached."""
    scenario = scenario_of(cell.sent, cell.step)
    run = run_on(learners(scenario, cell.seed), scenario, noisy(cell.mse), cell.seed)
    losses, most = [run.first_metrics()["loss"]], GAIN_ROUNDS if target is None else MOST_ROUNDS
    while run.state.round < most:
        losses.append(run.run_round()["loss"])
        last = losses[-1]
        if last is None or (target is not None and last <= target):
            break
    return losses


def crossing(losses: list[float | None], target: float) -> float | None:
    """Return the interpolated round at which losses cross the target; None: never.

    >>> crossing([3.0, 2.0, 1.0], 1.25)
    1.75
    """
    before = None
    for index, loss in enumerate(losses):
        if loss is None:
            return None
        if loss <= target:
            return index if before is None else index - 1 + (before - target) / (before - loss)
        before = loss
    return None


def target_of(cells: dict[str, Any], seed: int) -> float | None:
    """Return the loss that `lora` has at 90 % of its gain, of a seed."""
    reference = cells.get(Cell("lora", 0.0, seed).name)
    if reference is None:
        return None
    first, last = reference["losses"][0], reference["losses"][GAIN_ROUNDS]
    return float(first - GAIN * (first - last))


def grid(section: str) -> Iterator[Cell]:
    """Yield the cells of a section, seed by seed; first what sets the target of a seed."""
    if section == "rounds":
        for seed in SEEDS:
            for mse in ERRORS:
                yield from (Cell(sent, mse, seed) for sent in SENT)
    if section == "tuning":
        for seed in TUNING_SEEDS:
            yield Cell("lora", 0.0, seed)
            for sent in SENT:
                yield from (Cell(sent, 0.0, seed, step) for step in STEPS)


def tasks(section: str, learners: SharedLearners) -> Iterator[Task]:
    """Yield the cells of a section."""
    if section == CODING:
        yield Task(CODING, lambda document: coding(learners))
    if section == "books":
        for sent in SENT:
            for scheme in BOOKED:

                def booked(_: Document, sent: str = sent, scheme: str = scheme) -> Document:
                    return books(sent, scheme, learners)

                yield Task(books_name(sent, scheme), booked)
    for cell in grid(section):
        first = Cell("lora", 0.0, cell.seed)

        def measured(document: Document, cell: Cell = cell, first: Cell = first) -> Document:
            target = None if cell == first else target_of(document["cells"], cell.seed)
            return {"losses": losses_of(cell, learners, target)}

        yield Task(cell.name, measured, None if cell == first else first.name)


def books_name(sent: str, scheme: str) -> str:
    """Return the key of the books of a payload and a scheme."""
    return f"books; {sent}; {scheme}"


def books(sent: str, scheme: str, learners: SharedLearners) -> Document:
    """Book two rounds (rolora sends one half in each) on the quickstart's air."""
    scenario = scenario_of(sent, None, *DIGITAL)
    run = run_on(learners(scenario, 1), scenario, scheme, 1)
    lines = [run.run_round() for _ in range(2)]
    numbers = [int(run.sending.payload.blocks(run.sending.payload.part(i)).sum()) for i in (1, 2)]
    return {
        "numbers": float(np.mean(numbers)),
        "downlink_bytes": float(np.mean(numbers)) * scenario.radio.downlink_bits / 8,
        **{
            f"{part}_{unit}": float(np.mean([line[key][part] for line in lines]))
            for part in ("uplink", "downlink", "pilots")
            for unit, key in (("s", "round_latency_s"), ("j", "round_energy_j"))
        },
        "bandwidth_hz": scenario.radio.bandwidth_hz * scenario.radio.efficiency,
    }


def coding(learners: SharedLearners) -> Document:
    """Time coding and decoding of one update on one core, and the update itself."""
    learner = learners(scenario_of("lora"), 1)
    adapter = learner.initial_adapter()
    times: Document = {"update_s": best(lambda: learner.client_update(adapter, 0, 16, 1, 1), 9)}
    update = learner.client_update(adapter, 0, 16, 1, 1).update[None]
    for sent in SENT:
        payload = payload_of(scenario_of(sent).aggregation, learner.matrices, 1)
        rows = payload.coded(update, 1)
        mean = rows[0].astype(np.float64)

        def code() -> None:
            payload._drawn.clear()  # noqa: B023 - called at once
            payload.coded(update, 1)  # noqa: B023

        times[sent] = {
            "code_s": best(code, 9),
            "decode_s": best(lambda: payload.decoded(mean, 1), 9),  # noqa: B023
        }
    return times


def known_rounds(cells: Document, given: Sequence[Cell]) -> list[str] | None:
    """Return the rounds to the target of some cells; None: not all have been run."""
    if any(cell.name not in cells or target_of(cells, cell.seed) is None for cell in given):
        return None
    rounds = [
        crossing(cells[cell.name]["losses"], target_of(cells, cell.seed) or 0.0) for cell in given
    ]
    return ["never" if x is None else f"{x:.1f}" for x in rounds]


def rounds_table(found: Document) -> str:
    """Return rounds to the target, seed by seed, of what all seeds have been run of."""
    cells, rows = found.get("cells", {}), []
    for sent in SENT:
        rows.append([f"`{sent}`"])
        for mse in ERRORS:
            rounds = known_rounds(cells, [Cell(sent, mse, seed) for seed in SEEDS])
            rows[-1].append("" if rounds is None else " / ".join(rounds))
    head = ["sent", *("error-free" if mse == 0 else f"MSE {mse:g}" for mse in ERRORS)]
    return filled(head, rows)


def tuning_table(found: Document) -> str:
    """Return rounds to the target of each step, seed by seed."""
    cells, rows = found.get("cells", {}), []
    for sent in SENT:
        row = [f"`{sent}`", f"{PAYLOADS[SENT[sent][0]].step:g}"]
        for step in STEPS:
            rounds = known_rounds(cells, [Cell(sent, 0.0, seed, step) for seed in TUNING_SEEDS])
            row.append("" if rounds is None else " / ".join(rounds))
        rows.append(row)
    return filled(["sent", "own step", *(f"{s:g}" for s in STEPS)], rows)


def filled(head: list[str], rows: list[list[str]]) -> str:
    """Return a table of the rows that are whole; nothing where there is none."""
    whole = [row for row in rows if all(row)]
    return "\n".join(manual.table(head, whole)) if whole else ""


def books_table(found: Document) -> str:
    """Return numbers, bytes, symbols and joules of a round."""
    cells, rows = found.get("cells", {}), []
    for sent in SENT:
        entry = {scheme: cells.get(books_name(sent, scheme)) for scheme in BOOKED}
        if any(value is None for value in entry.values()) or CODING not in cells:
            continue
        air, times = entry["fixed"], cells[CODING]
        row = [f"`{sent}`", f"{air['numbers']:.0f}", f"{air['downlink_bytes'] / 1e3:.0f}"]
        row.append(f"{air['numbers'] * BITS / 8e3:.1f}")
        row.append(f"{air['uplink_s'] * air['bandwidth_hz'] / 1e3:.1f}")
        for scheme in BOOKED:
            sums = sum(entry[scheme][f"{part}_j"] for part in ("uplink", "downlink", "pilots"))
            row.append(f"{sums:.2f}")
        both = times[sent]["code_s"] + times[sent]["decode_s"]
        rows.append([*row, f"{both * 1e3:.2f}", f"{both / times['update_s']:.1%}"])
    head = ["sent", "numbers", "broadcast, kB", "digital upload, kB", "symbols, thousands"]
    head += [f"`{scheme}`, J" for scheme in BOOKED] + ["coding, ms", "of an update"]
    return filled(head, rows)


def main() -> None:
    """Measure what is missing and put the tables into the manual."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="begin no cell after so many seconds")
    parser.add_argument("--only", choices=SECTIONS)
    parser.add_argument("--table", action="store_true", help="write the tables only")
    given = parser.parse_args()
    campaign, learners = Campaign(RESULT, FACTS), SharedLearners(most=1)
    until = None if given.seconds is None else time.time() + given.seconds
    if not given.table:
        sections = SECTIONS if given.only is None else (given.only,)
        every = {task.name: task for name in sections for task in tasks(name, learners)}
        campaign.run(every.values(), until)
    found = campaign.read()
    for name, text in (
        ("rounds", rounds_table(found)),
        ("tuning", tuning_table(found)),
        ("books", books_table(found)),
    ):
        manual.put(MANUAL, f"payloads {name}", text and f"{TEXTS[name]}\n\n{text}")


if __name__ == "__main__":
    main()
