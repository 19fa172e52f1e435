"""``airtune calibrate``: measure the constants of the bound on the model and the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airtune import record
from airtune.bound.calibrate.cache import PRETRAINING, SHIFT, TUNING
from airtune.bound.calibrate.constants import calibrate
from airtune.bound.calibrate.trajectory import Progress
from airtune.commands.terminal import show_json, show_rows
from airtune.record.documents import CalibrationDocument
from airtune.record.whole import writing
from airtune.scenario import Scenario
from airtune.scenario.base import CALIBRATE

DOWN = ("mu", "eta", "mu0", "eta0")
"""Constants that are on the safe side when they are small; the others when they are large."""


def calibrate_scenario(
    scenario: Scenario, out: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Calibrate all constants, whatever numbers the scenario holds, and draw what was found.

    Parameters
    ----------
    scenario : Scenario
    out : Path, optional
        Folder for ``calibration.json`` and figures.
    progress : callable, optional
        Called with a text and the fraction done.

    Returns
    -------
    dict
        ``bound``: the constants, rounded to the safe side, as a scenario takes them;
        ``constants``: each with its uncertainty and how it was obtained; ``left_out``: why some
        are missing; and what they were taken from.

    Raises
    ------
    InputError
        Model, data or a wanted constant cannot be used.
    """
    from airtune.learning.learner import prepare

    learner = prepare(scenario, scenario.seed, progress)
    names = {*TUNING, *PRETRAINING, *SHIFT}
    left_out = None
    known_data = scenario.model.source == "small" or scenario.data.pretraining_corpus is not None
    asked = {name for name, value in scenario.bound if value == CALIBRATE}
    if not known_data and not asked & {*PRETRAINING, *SHIFT}:
        names = set(TUNING)
        left_out = (
            f"{', '.join((*PRETRAINING, *SHIFT))}: the pre-training data of a ready model is not "
            "known; name a plain-text file that is like it in data.pretraining_corpus"
        )
    documents = calibrate(scenario, scenario.seed, learner, names, progress)
    constants = {name: x for part in documents.values() for name, x in part["constants"].items()}
    document = {
        "schema_version": record.SCHEMA_VERSION,
        "scenario": scenario.name,
        "seed": scenario.seed,
        "model": scenario.model.source,
        "bound": safe_values({name: x["value"] for name, x in constants.items()}),
        "constants": {name: constants[name] for name in sorted(constants, key=_order)},
        "left_out": left_out,
        "clients": list(learner.client_labels),
        **{
            part: {name: x for name, x in measured.items() if name != "constants"}
            for part, measured in documents.items()
        },
    }
    if out is not None:
        from airtune.report import calibration

        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
        record.write_document(out / record.names.CALIBRATION, CalibrationDocument, document)
        with writing(out):
            calibration.draw(document, out)
    return document


def _order(name: str) -> int:
    return (*TUNING, *PRETRAINING, *SHIFT).index(name)


def safe_values(values: dict[str, float], digits: int = 4) -> dict[str, float]:
    """Round constants to a few digits, each to the side on which the bound stays true.

    Step sizes stay below 1/L of the rounded L.
    """
    rounded = {
        name: _round(x, digits, up=name not in DOWN)
        for name, x in sorted(values.items(), key=lambda item: _order(item[0]))
    }
    for suffix in ("", "0"):
        if f"eta{suffix}" in rounded:
            longest = min(values[f"eta{suffix}"], 1 / rounded[f"L{suffix}"])
            rounded[f"eta{suffix}"] = _round(longest, digits, up=False)
    return rounded


def _round(value: float, digits: int, *, up: bool) -> float:
    if value <= 0:
        return value
    exponent = math.floor(math.log10(value)) - digits + 1
    scaled = value / 10.0**exponent
    nearest = round(scaled)
    # A number that has few digits already must stay what it is.
    whole = nearest if abs(scaled - nearest) < 1e-9 * scaled else math.floor(scaled) + int(up)
    return float(f"{whole}e{exponent}")


def snippet(document: dict[str, Any]) -> str:
    """Return the section `bound` as YAML, to paste into a scenario."""
    lines = [f"  {name}: {value:g}" for name, value in document["bound"].items()]
    return "\n".join(["bound:", *lines])


def rows(document: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return constant, value, uncertainty and origin of every line of the table."""
    table = []
    for name, x in document["constants"].items():
        error = "" if x["error"] is None else f"±{x['error']:.2g}"
        spread = f"{x['low']:.3g} … {x['high']:.3g}"
        table.append(
            (name, f"{x['value']:.4g}", "  ".join(p for p in (error, spread) if p), x["how"])
        )
    return table


def shift_rows(document: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return client, its distances to mixture and pre-training data, and its null distance."""
    clients = document.get("shift", {}).get("clients")
    if clients is None:
        return []
    columns = zip(clients["to_mixture"], clients["to_pretraining"], clients["null"], strict=True)
    rows, labels = list(columns), document["clients"]
    names = labels if len(labels) == len(rows) else [""] * len(rows)  # else drawn from many
    return [
        (f"{k} {name}".strip(), *("–" if x is None else f"{x:.3g}" for x in row))
        for k, (name, row) in enumerate(zip(names, rows, strict=True))
    ]


def calibrate_and_show(
    source: str, overrides: Sequence[str], out: Path | None, as_json: bool
) -> None:
    """Calibrate the constants of the bound and print them; see :func:`calibrate_scenario`."""
    from airtune.commands.run import read_settings
    from airtune.study.progress import preparing

    scenario = read_settings(source, overrides, "calibrate")
    with preparing() as progress:
        document = calibrate_scenario(scenario, out, progress)
    if as_json:
        show_json(document)
        return
    show_rows(("constant", "value", "uncertainty", "how"), rows(document))
    clients = shift_rows(document)
    if clients:
        columns = ("client", "to the mixture", "to pre-training", "halves (null)")
        show_rows(columns, clients, title="W1")
    if document["left_out"]:
        print(f"left out: {document['left_out']}")
    print(snippet(document))
    if out is not None:
        print(f"# figures: {out}")
