"""Secure rounds: nodes keep their updates, report scales, and answer with shares of one sum.

A round has two messages to each node.  After the first one the node computes its updates, keeps
them, and answers with losses, scales and a public key that was made for this round.  The second one
says what the air makes of each client's symbols and which nodes are in the sum; the node answers
with the sum over its clients in whole steps modulo 2^32 under masks that cancel in the sum of all
(:mod:`airtune.engines.flower.masks`), once, and forgets updates and key.  Where a node is lost
between the two the sum cannot be read, and the round makes no step: nothing is asked for again, for
two sums of the same updates would tell more than one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airtune.engines.base import RoundUpdates
from airtune.engines.flower import frames, masks
from airtune.engines.flower.federation import Answers, token
from airtune.engines.flower.given import ONCE, Given, sum_of
from airtune.engines.flower.members import (
    FARTHEST,
    LARGEST,
    list_of,
    losses_of,
    said_by,
    truth_of,
    well_formed,
    whole_number,
)
from airtune.engines.flower.secure import check_blocks
from airtune.engines.local import round_updates
from airtune.errors import FailedError, InputError, clip
from airtune.kinds import Floating, Integer, Real
from airtune.radio.held import Ask, HeldUpdates, Weighing
from airtune.radio.scales import report_scales

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from airtune.learning.payload import Payload
    from airtune.learning.results import ClientUpdate


@dataclass
class Kept:
    """What a node keeps between the two messages of a round.

    Attributes
    ----------
    round : int
    rows : dict of int to ndarray, float, shape (n,)
        What each client sends of its update, of those whose update is finite.
    blocks : ndarray, int, shape (B,)
    key : X25519PrivateKey
    """

    round: int
    rows: dict[int, Floating]
    blocks: Integer
    key: X25519PrivateKey


def kept_of(
    results: Sequence[ClientUpdate],
    clients: Sequence[int],
    payload: Payload,
    round_index: int,
    clip_norm: float | None,
) -> tuple[Kept, bytes]:
    """Return what a node keeps of the updates that it has computed, and its report of them.

    Raises
    ------
    InputError
        The clients have states, which would travel and tell of their updates, or the scales of few
        entries would tell them.
    """
    if any(result.state for result in results):
        raise InputError(
            "engine.secure = True: must be False with an objective or a scheme whose clients keep "
            "states; they would travel without masks"
        )
    blocks = payload.blocks(payload.part(round_index))
    check_blocks(blocks)
    rows = np.array([result.update for result in results], np.float32)
    coded = payload.coded(rows, round_index, clip_norm)
    finite = [
        bool(result.finite and np.isfinite(row).all())
        for result, row in zip(results, coded, strict=True)
    ]
    coded = np.where(np.array(finite)[:, None], coded, np.float32(0.0))
    scales = report_scales(coded, blocks)
    key = masks.new_key()
    kept = Kept(
        round_index,
        {k: row for k, row, whole in zip(clients, coded, finite, strict=True) if whole},
        blocks,
        key,
    )
    header = {
        "clients": list(clients),
        "losses": [float(result.loss) for result in results],
        "tokens": [int(result.tokens) for result in results],
        "finite": finite,
        "key": masks.public_of(key).hex(),
    }
    return kept, frames.pack(header, {"means": scales.means, "deviations": scales.deviations})


def share_of(
    kept: Kept | None, header: frames.Header, arrays: frames.Arrays, given: Given
) -> bytes:
    """Return a node's share of a sum, under masks.

    Parameters
    ----------
    kept : Kept or None
        None: it was given away already, or the node has not computed.
    header, arrays
        The second message of a round, as :func:`asking` makes it.
    given : Given
        Sums that the node has been in.

    Raises
    ------
    FailedError
        The sum is not one that a node takes part in.
    """
    if kept is None or header["round"] != kept.round:
        raise FailedError(ONCE)
    nodes = {str(key): [int(k) for k in clients] for key, clients in header["nodes"]}
    own, named = masks.public_of(kept.key).hex(), [k for group in nodes.values() for k in group]
    weighing = _weighing(nodes.get(own, []), header, arrays)
    sizes = [kept.blocks.tolist(), [int(kept.blocks.sum())]]
    if (
        len(nodes) != len(header["nodes"])
        or len({*named}) != len(named)
        or len(nodes) < 2
        or not all(nodes.values())
        or not len(weighing.clients)
        or not {*weighing.clients.tolist()} <= {*kept.rows}
        or weighing.sizes.tolist() not in sizes
    ):
        raise FailedError(
            "engine.secure = True: a node takes no part in a sum of fewer than two nodes, "
            "without itself, or of other updates than it has reported"
        )
    total = np.zeros(weighing.length // 2, np.complex128)
    for row, client in enumerate(weighing.clients.tolist()):
        total += weighing.symbols(kept.rows[client].astype(np.float64), row)
    words = masks.words_of(total.view(np.float64), weighing.step)
    others = [bytes.fromhex(key) for key in nodes if key != own]
    given.note(
        kept.round, {k: kept.rows[k] for k in weighing.clients.tolist()}, sum_of(nodes, weighing)
    )
    return frames.pack({}, {"sum": masks.masked(words, kept.key, others, _told(header, weighing))})


def _told(header: frames.Header, weighing: Weighing) -> bytes:
    """Return the digest of what all nodes of a sum are told."""
    return masks.transcript(
        {
            "run": header["run"],
            "round": header["round"],
            "nodes": header["nodes"],
            "step": weighing.step,
            "sizes": weighing.sizes.tolist(),
            "sent": weighing.sent.tolist(),
        }
    )


def _weighing(clients: Sequence[int], header: frames.Header, arrays: frames.Arrays) -> Weighing:
    """Return what a node is told to make of its updates."""
    sizes, sent = arrays["sizes"].astype(np.int64), arrays["sent"].astype(np.bool_)
    shape = (len(clients), len(sizes))
    gains, step = arrays["gains"].astype(np.float64), float(header["step"])
    weighing = Weighing(
        np.array(clients, np.int64),
        gains[:, 0] + 1j * gains[:, 1],
        arrays["factors"].astype(np.float64),
        arrays["means"].astype(np.float64),
        sizes,
        sent,
        step,
    )
    if weighing.factors.shape != shape or weighing.means.shape != shape or sent.shape != shape[1:]:
        raise FailedError("engine.secure = True: a sum was asked for with numbers of another form")
    if len(gains) != len(clients) or not (np.isfinite(step) and step > 0):
        raise FailedError("engine.secure = True: a sum was asked for without the clients' gains")
    return weighing


@dataclass(frozen=True)
class Report:
    """What a node says of updates that it keeps.

    Attributes
    ----------
    clients : tuple of int
    losses : tuple of float
    finite : tuple of bool
    means, deviations : ndarray, float, shape (S, B)
    key : str
        Public key, hexadecimal.
    """

    clients: tuple[int, ...]
    losses: tuple[float, ...]
    finite: tuple[bool, ...]
    means: Real
    deviations: Real
    key: str


@well_formed
def report_of(body: bytes, clients: Sequence[int], blocks: Integer) -> Report:
    """Return the report in a node's answer.

    Raises
    ------
    InputError, FailedError
        What came up at the node, or what is wrong with its answer.
    """
    header = said_by("of clients " + ", ".join(map(str, clients)), body)
    _, arrays = frames.unpack(body)
    if header["clients"] != list(clients):
        raise FailedError("engine.name = 'flower': a node reported on other clients")
    shape = (len(clients), len(blocks))
    means, deviations = arrays["means"], arrays["deviations"]
    for array in (means, deviations):
        if array.shape != shape or array.dtype != np.float64:
            raise ValueError(f"scales of {array.dtype} and shape {array.shape} must be {shape}")
        if not (np.abs(array) <= FARTHEST).all():
            raise ValueError(f"a scale is not finite or above {FARTHEST:g}")
    if (deviations < 0).any():
        raise ValueError("a deviation is negative")
    key = bytes.fromhex(header["key"])
    if len(key) != masks.KEY:
        raise ValueError(f"a key has {len(key)} bytes and not {masks.KEY}")
    for number in list_of(header["tokens"], len(clients)):
        whole_number(number, 0, LARGEST)
    losses = tuple(losses_of(header["losses"], len(clients)))
    finite = tuple(truth_of(one) for one in list_of(header["finite"], len(clients)))
    whole = tuple(one and bool(np.isfinite(loss)) for one, loss in zip(finite, losses, strict=True))
    return Report(tuple(clients), losses, whole, means, deviations, key.hex())


@well_formed
def words_in(body: bytes, length: int) -> masks.Words:
    """Return the share in a node's answer, shape (length,)."""
    said_by("of a sum", body)
    words = frames.unpack(body)[1]["sum"]
    if words.dtype != np.uint32 or words.shape != (length,):
        raise ValueError(f"{words.dtype} of shape {words.shape} for {length} words")
    return words


def held_of(
    reports: Sequence[Report], clients: NDArray[np.int64], blocks: Integer, ask: Ask
) -> RoundUpdates:
    """Return the updates of a round that stay with the nodes, in the order of its clients."""
    from airtune.learning.results import ClientUpdate

    nothing, found = np.zeros(1, np.float32), dict[int, tuple[ClientUpdate, Real, Real]]()
    for report in reports:
        for i, client in enumerate(report.clients):
            one = ClientUpdate(nothing, report.losses[i], 0, report.finite[i])
            found[client] = one, report.means[i], report.deviations[i]
    order = np.array([k for k in clients.tolist() if k in found], dtype=np.int64)
    done = round_updates([found[k][0] for k in order.tolist()], order, 1)
    held = HeldUpdates(
        done.clients,
        blocks,
        np.array([found[k][1] for k in done.clients.tolist()]).reshape(-1, len(blocks)),
        np.array([found[k][2] for k in done.clients.tolist()]).reshape(-1, len(blocks)),
        ask,
    )
    return replace(done, updates=np.zeros((len(done.clients), 0), np.float32), held=held)


def asking(
    weighing: Weighing, reports: Mapping[str, Report], run: str, round_index: int
) -> dict[str, bytes]:
    """Return the second message of a round to each node that has clients in the sum.

    None to anybody where the sum would be the update of one client, or of one node.
    """
    varied = {
        k: node
        for node, report in reports.items()
        for k, own in zip(report.clients, report.deviations, strict=True)
        if own.any()  # what else is in a sum is known from the reports
    }
    heard = weighing.clients[weighing.gains != 0].tolist()
    if len({varied[k] for k in heard if k in varied}) < 2:
        return {}
    parts = {
        node: np.isin(weighing.clients, report.clients)
        for node, report in reports.items()
        if np.isin(weighing.clients, report.clients).any()
    }
    header = {
        "do": "sum",
        "run": run,
        "round": round_index,
        "nodes": [[reports[n].key, weighing.clients[own].tolist()] for n, own in parts.items()],
        "step": weighing.step,
    }
    return {
        node: frames.pack({**header, "message": token()}, _told_to(weighing.of(own)))
        for node, own in parts.items()
    }


def _told_to(weighing: Weighing) -> dict[str, NDArray[Any]]:
    """Return the arrays of a message that asks for a sum."""
    return {
        "gains": np.stack([weighing.gains.real, weighing.gains.imag], axis=1),
        "factors": weighing.factors,
        "means": weighing.means,
        "sizes": weighing.sizes,
        "sent": weighing.sent.astype(np.uint8),
    }


def summed(
    weighing: Weighing, answers: Answers, asked: Sequence[str]
) -> tuple[dict[str, str], Real]:
    """Return the sum that the nodes' shares make up.

    Parameters
    ----------
    weighing : Weighing
    answers : Answers
    asked : sequence of str
        Nodes of the sum.

    Returns
    -------
    lost : dict of str to str
        Nodes whose share is not there, and why: the sum has no meaning with one of them.
    numbers : ndarray, float, shape (length,)
    """
    total, lost = np.zeros(weighing.length, np.uint32), dict(answers.lost)
    for node in asked:
        if node not in answers.bodies:
            continue
        try:
            total = total + words_in(answers.bodies[node], weighing.length)
        except (InputError, FailedError) as error:
            lost[node] = clip(error)
    return lost, masks.numbers_of(total, weighing.step)
