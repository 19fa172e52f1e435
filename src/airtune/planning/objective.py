"""What a plan minimises where it is not the bound: what is predicted (system model 7b, 8).

``loss``: the predicted loss after the planned rounds; ``time``, ``energy``: predicted to the target
loss; ``energy-delay``: the product of both.  Pure numbers: where they are from is told by
:mod:`airtune.planning.pilot`, and :mod:`airtune.planning.search` decides with them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from airtune.bound.conformal import COVERAGE, limit_of
from airtune.bound.forecast import LARGEST_MSE, crossing, predicted_loss, slowdown
from airtune.kinds import Real

UNREACHABLE = 1e30
"""Factor on the value of a plan that is not predicted to reach the target: of such plans that of
the least loss is taken, and any plan that reaches it before."""


@dataclass(frozen=True)
class PlainSteps:
    """Noise under a server whose step does not shrink: it leaves a floor (section 6).

    Attributes
    ----------
    air, batch : float
        G^2 and sigma_g^2: energy of the noise for an MSE of 1, and for ``sum omega^2 / B`` of 1.
    floor : float
        ``L eta / (2 mu)``.
    contraction : float
        ``1 - eta mu``.
    """

    air: float
    batch: float
    floor: float
    contraction: float


@dataclass(frozen=True)
class Objective:
    """What is minimised, and the law that predicts it for a scheme.

    Noise is summed up in one number, the *burden* of a round: with an Adam-like server the rounds
    that make the progress of one error-free round, with plain steps the energy of the noise.

    Attributes
    ----------
    name : str
        ``loss``, ``time``, ``energy`` or ``energy-delay``.
    curve : ndarray, float, shape (T_max + 1,)
        Losses of the error-free run at the pilot's batches, ``L_ideal``.
    target : float
        Loss to reach.
    chi : float
        Constant of the errors of the scheme.
    batch_noise : float
        Share of the noise of the batches in the energy of the pilot's mean update.
    reference : ndarray, float, shape (K,)
        The pilot's batches.
    margin : float
        Rounds that are planned over those that are predicted, where the rounds are planned.
    constant : float or None
        Rounds over error-free ones whatever the MSE: signs.
    plain : PlainSteps or None
        For a server whose step does not shrink under noise.
    largest_mse : float
        MSE up to which the law holds.
    scores : tuple of float
        Of other seeds, for the limit of what is predicted (:mod:`airtune.bound.conformal`).
    """

    name: str
    curve: Real
    target: float
    chi: float
    batch_noise: float
    reference: Real
    margin: float = 1.0
    constant: float | None = None
    plain: PlainSteps | None = None
    largest_mse: float = LARGEST_MSE
    scores: tuple[float, ...] = ()

    @property
    def needed(self) -> float:
        """Rounds of the error-free run to the target; infinite: never."""
        return crossing(self.curve, self.target)

    def spread(self, weights: Real, batches: Real) -> Real:
        """Return ``sum_k w_k^2 / B_k``, for batches of shape (..., K)."""
        return np.asarray(np.sum(weights**2 / batches, axis=-1))

    def burden(self, mse: npt.ArrayLike, spread: npt.ArrayLike, reference: float) -> Real:
        """Return what noise makes of a round; it grows with both arguments.

        Parameters
        ----------
        mse : array_like, float
            Error of the decoded mean over v^2.
        spread : array_like, float
            ``sum w^2 / B`` of the round.
        reference : float
            The same of the pilot, with the same weights.
        """
        errors, spreads = np.asarray(mse, np.float64), np.asarray(spread, np.float64)
        if self.plain is not None:
            batch = self.plain.batch * (spreads - reference)
            return np.asarray(np.maximum(self.plain.air * errors + batch, 0.0))
        energy = 1.0 + self.batch_noise * (spreads / reference - 1.0)
        energy = np.maximum(energy, 1.0 - self.batch_noise + 1e-9)
        if self.constant is not None:
            return np.asarray(self.constant * np.sqrt(energy) + 0.0 * errors)
        return slowdown(errors, self.chi, energy)

    def holds(self, mse: npt.ArrayLike) -> Any:
        """Return whether the law holds at an MSE."""
        errors = np.asarray(mse, np.float64)
        free = self.constant is not None or self.plain is not None
        return np.isfinite(errors) & (free | (errors <= self.largest_mse * (1 + 1e-9)))

    def rounds(self, burden: npt.ArrayLike) -> Real:
        """Return the rounds to the target at a burden; infinite: not within the known curve."""
        heavy = np.asarray(burden, np.float64)
        most = len(self.curve) - 1
        if self.plain is None:
            if self.needed <= 0:  # it is there, whatever the burden is
                return np.zeros_like(heavy)
            rounds = self.needed * heavy
            return np.asarray(np.where(rounds <= most, rounds, np.inf))
        # Up to which burden the run is at the target in round t or before.
        risen = 1.0 - self.plain.contraction ** np.arange(most + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            allowed = (self.target - self.curve) / (risen * self.plain.floor)
        allowed = np.where(self.curve <= self.target, np.nan_to_num(allowed, nan=np.inf), -1.0)
        first = np.searchsorted(np.maximum.accumulate(allowed), heavy)
        return np.asarray(np.where(first <= most, first, np.inf))

    def loss(self, rounds: npt.ArrayLike, burden: npt.ArrayLike) -> Real:
        """Return the predicted loss after some rounds at a burden; NaN beyond the known curve."""
        count, heavy = np.asarray(rounds, np.float64), np.asarray(burden, np.float64)
        if self.plain is None:
            return predicted_loss(self.curve, count / heavy)
        risen = 1.0 - self.plain.contraction**count
        return np.asarray(predicted_loss(self.curve, count) + risen * self.plain.floor * heavy)

    def losses(self, rounds: int, burden: float) -> Real:
        """Return the predicted losses after 0 to `rounds` rounds, shape (rounds + 1,)."""
        return self.loss(np.arange(rounds + 1), burden)

    def cost(self, time_s: npt.ArrayLike, energy_j: npt.ArrayLike) -> Real:
        """Return what is minimised of time and energy to the target; not for ``loss``."""
        time, energy = np.asarray(time_s, np.float64), np.asarray(energy_j, np.float64)
        if self.name == "time":
            return time
        return energy if self.name == "energy" else np.asarray(time * energy)

    def after(self, progress: float) -> Objective:
        """Return the objective of a run that is worth `progress` error-free rounds already."""
        last = len(self.curve) - 1.0
        curve = predicted_loss(self.curve, np.arange(min(progress, last), last + 1e-9))
        return replace(self, curve=curve)


@dataclass(frozen=True)
class Forecast:
    """What is predicted of a plan.

    Attributes
    ----------
    objective : str
    value : float
        What was minimised; above :data:`UNREACHABLE` where the target is not reached.
    mse : float
        Predicted error over v^2 of a round.
    burden : float
        See :class:`Objective`.
    loss : float or None
        After the planned rounds; None: nothing is known.
    target : float
    rounds, time_s, energy_j : float or None
        To the target; None: never.
    limit_rounds : float or None
        One-sided limit of `rounds` for a new seed, where scores of others are known; infinite ones
        are None, too.
    coverage : float or None
        Of that limit; None: no scores are known.
    chi : float or None
        None where the law in the MSE does not hold.
    losses : tuple of float or None
        Predicted after 0 to T rounds.
    """

    objective: str
    value: float
    mse: float
    burden: float
    loss: float | None
    target: float
    rounds: float | None
    time_s: float | None
    energy_j: float | None
    limit_rounds: float | None
    coverage: float | None
    chi: float | None
    losses: tuple[float | None, ...]

    @classmethod
    def of(
        cls,
        objective: Objective,
        planned: int,
        mse: float,
        burden: float,
        costs: tuple[float, float, float, float],
    ) -> Forecast:
        """Predict a plan.

        Parameters
        ----------
        objective : Objective
        planned : int
            T.
        mse, burden : float
            Of a round.
        costs : (float, float, float, float)
            Time [s] and energy [J] of a round, and what comes once, before the first.
        """
        holds = bool(objective.holds(mse))
        rounds = float(objective.rounds(burden)) if holds else np.inf
        losses = objective.losses(planned, burden) if holds else np.full(planned + 1, np.nan)
        round_s, round_j, first_s, first_j = costs
        reached = rounds <= planned + 1e-9
        limit = None
        if objective.scores and reached:
            limit = _finite(limit_of(rounds, objective.scores))
        return cls(
            objective=objective.name,
            value=_value(objective, planned, burden, rounds if reached else np.inf, costs),
            mse=mse,
            burden=burden,
            loss=_finite(float(losses[-1])),
            target=objective.target,
            rounds=rounds if reached else None,
            time_s=first_s + rounds * round_s if reached else None,
            energy_j=first_j + rounds * round_j if reached else None,
            limit_rounds=limit,
            coverage=COVERAGE if objective.scores else None,
            chi=None if objective.constant or objective.plain else objective.chi,
            losses=tuple(_finite(float(x)) for x in losses),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast as plain JSON types."""
        document = asdict(self)
        document["losses"] = list(self.losses)
        document["value"] = self.value if self.value < UNREACHABLE else None
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Forecast:
        """Return the forecast that :meth:`to_dict` has written."""
        value = document["value"]
        losses = tuple(document["losses"])
        return cls(
            **{**document, "losses": losses, "value": UNREACHABLE if value is None else value}
        )


def _value(
    objective: Objective,
    planned: int,
    burden: float,
    rounds: float,
    costs: tuple[float, float, float, float],
) -> float:
    """Return what is to be least; a plan that misses the target is judged by its loss alone."""
    loss = float(objective.loss(planned, burden))
    if not np.isfinite(loss):
        loss = float(objective.curve[0]) * (1.0 + burden)
    if objective.name == "loss":
        return loss
    if not np.isfinite(rounds):
        return UNREACHABLE * (1.0 + loss)
    round_s, round_j, first_s, first_j = costs
    return float(objective.cost(first_s + rounds * round_s, first_j + rounds * round_j))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
