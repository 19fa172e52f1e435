"""What channels of given rays have in common: the rays stay, and their phases turn with time."""

from __future__ import annotations

from abc import abstractmethod

from airtune.radio.channels.base import Block, Channel, Paths, Transmitters
from airtune.radio.channels.csi import perceived
from airtune.scenario import Radio


class TurningRays(Channel):
    """A channel whose paths are a function of time; `radio.csi` adds the errors.

    Attributes
    ----------
    _radio : Radio
        Section ``radio`` of the scenario.
    _seed : int
        Seed of the repetition.
    """

    _radio: Radio
    _seed: int

    @abstractmethod
    def _at(self, group: str, time_s: float) -> Paths:
        """Return the paths of the clients or interferers at a time [s]."""

    def block(self, round_index: int) -> Block:
        """Return the paths of a round (0, 1, ...).

        Parameters
        ----------
        round_index : int

        Returns
        -------
        Block

        Raises
        ------
        ValueError
            If the round is negative.
        """
        if round_index < 0:
            raise ValueError(f"round must be >= 0, got {round_index}")
        time_s = round_index * self._radio.paths.block_interval_s
        true = Transmitters(self._at("clients", time_s), self._at("interferers", time_s))
        return Block(true, perceived(true, self._radio.csi, self._seed, round_index))
