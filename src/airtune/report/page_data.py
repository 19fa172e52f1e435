"""What the page's figures are drawn from: plain JSON types, embedded in the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from airtune.record.documents import ClientFigures, GainMap, MetricsLine
from airtune.registry import REFERENCE
from airtune.report import bars, forecast_curves, forecast_figure, holdings, scores, style
from airtune.report.run_folder import RunFolder, SchemeRun
from airtune.report.values import number, read

Json = dict[str, Any]

DIGITS = 6
"""Significant digits of what is embedded; the run folder has all of them."""

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
        bands = [_band(scheme, int(index), key) for index in columns[0]]
        curve["low"], curve["high"] = (_rounded([band[i] for band in bands]) for i in (0, 1))
    return curve


def _band(scheme: SchemeRun, index: int, key: str) -> tuple[float | None, float | None]:
    """Return the 10 and 90 % quantiles of a figure over the repetitions in a round."""
    lines = [line for line in scheme.lines() if line.round == index]
    known = [x for line in lines if (x := number(line.number(key))) is not None]
    if not known:
        return None, None
    low, high = np.quantile(known, [0.1, 0.9]).tolist()
    return low, high


def antennas(run: RunFolder) -> Json:
    """Return where the antennas of the first repetition were in each round, with gain maps."""
    found = {}
    for scheme in run.schemes:
        lines = scheme.seeds[0].metrics if scheme.seeds else ()
        rounds = _placed(lines)
        region = (run.scenario.get("array") or {}).get("region") or [0, 0]
        document = scheme.first_with("placement")
        if document is not None:
            region = document.region
            if not rounds:
                at = [[round(float(x), 4) for x in place] for place in document.positions]
                rounds = [{"round": document.round, "positions": at, "map": None}]
        sides = [number(side) for side in region]
        if rounds and scheme.name != REFERENCE and len(sides) == 2 and all(sides[:1]):
            found[scheme.name] = {"region": sides, "rounds": rounds}
    return found


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


def clients(run: RunFolder) -> Json:
    """Return the figures of each client by round, of the first repetition of each scheme."""
    asked = number((run.scenario.get("clients") or {}).get("count")) or 0
    found = {}
    for scheme in run.schemes:
        lines = [x for seed in scheme.seeds[:1] for x in seed.metrics if x.clients is not None]
        lines = [line for line in lines if line.round > 0]
        count = max([int(asked), *(max(line.clients or [-1]) + 1 for line in lines)])
        if not lines or not count:
            continue
        table: Json = {"count": count, "rounds": [line.round for line in lines]}
        table["participation"] = [_present(line, count) for line in lines]
        for key in CLIENT_FIGURES:
            rows = [_row(line.per_client, key, count) for line in lines]
            if any(x is not None for row in rows for x in row):
                table[key] = rows
        found[scheme.name] = table
    return found


def _present(line: MetricsLine, count: int) -> list[int]:
    """Return for each client whether it transmitted (1) or not (0)."""
    sent = set(line.clients or ())
    return [int(client in sent) for client in range(count)]


def _row(figures: ClientFigures | None, key: str, count: int) -> list[float | None]:
    """Return a figure of every client in a round."""
    row: list[float | None] = [None] * count
    values = None if figures is None else getattr(figures, key)
    if figures is not None and values:
        for client, value in zip(figures.clients, values, strict=True):
            if 0 <= client < count:
                row[client] = number(value)
    return row


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
