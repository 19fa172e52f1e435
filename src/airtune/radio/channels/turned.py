"""The paths of a channel as an array receives them that faces somewhere else than straight ahead.

The array turns as a whole about the middle c of its region; the antennas keep their places r_n in
its plane, and their patterns turn with it [1]_.  With the rotation Q and a path from the direction
s (a unit vector, s_z >= 0, in the frame of an array that faces straight ahead) the antenna n stands
at ``c + Q (r_n - c)`` and receives

    a g(Q^T s) exp(+j 2 pi s . (c + Q (r_n - c)))

with g the pattern of its amplitude: that is the channel of an array at rest on which the path
falls from ``Q^T s``, with a turned in phase by what the corner r = 0 has moved along it.

References
----------
.. [1] X. Shao, Q. Jiang, R. Zhang, "6D movable antenna based on user distribution: modeling and
   optimization", IEEE Trans. Wireless Commun., 2025, arXiv:2403.08123.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from airtune.errors import InputError, clip
from airtune.kinds import Mask
from airtune.radio.channels.base import Block, Channel, Paths, Transmitters
from airtune.radio.channels.directions import lift
from airtune.radio.facing import AHEAD, Facing, amplitude
from airtune.scenario import Array


def seen(paths: Paths, facing: Facing, region: tuple[float, float], element: str) -> Paths:
    """Return paths as an array receives them that faces somewhere, in its own frame.

    Directions are taken to lie before an array that faces straight ahead, as `Paths` has them, and
    gains to be those of an isotropic antenna of any polarisation.  In the frame of the turned array
    waves may fall from behind; its antennas lie in one plane, so their phases are those of a wave
    from its mirror image before the array.

    Parameters
    ----------
    paths : Paths
        As they fall on an array that faces straight ahead.
    facing : Facing
    region : (float, float)
        A_x and A_y; the array turns about its middle [wavelengths].
    element : str
        Pattern of the antennas, as of :func:`amplitude`; taken in the direction from the middle of
        the region.

    Returns
    -------
    Paths
        The same object where nothing changes.
    """
    if facing == AHEAD and element == "isotropic":
        return paths
    towards, middle = lift(paths.directions), np.array([region[0] / 2.0, region[1] / 2.0, 0.0])
    rotation = facing.matrix
    corner = middle - rotation @ middle
    along = towards @ corner
    if paths.distances is None:
        factor, there, distances = np.exp(2j * np.pi * along), towards, None
        off_middle = towards
    else:
        bend = 1.0 / paths.distances
        # d'/d and d' - d, without loss for large d
        stretch = np.sqrt(1.0 - 2.0 * bend * along + bend**2 * (corner @ corner))
        longer = (bend * (corner @ corner) - 2.0 * along) / (1.0 + stretch)
        factor = np.exp(-2j * np.pi * longer) / stretch
        there = (towards - bend[..., None] * corner) / stretch[..., None]
        distances = paths.distances * stretch
        off_middle = towards - bend[..., None] * middle
        off_middle = off_middle / np.linalg.norm(off_middle, axis=-1, keepdims=True)
    if facing == AHEAD:
        return replace(paths, gains=paths.gains * amplitude(off_middle, element))
    in_plane = (there @ rotation)[..., :2]
    in_plane = in_plane / np.maximum(1.0, np.linalg.norm(in_plane, axis=-1, keepdims=True))
    pattern = amplitude(off_middle @ rotation, element)
    return replace(
        paths, gains=paths.gains * factor * pattern, directions=in_plane, distances=distances
    )


@dataclass(frozen=True)
class View:
    """How an array looks at what is around it.

    Attributes
    ----------
    facing : Facing
    region : (float, float)
        A_x and A_y; the array turns about its middle [wavelengths].
    element : str
        Pattern of its antennas (`array.element`).
    """

    facing: Facing
    region: tuple[float, float]
    element: str

    def of(self, around: Transmitters) -> Seen:
        """Return what the array receives of transmitters around it."""
        return Seen(self._of(around.clients), self._of(around.interferers), around, self)

    def of_block(self, block: Block) -> Block:
        """Return what the array receives of a block, and what the server believes of it."""
        true = self.of(block.true)
        return Block(true, true if block.perceived is block.true else self.of(block.perceived))

    def _of(self, paths: Paths) -> Paths:
        return seen(paths, self.facing, self.region, self.element)


@dataclass(frozen=True)
class Seen(Transmitters):
    """Paths in the frame of an array.

    Attributes
    ----------
    around : Transmitters
        The same as they fall on an isotropic array that faces straight ahead.
    view : View
    """

    around: Transmitters
    view: View

    def of_one_antenna(self) -> Transmitters:
        """Return the paths of the first antenna of each client."""
        return self.view.of(self.around.of_one_antenna())

    def replaced(self, which: Mask, others: Transmitters) -> Transmitters:
        """Return the same with some clients' paths from others, as this array would see them."""
        before = others.around if isinstance(others, Seen) else others
        return self.view.of(self.around.replaced(which, before))

    def with_interferer(self, paths: Paths) -> Transmitters:
        """Return the same with more interferers, of paths that no array has turned yet."""
        return self.view.of(self.around.with_interferer(paths))

    def facing(self, facing: Facing) -> Transmitters:
        """Return what the array would receive that faced somewhere else."""
        return replace(self.view, facing=facing).of(self.around)


class Turned(Channel):
    """A channel as an array receives it that turns from round to round.

    Parameters
    ----------
    channel : Channel
        Its directions lie before an array that faces straight ahead, and its gains are those of
        isotropic antennas (`Channel.isotropic`).
    region : (float, float)
        A_x and A_y [wavelengths].
    element : str
        Pattern of the antennas.
    faces : callable, optional
        Returns the :class:`airtune.radio.facing.Facing` of a round; straight ahead by default.
    """

    def __init__(
        self,
        channel: Channel,
        region: tuple[float, float],
        element: str,
        faces: Callable[[int], Facing] | None = None,
    ) -> None:
        self.channel, self._faces = channel, faces
        self._straight = View(AHEAD, region, element)

    def view(self, round_index: int) -> View:
        """Return how the array looks at a round."""
        if self._faces is None:
            return self._straight
        return replace(self._straight, facing=self._faces(round_index))

    def block(self, round_index: int) -> Block:
        """Return the paths of a round in the frame of the array."""
        return self.view(round_index).of_block(self.channel.block(round_index))

    @property
    def max_doppler_hz(self) -> float | None:
        """That of the channel."""
        return self.channel.max_doppler_hz

    @property
    def turns(self) -> bool:
        """Whether paths change within a round, as those of the channel do."""
        return self.channel.turns

    def later(self, round_index: int, age_s: float) -> Transmitters:
        """Return the true paths some time after those of a round were looked at."""
        return self.view(round_index).of(self.channel.later(round_index, age_s))

    def ahead(self, known: Transmitters, blocks: int, rng: np.random.Generator) -> Transmitters:
        """Draw what an array that keeps its angles may receive some blocks later.

        Parameters are those of :meth:`airtune.radio.channels.base.Channel.ahead`; `known` is of
        this channel.
        """
        if not isinstance(known, Seen):
            raise TypeError("what is known is not of this channel")
        return known.view.of(self.channel.ahead(known.around, blocks, rng))


def check_isotropic(channel: Channel, name: str, setting: str, other: str) -> None:
    """Refuse a setting that needs gains of isotropic antennas where a channel has others.

    Parameters
    ----------
    channel : Channel
    name : str
        Of the channel.
    setting : str
        Name and value of what is set.
    other : str
        What it has to be.

    Raises
    ------
    InputError
    """
    inner = channel.channel if isinstance(channel, Turned) else channel
    if not inner.isotropic:
        raise InputError(
            f"{setting}: must be {other} with radio.channel = {clip(name)}; its gains hold "
            "patterns and polarisation of antennas that face straight ahead (block-fading, tracks "
            "and files that are not made of the report's rays go with it; of a channel of one's "
            "own Channel.isotropic says so)"
        )


def with_element(channel: Channel, array: Array, name: str) -> Channel:
    """Return a channel with the patterns of the antennas (`array.element`), if they have any.

    Parameters
    ----------
    channel : Channel
    array : Array
        Section ``array`` of the scenario.
    name : str
        Of the channel.

    Raises
    ------
    InputError
        As of :func:`check_isotropic`.
    """
    if array.element == "isotropic" or isinstance(channel, Turned):
        return channel
    check_isotropic(channel, name, f"array.element = {array.element}", "isotropic")
    return Turned(channel, array.region, array.element)
