"""The rectified power law of a pilot against curves that follow it, and against a measured run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.bound.learning_curve import LearningCurve, fit_learning_curve

# The error-free run of benchmarks/results/study/paper-v1.jsonl, seed 0.
MEASURED = (2.925, 2.438, 1.853, 1.501, 1.293, 1.158, 1.073, 0.999, 0.942)


@settings(max_examples=25, deadline=None)
@given(
    start=st.floats(0.5, 12),
    floor=st.floats(0.12, 0.35),
    scale=st.floats(0.7, 12),
    power=st.floats(1.1, 1.9),
)
def test_a_pilot_tells_how_the_law_goes_on(
    start: float, floor: float, scale: float, power: float
) -> None:
    truth = LearningCurve((start,), floor * start, scale, power)
    curve = fit_learning_curve(truth.losses(12))
    assert curve.losses(24)[-1] == pytest.approx(truth.losses(24)[-1], abs=0.05 * start)


@settings(deadline=None)
@given(scale=st.floats(0.1, 50), power=st.floats(0.4, 3), last=st.floats(0.5, 3.5))
def test_the_law_falls_and_stays_above_its_floor(scale: float, power: float, last: float) -> None:
    """Whatever the last measured loss is, above the floor: what follows goes on from it."""
    losses = LearningCurve((4.0, last), 0.5, scale, power).losses(60)
    assert np.all(np.diff(losses[1:]) <= 1e-12)
    assert np.all(losses >= 0.5 - 1e-12)


def test_scale_of_the_loss_does_not_matter() -> None:
    one = fit_learning_curve(MEASURED).losses(30)
    other = fit_learning_curve(10 * np.array(MEASURED)).losses(30)
    assert other == pytest.approx(10 * one, rel=1e-4)


def test_measured_rounds_stay_as_they_are() -> None:
    curve = fit_learning_curve(MEASURED)
    assert tuple(curve.losses(8)) == MEASURED
    assert tuple(curve.losses(3)) == MEASURED[:4]
    assert curve.rounds_to(1.501, 40) == 3.0
    assert curve.rounds_to(0.0, 40) == np.inf


@pytest.mark.parametrize("losses", [[1.0], [1.0, np.nan], [1.0, -1.0], [[1.0, 0.5]]])
def test_a_curve_that_cannot_be_fitted_is_refused(losses: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two finite numbers"):
        fit_learning_curve(losses)
