"""The convergence bound of the system model, section 6, what goes into it, and the predicted loss.

:func:`bound_constant` gives the five terms of the bound after T rounds of constant noise,
:func:`bound_over_rounds` the bound after every round, the other functions single terms; the proof
is in docs/theory.md.  :func:`wasserstein` and :func:`client_shift` measure how far data sets are
apart.  :func:`rounds_to_target` predicts, where the bound is safe (section 7b).  Pure functions of
arrays; only :mod:`airtune.bound.calibrate`, which measures the constants on a model, needs more,
and nothing here imports it.
"""

from airtune.bound.convergence import (
    BoundConstants,
    BoundParts,
    batch_noise,
    bound_constant,
    bound_over_rounds,
    noise_gain,
    participation_bias,
    pretraining_gap,
    shift_gap,
)
from airtune.bound.forecast import (
    effective_progress,
    mean_energy,
    noise_inflation,
    predicted_loss,
    rounds_to_target,
    step_factor,
)
from airtune.bound.learning_curve import LearningCurve, fit_learning_curve
from airtune.bound.shift import ClientShift, Distance, client_shift, wasserstein

__all__ = [
    "BoundConstants",
    "BoundParts",
    "ClientShift",
    "Distance",
    "LearningCurve",
    "batch_noise",
    "bound_constant",
    "bound_over_rounds",
    "client_shift",
    "effective_progress",
    "fit_learning_curve",
    "mean_energy",
    "noise_gain",
    "noise_inflation",
    "participation_bias",
    "predicted_loss",
    "pretraining_gap",
    "rounds_to_target",
    "shift_gap",
    "step_factor",
    "wasserstein",
]
