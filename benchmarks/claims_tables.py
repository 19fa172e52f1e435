"""The tables of docs/claims.md from the finished cells of the study of the claims."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import manual
from airtune.bound.forecast import rounds_to_target
from airtune.study.claims import measures, savings
from airtune.study.claims.family import Condition
from airtune.study.claims.histories import Reached, course
from airtune.study.claims.savings import ORDER, Tested
from airtune.study.statistics import quantiles
from airtune.study.targets import SHARES
from claims_cells import BEST, IDEAL, LORA, OWN, PROPOSAL, SHARED, STAND_IN, TWIN, Cell, Study
from claims_sheet import Sheet
from claims_work import Results

NOTHING = "Nothing of this has been run yet."
MISSING = "–"
COSTS = (STAND_IN, TWIN)


def tables(study: Study, results: Results) -> dict[str, str]:
    """Return the text between the marks of the page, by their names."""
    sheet = Sheet(study, results)
    found = {
        "claims headline": _headline(sheet),
        "claims family": _family(sheet),
        "claims own plans": _own_plans(sheet),
        "claims factorial": _factorial(sheet),
        "claims measures": _measures(sheet),
        "claims forecast": _forecast(sheet),
        "claims conditions": _conditions(study),
        "claims ranges": _ranges(study),
    }
    return {name: text or NOTHING for name, text in found.items()}


def _ranges(study: Study) -> str:
    """Return the declared ranges with their sources."""
    declared = study.family.document
    rows = [
        [name, entry["kind"], "; ".join(entry["levels"]), _source(entry)]
        for name, entry in declared["factors"].items()
    ]
    hardware = declared["also_booked"]["hardware"]
    rows.append(["hardware", "booked", "; ".join(hardware["levels"]), hardware["source"]])
    ranges = manual.table(["quantity", "", "levels", "source"], rows, None)
    shared = [[f"`{one['set']}`", one["why"]] for one in declared["base"]["settings"]]
    common = manual.table(["all scenarios have", "why"], shared, None)
    opponents = [
        [name, ", ".join(f"`{m}`" for m in entry["members"]), entry["why"]]
        for name, entry in declared["groups"].items()
    ]
    groups = manual.table(["opponents", "members", "what they are"], opponents, None)
    out = [[f"`{name}`", why] for name, why in declared["left_out"].items()]
    missing = manual.table(["left out", "why"], out, None)
    return "\n".join([*ranges, "", *common, "", *groups, "", *missing])


def _source(entry: Mapping[str, Any]) -> str:
    """Return the source of a range, with what deviates from the design."""
    deviation = entry.get("deviation")
    return f"{entry['source']}. **Deviation**: {deviation}" if deviation else str(entry["source"])


def _conditions(study: Study) -> str:
    """Return the conditions that are run."""
    names = [factor.name for factor in study.family.factors("run")]
    rows = [[str(i), *(c[name] for name in names)] for i, c in enumerate(study.drawn, 1)]
    return "\n".join(manual.table(["", *names], rows, None))


def _claims(sheet: Sheet) -> list[tuple[str, str, float]]:
    declared = sheet.study.family.document["claims"]
    return [(name, entry["figure"], entry["percent"]) for name, entry in declared.items()]


def _family(sheet: Sheet) -> str:
    """Return every claim against every group over the family, with a shared plan."""
    rows = []
    for costs, share, (name, figure, percent) in itertools.product(COSTS, SHARES, _claims(sheet)):
        for group in sheet.study.family.document["groups"]:
            tested = sheet.tested(figure, group, share, costs)
            held = sheet.held(group)
            for scope, ones in _scopes(sheet, figure, tested):
                summed = savings.summary(ones, percent)
                if summed is not None:
                    without = [m for m in held if summed["how"]["forecast"] and sheet.lawless(m)]
                    shown = _label(sheet, group, held, without)
                    rows.append([name, f"{share} %", costs, shown, scope, *_summed(ones, summed)])
    return "\n".join(manual.table(_COLUMNS, rows, 5)) if rows else ""


def _label(sheet: Sheet, group: str, held: Sequence[str], without: Sequence[str] = ()) -> str:
    """Return the name of a group, with what a row holds of it where this is not all."""
    if set(sheet.study.family.members(group)) != set(held):
        group = f"{group}: only {', '.join(held)}"
    return f"{group} (where forecast, without {', '.join(without)})" if without else group


def _scopes(
    sheet: Sheet, figure: str, tested: Sequence[Tested]
) -> Iterator[tuple[str, list[Tested]]]:
    """Yield scenarios of which a claim is told apart: with runs, of these with 1 MHz, and all.

    Joules of computing are the same for all devices, so for energy one device stands for all.
    """
    ones, more = list(tested), ""
    if figure == "energy_j":
        device = sheet.study.family.run_with["device"]
        ones, more = [one for one in ones if one["device"] == device], f", {device}"
    ran = [one for one in ones if sheet.is_run(one.levels)]
    yield f"run{more}", ran
    yield f"run, 1 MHz{more}", [one for one in ran if one["uplink"] == "1 MHz"]
    if len(ran) < len(ones):
        yield f"all, with forecasts{more}", ones


_COLUMNS = [
    *("claim", "gain", "costs", "against", "scenarios", "conditions"),
    *("best case", "median (10 to 90 %)", "reached", "ceiling has it", "share of the ceiling"),
    "run / booked / replayed / forecast",
]


def _summed(tested: Sequence[Tested], summed: Mapping[str, Any]) -> list[str]:
    best = summed["best"]
    more = "at least " * best["lower_bound"]
    low, high = (_percent(summed[end]) for end in ("p10", "p90"))
    booked = {"device", "drive"}
    conditions = {tuple(p for p in one.levels if p[0] not in booked) for one in tested}
    return [
        f"{len(conditions)}",
        f"{more}{_percent(best['percent'])} against {best['opponent']}, ceiling "
        f"{_percent(best['ceiling'])}: {best['scenario']} ({best['how']})",
        f"{_percent(summed['median'])} ({low} to {high})",
        f"{100 * summed['reached']:.0f} %",
        f"{100 * summed['ceiling_reached']:.0f} %",
        MISSING if summed["ceiling_share"] is None else f"{summed['ceiling_share']:.2f}",
        " / ".join(str(summed["how"][how]) for how in ORDER),
    ]


def _percent(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} %"


def _members(group: Sequence[str], there: Collection[str]) -> list[str]:
    """Return the members of a group that there are, and schemes that plan their coding.

    A member ``scheme/coding`` is stood for by the scheme that takes the coding of least predicted
    time, unless the coding is one of those that papers run.
    """
    planned = dict.fromkeys(m.partition("/")[0] for m in group if "/" in m and "uniform" not in m)
    return [member for member in (*group, *planned) if member in there]


def _own_plans(sheet: Sheet) -> str:
    """Return the claims over the family where every scheme plans for itself: all forecasts."""
    rows = []
    for costs, payload in itertools.product(COSTS, (LORA, BEST)):
        plans = sheet.own_plans(costs, payload)
        there = {member for members in plans.values() for member in members}
        for (name, figure, percent), group in itertools.product(
            _claims(sheet), sheet.study.family.document["groups"]
        ):
            held = _members(sheet.study.family.members(group), there)
            tested = _tested_plans(plans, figure, held)
            summed = savings.summary(tested, percent)
            if summed is not None:
                shown = _label(sheet, group, held)
                rows.append([name, payload, costs, shown, *_summed(tested, summed)])
    columns = [_COLUMNS[0], "payload", *_COLUMNS[2:4], *_COLUMNS[5:]]
    return "\n".join(manual.table(columns, rows, 4)) if rows else ""


def _tested_plans(
    plans: Mapping[Condition, Mapping[str, Reached]], figure: str, held: Sequence[str]
) -> list[Tested]:
    """Test a claim in every scenario; who is not predicted to arrive counts with what is spent."""
    found = []
    for scenario, members in plans.items():
        others = {m: members[m] for m in held if m in members}
        others = {m: one for m, one in others.items() if math.isfinite(one.value(figure))}
        if PROPOSAL in members and IDEAL in members and others:
            one = savings.tested_claim(
                scenario.name, figure, {0: members[PROPOSAL]}, {0: members[IDEAL]}, {0: others}
            )
            found += [replace(one, levels=scenario.levels)] if one is not None else []
    return found


def _headline(sheet: Sheet) -> str:
    """Return the claims in the named scenarios, with tests over the seeds."""
    rows: list[list[str]] = []
    names = sheet.study.family.document["headline"]["scenarios"]
    every = [(STAND_IN, plan, payload) for plan in (OWN, SHARED) for payload in (LORA, BEST)]
    for name, (costs, plan, payload), share in itertools.product(
        names, [*every, (TWIN, SHARED, LORA)], SHARES
    ):
        cells = sheet.headline(name, plan, payload, costs, share)
        block = list(_block(sheet, name, cells))
        corrected = savings.holm([found["p"] for _, found, _ in block])
        where = [name, f"{plan} plan", payload, costs, f"{share} %"]
        rows += [
            [*where, *what, *_shown(found, p, holds)]
            for (what, found, holds), p in zip(block, corrected, strict=True)
        ]
    columns = [
        *("scenario", "plan", "payload", "costs", "gain", "claim", "against"),
        *("strongest", "saved, median (interval)", "ceiling", "seeds with it", "p (Holm)", "holds"),
    ]
    return "\n".join(manual.table(columns, rows, 8)) if rows else ""


def _block(
    sheet: Sheet, name: str, cells: Mapping[str, Mapping[int, Reached]]
) -> Iterator[tuple[list[str], dict[str, Any], bool]]:
    """Yield claim and group, figures, and whether it holds, for one plan, payload and gain."""
    for (claim, figure, percent), group in itertools.product(
        _claims(sheet), sheet.study.family.document["groups"]
    ):
        named = _members(sheet.study.family.members(group), cells)
        others: dict[int, dict[str, Reached]] = {}
        for member in named:
            for seed, one in cells[member].items():
                others.setdefault(seed, {})[member] = one
        whole = {seed: ones for seed, ones in others.items() if len(ones) == len(named)}
        tested = savings.tested_claim(
            name, figure, cells.get(PROPOSAL, {}), cells.get(IDEAL, {}), whole
        )
        if tested is not None:
            found = savings.headline_test(tested, percent)
            yield [claim, _label(sheet, group, named)], found, tested.percent >= percent


def _shown(found: Mapping[str, Any], p: float | None, holds: bool) -> list[str]:
    ends = found["interval"]
    more = "at least " * found["lower_bound"]
    low, high = _percent(ends["low"]), _percent(ends["high"])
    return [
        found["opponent"],
        f"{more}{_percent(found['median'])} ({low} to {high}, {100 * ends['coverage']:.0f} %)",
        _percent(found["ceiling"]),
        f"{found['held']} of {found['seeds']}",
        MISSING if p is None else f"{p:.2g}",
        "yes" if holds else "no",
    ]


def _factorial(sheet: Sheet) -> str:
    """Return how much is the air and how much the antennas: medians over the conditions."""
    rows = []
    for costs, figure, share in itertools.product(COSTS, ("time_s", "energy_j"), SHARES):
        found = sheet.factorial(figure, share, costs)
        if not found:
            continue
        for array, air in itertools.product(sheet.study.family.document["factorial"], _AIRS):
            taken = quantiles([one["median"][array][air] for one in found])["median"]
            antennas = [one["antennas"].get(array, {}).get(air) for one in found]
            by_air = [one["air"][array] for one in found] if air == "over the air" else []
            rows.append(
                [
                    *(costs, figure.split("_")[0], f"{share} %", array, air),
                    "never" if taken is None else f"{taken:.4g}",
                    _middle(by_air),
                    _middle(antennas if array != "fixed" else []),
                    str(len(found)),
                ]
            )
    columns = [
        *("costs", "", "gain", "array", "interface", "to the target [s], [J]"),
        *("saved by the air", "saved by the antennas", "conditions"),
    ]
    return "\n".join(manual.table(columns, rows, 5)) if rows else ""


_AIRS = ("over the air", "digital")


def _middle(values: Sequence[float | None]) -> str:
    if not values:
        return MISSING
    return _percent(quantiles(values, missing=-math.inf)["median"])


def _measures(sheet: Sheet) -> str:
    """Return the three measures of EdgeFlowerTune over the runs of the drawn conditions."""
    rows = []
    for member in sheet.study.family.document["measures"]["members"]:
        quality, costs, kept = [], [], {}
        for condition, seed in itertools.product(sheet.study.drawn, sheet.study.seeds):
            found = _measured(sheet, condition.name, member, seed)
            if found is not None:
                quality.append(found[0]["perplexity"])
                costs.append(found[1])
                kept[f"{condition.name}, seed {seed}"] = found[2]
        if kept:
            rows.append([member, *_row(quality, costs, kept)])
    columns = [
        *("scheme", "Quality under Budget: perplexity", "Cost to Target: rounds"),
        *("time [s]", "energy [J]", "traffic [MB]", "Robustness: median", "worst", "in"),
    ]
    return "\n".join(manual.table(columns, rows, 1)) if rows else ""


def _row(
    quality: Sequence[float | None],
    costs: Sequence[Mapping[str, float | None]],
    kept: Mapping[str, float],
) -> list[str]:
    middle = quantiles(quality)["median"]
    shown = ["never" if middle is None else f"{middle:.3f}"]
    for name in ("rounds", "time_s", "energy_j", "traffic_mb"):
        value = quantiles([cost[name] for cost in costs])["median"]
        shown.append("never" if value is None else f"{value:.4g}")
    worst = min(kept, key=lambda name: kept[name])
    return [*shown, f"{median(kept.values()):.2f}", f"{kept[worst]:.2f}", worst]


def _measured(
    sheet: Sheet, condition: str, member: str, seed: int
) -> tuple[dict[str, Any], dict[str, float | None], float] | None:
    """Return quality, cost and the share of the improvement that is left, of one cell."""
    point = sheet.base if member == IDEAL else condition
    cells = [Cell("family", p, m, seed) for p, m in ((point, member), (condition, "fixed"))]
    both = [sheet.history(cell.key) for cell in cells]
    ideal = sheet.history(Cell("family", sheet.base, IDEAL, seed).key)
    target = sheet.targets(sheet.base, seed)["90"]
    if both[0] is None or both[1] is None or ideal is None or target is None:
        return None
    lines, reference = (course(found[0], found[1]) for found in both if found is not None)
    entry = sheet.results.cells[cells[0].key]
    traffic = measures.traffic_mb(
        _clients(entry), entry["facts"]["entries"], entry["facts"]["entries"], _bits(sheet, member)
    )
    spent = measures.cost_to_target(reference, 0.0, target)
    budget = {
        name: float(getattr(reference[-1], name) if spent[name] is None else spent[name] or 0.0)
        for name in ("time_s", "energy_j")
    }
    budget["traffic_mb"] = measures.FLOWERTUNE_LIMIT_MB
    robust = measures.robustness(ideal[0][0], ideal[0][-1], {condition: both[0][0][-1]})
    return (
        measures.quality_under_budget(lines, traffic, budget),
        measures.cost_to_target(lines, traffic, target),
        float(robust["worst"]),
    )


def _clients(entry: Mapping[str, Any]) -> float:
    count = entry["history"]["clients"]
    return float(median(count)) if isinstance(count, list) else float(count)


def _bits(sheet: Sheet, member: str) -> float:
    """Return the bits of an uploaded entry: those of the coding, else what Flower carries."""
    coding = member.partition("/")[2]
    given = sheet.study.family.settings_of("codings", coding) if coding else ()
    found = [one.split("=")[1] for one in given if one.startswith("digital.bits=")]
    return float(found[0]) if found else float(measures.BITS)


def _forecast(sheet: Sheet) -> str:
    """Return predicted over measured rounds of the runs on which the forecast was not fitted."""
    groups: dict[str, list[tuple[float, float]]] = {}
    rows = [row for row in sheet.rounds_table() if row["seed"] != sheet.study.seeds[0]]
    rows = [row for row in rows if not sheet.lawless(row["scheme"])]
    for row in rows:
        chi, largest = sheet.law
        predicted = rounds_to_target(
            row["curve"], row["target"], row["errors"], chi, largest_mse=largest
        )
        measured = math.inf if row["measured"] is None else row["measured"]
        for name in (row["scheme"], "all"):
            groups.setdefault(name, []).append((predicted, measured))
    shown = []
    for name, pairs in sorted(groups.items(), key=lambda item: (item[0] == "all", item[0])):
        ratios = [p / m for p, m in pairs if math.isfinite(p) and math.isfinite(m)]
        spread = quantiles(ratios) if ratios else {}
        nevers = [sum(math.isinf(pair[i]) for pair in pairs) for i in (1, 0)]
        values = [spread.get(key) for key in ("median", "p10", "p90")]
        text = [MISSING if value is None else f"{value:.2f}" for value in values]
        ratio = f"{text[0]} ({text[1]} to {text[2]})"
        shown.append([name, str(len(pairs)), ratio, f"{nevers[0]} / {nevers[1]}"])
    columns = ["scheme", "runs", "predicted over measured rounds", "never: measured / predicted"]
    table = "\n".join(manual.table(columns, shown, 1)) if shown else ""
    told = f"chi = {sheet.chi:.2f}, up to an MSE of {sheet.law[1]:.3g}"
    return f"{told}\n\n{table}" if table else ""
