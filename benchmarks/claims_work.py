"""Run a job of the study of the claims: learn once, replay the rest, write each cell at once."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from airtune import record
from airtune.engines import LocalEngine
from airtune.errors import InputError
from airtune.learning.shared import SharedLearners
from airtune.learning.sizes import measure
from airtune.planning.pilot import Pilot
from airtune.planning.plans import plan_run
from airtune.planning.repetition import Repetition
from airtune.record.machine import commit
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.study.claims.family import Condition
from airtune.study.claims.histories import packed
from airtune.study.claims.replay import Recorded, Recorder, Replayed, keep, kept, run_rounds
from airtune.study.pilot import FILE, find_pilot, pilot_scenario, read_pilot, run_pilot, write_pilot
from airtune.study.targets import MAIN, target_losses
from claims_cells import BEST, IDEAL, LORA, PROPOSAL, STAND_IN, Cell, Job, Study

DIGITS = 12
"""Significant digits of replays and forecasts; runs are kept to the last bit."""

Document = dict[str, Any]


@dataclass
class Results:
    """The finished cells: one file of JSON lines, each written at once.

    A line with ``family`` names the declaration that cells are of, and the environment; cells of
    another declaration are refused.  Each cell keeps the digest and the commit of the code.
    """

    file: Path
    cells: dict[str, Document] = field(default_factory=dict)
    family: str | None = None
    _read_to: int = 0

    def read(self) -> Results:
        """Read what has been written since; a last line without an end is left for later."""
        if self.file.exists():
            with self.file.open("rb") as stream:
                stream.seek(self._read_to)
                content = stream.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._read_to += len(whole)
            for line in whole.splitlines():
                entry = json.loads(line)
                if "family" in entry:
                    self.family = entry["family"]
                else:
                    self.cells[entry["cell"]] = entry
        return self

    def begin(self, sha256: str, environment: Document) -> None:
        """Write which declaration the cells to come are of.

        Raises
        ------
        InputError
            The file holds cells of another one.
        """
        self.read()
        if self.family not in (None, sha256):
            raise InputError(
                f"{self.file}: holds cells of another declaration of the family, or of scenarios "
                "that its settings made then; neither is to be changed once a cell has run"
            )
        self._append({"family": sha256, "environment": environment})

    def add(self, cell: Cell, document: Document) -> None:
        """Write a finished cell."""
        made = {"declaration": self.family, **_commit()}
        self._append({**document, "cell": cell.key, "how": cell.how, **made})

    def _append(self, entry: Document) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.file.with_suffix(".lock")):
            if self.file.exists():  # what a process that was killed has left unfinished
                content = self.file.read_bytes()
                whole = content.rfind(b"\n") + 1
                if whole < len(content):
                    os.truncate(self.file, whole)
            with self.file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry, allow_nan=False) + "\n")
                stream.flush()
                os.fsync(stream.fileno())

    def target(self, point: str, seed: int, share: str = MAIN) -> float | None:
        """Return the target loss of a seed, from the run of ideal; None while it is missing."""
        for part in ("family", "headline"):
            found = self.cells.get(Cell(part, point, IDEAL, seed).key)
            if found is not None and "history" in found:
                return target_losses(found["history"]["loss"])[share]
        return None

    def best_payload(self, study: Study, cell: Cell) -> str | None:
        """Return the payload of a member with the least predicted product; None: not known yet."""
        seed = study.family.document["headline"]["payload_seed"]
        name = cell.base
        found: dict[str, float] = {}
        payloads = list(study.family.document["payloads"])[: 1 if study.reduced else None]
        for payload in (one for one in payloads if study.sends(cell.member, one)):
            key = Cell("headline", f"{name}, own", cell.member, seed, payload=payload).key
            entry = self.cells.get(key)
            if entry is None:
                return None
            values = [one for one in entry["plans"].values() if one["time_s"] is not None]
            if values:
                found[payload] = min(one["time_s"] * one["energy_j"] for one in values)
        return min(found, key=found.__getitem__) if found else LORA


@cache
def _commit() -> Document:
    """Return the commit of the code that this process runs, and whether it was modified."""
    return commit(Path(__file__).parents[1])


def ready(study: Study, job: Job, results: Results) -> bool:
    """Tell whether what a job depends on is there."""
    cell = job.learn
    if cell.target is not None and results.target(*cell.target) is None:
        return False
    return cell.payload != BEST or results.best_payload(study, cell) is not None


@lru_cache
def _learners() -> SharedLearners:
    """Return the learners that jobs of a process share."""
    return SharedLearners(most=1)


def work(job: Job, study: Study, file: Path, until: float | None) -> list[str]:
    """Run the missing cells of a job; no cell begins after `until` [s of the epoch].

    Returns
    -------
    list of str
        Keys of the cells that were written; none where another command runs the job.
    """
    name = hashlib.sha256(f"{job.learn.key} {job.cells[0].key}".encode()).hexdigest()[:16]
    locks = Path(study.cache) / "claims-locks"
    locks.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(locks / name, timeout=0):
            return _work(job, study, file, until)
    except Timeout:
        return []


def _work(job: Job, study: Study, file: Path, until: float | None) -> list[str]:
    """Run the missing cells of a job that no other process runs."""
    results, done = Results(file).read(), list[str]()
    missing = [cell for cell in job.cells if cell.key not in results.cells]
    recorded: Recorded | None = None
    for cell in missing:
        if until is not None and time.time() > until:
            break
        began, spent = time.perf_counter(), time.process_time()
        if cell.how == "plan":
            document = _planned(cell, study, results)
        elif (same := _copied(cell, study, results)) is not None:
            document = same
        else:
            if recorded is None:
                recorded, learnt = _recorded(job.learn, study, results, job.learn in missing)
            if cell.key == job.learn.key or "infeasible" in learnt:
                document = {**learnt}
            else:
                document = _again(cell, study, recorded)
        document["wall_s"] = time.perf_counter() - began
        document["cpu_s"] = time.process_time() - spent
        results.add(cell, document)
        done.append(cell.key)
    return done


def _recorded(cell: Cell, study: Study, results: Results, asked: bool) -> tuple[Recorded, Document]:
    """Return what a run with learning records, of an earlier job where it is kept.

    Updates of ideal and of digital runs serve many jobs, so they are kept in the folder of work, by
    declaration and commit.  A run whose own cell is asked for is always made.
    """
    if cell.part != "family" or (cell.member != IDEAL and "/" not in cell.member):
        return _learn(cell, study, results)
    made = f"{cell.key} {results.family} {_commit()} {study.reduced}"
    name = hashlib.sha256(made.encode()).hexdigest()[:16]
    file = Path(study.cache) / "claims-updates" / f"{name}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        if file.is_file() and not asked:
            return kept(file, measure(study.scenario(cell), cell.seed)), {}
        recorded, learnt = _learn(cell, study, results)
        if "infeasible" not in learnt:
            keep(recorded, file)
        return recorded, learnt


def _copied(cell: Cell, study: Study, results: Results) -> Document | None:
    """Return what a cell has kept whose best payload turns out to be the plain one; else None."""
    if cell.payload != BEST or results.best_payload(study, cell) != LORA:
        return None
    plain = results.cells.get(replace(cell, payload=LORA).key)
    return None if plain is None else {**plain, "same_as": plain["cell"]}


def _resolved(cell: Cell, study: Study, results: Results) -> tuple[Scenario, str]:
    """Return the scenario of a cell whose plan and payload may depend on others."""
    payload = cell.payload
    if payload == BEST:
        payload = results.best_payload(study, cell) or LORA
    more = []
    if cell.target is not None:
        more.append(f"planning.target_loss={results.target(*cell.target)!r}")
    return study.scenario(replace(cell, payload=payload), more), payload


def _learn(cell: Cell, study: Study, results: Results) -> tuple[Recorded, Document]:
    """Run a cell with learning; return what was recorded and what is kept."""
    scenario, payload = _resolved(cell, study, results)
    engine = LocalEngine(_learners())
    with closing(engine):
        sizes = engine.start(scenario, cell.seed)
        recorder = Recorder.of(engine, sizes)
        try:
            pilot = find_pilot(scenario, cell.seed, _learners(), started=(engine, sizes))
            lines, plan = run_rounds(scenario, cell.scheme, cell.seed, recorder, sizes, pilot)
        except InputError as error:
            return recorder.recorded, {"infeasible": str(error)}
    facts = _facts(scenario, cell, recorder.recorded)
    return recorder.recorded, {
        "payload": payload,
        "plan": _plan_kept(plan),
        **facts,
        "history": packed(lines),
    }


def _again(cell: Cell, study: Study, recorded: Recorded) -> Document:
    """Run a cell on recorded updates."""
    scenario = study.scenario(cell)
    engine = Replayed(recorded, exact=cell.how == "replayed")
    lines, plan = run_rounds(scenario, cell.scheme, cell.seed, engine, recorded.sizes)
    history = packed(lines, DIGITS)
    return {"plan": _plan_kept(plan), **_facts(scenario, cell, recorded), "history": history}


def _plan_kept(plan: Mapping[str, Any]) -> Document:
    """Return the decisions of a plan; equal figures of all clients as one number."""

    def short(values: Sequence[float]) -> Any:
        return values[0] if len(set(values)) == 1 else list(values)

    return {
        "rounds": plan["rounds"]["finetuning"],
        "batch": short(plan["batch"]["clients"]),
        "frequency_hz": short(plan["frequency_hz"]["clients"]),
        "power_backoff": plan["power_backoff"],
        "repetition": plan.get("repetition", 1),
        **({"coding": plan["coding"]} if "coding" in plan else {}),
    }


def _facts(scenario: Scenario, cell: Cell, recorded: Recorded) -> Document:
    """Return what times and energies are made of, for who computes them anew."""
    repetition = Repetition(scenario, cell.seed, recorded.sizes)
    front = SCHEMES[cell.scheme].build(scenario, cell.seed).array.front_end
    largest = repetition.payload.largest
    twin = repetition.twin
    sent = int(repetition.matrix_sizes.sum())
    booked = sent if twin is None else repetition.payload.booked(twin, largest).entries
    return {
        "facts": {
            "entries": sent,
            "booked_entries": booked,
            "cycles_per_sample": float(repetition.cycles_per_sample.max()),
            "chains": front.chains,
            "ports": front.ports,
            "surface": front.surface,
            "books": _books(scenario),
        }
    }


BOOKS = {
    "client_processor": ("kappa", "flop_per_cycle"),
    "array": ("antennas", "selection_places", "drive", "drive_power_w"),
    "radio": ("base_station_power_dbm", "bandwidth_hz", "efficiency", "hardware"),
    "planning": ("overlap",),
}
"""Settings that times and energies are made of, for benchmarks/recompute.py."""


def _books(scenario: Scenario) -> Document:
    """Return these settings, without what is not set."""
    given = scenario.to_dict()
    found = {part: {name: given[part][name] for name in names} for part, names in BOOKS.items()}
    hardware = found["radio"]["hardware"]
    found["radio"]["hardware"] = {k: v for k, v in hardware.items() if v is not None}
    return found


def _planned(cell: Cell, study: Study, results: Results) -> Document:
    """Return what plans of a member predict, by device and drive."""
    scenario, _ = _resolved(cell, study, results)
    pilot = _pilot(cell, study)
    booked = study.family.combinations("booked")
    if cell.part == "headline":
        booked = [Condition((), ())]
    elif cell.scheme != PROPOSAL:
        drive = study.family.run_with["drive"]
        booked = [condition for condition in booked if condition["drive"] == drive]
    if study.reduced:
        booked = booked[:2]
    sizes = measure(scenario, cell.seed)
    plans: dict[str, Document] = {}
    for condition in booked:
        more = [
            *condition.settings,
            f"planning.target_loss={scenario.planning.target_loss!r}",
        ]
        here = study.scenario(cell, more)
        repetition = replace(Repetition.open(here, cell.seed, sizes=sizes), pilot=pilot)
        plans[condition.name] = _predicted(repetition, cell.scheme)
    return {"plans": plans}


def _predicted(repetition: Repetition, scheme: str) -> Document:
    nothing = {"rounds": None, "time_s": None, "energy_j": None, "mse": None}
    try:
        forecast = plan_run(repetition, scheme).plan.forecast
    except InputError as error:
        return {**nothing, "infeasible": str(error)}
    assert forecast is not None
    return {name: getattr(forecast, name) for name in nothing}


def _pilot(cell: Cell, study: Study) -> Pilot:
    """Return the pilot of a payload and a seed; it is run once and kept in the cache.

    Losses and updates of a pilot have no errors of the air, so one serves all conditions.
    """
    name = f"{cell.part}-{cell.base}-{cell.payload}-{cell.seed}{'-tiny' * study.reduced}"
    folder = Path(study.cache) / "claims-pilots" / name
    if not (folder / FILE).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "pilot.lock"):
            if not (folder / FILE).is_file():
                plain = replace(cell, member=PROPOSAL, costs=STAND_IN)
                scenario = pilot_scenario(study.scenario(plain))
                write_pilot(run_pilot(scenario, cell.seed, _learners()), folder)
    return read_pilot(folder)


def environment(study: Study) -> Document:
    """Return machine and packages."""
    return record.environment(study.scenario(study.of_family(study.drawn[0], IDEAL, 0)))
