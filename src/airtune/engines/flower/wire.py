"""What of adapters, updates and states travels between the run and the nodes.

Both sides know the payload: of an adapter travel the entries that some round moves, of an update
those of its round, or the numbers in front where differences of the loss are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airtune.engines.flower.frames import Arrays
from airtune.errors import FailedError, shown

if TYPE_CHECKING:
    from airtune.learning.payload import Payload
    from airtune.learning.results import ClientState

Row = NDArray[np.float32]


def adapter_part(adapter: Row, initial: Row, payload: Payload) -> Row:
    """Return the entries of an adapter that travel: those that rounds move, or all.

    Parameters
    ----------
    adapter, initial : ndarray, float32, shape (d,)
        All travel where others differ from the beginning, as a server's own step may make them.
    payload : Payload
    """
    movable = payload.movable
    if movable is None:
        return adapter
    whole = initial.copy()
    whole[movable] = adapter[movable]
    return adapter[movable] if np.array_equal(whole, adapter) else adapter


def whole_adapter(part: Row, initial: Row, payload: Payload) -> Row:
    """Return the adapter of which :func:`adapter_part` has travelled.

    Returns
    -------
    ndarray, float32, shape (d,) or (d + D,)
        A change of the frozen weights follows where one was sent.

    Raises
    ------
    FailedError
        Another number of entries came.
    """
    if len(part) == len(initial) or len(part) == len(initial) + changed(payload, len(part)):
        return part.astype(np.float32)
    movable, whole = payload.movable, initial.copy()
    if movable is None or len(movable) != len(part):
        raise FailedError(
            f"engine.name = 'flower': an adapter of {len(part)} entries came, of {len(initial)}"
        )
    whole[movable] = part
    return whole


def changed(payload: Payload, count: int) -> int:
    """Return the entries D of a change of the frozen weights; 0 where `count` holds no more.

    `digital.aggregation` of exact products has one follow the adapter.
    """
    from airtune.learning.exact import pairs_of

    return sum(pair.size for pair in pairs_of(payload.matrices)) if count > payload.total else 0


def rows_part(
    rows: Row, payload: Payload, round_index: int, states: Mapping[int, ClientState]
) -> tuple[Row, str]:
    """Return what travels of updates, row by row, and its kind.

    Parameters
    ----------
    rows : ndarray, float32, shape (S, d)
    payload : Payload
    round_index : int
    states : mapping of int to dict of str to ndarray
        Of the clients before the round.

    Returns
    -------
    part : ndarray, float32, shape (S, n)
    kind : str
        ``entries`` of the payload, the numbers in ``front``, or ``all``.
    """
    from airtune.learning.zeroth_order import PROBES, asks

    count = [int(state[PROBES][0]) for state in states.values() if asks(state)]
    front = rows[:, : max(count)] if count else rows
    entries = payload.entries(round_index)
    kept = rows if entries is None else rows[:, entries]
    for part, kind in ((front, "front"), (kept, "entries")):
        if part.shape[1] < rows.shape[1] and np.count_nonzero(part) == np.count_nonzero(rows):
            return part, kind
    return rows, "all"


def whole_rows(part: Row, kind: str, payload: Payload, round_index: int) -> Row:
    """Return the updates of which :func:`rows_part` has travelled, shape (S, d).

    Raises
    ------
    FailedError
        They are not of that form.
    """
    width = part.shape[1] if part.ndim == 2 else 0
    known = {"entries": payload.entries(round_index), "front": np.arange(width), "all": None}
    if kind not in known:
        raise FailedError(f"engine.name = 'flower': a node sent updates of kind {shown(kind)}")
    entries = known[kind]
    count = payload.total if entries is None else len(entries)
    if part.ndim != 2 or part.shape[1] != count or count > payload.total:
        raise FailedError(
            f"engine.name = 'flower': a node sent updates of shape {part.shape}; each has "
            f"{payload.total} entries, of which {count} travel"
        )
    if count == payload.total:
        return part
    rows = np.zeros((len(part), payload.total), np.float32)
    rows[:, entries] = part
    return rows


def state_arrays(states: Mapping[int, ClientState]) -> Arrays:
    """Return states of clients as arrays with the client in their names.

    Examples
    --------
    >>> packed = state_arrays({3: {"control": np.ones(2)}})
    >>> list(packed), states_of(packed)
    (['state/3/control'], {3: {'control': array([1., 1.])}})
    """
    return {
        f"state/{client}/{name}": array
        for client, state in states.items()
        for name, array in state.items()
    }


def states_of(arrays: Arrays) -> dict[int, ClientState]:
    """Return the states of clients that are among the arrays of a message."""
    found: dict[int, ClientState] = {}
    for key, array in arrays.items():
        if key.startswith("state/"):
            _, client, name = key.split("/", 2)
            found.setdefault(int(client), {})[name] = np.array(array)
    return found


def assigned(
    claims: Mapping[str, Sequence[int]], count: int, alone: Sequence[str] = ()
) -> dict[str, list[int]]:
    """Return which clients each node is: those that it names, the others shared out.

    Parameters
    ----------
    claims : mapping of str to sequence of int
        By node; of no clients where it takes what is left.
    count : int
        Clients K.
    alone : sequence of str
        Nodes that take nothing but what they name.

    Raises
    ------
    InputError
        A client is named twice or does not exist, or nobody takes one.

    Examples
    --------
    >>> assigned({"7": [], "9": [1], "8": []}, 4)
    {'7': [0, 3], '9': [1], '8': [2]}
    """
    from airtune.errors import InputError

    taken = [client for named in claims.values() for client in named]
    for client in taken:
        if client >= count:
            raise InputError(
                f"clients.count = {count}: a node is client {client}; clients count from 0"
            )
        if taken.count(client) > 1:
            raise InputError(f"--clients: two nodes of the federation are client {client}")
    open_nodes = [node for node, named in claims.items() if not named and node not in alone]
    left = [client for client in range(count) if client not in taken]
    if left and not open_nodes:
        raise InputError(
            f"clients.count = {count}: no node of the federation is client {shown(left)[1:-1]}"
        )
    shared = {node: left[i :: len(open_nodes)] for i, node in enumerate(open_nodes)}
    return {node: list(named) or shared.get(node, []) for node, named in claims.items()}
