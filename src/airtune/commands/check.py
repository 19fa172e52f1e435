"""``airtune check``: all that can be checked without training, for people and as JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airtune.commands.terminal import show, show_json, warn
from airtune.errors import clip, spoken
from airtune.scenario import file as scenario_file

if TYPE_CHECKING:
    from airtune.learning.data import LeftOut
    from airtune.study.preflight import Preflight


def check_and_show(source: str, overrides: Sequence[str], records: int, as_json: bool) -> bool:
    """Check a scenario, print what is found, and tell whether a run can begin.

    Parameters
    ----------
    source : str
        A file, or the name of a shipped scenario.
    overrides : sequence of str
        Assignments ``a.b=c``.
    records : int
        Show so many training records as tokens.
    as_json : bool
        Print one JSON document.
    """
    from airtune.study.preflight import Preflight, preflight

    found = Preflight()
    scenario = found.attempt(lambda: scenario_file.load(source, overrides))
    if scenario is not None:
        found = preflight(scenario, records)
    if as_json:
        show_json(found.to_dict())
    else:
        _show(found)
    return not found.problems


def _show(found: Preflight) -> None:
    for record in found.records:
        _show_record(record)
    for line in left_out_by_reason(found.left_out):
        print(line)
    if found.cut:
        print(f"Records: {found.cut} of {found.examples} are longer than data.max_tokens and cut")
    warn(found.warnings)
    for problem in found.problems:
        print(spoken(problem), file=sys.stderr)
    known = {name: value for name, value in found.estimates.items() if value is not None}
    if known:
        print("Estimates: " + ", ".join(_in_words(name, value) for name, value in known.items()))
    if found.coherence is not None:
        print(f"{found.coherence.sentence()}.")
    if len(set(found.client_memory_gib.values())) > 1:
        each = (f"{name} {gib:.2g} GiB" for name, gib in found.client_memory_gib.items())
        print("Memory of a client: " + ", ".join(each))
    if found.cost_twin is not None:
        twin = found.cost_twin
        print(
            f"Costs of a twin: {clip(twin.name)}, {twin.parameters:.3g} parameters, updates of "
            f"{twin.entries:.3g} entries in {len(twin.matrix_sizes)} adapter matrices"
        )
    if not found.problems:
        print("No problem found; nothing was trained.")


def left_out_by_reason(left_out: Sequence[LeftOut]) -> list[str]:
    """Return a sentence on the records that are left out, and one for each further reason.

    Reasons that differ in numbers and quoted texts only count as one.
    """
    from airtune.learning.data import left_out_in_words

    reasons: dict[str, list[LeftOut]] = {}
    for one in left_out:
        reasons.setdefault(re.sub(r"\d+|'[^']*'", "_", one.why), []).append(one)
    if len(reasons) < 2:
        return [f"Records: {left_out_in_words(left_out)}"] if left_out else []
    parts = [f"  {left_out_in_words(ones)}" for ones in reasons.values()]
    return [f"Records: left out {len(left_out)}, for {len(reasons)} reasons", *parts]


def _show_record(record: dict[str, Any]) -> None:
    """Print what is given and, marked, what is learnt."""
    from rich.text import Text

    text = Text(f"{record['place']}, client {record['client']}: ", style="bold")
    text.append(f"{len(record['ids'])} tokens, {sum(record['mask'])} learnt", style="not bold")
    text.append(", cut to data.max_tokens\n" if record["cut"] else "\n", style="not bold")
    for part in record["parts"]:
        text.append(part["text"], style="not bold green" if part["learnt"] else "not bold dim")
    if "rejected" in record:
        text.append("\n(worse) ", style="bold")
        text.append(record["rejected"], style="not bold red")
    show(text)


def _in_words(name: str, value: float) -> str:
    return {
        "wall_s": f"about {_seconds(value)} on this machine",
        "memory_gib": f"{value:.1f} GiB of memory",
        "rounds": f"{value:.0f} rounds",
        "time_s": f"{_simulated(value)} simulated",
        "energy_j": f"{value:.4g} J",
    }[name]


def _simulated(value: float) -> str:
    """Return a time of the plan, which may be milliseconds."""
    from airtune.report.values import THIN, si

    return si(value, "s").replace(THIN, " ") if value < 120 else _seconds(value)


def _seconds(value: float) -> str:
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
