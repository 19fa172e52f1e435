"""Run folders of version 1: what they were made with where their settings do not say."""

from __future__ import annotations

from typing import Any

UNNAMED: dict[str, Any] = {
    "planning.overlap": False,
    "planning.movement": "each-round",
    "planning.keep_budgets": False,
    "radio.hardware.profile": "radiated",
    "radio.pilot_rule": "equal",
    "radio.silent_symbols": 0,
    "array.field_pilots": 1,
    "aggregation.scale_reports": "sequential",
    "digital.quantizer": "uniform",
    "digital.bits": "auto",
    "digital.error_feedback": True,
}
"""Settings that there were not, by dotted path, at the values that give the books of then."""

NAMES = {"selection": "selection-compact"}
"""Schemes by the names that they had, and by those that they have."""
