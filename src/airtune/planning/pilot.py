"""What a pilot has shown, and what a plan predicts from it (system model, section 7b).

A pilot is a few rounds without the errors of the air: :mod:`airtune.study.pilot` runs it.  Here are
its figures, and the objective that they make.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from airtune.bound.convergence import BoundConstants
from airtune.bound.forecast_constants import chi_of
from airtune.bound.learning_curve import LearningCurve, fit_learning_curve
from airtune.errors import InputError
from airtune.planning.objective import Objective, PlainSteps
from airtune.registry import SERVER_OPTIMIZERS
from airtune.scenario import Scenario

SHARE = 0.9
"""Share of the error-free improvement at which the target is (system model, section 10)."""

BEYOND = 2
"""How often `training.rounds` the curve is continued: batches above the pilot's learn faster."""


LOSSES = (1e-12, 1e6)
"""Least and largest loss of a pilot; beyond them a law of loss ratios cannot be fitted."""


@dataclass(frozen=True)
class Pilot:
    """Figures of a few error-free rounds.

    Attributes
    ----------
    losses : tuple of float
        Validation loss before the first round and after each.
    batches : tuple of int
        Samples of each client in a round.
    batch_noise : float
        Share of the noise of these batches in the energy of the mean update, in [0, 1).
    gamma : float
        Energy of the updates over that of their mean (:func:`airtune.bound.noise_inflation`).
    by : str
        ``clients``, ``server``, or the file it was read from.
    time_s, energy_j : float
        What the rounds take, in the books of the simulation [s], [J].
    """

    losses: tuple[float, ...]
    batches: tuple[int, ...]
    batch_noise: float
    gamma: float
    by: str
    time_s: float
    energy_j: float

    def __post_init__(self) -> None:
        least, most = LOSSES
        if len(self.losses) < 2 or not all(least <= x <= most for x in self.losses):
            raise ValueError(f"losses must be two or more numbers in {least:g} .. {most:g}")
        if not self.batches or min(self.batches) < 1 or max(self.batches) > 1_000_000_000:
            raise ValueError("batches must be whole numbers in 1 .. 1e9")
        if not (0 <= self.batch_noise < 1 and np.isfinite(self.gamma) and self.gamma >= 0):
            raise ValueError("batch_noise must be in [0, 1) and gamma a number >= 0")

    @property
    def rounds(self) -> int:
        """Rounds of the pilot."""
        return len(self.losses) - 1

    def curve(self) -> LearningCurve:
        """Return the curve that continues the losses.

        Examples
        --------
        >>> pilot = Pilot((3.0, 2.2, 1.7, 1.4), (8, 8), 0.4, 8.7, "clients", 1.0, 1.0)
        >>> [round(float(loss), 1) for loss in pilot.curve().losses(30)[::10]]
        [3.0, 0.9, 0.8, 0.7]
        """
        return fit_learning_curve(self.losses)

    def to_dict(self) -> dict[str, Any]:
        """Return the pilot as plain JSON types."""
        return asdict(self) | {"losses": list(self.losses), "batches": list(self.batches)}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Pilot:
        """Return the pilot that :meth:`to_dict` has written.

        Raises
        ------
        ValueError, KeyError, TypeError
            The document is none.
        """
        numbers = {k: float(document[k]) for k in ("batch_noise", "gamma", "time_s", "energy_j")}
        return cls(
            losses=tuple(float(x) for x in document["losses"]),
            batches=tuple(int(x) for x in document["batches"]),
            by=str(document["by"]),
            **numbers,
        )


def objective_of(
    scenario: Scenario, pilot: Pilot | None, constants: BoundConstants, omega: ArrayLike
) -> Objective | None:
    """Return what a plan minimises; None: the bound.

    Parameters
    ----------
    scenario : Scenario
        `planning`, `training.rounds` and `training.server_optimizer` are read.
    pilot : Pilot or None
    constants : BoundConstants
        Under a server whose step does not shrink under noise, the floor is made of them.
    omega : array_like, float, shape (K,)
        Weights of the clients.

    Raises
    ------
    InputError
        There is no pilot, it is of another number of clients, or the target is not below its start.
    """
    settings = scenario.planning
    if not settings.predicts:
        return None
    if pilot is None:
        raise InputError(
            f"planning.objective = {settings.objective}: needs the figures of a pilot, which "
            "`airtune plan` and a run make; allowed without one is bound"
        )
    count = np.asarray(omega).size
    if len(pilot.batches) != count:
        raise InputError(
            f"planning.pilot = {pilot.by!r}: is of {len(pilot.batches)} clients; "
            f"clients.count = {count}"
        )
    rounds, curve = scenario.training.rounds, pilot.curve()
    target = settings.target_loss
    if target is None:
        target = curve.target(SHARE, rounds)
    if not target < pilot.losses[0]:
        raise InputError(
            f"planning.target_loss = {target:.6g}: must be below the loss before the first round, "
            f"{pilot.losses[0]:.6g}"
        )
    plain = None
    if not SERVER_OPTIMIZERS[scenario.training.server_optimizer].shrinks_under_noise:
        plain = PlainSteps(
            air=constants.G_sq,
            batch=constants.sigma_g_sq,
            floor=constants.L * constants.eta / (2 * constants.mu),
            contraction=constants.contraction,
        )
    return Objective(
        name=settings.objective,
        curve=curve.losses(BEYOND * rounds),
        target=target,
        chi=_chi(scenario, pilot) if settings.chi is None else settings.chi,
        batch_noise=pilot.batch_noise,
        reference=np.array(pilot.batches, float),
        margin=settings.rounds_margin,
        plain=plain,
        scores=tuple(np.inf if x is None else x for x in settings.forecast_scores),
    )


def _chi(scenario: Scenario, pilot: Pilot) -> float:
    """Return the constant of noise for what is sent, by gamma of the clients' updates."""
    return chi_of(pilot.gamma, scenario.aggregation.payload)
