"""Shares that a person understands beside the loss: right answers, preferred answers, right tokens.

``results.json`` holds all of them that are known; one is the main score of a run, in its table of
schemes, and all stand in a table of their own on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airtune.report.sheet import Cell, Row, Sheet, figure_cell
from airtune.report.style import scheme_style
from airtune.report.values import MISSING, decimals, read

SEEN_RIGHT = 0.01
"""Where no scheme answers this share exactly right, exact match tells schemes apart no more."""


@dataclass(frozen=True)
class Score:
    """A share in [0, 1] by its key in the results.

    Attributes
    ----------
    key : str
    title : str
        For a table; `short` is that for a terminal, in two lines.
    words : str
        Within a sentence.
    meaning : str
    """

    key: str
    title: str
    short: str
    words: str
    meaning: str


EXACT = Score(
    "exact_match",
    "Exact match [%]",
    "Exact\nmatch [%]",
    "exact match",
    "Share of held-out questions whose generated answer equals the reference.",
)
PREFERENCE = Score(
    "preference_accuracy",
    "Preference accuracy [%]",
    "Pref.\nacc. [%]",
    "preference accuracy",
    "Share of the held-out pairs whose better answer is preferred: its probability has grown more, "
    "against the model at the start, than that of the worse one. 50 % at the start itself.",
)
TOKENS = Score(
    "token_accuracy",
    "Token accuracy [%]",
    "Token\nacc. [%]",
    "token accuracy",
    "Share of the learnt tokens that the model holds for the likeliest, each after the reference’s "
    "tokens before it (teacher forcing).",
)
ROUGE = Score(
    "rouge_l",
    "ROUGE-L [%]",
    "ROUGE-L\n[%]",
    "ROUGE-L",
    "Likeness of the answers that are written before and after to their references: F-measure of "
    "the longest common subsequence of words, mean over these answers.",
)
SCORES = (PREFERENCE, EXACT, TOKENS, ROUGE)


def of_pairs(results: Mapping[str, Any]) -> bool:
    """Return whether the schemes were scored on preference pairs."""
    return _known(results, PREFERENCE.key)


def known_scores(results: Mapping[str, Any]) -> list[Score]:
    """Return the scores that a scheme of the results has."""
    return [score for score in SCORES if _known(results, score.key)]


def main_score(results: Mapping[str, Any]) -> Score:
    """Return the score that tells the schemes apart.

    Preference accuracy for pairs, exact match where some answers are exactly right, token accuracy
    for free text.
    """
    if of_pairs(results):
        return PREFERENCE
    entries = (results.get("schemes") or {}).values()
    best = max(
        (
            read(entry.get(key)).median or 0.0
            for entry in entries
            for key in (EXACT.key, f"initial_{EXACT.key}")
        ),
        default=0.0,
    )
    return EXACT if best >= SEEN_RIGHT or not _known(results, TOKENS.key) else TOKENS


def score_cell(entry: Mapping[str, Any], score: Score) -> Cell:
    """Return a scheme's score in percent; below it the range over seeds, or its own interval."""
    value = read(entry.get(score.key))
    cell = figure_cell(value, percent, Cell(MISSING))
    bounds = interval(entry, score)
    if cell.spread or bounds is None:
        return cell
    return Cell(cell.text, " to ".join(map(percent, bounds)), cell.remark)


def interval(entry: Mapping[str, Any], score: Score) -> tuple[float, float] | None:
    """Return the ends of the 95 % interval of a score, medians over the seeds; None without one."""
    raw = entry.get(f"{score.key}_interval")
    if not isinstance(raw, Mapping):
        return None
    low, high = read(raw.get("low")).median, read(raw.get("high")).median
    return None if low is None or high is None else (low, high)


def has_interval(results: Mapping[str, Any], score: Score) -> bool:
    """Return whether a scheme's score is shown with the interval of its records."""
    entries = (results.get("schemes") or {}).values()
    return any(interval(e, score) and not read(e.get(score.key)).spread for e in entries)


def score_caption(results: Mapping[str, Any]) -> str:
    """Return what the table of scores shows."""
    seeds = int(results.get("seeds") or 1)
    caption = "Scores of held-out records"
    if seeds > 1:
        return f"{caption}, medians and 10–90 % over {seeds} seeds"
    below = any(has_interval(results, score) for score in known_scores(results))
    return f"{caption}, 95 % intervals of shares below" if below else caption


def untuned(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the scores of the untuned model, which all schemes share, under the same keys."""
    entries = list((results.get("schemes") or {}).values())
    return {s.key: entries[0].get(f"initial_{s.key}") for s in SCORES} if entries else {}


def score_rows(results: Mapping[str, Any]) -> Sheet:
    """Return the scores of the untuned model and of every scheme, where there are several."""
    known = known_scores(results)
    if len(known) < 2 and not any(has_interval(results, score) for score in known):
        return Sheet((), ())
    schemes: Mapping[str, Mapping[str, Any]] = results.get("schemes") or {}
    first = untuned(results)
    rows = []
    if any(read(first.get(score.key)).known for score in known):
        cells = tuple(score_cell(first, score) for score in known)
        rows.append(Row("", "Untuned model", cells))
    rows += [
        Row(name, scheme_style(name).label, tuple(score_cell(entry, score) for score in known))
        for name, entry in schemes.items()
    ]
    return Sheet(tuple(score.title for score in known), tuple(rows))


def in_words(entry: Mapping[str, Any], score: Score) -> str:
    """Return the end of a sentence on a scheme's score; empty where it is not known."""
    share = read(entry.get(score.key)).median
    if share is None:
        return ""
    written = f"{percent(share)}\u00a0%"
    if score is PREFERENCE:
        return f" and preferred the better answer in {written} of the pairs"
    if score is EXACT:
        return f" with {written} of answers exactly right"
    return f" with a {score.words} of {written}"


def percent(x: float) -> str:
    """Write a share in percent, without the sign."""
    return decimals(100 * x, 1)


def _known(results: Mapping[str, Any], key: str) -> bool:
    entries = (results.get("schemes") or {}).values()
    return any(read(entry.get(key)).known for entry in entries)
