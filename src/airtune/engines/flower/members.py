"""The nodes of a federation as a run knows them, and the boundary at which answers are checked.

Whatever a node answers, it is either of the form that is expected of it or an error that says why.
A run does not begin with a node that answers wrongly.  Later such a node, of another version or one
that means harm, is lost for the round as if it had not answered, and the others go on.  What has
the form is believed: that an update is honest cannot be seen at this door.  A node that lies within
the bounds can silence others in a round or spoil what is learnt, as any poisoned client can.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from airtune.engines.flower import frames, wire
from airtune.engines.flower.allowed import LABEL, LABELS
from airtune.errors import FailedError, InputError, clip

if TYPE_CHECKING:
    from airtune.learning.payload import Payload
    from airtune.learning.results import ClientState, ClientUpdate

RECORDS = 10**9
"""Records of a client at most: updates are weighed by them."""

LARGEST = 10**12
"""Tokens of an update at most."""

FARTHEST = 1e10
"""Largest number of an update, its scales, its state and its loss.

Beside larger ones the air cannot be computed.  There is no bound between those of several nodes:
clients whose updates vanish beside others stay silent (:data:`airtune.radio.scales.LEAST`).
"""

STATES, NAME = 16, 64
"""Arrays of a client's state, and characters of the name of one, at most."""

P = ParamSpec("P")
T = TypeVar("T")

DIGESTS = ("data", "adapter", "device", "model")


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


def well_formed(read: Callable[P, T]) -> Callable[P, T]:
    """Return a function that says of an answer of another form that it is one."""

    @functools.wraps(read)
    def reading(*given: P.args, **named: P.kwargs) -> T:
        try:
            return read(*given, **named)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise FailedError(
                f"engine.name = 'flower': a node has sent an answer of another form "
                f"({type(error).__name__}: {clip(error)})"
            ) from None

    return reading


@well_formed
def member_of(node: str, body: bytes, count: int) -> Member:
    """Return what a node says of itself, one of a run with so many clients.

    Raises
    ------
    InputError, FailedError
        What came up at the node, or what is wrong with its answer.
    """
    header = said_by(node, body)
    own, clients = (
        truth_of(header["own"]),
        [whole_number(k, 0, count - 1) for k in header["clients"]],
    )
    digests = {name: header["digests"][name] for name in DIGESTS}
    if not all(value is None or isinstance(value, str | int) for value in digests.values()):
        raise ValueError("a digest must be text or a number")
    sizes: list[int] = []
    holdings: dict[str, list[Any]] = {"labels": [], "counts": []}
    if own:
        if len(clients) != 1:
            raise ValueError(f"data of its own are those of one client, and not of {len(clients)}")
        sizes = [whole_number(size, 0, RECORDS) for size in list_of(header["sizes"], count)]
        holdings = _holdings(header["holdings"], sizes)
        if not sizes[clients[0]]:
            raise ValueError("it holds no records")
    return Member(whole_number(header["process"], 1, 2**31), own, digests, sizes, holdings, clients)


def _holdings(said: Mapping[str, Any], sizes: Sequence[int]) -> dict[str, list[Any]]:
    """Return labels and counts of them, which make up the sizes."""
    labels = list(said["labels"])
    if len(labels) > LABELS or not all(isinstance(n, str) and len(n) <= LABEL for n in labels):
        raise ValueError(f"at most {LABELS} labels of {LABEL} characters each are allowed")
    if len({*labels}) < len(labels):
        raise ValueError("a label is there twice")
    counts = [
        [whole_number(n, 0, RECORDS) for n in list_of(own, len(labels))]
        for own in list_of(said["counts"], len(sizes))
    ]
    if [sum(own) for own in counts] != list(sizes):
        raise ValueError("the counts of its labels are not those of its records")
    return {"labels": labels, "counts": counts}


def whole_number(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{clip(value)} must be a whole number from {least} to {most}")
    return value


def truth_of(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{clip(value)} must be true or false")
    return value


def list_of(values: Any, count: int) -> list[Any]:
    """Return a list of so many values."""
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"a list of {count} values is expected")
    return values


def said_by(node: str, body: bytes) -> frames.Header:
    """Return the header of an answer.

    Raises
    ------
    InputError, FailedError
        What came up at the node.
    """
    header, _ = frames.unpack(body)
    if "error" in header:
        kind = InputError if header.get("kind") == "input" else FailedError
        raise kind(f"{clip(header['error'])} (at node {node})")
    return header


def is_unknown(body: bytes) -> bool:
    """Tell whether a node answers that it has not begun with the run."""
    try:
        return frames.unpack(body)[0].get("unknown") is True
    except FailedError:  # of another form, as it will be found when it is read
        return False


@well_formed
def results_of(
    body: bytes,
    clients: Sequence[int],
    payload: Payload,
    round_index: int,
    known: Mapping[int, ClientState],
) -> dict[int, ClientUpdate]:
    """Return the updates in a node's answer, by client.

    Parameters
    ----------
    body : bytes
    clients : sequence of int
        Those that it was asked for.
    payload : Payload
    round_index : int
    known : mapping of int to dict of str to ndarray
        States of the clients before the round; the next ones have the same shapes.

    Raises
    ------
    InputError, FailedError
        What came up at the node, or what is wrong with its answer.
    """
    from airtune.learning.results import ClientUpdate
    from airtune.learning.zeroth_order import PROBES, asks

    count = len(clients)
    header = said_by("of clients " + ", ".join(map(str, clients)), body)
    _, arrays = frames.unpack(body)
    if arrays["updates"].dtype != np.float32:
        raise ValueError(f"updates of {arrays['updates'].dtype} must be of float32")
    if header["kind"] == "front" and not any(asks(known.get(client)) for client in clients):
        raise ValueError("differences of the loss, which were not asked for")
    rows = wire.whole_rows(arrays["updates"], str(header["kind"]), payload, round_index)
    if header["clients"] != list(clients) or len(rows) != count:
        raise FailedError("engine.name = 'flower': a node sent the updates of other clients")
    for row, state in zip(rows, map(known.get, clients), strict=True):
        if state is not None and asks(state) and row[int(state[PROBES][0]) :].any():
            raise ValueError("gradients, where differences of the loss were asked for")
    losses = losses_of(header["losses"], count)
    tokens = [whole_number(number, 0, LARGEST) for number in list_of(header["tokens"], count)]
    told = [truth_of(finite) for finite in list_of(header["finite"], count)]
    states = wire.states_of(arrays)
    _check_states(states, clients, known, payload.total)
    found: dict[int, ClientUpdate] = {}
    for i, client in enumerate(clients):
        state = states.get(client, {})
        finite = told[i] and math.isfinite(losses[i]) and bool(np.isfinite(rows[i]).all())
        finite = finite and all(bool(np.isfinite(array).all()) for array in state.values())
        for what, numbers in {"update": rows[i], **state}.items():
            if finite and largest(numbers) > FARTHEST:
                raise ValueError(f"{what} of client {client}: an entry is above {FARTHEST:g}")
        update = rows[i] if finite else np.zeros_like(rows[i])
        found[client] = ClientUpdate(update, losses[i], tokens[i], finite, state)
    return found


def losses_of(said: Any, count: int) -> list[float]:
    """Return so many losses, which may be no numbers, but none that is out of all reason."""
    losses = [float(loss) for loss in list_of(said, count)]
    if any(math.isfinite(loss) and abs(loss) > FARTHEST for loss in losses):
        raise ValueError(f"a loss is above {FARTHEST:g}")
    return losses


def largest(numbers: NDArray[Any]) -> float:
    """Return the largest size of a number."""
    return max(float(numbers.max()), -float(numbers.min())) if numbers.size else 0.0


def _check_states(
    states: Mapping[int, ClientState],
    clients: Sequence[int],
    known: Mapping[int, ClientState],
    entries: int,
) -> None:
    """Refuse states of other clients, of other shapes than before, or longer than an adapter."""
    if others := sorted({*states} - {*clients}):
        raise ValueError(f"a state of client {others[0]}, which was not asked for")
    for client, state in states.items():
        if len(state) > STATES or not all(n.isprintable() and 0 < len(n) <= NAME for n in state):
            raise ValueError(
                f"client {client} has {len(state)} states, at most {STATES} with names of at most "
                f"{NAME} characters are read"
            )
        for name, array in state.items():
            before = known.get(client, {}).get(name)
            if before is not None and (array.shape, array.dtype) != (before.shape, before.dtype):
                raise ValueError(f"the state {name!r} of client {client} has another shape")
            if array.size > max(entries, 64) or array.dtype.kind not in "fiub":
                raise ValueError(f"the state {name!r} of client {client} is too long or no number")


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


def with_sizes(sizes: NDArray[np.int64], members: Iterable[Member]) -> NDArray[np.int64]:
    """Return the records of each client, of those with data of their own as they say."""
    found = sizes.copy()
    for member in members:
        if member.own:
            found[member.clients] = np.array(member.sizes)[member.clients]
    return found


def without(clients: NDArray[np.int64], groups: Iterable[Iterable[int]]) -> tuple[int, ...]:
    """Return those clients that are in no group."""
    there = {client for group in groups for client in group}
    return tuple(k for k in clients.tolist() if k not in there)
