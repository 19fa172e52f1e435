"""Answers to held-out prompts before and after fine-tuning."""

from __future__ import annotations

from typing import Any

from airtune.record.documents import Sample
from airtune.registry import PROPOSAL
from airtune.report import style
from airtune.report.run_folder import RunFolder, SchemeRun
from airtune.report.values import decimals, number

SAMPLES_SHOWN = 8


def _sampled(run: RunFolder) -> SchemeRun | None:
    """Return the scheme whose generations are shown: the proposal, or the first that has any."""
    chosen = run.scheme(PROPOSAL)
    if chosen is not None and chosen.first_with("samples"):
        return chosen
    return next((s for s in run.schemes if s.first_with("samples")), None)


def samples_of(run: RunFolder) -> str:
    """Return the name of the scheme whose answers are shown."""
    scheme = _sampled(run)
    return style.scheme_style(scheme.name).label if scheme else ""


def samples(run: RunFolder) -> list[dict[str, Any]]:
    """Return the answers that are shown, with which of them are right."""
    scheme = _sampled(run)
    if scheme is None:
        return []
    shown = []
    for sample in scheme.first_with("samples")[:SAMPLES_SHOWN]:
        entry: dict[str, Any] = {key: getattr(sample, key) or "" for key in _SAMPLE_KEYS}
        reference = entry["reference"].strip()
        entry["before_right"] = bool(reference) and entry["before"].strip() == reference
        entry["after_right"] = bool(reference) and entry["after"].strip() == reference
        entry["rouge"] = _rouge(sample)
        shown.append(entry)
    return shown


_SAMPLE_KEYS = ("prompt", "reference", "before", "after", "domain")


def _rouge(sample: Sample) -> str:
    """Say how near the reference the answers are; empty where it is not known."""
    before, after = number(sample.rouge_l_before), number(sample.rouge_l_after)
    if before is None or after is None:
        return ""
    return f"ROUGE-L {decimals(before, 2)} before, {decimals(after, 2)} after."
