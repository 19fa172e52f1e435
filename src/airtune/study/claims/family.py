"""The declared family of scenarios, and the radio conditions that are drawn from it to be run.

Every range with its source stands in ``family.json`` beside this file.  Factors of the kind ``run``
change the error of the aggregation and so the learning; those of the kind ``booked`` change time
and energy only, and are booked exactly (:mod:`airtune.study.claims.booking`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from airtune.errors import InputError, shown
from airtune.scenario.file import load as load_scenario

FILE = Path(__file__).with_name("family.json")
"""The declaration."""

MOST_DRAWS = 100_000
"""Draws after which no set of different conditions is found."""

Levels = tuple[tuple[str, str], ...]
"""Factor and level, in the order of the declaration."""


@dataclass(frozen=True)
class Factor:
    """A quantity of the family.

    Attributes
    ----------
    name : str
    levels : dict of str to tuple of str
        Settings of each level.
    source : str
        Where the range is from.
    """

    name: str
    levels: Mapping[str, tuple[str, ...]]
    source: str


@dataclass(frozen=True)
class Condition:
    """A combination of levels.

    Attributes
    ----------
    levels : tuple of (str, str)
        Factor and level, in the order of the declaration.
    settings : tuple of str
        Of all levels, as ``--set`` takes them.
    """

    levels: Levels
    settings: tuple[str, ...]

    @property
    def name(self) -> str:
        """The levels, one after the other."""
        return ", ".join(level for _, level in self.levels)

    def __getitem__(self, factor: str) -> str:
        """Return the level of a factor."""
        return dict(self.levels)[factor]

    def __add__(self, other: Condition) -> Condition:
        """Return the levels of both."""
        return Condition(self.levels + other.levels, self.settings + other.settings)


@dataclass(frozen=True, eq=False)
class Family:
    """The declaration, read.

    Attributes
    ----------
    document : dict
        Content of the file.
    """

    document: dict[str, Any]

    @property
    def scenario(self) -> str:
        """Name of the scenario that all share."""
        return str(self.document["base"]["scenario"])

    @property
    def settings(self) -> tuple[str, ...]:
        """What all scenarios of the family have besides."""
        return tuple(entry["set"] for entry in self.document["base"]["settings"])

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the runs."""
        return tuple(self.document["run_seeds"])

    @property
    def sha256(self) -> str:
        """Digest of the declaration and of the scenarios that its settings make.

        Every finished cell keeps it.  A default or a shipped scenario that changes gives another.
        """
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        content = {"declared": self.document, "resolved": self.resolved()}
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def resolved(self) -> dict[str, Any]:
        """Return the scenarios that are made of the declared settings, by what makes them.

        Settings of one factor do not depend on those of another, so each level comes once.
        """
        document, own = self.document, self.document["own_plan"]
        given: dict[str, tuple[str, ...]] = {"run": self.run_with.settings}
        for factor in (*self.factors("run"), *self.factors("booked")):
            given |= {f"{factor.name} = {k}": v for k, v in factor.levels.items()}
        for section in ("codings", "payloads"):
            given |= {f"{section}: {name}": tuple(v) for name, v in document[section].items()}
        given["own plan"] = (*own["settings"], *own["in_the_family"])
        given["twin"] = (f"costs.model={document['cost_twin']}",)
        found = {
            name: load_scenario(self.scenario, [*self.settings, *more]).to_dict()
            for name, more in given.items()
        }
        for name in document["headline"]["scenarios"]:
            found[f"{name}, shared"] = load_scenario(name).to_dict()
            found[f"{name}, own"] = load_scenario(name, own["settings"]).to_dict()
        return found

    def factors(self, kind: str) -> list[Factor]:
        """Return the factors of a kind, ``run`` or ``booked``."""
        return [
            Factor(name, {k: tuple(v) for k, v in entry["levels"].items()}, entry["source"])
            for name, entry in self.document["factors"].items()
            if entry["kind"] == kind
        ]

    def settings_of(self, section: str, name: str) -> tuple[str, ...]:
        """Return the settings of a payload or a coding (``payloads``, ``codings``)."""
        return tuple(self.document[section][name])

    def condition(self, factors: Iterable[Factor], names: Iterable[str]) -> Condition:
        """Return the combination of one level of each factor."""
        pairs = list(zip(factors, names, strict=True))
        levels = tuple((factor.name, name) for factor, name in pairs)
        settings = tuple(itertools.chain.from_iterable(f.levels[name] for f, name in pairs))
        return Condition(levels, settings)

    def combinations(self, kind: str) -> list[Condition]:
        """Return all combinations of the levels of a kind of factors."""
        factors = self.factors(kind)
        every = itertools.product(*(factor.levels for factor in factors))
        return [self.condition(factors, names) for names in every]

    @cached_property
    def run_with(self) -> Condition:
        """The booked quantities with which cells are run."""
        given = self.document["run_with"]
        factors = self.factors("booked")
        return self.condition(factors, [given[factor.name] for factor in factors])

    @cached_property
    def drawn(self) -> list[Condition]:
        """The radio conditions that are run, drawn by the declared seed.

        Every level of a factor comes equally often, and no condition comes twice.
        """
        given, factors = self.document["draw"], self.factors("run")
        rows = balanced_draw([list(f.levels) for f in factors], given["conditions"], given["seed"])
        return [self.condition(factors, row) for row in rows]

    @cached_property
    def not_drawn(self) -> list[Condition]:
        """The other radio conditions, which come by the forecast."""
        run = {condition.levels for condition in self.drawn}
        return [c for c in self.combinations("run") if c.levels not in run]

    def members(self, group: str) -> tuple[str, ...]:
        """Return the opponents of a group, as ``scheme`` or ``scheme/coding``."""
        return tuple(self.document["groups"][group]["members"])


def read_family(file: Path = FILE) -> Family:
    """Return the declared family.

    Raises
    ------
    InputError
        The file is no declaration.

    Examples
    --------
    >>> family = read_family()
    >>> len(family.combinations("run")), len(family.combinations("booked")), len(family.drawn)
    (90, 12, 30)
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        family = Family(document)
        if not family.factors("run") or not family.drawn or not family.run_with.levels:
            raise ValueError("nothing is declared")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{shown(str(file))}: is no declared family ({str(error)[:80]})") from None
    return family


def balanced_draw(levels: list[list[str]], count: int, seed: int) -> list[tuple[str, ...]]:
    """Draw different combinations in which each level of a factor comes equally often.

    For each factor the levels are repeated to the count and shuffled; a draw in which a combination
    comes twice is thrown away as a whole.  Shuffling sorts by SHA-256, so the draw is the same with
    every version of Python and numpy.

    Parameters
    ----------
    levels : list of list of str
        Levels of each factor.
    count : int
        A multiple of each number of levels.
    seed : int

    Raises
    ------
    ValueError
        The count is no such multiple, or there are not so many different combinations.

    Examples
    --------
    >>> balanced_draw([["a", "b"], ["x", "y"]], 4, seed=1) == balanced_draw(
    ...     [["a", "b"], ["x", "y"]], 4, seed=1
    ... )
    True
    >>> sorted(balanced_draw([["a", "b"], ["x", "y"]], 4, seed=1))
    [('a', 'x'), ('a', 'y'), ('b', 'x'), ('b', 'y')]
    """
    if any(count % len(names) for names in levels):
        raise ValueError(f"{count} conditions do not have each level equally often")
    for attempt in range(MOST_DRAWS):
        columns = [
            _shuffled(names * (count // len(names)), f"{seed} {attempt} {factor}")
            for factor, names in enumerate(levels)
        ]
        rows = list(zip(*columns, strict=True))
        if len(set(rows)) == count:
            return rows
    raise ValueError(f"no {count} different conditions in {MOST_DRAWS} draws")


def _shuffled(values: list[str], key: str) -> list[str]:
    def digest(index: int) -> bytes:
        return hashlib.sha256(f"{key} {index}".encode()).digest()

    return [values[index] for index in sorted(range(len(values)), key=digest)]
