"""The page of a run: one HTML file that holds everything and fetches nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from airtune.record import names, write_text
from airtune.registry import PROPOSAL
from airtune.report import (
    defences,
    divergence,
    faults,
    figures,
    headline,
    paired,
    reasons,
    run_folder,
    scores,
    style,
    table,
    twins,
)
from airtune.report.run_folder import RunFolder, SchemeRun
from airtune.report.values import count, decimals, read

SAMPLES_SHOWN = 8


def build(folder: Path) -> Path:
    """Write the figures and the page of a run, and return the page's path.

    Reads the run folder only, finished or not; the same folder gives the same bytes.

    Parameters
    ----------
    folder : Path
        A folder written by ``airtune run`` or ``airtune compare``.

    Returns
    -------
    Path
        ``folder / names.PAGE``.

    Raises
    ------
    InputError
        The folder does not hold a run, or a file in it cannot be read.
    """
    folder = Path(folder)
    page = folder / names.PAGE
    with run_folder.understood(folder):
        run = run_folder.load(folder)
        drawn = figures.draw_all(run)
        text = render(run, drawn)
    write_text(page, text)
    return page


def render(run: RunFolder, drawn: list[figures.Drawn]) -> str:
    """Return the page of a run as text."""
    return fill("page.html", drawn, _content(run))


def fill(name: str, drawn: Sequence[figures.Drawn], content: Mapping[str, Any]) -> str:
    """Return a page as text.

    Parameters
    ----------
    name : str
        Template in this package.
    drawn : sequence of Drawn
        Its figures.
    content : mapping
        What else the template shows; markup in it is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    sheet = (resources.files("airtune.report") / "page.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("airtune", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(name).render(
        # The sheet and the figures are ours, not the user's: they alone go in as they are.
        sheet=Markup(sheet),  # noqa: S704
        figures=[(figure, Markup(figure.svg)) for figure in drawn],  # noqa: S704
        policy=content_policy(sheet),
        swatch=swatch,
        **content,
    )


def content_policy(sheet: str) -> str:
    """Return the content policy: this style sheet and embedded images, nothing else."""
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _content(run: RunFolder) -> dict[str, Any]:
    target, known = read(run.results.get("target_loss")), scores.known_scores(run.results)
    return {
        "name": run.name,
        "schemes": [(s.name, style.scheme_style(s.name).label) for s in run.schemes],
        "about": _about(run),
        "sentences": headline.sentences(run.results),
        "gains": headline.gains(run.results),
        "notices": _notices(run),
        "remarks": _remarks(run),
        "reasons": reasons.reasons(run.results),
        "left_out": table.left_out_sentence(run.results),
        "scores": scores.score_rows(run.results),
        "score_caption": scores.score_caption(run.results),
        "score_meanings": [(s.title.removesuffix(" [%]"), s.meaning) for s in known],
        "has_intervals": any(scores.has_interval(run.results, score) for score in known),
        "of_pairs": scores.of_pairs(run.results),
        "key_figures": table.scheme_rows(run.results),
        "paired": paired.paired_rows(run.results),
        "faults": faults.fault_rows(run.results),
        "paired_caption": paired.paired_caption(run.results),
        "energy": table.energy_rows(run.results),
        "latency": table.split_rows(run.results, "latency_s", "s"),
        "unplanned_energy": table.off_plan_rows(run.results, "energy_j", "J"),
        "unplanned_latency": table.off_plan_rows(run.results, "latency_s", "s"),
        "twin": twins.remark(run.scenario),
        "twin_explained": twins.EXPLAINED,
        "target": None if target.median is None else decimals(target.median, 3),
        "seeds": int(run.results.get("seeds") or 1),
        "rounds": run.rounds,
        "facts": _facts(run),
        "samples": _samples(run),
        "samples_of": _samples_of(run),
        "scenario_text": run.scenario_text.strip(),
        "environment": list(_flat(run.environment)),
    }


def _about(run: RunFolder) -> str:
    """Say what was done, in one sentence."""
    names = ", ".join(style.scheme_style(scheme.name).label for scheme in run.schemes)
    clients = (run.scenario.get("clients") or {}).get("count")
    who = f"{clients} clients" if clients else "wireless clients"
    rounds = f" in {run.rounds} rounds" if run.rounds else ""
    shown = "Compared" if len(run.schemes) > 1 else "Scheme"
    return f"One language model, fine-tuned by {who}{rounds}. {shown}: {names}."


def _notices(run: RunFolder) -> list[str]:
    """Say what a run that is not finished lacks."""
    said = []
    asked = int(read(run.scenario.get("seeds")).median or 1)
    for scheme in run.schemes:
        label = style.scheme_style(scheme.name).label
        ended = sum(seed.finished for seed in scheme.seeds)
        if scheme.result is None:
            said.append(f"{label}: not finished, {scheme.rounds_done} of {run.rounds} rounds done.")
        elif 0 < ended < asked:
            said.append(f"{label}: {ended} of {asked} seeds finished.")
    said += [f"{style.scheme_style(name).label}: not started." for name in run.missing]
    return said


def _remarks(run: RunFolder) -> list[str]:
    """Return what a reader of the key figures should know besides."""
    entries = [(style.scheme_style(s.name).label, s.result) for s in run.schemes if s.result]
    said = []
    for _, entry in entries[:1]:
        score = scores.main_score(run.results)
        loss = read(entry.get("initial_loss")).median
        share = read(entry.get(f"initial_{score.key}")).median
        if loss is not None and share is not None:
            percent = f"{decimals(100 * share, 1)}\u00a0%"
            said.append(f"Untuned model: loss {decimals(loss, 3)}, {score.words} {percent}.")
    over = [label for label, entry in entries if entry.get("within_latency_budget") is False]
    if over:
        said.append(f"Over the latency budget: {', '.join(over)}.")
    for label, entry in entries:
        bias = read(entry.get("product_bias")).median
        if bias is not None:
            said.append(
                f"{label}: averaging A and B apart moved the adapters' products by "
                f"{decimals(100 * bias, 1)}\u00a0% of their mean step (product bias)."
            )
        dropped = read(entry.get("dropped")).median
        if dropped:
            said.append(f"{label}: {count(dropped)} updates left out because they were not finite.")
    said += defences.remarks(run.results)
    said += [f"{text}." for text in divergence.lost_rounds(run.results)]
    older = run.results.get("run_schema_version")
    if older is not None:
        said.append(
            f"The rounds are those of a run folder of version {older}; "
            "the figures have the meaning that they had in that version."
        )
    return said


def _facts(run: RunFolder) -> list[tuple[str, str]]:
    """Return the settings that a reader needs before looking at a figure."""
    scenario = run.scenario
    clients, array = scenario.get("clients") or {}, scenario.get("array") or {}
    radio, model = scenario.get("radio") or {}, scenario.get("model") or {}
    facts = [
        ("Clients", clients.get("count")),
        ("Rounds", run.rounds),
        ("Seeds", run.results.get("seeds") or scenario.get("seeds")),
        ("Antennas", array.get("antennas")),
        ("Region", _region(array.get("region"))),
        ("Interferers", (radio.get("interferers") or {}).get("count")),
        ("Client power", _power(clients.get("tx_power_dbm"))),
        ("Model", model.get("source")),
        ("Costs of a twin", twins.remark(scenario).partition(": ")[2]),
        ("LoRA rank", (model.get("lora") or {}).get("rank")),
        ("Plan", scenario.get("plan")),
    ]
    return [(label, str(value)) for label, value in facts if value not in (None, "")]


def _region(region: Any) -> str:
    if not isinstance(region, list | tuple):
        return ""
    return (
        " × ".join(f"{side:g}" if isinstance(side, int | float) else str(side) for side in region)
        + " λ"
    )


def _power(power: Any) -> str:
    if isinstance(power, list | tuple):
        return f"{min(power):g} to {max(power):g} dBm" if power else ""
    return f"{power:g} dBm" if isinstance(power, int | float) else ""


def _sampled(run: RunFolder) -> SchemeRun | None:
    """Return the scheme whose generations are shown: the proposal, or the first that has any."""
    chosen = run.scheme(PROPOSAL)
    if chosen is not None and chosen.first_with("samples"):
        return chosen
    return next((s for s in run.schemes if s.first_with("samples")), None)


def _samples_of(run: RunFolder) -> str:
    scheme = _sampled(run)
    return style.scheme_style(scheme.name).label if scheme else ""


def _samples(run: RunFolder) -> list[dict[str, Any]]:
    scheme = _sampled(run)
    if scheme is None:
        return []
    shown = []
    for sample in scheme.first_with("samples")[:SAMPLES_SHOWN]:
        entry: dict[str, Any] = {key: getattr(sample, key) or "" for key in _SAMPLE_KEYS}
        reference = entry["reference"].strip()
        entry["before_right"] = bool(reference) and entry["before"].strip() == reference
        entry["after_right"] = bool(reference) and entry["after"].strip() == reference
        shown.append(entry)
    return shown


_SAMPLE_KEYS = ("prompt", "reference", "before", "after", "domain")


def _string(value: Any) -> str:
    return "" if value is None else str(value)


def _flat(environment: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in environment.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key} · ")
        else:
            pairs.append((f"{prefix}{key}", _string(value)))
    return pairs


def swatch(name: str) -> Any:
    """Return a scheme's line and marker as a small drawing, for tables."""
    from markupsafe import Markup

    look = style.scheme_style(name)
    dash = "" if isinstance(look.dash, str) else " ".join(f"{1.6 * x:g}" for x in look.dash[1])
    return Markup(
        '<svg class="swatch" viewBox="0 0 30 10" aria-hidden="true">'
        '<line x1="0" y1="5" x2="30" y2="5" stroke="{0}" stroke-width="2" stroke-dasharray="{1}"/>'
        '<path d="{2}" fill="{0}"/></svg>'
    ).format(look.color, dash or "none", _MARKERS.get(look.marker, _MARKERS["d"]))


_MARKERS = {
    "o": "M11 5a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "s": "M11.5 1.5h7v7h-7z",
    "D": "M15 0.6l4.4 4.4l-4.4 4.4l-4.4 -4.4z",
    "^": "M15 0.8l4.4 8h-8.8z",
    "v": "M15 9.2l4.4 -8h-8.8z",
    "<": "M10.8 5l8 -4.4v8.8z",
    ">": "M19.2 5l-8 -4.4v8.8z",
    "d": "M15 0.4l3 4.6l-3 4.6l-3 -4.6z",
    "P": "M13.6 1h2.8v2.6h2.6v2.8h-2.6v2.6h-2.8v-2.6h-2.6v-2.8h2.6z",
    "X": "M12.5 1l2.5 2.4l2.5-2.4l1.6 1.6l-2.5 2.4l2.5 2.4l-1.6 1.6l-2.5-2.4l-2.5 2.4"
    "l-1.6-1.6l2.5-2.4l-2.5-2.4z",
    "h": "M15 0.6l3.8 2.2v4.4l-3.8 2.2l-3.8 -2.2v-4.4z",
    "p": "M15 0.8l4.2 3l-1.6 5h-5.2l-1.6 -5z",
    "*": "M15 0.4l1.2 3.2h3.4l-2.7 2.1l1 3.4l-2.9 -2l-2.9 2l1 -3.4l-2.7 -2.1h3.4z",
}
