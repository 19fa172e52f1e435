"""Which interactive figures a page has, and what stands around them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from airtune.report import forecast_curves, holdings, style, twins
from airtune.report.figures import captions, describe, kind_of
from airtune.report.page_data import AXES_OF_CURVES, CLIENT_FIGURES
from airtune.report.run_folder import RunFolder

Json = dict[str, Any]
Choice = tuple[str, str]
"""Value and name of what may be chosen."""


@dataclass(frozen=True)
class Shown:
    """A figure of the page.

    Attributes
    ----------
    name : str
        Identifier in the page, and of its view in ``page.js``.
    title, caption : str
    alt : str
        The figure in words.
    choices : dict of str to list of (str, str)
        What its controls offer.
    """

    name: str
    title: str
    caption: str
    alt: str
    choices: dict[str, list[Choice]]


def shown(run: RunFolder, data: Json) -> dict[str, Shown | None]:
    """Return the figures by name; None where the data does not suffice for one."""
    said = twins.sentence(twins.remark(run.scenario))
    return {
        "convergence": _convergence(run, data, said),
        "energy": _costs(run, data, "energy", said),
        "latency": _costs(run, data, "latency", said),
        "antennas": _antennas(run, data),
        "clients": _clients(run, data),
        "forecast": _forecast(run, data),
        "domains": _domains(run, data),
        "holdings": _holdings(run, data),
    }


def _labels(names: Any) -> list[Choice]:
    return [(name, style.scheme_style(name).label) for name in names]


def _convergence(run: RunFolder, data: Json, said: str) -> Shown | None:
    quantities = data["curves"]
    if not quantities:
        return None
    names = {name for quantity in quantities.values() for name in quantity["schemes"]}
    bands = any(len(scheme.seeds) > 1 for scheme in run.schemes)
    caption = (
        "All schemes see the same data, batches and channels. Time and energy are of all "
        "components together, as booked."
    )
    if bands:
        caption += " Lines: medians; bands: 10-90 % of the repetitions."
    if "mse_db" in quantities:
        caption += " Aggregation error: thin lines are predictions."
    return Shown(
        "convergence",
        "Schemes over the run",
        caption + said,
        describe(kind_of("loss-rounds"), run),
        {
            "y": [(key, quantity["label"]) for key, quantity in quantities.items()],
            "x": list(AXES_OF_CURVES.items()),
            "scheme": _labels(scheme.name for scheme in run.schemes if scheme.name in names),
        },
    )


def _costs(run: RunFolder, data: Json, name: str, said: str) -> Shown | None:
    key, kind = {"energy": ("energy_j", "energy-split"), "latency": ("latency_s", "latency-split")}[
        name
    ]
    if not data["costs"][key]:
        return None
    title, _ = captions(kind)
    choices = {"as": [("total", "totals"), ("share", "shares"), ("log", "by component, log")]}
    caption = "Whole run, by component." + said
    return Shown(name, title, caption, describe(kind_of(kind), run), choices)


def _antennas(run: RunFolder, data: Json) -> Shown | None:
    schemes = data["antennas"]
    if not schemes:
        return None
    # Those that move come first.
    names = sorted(schemes, key=lambda name: -len(schemes[name]["rounds"]))
    maps = {name: sum(bool(entry["map"]) for entry in schemes[name]["rounds"]) for name in names}
    first = sorted(names, key=lambda name: -maps[name])
    title, _ = captions("antenna-positions")
    caption = (
        "Where the antennas are, as the server knows it: drives may miss, and what it believes of "
        "the channels may be wrong. First repetition."
    )
    if any(maps.values()):
        caption += (
            " Colour: the weakest client's signal over noise and interference, were there one "
            "antenna at that place in the round, by the channels that the server believes in. "
            "Several antennas are combined, and they serve different clients: the best positions "
            "are not simply the brightest."
        )
    if any(count < len(schemes[name]["rounds"]) for name, count in maps.items()):
        caption += " Rounds without a colour hold no gain map."
    caption += _some("rounds", [(len(t["rounds"]), t["of"]) for t in schemes.values()])
    return Shown(
        "antennas",
        title,
        caption,
        describe(kind_of("antenna-positions"), run),
        {"scheme": _labels(first)},
    )


def _some(what: str, sizes: Iterable[tuple[int, int]]) -> str:
    """Say that some rounds or clients are left out; nothing where all are shown."""
    shown, of = max(sizes, key=lambda pair: pair[1] - pair[0])
    if shown == of:
        return ""
    return f" Shown: {shown} of {of} {what}, evenly; metrics.jsonl in the run folder has all."


def _clients(run: RunFolder, data: Json) -> Shown | None:
    if not data["clients"]:
        return None
    tables = data["clients"].values()
    kept = [key for key in CLIENT_FIGURES if any(key in table for table in tables)]
    # Those with most figures come first, so that the first choice is there.
    schemes = sorted(data["clients"], key=lambda name: -len(data["clients"][name]))
    figures = [(key, CLIENT_FIGURES[key][0]) for key in kept]
    counts = {table["of"]["clients"] for table in tables}
    caption = (
        "Who transmitted when is the figure “Participation”. First repetition; clients are "
        "counted from 0, as in the run folder."
    )
    if "alignment" in kept:
        caption += (
            " Alignment: the part in phase of the weight with which an update arrived, over the "
            "weight meant for it among those that sent; 1 where it is aligned."
        )
    if "gain_db" in kept:
        caption += (
            " Gain and SNR are those of the true channels, where the antennas truly were; the "
            "server may believe otherwise."
        )
    if kept and any(not any(key in table for key in kept) for table in tables):
        caption += " Of some schemes only the participation is kept."
    for what in ("clients", "rounds"):
        caption += _some(what, [(len(table[what]), table["of"][what]) for table in tables])
    return Shown(
        "clients",
        "Clients over the rounds",
        caption,
        f"Map of {max(counts)} clients over rounds; its values are in the CSV file.",
        {
            "scheme": _labels(schemes),
            "figure": [*figures, ("participation", "Participation")],
        },
    )


def _forecast(run: RunFolder, data: Json) -> Shown | None:
    if not data["forecasts"]:
        return None
    title, caption = captions("forecast")
    choices = {"scheme": _labels(data["forecasts"])}
    return Shown("forecast", title, caption, forecast_curves.in_words(run), choices)


def _domains(run: RunFolder, data: Json) -> Shown | None:
    if data["domains"] is None:
        return None
    kind = "exact-match" if "exact" in data["domains"]["key"] else "preference-accuracy"
    title, caption = captions(kind)
    return Shown("domains", title, caption, describe(kind_of(kind), run), {})


def _holdings(run: RunFolder, data: Json) -> Shown | None:
    if data["holdings"] is None:
        return None
    title, _ = captions("label-distribution")
    caption = "Training records of each client by label."
    return Shown("holdings", title, caption, holdings.in_words(run), {})
