"""The contract of a channel: the propagation paths of every coherence block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from airtune.kinds import Complex, Integer, Mask, Real


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
    """

    gains: Complex
    directions: Real
    delays: Real

    def of(self, transmitters: Integer) -> Paths:
        """Return the paths of some of the transmitters (indices)."""
        k = transmitters
        return Paths(self.gains[k], self.directions[k], self.delays[k])

    def joined(self, others: Paths) -> Paths:
        """Return the paths of these transmitters and then of others, filled up with gains of 0."""
        longest = max(self.gains.shape[1], others.gains.shape[1])
        both = [one.filled(longest) for one in (self, others)]
        return Paths(
            np.concatenate([one.gains for one in both]),
            np.concatenate([one.directions for one in both]),
            np.concatenate([one.delays for one in both]),
        )

    def filled(self, count: int) -> Paths:
        """Return the same with `count` paths each, the last ones of gain 0."""
        more = count - self.gains.shape[1]
        return Paths(
            np.pad(self.gains, ((0, 0), (0, more))),
            np.pad(self.directions, ((0, 0), (0, more), (0, 0))),
            np.pad(self.delays, ((0, 0), (0, more))),
        )

    def replaced(self, which: Mask, others: Paths) -> Paths:
        """Return the paths with those of some transmitters, shape (K,), taken from others."""
        longest = max(self.gains.shape[1], others.gains.shape[1])
        here, there = self.filled(longest), others.filled(longest)
        return Paths(
            np.where(which[:, None], there.gains, here.gains),
            np.where(which[:, None, None], there.directions, here.directions),
            np.where(which[:, None], there.delays, here.delays),
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
    return Paths(paths.gains * turns, paths.directions, paths.delays)
