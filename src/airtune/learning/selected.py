"""The selected clients of a round: one after another, side by side, or several in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from airtune.errors import FailedError, InputError
from airtune.kinds import Integer
from airtune.learning.client import Pass, Steps, alone, choose, client_steps
from airtune.learning.own_factors import keeps, personal_steps
from airtune.learning.results import ClientState, ClientUpdate, Vector
from airtune.learning.zeroth_order import asks, differences
from airtune.registry import CLIENT_OBJECTIVES
from airtune.scenario import Scenario
from airtune.scenario.learning import Training

if TYPE_CHECKING:
    from airtune.learning.client import Gradient
    from airtune.learning.joint import JointPass
    from airtune.learning.model import AdapterModel
    from airtune.learning.pass_memory import Memory
    from airtune.learning.text import Example
    from airtune.learning.workers import Workers

_Done = TypeVar("_Done")


@dataclass(frozen=True)
class Job:
    """A selected client.

    Attributes
    ----------
    client, batch_size : int
    examples : tuple of Example
        What it learns from.
    state : dict of str to ndarray or None
        Its state after its last round.
    """

    client: int
    batch_size: int
    examples: tuple[Example, ...]
    state: ClientState | None


@dataclass(frozen=True)
class Together:
    """How several clients share a pass.

    Attributes
    ----------
    joint : JointPass
    most : int or None
        Clients of a pass at most.
    memory : Memory or None
        What a pass may take.
    """

    joint: JointPass
    most: int | None
    memory: Memory | None

    def updates(self, clients: Sequence[Steps]) -> list[ClientUpdate]:
        """Return the updates of clients that make each of their local steps at the same time.

        Raises
        ------
        FailedError
            The device has too little memory left.
        """
        waiting: dict[int, Pass] = {n: next(steps) for n, steps in enumerate(clients)}
        done: dict[int, ClientUpdate] = {}
        while waiting:
            found = self._gradients(list(waiting.values()))
            for number, gradient in zip(list(waiting), found, strict=True):
                try:
                    waiting[number] = clients[number].send(gradient)
                except StopIteration as end:
                    done[number] = end.value
                    del waiting[number]
        return [done[number] for number in range(len(clients))]

    def _gradients(self, passes: Sequence[Pass]) -> list[Gradient]:
        import torch

        try:
            return self.joint.gradients([p.flat for p in passes], [p.examples for p in passes])
        except torch.OutOfMemoryError:
            asked = "auto" if self.most is None else self.most
            fewer = f"a number below {len(passes)}, " if len(passes) > 1 else ""
            raise FailedError(
                f"model.clients_per_pass = {asked}: a pass of {len(passes)} of the clients finds "
                f"too little memory on the device; {fewer}a smaller training.batch_size_max or "
                "data.max_tokens takes less"
            ) from None


def together(
    scenario: Scenario, model: AdapterModel, examples: Sequence[Example]
) -> Together | None:
    """Return how clients share a pass, as `model.clients_per_pass` says; None: each has its own.

    Parameters
    ----------
    scenario : Scenario
    model : AdapterModel
    examples : sequence of Example
        Training examples of all clients.

    Raises
    ------
    InputError
        More than one client is asked for, and dropout, the client objective or the model's layers
        do not allow it.
    """
    import torch

    from airtune.learning.joint import JointPass
    from airtune.learning.pass_memory import device_bytes, memory_of

    asked = scenario.model.clients_per_pass
    if asked == 1:
        return None
    engine, there = scenario.engine, device_bytes(model.device.kind)
    # How many nodes of a federation have the same device, none of them knows.
    if asked == "auto" and (there is None or engine.name == "flower"):
        return None
    try:
        _check(scenario)
        joint = JointPass(model)
    except ValueError as error:
        if asked == "auto":
            return None
        raise _refused(scenario, error) from None
    if asked != "auto":
        return Together(joint, asked, None)
    assert there is not None
    # The cells of a sweep over Ray have the local engine, and their part of a GPU nevertheless.
    share = min(1.0, engine.gpus_per_worker or 1.0)
    width = max(len(example.ids) for example in examples)
    try:
        return Together(joint, None, memory_of(model, joint, width, share * there))
    except torch.OutOfMemoryError:  # of two samples
        return None


def check_passes(scenario: Scenario) -> None:
    """Refuse, before a model is opened, settings under which clients cannot share a pass.

    Raises
    ------
    InputError
        More than one client is asked for, and dropout or the client objective do not allow it.
    """
    if scenario.model.clients_per_pass in ("auto", 1):
        return
    try:
        _check(scenario)
    except ValueError as error:
        raise _refused(scenario, error) from None


def _refused(scenario: Scenario, why: ValueError) -> InputError:
    asked = scenario.model.clients_per_pass
    return InputError(f"model.clients_per_pass = {asked}: {why}; allowed are auto and 1")


def _check(scenario: Scenario) -> None:
    name, dropout = scenario.training.client_objective, scenario.model.lora.dropout
    if dropout:
        raise ValueError(
            f"several clients in a pass need model.lora.dropout = 0, and it is {dropout:g}"
        )
    if not CLIENT_OBJECTIVES[name].single_pass:
        raise ValueError(
            f"training.client_objective = {name} takes more than one pass for a local step"
        )


@dataclass(frozen=True)
class Selected:
    """What the selected clients of a round compute.

    Attributes
    ----------
    model : AdapterModel
    training : Training
    workers : Workers
    seed, round_index : int
        Name the random streams.
    adapter : ndarray, float32, shape (d,)
        Global adapter.
    whole : ndarray, float32
        The same, with a change of the frozen weights behind it, if there is one.
    moved : ndarray of int
        Entries that the payload of the round sends.
    """

    model: AdapterModel
    training: Training
    workers: Workers
    seed: int
    round_index: int
    adapter: Vector
    whole: Vector
    moved: Integer | None

    def updates(self, jobs: Sequence[Job], together: Together | None) -> list[ClientUpdate]:
        """Return the updates in the order of the jobs; they do not depend on the threads.

        Parameters
        ----------
        jobs : sequence of Job
        together : Together, optional
            How clients share a pass.  Those that only make forward passes do not.
        """
        if not self.model.packs:
            self.model.load(self.whole)
        differing = any(asks(job.state) for job in jobs)
        if together is not None and not differing:
            return self._in_passes(jobs, together)
        if self.model.packs:
            return self.workers.map(self._update, jobs, self._tokens)
        # Local steps and factors of a client's own change the shared adapter, dropout the shared
        # random state.
        steady = self._steady(jobs) and not differing
        return self.workers.map(self._update, jobs) if steady else [self._update(j) for j in jobs]

    def _steady(self, jobs: Sequence[Job]) -> bool:
        training = self.training
        single = CLIENT_OBJECTIVES[training.client_objective].single_pass
        alike = not any(keeps(job.state) for job in jobs)
        return training.local_steps == 1 and self.model.settings.dropout == 0 and single and alike

    def _in_passes(self, jobs: Sequence[Job], together: Together) -> list[ClientUpdate]:
        from airtune.learning.pass_memory import groups, load_of

        steps = range(self.training.local_steps)
        loads = [load_of([self._chosen(job, step) for step in steps]) for job in jobs]
        fits = None if together.memory is None else together.memory.fits
        passes = groups(loads, together.most, fits)

        def update(numbers: list[int]) -> list[ClientUpdate]:
            return together.updates([self._steps(jobs[number]) for number in numbers])

        # An objective may ask for a gradient of its own, as in the passes of single clients.
        aside = self.model.packs or self._steady(jobs)
        found = self.workers.map(update, passes) if aside else [update(one) for one in passes]
        results = {
            n: one
            for p, done in zip(passes, found, strict=True)
            for n, one in zip(p, done, strict=True)
        }
        return [results[number] for number in range(len(jobs))]

    def _steps(self, job: Job) -> Steps:
        steps = personal_steps if keeps(job.state) else partial(client_steps, moved=self.moved)
        return self._of(job, steps)

    def _update(self, job: Job) -> ClientUpdate:
        return self._of(job, differences) if asks(job.state) else alone(self._steps(job))

    def _of(self, job: Job, work: Callable[..., _Done]) -> _Done:
        return work(
            self.model,
            self.adapter,
            job.examples,
            self.training,
            batch_size=job.batch_size,
            seed=self.seed,
            round_index=self.round_index,
            client=job.client,
            state=job.state,
        )

    def _chosen(self, job: Job, step: int) -> list[Example]:
        return choose(job.examples, job.batch_size, self.seed, self.round_index, job.client, step)

    def _tokens(self, job: Job) -> int:
        return sum(len(example.ids) for example in self._chosen(job, 0))
