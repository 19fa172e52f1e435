"""What a scheme is: an array policy and an air interface under a name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from airtune import registry
from airtune.errors import InputError, clip, shown
from airtune.learning.twins import cost_twin
from airtune.radio.quantisers.coding import Coding
from airtune.scenario import Scenario
from airtune.schemes.air.base import AirInterface
from airtune.schemes.air.grouped import Grouped
from airtune.schemes.arrays.base import ArrayPolicy
from airtune.schemes.arrays.faulty import with_faults

_KNOWN = {
    "wideband": "one channel for the whole band",
    "client_arrays": "one antenna at each client",
}


@dataclass(frozen=True)
class BuiltScheme:
    """A scheme with the settings of a scenario.

    Attributes
    ----------
    name : str
    array : ArrayPolicy
        Where the antennas are.
    air : AirInterface
        How the updates are combined.
    """

    name: str
    array: ArrayPolicy
    air: AirInterface

    def repeating(self, count: int) -> BuiltScheme:
        """Return the scheme with every analog symbol sent `count` times."""
        air = self.air.repeating(count)
        return self if air is self.air else replace(self, air=air)

    def coded(self, coding: Coding | None) -> BuiltScheme:
        """Return the scheme with a coding of the updates; None: as it is."""
        return self if coding is None else replace(self, air=self.air.coded(coding))


@dataclass(frozen=True)
class Scheme:
    """How the clients' updates are brought to the server.

    Attributes
    ----------
    name : str
    array : type of ArrayPolicy
        Its ``build(scenario, seed)`` makes the policy; its ``about`` is in the table of schemes.
    air : type of AirInterface
        Its ``build(scenario)`` makes the interface; its ``about`` is in the table of schemes.
    source : str
        Paper that it comes from, for the table of schemes.
    forward_only : bool
        Whether its clients make forward passes only, and send differences of the loss along the
        seeded directions of `zeroth_order` in place of a gradient.

    Examples
    --------
    >>> from airtune.schemes import FIXED
    >>> fixed = FIXED.build(Scenario(), seed=1)
    >>> fixed.name, fixed.array.start().shape, FIXED.air.about
    ('fixed', (4, 2), 'over the air, clients aligned')
    """

    name: str
    array: type[ArrayPolicy]
    air: type[AirInterface]
    source: str = ""
    forward_only: bool = False

    def build(self, scenario: Scenario, seed: int) -> BuiltScheme:
        """Return the scheme for a repetition.

        Parameters
        ----------
        scenario : Scenario
            Policy and interface keep the settings that they need; of `aggregation.normalise: auto`
            the choice is made by :class:`airtune.planning.Repetition`, and is `block` without it.
        seed : int
            Root of the repetition's streams.

        Raises
        ------
        InputError
            If the policy cannot meet the settings, the interface cannot book the cost twin, or one
            of them knows one channel for the whole band where there are resource blocks, or one
            antenna at each client where there are several.
        """
        blocks, antennas = scenario.radio.resource_blocks, scenario.clients.antennas
        self._check_channels(scenario, "radio.resource_blocks", blocks, "wideband")
        self._check_channels(scenario, "clients.antennas", antennas, "client_arrays")
        array = with_faults(self.array.build(scenario, seed), scenario, seed)
        air = self._booking(self.air.build(scenario), scenario)
        if scenario.aggregation.groups > 1 and not self.air.tells_apart:
            air = Grouped(air.radio, air.aggregation, air.digital, air, twin=air.twin)
        return BuiltScheme(self.name, array, air)

    def _check_channels(self, scenario: Scenario, setting: str, value: int, flag: str) -> None:
        """Refuse several channels of a client for what knows one: `flag` tells who serves them."""
        if value == 1 or getattr(self, flag):
            return
        names = dict.fromkeys([self.name, *scenario.schemes])
        known: list[Scheme] = [registry.SCHEMES[name] for name in names]
        single = ", ".join(one.name for one in known if not getattr(one, flag))
        raise InputError(
            f"{setting} = {value}: must be 1 with the schemes {clip(single)}, whose array or air "
            f"interface knows {_KNOWN[flag]}; leave them out (schemes)"
        )

    @property
    def wideband(self) -> bool:
        """Whether array and interface serve several resource blocks."""
        return self._both_say("wideband")

    @property
    def client_arrays(self) -> bool:
        """Whether array and interface serve clients with several antennas."""
        return self._both_say("client_arrays")

    def _both_say(self, name: str) -> bool:
        # one's own class inherits code for several channels with code for one: it says so itself
        return all(vars(part).get(name, False) for part in (self.array, self.air))

    def _booking(self, air: AirInterface, scenario: Scenario) -> AirInterface:
        """Return the interface with the cost twin of the scenario, if there is one."""
        twin = cost_twin(scenario)
        if twin is None:
            return air
        if not self.air.books_twins:
            raise InputError(
                f"costs.model = {shown(twin.name)}: the air interface of the scheme "
                f"{shown(self.name)} books its own updates only (AirInterface.books_twins); must "
                "be none with it"
            )
        return replace(air, twin=twin)


def register(scheme: Scheme) -> Scheme:
    """Make a scheme of one's own known under its name in this process.

    The command line imports the module that calls it with ``airtune --import MODULE COMMAND``.  An
    installed package needs no call: it names its schemes by entry points (`airtune.registry`).

    Raises
    ------
    InputError
        If the name is taken.
    """
    registry.SCHEMES.add(scheme.name, scheme)
    return scheme
