"""The cells of the study of the claims: which there are, in what order, and what each depends on.

A cell is a scheme with one seed in one condition, under the costs of the stand-in or of the cost
twin.  A job is one run of rounds with learning and all cells that follow from it: the run itself,
and replays on its updates (:mod:`airtune.study.claims.replay`).

- ``family``: ideal once a seed; the analog schemes in each drawn condition; digital codings in all
  conditions, of one run a seed, for their curve does not depend on the air.
- ``forecast``: the analog schemes in the conditions that were not drawn, on the updates of ideal.
- ``headline``: the named scenarios with a shared plan and plans of their own, plain LoRA and each
  scheme's best payload.
- ``plan``: what plans of their own predict, by device and drive, for every payload.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airtune import load_scenario
from airtune.scenario import Scenario
from airtune.study.claims.family import Condition, Family

CHUNK = 15
"""Conditions of a job of digital cells or of forecasts."""

STAND_IN, TWIN = "stand-in", "twin"
IDEAL, PROPOSAL = "ideal", "movable"
DIGITAL = ("digital", "digital-movable", "digital-selection")
OPPONENTS = ("digital", "digital-selection")
"""Those of them that are opponents: in all conditions; the rest of the factorial in the drawn."""

SHARED, OWN = "shared", "own"
LORA, BEST = "lora", "best payload"
PARTS = ("family", "headline", "forecast", "plan")
TINY = (
    *("model.small.hidden=32", "model.small.layers=1", "model.small.heads=2"),
    *("model.small.intermediate=64", "model.lora.rank=2", "pretraining.steps=3"),
    *("training.rounds=2", "training.batch_size_max=2", "evaluation.records=16"),
    *("clients.count=4", "placement.mode=fast", "planning.pilot_rounds=2"),
)
"""The reduced form: seconds in place of hours."""


@dataclass(frozen=True)
class Cell:
    """One scheme and seed in one condition.

    Attributes
    ----------
    part : str
        See :data:`PARTS`.
    point : str
        The condition, or scenario, plan and payload.
    member : str
        Scheme, or scheme and coding.
    seed : int
    costs : str
        Whose costs are booked.
    how : str
        ``run``, ``replayed``, ``forecast``, or ``plan``.
    settings : tuple of str
        That make the scenario of `base`.
    base : str
        Name of the shipped scenario.
    target : (str, int) or None
        Point and seed of the run of ideal whose target the plan is made for; the cell waits for it.
    payload : str
        Key of `payloads`; :data:`BEST` is decided by the cells of plans.
    """

    part: str
    point: str
    member: str
    seed: int
    costs: str = STAND_IN
    how: str = "run"
    settings: tuple[str, ...] = field(default=(), compare=False)
    base: str = field(default="", compare=False)
    target: tuple[str, int] | None = field(default=None, compare=False)
    payload: str = LORA

    @property
    def scheme(self) -> str:
        """Name of the scheme."""
        return self.member.partition("/")[0]

    @property
    def key(self) -> str:
        """What the cell is known by in the file of results."""
        parts = (self.part, self.point, self.member, str(self.seed), self.costs, self.payload)
        return " | ".join(parts)


@dataclass(frozen=True)
class Job:
    """Cells of one run with learning, which is the first of them or `learn`."""

    learn: Cell
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Study:
    """What is to be run.

    Attributes
    ----------
    family : Family
    reduced : bool
        Tiny settings, few cells.
    cache : str
        Folder of pre-trained models and pilots.
    """

    family: Family
    reduced: bool = False
    cache: str = ".cache/airtune"

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.family.seeds[:1] if self.reduced else self.family.seeds

    @property
    def drawn(self) -> list[Condition]:
        return self.family.drawn[:2] if self.reduced else self.family.drawn

    @property
    def not_drawn(self) -> list[Condition]:
        return self.family.not_drawn[:1] if self.reduced else self.family.not_drawn

    @property
    def conditions(self) -> list[Condition]:
        return [*self.drawn, *self.not_drawn]

    @property
    def schemes(self) -> tuple[str, ...]:
        every = tuple(self.family.document["schemes"])
        return (
            tuple(s for s in every if s in (PROPOSAL, "fixed", "selection", "fixed-2n"))
            if (self.reduced)
            else every
        )

    @property
    def codings(self) -> tuple[str, ...]:
        every = tuple(self.family.document["codings"])
        return ("uniform-8", "lloyd-max-2") if self.reduced else every

    @property
    def forecasts(self) -> tuple[str, ...]:
        """Schemes that the forecast has a law for."""
        every = self.family.document["forecast"]["schemes"]
        return tuple(scheme for scheme in every if scheme in self.schemes)

    def members_of(self, section: str) -> tuple[str, ...]:
        """Return members of a kind of cells; the reduced form has the first two."""
        every = tuple(self.family.document["cells"][section])
        return every[:2] if self.reduced else every

    def sends(self, member: str, payload: str) -> bool:
        """Tell whether a member is run with a payload."""
        return payload == LORA or member not in self.family.document["cells"]["plain_only"]

    def arrays(self, coding: str) -> tuple[str, ...]:
        """Return the digital schemes that a coding is run with: all that the factorial has."""
        declared = self.family.document["factorial"].values()
        members = [member for array in declared for member in array["digital"]]
        return tuple(a for a in DIGITAL if a == DIGITAL[0] or f"{a}/{coding}" in members)

    def scenario(self, cell: Cell, more: Sequence[str] = ()) -> Scenario:
        """Return the scenario of a cell."""
        twin = (f"costs.model={self.family.document['cost_twin']}",) if cell.costs == TWIN else ()
        coding = cell.member.partition("/")[2]
        coded = self.family.settings_of("codings", coding) if coding else ()
        tiny = TINY if self.reduced else ()
        common = (f"cache={self.cache}", "threads=1", "evaluation.answers=0")
        payload = () if cell.payload == BEST else self.family.settings_of("payloads", cell.payload)
        settings = (*cell.settings, *tiny, *twin, *coded, *payload, *common, *more)
        return load_scenario(cell.base, list(settings))

    def of_family(self, condition: Condition, member: str, seed: int, **more: Any) -> Cell:
        """Return a cell of the family in a radio condition."""
        given = (*self.family.settings, *self.family.run_with.settings, *condition.settings)
        cell = Cell("family", condition.name, member, seed, base=self.family.scenario)
        return replace(cell, settings=given, **more)


def jobs(study: Study, parts: Sequence[str] = PARTS) -> Iterator[Job]:
    """Yield all jobs in the order in which they are run."""
    for part in (part for part in PARTS if part in parts):
        yield from {
            "family": _family,
            "headline": _headline,
            "forecast": _forecasts,
            "plan": _plans,
        }[part](study)


def _both(cell: Cell, how: str = "replayed") -> tuple[Cell, Cell]:
    """Return a cell and the same with the costs of the twin."""
    return cell, replace(cell, costs=TWIN, how=how)


def _family(study: Study) -> Iterator[Job]:
    first = study.drawn[0]
    for seed in study.seeds:
        cells = _both(study.of_family(first, IDEAL, seed))
        yield Job(cells[0], cells)
        for coding in study.codings:
            yield from _digital(study, coding, seed)
        for condition in study.drawn:
            for scheme in study.schemes:
                cells = _both(study.of_family(condition, scheme, seed))
                yield Job(cells[0], cells)


def _digital(study: Study, coding: str, seed: int) -> Iterator[Job]:
    drawn = set(study.drawn)
    learn = study.of_family(study.drawn[0], f"digital/{coding}", seed)
    for conditions in _chunks(study.conditions):
        cells = [
            cell
            for condition in conditions
            for array in study.arrays(coding)
            if array in OPPONENTS or condition in drawn
            for cell in _both(study.of_family(condition, f"{array}/{coding}", seed, how="replayed"))
        ]
        yield Job(learn, tuple(replace(c, how="run") if c.key == learn.key else c for c in cells))


def _forecasts(study: Study) -> Iterator[Job]:
    for seed in study.seeds:
        learn = study.of_family(study.drawn[0], IDEAL, seed)
        for conditions in _chunks(study.not_drawn):
            cells = [
                replace(cell, part="forecast")
                for condition in conditions
                for scheme in study.forecasts
                for cell in _both(
                    study.of_family(condition, scheme, seed, how="forecast"), "forecast"
                )
            ]
            yield Job(learn, tuple(cells))


def _chunks(conditions: list[Condition]) -> Iterator[list[Condition]]:
    for start in range(0, len(conditions), CHUNK):
        yield conditions[start : start + CHUNK]


def _headline(study: Study) -> Iterator[Job]:
    given = study.family.document["headline"]
    names, seeds = given["scenarios"], given["seeds"]
    if study.reduced:
        names, seeds = names[:1], seeds[:1]
    for name in names:
        yield _alone(_named(study, name, SHARED, LORA, IDEAL, given["payload_seed"]))
        yield from _payload_plans(study, name)
    for seed in seeds:
        for name in names:
            yield _alone(_named(study, name, SHARED, LORA, IDEAL, seed))
            for plan in (OWN, SHARED):
                for payload in (LORA, BEST):
                    kind = "headline" if (plan, payload) == (SHARED, LORA) else "strongest"
                    for member in study.members_of(kind):
                        there = (plan, payload, member) == (SHARED, LORA, IDEAL)
                        if not there and study.sends(member, payload):
                            yield _alone(_named(study, name, plan, payload, member, seed))
            if not study.reduced:
                for member in study.members_of("strongest"):
                    cell = _named(study, name, SHARED, LORA, member, seed)
                    more = (*cell.settings, "budget.latency_s=null")
                    yield _alone(replace(cell, costs=TWIN, settings=more))


def _alone(cell: Cell) -> Job:
    return Job(cell, (cell,))


def _named(study: Study, name: str, plan: str, payload: str, member: str, seed: int) -> Cell:
    """Return a cell of a headline scenario."""
    own = tuple(study.family.document["own_plan"]["settings"]) if plan == OWN else ()
    target = (f"{name}, {SHARED}", seed) if plan == OWN else None
    point = f"{name}, {plan}"
    return Cell(
        "headline",
        point,
        member,
        seed,
        settings=own,
        base=name,
        target=target,
        payload=payload,
    )


def _payload_plans(study: Study, name: str) -> Iterator[Job]:
    """Yield the plans that choose each scheme's payload in a headline scenario."""
    seed = study.family.document["headline"]["payload_seed"]
    for payload in _payloads(study):
        for member in study.members_of("strongest"):
            if study.sends(member, payload):
                cell = _named(study, name, OWN, payload, member, seed)
                yield _alone(replace(cell, how="plan"))


def _payloads(study: Study) -> list[str]:
    return list(study.family.document["payloads"])[: 1 if study.reduced else None]


def _plans(study: Study) -> Iterator[Job]:
    """Yield plans of their own over the family; other payloads than plain LoRA in the drawn."""
    drawn = set(study.drawn)
    for condition in study.conditions[: 1 if study.reduced else None]:
        for costs in (STAND_IN, TWIN):
            for payload in _payloads(study):
                for member in (PROPOSAL, "fixed") if study.reduced else study.members_of("planned"):
                    if payload == LORA or (condition in drawn and study.sends(member, payload)):
                        yield _alone(_plan(study, condition, member, costs, payload))


def _plan(study: Study, condition: Condition, member: str, costs: str, payload: str) -> Cell:
    """Return the cell of plans of a member's own in a radio condition."""
    seed, own = study.seeds[0], study.family.document["own_plan"]
    cell = study.of_family(condition, member, seed, how="plan")
    return replace(
        cell,
        part="plan",
        costs=costs,
        settings=(*cell.settings, *own["settings"], *own["in_the_family"]),
        target=(study.drawn[0].name, seed),
        payload=payload,
    )
