"""Pareto front of pre-training: the least gap for every number of samples that lowers it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from airtune.bound.convergence import BoundConstants, pretraining_gap
from airtune.errors import InputError
from airtune.kinds import Integer, Real

_CHUNK = 2_000_000
_CHOICES = 2e8


class Front(NamedTuple):
    """Pre-training choices, arrays of shape (P,): samples T0 B0 rising, gap falling."""

    samples: Real
    gap: Real
    steps: Integer
    batch: Integer


def pretraining_front(
    constants: BoundConstants,
    steps: tuple[int, int],
    batches: tuple[int, int],
    samples_max: float,
) -> Front:
    """Return all undominated (T0, B0).

    Time and energy of pre-training depend on the product T0 B0 alone, and both rise with it; so a
    choice with more samples and no smaller gap is never better.  Steps after which q0 no longer
    changes the gap in double precision are left out, as are products above `samples_max`.

    Parameters
    ----------
    steps, batches : tuple of int
        Ranges of T0 and B0, both ends included.
    samples_max : float
        Most samples the budgets allow.
    """
    front = Front(np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
    least, most = steps
    if least == 0:
        gap = pretraining_gap(constants, 0, 1)
        none = np.zeros(1, np.int64)
        front = Front(np.zeros(1), np.atleast_1d(gap), none, none + 1)
    rate = -np.log1p(-min(constants.eta0 * constants.mu0, 1 - 1e-16))
    most = int(min(most, max(least, np.ceil(60 / rate)), max(samples_max, 1)))
    step_range = np.arange(max(least, 1), most + 1)
    _check_number(step_range, batches, samples_max)
    width = max(1, _CHUNK // max(1, step_range.size))
    for start in range(batches[0], batches[1] + 1, width):
        if start * max(least, 1) > samples_max:
            break
        batch = np.arange(start, min(start + width, batches[1] + 1))
        t0, b0 = (grid.ravel() for grid in np.meshgrid(step_range, batch, indexing="ij"))
        keep = t0 * b0 <= samples_max
        t0, b0 = t0[keep], b0[keep]
        more = Front((t0 * b0).astype(float), pretraining_gap(constants, t0, b0), t0, b0)
        front = _undominated(_join(front, more))
    return front


def _check_number(steps: Integer, batches: tuple[int, int], samples_max: float) -> None:
    """Refuse more choices than can be compared in a minute."""
    affordable = np.minimum(batches[1], samples_max / np.maximum(steps, 1)) - batches[0] + 1
    choices = float(np.maximum(affordable, 0.0).sum())
    if choices > _CHOICES:
        raise InputError(
            f"pre-training of up to {steps[-1]} steps with batches of {batches[0]} to "
            f"{batches[1]}: {choices:.3g} choices; at most {_CHOICES:g} are compared"
        )


def _join(a: Front, b: Front) -> Front:
    return Front(
        np.concatenate((a.samples, b.samples)),
        np.concatenate((a.gap, b.gap)),
        np.concatenate((a.steps, b.steps)),
        np.concatenate((a.batch, b.batch)),
    )


def _undominated(points: Front) -> Front:
    order = np.lexsort((points.gap, points.samples))
    best = np.minimum.accumulate(points.gap[order])
    falls = np.ones(best.size, dtype=bool)
    falls[1:] = best[1:] < best[:-1]
    chosen = order[falls]
    return Front(
        points.samples[chosen], points.gap[chosen], points.steps[chosen], points.batch[chosen]
    )
