"""Where movable antennas pay: movable, fixed, selection and digital, each with its best payload.

    python benchmarks/payload_map.py                  # cells that are missing, then the manual
    python benchmarks/payload_map.py --seconds 900    # no new cell after so many seconds
    python benchmarks/payload_map.py --payloads lora,ffa --bands 1e6 --seeds 1
    python benchmarks/payload_map.py --table          # tables and figure of the manual only

Several processes may run it at once; each cell is written as soon as it is there.

The scenarios paper-v1 and cell-edge with the settings of the declared family of the claims
(src/airtune/study/claims/family.json: no budgets, one clock, 100 records of validation, an
actuator), one thread.  Each cell is booked for two devices: that family's with 1 TFLOP/s, and the
shipped scenarios' own processor at its lowest clock.  The target of a seed is 90 % of what `ideal`
gains with `lora` in 30 rounds; a cell ends there, or after 45 rounds.

- Over the air the error changes with array, scenario and bandwidth (noise grows with it), so every
  cell is run with learning.
- In bits no error depends on the air: a payload and a coding are run once a seed and replayed,
  without learning, in both scenarios at all bandwidths (:mod:`airtune.study.claims.replay`, which
  compares every adapter to the last bit).

A scheme may leave a part of the band unused: at each bandwidth the best of it and of the narrower
ones counts, for every scheme.  Writes benchmarks/results/payload_map.json.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import manual  # noqa: E402
import payload_map_page as page  # noqa: E402
from airtune import load_scenario  # noqa: E402
from airtune.engines import LocalEngine  # noqa: E402
from airtune.engines.base import Engine  # noqa: E402
from airtune.learning.shared import SharedLearners  # noqa: E402
from airtune.learning.sizes import Sizes  # noqa: E402
from airtune.planning.repetition import Repetition  # noqa: E402
from airtune.rounds.federated import FederatedRun  # noqa: E402
from airtune.scenario import Scenario  # noqa: E402
from airtune.study.claims.booking import book  # noqa: E402
from airtune.study.claims.family import read_family  # noqa: E402
from airtune.study.claims.histories import reached  # noqa: E402
from airtune.study.claims.replay import Recorder, Replayed  # noqa: E402
from airtune.study.targets import target_loss  # noqa: E402
from campaigns import Campaign, Document, Task  # noqa: E402
from payload_map_page import AIR, CODINGS, SCENARIOS, SEEDS, SENT  # noqa: E402

BANDS = (1e6, 5e6, 2e5)
"""Of the cells over the air, in the order in which they are run."""

REPLAYED = (2e5, 1e6, 5e6, 2e7)
GAIN_ROUNDS, MOST_ROUNDS, SHARE = 30, 45, 0.9
FIRST = ("paper-v1", 1e6)
FACTS = {
    "settings": {
        "sent": {name: list(settings) for name, settings in SENT.items()},
        "gain": SHARE,
        "gain_rounds": GAIN_ROUNDS,
        "most_rounds": MOST_ROUNDS,
    }
}
Lines = list[dict[str, Any]]


@cache
def family_settings() -> tuple[str, ...]:
    """Return what all scenarios have besides."""
    family = read_family()
    return (*family.settings, *family.run_with.settings, "threads=1")


def scenario_of(name: str, sent: str, band: float, *more: str) -> Scenario:
    """Return a scenario with a payload at a bandwidth."""
    given = (*family_settings(), *SENT[sent], f"radio.bandwidth_hz={band}")
    return load_scenario(name, [*given, f"training.rounds={MOST_ROUNDS}", *more])


def digital(coding: str) -> tuple[str, ...]:
    """Return the settings of a coding."""
    quantizer, _, bits = coding.rpartition("-")
    given = (f"digital.quantizer={quantizer}", f"digital.bits={bits}")
    return (*given, "digital.error_feedback=false", "digital.access=best")


def rounds_of(
    scenario: Scenario,
    scheme: str,
    seed: int,
    engine: Engine,
    sizes: Sizes,
    target: float | None,
    most: int,
) -> Lines:
    """Return the lines of the rounds of a run until its target, or so many."""
    repetition = Repetition.open(scenario, seed, sizes=sizes)
    run = FederatedRun(repetition, scheme, engine)
    lines = [run.first_metrics()]
    while run.state.round < most:
        lines.append(run.run_round())
        loss = lines[-1]["loss"]
        if loss is None or (target is not None and loss <= target):
            break
    return lines


def kept(lines: Lines, target: float | None, scenario: Scenario, scheme: str) -> Document:
    """Return what is kept of a run: what it takes to the target and what it spent, by device."""
    losses = [line["loss"] for line in lines]
    errors = sorted(line["mse"] for line in lines[1:] if line.get("mse") is not None)
    found: Document = {
        "spent_rounds": len(lines) - 1,
        "mse": errors[len(errors) // 2] if errors else None,
        "last_loss": losses[-1],
        "devices": {},
    }
    for device, settings in page.DEVICES.items():
        given = {name: float(value) for name, value in (one.split("=") for one in settings)}
        processor = {name.rpartition(".")[2]: value for name, value in given.items()}
        after = scenario.model_copy(
            update={"client_processor": scenario.client_processor.model_copy(update=processor)}
        )
        what = reached(losses, book(lines, scenario, after, scheme), target)
        found["devices"][device] = {
            "rounds": what.rounds,
            "time_s": what.time_s,
            "energy_j": what.energy_j,
            "spent_time_s": what.spent_time_s,
            "spent_energy_j": what.spent_energy_j,
        }
    return found


class Runs:
    """Runs with learning, and replays of them.

    Attributes
    ----------
    learners : SharedLearners
        One is kept: all payloads and scenarios of a seed have the same.
    """

    def __init__(self) -> None:
        self.learners = SharedLearners(most=1)

    def reference(self, seed: int) -> Document:
        """Return the losses of `ideal` with `lora`, which set the target of a seed."""
        scenario, engine = scenario_of(FIRST[0], "lora", FIRST[1]), LocalEngine(self.learners)
        with closing(engine):
            sizes = engine.start(scenario, seed)
            lines = rounds_of(scenario, "ideal", seed, engine, sizes, None, GAIN_ROUNDS)
        losses = [line["loss"] for line in lines]
        return {"losses": losses, "target": target_loss(losses, SHARE)}

    def over_the_air(
        self, name: str, scheme: str, sent: str, band: float, seed: int, first: Document
    ) -> Document:
        """Return what a scheme over the air takes to the target."""
        scenario, engine = scenario_of(name, sent, band), LocalEngine(self.learners)
        with closing(engine):
            sizes = engine.start(scenario, seed)
            target = first["target"]
            lines = rounds_of(scenario, scheme, seed, engine, sizes, target, MOST_ROUNDS)
        same_start(lines, first)
        return kept(lines, target, scenario, scheme)

    def in_bits(self, coding: str, sent: str, seed: int, first: Document) -> Document:
        """Return what a coding takes, in each scenario at each bandwidth; `ideal` counts as one."""
        scheme, more = ("ideal", ()) if coding == "ideal" else ("digital", digital(coding))
        scenario, engine = scenario_of(FIRST[0], sent, FIRST[1], *more), LocalEngine(self.learners)
        with closing(engine):
            sizes = engine.start(scenario, seed)
            recorder = Recorder.of(engine, sizes)
            target = first["target"]
            lines = rounds_of(scenario, scheme, seed, recorder, sizes, target, MOST_ROUNDS)
        same_start(lines, first)
        found, replayed = {}, Replayed(recorder.recorded)
        for name in SCENARIOS:
            for band in REPLAYED:
                there = scenario_of(name, sent, band, *more)
                again = rounds_of(there, scheme, seed, replayed, sizes, target, len(lines) - 1)
                found[page.place(name, band)] = kept(again, target, there, scheme)
        return {"places": found}


def same_start(lines: Lines, first: Document) -> None:
    """Refuse a run that does not begin where the reference does: its target would not be its own.

    Raises
    ------
    ValueError
        Another loss before the first round.
    """
    if lines[0]["loss"] != first["losses"][0]:
        raise ValueError(f"begins at {lines[0]['loss']}, the reference at {first['losses'][0]}")


def tasks(
    runs: Runs, payloads: Sequence[str], bands: Sequence[float], seeds: Sequence[int]
) -> Iterator[Task]:
    """Yield the cells, seed by seed, and the nominal bandwidth of all payloads first."""
    for seed in seeds:
        first = page.reference_name(seed)
        yield Task(first, lambda _, seed=seed: runs.reference(seed))
        for sent in payloads:
            for coding in ("ideal", *CODINGS):

                def bits(
                    document: Document,
                    c: str = coding,
                    p: str = sent,
                    s: int = seed,
                    f: str = first,
                ) -> Document:
                    return runs.in_bits(c, p, s, document["cells"][f])

                yield Task(page.bits_name(coding, sent, seed), bits, first)
        for band in bands:
            for sent in payloads:
                for name in SCENARIOS:
                    for scheme in AIR:

                        def air(
                            document: Document,
                            given: tuple[str, str, str, float, int] = (
                                name,
                                scheme,
                                sent,
                                band,
                                seed,
                            ),
                            f: str = first,
                        ) -> Document:
                            return runs.over_the_air(*given, document["cells"][f])

                        yield Task(page.air_name(name, scheme, sent, band, seed), air, first)


def main() -> None:
    """Measure what is missing and write tables and figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="begin no cell after so many seconds")
    parser.add_argument("--payloads", default=",".join(SENT))
    parser.add_argument("--bands", default=",".join(f"{band:g}" for band in BANDS))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--table", action="store_true", help="write the manual only")
    parser.add_argument("--list", action="store_true", help="count the cells and the missing ones")
    given = parser.parse_args()
    campaign = Campaign(Path(page.RESULT), FACTS)
    bands, seeds = map(float, given.bands.split(",")), map(int, given.seeds.split(","))
    every = list(tasks(Runs(), given.payloads.split(","), list(bands), list(seeds)))
    if given.list:
        missing = {task.name for task in every} - set(campaign.read()["cells"])
        print(f"{len(every)} cells, {len(missing)} missing")
        return
    if not given.table:
        campaign.run(every, None if given.seconds is None else time.time() + given.seconds)
    found = campaign.read()["cells"]
    manual.put(page.MANUAL, "payload map", page.text(found))


if __name__ == "__main__":
    main()
