"""The contract of a channel: the propagation paths of every coherence block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.band import block_offsets, check_delays, flat, gains_at
from airtune.kinds import Complex, Integer, Mask, Real
from airtune.radio.facing import Facing

AnyArray = NDArray[Any]


@dataclass(frozen=True)
class Paths:
    """Propagation paths of K transmitters (system model, section 3).

    Attributes
    ----------
    gains : ndarray, complex, shape (K, L)
        Amplitude a_kl; path loss, shadowing and fading included.
    directions : ndarray, float, shape (K, L, 2)
        In-plane part `u` of the unit vector from the array to the scatterer.
    delays : ndarray, float, shape (K, L)
        Excess delay [s].
    distances : ndarray, float, shape (K, L), optional
        From the array's corner r = 0 to where the wave front spreads from [wavelengths]; infinite
        for plane waves.  None: all waves are plane.
    departures : ndarray, float, shape (K, L, 2), optional
        In-plane part of the unit vector in which a path leaves a transmitter with several antennas;
        these stand on a line along its x axis.  None: transmitters have one antenna.
    """

    gains: Complex
    directions: Real
    delays: Real
    distances: Real | None = None
    departures: Real | None = None

    def of(self, transmitters: Integer) -> Paths:
        """Return the paths of some of the transmitters (indices)."""
        return self._each(lambda values: values[transmitters])

    def at_offset(self, offset_hz: float) -> Paths:
        """Return the paths as they are at a frequency beside the carrier [Hz]."""
        return replace(self, gains=gains_at(self.gains, self.delays, offset_hz))

    def responses(self, antennas: int, spacing: float) -> Complex:
        """Return what a path of gain 1 takes up from each antenna of its transmitter.

        ``exp(+j 2 pi D m u_x)`` for the antennas m = 0 .. M - 1, so that the gains are those of
        the first one (system model, section 5: ``H_k[n, m]`` is their sum over the paths).

        Parameters
        ----------
        antennas : int
            M.
        spacing : float
            D, between neighbours [wavelengths].

        Returns
        -------
        ndarray, complex, shape (K, L, M)

        Raises
        ------
        ValueError
            The paths have no departures.
        """
        if self.departures is None:
            raise ValueError("paths without departures are those of transmitters with one antenna")
        along = spacing * np.arange(antennas)
        return np.asarray(np.exp(2j * np.pi * self.departures[..., :1] * along))

    def of_one_antenna(self) -> Paths:
        """Return the paths of the first antenna of each transmitter."""
        return self if self.departures is None else replace(self, departures=None)

    def of_each_antenna(self, antennas: int, spacing: float) -> Paths:
        """Return the paths of K M transmitters, one for each antenna, transmitter by transmitter.

        Parameters are those of :meth:`responses`.
        """
        count, length = self.gains.shape
        gains = self.gains[..., None] * self.responses(antennas, spacing)
        each = self.of_one_antenna().of(np.repeat(np.arange(count), antennas))
        return replace(each, gains=gains.transpose(0, 2, 1).reshape(count * antennas, length))

    def precoded(self, precoders: Complex, spacing: float) -> Paths:
        """Return the paths of K transmitters whose antennas send one symbol, each with a factor.

        Parameters
        ----------
        precoders : ndarray, complex, shape (K, M)
            Factors of the antennas.
        spacing : float
            As in :meth:`responses`.
        """
        responses = self.responses(precoders.shape[1], spacing)
        sums = np.einsum("klm,km->kl", responses, precoders)
        return replace(self, gains=self.gains * sums, departures=None)

    def joined(self, others: Paths) -> Paths:
        """Return the paths of these transmitters and then of others, filled up with gains of 0."""
        one, other = self._alike(others)
        return one._with(other, lambda here, there: np.concatenate([here, there]))

    def filled(self, count: int) -> Paths:
        """Return the same with `count` paths each, the last ones of gain 0."""
        more = count - self.gains.shape[1]
        filled = self._each(
            lambda values: np.pad(values, [(0, 0), (0, more), *[(0, 0)] * (values.ndim - 2)])
        )
        if filled.distances is not None and more:
            filled.distances[:, -more:] = np.inf
        return filled

    def replaced(self, which: Mask, others: Paths) -> Paths:
        """Return the paths with those of some transmitters, shape (K,), taken from others."""
        here, there = self._alike(others)

        def choose(mine: AnyArray, theirs: AnyArray) -> AnyArray:
            return np.where(which.reshape(-1, *[1] * (mine.ndim - 1)), theirs, mine)

        return here._with(there, choose)

    def _alike(self, others: Paths) -> tuple[Paths, Paths]:
        """Return both with equally many paths, and with distances where one of them has some."""
        both = [self, others]
        if any(one.distances is not None for one in both):
            both = [
                replace(one, distances=np.full(one.gains.shape, np.inf))
                if one.distances is None
                else one
                for one in both
            ]
        longest = max(one.gains.shape[1] for one in both)
        return both[0].filled(longest), both[1].filled(longest)

    def _each(self, change: Callable[[AnyArray], AnyArray]) -> Paths:
        distances, departures = (
            None if some is None else change(some) for some in (self.distances, self.departures)
        )
        return Paths(
            change(self.gains), change(self.directions), change(self.delays), distances, departures
        )

    def _with(self, others: Paths, join: Callable[[AnyArray, AnyArray], AnyArray]) -> Paths:
        distances = None
        if self.distances is not None and others.distances is not None:
            distances = join(self.distances, others.distances)
        departures = None
        if self.departures is not None and others.departures is not None:
            departures = join(self.departures, others.departures)
        elif (self.departures is None) != (others.departures is None):
            raise ValueError("paths with departures and paths without any cannot be put together")
        return Paths(
            join(self.gains, others.gains),
            join(self.directions, others.directions),
            join(self.delays, others.delays),
            distances,
            departures,
        )


@dataclass(frozen=True)
class Transmitters:
    """The paths of all transmitters that the array receives.

    Attributes
    ----------
    clients : Paths
        Of the K clients, in the order of their indices.
    interferers : Paths
        Of the J interferers; J may be 0.
    """

    clients: Paths
    interferers: Paths

    def of(self, clients: Integer) -> Transmitters:
        """Return the same with some of the clients only (indices)."""
        return Transmitters(self.clients.of(clients), self.interferers)

    def of_one_antenna(self) -> Transmitters:
        """Return the paths of the first antenna of each client."""
        return Transmitters(self.clients.of_one_antenna(), self.interferers)

    def replaced(self, which: Mask, others: Transmitters) -> Transmitters:
        """Return the same with the paths of some clients, shape (K,), taken from others."""
        return Transmitters(self.clients.replaced(which, others.clients), self.interferers)

    def with_interferer(self, paths: Paths) -> Transmitters:
        """Return the same with more interferers."""
        return Transmitters(self.clients, self.interferers.joined(paths))

    def facing(self, facing: Facing) -> Transmitters:
        """Return what an array receives that faces somewhere else; the same where none turns."""
        return self

    def at_offset(self, offset_hz: float) -> Transmitters:
        """Return the same at a frequency beside the carrier [Hz]."""
        return Transmitters(
            self.clients.at_offset(offset_hz), self.interferers.at_offset(offset_hz)
        )

    @property
    def flat(self) -> bool:
        """Whether no path has a delay."""
        return all(flat(one.gains, one.delays) for one in (self.clients, self.interferers))


@dataclass(frozen=True)
class Block:
    """One coherence block: the time of one round, in which no path changes.

    Attributes
    ----------
    true : Transmitters
        The paths as they are; what is sent goes over these.
    perceived : Transmitters
        The paths as the server believes them to be; antennas, beamformers and powers are chosen
        with these.  The same object as `true` where the server knows the channel.
    """

    true: Transmitters
    perceived: Transmitters

    def facing(self, facing: Facing) -> Block:
        """Return the paths as an array receives them that faces somewhere else."""
        return Block(self.true.facing(facing), self.perceived.facing(facing))

    def subbands(self, bandwidth_hz: float, count: int) -> tuple[Block, ...]:
        """Return the paths in each of equal resource blocks of a band, at its middle.

        The block itself, alone, where they are all alike: there is one, or no path has a delay.

        Parameters
        ----------
        bandwidth_hz : float
            Of the whole band [Hz].
        count : int
            Resource blocks I.

        Raises
        ------
        InputError
            Paths are so late that their phases over the band are lost in rounding.
        """
        known = self.perceived is self.true
        if count == 1 or (self.true.flat and (known or self.perceived.flat)):
            return (self,)
        for paths in (self.true, self.perceived)[: 1 if known else 2]:
            for one in (paths.clients, paths.interferers):
                check_delays(one.gains, one.delays, bandwidth_hz, "delays of the paths")
        blocks = []
        for offset in block_offsets(bandwidth_hz, count).tolist():
            true = self.true.at_offset(offset)
            blocks.append(Block(true, true if known else self.perceived.at_offset(offset)))
        return tuple(blocks)


class Channel(ABC):
    """Where the propagation paths of a run come from.

    ``airtune.registry.CHANNELS`` names channels; the setting `radio.channel` chooses one.  An entry
    is a class or function that is called as ``entry(radio, clients, seed)`` with the sections
    ``radio`` and ``clients`` of the scenario and the seed of the repetition, and returns a
    `Channel`.  It raises :class:`airtune.errors.InputError` if its settings cannot be met, before
    any work is done.

    Implementations draw from named streams (:func:`airtune.streams.generator`) only: a block is a
    function of (settings, seed, round), so all schemes of a comparison meet the same channel and a
    resumed run goes on as an uninterrupted one would.

    Examples
    --------
    Clients in sight of the array, without scatterers:

    >>> import numpy as np
    >>> class LineOfSight(Channel):
    ...     def __init__(self, radio, clients, seed):
    ...         self.count = clients.count
    ...
    ...     def block(self, round_index):
    ...         towards = np.linspace(-0.9, 0.9, self.count)
    ...         directions = np.stack([towards, 0 * towards], axis=-1)[:, None]
    ...         gains = np.full((self.count, 1), 1e-5 + 0j)
    ...         clients = Paths(gains, directions, np.zeros((self.count, 1)))
    ...         both = Transmitters(clients, clients.of(np.arange(0)))
    ...         return Block(true=both, perceived=both)
    """

    @abstractmethod
    def block(self, round_index: int) -> Block:
        """Return the paths of a round.

        Parameters
        ----------
        round_index : int
            0, 1, ...; rounds of a run count from 1.  Any order of calls gives the same blocks.

        Returns
        -------
        Block
            Of `clients.count` clients and `radio.interferers.count` interferers.  The number of
            paths L is the same for all transmitters of a group (fill up with gains of 0).

        Raises
        ------
        ValueError
            If the round is negative.
        """

    @property
    def max_doppler_hz(self) -> float | None:
        """The largest Doppler shift of a client or interferer [Hz]; None: not known."""
        return None

    @property
    def isotropic(self) -> bool:
        """Whether the array may turn (`array.rotation`) and have patterns (`array.element`).

        Gains are then those of isotropic antennas, and all directions lie before an array that
        faces straight ahead.  No by default.
        """
        return False

    @property
    def turns(self) -> bool:
        """Whether paths change within a round: the channel has a :meth:`later` of its own."""
        return type(self).later is not Channel.later

    def later(self, round_index: int, age_s: float) -> Transmitters:
        """Return the true paths some time after those of a round were looked at.

        By default those of the round, for block fading keeps the paths of a whole round.

        Parameters
        ----------
        round_index : int
        age_s : float
            At least 0 [s].
        """
        return self.block(round_index).true

    def ahead(self, known: Transmitters, blocks: int, rng: np.random.Generator) -> Transmitters:
        """Draw what the paths may be some blocks after those that are known.

        What a server needs that places its antennas for many blocks, or weighs ways against what
        they bring.  By default directions and powers of the paths stay and their phases are drawn
        anew; a channel whose law is known says more.

        Parameters
        ----------
        known : Transmitters
            The paths of a block as the server believes them to be.
        blocks : int
            How many blocks later, at least 1.
        rng : Generator
            Source of the draw.

        Returns
        -------
        Transmitters
        """
        return Transmitters(_turned(known.clients, rng), _turned(known.interferers, rng))


def _turned(paths: Paths, rng: np.random.Generator) -> Paths:
    """Return paths with phases drawn anew."""
    turns = np.exp(2j * np.pi * rng.uniform(size=paths.gains.shape))
    return replace(paths, gains=paths.gains * turns)
