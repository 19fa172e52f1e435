"""Weights of those who are heard, and the error of a decoded mean."""

from __future__ import annotations

import numpy as np

from airtune.kinds import Integer, Real
from airtune.radio import scales
from airtune.schemes.air.messages import Reception, Uploads


def renormalised(omega: Real, chosen: Integer) -> Real:
    """Return weights that are 0 but for the chosen, sum 1, shape of `omega`."""
    weights = np.zeros_like(omega)
    weights[chosen] = omega[chosen] / omega[chosen].sum()
    return weights


def squared_scale(uploads: Uploads) -> float:
    """Return ``v^2 = sum_b d_b v_b^2`` with one group a matrix, whatever the air's rule is."""
    reports = uploads.scales(uploads.matrix_sizes)
    deviations = scales.normalise_updates(reports, uploads.omega, "block").deviations
    return float(uploads.matrix_sizes @ deviations**2) or 1.0  # constant updates have no scale


def relative_error(mean: Real, uploads: Uploads, wanted: Real | None = None) -> float:
    """Return the squared error of a decoded mean over ``v^2``; comparable between schemes.

    Parameters
    ----------
    mean : ndarray, float, shape (d,)
    uploads : Uploads
    wanted : ndarray, float, shape (d,), optional
        What it should be; by default the weighted mean of the updates.
    """
    if wanted is None:
        wanted = uploads.omega @ uploads.updates.astype(np.float64)
    error = mean - wanted
    return float(error @ error) / squared_scale(uploads)


def nothing_read(uploads: Uploads, uplink_j: Real, uplink_s: float) -> Reception:
    """Return the reception of a sum of updates that stay with clients and that cannot be read.

    What was sent is paid for, and nobody's update is in a mean.

    Parameters
    ----------
    uploads : Uploads
    uplink_j : ndarray, float, shape (S,)
        Radiated energy [J].
    uplink_s : float
        Airtime [s].
    """
    silent = np.zeros(len(uploads.clients), dtype=np.bool_)
    times = np.full(len(uploads.clients), uplink_s)
    mean = np.zeros(uploads.entries)
    return Reception(mean, uplink_j, uplink_s, transmitted=silent, sending_s=times, lost=True)
