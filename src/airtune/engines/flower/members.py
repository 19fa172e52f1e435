"""The nodes of a federation as a run knows them, and what they answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from airtune.engines.flower import frames, wire
from airtune.errors import FailedError, InputError

if TYPE_CHECKING:
    from airtune.learning.payload import Payload
    from airtune.learning.results import ClientUpdate


@dataclass
class Member:
    """A node of the federation as a run knows it.

    Attributes
    ----------
    process : int
        Its number on its machine.
    clients : list of int
    own : bool
        Whether it has data of its own.
    sizes : list of int
        Its records of each client, of a node with data of its own.
    """

    process: int
    own: bool
    digests: dict[str, Any]
    sizes: list[int]
    holdings: dict[str, list[Any]]
    clients: list[int] = field(default_factory=list)


def check_alike(members: Sequence[Member], expected: Mapping[str, Any]) -> None:
    """Refuse nodes that work on other things than this process.

    Raises
    ------
    InputError
        Names the setting.
    """
    for name, what in (
        ("data", "data.source"),
        ("model", "model.source"),
        ("adapter", "model.lora"),
    ):
        held = [m for m in members if name != "data" or not m.own]
        if any(m.digests.get(name) != expected[name] for m in held):
            raise InputError(
                f"{what}: is not the same on all nodes of the federation; use the same files, the "
                "same versions of packages and machines of one kind, or name a folder with the "
                "model"
            )


def check_same(before: Member, now: Member) -> None:
    if now.digests != before.digests:
        raise FailedError(
            "engine.name = 'flower': a node has come back with other data or another model"
        )
    before.process = now.process


def member_of(node: str, body: bytes) -> Member:
    header = _said(node, body)
    return Member(
        process=int(header["process"]),
        own=bool(header["own"]),
        digests=dict(header["digests"]),
        sizes=[int(size) for size in header["sizes"]],
        holdings=dict(header["holdings"]),
        clients=[int(client) for client in header["clients"]],
    )


def _said(node: str, body: bytes) -> frames.Header:
    """Return the header of an answer.

    Raises
    ------
    InputError, FailedError
        What came up at the node.
    """
    header, _ = frames.unpack(body)
    if "error" in header:
        kind = InputError if header.get("kind") == "input" else FailedError
        raise kind(f"{header['error']} (at node {node})")
    return header


def results_of(
    body: bytes, clients: Sequence[int], payload: Payload, round_index: int
) -> dict[int, ClientUpdate]:
    """Return the updates in a node's answer, by client."""
    from airtune.learning.results import ClientUpdate

    header = _said("of clients " + ", ".join(map(str, clients)), body)
    _, arrays = frames.unpack(body)
    rows = wire.whole_rows(arrays["updates"], str(header["kind"]), payload, round_index)
    if header["clients"] != list(clients) or len(rows) != len(clients):
        raise FailedError("engine.name = 'flower': a node sent the updates of other clients")
    states = wire.states_of(arrays)
    found: dict[int, ClientUpdate] = {}
    for i, client in enumerate(clients):
        loss = float(header["losses"][i])
        finite = bool(header["finite"][i]) and math.isfinite(loss)
        finite = finite and bool(np.isfinite(rows[i]).all())
        update = rows[i] if finite else np.zeros_like(rows[i])
        tokens = int(header["tokens"][i])
        found[client] = ClientUpdate(update, loss, tokens, finite, states.get(client, {}))
    return found


def with_own(found: dict[str, list[Any]], member: Member) -> dict[str, list[Any]]:
    """Return holdings in which a node with data of its own has what it says."""
    labels = sorted({*found["labels"], *member.holdings["labels"]})

    def counted(names: list[str], counts: list[int]) -> list[int]:
        known = dict(zip(names, counts, strict=True))
        return [known.get(label, 0) for label in labels]

    counts = [counted(found["labels"], own) for own in found["counts"]]
    for client in member.clients:
        own = member.holdings["counts"][client]
        counts[client] = counted(member.holdings["labels"], own)
    return {"labels": labels, "counts": counts}
