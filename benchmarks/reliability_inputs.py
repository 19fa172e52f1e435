"""Thousands of wrong scenarios and files against the doors of airtune: none may hang or crash it.

Three parts, each try drawn from a seed and its number:

- `scenarios`: mutated scenarios, read and checked in process, with the channel and the placement
  problem of a round, as a plan begins;
- `commands`: mutated scenarios by `airtune check` and `airtune plan`;
- `files`: corrupted files of every kind that airtune reads.

A try is fine if it ends with exit code 0, 1 or 2, in 60 s of processor time, within 6 GiB, without
a traceback, and with one message of at most 400 characters where something is wrong (`check`
lists up to 20 problems).  Every try of
the last two parts, and every hundred of the first, has a process of its own: a server that has
imported airtune forks it.  Finished batches are written to
benchmarks/results/reliability-inputs.json at once, and a later call goes on from there.

    python benchmarks/reliability_inputs.py [--reduced] [--fresh] [--only PART]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

import numpy as np

import environments
import forked
import hostile_files
import hostile_scenarios
import opening
import sound_files
from airtune import cli, record
from airtune.errors import InputError
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file
from airtune.scenario.plausible import implausible
from trials.part import Part

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "reliability-inputs.json"
PLANNED = {"scenarios": 10_000, "commands": 500, "files": 2_000}
REDUCED = {"scenarios": 100, "commands": 4, "files": 24}
BATCH = {"scenarios": 100, "commands": 10, "files": 20}
SMALL: dict[str, Any] = {
    "name": "small",
    "threads": 1,
    "schemes": ["movable", "fixed"],
    "clients": {"count": 3},
    "array": {"antennas": 2, "region": [2.0, 2.0]},
    "placement": {"mode": "fast"},
    "data": {"partition": "iid", "max_records": 60},
    "training": {"rounds": 3, "batch_size_max": 4},
    "evaluation": {"records": 10},
}
MODEL = {"clients.count": 2, "data.partition": "iid", "evaluation.records": 4, "threads": 1}
MODEL |= {"model.lora.target_modules": "[q_proj]", "model.lora.rank": 2, "model.lora.alpha": 4}


def drawer(seed: int, part: str, number: int) -> random.Random:
    """Return the source of randomness of one try."""
    return random.Random(f"{seed}-{part}-{number}")


def look(path: Path) -> None:
    """Read and check a scenario as a plan would begin.

    Raises
    ------
    InputError
        It cannot be used.
    """
    from airtune.planning.repetition import Repetition
    from airtune.study import compare

    scenario = scenario_file.load(path)
    implausible(scenario)
    scenario_file.dump(scenario)
    scenario = compare.check(scenario, "compare")
    count = scenario.clients.count
    if count > 10_000 or count * scenario.radio.paths.count * scenario.array.antennas > 10_000_000:
        return
    sizes: Any = None
    radio = Repetition(scenario, scenario.seed, sizes).radio(1)
    radio.problem(np.full(count, 1.0 / count))


def _late(number: int, frame: FrameType | None) -> None:
    raise TimeoutError


def in_process(path: Path) -> forked.Outcome:
    """Return how :func:`look` ends for a file, in this process."""
    import resource

    said, code = "", 0
    signal.signal(signal.SIGVTALRM, _late)
    signal.setitimer(signal.ITIMER_VIRTUAL, forked.LIMIT_S)
    began = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            look(path)
        except InputError as error:
            said, code = f"airtune: {error}", 2
            if "\n" in str(error).strip():
                said = f"Traceback (most recent call last): a message of several lines: {said}"
        except TimeoutError:
            said, code = "late", 124
        except BaseException as error:
            said, code = f"Traceback (most recent call last): {error!r}", 1
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    seconds = time.process_time() - began
    if caught and not said.startswith("Traceback"):
        said = f"file:1: PythonWarning: {caught[0].message}"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return forked.Outcome(code, seconds, memory, said, late=code == 124)


def scenarios(seed: int, first: int, last: int, work: Path) -> Iterator[tuple[str, forked.Outcome]]:
    """Try mutated scenarios in one process of their own; a crash is the next one's."""
    told, at = work / "told.jsonl", first
    while at < last:
        told.write_text("")
        whole = forked.attempt(
            partial(_batch, seed, at, last, work), limit_s=forked.LIMIT_S * (last - at)
        )
        lines = [json.loads(line) for line in told.read_text().splitlines()]
        for line in lines:
            yield line.pop("kind"), forked.Outcome(**line)
        at += len(lines)
        if at < last:
            yield _scenario(seed, at, work)[0], whole
            at += 1


def _scenario(seed: int, number: int, work: Path) -> tuple[str, Path]:
    draw = drawer(seed, "scenarios", number)
    sound = ({}, {"extends": "quickstart"}, SMALL, Scenario(**SMALL).to_dict())
    kind, text = hostile_scenarios.mutated(draw, draw.choice(sound))
    path = work / "scenario.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return kind, path


def _batch(seed: int, first: int, last: int, work: Path) -> int:
    for number in range(first, last):
        kind, path = _scenario(seed, number, work)
        outcome = in_process(path)
        with (work / "told.jsonl").open("a") as file:
            file.write(json.dumps({"kind": kind, **outcome.__dict__}) + "\n")
    return 0


def command(*words: str) -> int:
    """Run a command line, as :func:`airtune.cli.main` does, and return its exit code."""
    sys.argv = ["airtune", *words]
    os.chdir(tempfile.gettempdir())
    cli.main()
    return 0


def commands(seed: int, first: int, last: int, work: Path) -> Iterator[tuple[str, forked.Outcome]]:
    """Try mutated scenarios by `airtune check` and `airtune plan` in turn."""
    for number in range(first, last):
        draw = drawer(seed, "commands", number)
        kinds = ("edges", "edges", "types and extremes", *hostile_scenarios.MUTATIONS)
        kind, text = hostile_scenarios.mutated(draw, draw.choice((SMALL, SMALL, {})), kinds)
        path = work / "scenario.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        word = ("check", "plan")[number % 2]
        cache = f"--set=cache={work / 'cache'}"
        work_of = partial(command, word, str(path), cache)
        yield f"{word}: {kind}", forked.attempt(work_of, lists=word == "check")


def files(seed: int, first: int, last: int, work: Path) -> Iterator[tuple[str, forked.Outcome]]:
    """Try corrupted files of every kind in turn."""
    sound = work / "sound"
    kinds = sorted(found := _sound(sound))
    for number in range(first, last):
        draw = drawer(seed, "files", number)
        kind = kinds[number % len(kinds)]
        with tempfile.TemporaryDirectory(dir=work) as folder:
            bad = Path(folder) / found[kind].name
            done = hostile_files.corrupted(draw, kind, found[kind], bad)
            read = partial(_read, kind, bad, found["model"], Path(folder))
            outcome = forked.attempt(read, lists=_checked(kind))
            yield f"{kind}: {done.rpartition(': ')[2]}", outcome


def _sound(folder: Path) -> dict[str, Path]:
    """Return sound files, made in a process of its own so that the server stays as it was.

    Every kind is read as it is once, before the first of it is corrupted.
    """
    kept = folder / "files.json"
    if not kept.exists():

        def make() -> int:
            found = sound_files.sound(folder)
            kept.write_text(json.dumps({name: str(path) for name, path in found.items()}))
            return 0

        made = forked.attempt(make, limit_s=300)
        if made.code:
            raise RuntimeError(f"no sound files: {made.error}")
    found = {name: Path(path) for name, path in json.loads(kept.read_text()).items()}
    if (proved := folder / "proved").exists():
        return found
    with tempfile.TemporaryDirectory() as out:
        for kind, path in found.items():
            outcome = forked.attempt(partial(_read, kind, path, found["model"], Path(out)))
            if outcome.code:
                raise RuntimeError(f"{kind}: what is sound is refused: {outcome.error}")
    proved.touch()
    return found


def _checked(kind: str) -> bool:
    """Whether files of a kind are read by `airtune check`, which lists what is wrong."""
    by_others = ("place", "wide place", "plan", "deepmimo", "scenario")
    return kind not in (*by_others, "model", "gguf", "pilot", "adapter")


def _read(kind: str, path: Path, model: Path, folder: Path) -> int:
    """Let airtune read a file, by a command or by the function that a run begins with."""
    if kind in ("place", "wide place"):
        return command("place", str(path), "--out", str(folder / "out.npz"), "--mode", "fast")
    if kind == "plan":
        return command("plan", "--problem", str(path), "--json")
    if kind == "deepmimo":
        changed = ("clients.count=2", "clients.distance_m=[40,120]", "radio.interferers.count=0")
        given = [f"--set={one}" for one in changed]
        return command(
            "channel", f"deepmimo:{path}", "--out", str(folder / "out.npz"), "--blocks=2", *given
        )
    if kind == "scenario":
        return opening.told(lambda: look(path))
    named = {"cache": folder / "cache", "model.source": model, **MODEL}
    if kind in ("model", "gguf"):
        named["model.source"] = path
        return opening.told(partial(opening.open_source, named))
    if kind == "pilot":
        named |= {"planning.objective": "time", "planning.pilot": path}
        return opening.told(partial(opening.read_pilot, named))
    named[opening.NAMED.get(kind, "data.source")] = path
    named |= opening.BESIDE.get(kind, {})
    if kind == "adapter":
        return opening.told(partial(opening.prepare_learner, named))
    options = [f"--set={name}={value}" for name, value in named.items()]
    return command("check", "quickstart", *options, "--set=schemes=[fixed]")


Tries = Callable[[int, int, int, Path], Iterator[tuple[str, forked.Outcome]]]
PARTS: dict[str, Tries] = {"scenarios": scenarios, "commands": commands, "files": files}


def warm_up(folder: Path) -> None:
    """Import and compile what tries need, so that they fork with it."""
    import torch

    import airtune.learning.learner
    import airtune.learning.sources  # noqa: F401
    from airtune.planning.problem_file import plan_problem
    from airtune.planning.scenario_plan import plan_scenario
    from airtune.study.preflight import preflight

    torch.set_num_threads(1)
    scenario = Scenario(**SMALL, cache=str(folder / "cache"))
    preflight(scenario)
    plan_scenario(scenario)
    plan_problem(sound_files.planning_problem())


def main() -> int:
    """Try what is left of the campaign, and return 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reduced", action="store_true", help="a part of it, in seconds, unkept")
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    parser.add_argument("--again", action="store_true", help="only what failed, after a mend")
    parser.add_argument("--only", choices=tuple(PLANNED))
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    known: dict[str, Any] = {}
    if asked.out.exists() and not (asked.fresh or asked.reduced):
        known = json.loads(asked.out.read_text())
        known = known if known["seed"] == asked.seed else {}
    made_in, known = environments.listed(known), known.get("parts", {})
    here = environments.number_of(record.environment(Scenario(threads=1)), made_in)
    parts = {
        name: Part.of(count, known[name]) if name in known else Part(count)
        for name, count in (REDUCED if asked.reduced else PLANNED).items()
    }
    with tempfile.TemporaryDirectory(prefix="airtune-") as work:
        warm_up(Path(work))
        for name in [asked.only] if asked.only else list(PARTS):
            part = parts[name]
            if asked.again:

                def attempt(number: int, tries: Tries = PARTS[name]) -> forked.Outcome:
                    return next(tries(asked.seed, number, number + 1, Path(work)))[1]

                part.repeat(attempt, here)
                print(f"{name}: {len(part.failures)} failed again", flush=True)
                write(asked.out, asked.seed, parts, made_in)
                continue
            while part.tried < part.planned:
                last = min(part.planned, part.tried + BATCH[name])
                tries = PARTS[name](asked.seed, part.tried, last, Path(work))
                for number, (kind, outcome) in enumerate(tries, part.tried):
                    part.take(number, kind, outcome)
                if not part.since or part.since[-1][1] != here:
                    part.since.append([part.tried, here])
                part.tried = last
                print(f"{name}: {part.tried} tried, {len(part.failures)} failed", flush=True)
                if not asked.reduced:
                    write(asked.out, asked.seed, parts, made_in)
    for name, part in parts.items():
        for failure in part.failures:
            print(name, json.dumps(failure))
    return int(any(part.failures for part in parts.values()))


def write(out: Path, seed: int, parts: dict[str, Part], known: list[dict[str, Any]]) -> None:
    """Write what is known so far; `known` are the environments."""
    limits = {"seconds": forked.LIMIT_S, "data_mib": forked.LIMIT_MIB, "line": forked.LONGEST}
    how = "forked from a process that has imported airtune; RLIMIT_DATA and a kill limit each try"
    record.write_json(
        out,
        {
            "seed": seed,
            "limits": limits,
            "processes": how,
            "parts": {name: part.to_dict() for name, part in parts.items()},
            "environments": known,
        },
    )


if __name__ == "__main__":
    sys.exit(main())
