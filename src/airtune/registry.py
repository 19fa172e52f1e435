"""What can be plugged in, by name: schemes, channels, policies, optimisers, objectives, trackers.

A name leads to where its object is (``module:attribute``), and the module is imported when the name
is first used: the registry itself imports nothing of the package.  Names come from the package,
from :meth:`Registry.add` in this process, and from other installed packages by entry points::

    [project.entry-points."airtune.policies"]
    round-robin = "my_package.policies:ROUND_ROBIN"

A name of the package itself cannot be replaced: an entry point of that name is ignored with a
warning.  A name that several packages offer is refused when it is used.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import getattr_static, isfunction
from typing import Any

from airtune.errors import InputError, clip, shown


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
    methods : sequence of str, optional
        What every object has to have.
    is_called : bool, optional
        Whether the objects are called: classes and functions.

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

    def __init__(
        self,
        kind: str,
        group: str,
        built_in: Mapping[str, str],
        *,
        methods: Sequence[str] = (),
        is_called: bool = False,
    ) -> None:
        self.kind, self.group = kind, group
        self.methods, self.is_called = tuple(methods), is_called
        self._built_in = dict(built_in)
        self._objects: dict[str, Any] = {}
        self._added: list[str] = []

    @property
    def built_in(self) -> tuple[str, ...]:
        """Names of the package itself."""
        return tuple(self._built_in)

    @cached_property
    def _installed(self) -> dict[str, list[EntryPoint]]:
        """Entry points of other packages by name, those of built-in names left out."""
        offered: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            if point.name in self._built_in:
                warnings.warn(
                    f"{self.kind} {point.name!r}: {_origin(point)} is ignored, "
                    f"for airtune itself has a {self.kind} of this name",
                    stacklevel=2,
                )
            else:
                offered.setdefault(point.name, []).append(point)
        return {name: offered[name] for name in sorted(offered)}

    def __getitem__(self, name: str) -> Any:
        """Return the object of a name; see :meth:`load`."""
        return self.load(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the object of a name, or `default` if nobody offers the name.

        Raises
        ------
        InputError
            The name is offered, but its object cannot be used.
        """
        return self.load(name) if name in self else default

    def load(self, name: str, setting: str | None = None) -> Any:
        """Return the object of a name, imported if it is not yet.

        Parameters
        ----------
        name : str
        setting : str, optional
            Dotted name of the setting that it comes from, for messages.

        Raises
        ------
        InputError
            The name is unknown, several packages offer it, the one that offers it cannot be
            imported, or what it offers is not of this kind.
        """
        if name not in self._objects:
            subject = f"{self.kind if setting is None else setting + ' ='} {shown(name)}"
            self._objects[name] = self._import(name, subject)
        return self._objects[name]

    def _import(self, name: str, subject: str) -> Any:
        """Import an object; `subject` begins the messages."""
        installed = self._installed  # looked up in any case: it warns of what is ignored
        if name in self._built_in:
            module, attribute = self._built_in[name].split(":")
            return getattr(import_module(module), attribute)
        if name not in installed:
            raise InputError(f"{subject}: must be one of {', '.join(self)}")
        point, *others = installed[name]
        if any(other.value != point.value for other in others):
            offers = " and ".join(sorted(_origin(one) for one in installed[name]))
            raise InputError(
                f"{subject}: offered more than once, by {offers}; uninstall all but one"
            )
        try:
            value = point.load()
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{subject}: {_origin(point)} cannot be loaded "
                f"({type(error).__name__}: {clip(error)})"
            ) from error
        self._refuse_other_kinds(value, f"{subject}: {_origin(point)}")
        return value

    def _refuse_other_kinds(self, value: Any, subject: str) -> None:
        """Refuse an object that lacks what this kind needs; `subject` begins the message."""
        lack = None
        if self.is_called and not callable(value):
            lack = "it cannot be called"
        for method in self.methods:
            if not callable(getattr(value, method, None)):
                lack = f"it has no method {method!r}"
            elif isinstance(value, type) and isfunction(getattr_static(value, method, None)):
                lack = "it is a class; register an instance"
        if lack is not None:
            raise InputError(f"{subject} is no {self.kind}: {lack}")

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
            The name is taken, or the object is not of this kind.
        """
        if name in self:
            raise InputError(f"{self.kind} {shown(name)} exists; choose another name")
        self._refuse_other_kinds(
            value, f"{self.kind} {shown(name)}: what is added, {shown(value)},"
        )
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
            raise InputError(f"{self.kind} {shown(name)}: was not added")
        self._added.remove(name)
        del self._objects[name]


def _origin(point: EntryPoint) -> str:
    """Say what an entry point names and which package it belongs to."""
    package = point.dist.name if point.dist is not None else None
    return f"{point.value} of the package {package or 'without a name'}"


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
        "selection-compact": "airtune.schemes:SELECTION_COMPACT",
        "random-position": "airtune.schemes:RANDOM_POSITION",
        "ris": "airtune.schemes:RIS",
        "cotaf": "airtune.schemes:COTAF",
        "obda": "airtune.schemes:OBDA",
        "non-coherent": "airtune.schemes:NON_COHERENT",
        "truncated": "airtune.schemes:TRUNCATED",
        "digital": "airtune.schemes:DIGITAL",
        "digital-movable": "airtune.schemes:DIGITAL_MOVABLE",
        "digital-selection": "airtune.schemes:DIGITAL_SELECTION",
        "massive-digital": "airtune.schemes:MASSIVE_DIGITAL",
        "zeroth-order": "airtune.schemes:ZEROTH_ORDER",
        "zeroth-order-movable": "airtune.schemes:ZEROTH_ORDER_MOVABLE",
        "zeroth-order-digital": "airtune.schemes:ZEROTH_ORDER_DIGITAL",
        "feedsign": "airtune.schemes:FEEDSIGN",
    },
    methods=("build",),
)
CHANNELS = Registry(
    "channel",
    "airtune.channels",
    {
        "block-fading": "airtune.radio.channels.block_fading:BlockFading",
        "file": "airtune.radio.channels.path_file:FileChannel",
        "tracks": "airtune.radio.channels.tracks:Tracks",
        **{
            name: f"airtune.radio.channels.tr38901:{name.upper().replace('-', '_')}"
            for name in ("umi", "uma", "rma", "cdl-a", "cdl-b", "cdl-c", "cdl-d", "cdl-e")
        },
    },
    is_called=True,
)
CHANNEL_SOURCES = Registry(
    "channel source",
    "airtune.channel_sources",
    {
        "deepmimo": "airtune.radio.channels.deepmimo:DeepMimo",
        "scene": "airtune.radio.channels.scene:Scene",
    },
    is_called=True,
)
"""Channels of `airtune channel NAME:ARGUMENT`, called with the argument before what others get."""

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
    methods=("select",),
)
SERVER_OPTIMIZERS = Registry(
    "server optimiser",
    "airtune.server_optimizers",
    {
        name: f"airtune.learning.server:{name.upper()}"
        for name in ("sgd", "momentum", "adam", "yogi")
    },
    methods=("init", "step"),
)
CLIENT_OBJECTIVES = Registry(
    "client objective",
    "airtune.client_objectives",
    {
        "sft": "airtune.learning.objectives.sft:SFT",
        "dpo": "airtune.learning.objectives.dpo:DPO",
        "fedprox": "airtune.learning.objectives.fedprox:FEDPROX",
        "scaffold": "airtune.learning.objectives.scaffold:SCAFFOLD",
    },
    methods=("encode", "step"),
)
TRACKERS = Registry(
    "tracker",
    "airtune.trackers",
    {
        "tensorboard": "airtune.track.tensorboard:TensorBoardTracker",
        "trackio": "airtune.track.trackio:TrackioTracker",
        "mlflow": "airtune.track.mlflow:MlflowTracker",
        "wandb": "airtune.track.wandb:WandbTracker",
    },
    is_called=True,
)
IMPORTED: list[str] = []
"""Modules that the user had imported to register names; processes elsewhere import them, too."""
ENGINES = Registry(
    "engine",
    "airtune.engines",
    {
        "local": "airtune.engines.local:LocalEngine",
        "ray": "airtune.engines.ray_workers:RayEngine",
        "flower": "airtune.engines.flower.engine:FlowerEngine",
    },
    is_called=True,
)
