"""What can be plugged in, by name: schemes, channels, policies, optimisers, objectives, engines.

A name leads to where its object is (``module:attribute``), and the module is imported when the name
is first used: the registry itself imports nothing of the package.  Names come from the package,
from :meth:`Registry.add` in this process, and from other installed packages by entry points::

    [project.entry-points."airtune.policies"]
    round-robin = "my_package.policies:ROUND_ROBIN"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from airtune.errors import InputError


class Registry(Mapping[str, Any]):
    """Objects of one kind by name, each imported when it is first asked for.

    Parameters
    ----------
    kind : str
        What the objects are, in the singular, for messages: ``scheme``.
    group : str
        Group of the entry points by which other packages add objects: ``airtune.schemes``.
    built_in : mapping of str to str
        Name to ``module:attribute``.

    Examples
    --------
    >>> names = Registry("number", "airtune.doctest", {"pi": "math:pi"})
    >>> names["pi"]
    3.141592653589793
    >>> names.add("two", 2)
    >>> list(names)
    ['pi', 'two']
    >>> names["e"]
    Traceback (most recent call last):
    ...
    airtune.errors.InputError: number 'e': must be one of pi, two
    """

    def __init__(self, kind: str, group: str, built_in: Mapping[str, str]) -> None:
        self.kind, self.group = kind, group
        self._built_in = dict(built_in)
        self._objects: dict[str, Any] = {}
        self._added: list[str] = []

    @cached_property
    def _installed(self) -> dict[str, EntryPoint]:
        """Entry points of other packages; what the package itself has is not replaced."""
        points = {point.name: point for point in entry_points(group=self.group)}
        return {name: points[name] for name in sorted(points) if name not in self._built_in}

    def __getitem__(self, name: str) -> Any:
        """Return the object of a name.

        Raises
        ------
        InputError
            The name is unknown, or the package that offers it cannot be imported.
        """
        if name not in self._objects:
            self._objects[name] = self._load(name)
        return self._objects[name]

    def _load(self, name: str) -> Any:
        if name in self._built_in:
            module, attribute = self._built_in[name].split(":")
            return getattr(import_module(module), attribute)
        self.check(name)
        point = self._installed[name]
        try:
            return point.load()
        except Exception as error:
            raise InputError(
                f"{self.kind} {name!r}: {point.value} cannot be loaded "
                f"({type(error).__name__}: {error})"
            ) from error

    def __contains__(self, name: object) -> bool:
        known = name in self._built_in or name in self._objects
        return known or name in self._installed

    def __iter__(self) -> Iterator[str]:
        yield from (*self._built_in, *self._added)
        yield from (name for name in self._installed if name not in self._added)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def add(self, name: str, value: Any) -> None:
        """Make an object known under a name in this process.

        Raises
        ------
        InputError
            The name is taken.
        """
        if name in self:
            raise InputError(f"{self.kind} {name!r} exists; choose another name")
        self._objects[name] = value
        self._added.append(name)

    def remove(self, name: str) -> None:
        """Forget an object that :meth:`add` made known.

        Raises
        ------
        InputError
            Nothing was added under the name.
        """
        if name not in self._added:
            raise InputError(f"{self.kind} {name!r}: was not added")
        self._added.remove(name)
        del self._objects[name]

    def check(self, name: str, setting: str | None = None) -> None:
        """Refuse a name that nobody offers.

        Parameters
        ----------
        name : str
        setting : str, optional
            Dotted name of the setting that it comes from, for the message.

        Raises
        ------
        InputError
            Lists what is there.
        """
        if name not in self:
            where = f"{self.kind} {name!r}" if setting is None else f"{setting} = {name!r}"
            raise InputError(f"{where}: must be one of {', '.join(self)}")


PROPOSAL, REFERENCE = "movable", "ideal"
"""The scheme that is compared with the baselines, and the error-free one that sets the target."""

SCHEMES = Registry(
    "scheme",
    "airtune.schemes",
    {
        "ideal": "airtune.schemes:IDEAL",
        "movable": "airtune.schemes:MOVABLE",
        "fixed": "airtune.schemes:FIXED",
        "fixed-2n": "airtune.schemes:FIXED_2N",
        "sparse": "airtune.schemes:SPARSE",
        "selection": "airtune.schemes:SELECTION",
        "random-position": "airtune.schemes:RANDOM_POSITION",
        "ris": "airtune.schemes:RIS",
        "cotaf": "airtune.schemes:COTAF",
        "obda": "airtune.schemes:OBDA",
        "truncated": "airtune.schemes:TRUNCATED",
        "digital": "airtune.schemes:DIGITAL",
    },
)
CHANNELS = Registry(
    "channel",
    "airtune.channels",
    {"block-fading": "airtune.radio.channels.block_fading:BlockFading"},
)
POLICIES = Registry(
    "policy",
    "airtune.policies",
    {
        "all": "airtune.scheduling:EVERYBODY",
        "random": "airtune.scheduling:RANDOM",
        "best-channel": "airtune.scheduling:BEST_CHANNEL",
        "proportional-fair": "airtune.scheduling:PROPORTIONAL_FAIR",
        "joint": "airtune.scheduling:JOINT",
    },
)
SERVER_OPTIMIZERS = Registry(
    "server optimiser",
    "airtune.server_optimizers",
    {
        name: f"airtune.learning.server:{name.upper()}"
        for name in ("sgd", "momentum", "adam", "yogi")
    },
)
CLIENT_OBJECTIVES = Registry(
    "client objective",
    "airtune.client_objectives",
    {
        "sft": "airtune.learning.objectives.sft:SFT",
        "dpo": "airtune.learning.objectives.dpo:DPO",
    },
)
ENGINES = Registry(
    "engine",
    "airtune.engines",
    {"local": "airtune.engines.local:LocalEngine"},
)
