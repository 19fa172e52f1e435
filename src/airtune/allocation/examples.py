"""A small planning problem for the examples in docstrings."""

from __future__ import annotations

import math

import numpy as np

from airtune.allocation.problem import Processors, ResourceProblem, ServerProcessor
from airtune.bound import BoundConstants


def two_clients(latency_s: float = math.inf) -> ResourceProblem:
    """Return a problem of two clients, of which the second computes at half the speed.

    A round takes 0.6 s besides computing, and one sample takes the second client 0.1 s at its
    highest clock; there are at most 4 rounds.

    Parameters
    ----------
    latency_s : float
        Budget of the whole run [s].
    """
    one = np.ones(2)
    return ResourceProblem(
        bound=BoundConstants(
            L=4.0,
            mu=0.5,
            eta=0.1,
            sigma_g_sq=4.0,
            G_sq=8.0,
            L0=4.0,
            mu0=0.05,
            eta0=0.1,
            sigma0_sq=4.0,
            delta_pre=6.0,
            L_x=0.5,
            W1=1.0,
        ),
        clients=Processors(
            omega=0.5 * one,
            cycles=np.array([1e8, 2e8]),
            kappa=2.5e-28 * one,
            f_min=3e8 * one,
            f_max=2e9 * one,
            batch_max=16 * one,
            radio_j=0.003 * one,
            fixed_j=0 * one,
            budget_j=np.inf * one,
        ),
        server=ServerProcessor(1e7, 1e-27, 1e9, 3e9),
        mse_star=0.05,
        round_s=0.6,
        round_j=0.5,
        rounds=(1, 4),
        steps=(0, 0),
        batches=(1, 1),
        latency_s=latency_s,
        energy_j=math.inf,
    )
