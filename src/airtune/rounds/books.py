"""What a round has cost, by component (system model, section 7): pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.costs import Components, FloatArray, compute_energy, compute_time
from airtune.radio.movement import Movement
from airtune.schemes import Overheads, Reception


@dataclass(frozen=True)
class Computing:
    """What the selected clients compute in a round.

    Attributes
    ----------
    cycles : ndarray, float, shape (S,)
        Processor cycles.
    clocks : ndarray, float, shape (S,)
        Their frequencies [Hz].
    kappa : float
        Effective capacitance [J s^2].
    end_s : float or None
        When the server goes on [s]; None: when the last is done at these clocks.
    done : ndarray, float, shape (S,), or None
        Share of its work that each has done by then; None: all.
    """

    cycles: FloatArray
    clocks: FloatArray
    kappa: float
    end_s: float | None = None
    done: FloatArray | None = None

    @property
    def time_s(self) -> float:
        """How long the server waits for them [s]."""
        if self.end_s is not None:
            return self.end_s
        return float(np.max(compute_time(self.cycles, self.clocks)))

    @property
    def joules(self) -> FloatArray:
        """Energy of each, shape (S,) [J]."""
        whole = compute_energy(self.cycles, self.clocks, self.kappa)
        return whole if self.done is None else np.asarray(whole * self.done)


@dataclass(frozen=True)
class Booked:
    """Latency and energy of a round.

    Attributes
    ----------
    latency_s, energy_j : Components
        By component.
    compute_and_pilot_j : ndarray, float, shape (S,)
        Energy of each selected client before the upload [J].
    uplink_j : ndarray, float, shape (S',)
        Energy of each sender for its upload [J]; empty where nothing was received.
    """

    latency_s: Components
    energy_j: Components
    compute_and_pilot_j: FloatArray
    uplink_j: FloatArray


def book_round(
    computing: Computing, moved: Movement, overheads: Overheads, received: Reception | None
) -> Booked:
    """Return latency and energy of a round by component (system model, section 7).

    The slowest client sets the time of computing; movement, broadcast, pilots and upload follow
    each other.

    Parameters
    ----------
    computing : Computing
        Of the S selected clients.
    moved : Movement
        Of the antennas.
    overheads : Overheads
        Pilots, reports and the broadcast.
    received : Reception or None
        None: nobody could send.

    Examples
    --------
    >>> from airtune.radio.movement import standing
    >>> one = Computing(np.array([2e9]), np.array([1e9]), 1e-28)
    >>> overheads = Overheads(np.array([0.01]), pilot_s=0.1, downlink_s=0.2, downlink_j=0.3)
    >>> booked = book_round(one, standing(np.zeros((4, 2))), overheads, None)
    >>> booked.latency_s.compute, round(booked.energy_j.compute, 6)
    (2.0, 0.2)
    >>> round(booked.latency_s.total, 6), booked.compute_and_pilot_j.round(6).tolist()
    (2.3, [0.21])
    """
    computing_j = computing.joules
    uplink_j = np.zeros(0) if received is None else received.uplink_j
    latency = Components(
        compute=computing.time_s,
        uplink=0.0 if received is None else received.uplink_s,
        downlink=overheads.downlink_s,
        pilots=overheads.pilot_s,
        movement=moved.time_s,
    )
    energy = Components(
        compute=float(computing_j.sum()),
        uplink=float(uplink_j.sum()),
        downlink=overheads.downlink_j,
        pilots=float(overheads.pilot_j.sum()),
        movement=moved.energy_j,
    )
    return Booked(latency, energy, computing_j + overheads.pilot_j, uplink_j)
