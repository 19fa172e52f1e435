"""Latency and energy laws of every component of a round (system model, section 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from airtune.kinds import Real

FloatArray = Real
"""Another name of :data:`airtune.kinds.Real`."""


@dataclass(frozen=True)
class Components:
    """Latency [s] or energy [J], component by component.

    Attributes
    ----------
    compute, uplink, downlink, pilots, movement, pretraining : float
        Local computing, upload of the updates, broadcast of the adapters, pilots with the side
        information (reported scales), moving antennas, and phase 1 at the server.

    Examples
    --------
    >>> a_round = Components(compute=1.5, uplink=0.5)
    >>> (10 * a_round + Components(pretraining=3.0)).total
    23.0
    """

    compute: float = 0.0
    uplink: float = 0.0
    downlink: float = 0.0
    pilots: float = 0.0
    movement: float = 0.0
    pretraining: float = 0.0

    @property
    def total(self) -> float:
        """Sum of all components."""
        return float(sum(getattr(self, field.name) for field in fields(self)))

    def _map(self, value: Callable[[str], float]) -> Self:
        return type(self)(**{field.name: value(field.name) for field in fields(self)})

    def __add__(self, other: Components) -> Self:
        """Add component by component."""
        return self._map(lambda name: getattr(self, name) + getattr(other, name))

    def __mul__(self, factor: float) -> Self:
        """Multiply every component by a number, for example the number of rounds."""
        return self._map(lambda name: getattr(self, name) * factor)

    __rmul__ = __mul__

    def to_dict(self, *, total: bool = False) -> dict[str, float]:
        """Return the components as plain numbers, with their sum when `total` is set."""
        parts = {name: float(value) for name, value in asdict(self).items()}
        return {**parts, "total": float(self.total)} if total else parts


def cycles_per_sample(
    flop_per_sample: ArrayLike, flop_per_cycle: ArrayLike, local_steps: int = 1
) -> Real:
    """Processor cycles that one sample of the mini-batch costs in a round: C_k H / phi_k.

    Parameters
    ----------
    flop_per_sample : array_like, shape (K,) or ()  [FLOP]
        C_k; for LoRA about 4 x parameters x tokens, for full training 6 x.
    flop_per_cycle : array_like, shape (K,) or ()  [FLOP]
        phi_k.
    local_steps : int
        H, local steps of a round, each with a batch of its own.

    Returns
    -------
    ndarray, float, shape (K,)

    Examples
    --------
    >>> cycles_per_sample([4e9, 8e9], flop_per_cycle=16.0, local_steps=2).tolist()
    [500000000.0, 1000000000.0]
    """
    flop = np.asarray(flop_per_sample, float) * local_steps
    return np.asarray(flop / np.asarray(flop_per_cycle, float))


def compute_time(cycles: ArrayLike, frequency: ArrayLike) -> Real:
    """Time of a computation: cycles / f  [s].

    Parameters
    ----------
    cycles : array_like
    frequency : array_like  [Hz]
        f; broadcasts with `cycles`.

    Examples
    --------
    >>> compute_time(4e9, [1e9, 2e9]).tolist()
    [4.0, 2.0]
    """
    return np.asarray(np.asarray(cycles, float) / np.asarray(frequency, float))


def compute_energy(cycles: ArrayLike, frequency: ArrayLike, kappa: ArrayLike) -> Real:
    """Energy of a computation: kappa f^2 cycles  [J]; all arguments broadcast.

    Parameters
    ----------
    cycles : array_like
    frequency : array_like  [Hz]
        f.
    kappa : array_like  [J s^2]
        Effective capacitance: a processor at clock f draws kappa f^3 watts.

    Examples
    --------
    >>> compute_energy(1e9, [1e9, 2e9], 1e-27).round(6).tolist()
    [1.0, 4.0]
    """
    power_per_clock = np.asarray(kappa, float) * np.asarray(frequency, float) ** 2
    return np.asarray(power_per_clock * np.asarray(cycles, float))


def batch_energy(
    batch: ArrayLike, deadline: ArrayLike, cycles: ArrayLike, kappa: ArrayLike, f_min: ArrayLike
) -> Real:
    """Least energy of a mini-batch that is done by the deadline  [J].

    kappa c B max(f_min, c B / D)^2: the slowest clock that meets the deadline is the cheapest, for
    the energy grows with the square of the clock.

    Parameters
    ----------
    batch : array_like
        B, samples.
    deadline : array_like  [s]
        D > 0; infinity where there is none.
    cycles, kappa, f_min : array_like
        Cycles per sample, effective capacitance [J s^2] and lowest clock [Hz].

    Examples
    --------
    >>> batch_energy(8, [1.0, 100.0], 1e8, 1e-27, 3e8).round(6).tolist()
    [0.512, 0.072]
    """
    work = np.asarray(batch, float) * np.asarray(cycles, float)
    clock = np.maximum(np.asarray(f_min, float), work / np.asarray(deadline, float))
    return compute_energy(work, clock, kappa)


def over_the_air_time(entries: int, bandwidth: float, efficiency: float) -> float:
    """Airtime of one over-the-air upload: ceil(d/2) / (W eff)  [s].

    Parameters
    ----------
    entries : int
        d, real entries of the update that are sent; two share a complex symbol.
    bandwidth : float  [Hz]
        W, one complex symbol per second and hertz.
    efficiency : float
        Share of the time-frequency grid that carries data.

    Examples
    --------
    >>> over_the_air_time(entries=1_800_000, bandwidth=1e6, efficiency=0.9)
    1.0
    """
    return ((entries + 1) // 2) / (bandwidth * efficiency)


@dataclass(frozen=True)
class FrontEnd:
    """The receivers of a base station and what is switched before them.

    Attributes
    ----------
    chains : int
        RF chains: antennas that are received at the same time.
    ports : int
        Antennas of a pool, each with a switch; 0 where every antenna has its chain.
    surface : bool
        Whether a reconfigurable surface is driven besides.

    Examples
    --------
    >>> FrontEnd(chains=4, ports=16)
    FrontEnd(chains=4, ports=16, surface=False)
    """

    chains: int
    ports: int = 0
    surface: bool = False

    @property
    def turns(self) -> int:
        """How often the chains are switched until all ports have been received; 1 without ports."""
        return -(-self.ports // self.chains) if self.ports else 1


@dataclass(frozen=True)
class Hardware:
    """What amplifiers and circuits of base station and clients draw (system model, section 7).

    Attributes
    ----------
    pa_efficiency, client_pa_efficiency : float
        eta_PA of the base station and of the clients: radiated over drawn power.
    chain_w, lo_w : float  [W]
        An RF chain of the base station, and its oscillator.
    client_w : float  [W]
        Circuits of a client while it sends.
    switch_w, surface_w : float  [W]
        The switch of a port, and the controller of a reconfigurable surface.
    site_w : float  [W]
        Fixed power of the site (cooling, backhaul) that is charged while the station is on the air.
    """

    pa_efficiency: float = 1.0
    client_pa_efficiency: float = 1.0
    chain_w: float = 0.0
    lo_w: float = 0.0
    client_w: float = 0.0
    switch_w: float = 0.0
    surface_w: float = 0.0
    site_w: float = 0.0

    def station_w(self, front_end: FrontEnd) -> float:
        """Return p_bs, what the circuits draw while the station sends or receives  [W].

        Examples
        --------
        >>> round(PROFILES["small-cell"].station_w(FrontEnd(chains=4, ports=16)), 6)
        0.98
        """
        chains, ports = self.chain_w * front_end.chains, self.switch_w * front_end.ports
        surface = self.surface_w if front_end.surface else 0.0
        return chains + self.lo_w + ports + surface + self.site_w

    def station_energy(self, front_end: FrontEnd, time: float, radiated: float = 0.0) -> float:
        """Return what the base station draws while it is on the air  [J].

        Parameters
        ----------
        front_end : FrontEnd
        time : float  [s]
            How long it sends or receives.
        radiated : float  [J]
            What it radiates in this time.

        Examples
        --------
        4 chains for 2 s, and 1 W radiated in this time:

        >>> small = PROFILES["small-cell"]
        >>> round(small.station_energy(FrontEnd(4), time=2.0, radiated=2.0), 6)
        6.8
        """
        return radiated / self.pa_efficiency + self.station_w(front_end) * time

    def client_energy(self, radiated: ArrayLike, times: ArrayLike) -> Real:
        """Return what clients draw for their own sending, radiated / eta_PA + p_client t  [J].

        Parameters
        ----------
        radiated : array_like  [J]
            What each of them radiates.
        times : array_like  [s]
            How long each of them sends.

        Examples
        --------
        >>> PROFILES["small-cell"].client_energy([0.02, 0.0], [2.0, 0.0]).round(6).tolist()
        [0.25, 0.0]
        """
        drawn = np.asarray(radiated, float) / self.client_pa_efficiency
        return np.asarray(drawn + self.client_w * np.asarray(times, float))


PROFILES: dict[str, Hardware] = {
    "radiated": Hardware(),
    "small-cell": Hardware(
        pa_efficiency=0.4,
        client_pa_efficiency=0.4,
        chain_w=0.2,
        lo_w=0.1,
        client_w=0.1,
        switch_w=0.005,
        surface_w=1.0,
    ),
    "macro": Hardware(
        pa_efficiency=0.4,
        client_pa_efficiency=0.4,
        chain_w=0.4,
        lo_w=0.2,
        client_w=0.2,
        switch_w=0.005,
        surface_w=1.0,
    ),
}
"""Hardware by name: radiated energy only, and two base stations (docs/energy.md has the sources).

The efficiencies and the powers of chain, oscillator and client are of Björnson, Hoydis and
Sanguinetti, "Massive MIMO networks" (2017), table 5.3 (value sets 2 and 1).
"""
