"""What movable antennas save when they move only when needed."""

from __future__ import annotations

from airtune.report.style import scheme_style
from airtune.report.values import MISSING, decimals
from airtune.study.outcomes import PROPOSAL
from studies import phrases, sections, tables
from studies.claims import ANY, DIGITAL, SAME, Measured
from studies.markdown import markdown_table


def when_needed(options: sections.Options, points: list[Measured]) -> str:
    """Compare movable antennas that spare their drives with what they were compared with."""
    always = {(m.point.section, m.point.name): m for m in points}
    rows, quality = [], 0.0
    for point in sections.movement(options):
        place = always[point.section, "shared-plan"]
        cells = tables.counted(point, options.results).cells.get(PROPOSAL, {})
        if not cells:
            continue
        quality = point.scenario.planning.quality_db
        spared = _with(place, cells)
        moving = _with(
            place, {s: d for s, d in place.counted.cells[PROPOSAL].items() if s in cells}
        )
        for whom in ("fixed", SAME, ANY, DIGITAL):
            savings = [
                saved(m, what, whom) for what in ("time", "energy") for m in (spared, moving)
            ]
            label = whom if whom in (SAME, ANY) else scheme_style(whom).label
            rows.append([point.section, label, *savings])
    if not rows:
        return ""
    columns = ["Scenario", "Against", "Time saved", "Always moving", "Energy saved"]
    table = markdown_table([*columns, "Always moving"], rows, left=2)
    return f"{_CHAPTER.format(quality=decimals(quality, 0))}\n{table}"


def _with(place: Measured, cells: dict[int, tables.Document]) -> Measured:
    """Return the same comparison with other cells of the proposal, in the seeds of both."""
    mine = {seed: d for seed, d in cells.items() if seed in place.counted.cells.get(PROPOSAL, {})}
    known = {**place.counted.cells, PROPOSAL: mine}
    return Measured(place.point, place.counted, tables.outcomes(known))


def saved(place: Measured, quantity: str, whom: str) -> str:
    """Write what movable antennas save; the best is named."""
    saving = place.against(quantity, whom)
    if saving is None:
        return MISSING
    named = f"{scheme_style(saving.baseline).label}: " if whom in (SAME, ANY) else ""
    return named + phrases.percent(saving)


_CHAPTER = """\
## Moving only when needed

Added after the results above had been seen: there antennas move every round, whatever it brings,
as the paper has it.  With `planning.movement: when-needed` they stay while the aligned sum is
expected to have an error below {quality} dB where they are: the quality that digital chooses its
bits by.  Plan, clocks and batches are the same, and so are all other schemes' cells.
"""
