"""Client updates on nodes of a Flower federation, which may hold data of their own.

The run keeps the model and the validation data, and emulates the air on the updates that nodes
send; of the clients' data it needs sizes only.  A node that does not answer leaves its clients
missing in the round; when nobody is left the run stops, and goes on later from its last round.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from airtune.engines.base import Progress, RoundUpdates
from airtune.engines.flower import frames, programs, wire
from airtune.engines.flower.federation import Answers, Federation, token
from airtune.engines.flower.keeper import is_there
from airtune.engines.flower.members import (
    Member,
    check_alike,
    check_same,
    is_unknown,
    member_of,
    results_of,
    with_own,
    with_sizes,
    without,
)
from airtune.engines.flower.secure import check_blocks, check_secure, check_spread, too_few
from airtune.engines.flower.started import nodes_here, options_of
from airtune.engines.flower.sums import Report, asking, held_of, report_of, summed
from airtune.engines.local import LocalEngine, round_updates
from airtune.engines.worker import fingerprint
from airtune.errors import FailedError, InputError, RoundWarning, clip, shown
from airtune.kinds import Real
from airtune.radio.held import Lost, Weighing

if TYPE_CHECKING:
    from airtune.learning.learner import Prepare
    from airtune.learning.payload import Payload
    from airtune.learning.results import ClientState
    from airtune.learning.sizes import Sizes
    from airtune.scenario import Scenario

T = TypeVar("T")


@dataclass
class Traffic:
    """Bytes of the bodies of messages of one round.

    Attributes
    ----------
    round : int
    sent, received : int
        To and from all nodes [bytes].
    """

    round: int
    sent: int = 0
    received: int = 0


class FlowerEngine(LocalEngine):
    """Computes client updates on the nodes of a federation, and the rest here.

    Attributes
    ----------
    traffic : list of Traffic
        One of each call of :meth:`updates`.
    """

    makes_sums: ClassVar[bool] = True

    def __init__(self, prepare: Prepare) -> None:
        super().__init__(prepare)
        self.traffic: list[Traffic] = []
        self._federation: Federation | None = None
        self._members: dict[str, Member] = {}
        self._started: list[list[int]] = []
        self._lost: set[str] = set()
        self._silent: dict[str, int] = {}
        self._why = "all nodes have ended"
        self._here: dict[str, int] = {}
        self._run = token()

    @classmethod
    def check(cls, scenario: Scenario) -> None:
        """Refuse before any work what cannot run on a federation.

        Raises
        ------
        InputError
            Names the setting, its value and what is allowed.
        """
        programs.check_installed()
        check_secure(scenario)
        settings = scenario.engine
        if scenario.planning.pretraining == "planned":
            raise InputError(
                "planning.pretraining = 'planned': must be 'fixed' with engine.name = 'flower'; "
                "schemes of different pre-training would ask for federations of their own"
            )
        if scenario.model.trust_remote_code:
            raise InputError(
                "model.trust_remote_code = True: must be False with engine.name = 'flower'; a "
                "node runs no code that another machine names"
            )
        if settings.address is not None:
            if settings.address == "auto":
                raise InputError(
                    "engine.address = 'auto': must be host:port of a SuperLink, or null"
                )
            if settings.workers is None:
                raise InputError(
                    "engine.workers = null: with engine.address it must say for how many nodes of "
                    "the federation a run waits"
                )
        certificate = settings.certificate
        if certificate is not None and not Path(certificate).is_file():
            raise InputError(f"engine.certificate = {shown(certificate)}: there is no such file")
        if settings.address is not None:
            programs.check_reachable(settings.address, certificate)
        if settings.minimum_clients > scenario.clients.count:
            raise InputError(
                f"engine.minimum_clients = {settings.minimum_clients}: must be at most "
                f"clients.count = {scenario.clients.count}"
            )

    def start(self, scenario: Scenario, seed: int, progress: Progress | None = None) -> Sizes:
        tell, settings = progress or (lambda text, fraction: None), scenario.engine
        sizes = super().start(scenario, seed, progress)  # pre-trains for all who share the cache
        payload = self._payload(seed)
        for part in payload.parts if scenario.engine.secure else ():
            check_blocks(payload.blocks(part))
        tell("starting the federation", 0.0)
        certificate = None if settings.certificate is None else Path(settings.certificate)
        self._federation = Federation(settings.address, certificate)
        self._federation.open()
        count = settings.workers or nodes_here(scenario)
        if settings.address is None:
            count = min(count, scenario.clients.count)
            self._started = [list(range(scenario.clients.count))[i::count] for i in range(count)]
            self._federation.start_nodes([options_of(scenario, own) for own in self._started])
        names = self._federation.wait_for(
            count, settings.deadline_s, lambda there: tell(f"nodes there: {there} of {count}", 0.3)
        )
        tell(f"preparing {len(names)} nodes", 0.5)
        self._begin(scenario, seed, names)
        if scenario.engine.secure:
            check_spread(scenario, max(len(own.clients) for own in self._members.values()))
        tell("nodes ready", 1.0)
        return replace(sizes, data_sizes=with_sizes(sizes.data_sizes, self._members.values()))

    def processes(self) -> dict[int, list[int]]:
        """Return the clients of each node, by the number of its process on its machine."""
        return {member.process: member.clients for member in self._members.values()}

    def updates(
        self,
        adapter: NDArray[np.float32],
        clients: NDArray[np.int64],
        batch_sizes: NDArray[np.int64],
        seed: int,
        round_index: int,
        states: Mapping[int, ClientState] | None = None,
    ) -> RoundUpdates:
        scenario, known = self.learner.scenario, states or {}
        payload = self._payload(seed)
        part = wire.adapter_part(adapter, self.initial_adapter(), payload)
        asked: dict[str, list[int]] = {}
        for node, member in self._members.items():
            own = [k for k in clients.tolist() if k in member.clients]
            if own and node not in self._lost and self._silent.get(node) != round_index:
                asked[node] = own
        bodies = {
            node: frames.pack(
                {
                    "do": "updates",
                    "run": self._run,
                    "message": token(),
                    "clients": own,
                    "batch_sizes": batch_sizes[own].tolist(),
                    "seed": seed,
                    "round": round_index,
                },
                {
                    "adapter": part,
                    **wire.state_arrays({k: known[k] for k in own if k in known}),
                },
            )
            for node, own in asked.items()
        }
        answers = self._answers(scenario, seed, bodies, round_index)
        sizes = [len(bodies[node]) for node in bodies]
        self.traffic.append(
            Traffic(round_index, sum(sizes), sum(map(len, answers.bodies.values())))
        )
        if scenario.engine.secure:
            blocks = payload.blocks(payload.part(round_index))
            reports = self._read(answers, round_index, lambda n, b: report_of(b, asked[n], blocks))
            ask = partial(self._sum, reports, round_index)
            held = held_of(list(reports.values()), clients, blocks, ask)
            return replace(held, missing=without(clients, [r.clients for r in reports.values()]))
        read = self._read(
            answers,
            round_index,
            lambda n, b: results_of(b, asked[n], payload, round_index, known),
        )
        results = {k: update for own in read.values() for k, update in own.items()}
        found = np.array([k for k in clients.tolist() if k in results], dtype=np.int64)
        done = round_updates([results[k] for k in found.tolist()], found, len(adapter))
        return replace(done, missing=without(clients, read.values()))

    def _read(
        self,
        answers: Answers,
        round_index: int,
        read: Callable[[str, bytes], T],
    ) -> dict[str, T]:
        """Return what is in answers; a node whose answer is of another form is lost."""
        found: dict[str, T] = {}
        for node, body in answers.bodies.items():
            try:
                found[node] = read(node, body)
            except (InputError, FailedError) as error:
                self._lost_node(node, str(error), round_index)
        self._check_left()
        return found

    def _sum(
        self, reports: Mapping[str, Report], round_index: int, weighing: Weighing
    ) -> Real | Lost:
        """Ask nodes for their shares of a sum, which cannot be read if one of them is lost."""
        bodies = asking(weighing, reports, self._run, round_index)
        if not bodies:
            warnings.warn(
                f"engine.secure = True: round {round_index} is lost; its sum, in which others are "
                "silent, would be the update of one client or node, and is not asked for",
                RoundWarning,
                stacklevel=2,
            )
            return Lost()
        answers = self._asked(bodies)
        self.traffic[-1].sent += sum(map(len, bodies.values()))
        self.traffic[-1].received += sum(map(len, answers.bodies.values()))
        lost, read = summed(weighing, answers, list(bodies))
        for node, why in lost.items():
            self._lost_node(node, why, round_index, ", whose sum cannot be read")
        return Lost([k for node in lost for k in reports[node].clients]) if lost else read

    def holdings(self) -> dict[str, list[Any]]:
        found = super().holdings()
        for member in self._members.values():
            if member.own:
                found = with_own(found, member)
        return found

    def inputs(self) -> dict[str, Any]:
        found = dict(super().inputs())
        own = [(m.clients, m.digests["data"]) for m in self._members.values() if m.own]
        if own:
            text = json.dumps([found.get("data"), sorted(own)])
            found["data"] = hashlib.sha256(text.encode()).hexdigest()
        return found

    def close(self) -> None:
        if self._federation is not None:
            self._federation.close()
            self._federation = None
        super().close()

    def _payload(self, seed: int) -> Payload:
        from airtune.learning.payload import payload_of

        return payload_of(self.learner.scenario.aggregation, self.learner.matrices, seed)

    def _begin(self, scenario: Scenario, seed: int, names: Sequence[str]) -> None:
        """Have the nodes prepare, see that they work on the same things, and share out clients."""
        answers = self._asked(dict.fromkeys(names, self._beginning(scenario, seed)))
        if answers.lost:
            node, why = next(iter(answers.lost.items()))
            raise FailedError(f"engine.name = 'flower': node {node} is lost: {clip(why)}")
        for node in names:
            self._members[node] = member_of(node, answers.bodies[node], scenario.clients.count)
        inputs = super().inputs()
        expected = {name: inputs.get(name) for name in ("data", "adapter")}
        check_alike(list(self._members.values()), expected | {"model": fingerprint(self.learner)})
        alone = [node for node, member in self._members.items() if member.own]
        claims = {node: member.clients for node, member in self._members.items()}
        for node, own in wire.assigned(claims, scenario.clients.count, alone).items():
            self._members[node].clients = own
        self._here = {
            node: self._started.index(member.clients)
            for node, member in self._members.items()
            if member.clients in self._started
        }

    def _beginning(self, scenario: Scenario, seed: int) -> bytes:
        settings = scenario.to_dict()
        return frames.pack(
            {
                "do": "begin",
                "run": self._run,
                "message": token(),
                "scenario": json.loads(json.dumps(settings)),
                "seed": seed,
            }
        )

    def _asked(self, bodies: Mapping[str, bytes]) -> Answers:
        if self._federation is None:
            raise RuntimeError("FlowerEngine: call start first")
        limit = self.learner.scenario.engine.deadline_s
        return self._federation.ask(bodies, limit, self._here)

    def _answers(
        self, scenario: Scenario, seed: int, bodies: Mapping[str, bytes], round_index: int
    ) -> Answers:
        """Ask nodes; one that was begun anew since then prepares again and is asked again."""
        answers = self._asked(bodies)
        for node in answers.bodies:
            self._silent.pop(node, None)
        fresh = [node for node, body in answers.bodies.items() if is_unknown(body)]
        if fresh:
            for node in fresh:
                del answers.bodies[node]
            begun = self._asked(dict.fromkeys(fresh, self._beginning(scenario, seed)))
            ready, lost = [], begun.lost
            for node, body in begun.bodies.items():
                try:
                    now = member_of(node, body, scenario.clients.count)
                    check_same(self._members[node], now)
                    ready.append(node)
                except (InputError, FailedError) as error:
                    lost[node] = str(error)
            again = self._asked({node: bodies[node] for node in ready})
            answers.bodies |= again.bodies
            answers.lost |= lost | again.lost
        for node, why in answers.lost.items():
            self._lost_node(node, why, round_index)
        return answers

    def _lost_node(self, node: str, why: str, round_index: int, of: str = "") -> None:
        """Note a node that has not answered, or wrongly; in the next round it is asked again.

        One that was started here and has ended does not come back.
        """
        self._silent[node] = round_index
        self._why = f"node {node}: {clip(why)}"
        clients = ", ".join(map(str, self._members[node].clients))
        warnings.warn(
            f"a node of the federation has not answered, or wrongly ({self._why}); clients "
            f"{clip(clients)} are missing in round {round_index}{of}",
            RoundWarning,
            stacklevel=2,
        )
        if node in self._here and not self._alive(node):
            self._lost.add(node)

    def check_round(self, computed: RoundUpdates, selected: NDArray[np.int64]) -> None:
        there = {*selected.tolist()} - {*computed.missing}
        answered = [[k for k in own.clients if k in there] for own in self._members.values()]
        few = too_few(self.learner.scenario.engine, len(selected), answered)
        if few is not None:
            gone = all(node in self._silent or node in self._lost for node in self._members)
            raise self._stopped("all nodes of the federation are lost" if gone else few)
        self._silent.clear()

    def _check_left(self) -> None:
        """Stop where all nodes were started here and have ended: nobody comes back."""
        if self._here and not any(map(self._alive, self._here)):
            raise self._stopped("all nodes of the federation are lost")

    def _stopped(self, what: str) -> FailedError:
        return FailedError(
            f"engine.name = 'flower': {what} ({self._why}); "
            "`airtune resume` goes on from the last round"
        )

    def _alive(self, node: str) -> bool:
        """Tell whether the process of a node that was started here is there."""
        if self._federation is None:
            return False
        kept = self._federation.nodes_here[self._here[node]]
        return kept.running and is_there(self._members[node].process)
