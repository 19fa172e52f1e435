"""The convergence bound, term by term (system model, section 6; proof in docs/theory.md).

Every function returns one term; the sum of the terms bounds the expected optimality gap
E F(theta_T) - F* after T rounds of SGD with one local step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from airtune.errors import InputError
from airtune.kinds import Real

_ROUNDING = 1e-12


@dataclass(frozen=True)
class BoundConstants:
    """Constants of the bound; names as in the system model, section 6.

    Attributes
    ----------
    L, mu, eta : float
        Smoothness, Polyak-Lojasiewicz constant and step size of the fine-tuning loss.
    sigma_g_sq, G_sq : float
        Variance of a per-sample gradient, largest squared scale G^2 of the updates.
    L0, mu0, eta0, sigma0_sq, delta_pre : float
        The same for pre-training, and the gap of the untrained model.
    L_x, W1 : float
        Lipschitz constant of the loss in the embedding, Wasserstein-1 distance of the two data.
    zeta_sq : float
        Heterogeneity: squared distance of a client's gradient from the mean gradient.

    Raises
    ------
    InputError
        When a constant is outside its range; the message names it.
    """

    L: float
    mu: float
    eta: float
    sigma_g_sq: float
    G_sq: float
    L0: float
    mu0: float
    eta0: float
    sigma0_sq: float
    delta_pre: float
    L_x: float
    W1: float
    zeta_sq: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            strict = field.name in ("L", "mu", "eta", "L0", "mu0", "eta0")
            if not np.isfinite(value) or value < 0 or (strict and value == 0):
                allowed = "a finite number > 0" if strict else "a finite number >= 0"
                raise InputError(f"bound.{field.name} = {value!r}: must be {allowed}")
        for step, curvature in (("eta", "mu"), ("eta0", "mu0")):
            product = getattr(self, step) * getattr(self, curvature)
            if product > 1 + _ROUNDING:
                raise InputError(
                    f"bound.{step} * bound.{curvature} = {product:.9g}: must be <= 1 "
                    f"(bound.{step} <= {1 / getattr(self, curvature):.9g})"
                )

    @classmethod
    def from_mapping(cls, values: Mapping[str, float]) -> BoundConstants:
        """Take the constants out of a mapping that may hold more (the scenario's section)."""
        return cls(
            **{field.name: values[field.name] for field in fields(cls) if field.name in values}
        )

    @property
    def contraction(self) -> float:
        """1 - eta mu, what one round leaves of the gap."""
        return max(0.0, 1 - self.eta * self.mu)


@dataclass(frozen=True)
class BoundParts:
    """The five terms of the bound; they add up to `total`."""

    initial_gap: float
    shift: float
    batch_noise: float
    air_noise: float
    bias: float = 0.0

    @property
    def total(self) -> float:
        """The bound on E F(theta_T) - F*."""
        return self.initial_gap + self.shift + self.batch_noise + self.air_noise + self.bias

    @property
    def largest(self) -> str:
        """Name of the largest term."""
        terms = self.to_dict()
        terms.pop("total")
        return max(terms, key=lambda name: terms[name])

    def to_dict(self) -> dict[str, float]:
        """Return total and parts as plain numbers."""
        return {
            "total": float(self.total),
            "initial_gap": float(self.initial_gap),
            "shift": float(self.shift),
            "batch_noise": float(self.batch_noise),
            "air_noise": float(self.air_noise),
            "bias": float(self.bias),
        }


def pretraining_gap(constants: BoundConstants, steps: ArrayLike, batch: ArrayLike) -> Real:
    """Gap of the pre-trained model on its own data (docs/theory.md, (6)).

    q0 Delta_pre + (1 - q0) L0 eta0 sigma_0^2 / (2 mu0 B0),  q0 = (1 - eta0 mu0)^T0.

    Parameters
    ----------
    constants : BoundConstants
    steps, batch : array_like of int
        T0 >= 0 and B0 >= 1; they broadcast.

    Returns
    -------
    ndarray

    Examples
    --------
    The gap before pre-training, after 100 and after 1000 steps on batches of 16:

    >>> from airtune.bound import BoundConstants
    >>> constants = BoundConstants(
    ...     L=4, mu=0.5, eta=0.1, sigma_g_sq=4, G_sq=8, zeta_sq=2,
    ...     L0=4, mu0=0.05, eta0=0.1, sigma0_sq=4, delta_pre=6, L_x=0.5, W1=1,
    ... )
    >>> pretraining_gap(constants, [0, 100, 1000], 16).round(3).tolist()
    [6.0, 4.029, 1.033]
    """
    c = constants
    q0 = max(0.0, 1 - c.eta0 * c.mu0) ** np.asarray(steps, float)
    floor = c.L0 * c.eta0 * c.sigma0_sq / (2 * c.mu0 * np.asarray(batch, float))
    return np.asarray(q0 * c.delta_pre + (1 - q0) * floor)


def shift_gap(constants: BoundConstants) -> float:
    """Return what the change of data adds to the initial gap: 2 L_x W_1 (docs/theory.md, (8)).

    Examples
    --------
    >>> from airtune.bound import BoundConstants
    >>> constants = BoundConstants(
    ...     L=4, mu=0.5, eta=0.1, sigma_g_sq=4, G_sq=8, zeta_sq=2,
    ...     L0=4, mu0=0.05, eta0=0.1, sigma0_sq=4, delta_pre=6, L_x=0.5, W1=1,
    ... )
    >>> shift_gap(constants)
    1.0
    """
    return 2 * constants.L_x * constants.W1


def noise_gain(constants: BoundConstants, rounds: ArrayLike) -> Real:
    """Factor of a constant V in the bound: (1 - q_T) / (eta mu) * L eta^2 / 2.

    Parameters
    ----------
    constants : BoundConstants
    rounds : array_like of int
        T; q_T = (1 - eta mu)^T, see docs/theory.md, (5).

    Returns
    -------
    ndarray

    Examples
    --------
    The factor tends to L eta / (2 mu):

    >>> from airtune.bound import BoundConstants
    >>> constants = BoundConstants(
    ...     L=4, mu=0.5, eta=0.1, sigma_g_sq=4, G_sq=8, zeta_sq=2,
    ...     L0=4, mu0=0.05, eta0=0.1, sigma0_sq=4, delta_pre=6, L_x=0.5, W1=1,
    ... )
    >>> noise_gain(constants, [1, 20, 1000]).round(4).tolist()
    [0.02, 0.2566, 0.4]
    """
    c = constants
    q = c.contraction ** np.asarray(rounds, float)
    return np.asarray((1 - q) / (c.eta * c.mu) * c.L * c.eta**2 / 2)


def batch_noise(constants: BoundConstants, omega: ArrayLike, batch: ArrayLike) -> Real:
    """Variance of the mean mini-batch gradient: sigma_g^2 sum_k omega_k^2 / B_k.

    Parameters
    ----------
    constants : BoundConstants
    omega : array_like, shape (..., K)
        Weights; 0 for a client that does not take part.
    batch : array_like, shape (..., K)
        Mini-batch sizes, one row for each round when they change.

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    Client 1 takes batches of 16, client 2 of 8:

    >>> from airtune.bound import BoundConstants
    >>> constants = BoundConstants(
    ...     L=4, mu=0.5, eta=0.1, sigma_g_sq=4, G_sq=8, zeta_sq=2,
    ...     L0=4, mu0=0.05, eta0=0.1, sigma0_sq=4, delta_pre=6, L_x=0.5, W1=1,
    ... )
    >>> float(batch_noise(constants, omega=[0.5, 0.5], batch=[16, 8]))
    0.1875
    """
    terms = np.asarray(omega, float) ** 2 / np.asarray(batch, float)
    return np.asarray(constants.sigma_g_sq * terms.sum(axis=-1))


def participation_bias(constants: BoundConstants, weights: ArrayLike, present: ArrayLike) -> Real:
    """Squared bias of partial participation: beta = min(1, 4 (1 - p)^2) zeta^2.

    Parameters
    ----------
    constants : BoundConstants
    weights : array_like, shape (K,)
        omega0, weights of all clients, sum 1.
    present : array_like of bool, shape (..., K)
        Who transmits; p is the weight of those present.

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    All clients transmit; the last one is absent; only the last one transmits:

    >>> from airtune.bound import BoundConstants
    >>> constants = BoundConstants(
    ...     L=4, mu=0.5, eta=0.1, sigma_g_sq=4, G_sq=8, zeta_sq=2,
    ...     L0=4, mu0=0.05, eta0=0.1, sigma0_sq=4, delta_pre=6, L_x=0.5, W1=1,
    ... )
    >>> present = [[True, True, True], [True, True, False], [False, False, True]]
    >>> participation_bias(constants, [0.7, 0.2, 0.1], present).round(6).tolist()
    [0.0, 0.08, 2.0]
    """
    absent = np.where(np.asarray(present, bool), 0.0, np.asarray(weights, float)).sum(axis=-1)
    return np.asarray(np.minimum(1.0, 4 * absent**2) * constants.zeta_sq)


def bound_constant(
    constants: BoundConstants,
    *,
    rounds: int,
    pretraining: tuple[int, int],
    noise: float,
    mse: float,
    beta: float = 0.0,
) -> BoundParts:
    """Bound after T rounds of constant noise: the sum that the planner minimises.

    Parameters
    ----------
    constants : BoundConstants
    rounds : int
        T.
    pretraining : tuple of int
        T0 and B0.
    noise : float
        Batch noise of a round, see :func:`batch_noise`.
    mse : float
        MSE of the aggregation as sent (MSE* / rho).
    beta : float
        Squared bias of a round, see :func:`participation_bias`.

    Returns
    -------
    BoundParts

    Examples
    --------
    >>> from airtune.bound import BoundConstants, batch_noise, bound_constant
    >>> constants = BoundConstants(
    ...     L=4, mu=0.5, eta=0.1, sigma_g_sq=4, G_sq=8,
    ...     L0=4, mu0=0.05, eta0=0.1, sigma0_sq=4, delta_pre=6, L_x=0.5, W1=1,
    ... )
    >>> noise = batch_noise(constants, omega=[0.5, 0.5], batch=[16, 8])
    >>> float(noise)
    0.1875
    >>> parts = bound_constant(
    ...     constants, rounds=20, pretraining=(0, 1), noise=float(noise), mse=0.05
    ... )
    >>> parts.largest, round(parts.total, 3), round(parts.air_noise, 3)
    ('initial_gap', 2.66, 0.103)
    """
    c = constants
    q, gain = c.contraction**rounds, float(noise_gain(c, rounds))
    return BoundParts(
        initial_gap=q * float(pretraining_gap(c, *pretraining)),
        shift=q * shift_gap(c),
        batch_noise=gain * noise,
        air_noise=gain * c.G_sq * mse,
        bias=(1 - q) / (2 * c.mu) * beta,
    )


def bound_over_rounds(
    constants: BoundConstants,
    *,
    initial: float,
    shift: float,
    noise: ArrayLike,
    air: ArrayLike,
    beta: ArrayLike = 0.0,
) -> dict[str, Real]:
    """Bound after every round for noise that changes from round to round (docs/theory.md, (4)).

    Runs gap_{t+1} = (1 - eta mu) gap_t + (L eta^2 / 2) V_t + (eta / 2) beta_t for each term.

    Parameters
    ----------
    constants : BoundConstants
    initial, shift : float
        Delta_0 without the shift, and the shift 2 L_x W_1.
    noise : array_like, shape (T,)
        Batch noise of each round, see :func:`batch_noise`.
    air : array_like, shape (T,) or ()
        Air noise G_t^2 MSE_t of each round.
    beta : array_like, shape (T,) or ()
        Squared bias of each round.

    Returns
    -------
    dict of ndarray, shape (T + 1,)
        `total` and the parts of :class:`BoundParts`; index t is the bound after t rounds.

    Examples
    --------
    Larger batches in the third of three rounds:

    >>> from airtune.bound import BoundConstants
    >>> constants = BoundConstants(
    ...     L=4, mu=0.5, eta=0.1, sigma_g_sq=4, G_sq=8, zeta_sq=2,
    ...     L0=4, mu0=0.05, eta0=0.1, sigma0_sq=4, delta_pre=6, L_x=0.5, W1=1,
    ... )
    >>> bound = bound_over_rounds(constants, initial=6, shift=1, noise=[0.5, 0.5, 0.25], air=0.1)
    >>> bound["total"].round(3).tolist(), bound["batch_noise"].round(3).tolist()
    ([7.0, 6.662, 6.341, 6.031], [0.0, 0.01, 0.02, 0.024])
    """
    c = constants
    noise = np.asarray(noise, float)
    rounds = noise.shape[0]
    sources = {
        "batch_noise": c.L * c.eta**2 / 2 * noise,
        "air_noise": c.L * c.eta**2 / 2 * np.broadcast_to(np.asarray(air, float), rounds),
        "bias": c.eta / 2 * np.broadcast_to(np.asarray(beta, float), rounds),
    }
    decay = c.contraction ** np.arange(rounds + 1)
    parts = {"initial_gap": initial * decay, "shift": shift * decay}
    for name, source in sources.items():
        gap = np.zeros(rounds + 1)
        for t in range(rounds):
            gap[t + 1] = c.contraction * gap[t] + source[t]
        parts[name] = gap
    return {"total": np.asarray(sum(parts.values())), **parts}
