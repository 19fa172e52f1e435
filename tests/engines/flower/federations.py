"""A federation without Flower: nodes of this process, which may be taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from airtune.commands.node import clients_of
from airtune.engines.flower import federation
from airtune.engines.flower.federation import Answers
from airtune.engines.flower.node import Node
from airtune.scenario import Scenario


class InProcess(federation.Federation):
    """Real nodes, asked by a call where Flower would carry a message.

    Attributes
    ----------
    opened_ones : list of InProcess
        Of the class: all that were made.
    own_data : dict of int to Path
        Of the class: files of clients that bring their own.
    """

    opened_ones: list[InProcess]
    own_data: Mapping[int, Path]

    def open(self) -> None:
        self.opened_ones.append(self)

    def start_nodes(self, options: Sequence[Sequence[str]]) -> None:
        for own in options:
            named = dict(zip(own[::2], own[1::2], strict=True))
            allowed = [own[i + 1] for i in range(0, len(own), 2) if own[i] == "--allow"]
            clients = clients_of(named["--clients"])
            data = self.own_data.get(clients[0])
            self.nodes_here.append(Running(Node(clients, data, named["--cache"], None, allowed)))

    def wait_for(self, count: int, limit_s: float, tell=None) -> list[str]:
        assert count == len(self.nodes_here)
        if tell is not None:
            tell(0)
        return [str(number) for number in range(count)]

    def ask(self, bodies, limit_s: float, here: Mapping[str, int] | None = None) -> Answers:
        answers = Answers()
        for name, body in bodies.items():
            held = self.nodes_here[int(name)]
            if held.running:
                answers.bodies[name] = held.node.answer(body)
                held.messages += 1
            else:
                answers.lost[name] = "its process has ended"
        return answers


class Running:
    """A node, and whether it is there."""

    def __init__(self, node: Node) -> None:
        self.node, self.running, self.messages = node, True, 0

    def ask_to_end(self) -> None:
        self.running = False


def secure(settings: dict, **changed) -> Scenario:
    """Return settings of a secure run, with some sections changed."""
    whole = {name: settings.get(name, {}) | own for name, own in changed.items()}
    whole["engine"] = {**settings["engine"], **changed.get("engine", {}), "secure": True}
    return Scenario.model_validate(settings | whole)
