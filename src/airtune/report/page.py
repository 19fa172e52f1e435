"""The page of a run: one HTML file that holds everything and fetches nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from airtune.record import names, write_text
from airtune.report import (
    answers,
    defences,
    divergence,
    faults,
    figures,
    headline,
    machine_energy,
    page_data,
    page_figures,
    paired,
    plan_table,
    provenance,
    reasons,
    run_folder,
    scores,
    style,
    swatch,
    table,
    twins,
)
from airtune.report.run_folder import RunFolder
from airtune.report.sheet import Sheet
from airtune.report.values import count, decimals, read


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
        figures.draw_all(run)
        text = render(run)
    write_text(page, text)
    return page


def render(run: RunFolder) -> str:
    """Return the page of a run as text."""
    from markupsafe import Markup

    data = page_data.page_data(run)
    library, script = asset(_LIBRARY), asset(_SCRIPT)
    library_sheet = asset(_LIBRARY_SHEET)
    content = {
        **_content(run),
        "shown": page_figures.shown(run, data),
        # Our own files, and data in which no character ends the element.
        "library": Markup(library),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        "library_sheet": Markup(library_sheet),  # noqa: S704
        "library_license": asset(_LIBRARY_LICENSE),
        "data": Markup(page_data.embedded(data)),  # noqa: S704
    }
    content["contents"] = _contents(content)
    policy = Policy(scripts=(library, script), styles=(library_sheet,))
    return fill("page.html", (), content, policy)


_LIBRARY, _LIBRARY_SHEET, _SCRIPT = "plotly-cartesian.min.js", "plotly.css", "page.js"
_LIBRARY_LICENSE = "plotly-license.txt"


@dataclass(frozen=True)
class Policy:
    """Scripts and style sheets that a page may use besides its own sheet."""

    scripts: Sequence[str] = ()
    styles: Sequence[str] = ()


def asset(name: str) -> str:
    """Return a text file of this package."""
    return (resources.files("airtune.report") / name).read_text(encoding="utf-8")


def fill(
    name: str,
    drawn: Sequence[figures.Drawn],
    content: Mapping[str, Any],
    policy: Policy | None = None,
) -> str:
    """Return a page as text.

    Parameters
    ----------
    name : str
        Template in this package.
    drawn : sequence of Drawn
        Its inline figures.
    content : mapping
        What else the template shows; markup in it is escaped.
    policy : Policy, optional
        What the page may use besides; by default nothing, and no script at all.
    """
    from markupsafe import Markup

    sheet = asset("page.css")
    return part(
        name,
        drawn,
        # The sheet and the figures are ours, not the user's: they alone go in as they are.
        {**content, "sheet": Markup(sheet), "policy": content_policy(sheet, policy or Policy())},  # noqa: S704
    )


def part(name: str, drawn: Sequence[figures.Drawn], content: Mapping[str, Any]) -> str:
    """Return a template of this package as markup, filled as by :func:`fill`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("airtune", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    text: str = environment.get_template(name).render(
        figures=[(figure, Markup(figure.svg)) for figure in drawn],  # noqa: S704
        swatch=swatch.swatch,
        **content,
    )
    return Markup(text)  # noqa: S704


def content_policy(sheet: str, policy: Policy) -> str:
    """Return the content policy: these style sheets, scripts and embedded images, nothing else."""
    styles = " ".join(map(_digest, (sheet, *policy.styles)))
    scripts = " ".join(map(_digest, policy.scripts)) or "'none'"
    # The library clears style attributes: an empty one is allowed, no other is.
    attributes = f"style-src-attr 'unsafe-hashes' {_digest('')}; " if policy.scripts else ""
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; {attributes}img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_PARTS = (
    ("gains", "gains", "Savings"),
    ("convergence", "curves", "Convergence"),
    ("key_figures", "schemes", "Schemes"),
    ("energy", "costs", "Energy and time"),
    ("antennas", "array", "Antennas"),
    ("clients", "who", "Clients"),
    ("plan", "plan", "Plan"),
    ("scores", "right", "Right answers"),
    ("samples", "samples", "Answers"),
    ("faults", "faults", "Faults"),
    ("", "definitions", "Definitions"),
    ("", "setup", "Provenance"),
)
"""What a part of the page shows, its identifier and its name in the list of contents."""


def _contents(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return identifiers and names of the parts that the page has."""
    found = []
    for key, target, title in _PARTS:
        drawn = content["shown"].get(key)
        there = content.get(key) or drawn
        if isinstance(content.get(key), Sheet):
            there = content[key].rows or drawn
        if not key or there:
            found.append((target, title))
    return found


def _content(run: RunFolder) -> dict[str, Any]:
    gains = headline.gains(run.results)
    target, known = read(run.results.get("target_loss")), scores.known_scores(run.results)
    return {
        "name": run.name,
        "schemes": [(s.name, style.scheme_style(s.name).label) for s in run.schemes],
        "about": _about(run),
        "sentences": headline.sentences(run.results),
        "gains": gains,
        "notices": _notices(run),
        "remarks": _remarks(run),
        "reasons": reasons.reasons(run.results, _label),
        "left_out": table.left_out_sentence(run.results),
        "scores": scores.score_rows(run.results),
        "score_caption": scores.score_caption(run.results),
        "score_meanings": [(s.title.removesuffix(" [%]"), s.meaning) for s in known],
        "has_intervals": any(scores.has_interval(run.results, score) for score in known),
        "of_pairs": scores.of_pairs(run.results),
        "key_figures": table.scheme_rows(run.results),
        "paired": paired.paired_rows(run.results),
        "plan": plan_table.plan_rows(run),
        "plan_notes": plan_table.plan_notes(run),
        "ceiling": any(g.faster_ceiling or g.less_energy_ceiling for g in gains),
        "again": provenance.again(run),
        "citation": provenance.citation(run),
        "faults": faults.fault_rows(run.results),
        "paired_caption": paired.paired_caption(run.results),
        "energy": table.energy_rows(run.results),
        "latency": table.split_rows(run.results, "latency_s", "s"),
        "unplanned_energy": table.off_plan_rows(run.results, "energy_j", "J"),
        "unplanned_latency": table.off_plan_rows(run.results, "latency_s", "s"),
        "machine_energy": machine_energy.rows(run.results, run.schemes),
        "machine_energy_explained": machine_energy.sentence(run.results),
        "twin": twins.remark(run.scenario),
        "twin_explained": twins.EXPLAINED,
        "target": None if target.median is None else decimals(target.median, 3),
        "seeds": int(run.results.get("seeds") or 1),
        "rounds": run.rounds,
        "facts": _facts(run),
        "samples": answers.samples(run),
        "samples_of": answers.samples_of(run),
        "scenario_text": run.scenario_text.strip(),
        "environment": list(_flat(_without_readings(run.environment))),
    }


def _label(name: str) -> str:
    return style.scheme_style(name).label


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
    for label, entry in entries:
        if entry.get("ended") == "budget":
            done, planned = read(entry.get("rounds")).median, _planned_rounds(entry)
            of = "" if planned is None else f" of {count(planned)} planned"
            by = entry.get("stopped_by")
            which = "its budgets are" if by in (None, "plan") else f"budget.{by} is"
            said.append(
                f"{label}: ended after {count(done or 0)} rounds{of}, so that {which} kept."
            )
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
    said += faults.fault_sentences(run.results) + defences.remarks(run.results)
    said += [f"{text}." for text in divergence.lost_rounds(run.results, _label)]
    older = run.results.get("run_schema_version")
    if older is not None:
        said.append(
            f"The rounds are those of a run folder of version {older}; "
            "the figures have the meaning that they had in that version."
        )
    return said


def _planned_rounds(entry: Mapping[str, Any]) -> float | None:
    """Return the rounds that a scheme was planned with before the first."""
    return read((entry.get("plan") or {}).get("rounds")).median


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


def _string(value: Any) -> str:
    return "" if value is None else str(value)


def _without_readings(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ran where, without what the machine drew, which has a table of its own."""
    return {name: value for name, value in environment.items() if name != "measured_energy"}


def _flat(environment: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in environment.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key} · ")
        else:
            pairs.append((f"{prefix}{key}", _string(value)))
    return pairs
