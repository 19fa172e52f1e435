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
