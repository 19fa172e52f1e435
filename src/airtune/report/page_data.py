"""What the page's figures are drawn from: plain JSON types, embedded in the page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from airtune.radio.gain_map import as_levels, places_along
from airtune.record import names
from airtune.record.documents import ClientFigures, GainMap, MetricsLine, PlacementDocument
from airtune.registry import REFERENCE
from airtune.report import (
    bars,
    faults,
    forecast_curves,
    forecast_figure,
    gain_map,
    holdings,
    scores,
    style,
)
from airtune.report.run_folder import RunFolder, SchemeRun
from airtune.report.values import number, read

Json = dict[str, Any]

DIGITS = 6
"""Significant digits of what is embedded; the run folder has all of them."""

ROUNDS_OF_ANTENNAS = 100
"""Rounds at most that antennas and maps of a scheme are embedded of."""

CLIENTS_SHOWN, FIELDS_SHOWN = 200, 10_000
"""Clients at most, and rounds times clients, that a figure of a scheme's clients is embedded of."""

CLIENT_FIGURES = {
    "alignment": ("Alignment", ""),
    "loss": ("Training loss", "nat"),
    "energy_j": ("Energy", "J"),
    "gain_db": ("Channel gain", "dB"),
    "snr_db": ("SNR alone on the air", "dB"),
}
"""What is shown by client: names and units."""

AXES_OF_CURVES = {"round": "rounds", "time_s": "simulated time", "energy_j": "energy"}
"""What curves go over, and how a choice of it is named."""

_CURVES = {
    "loss": ("Validation loss", "nat"),
    "mse_db": ("Aggregation error", "dB"),
    "perplexity": ("Perplexity", ""),
    "exact_match": ("Exact match", ""),
    "preference_accuracy": ("Preference accuracy", ""),
}
_SYMBOLS = {
    "o": "circle", "s": "square", "D": "diamond", "^": "triangle-up", "v": "triangle-down",
    "<": "triangle-left", ">": "triangle-right", "d": "diamond-tall", "P": "cross", "X": "x",
    "h": "hexagon", "H": "hexagon2", "8": "octagon", "p": "pentagon", "*": "star",
    "$N$": "circle-open", "$C$": "square-open", "$Z$": "diamond-open", "$M$": "star-open",
    "$D$": "cross-open", "$1$": "x-open",
}  # fmt: skip


def embedded(data: Json) -> str:
    """Return the data of a page as JSON that may stand in a script element.

    Text of others stands in it: no character in it ends the element or begins a comment.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def page_data(run: RunFolder) -> Json:
    """Return everything that the figures show."""
    target = read(run.results.get("target_loss"))
    return {
        "name": run.name,
        "schemes": {scheme.name: look(scheme.name) for scheme in run.schemes},
        "components": {
            name: {"label": style.component_label(name), "color": style.component_color(name)}
            for key in ("energy_j", "latency_s")
            for parts in bars.splits(run, key).values()
            for name in style.ordered_components(set(parts))
        },
        "target": target.median,
        "curves": curves(run),
        "costs": {key: _rounded(bars.splits(run, key)) for key in ("energy_j", "latency_s")},
        "antennas": antennas(run),
        "clients": clients(run),
        "clientFigures": {key: {"label": a, "unit": b} for key, (a, b) in CLIENT_FIGURES.items()},
        "forecasts": _forecasts(run),
        "holdings": _holdings(run),
        "domains": _domains(run),
        "scenario": run.scenario_text,
        "tables": {"faults": faults.fault_table(run.results)},
    }


def look(name: str) -> Json:
    """Return how a scheme is named and drawn, on light and on dark ground."""
    known = style.scheme_style(name)
    dash = "solid"
    if not isinstance(known.dash, str):
        dash = ",".join(f"{2 * length:g}px" for length in known.dash[1])
    return {
        "label": known.label,
        "color": known.color,
        "dark": style.on_dark(known.color),
        "dash": dash,
        "symbol": _SYMBOLS.get(known.marker, "circle"),
    }


def curves(run: RunFolder) -> Json:
    """Return each quantity over rounds, time and energy: medians, and 10-90 % over the seeds."""
    found = {}
    histories = [(scheme, scheme.history()) for scheme in run.schemes]
    for key, (label, unit) in _CURVES.items():
        each = {scheme.name: _curve(scheme, history, key) for scheme, history in histories}
        by_scheme = {name: curve for name, curve in each.items() if curve is not None}
        if by_scheme:
            found[key] = {"label": label, "unit": unit, "schemes": by_scheme}
    return found


def _curve(scheme: SchemeRun, history: Sequence[Json], key: str) -> Json | None:
    """Return a scheme's curve; None where nothing is known."""
    points = []
    for entry in history:
        axes = [number(entry.get(axis)) for axis in AXES_OF_CURVES]
        value = number(entry.get(key))
        if value is not None and axes[0] is not None:
            points.append((*axes, value, number(entry.get(f"{key[:-3]}_predicted_db"))))
    if not points:
        return None
    columns = [list(column) for column in zip(*points, strict=True)]
    curve = dict(zip((*AXES_OF_CURVES, "value"), _rounded(columns), strict=False))
    if key == "mse_db":
        curve["predicted"] = _rounded(columns[-1])
    if len(scheme.seeds) > 1:
        known = _by_round(scheme, key)
        bands = [_band(known.get(int(index), ())) for index in columns[0]]
        curve["low"], curve["high"] = (_rounded([band[i] for band in bands]) for i in (0, 1))
    return curve


def _by_round(scheme: SchemeRun, key: str) -> dict[int, list[float]]:
    """Return what is known of a figure in each round, over the repetitions of its medians.

    Those are the finished ones where the scheme has results, else all that have begun.
    """
    known: dict[int, list[float]] = {}
    for seed in scheme.seeds:
        if seed.finished or scheme.result is None:
            for line in seed.metrics:
                value = number(line.number(key))
                if value is not None:
                    known.setdefault(line.round, []).append(value)
    return known


def _band(known: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the 10 and 90 % quantiles."""
    if not known:
        return None, None
    low, high = np.quantile(known, [0.1, 0.9]).tolist()
    return low, high


def antennas(run: RunFolder) -> Json:
    """Return where the antennas of the first repetition were by round, with gain maps.

    Of many rounds some are left out, evenly; `of` has their number before that.  An entry has
    `positions` None where they are those of the entry before.
    """
    found = {}
    for scheme in run.schemes:
        rounds = _placed(scheme.seeds[0].metrics if scheme.seeds else ())
        region = (run.scenario.get("array") or {}).get("region") or [0, 0]
        document: PlacementDocument | None = scheme.first_with("placement")
        if document is not None:
            region = list(document.region)
            rounds = _with_last(rounds, document, f"{scheme.name}: {names.PLACEMENT}")
        sides = [number(side) for side in region]
        if rounds and scheme.name != REFERENCE and len(sides) == 2 and all(sides[:1]):
            kept = [rounds[index] for index in evenly(len(rounds), ROUNDS_OF_ANTENNAS)]
            entries = {"region": sides, "of": len(rounds), "rounds": _by_change(kept)}
            found[scheme.name] = entries
    return found


def evenly(count: int, most: int) -> list[int]:
    """Return so many indices at most, evenly, the first and the last among them.

    Examples
    --------
    >>> evenly(3, 5), evenly(9, 5)
    ([0, 1, 2], [0, 2, 4, 6, 8])
    """
    if count <= most:
        return list(range(count))
    return sorted({round(x) for x in np.linspace(0, count - 1, most).tolist()})


def _placed(lines: Sequence[MetricsLine]) -> list[Json]:
    """Return the antennas' places by round; a round without any has those of the one before."""
    places, found = None, []
    for line in lines:
        if line.positions is not None:
            places = [list(place) for place in line.positions]
        if places is not None:
            kept = line.gain_map
            shown = (
                None
                if kept is None
                else {name: getattr(kept, name) for name in GainMap.model_fields}
            )
            found.append({"round": line.round, "positions": places, "map": shown})
    return found


def _with_last(rounds: list[Json], document: PlacementDocument, where: str) -> list[Json]:
    """Return the rounds with the map of the last placement where none of them has a map.

    Of antennas that have stood still nothing else is left: there is nothing to move through.
    """
    if any(entry["map"] for entry in rounds):
        return rounds
    at = [[round(float(x), 4) for x in place] for place in document.positions]
    last = {"round": document.round, "positions": at, "map": _last_map(document, where)}
    if all(entry["positions"] == rounds[0]["positions"] for entry in rounds):
        return [last]
    return [*(entry for entry in rounds if entry["round"] < document.round), last]


def _last_map(document: PlacementDocument, where: str) -> Json | None:
    """Return the gain map of a placement; None where it has no paths."""
    if not document.clients.gains_re:
        return None
    placement = gain_map.as_arrays(document, where)
    if not np.any(placement.gains):
        return None
    x, y = (places_along(float(side)) for side in placement.region)
    return as_levels(gain_map.weakest_gain_db(placement, x, y))


def _by_change(rounds: Sequence[Json]) -> list[Json]:
    """Return the rounds with places only where they are not those of the round before."""
    before = [None, *(entry["positions"] for entry in rounds)]
    return [
        {**entry, "positions": None if entry["positions"] == last else entry["positions"]}
        for entry, last in zip(rounds, before, strict=False)
    ]


def clients(run: RunFolder) -> Json:
    """Return the figures of each client by round, of the first repetition of each scheme.

    Of many clients and rounds some are left out, evenly; `of` has their numbers before that.
    """
    asked = number((run.scenario.get("clients") or {}).get("count")) or 0
    found = {}
    for scheme in run.schemes:
        lines = [x for seed in scheme.seeds[:1] for x in seed.metrics if x.clients is not None]
        lines = [line for line in lines if line.round > 0]
        count = max([int(asked), *(max(line.clients or [-1]) + 1 for line in lines)])
        if lines and count:
            found[scheme.name] = _client_table(lines, count)
    return found


def _client_table(lines: Sequence[MetricsLine], count: int) -> Json:
    """Return the figures of clients by round: a row a round, a column a client."""
    shown = list(range(0, count, math.ceil(count / CLIENTS_SHOWN)))
    of = {"clients": count, "rounds": len(lines)}
    lines = [lines[index] for index in evenly(len(lines), FIELDS_SHOWN // len(shown))]
    table: Json = {"of": of, "clients": shown, "rounds": [line.round for line in lines]}
    table["participation"] = [_present(line, shown) for line in lines]
    for key in CLIENT_FIGURES:
        rows = [_row(line.per_client, key, shown) for line in lines]
        if any(x is not None for row in rows for x in row):
            table[key] = rows
    return table


def _present(line: MetricsLine, shown: Sequence[int]) -> list[int]:
    """Return for each of these clients whether it transmitted (1) or not (0)."""
    sent = set(line.clients or ())
    return [int(client in sent) for client in shown]


def _row(figures: ClientFigures | None, key: str, shown: Sequence[int]) -> list[float | None]:
    """Return a figure of each of these clients in a round."""
    values = None if figures is None else getattr(figures, key)
    if figures is None or not values:
        return [None] * len(shown)
    known: Mapping[int, Any] = dict(zip(figures.clients, values, strict=True))
    return [number(known.get(client)) for client in shown]


def _forecasts(run: RunFolder) -> Json:
    """Return predicted and measured losses of the schemes that were planned by a forecast."""
    found = {}
    for name, (forecast, measured) in forecast_curves.forecasts(run).items():
        rounds, predicted, late = forecast_figure.forecast_curve(forecast)
        columns = {"at": rounds, "predicted": predicted, "late": late or None}
        found[name] = _rounded({**columns, "target": forecast["target"], "measured": measured})
    return found


def _holdings(run: RunFolder) -> Json | None:
    """Return how many records of each label the clients hold."""
    labels, counts = holdings.holdings(run)
    if not labels:
        return None
    return {"labels": [name or "(none)" for name in labels], "counts": counts.T.tolist()}


def _domains(run: RunFolder) -> Json | None:
    """Return the share of right or preferred answers by domain, before and after."""
    for score in (scores.EXACT, scores.PREFERENCE):
        before, after = bars.domain_scores(run, score.key)
        if after:
            title = score.title.removesuffix(" [%]")
            shares = {"before": _rounded(before), "after": _rounded(after)}
            return {"key": score.key, "label": title, **shares}
    return None


def _rounded(value: Any) -> Any:
    """Return numbers within lists and mappings with few digits; what is not finite as None."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    known = number(value)
    return None if known is None else float(f"{known:.{DIGITS}g}")
