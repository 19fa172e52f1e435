"""The line of metrics that a round leaves behind, in plain JSON types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.bound.convergence import BoundConstants, participation_bias
from airtune.bound.faults import joint_bias
from airtune.costs import FloatArray
from airtune.engines import RoundUpdates
from airtune.learning.results import DomainScore, Evaluation
from airtune.radio.movement import Movement
from airtune.rounds.books import Booked
from airtune.rounds.fault_metrics import FaultOutcome
from airtune.rounds.state import State
from airtune.scheduling import Choice
from airtune.schemes import Reception

Metrics = dict[str, Any]


def progress_metrics(state: State, evaluation: Evaluation | None) -> Metrics:
    """Return how far the run is: rounds, time, energy, and validation where it was made."""
    scores = {} if evaluation is None else evaluation.domains
    return {
        "round": state.round,
        "time_s": state.latency_s.total,
        "energy_j": state.energy_j.total,
        "evaluated": evaluation is not None,
        "loss": None if evaluation is None else finite_or_none(evaluation.loss),
        "perplexity": None if evaluation is None else finite_or_none(evaluation.perplexity),
        "exact_match": None if evaluation is None else finite_or_none(evaluation.exact_match),
        "token_accuracy": None if evaluation is None else finite_or_none(evaluation.token_accuracy),
        "preference_accuracy": (
            None if evaluation is None else finite_or_none(evaluation.preference_accuracy)
        ),
        "records": None if evaluation is None else evaluation.records,
        "domains": {name: _domain_metrics(score) for name, score in scores.items()},
    }


def _domain_metrics(score: DomainScore) -> Metrics:
    metrics = {
        "loss": finite_or_none(score.loss),
        "exact_match": finite_or_none(score.exact_match),
    }
    if score.preference_accuracy is not None:
        metrics["preference_accuracy"] = finite_or_none(score.preference_accuracy)
    return metrics


@dataclass(frozen=True)
class RoundOutcome:
    """What a round has brought.

    Attributes
    ----------
    choice : Choice
        Of the scheduler.
    computed : RoundUpdates
        Of the engine.
    transmitters : ndarray, int, shape (S',)
        Clients whose update was received.
    received : Reception or None
        None: nobody could send.
    moved : Movement
        Of the antennas.
    booked : Booked
        Latency and energy.
    product_bias : float or None
        See :func:`airtune.learning.product_bias.product_bias`.
    faults : FaultOutcome or None
        What faults have done; None where there are none in the scenario.
    refused : bool
        The server's step was not finite and was left out.
    made_step : bool
        Whether the server has made a step.
    """

    choice: Choice
    computed: RoundUpdates
    transmitters: NDArray[np.int64]
    received: Reception | None
    moved: Movement
    booked: Booked
    product_bias: float | None = None
    faults: FaultOutcome | None = None
    refused: bool = False
    made_step: bool = True

    @property
    def not_finite(self) -> str | None:
        """Why the round left the adapter as it was: ``updates``, ``step``, or None."""
        if self.computed.dropped and not len(self.computed.clients):
            return "updates"
        return "step" if self.refused else None


def outcome_metrics(outcome: RoundOutcome, constants: BoundConstants, omega: FloatArray) -> Metrics:
    """Return errors, participation, movement and costs of a round.

    Parameters
    ----------
    outcome : RoundOutcome
    constants : BoundConstants
    omega : ndarray, float, shape (K,)
        Weights of all clients, sum 1.
    """
    happened = outcome.faults
    participation = participation_metrics(
        constants, omega, outcome.transmitters, outcome.choice, made_step=outcome.made_step
    )
    missing = {*outcome.computed.dropped, *outcome.computed.missing}
    if outcome.computed.held is not None:
        missing |= set(outcome.computed.held.lost)
    if happened is not None:
        missing |= set(happened.missing)
        biases = (happened.squared_bias, happened.stale_bias, happened.poison_bias)
        known = [bias for bias in biases if bias is not None]
        participation["bias"] = joint_bias(participation["bias"], *known)
    return {
        **aggregation_metrics(outcome.computed, outcome.received),
        **participation,
        "product_bias": outcome.product_bias,
        "dropped": list(outcome.computed.dropped),
        "missing": sorted(missing),
        "not_finite": outcome.not_finite,
        "stepped": outcome.made_step,
        "moved_m": float(outcome.moved.distances_m.max()),
        "move_s": float(outcome.booked.move_s),
        "round_latency_s": outcome.booked.latency_s.to_dict(),
        "round_energy_j": outcome.booked.energy_j.to_dict(),
        "round_radiated_j": outcome.booked.radiated_j.to_dict(),
    }


def aggregation_metrics(computed: RoundUpdates, received: Reception | None) -> Metrics:
    """Return the errors of the aggregated update, and the clients' training loss.

    `mse` and `mse_predicted_db` are over ``v^2 = sum_b d_b v_b^2`` (system model, section 4).
    """
    mse = None if received is None else received.mse
    return {
        "mse": None if mse is None else finite_or_none(mse),
        "mse_db": decibel(mse),
        "mse_predicted_db": decibel(None if received is None else received.predicted_mse),
        "noise_std": None if received is None else finite_or_none(received.noise_std),
        "exposure": None if received is None else finite_or_none(received.exposure),
        **_rule_metrics(received),
        "train_loss": None if computed.loss is None else finite_or_none(computed.loss),
    }


def _rule_metrics(received: Reception | None) -> Metrics:
    """Return how far a robust rule has moved the mean [dB of v^2]; nothing where there is none."""
    if received is None or received.rule_shift is None:
        return {}
    return {"rule_shift_db": decibel(received.rule_shift)}


def participation_metrics(
    constants: BoundConstants,
    omega: FloatArray,
    transmitters: NDArray[np.int64],
    choice: Choice,
    *,
    made_step: bool,
) -> Metrics:
    """Return who has transmitted, their weight, and the bias that the bound allows for it.

    A round without a step is one without any client for the bound, whoever has transmitted and
    however clients are sampled: nothing of theirs is in the adapter.

    Parameters
    ----------
    constants : BoundConstants
    omega : ndarray, float, shape (K,)
        Weights of all clients, sum 1.
    transmitters : ndarray, int, shape (S',)
    choice : Choice
        Of the scheduler.
    made_step : bool
        Whether the server has made a step.
    """
    present = np.isin(np.arange(len(omega)), transmitters)
    unbiased = made_step and choice.bias_free and len(transmitters) == len(choice.clients)
    bias = participation_bias(constants, omega, present & made_step)
    return {
        "transmitted": len(transmitters),
        "clients": transmitters.tolist(),
        "share": 1.0 if present.all() else float(omega[transmitters].sum()),
        "bias": 0.0 if unbiased else float(bias),
    }


def decibel(ratio: float | None) -> float | None:
    """Return a ratio in dB; None where there is none or it is not positive and finite."""
    return 10.0 * float(np.log10(ratio)) if ratio is not None and 0 < ratio < np.inf else None


def finite_or_none(value: float | None) -> float | None:
    """Return a figure that JSON can hold: a model that has diverged has none."""
    return value if value is not None and np.isfinite(value) else None
