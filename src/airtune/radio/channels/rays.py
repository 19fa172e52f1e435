"""What channels of rays have in common: their paths are a function of time."""

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
        true = self.later(round_index, 0.0)
        return Block(true, perceived(true, self._radio.csi, self._seed, round_index))

    def later(self, round_index: int, age_s: float) -> Transmitters:
        """Return the true paths some time after those of a round were looked at."""
        if round_index < 0:
            raise ValueError(f"round must be >= 0, got {round_index}")
        time_s = round_index * self._radio.paths.block_interval_s + age_s
        return Transmitters(self._at("clients", time_s), self._at("interferers", time_s))

    @property
    def max_doppler_hz(self) -> float | None:
        """The largest Doppler shift [Hz]."""
        return self._radio.paths.doppler_hz
