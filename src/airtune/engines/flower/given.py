"""What a node has given to sums: no update goes into a second one, whoever asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from airtune.engines.flower import masks
from airtune.errors import FailedError
from airtune.kinds import Floating
from airtune.radio.held import Weighing

ONCE = "engine.secure = True: a node has no updates for this sum; it gives those of a round once"


class Given:
    """Remembers sums as long as the process of a node lives; not updates, only digests of them.

    Two sums of the same updates with other weights, or of other clients, are two equations.  The
    same sum again, as a resumed run asks for, tells nothing new.
    """

    def __init__(self) -> None:
        self._round = 0
        self._sums: dict[bytes, bytes] = {}

    def begin(self) -> None:
        """Begin another run, whose rounds count from 1 or where it goes on."""
        self._round = 0

    def check_round(self, index: int) -> None:
        """Refuse to compute a round again after its sum.

        Raises
        ------
        FailedError
            A share of this round or of a later one has been given in this run.
        """
        if index <= self._round:
            raise FailedError(ONCE)

    def note(self, index: int, rows: Mapping[int, Floating], into: bytes) -> None:
        """Note that updates of a round go into a sum.

        Parameters
        ----------
        index : int
        rows : dict of int to ndarray, float32, shape (n,)
            Updates by client; those of zeros tell nothing.
        into : bytes
            Digest of the sum, :func:`sum_of`.

        Raises
        ------
        FailedError
            One has gone into another sum.
        """
        found = {hashlib.sha256(row.tobytes()).digest(): into for row in rows.values() if row.any()}
        if any(self._sums.get(update, into) != into for update in found):
            raise FailedError(
                "engine.secure = True: a node has given these updates to another sum, of this run "
                "or of one before; two sums of them would tell more than one"
            )
        self._sums |= found
        self._round = index


def sum_of(nodes: Mapping[str, list[int]], weighing: Weighing) -> bytes:
    """Return a digest of a sum as a node is asked for it, whatever keys are used for its masks.

    Parameters
    ----------
    nodes : dict of str to list of int
        Clients of each node of the sum.
    weighing : Weighing
        Of the clients of this node.
    """
    facts: dict[str, Any] = {
        "clients": sorted(sorted(clients) for clients in nodes.values()),
        "gains": [[gain.real, gain.imag] for gain in weighing.gains.tolist()],
        "factors": weighing.factors.tolist(),
        "means": weighing.means.tolist(),
        "sizes": weighing.sizes.tolist(),
        "sent": weighing.sent.tolist(),
        "step": weighing.step,
    }
    return masks.transcript(facts)
