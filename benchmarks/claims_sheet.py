"""Figures of the study of the claims from its finished cells: booked, tested and summed up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from statistics import mean
from typing import Any

from airtune import load_scenario
from airtune.bound.forecast import CHI, LARGEST_MSE
from airtune.bound.forecast_constants import fit_chi
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.study.claims import savings
from airtune.study.claims.booking import BookedRound, Books, check, rebooked
from airtune.study.claims.family import Condition, Levels
from airtune.study.claims.histories import Reached, forecast_reached, reached, unpacked
from airtune.study.claims.savings import Tested
from airtune.study.targets import SHARES
from claims_cells import BEST, IDEAL, LORA, OWN, PROPOSAL, SHARED, STAND_IN, Cell, Study
from claims_work import Results

AtTargets = dict[str, Reached]
"""What a cell took to each target, by its name."""


@dataclass(eq=False)
class Sheet:
    """Figures of the finished cells.

    Attributes
    ----------
    study : Study
    results : Results
    """

    study: Study
    results: Results
    _reached: dict[tuple[str, ...], AtTargets | None] = field(default_factory=dict)
    _rounds: dict[str, tuple[list[Any], list[BookedRound], list[float]]] = field(
        default_factory=dict
    )

    @cached_property
    def base(self) -> str:
        """The condition in which ideal was run."""
        return self.study.drawn[0].name

    @cached_property
    def drawn(self) -> set[str]:
        """Names of the conditions that are run."""
        return {condition.name for condition in self.study.drawn}

    def targets(self, point: str, seed: int) -> dict[str, float | None]:
        """Return the target losses of a seed by name."""
        return {share: self.results.target(point, seed, share) for share in SHARES}

    def history(self, key: str) -> tuple[list[Any], list[BookedRound], list[float]] | None:
        """Return losses, rounds and errors of a finished cell; None where there are none."""
        if key not in self._rounds:
            entry = self.results.cells.get(key)
            if entry is None or "history" not in entry:
                return None
            lines = unpacked(entry["history"])
            self._rounds[key] = (
                [line["loss"] for line in lines],
                [BookedRound.of(line) for line in lines[1:]],
                [float(line["mse"] or 0.0) for line in lines[1:]],
            )
        return self._rounds[key]

    def at(
        self, condition: Condition, booked: Condition, member: str, seed: int, costs: str
    ) -> AtTargets | None:
        """Return what a member took in a scenario of the family; None: its cell is missing."""
        scheme = member.partition("/")[0]
        if not self._moves(scheme):  # the drive says nothing
            booked = self._with_drive(booked)
        key = (condition.name, booked.name, member, str(seed), costs)
        if key not in self._reached:
            self._reached[key] = self._at(condition, booked, member, seed, costs)
        return self._reached[key]

    @cache  # noqa: B019
    def _moves(self, scheme: str) -> bool:
        scenario = _scenario(self.study.family.scenario, self.study.family.settings)
        return bool(SCHEMES[scheme].build(scenario, 0).array.moves)

    @cache  # noqa: B019
    def _with_drive(self, booked: Condition) -> Condition:
        """Return the device of a booking with the drive of the runs."""
        family = self.study.family
        names = [booked["device"], family.run_with["drive"]]
        return family.condition(family.factors("booked"), names)

    def _at(
        self, condition: Condition, booked: Condition, member: str, seed: int, costs: str
    ) -> AtTargets | None:
        point = self.base if member == IDEAL else condition.name
        part = "family"
        if member in self.study.schemes and point not in self.drawn:
            part = "forecast"
        key = Cell(part, point, member, seed, costs).key
        found, targets = self.history(key), self.targets(self.base, seed)
        if found is None:
            return None
        losses, rounds, errors = found
        how = self.results.cells[key]["how"]
        if booked.levels != self.study.family.run_with.levels:
            books = self._books(condition["uplink"], booked, member)
            rounds = [rebooked(one, *books) for one in rounds]
            how = "booked" if how in ("run", "replayed") else how
        if part == "forecast":
            curve = self.history(Cell("family", self.base, IDEAL, seed).key)
            if curve is None:
                return None
            law = self.law
            return {
                share: forecast_reached(curve[0], errors, rounds, target, *law)
                for share, target in targets.items()
            }
        return {s: reached(losses, rounds, target, how) for s, target in targets.items()}

    @cache  # noqa: B019
    def _books(self, uplink: str, booked: Condition, member: str) -> tuple[Books, Books]:
        """Return the books of the runs and those of a booking, where this can be booked."""
        family = self.study.family
        scheme, _, coding = member.partition("/")
        level = family.document["factors"]["uplink"]["levels"][uplink]
        coded = family.settings_of("codings", coding) if coding else ()
        before, after = (
            _scenario(family.scenario, (*family.settings, *one.settings, *level, *coded))
            for one in (family.run_with, booked)
        )
        check(before, after)
        return Books.of(before, scheme), Books.of(after, scheme)

    @property
    def chi(self) -> float:
        """The constant of the forecast."""
        return self.law[0]

    @cached_property
    def law(self) -> tuple[float, float]:
        """The constant of the forecast, fitted on the runs of the first seed, and the largest MSE.

        The largest is that of a run that it was fitted on.
        """
        rows = [row for row in self.rounds_table() if row["seed"] == self.study.seeds[0]]
        rows = [r for r in rows if r["scheme"] in self.study.forecasts and r["measured"]]
        errors = [row["mse"] for row in rows]
        factors = [row["measured"] / row["ideal"] for row in rows]
        if not any(error > 0 for error in errors):
            return CHI, LARGEST_MSE
        return fit_chi(errors, factors), max(errors)

    def rounds_table(self) -> list[dict[str, Any]]:
        """Return measured rounds to the main target of the analog runs, with what predicts them."""
        return list(self._rounds_table)

    @cached_property
    def _rounds_table(self) -> list[dict[str, Any]]:
        rows = []
        for seed in self.study.seeds:
            ideal = self.at(self.study.drawn[0], self.study.family.run_with, IDEAL, seed, STAND_IN)
            curve = self.history(Cell("family", self.base, IDEAL, seed).key)
            if ideal is None or curve is None or not ideal["90"].rounds:
                continue
            for condition in self.study.drawn:
                for scheme in self.study.schemes:
                    key = Cell("family", condition.name, scheme, seed).key
                    found = self.history(key)
                    if found is None:
                        continue
                    targets = self.targets(self.base, seed)
                    rows.append(
                        {
                            "seed": seed,
                            "condition": condition.name,
                            "scheme": scheme,
                            "mse": mean(found[2]),
                            "errors": found[2],
                            "rounds": found[1],
                            "curve": curve[0],
                            "target": targets["90"],
                            "ideal": ideal["90"].rounds,
                            "measured": reached(found[0], found[1], targets["90"]).rounds,
                        }
                    )
        return rows

    @cache  # noqa: B019
    def scenarios(self, costs: str) -> dict[Condition, dict[int, dict[str, AtTargets]]]:
        """Return what members took in every scenario of the family: seed, then member.

        Every radio condition with every booked combination; what is missing is left out.
        """
        members, found = self._members("everything"), {}
        for condition in self.study.conditions:
            part = "family" if condition.name in self.drawn else "forecast"
            seeds = [
                seed
                for seed in self.study.seeds
                if Cell(part, condition.name, PROPOSAL, seed, costs).key in self.results.cells
            ]
            for booked in self.study.family.combinations("booked") if seeds else ():
                here: dict[int, dict[str, AtTargets]] = {}
                for seed in seeds:
                    for member in (PROPOSAL, IDEAL, *members):
                        one = self.at(condition, booked, member, seed, costs)
                        if one is not None:
                            here.setdefault(seed, {})[member] = one
                found[condition + booked] = here
        return found

    def is_run(self, levels: Levels) -> bool:
        """Tell whether the radio condition of a scenario is one of those that are run."""
        names = {factor.name for factor in self.study.family.factors("run")}
        return ", ".join(level for factor, level in levels if factor in names) in self.drawn

    def tested(self, figure: str, group: str, share: str, costs: str) -> list[Tested]:
        """Test a claim against a group in every scenario whose cells are there.

        Schemes without a law of the forecast are no opponents in the conditions that are not run.
        """
        found = []
        every = self._members(group)
        for scenario, seeds in self.scenarios(costs).items():
            others = [m for m in every if self.is_run(scenario.levels) or not self.lawless(m)]
            needed = (PROPOSAL, IDEAL, *others)
            whole = {
                seed: {member: members[member][share] for member in needed}
                for seed, members in seeds.items()
                if all(member in members for member in needed)
            }
            one = savings.tested_claim(
                scenario.name,
                figure,
                {seed: members[PROPOSAL] for seed, members in whole.items()},
                {seed: members[IDEAL] for seed, members in whole.items()},
                {seed: {m: members[m] for m in others} for seed, members in whole.items()},
            )
            if one is not None:
                found.append(replace(one, levels=scenario.levels))
        return found

    def lawless(self, member: str) -> bool:
        """Tell whether a member is over the air and the forecast has no law for it."""
        return member in self.study.schemes and member not in self.study.forecasts

    def held(self, group: str) -> list[str]:
        """Return the members of a group that the family is run with."""
        return self._members(group)

    def _members(self, group: str) -> list[str]:
        """Return the members of a group that the study runs; the reduced form has fewer."""
        codings = {f"{a}/{c}" for c in self.study.codings for a in self.study.arrays(c)}
        there = {*self.study.schemes, *codings}
        return [member for member in self.study.family.members(group) if member in there]

    def factorial(self, figure: str, share: str, costs: str) -> list[dict[str, Any]]:
        """Return the factorial of arrays and interfaces in every condition, as it was run."""
        declared = self.study.family.document["factorial"]
        booked, found = self.study.family.run_with, []
        for condition in self.study.conditions:
            cells: dict[str, dict[str, dict[int, dict[str, Reached]]]] = {}
            for array, airs in declared.items():
                for air, members in airs.items():
                    seeds = cells.setdefault(array, {}).setdefault(air, {})
                    for seed in self.study.seeds:
                        ones = {m: self.at(condition, booked, m, seed, costs) for m in members}
                        known = {m: one[share] for m, one in ones.items() if one is not None}
                        if known:
                            seeds[seed] = known
            if all(seeds for airs in cells.values() for seeds in airs.values()):
                found.append(savings.factorial(figure, cells))
        return found

    def headline(
        self, name: str, plan: str, payload: str, costs: str, share: str
    ) -> dict[str, dict[int, Reached]]:
        """Return what members took in a headline scenario, by member and seed."""
        found: dict[str, dict[int, Reached]] = {}
        for seed in self.study.family.document["headline"]["seeds"]:
            target = self.results.target(f"{name}, {SHARED}", seed, share)
            prefix = f"headline | {name}, {plan} | "
            for key in self._by_prefix.get(prefix, ()):
                _, _, member, number, kind, sent = key.split(" | ")
                if (number, kind, sent) != (str(seed), costs, payload):
                    continue
                history = self.history(key)
                if history is not None and target is not None:
                    found.setdefault(member, {})[seed] = reached(history[0], history[1], target)
        return found

    @cached_property
    def _by_prefix(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in self.results.cells:
            part, point, *_ = key.split(" | ")
            found.setdefault(f"{part} | {point} | ", []).append(key)
        return found

    def own_plans(self, costs: str, payload: str) -> dict[Condition, dict[str, Reached]]:
        """Return what plans of their own predict, by scenario of the family and member.

        With the best payload, in the drawn conditions, each member has that of the least predicted
        product of time and energy.  Whoever is not predicted to arrive has spent what all rounds of
        the shared plan take.
        """
        best = payload == BEST
        payloads = list(self.study.family.document["payloads"]) if best else [payload]
        every = {one.name: one for one in self.study.family.combinations("booked")}
        found: dict[Condition, dict[str, Reached]] = {}
        for condition in self.study.drawn if best else self.study.conditions:
            for key in self._by_prefix.get(f"plan | {condition.name} | ", ()):
                _, _, member, _, kind, sent = key.split(" | ")
                if kind != costs or sent not in payloads:
                    continue
                for name, plan in self.results.cells[key]["plans"].items():
                    for where in self._drives(name, member):
                        booked = every[where]
                        here = found.setdefault(condition + booked, {})
                        one = self._planned(plan, condition, booked, member, costs)
                        if member not in here or _product(one) < _product(here[member]):
                            here[member] = one
        return found

    def _planned(
        self,
        plan: Mapping[str, Any],
        condition: Condition,
        booked: Condition,
        member: str,
        costs: str,
    ) -> Reached:
        """Return what a plan predicts; where it does not arrive, what the shared plan spends."""
        one = _predicted(plan)
        if one.time_s is not None:
            return one
        family = self.study.family
        names = [member]
        if member == "digital":
            names = [
                m for m in family.members("digital at its best") if m in self.held("everything")
            ]
        seed = self.study.seeds[0]
        known = [self.at(condition, booked, name, seed, costs) for name in names]
        spent = [found["90"] for found in known if found is not None]
        if not spent:
            return one
        return replace(
            one,
            spent_time_s=min(s.spent_time_s for s in spent),
            spent_energy_j=min(s.spent_energy_j for s in spent),
        )

    def _drives(self, name: str, member: str) -> list[str]:
        """Return the bookings that a plan of a member is for: whatever drive, if it has none."""
        every = self.study.family.combinations("booked")
        if member == PROPOSAL:
            return [name]
        device = next(b["device"] for b in every if b.name == name)
        return [b.name for b in every if b["device"] == device]


@cache
def _scenario(name: str, settings: tuple[str, ...]) -> Scenario:
    return load_scenario(name, list(settings))


def _predicted(plan: Mapping[str, Any]) -> Reached:
    time_s, energy_j = plan["time_s"], plan["energy_j"]
    infinite = float("inf")
    return Reached(
        plan["rounds"],
        time_s,
        energy_j,
        infinite if time_s is None else time_s,
        infinite if energy_j is None else energy_j,
        "forecast",
    )


def _product(one: Reached) -> float:
    """Return time times energy to the target; infinite where it is never reached."""
    if one.time_s is None or one.energy_j is None:
        return float("inf")
    return one.time_s * one.energy_j


__all__ = ["BEST", "LORA", "OWN", "SHARED", "Sheet"]
