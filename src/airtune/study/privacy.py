"""Differential privacy by the receiver's noise: (epsilon, delta) of the decoded aggregates.

Over-the-air aggregation adds the receiver's noise to the sum of the updates: the Gaussian mechanism
of differential privacy at no cost.  The guarantee is narrow, and these limits belong to it:

- it covers an observer who sees the decoded aggregates (the models of the rounds) and nothing else.
  The noise arises in the server's receiver: whoever has antennas of his own, or the antennas'
  signals before the beamformer, sees other noise, and one client's signal alone if he is near;
- the reported means and scales of the scale groups travel digitally and are taken as public, and
  the noise of the decoded mean is in proportion to these scales;
- interference counts as the Gaussian noise that it is modelled as;
- the noise per entry is that of the model of the air with the beamformer in use, not a floor that
  a receiver guarantees;
- the beamformer and the antennas' positions make the noise as small as they can: what helps
  learning hurts privacy.

Neighbouring data sets differ by one client's whole update, present or replaced by nothing.

With `aggregation.groups` a client is in one group's sum only, and its noise is what hides it.  The
mean of all sums carries the noise of all; a robust rule over them is post-processing, for which the
noise of the quietest slot counts, in units of the mean (`noise_std` in metrics.jsonl is that).

References
----------
I. Mironov: Renyi differential privacy, CSF 2017.
D. Liu, O. Simeone: Privacy for free: wireless federated learning via uncoded transmission with
adaptive power control, IEEE JSAC 39(1), 2021.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.errors import InputError
from airtune.scenario import Scenario

ORDERS = np.concatenate(
    [1 + np.geomspace(1e-4, 0.1, 24, endpoint=False), np.arange(1.1, 4, 0.1), np.arange(4, 65)]
)
"""Renyi orders; those next to 1 matter where the noise is small."""


def noise_multiplier(noise_std: float, weight: float, clip_norm: float) -> float:
    """Return the noise over the sensitivity of one round's decoded mean.

    A clipped update d_k reaches the mean with the aligned gain omega_k, so leaving it out moves
    the mean by at most omega_k C (by less, for the means of the scale groups are public).

    Parameters
    ----------
    noise_std : float
        Standard deviation of the noise per real entry of the decoded mean, the least of all groups:
        ``min_b v_b sqrt(w^H R w / pi_b)``.
    weight : float
        Largest weight omega_k of a client that transmits.
    clip_norm : float
        C, largest Euclidean norm of an update.

    Examples
    --------
    Noise of 0.02 per entry, ten clients of equal weight, updates clipped to norm 1:

    >>> round(noise_multiplier(noise_std=0.02, weight=0.1, clip_norm=1.0), 6)
    0.2
    """
    return noise_std / (weight * clip_norm)


def sampling_rate(scenario: Scenario) -> float:
    """Return the sampling rate of the clients in a round: 1 unless they are drawn at random.

    1, too, for `clients.unbiased`, where it differs from client to client.

    Examples
    --------
    Two of ten clients, drawn anew each round:

    >>> from airtune import load_scenario
    >>> drawn = ["clients.count=10", "clients.concurrency=2", "clients.selection=random"]
    >>> sampling_rate(load_scenario("quickstart", drawn))
    0.2
    """
    clients = scenario.clients
    drawn = clients.selection == "random" and not clients.unbiased
    return clients.limit / clients.count if drawn else 1.0


def spent(multipliers: Sequence[float], rate: float, delta: float) -> NDArray[np.float64]:
    """Return epsilon after each round, by the Renyi accountant of opacus.

    Parameters
    ----------
    multipliers : sequence of float, length T
        Noise multiplier of each round, > 0; infinite where nothing was sent.
    rate : float
        Sampling rate, in (0, 1].
    delta : float
        In (0, 1).

    Returns
    -------
    ndarray, float, shape (T,)

    Raises
    ------
    InputError
        delta is not between 0 and 1, or opacus is not installed.
    """
    total = np.zeros(len(ORDERS))
    epsilons = []
    for multiplier in multipliers:
        total = total + renyi(multiplier, rate)
        epsilons.append(_epsilon(total, delta))
    return np.array(epsilons)


def spent_alike(multiplier: float, rounds: int, rate: float, delta: float) -> float:
    """Return epsilon after rounds with the same noise multiplier; see :func:`spent`."""
    return _epsilon(rounds * renyi(multiplier, rate), delta)


def _epsilon(total: NDArray[np.float64], delta: float) -> float:
    if not 0 < delta < 1:
        raise InputError(f"delta = {delta:g}: must be between 0 and 1")
    rdp = _accountant()
    with warnings.catch_warnings():
        # That the best order is at an end of the range is no fault: the bound holds at each.
        warnings.simplefilter("ignore", UserWarning)
        epsilon, _ = rdp.get_privacy_spent(orders=ORDERS, rdp=total, delta=delta)
    return max(float(epsilon), 0.0)


def _accountant() -> Any:
    try:
        from opacus.accountants.analysis import rdp
    except ImportError:
        raise InputError("privacy needs opacus: pip install 'airtune[privacy]'") from None
    return rdp


def renyi(multiplier: float, rate: float) -> NDArray[np.float64]:
    """Return a bound of the Renyi divergence of one round at each of :data:`ORDERS`.

    The sampled Gaussian mechanism of the literature [1]_ draws each client by itself; here a fixed
    number is drawn, so that one client's absence brings in another, and its amplification does
    not hold.  What holds for any draw that does not look at the data is joint convexity [2]_: two
    neighbours give the same result unless the client was drawn, so with the divergence D_alpha of
    the Gaussian mechanism ``exp((alpha - 1) D) <= 1 - q + q exp((alpha - 1) D_alpha)``.

    References
    ----------
    .. [1] I. Mironov, K. Talwar, L. Zhang: Renyi differential privacy of the sampled Gaussian
       mechanism, 2019.
    .. [2] T. van Erven, P. Harremoes: Renyi divergence and Kullback-Leibler divergence, IEEE
       Transactions on Information Theory 60(7), 2014.
    """
    if np.isinf(multiplier):
        return np.zeros(len(ORDERS))
    plain = _accountant().compute_rdp(q=1.0, noise_multiplier=multiplier, steps=1, orders=ORDERS)
    if rate == 1.0:
        return np.asarray(plain)
    exponents = (ORDERS - 1) * plain
    mixed = np.logaddexp(np.log1p(-rate), np.log(rate) + exponents) / (ORDERS - 1)
    # next to order 1 the logarithm of nearly 1 loses its digits; sampling never hurts
    return np.asarray(np.minimum(np.maximum(mixed, 0.0), plain))
