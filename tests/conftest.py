"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from airtune.learning.sizes import sizes_of
from airtune.scenario import Scenario
from quadratic import QuadraticLearner

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Folder of real data beside the repository; tests that need it are skipped without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no folder {SHARED_DATA.parent.name}/{SHARED_DATA.name} beside the repository")
    return SHARED_DATA


@pytest.fixture
def small_scenario() -> Scenario:
    """Three clients, three antennas, plain SGD: rounds of milliseconds.

    Radiated energy, the same pilots for all and one step after the other: books that are short to
    write down by hand.  Tests of electrical energy and overlap set these.
    """
    return Scenario.model_validate(
        {
            "clients": {"count": 3},
            "array": {"antennas": 3, "field_pilots": 1},
            "radio": {
                "paths": {"count": 4},
                "hardware": {"profile": "radiated"},
                "pilot_rule": "equal",
                "silent_symbols": 0,
            },
            "aggregation": {"scale_reports": "sequential"},
            "planning": {"overlap": False},
            "training": {
                "rounds": 5,
                "server_optimizer": "sgd",
                "learning_rate": 0.3,
                "batch_size_max": 8,
            },
            "placement": {"mode": "fast"},
        }
    )


@pytest.fixture
def quadratic(small_scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> type[QuadraticLearner]:
    """Put the quadratic learner in the place of the language model."""
    monkeypatch.setattr(
        "airtune.learning.learner.prepare",
        lambda scenario, seed, progress=None: QuadraticLearner(scenario, seed),
    )
    monkeypatch.setattr(
        "airtune.learning.sizes.outline",
        lambda scenario, seed: SimpleNamespace(
            sizes=sizes_of(QuadraticLearner(scenario, seed)), base=SimpleNamespace(parameters=tuple)
        ),
    )
    return QuadraticLearner


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page without figures: drawing them takes most of the time of a small comparison."""
    monkeypatch.setattr("airtune.report.figures.draw_all", lambda run: [])
