"""What a round sends besides the updates: pilots, reports, and how often each is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.kinds import Integer, Mask, Real


@dataclass(frozen=True)
class Broadcast:
    """A broadcast of quantised changes.

    Attributes
    ----------
    listeners : ndarray, int
        Ascending indices of all that follow the changes, selected in the round or not.
    bits : float
        Its length.
    """

    listeners: Integer
    bits: float


@dataclass(frozen=True)
class Signalling:
    """Who sends pilots and reports in a round, and how much (system model, section 7).

    Attributes
    ----------
    sounded : ndarray, int, shape (P,), or None
        Ascending indices of the clients that send pilots; None: the selected ones.
    soundings : int
        How many times each of them sends its `radio.pilot_symbols_per_client`.
    silent_symbols : int
        Symbols in which nobody sends, for noise and interference to be measured.
    reporting : ndarray, bool, shape (S,), or None
        Who of the selected clients reports scales: not who stays silent, which the pilots decide;
        None: everyone.
    report_bits : ndarray, float, shape (S,), or None
        Length of each report [bit]; None: a report in full.
    listeners : ndarray, int, or None
        Ascending indices of the clients that have to receive the broadcast; None: the selected
        ones.
    vectors : int
        How many vectors, each as long as what clients send, the broadcast holds.
    broadcast : Broadcast or None
        Who has to hear the broadcast, and its length; None: the selected clients, and the adapters
        as they are.
    """

    sounded: Integer | None = None
    soundings: int = 1
    silent_symbols: int = 0
    reporting: Mask | None = None
    report_bits: Real | None = None
    listeners: Integer | None = None
    vectors: int = 1
    broadcast: Broadcast | None = None

    def senders(self, clients: Integer) -> Integer:
        """Return the indices of all that send anything of this, ascending; `clients`: selected."""
        if self.sounded is None or np.array_equal(self.sounded, clients):
            return clients
        return np.union1d(self.sounded, clients)

    def sends_pilots(self, senders: Integer) -> Mask:
        """Return who of the senders sends pilots, shape of `senders`."""
        if self.sounded is None:
            return np.ones(len(senders), dtype=np.bool_)
        return np.isin(senders, self.sounded)


@dataclass(frozen=True)
class Overheads:
    """What a round costs besides the upload; joules are radiated ones.

    Attributes
    ----------
    pilot_j : ndarray, float, shape (P,)
        Pilots and side information (reported scales) of each client that sends them [J].
    pilot_s : float
        Their airtime, with the time in which nobody sends [s].
    downlink_s, downlink_j : float
        Broadcast of the adapters [s], [J].
    senders : ndarray, int, shape (P,), or None
        Indices of the clients behind `pilot_j`; None: the selected ones.
    sending_s : ndarray, float, shape (P,), or None
        How long each of them sends [s]; None: in no time.
    """

    pilot_j: Real
    pilot_s: float = 0.0
    downlink_s: float = 0.0
    downlink_j: float = 0.0
    senders: Integer | None = None
    sending_s: Real | None = None

    @property
    def times_s(self) -> Real:
        """How long each client of `pilot_j` sends, shape (P,) [s]."""
        return np.zeros(len(self.pilot_j)) if self.sending_s is None else self.sending_s
