"""Predicted over measured rounds of all runs of the studies, and limits on them: docs/forecast.md.

    python benchmarks/forecast_study.py

No new run: loss curves and errors are those in benchmarks/results/study.  Of each seed the first
eight rounds of `ideal` are the pilot; the target is 90 % of what `ideal` gained by its last round.
The constants are those of the package, fitted on tuning seeds that no study uses
(benchmarks/chi.py, benchmarks/quantisers.py); gamma, which the studies have not kept, is that of
the tuning runs in proportion to the clients of a round.  The MSE of a prediction is the mean of
those measured in the run: the error of the prediction of the air is not in these figures.

Limits: for each run a one-sided 90 % limit by split conformal prediction.  Scores come from seeds
that are not the run's: with all clients from the twenty-one seeds of benchmarks/forecast.py (the
same model and data, one run a seed), for the regime map from ten tuning seeds of
benchmarks/chi.py (the same model), where some clients are drawn from the same scheme under all
other seeds of that study.
None of these is the very scenario: what coverage the limits have is measured here, not proven.

A run that stands in two studies, or that books alone tell from another, is counted once in the
groups over all studies: its losses and errors are the same.  *Beyond the pilot* is without the
seeds whose error-free run is at the target within the pilot, of which only the slow-down is
predicted.

SmolLM2-135M has runs of its own (benchmarks/forecast_smollm2.py), for those of the studies have
been evaluated at both ends only.  Their scores are those of the twenty-one seeds, another model's.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import chi
import forecast
import forecast_smollm2
import manual
import resumable
from airtune.bound import fit_learning_curve
from airtune.bound.conformal import COVERAGE, score, upper_limit
from airtune.bound.forecast import LARGEST_MSE, crossing, slowdown
from airtune.bound.forecast_constants import GAMMA, SIGNS, chi_of, fit_chi
from airtune.schemes.air.coding import CHI as CODED

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "forecast_study.json"
STUDY = ROOT / "benchmarks" / "results" / "study"
PAGE = ROOT / "docs" / "forecast.md"

PILOT, SHARE, MOST = 8, 0.9, 200
CLIENTS = 10
"""Clients of a round in the tuning runs."""

HELD = (0.85, 0.97)
"""Coverage within which a limit for 90 % is said to hold."""

MEDIAN = (0.95, 1.05)

FAMILIES = {
    "paper-v1": "all clients",
    "cell-edge": "all clients",
    "electrical": "all clients",
    "policies": "all clients",
    "paper-v2": "some clients",
    "regimes": "regime map",
    "smollm2": "all clients",
}
"""Studies, and the family in which each finds its scores."""

Run = dict[str, Any]


def runs_of(name: str) -> tuple[dict[tuple[str, int], dict[str, Run]], dict[str, dict[str, Any]]]:
    """Return the runs of a study's shared plans, by point, seed, scheme; settings by point."""
    found: dict[tuple[str, int], dict[str, Run]] = defaultdict(dict)
    settings = {}
    if name == "smollm2":
        return forecast_smollm2.measured(), settings
    for line in (STUDY / f"{name}.jsonl").read_text().splitlines():
        run = json.loads(line)
        if "scheme" in run and "history" in run and "own" not in run["point"]:
            found[run["point"], run["seed"]][run["scheme"]] = run
        elif "settings" in run:
            settings[run["point"]] = run["settings"]
    return found, settings


def group_of(study: str, point: str) -> str:
    """Return the name under which a point is counted.

    >>> group_of("policies", "paper-v1: once"), group_of("electrical", "dense-cell-radiated")
    ('policies, paper-v1', 'electrical, dense-cell')
    """
    if study == "policies":
        return f"policies, {point.partition(':')[0]}"
    if study == "electrical":
        return f"electrical, {point.removesuffix('-radiated')}"
    return study


def rows_of(study: str) -> Iterator[Run]:
    """Yield measured and predicted figures of each run of a study."""
    runs, settings = runs_of(study)
    references = runs
    if study == "policies":  # one scheme under several rules: `ideal` is that of the same scenario
        references, _ = runs_of("electrical")
    for (point, seed), schemes in runs.items():
        base = point.partition(":")[0] if study == "policies" else point
        ideal = references.get((base, seed), {}).get("ideal")
        if ideal is None or any(loss is None for loss in ideal["history"]["loss"]):
            continue
        losses = np.array(ideal["history"]["loss"], float)
        if losses[-1] > 0.6 * losses[0]:
            continue  # the steps are too small for the rounds: no target to speak of
        target = float(losses[0] - SHARE * (losses[0] - losses[-1]))
        needed = crossing(fit_learning_curve(losses[: PILOT + 1]).losses(MOST), target)
        known = settings.get(point, {})
        transmitting = known.get("clients.concurrency") or known.get("clients.count") or CLIENTS
        for scheme, run in schemes.items():
            if run["history"]["loss"][0] != ideal["history"]["loss"][0]:
                continue  # not the same start
            own = np.array([np.nan if x is None else x for x in run["history"]["loss"]], float)
            errors = [x for x in run["history"].get("mse", []) if x is not None]
            mse = float(np.mean(errors)) if errors else 0.0
            yield {
                "study": study,
                "group": group_of(study, point),
                "point": point,
                "seed": seed,
                "scheme": scheme,
                "measured": crossing(own, target),
                "ideal": crossing(losses, target),
                "needed": needed,
                "mse": mse,
                "learnt": (*own.tolist(), *errors),
                "factor": factor(scheme, mse, GAMMA * min(transmitting, CLIENTS) / CLIENTS),
            }


def factor(scheme: str, mse: float, gamma: float) -> float:
    """Return the slow-down that is predicted; infinite: never."""
    if scheme == "ideal":
        return 1.0
    if scheme == "obda":
        return SIGNS
    if mse > LARGEST_MSE:
        return math.inf
    constant = CODED["lloyd-max", False] if scheme == "digital" else chi_of(gamma)
    return float(slowdown(mse, constant))


def given_scores() -> dict[str, list[float]]:
    """Return the scores of the families that have them from seeds of no study."""
    seeds = json.loads(forecast.RESULT.read_text())["cells"]
    tuned = json.loads(chi.RESULT.read_text())["cells"]
    return {
        "all clients": forecast.scores(seeds, (*forecast.CALIBRATION, *forecast.TEST)),
        "regime map": chi.scores(tuned),
    }


def with_limits(rows: list[Run]) -> None:
    """Add to each run its score, and whether its limit holds; None: too few scores for one."""
    given = given_scores()
    for row in rows:
        row["predicted"] = row["needed"] * row["factor"]
        row["score"] = score([row["measured"]], [row["predicted"]])
    kinds: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for row in rows:
        kinds[FAMILIES[row["study"]], row["scheme"]].append(row)
    for (family, _), kind in kinds.items():
        for row in kind:
            others = given.get(family)
            if others is None:
                others = [one["score"] for one in kind if one["seed"] != row["seed"]]
            limit = upper_limit(others, COVERAGE) if others else math.inf
            known = math.isfinite(limit) and math.isfinite(row["predicted"])
            row["held"] = row["score"] <= limit if known else None
            row["limit"] = math.exp(limit) if known else None


def figures(rows: list[Run]) -> dict[str, Any]:
    """Return quantiles of predicted over measured rounds, and how often the limits hold."""
    values = np.array([[r["measured"], r["predicted"], r["ideal"], r["factor"]] for r in rows])
    both = np.isfinite(values[:, :2]).all(axis=1)
    ratio = values[both, 1] / values[both, 0]
    pace = values[both, 3] * values[both, 2] / values[both, 0]
    held = [row["held"] for row in rows if row["held"] is not None]
    quantiles = [0.1, 0.5, 0.9]
    spread = np.quantile(ratio, quantiles) if both.any() else [math.nan] * 3
    paces = np.quantile(pace, quantiles) if both.any() else [math.nan] * 3
    limits = [row["limit"] for row in rows if row["limit"] is not None]
    return {
        "runs": len(rows),
        "seeds": len({row["seed"] for row in rows}),
        **{n: _known(x) for n, x in zip(("p10", "median", "p90"), spread, strict=True)},
        **{
            n: _known(x)
            for n, x in zip(("pace_p10", "pace_median", "pace_p90"), paces, strict=True)
        },
        "measured_never": int(np.sum(~np.isfinite(values[:, 0]))),
        "predicted_never": int(np.sum(~np.isfinite(values[:, 1]))),
        "limits": len(held),
        "held": float(np.mean(held)) if held else None,
        "limit_factor": float(np.median(limits)) if limits else None,
    }


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def fails(one: dict[str, Any]) -> list[str]:
    """Return what of a group is outside what is asked for."""
    off = []
    if one["median"] is not None and not MEDIAN[0] <= one["median"] <= MEDIAN[1]:
        off.append("median")
    if one["held"] is not None and not HELD[0] <= one["held"] <= HELD[1]:
        off.append("limit")
    return off


NOISY = ("movable", "fixed", "fixed-2n", "sparse", "selection-compact", "random-position", "ris")


def chi_by_ratios(rows: list[Run]) -> dict[str, float]:
    """Return chi as the ratios to the error-free run of each seed of paper-v1 would have it.

    Only to show how far these fits are apart: no forecast uses them.
    """
    known = [r for r in rows if r["study"] == "paper-v1" and r["point"] == "shared-plan"]
    known = [r for r in known if r["scheme"] in NOISY]
    seeds = sorted({r["seed"] for r in known})
    return {
        str(seed): fit_chi([r["mse"] for r in of], [r["measured"] / r["ideal"] for r in of])
        for seed in seeds
        if (of := [r for r in known if r["seed"] == seed])
    }


def once(rows: list[Run]) -> list[Run]:
    """Return the runs without those that have learnt the very same as one before."""
    found: dict[tuple[Any, ...], Run] = {}
    for row in rows:
        found.setdefault((row["scheme"], row["seed"], str(row["learnt"])), row)
    return list(found.values())


def study() -> dict[str, Any]:
    """Return the figures of all groups: a study or its point, and a scheme."""
    rows = [row for name in FAMILIES for row in rows_of(name)]
    with_limits(rows)
    groups: dict[str, list[Run]] = defaultdict(list)
    for row in rows:
        groups[f"{row['group']}, all"].append(row)
        if row["scheme"] != "ideal":
            groups[f"{row['group']}, noisy"].append(row)
        groups[f"{row['group']}, {row['scheme']}"].append(row)
    for row in once(rows):
        groups["all, all"].append(row)
        if row["scheme"] != "ideal":
            groups["all, noisy"].append(row)
            if row["ideal"] > PILOT:
                groups["all, noisy, beyond the pilot"].append(row)
    return {
        "rows": len(rows),
        "constants": {"chi": chi_of(GAMMA), "gamma": GAMMA, "signs": SIGNS, "coverage": COVERAGE},
        "chi_by_ratios": chi_by_ratios(rows),
        "groups": {name: figures(one) for name, one in sorted(groups.items())},
    }


def write_docs(document: dict[str, Any]) -> None:
    """Write the tables of docs/forecast.md."""
    groups, rows = document["groups"], []
    for name in sorted(groups, key=lambda n: (n.startswith("all, "), n)):
        one = groups[name]
        if one["median"] is None:
            spread = pace = ""
        else:
            spread = f"{one['median']:.2f} ({one['p10']:.2f} to {one['p90']:.2f})"
            pace = f"{one['pace_median']:.2f} ({one['pace_p10']:.2f} to {one['pace_p90']:.2f})"
        held = "" if one["held"] is None else f"{one['held']:.0%} of {one['limits']}"
        limit = "" if one["limit_factor"] is None else f"{one['limit_factor']:.2f}"
        never = f"{one['measured_never']} / {one['predicted_never']}"
        off = ", ".join(fails(one))
        rows.append([name, str(one["runs"]), spread, pace, never, limit, held, off])
    head = ["group", "runs", "rounds", "slow-down alone", "never: measured / predicted"]
    head += ["limit over forecast", "limit holds", "off"]
    manual.put(PAGE, "study of forecasts", "\n".join(manual.table(head, rows)))


def main() -> None:
    """Evaluate, and write the result and the table."""
    document = study()
    resumable.write(RESULT, document)
    write_docs(document)


if __name__ == "__main__":
    main()
