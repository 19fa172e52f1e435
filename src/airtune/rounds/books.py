"""What a round has cost, by component (system model, section 7): pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.costs import (
    Components,
    FloatArray,
    FrontEnd,
    Hardware,
    compute_energy,
    compute_time,
)
from airtune.kinds import Integer
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
        By component; electrical energy.
    radiated_j : Components
        Of it, what antennas radiate: uplink, pilots and downlink.
    compute_j : ndarray, float, shape (S,)
        Energy of each selected client for computing [J].
    pilot_j : ndarray, float, shape (P,)
        Energy of each client that sends pilots or reports [J].
    pilot_senders : ndarray, int, shape (P,), or None
        Their indices; None: the selected clients.
    uplink_j : ndarray, float, shape (S',)
        Energy of each sender for its upload [J]; empty where nothing was received.
    move_s : float
        Time of the whole way of the antennas [s]; the latency of movement is what of it was not
        beside computing.
    """

    latency_s: Components
    energy_j: Components
    radiated_j: Components
    compute_j: FloatArray
    pilot_j: FloatArray
    pilot_senders: Integer | None
    uplink_j: FloatArray
    move_s: float = 0.0

    def before_upload_j(self, selected: Integer, count: int) -> FloatArray:
        """Return the energy of every client before the upload, shape (K,) [J].

        Parameters
        ----------
        selected : ndarray, int, shape (S,)
        count : int
            K.
        """
        joules = np.zeros(count)
        joules[selected] += self.compute_j
        joules[selected if self.pilot_senders is None else self.pilot_senders] += self.pilot_j
        return joules


@dataclass(frozen=True)
class Electronics:
    """What turns radiated into electrical energy.

    Attributes
    ----------
    hardware : Hardware
        Amplifiers and circuits.
    front_end : FrontEnd
        Receivers and switches of the array.
    """

    hardware: Hardware
    front_end: FrontEnd


def book_round(
    computing: Computing,
    moved: Movement,
    overheads: Overheads,
    received: Reception | None,
    electronics: Electronics,
    *,
    overlap: bool = False,
) -> Booked:
    """Return latency and energy of a round by component (system model, section 7).

    The slowest client sets the time of computing; broadcast, pilots and upload follow each other,
    and so does the movement, unless it overlaps with computing.  What the base station's circuits
    draw is booked to the component that is on the air, and to no client.

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
    electronics : Electronics
    overlap : bool
        Whether the antennas move while the clients compute.

    Examples
    --------
    A client radiates 10 mJ in 0.1 s of pilots, the base station 0.3 J in 0.2 s of broadcast:

    >>> from airtune.costs import PROFILES
    >>> from airtune.radio.movement import standing
    >>> one = Computing(np.array([2e9]), np.array([1e9]), 1e-28)
    >>> overheads = Overheads(
    ...     np.array([0.01]), pilot_s=0.1, downlink_s=0.2, downlink_j=0.3, sending_s=np.array([0.1])
    ... )
    >>> still, small = standing(np.zeros((4, 2))), Electronics(PROFILES["small-cell"], FrontEnd(4))
    >>> booked = book_round(one, still, overheads, None, small)
    >>> booked.latency_s.compute, round(booked.energy_j.compute, 6)
    (2.0, 0.2)
    >>> round(booked.latency_s.total, 6)
    2.3
    >>> booked.pilot_j.round(6).tolist()  # 0.01 / 0.4 + 0.1 * 0.1
    [0.035]
    >>> round(booked.energy_j.pilots, 6)  # and 0.9 W of circuits at the base station
    0.125
    >>> round(booked.energy_j.downlink, 6)  # 0.3 / 0.4 + 0.9 * 0.2
    0.93
    """
    hardware, front_end = electronics.hardware, electronics.front_end
    computing_j = computing.joules
    pilot_j = hardware.client_energy(overheads.pilot_j, overheads.times_s)
    uplink_s, radiated_j, uplink_j = 0.0, np.zeros(0), np.zeros(0)
    if received is not None:
        uplink_s, radiated_j = received.uplink_s, received.uplink_j
        uplink_j = hardware.client_energy(radiated_j, received.times_s)
    compute_s = computing.time_s
    latency = Components(
        compute=compute_s,
        uplink=uplink_s,
        downlink=overheads.downlink_s,
        pilots=overheads.pilot_s,
        movement=max(0.0, moved.time_s - compute_s) if overlap else moved.time_s,
    )
    energy = Components(
        compute=float(computing_j.sum()),
        uplink=float(uplink_j.sum()) + hardware.station_energy(front_end, uplink_s),
        downlink=hardware.station_energy(front_end, overheads.downlink_s, overheads.downlink_j),
        pilots=float(pilot_j.sum()) + hardware.station_energy(front_end, overheads.pilot_s),
        movement=moved.energy_j,
    )
    radiated = Components(
        uplink=float(radiated_j.sum()),
        downlink=overheads.downlink_j,
        pilots=float(overheads.pilot_j.sum()),
    )
    return Booked(
        latency,
        energy,
        radiated,
        computing_j,
        pilot_j,
        overheads.senders,
        uplink_j,
        move_s=moved.time_s,
    )
