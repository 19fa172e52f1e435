"""The contract of an array policy: where the base station's antennas are in each round."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from airtune.costs import FrontEnd
from airtune.kinds import Integer, Real
from airtune.scenario import Array, Csi, Scenario
from airtune.schemes.link import Link, RadioRound


@dataclass(frozen=True)
class Travel:
    """How far antennas may move before a round, and what distance must bring.

    Attributes
    ----------
    longest : float or None
        Longest distance of an antenna [wavelengths]; None: no limit.
    price_db : float
        Gain that one more wavelength of distance must bring [dB per wavelength].
    stuck : tuple of int
        Antennas that cannot move.
    """

    longest: float | None = None
    price_db: float = 0.0
    stuck: tuple[int, ...] = ()


@dataclass(frozen=True)
class Effort:
    """How hard the placement solver tries.

    Attributes
    ----------
    mode : str or None
        ``fast``, ``default`` or ``exhaustive``; None: the scenario's `placement.mode`.
    method : str or None
        Name of the solver; None: the scenario's `placement.method`.
    """

    mode: str | None = None
    method: str | None = None


@dataclass(frozen=True)
class Trial:
    """How pilots are sent before what is set for a round is chosen.

    Attributes
    ----------
    positions : ndarray, float, shape (N, 2)
        Where the antennas are [wavelengths].
    pilots : int
        Pilot symbols of each client in each sounding.
    csi : Csi
        How wrong beliefs on the channels are, of which those that change within a round grow old.
    dead : ndarray, int, optional
        Antennas that hear nobody and of which the server does not know it.
    """

    positions: Real
    pilots: int
    csi: Csi
    dead: Integer | None = None


@dataclass(frozen=True)
class ArrayPolicy(ABC):
    """Decides where the antennas are; by itself they stay where they start.

    A policy holds the settings that it needs and no state: what is random comes from named streams
    of (seed, round), so a round can be repeated.  :meth:`build` makes it from a scenario, once for
    each repetition.

    Attributes
    ----------
    array : Array
        Section ``array`` of the scenario.
    about : str
        Of the class: one line for the table of schemes.
    moves : bool
        Of the class: whether other positions cost time and energy, because drives carry the
        antennas there.
    wideband : bool
        Of the class itself: whether its places serve several resource blocks
        (`RadioRound.subbands`); without it the policy is refused where there are some.
    client_arrays : bool
        Of the class itself: whether it serves clients with several antennas
        (:mod:`airtune.schemes.precoding`); without it the policy is refused where there are some.
    rotates : bool
        Of the class: whether the array can be turned as a whole (`array.rotation`).

    Examples
    --------
    An array in the lower left corner of the region:

    >>> from airtune.radio.layouts import fixed_array
    >>> class CornerArray(ArrayPolicy):
    ...     about = "half-wavelength array in the corner"
    ...
    ...     def start(self):
    ...         positions = fixed_array(self.array.antennas, self.array.region)
    ...         return positions - positions.min(axis=0)
    >>> CornerArray.build(Scenario(), seed=1).start().tolist()
    [[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5]]
    """

    array: Array
    about: ClassVar[str]
    moves: ClassVar[bool] = False
    wideband: ClassVar[bool] = False
    client_arrays: ClassVar[bool] = False
    rotates: ClassVar[bool] = True

    @classmethod
    def build(cls, scenario: Scenario, seed: int) -> Self:
        """Return the policy of a repetition.

        Parameters
        ----------
        scenario : Scenario
            The policy keeps the settings that it needs.
        seed : int
            Root of the repetition's streams.

        Raises
        ------
        InputError
            If the settings cannot be met; the message names them.
        """
        return cls(scenario.array)

    @property
    def stuck(self) -> tuple[int, ...]:
        """Antennas that do not move although the policy has drives; none by default."""
        return ()

    @property
    def front_end(self) -> FrontEnd:
        """Receivers and switches of the array: by default a chain for each of `array.antennas`."""
        return FrontEnd(chains=self.array.antennas)

    @property
    def soundings(self) -> int:
        """How often clients repeat their pilots until all channels are known; once by default."""
        return 1

    @property
    def listenings(self) -> int:
        """How often `radio.silent_symbols` are needed until interference is known everywhere."""
        return 1

    @property
    def trains(self) -> bool:
        """Whether what is set for a round is chosen by pilots that come before (:meth:`trained`).

        Pilots and silent symbols then come once more when it is set; no by default.
        """
        return False

    def trained(self, radio: RadioRound, clients: Integer, trial: Trial) -> ArrayPolicy:
        """Return the policy with what pilots have told it of a round; as it is by default.

        Parameters
        ----------
        radio : RadioRound
        clients : ndarray, int, shape (S,)
            Who sends pilots.
        trial : Trial
        """
        return self

    def ports(self) -> Real | None:
        """Return places whose channels the pilots tell before the choice, shape (C, 2).

        None, the default: only those where the antennas stand [wavelengths].
        """
        return None

    @abstractmethod
    def start(self) -> Real:
        """Return the positions before the first round.

        Returns
        -------
        ndarray, float, shape (N, 2)
            Positions in the region [wavelengths].

        Raises
        ------
        InputError
            If the antennas do not fit into the region; the message names the setting.
        """

    def place(
        self,
        radio: RadioRound,
        effective_weights: Real,
        positions: Real,
        travel: Travel | None = None,
        effort: Effort | None = None,
    ) -> Real:
        """Return the positions of a round, in no order; where they are by default.

        Parameters
        ----------
        radio : RadioRound
            The round; only what the server perceives of it may be used.
        effective_weights : ndarray, float, shape (K,)
            nu_k as far as they are known: of the last round; 0 for clients that do not transmit.
        positions : ndarray, float, shape (N, 2)
            Where the antennas are [wavelengths].
        travel : Travel, optional
            By default the scenario's, `placement.max_travel` and `placement.travel_price_db`.
        effort : Effort, optional
            By default the scenario's.

        Returns
        -------
        ndarray, float, shape (N, 2)
            Positions in the region, pairwise at least `array.spacing` apart if `moves` is set,
            none farther than `travel.longest` from where it was [wavelengths].
        """
        return positions

    def place_average(
        self,
        radios: Sequence[RadioRound],
        effective_weights: Real,
        positions: Real,
        travel: Travel | None = None,
    ) -> Real:
        """Return the positions for many blocks, of which some are drawn.

        By default those of the first; an array that weighs blocks against each other does better.

        Parameters
        ----------
        radios : sequence of RadioRound
            Drawn blocks, at least one; what the server perceives of them counts.
        effective_weights, positions, travel
            As in :meth:`place`.

        Returns
        -------
        ndarray, float, shape (N, 2)
            As of :meth:`place`.
        """
        return self.place(radios[0], effective_weights, positions, travel)

    def link(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Link:
        """Return what antennas at `positions` receive in a round.

        Parameters
        ----------
        radio : RadioRound
        effective_weights : ndarray, float, shape (K,)
            nu_k of the last round.
        positions : ndarray, float, shape (N, 2)
            Where the antennas are [wavelengths].
        """
        return radio.at(positions)

    def expected_link(self, radio: RadioRound, effective_weights: Real, positions: Real) -> Link:
        """Return the link that a plan counts with: without faults that the server does not know.

        Parameters are those of :meth:`link`.
        """
        return self.link(radio, effective_weights, positions)
