"""What an air interface is given to send, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from airtune.kinds import Floating, Integer, Mask, Real
from airtune.radio.held import HeldUpdates
from airtune.radio.impairments import Impairments
from airtune.radio.scales import Scales, report_scales

Memory = dict[int, Real]
"""What clients remember between rounds: rows of shape (d,), of those only that have sent."""


@dataclass(frozen=True)
class Uploads:
    """What the clients that transmit have to send.

    Attributes
    ----------
    updates : ndarray, float32, shape (S, d)
    clients : ndarray, int, shape (S,)
        Indices of these clients among all K.
    omega : ndarray, float, shape (S,)
        Their weights, sum 1.
    matrix_sizes : ndarray, int, shape (B,)
        Entries of each adapter matrix.
    memory : mapping of int to ndarray, float, shape (d,)
        What the interface remembers of clients that have sent before, by index.
    impairments : Impairments or None
        What goes wrong with the uploads; None: nothing.
    slot : int or None
        Which slot of the round they are sent in, where groups of clients have one each: it names
        the noise; None where all send at once.
    held : HeldUpdates or None
        Where the updates stay with the clients: the server asks for scales and one sum.  `updates`
        has no columns then.
    told : set of int
        Clients of whom the user has been warned that they vanish beside others; those of a round
        are added.
    """

    updates: Floating
    clients: Integer
    omega: Real
    matrix_sizes: Integer
    memory: Mapping[int, Real] = field(default_factory=dict)
    impairments: Impairments | None = None
    slot: int | None = None
    held: HeldUpdates | None = None
    told: set[int] = field(default_factory=set)

    @property
    def entries(self) -> int:
        """Entries d of an update."""
        return int(self.matrix_sizes.sum())

    def scales(self, sizes: Integer) -> Scales:
        """Return the scales of the updates by groups of these sizes, as measured by the clients."""
        return report_scales(self.updates, sizes) if self.held is None else self.held.scales(sizes)

    def of(self, chosen: Integer, omega: Real) -> Uploads:
        """Return the uploads of some of these clients.

        Parameters
        ----------
        chosen : ndarray, int
            Indices into the S clients.
        omega : ndarray, float
            Their weights, sum 1.
        """
        return replace(
            self,
            updates=self.updates[chosen],
            clients=self.clients[chosen],
            omega=omega,
            impairments=None if self.impairments is None else self.impairments.of(chosen),
            held=None if self.held is None else self.held.of(chosen),
        )

    @property
    def whole(self) -> Mask:
        """Whose upload does not break off, shape (S,)."""
        if self.impairments is None:
            return np.ones(len(self.clients), dtype=np.bool_)
        return self.impairments.whole


@dataclass(frozen=True)
class Reception:
    """What the server decodes, and what the air cost.

    Attributes
    ----------
    mean : ndarray, float, shape (d,)
        Decoded weighted mean of the updates.
    uplink_j : ndarray, float, shape (S,)
        Radiated energy of each client that transmits [J].
    uplink_s : float
        Airtime [s].
    effective_weights : ndarray, float, shape (K,), or None
        nu_k as reported in this round.
    mse, predicted_mse : float or None
        Realised squared error of the aggregate over ``v^2 = sum_b d_b v_b^2``, and its
        prediction.  Under a rule of `aggregation.robust` the error is that against the same rule
        on exact updates, and there is no prediction.
    memory : mapping of int to ndarray, float, shape (d,)
        What to remember of the clients that have sent now.
    transmitted : ndarray, bool, shape (S,), or None
        Whose update is in the mean: not of those who stay silent or whose packet is lost; None:
        everyone.
    noise_std : float or None
        Standard deviation of the air's noise per entry of the mean, the least of all scale groups.
    exposure : float or None
        What one client adds to the mean, as a vector, over the noise per entry: the largest of all.
    squared_bias : float or None
        Squared distance of the mean's expectation over the noise from the weighted mean of the
        updates, from misaligned clients and wrong reports; None where it is not known.
    rule_shift : float or None
        Squared distance, over v^2, of what `aggregation.robust` makes of the exact updates (or of
        the exact means of the groups) from their weighted mean; None where no rule applies.
    sending_s : ndarray, float, shape (S,), or None
        How long each client sends [s]; None: `uplink_s`, but for those who are silent.
    report_bits : ndarray, float, shape (S,), or None
        Length of the report of each client [bit]; None: in full.
    lost : bool
        Whether nothing has arrived of what was sent and is paid for: there is no mean, and in its
        place are zeros.
    rows : ndarray, float, shape (S', d), or None
        Decoded updates of the clients in the mean, one by one; None where nobody asks for them.
    row_weights : ndarray, float, shape (S',), or None
        Their weights, sum 1.
    alignment : ndarray, float, shape (S,), or None
        Weight with which each update arrived over that which was meant, the part in phase: 1 where
        it is aligned, NaN where this is not known; None for interfaces that do not add updates up.
    """

    mean: Real
    uplink_j: Real
    uplink_s: float = 0.0
    effective_weights: Real | None = None
    mse: float | None = None
    predicted_mse: float | None = None
    memory: Memory = field(default_factory=dict)
    noise_std: float | None = None
    exposure: float | None = None
    transmitted: Mask | None = None
    squared_bias: float | None = None
    rule_shift: float | None = None
    sending_s: Real | None = None
    report_bits: Real | None = None
    lost: bool = False
    rows: Real | None = None
    row_weights: Real | None = None
    alignment: Real | None = None

    @property
    def times_s(self) -> Real:
        """How long each client sends, shape (S,) [s]."""
        if self.sending_s is not None:
            return self.sending_s
        sends = np.ones(len(self.uplink_j)) if self.transmitted is None else self.transmitted
        return np.asarray(self.uplink_s * sends)


@dataclass(frozen=True)
class Forecast:
    """What a plan may expect of one round.

    Attributes
    ----------
    mse : float
        Squared error of the aggregate over ``v^2``, at full power.
    airtime_s : ndarray, float, shape (K,)
        Energy that each client radiates at full power, over this power [s].
    uplink_s : float
        What the uploads add to a round [s].
    backoff : bool
        Whether the interface can scale its powers down.
    bias : float
        The part of `mse` that does not average out: misaligned or silent clients, rounding to
        signs.  A back-off of the powers does not change it.
    sending_s : ndarray, float, shape (K,), or None
        How long each client sends [s], at full power or below; None: `airtime_s`.
    """

    mse: float
    airtime_s: Real
    uplink_s: float
    backoff: bool
    bias: float = 0.0
    sending_s: Real | None = None

    def noise(self, backoff: float) -> float:
        """Return the part of the error that is no bias, at a back-off rho of the powers."""
        return (self.mse - self.bias) / (backoff if self.backoff else 1.0)

    def error(self, backoff: float) -> float:
        """Return the whole error at a back-off rho of the powers."""
        return self.bias + self.noise(backoff)
