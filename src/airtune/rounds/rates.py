"""The learning rate of the server in a round (`training.learning_rate_rule`)."""

from __future__ import annotations

from collections.abc import Callable

from airtune.bound.forecast import RULES_CHI, step_factor
from airtune.rounds.metrics import Metrics
from airtune.scenario import Training
from airtune.schemes import AirInterface, Forecast, Uploads


def of_round(
    training: Training,
    air: AirInterface,
    forecast: Callable[[], Forecast],
    uploads: Uploads,
    backoff: float,
) -> Training:
    """Return the section `training` with the learning rate of a round.

    Under `noise-aware` that is eta times :func:`airtune.bound.forecast.step_factor` of the MSE that
    is predicted before the updates are sent: no random number of the round is in it, and it follows
    from the state that a checkpoint keeps.  Signs have no such law: there eta stays.

    Parameters
    ----------
    training : Training
        Of the scheme.
    air : AirInterface
    forecast : callable
        Returns the forecast of the round for the weights that are expected of the selected clients.
    uploads : Uploads
        Their reports of scales are used.
    backoff : float
        rho in (0, 1].
    """
    if training.learning_rate_rule == "fixed":
        return training
    error = air.predicted_error(forecast(), uploads, backoff)
    factor = 1.0 if error is None else step_factor(error, RULES_CHI)
    return training.model_copy(update={"learning_rate": factor * training.learning_rate})


def rate_metrics(training: Training, *, stepped: bool) -> Metrics:
    """Return the learning rate of a round's step, None without a step; nothing where it is fixed.

    Parameters
    ----------
    training : Training
        As :func:`of_round` returns it.
    stepped : bool
        Whether the server has made a step.
    """
    if training.learning_rate_rule == "fixed":
        return {}
    return {"learning_rate": training.learning_rate if stepped else None}
