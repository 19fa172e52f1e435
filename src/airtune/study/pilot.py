"""The pilot: a few rounds without the errors of the air, of which a plan predicts.

It is run once for a scenario and a seed, and kept in the cache beside the pre-trained model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airtune.bound.forecast import noise_inflation
from airtune.engines import Engine, RoundUpdates
from airtune.engines.wrapped import WrappedEngine
from airtune.errors import FailedError, InputError, clip, shown
from airtune.learning.folders import cached, is_cached
from airtune.planning.payload_choice import candidates, is_planned, with_payload
from airtune.planning.pilot import LOSSES, Pilot
from airtune.record.files import parse_json
from airtune.record.whole import open_file
from airtune.registry import ENGINES
from airtune.scenario import Budget, Faults, Planning, Scenario
from airtune.study.dependence import depends_on
from airtune.study.engine import sharing
from airtune.study.kept_pilots import read_kept

if TYPE_CHECKING:
    from airtune.engines.base import Progress
    from airtune.learning.learner import Prepare
    from airtune.learning.results import ClientState
    from airtune.learning.sizes import Sizes
    from airtune.planning.repetition import Repetition

    Started = tuple[Engine, Sizes]

VERSION = 2
"""Raise it whenever a pilot measures something else."""

KIND, FILE = "pilot", "pilot.json"

PART = 4
"""One over the share of each batch that is computed once more, for the noise of the batches."""

UPLOAD = "digital"
"""Scheme whose radio a pilot by the clients is booked with: all updates arrive."""

UPLOAD_BITS = 16
"""Bits of an entry in these books."""


def find_pilot(
    scenario: Scenario,
    seed: int,
    prepare: Prepare,
    progress: Progress | None = None,
    started: Started | None = None,
) -> Pilot | None:
    """Return the pilot of a scenario and a seed; None where its plan needs none.

    Parameters
    ----------
    scenario : Scenario
        `planning.pilot` says whether clients or server run it, or where an earlier one is.
    seed : int
        Root of the random streams of the repetition.
    prepare : callable
        Makes the learner, as :func:`airtune.learning.learner.prepare` does.
    progress : callable, optional
    started : (Engine, Sizes), optional
        The engine of the run that is planned, to be used for a pilot by the clients as well, but
        under `label-noise`, where one is `local`; by default one is started and closed.

    Raises
    ------
    InputError
        A file holds no pilot, the pilot's data cannot be used, or its loss is not finite.
    """
    if not scenario.planning.predicts:
        return None
    by = scenario.planning.pilot
    if by not in ("clients", "server"):
        return read_pilot(Path(by))
    with _named(by):
        return _found(scenario, seed, prepare, progress, started)


@contextmanager
def _named(by: str) -> Iterator[None]:
    """Let messages about the data of the server's pilot name the setting that holds them."""
    own, public = "data.source", "planning.pilot_source"
    try:
        yield
    except InputError as error:
        if by == "server" and str(error).startswith(own):
            raise InputError(f"{public}{str(error).removeprefix(own)}") from error
        raise


def _found(
    scenario: Scenario,
    seed: int,
    prepare: Prepare,
    progress: Progress | None,
    started: Started | None,
) -> Pilot:
    """Return the pilot that the cache has, or run it; parameters are those of `find_pilot`."""
    by, alone = scenario.planning.pilot, pilot_scenario(scenario)
    facts, cache = _facts(alone, seed), Path(scenario.cache)
    if facts is not None and is_cached(cache, KIND, facts):
        folder = cached(cache, KIND, facts, lambda folder: None)
        try:
            return _parsed(folder / FILE)
        except InputError:
            facts = None  # damaged: made again, and not kept
    poison = scenario.faults.poison
    if poison.active and poison.kind == "label-noise":
        # clients of that engine learn from wrong answers, those of a pilot do not; a second one of
        # its kind would wait for the workers of the first
        started = None
        local = alone.engine.model_copy(update={"name": "local"})
        alone = alone.model_copy(update={"engine": local})
    pilot = run_pilot(alone, seed, prepare, progress, by=by, started=started)
    if facts is not None:
        cached(cache, KIND, facts, lambda folder: _write(folder / FILE, _text(pilot)))
    return pilot


def find_pilots(
    scenario: Scenario,
    seed: int,
    prepare: Prepare,
    progress: Progress | None = None,
    started: Started | None = None,
    kept: Path | None = None,
) -> dict[str, Pilot]:
    """Return the pilots of a scenario and a seed, by the payload that they send.

    Where `aggregation.payload` is planned there is one for each candidate, on an engine that shares
    what the engine of the run has started, or else starts by itself and is closed; else one by the
    name ``""``, or none where the plan needs none.  Parameters and errors are those of
    :func:`find_pilot`; those in the file `kept`, of a run that goes on, come first.
    """
    if scenario.planning.predicts and kept is not None:
        payloads = candidates(scenario) if is_planned(scenario) else ("",)
        before = read_kept(kept, pilots_key(scenario, seed), payloads)
        if before is not None:
            return before
    if is_planned(scenario):
        found = {}
        for name in candidates(scenario):
            own = with_payload(scenario, name)
            shared = sharing(started, own)
            if one := find_pilot(own, seed, prepare, progress, shared):
                found[name] = one
        return found
    pilot = find_pilot(scenario, seed, prepare, progress, started)
    return {} if pilot is None else {"": pilot}


def pilots_key(scenario: Scenario, seed: int) -> str | None:
    """Return a digest of what the pilots of a scenario and a seed depend on; None: not known.

    Versions of packages do not count: a run goes on with the pilots that it began with.
    """
    facts = _facts(pilot_scenario(scenario), seed)
    if facts is None:
        return None
    own = {name: value for name, value in facts.items() if name != "versions"}
    text = json.dumps(own, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_pilot(path: Path) -> Pilot:
    """Return an earlier pilot.

    Parameters
    ----------
    path : Path
        A file that `airtune plan` has written, or the folder that holds it.

    Raises
    ------
    InputError
        There is none.
    """
    file = path / FILE if path.is_dir() else path
    pilot = _parsed(file)
    return Pilot.from_dict(pilot.to_dict() | {"by": str(path)})


def write_pilot(pilot: Pilot, folder: Path) -> Path:
    """Write a pilot into a folder for later plans (`planning.pilot`); return the file."""
    file = folder / FILE
    _write(file, _text(pilot))
    return file


def _text(pilot: Pilot) -> str:
    return json.dumps(pilot.to_dict(), indent=1, allow_nan=False) + "\n"


def _parsed(file: Path) -> Pilot:
    try:
        with open_file(file) as opened:
            return Pilot.from_dict(parse_json(opened.read(), "it is"))
    except OSError as error:
        why = error.strerror or "not a file"
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        why = f"not a pilot: {clip(str(error))}"
    raise InputError(
        f"planning.pilot = {shown(str(file))}: {why}; must be clients, server, or a file {FILE} "
        "that `airtune plan` has written, or its folder"
    )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _facts(scenario: Scenario, seed: int) -> dict[str, Any] | None:
    """Return everything that a pilot depends on; None where that is not known.

    The day, which a template may ask for, is left out, as for the constants of the bound.
    """
    undated = scenario.data.model_copy(update={"date": None})
    known = depends_on(scenario.model_copy(update={"data": undated}))
    if known is None:
        return None
    known = {name: value for name, value in known.items() if name != "day"}
    sections = (
        *("training", "aggregation", "digital", "costs"),
        *("clients", "client_processor", "server_processor"),
    )
    settings = {name: getattr(scenario, name).model_dump(mode="json") for name in sections}
    radio = {name: getattr(scenario, name).model_dump(mode="json") for name in ("radio", "array")}
    by = scenario.planning.pilot
    return known | {"version": VERSION, "repetition": seed, "by": by, **settings, **radio}


def pilot_scenario(scenario: Scenario) -> Scenario:
    """Return the scenario of the pilot: few rounds, evaluated each, without budgets or faults."""
    planning, updates = scenario.planning, dict[str, Any]()
    if planning.pilot == "server":
        data = {"source": planning.pilot_source, "pretraining_corpus": None}
        updates["data"] = scenario.data.model_copy(update=data)
    digital = {"bits": UPLOAD_BITS, "quantizer": "uniform", "error_feedback": False}
    return scenario.model_copy(
        update={
            **updates,
            "plan": "own",
            "budget": Budget(),
            "faults": Faults(),
            "planning": Planning(pilot=planning.pilot),
            "training": scenario.training.model_copy(update={"rounds": planning.pilot_rounds}),
            "evaluation": scenario.evaluation.model_copy(update={"every": 1}),
            "digital": scenario.digital.model_copy(update=digital),
        }
    )


def run_pilot(
    scenario: Scenario,
    seed: int,
    prepare: Prepare,
    progress: Progress | None = None,
    *,
    by: str = "clients",
    started: Started | None = None,
) -> Pilot:
    """Run the rounds of a pilot at the largest batches; nothing is written.

    Parameters
    ----------
    scenario : Scenario
        As of :func:`pilot_scenario`.
    seed : int
    prepare : callable
    progress : callable, optional
    by : str
        ``clients`` or ``server``: whose processors its cost is of; the server computes here,
        whatever the engine.
    started : (Engine, Sizes), optional
        As of :func:`find_pilot`.

    Raises
    ------
    InputError
        Its loss is not finite.
    """
    from airtune.bound.calibrate import constants
    from airtune.planning.repetition import Repetition
    from airtune.rounds.federated import FederatedRun

    with ExitStack() as opened:
        if started is not None and by == "clients":
            engine, sizes = _Listening(started[0]), started[1]
        else:
            name = "local" if by == "server" else scenario.engine.name
            engine = _Listening(ENGINES[name](prepare))
            opened.callback(engine.close)
            sizes = engine.start(scenario, seed, progress)
        bound = None
        if scenario.bound.calibrated:
            bound = constants(scenario, seed, prepare(scenario, seed, progress), progress)
        repetition = Repetition(scenario, seed, sizes, bound)
        run = FederatedRun(repetition, "ideal", engine)
        rounds, losses = scenario.training.rounds, [run.first_metrics()["loss"]]
        engine.omega = repetition.omega
        for index in range(rounds):
            if progress is not None:
                progress("pilot: rounds without errors", index / rounds)
            losses.append(run.run_round()["loss"])
        if progress is not None:
            progress("pilot: rounds without errors", 1.0)
        least, most = LOSSES
        if not all(loss is not None and least <= loss <= most for loss in losses):
            raise InputError(
                f"planning.pilot: a loss of the pilot is not in {least:g} .. {most:g}; lower "
                f"training.learning_rate = {scenario.training.learning_rate:g}"
            )
        noise, gamma = engine.shares()
        time_s, energy_j = _cost(repetition, run, by)
        batches = tuple(int(x) for x in run.plan.batch_sizes)
    return Pilot(tuple(losses), batches, noise, gamma, by, time_s, energy_j)


def _cost(repetition: Repetition, run: Any, by: str) -> tuple[float, float]:
    """Return time and energy of the pilot with the measurement of its noise [s], [J]."""
    from airtune.costs import compute_energy, compute_time
    from airtune.planning.expected_radio import RadioTurn

    scenario, plan, rounds = repetition.scenario, run.plan, run.state.round
    samples = plan.batch_sizes + np.maximum(1, plan.batch_sizes // PART)
    if by == "server":
        server = scenario.server_processor
        steps = samples.sum() * scenario.training.local_steps
        cycles = rounds * steps * repetition.flop_per_sample / server.flop_per_cycle
        energy = float(compute_energy(cycles, server.f_max_hz, server.kappa))
        return float(compute_time(cycles, server.f_max_hz)), energy
    clients = repetition.inputs.clients
    cycles = clients.cycles * samples
    start = repetition.scheme(UPLOAD).array.start()
    everybody = np.ones(len(samples), dtype=np.bool_)
    costs = RadioTurn(repetition, UPLOAD, 1, start).at(everybody, start).costs
    slowest = float(np.max(compute_time(cycles, clients.f_max)))
    computing = float(compute_energy(cycles, clients.f_max, clients.kappa).sum())
    radio = float(np.sum(costs.uplink_j + costs.uplink_fixed_j + costs.pilot_j))
    return rounds * (slowest + costs.round_s), rounds * (computing + radio + costs.round_j)


@dataclass
class _Listening(WrappedEngine):
    """An engine that also measures the noise of the batches, and how unlike the updates are.

    The samples of a smaller batch are the first of the larger one, so the squared distance of both
    updates has the mean ``sigma_k^2 (1 / b - 1 / B)``.
    """

    omega: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    noise: list[float] = field(default_factory=list)
    gammas: list[float] = field(default_factory=list)

    def updates(
        self,
        adapter: NDArray[np.float32],
        clients: NDArray[np.int64],
        batch_sizes: NDArray[np.int64],
        seed: int,
        round_index: int,
        states: Mapping[int, ClientState] | None = None,
    ) -> RoundUpdates:
        full = self.engine.updates(adapter, clients, batch_sizes, seed, round_index, states)
        smaller = np.maximum(1, batch_sizes // PART)
        part = self.engine.updates(adapter, clients, smaller, seed, round_index, states)
        both = np.intersect1d(full.clients, part.clients)
        weights = self.omega[both] / max(float(self.omega[both].sum()), 1e-300)
        large = full.updates[np.isin(full.clients, both)].astype(np.float64)
        small = part.updates[np.isin(part.clients, both)].astype(np.float64)
        more, less = batch_sizes[both].astype(float), smaller[both].astype(float)
        energy = float(np.sum((weights @ large) ** 2)) if len(both) else 0.0
        if energy > 0:
            gaps = np.where(more > less, 1 / less - 1 / more, np.inf)
            variances = np.sum((large - small) ** 2, axis=1) / gaps
            self.noise.append(float(np.sum(weights**2 * variances / more)) / energy)
            self.gammas.append(noise_inflation(large, weights))
        return full

    def shares(self) -> tuple[float, float]:
        """Return the share of the noise of the batches in the mean's energy, and gamma: medians."""
        if not self.noise:
            raise FailedError("planning.pilot: no client had an update in the rounds of the pilot")
        return min(float(np.median(self.noise)), 0.95), float(np.median(self.gammas))
