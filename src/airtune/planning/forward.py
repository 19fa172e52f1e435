"""A repetition as it is for a scheme whose clients make forward passes only, or keep factors."""

from __future__ import annotations

from dataclasses import replace

from airtune.errors import InputError, shown
from airtune.learning.payload import SeededDirections
from airtune.planning.aggregation import aggregating
from airtune.planning.facings import facing_scheme
from airtune.planning.repetition import Repetition
from airtune.registry import CLIENT_OBJECTIVES, SCHEMES
from airtune.scenario import Radio, Scenario


def for_scheme(repetition: Repetition, scheme: str) -> Repetition:
    """Return the repetition of a scheme: with what its clients compute, and the step made of it.

    Schemes with `forward_only` have seeded directions for the payload, plain descent for the server
    as their papers have, and a broadcast of the numbers as they are; digital schemes have what
    `digital.aggregation` says (:mod:`airtune.planning.aggregation`), all others the scenario.  Its
    array turns as `array.rotation` says (:mod:`airtune.planning.facings`).

    Parameters
    ----------
    repetition : Repetition
    scheme : str
        Name of the scheme.

    Raises
    ------
    InputError
        The settings of the clients do not go with the scheme.
    """
    repetition = facing_scheme(repetition, scheme)
    if repetition.own_payload is not None:
        return repetition
    if not getattr(SCHEMES[scheme], "forward_only", False):
        return aggregating(repetition, scheme)
    scenario, matrices = repetition.scenario, tuple(repetition.sizes.matrices)
    _check(scenario, scheme)
    payload = SeededDirections(matrices, repetition.seed, scenario.zeroth_order.directions)
    payload.blocks("")  # says what does not fit
    return replace(
        repetition,
        scenario=_descending(scenario, scheme),
        channel=repetition.paths,
        own_payload=payload,
        _schemes={},
    )


def _descending(scenario: Scenario, scheme: str) -> Scenario:
    """Return the scenario with plain descent at the rate of the scheme."""
    rates = scenario.zeroth_order
    rate = rates.sign_rate if SCHEMES[scheme].air.sends_signs else rates.learning_rate
    training = scenario.training.model_copy(
        update={
            "server_optimizer": "sgd",
            "learning_rate_rule": "fixed",
            "learning_rate": rate,
        }
    )
    aggregation = scenario.aggregation.model_copy(
        update={"payload": "lora", "payload_size": None, "payload_step": None}
    )
    radio, digital = scenario.radio, scenario.digital.model_copy(update={"aggregation": "mean"})
    if radio.downlink_quantizer != "none":  # the numbers go out as they are, whatever is rounded
        bits = Radio.model_fields["downlink_bits"].default
        radio = radio.model_copy(update={"downlink_quantizer": "none", "downlink_bits": bits})
    return scenario.model_copy(
        update={
            "training": training,
            "aggregation": aggregation,
            "radio": radio,
            "digital": digital,
        }
    )


def _check(scenario: Scenario, scheme: str) -> None:
    training = scenario.training
    if scenario.planning.predicts:
        raise InputError(
            f"planning.objective = {shown(scenario.planning.objective)}: must be bound with the "
            f"scheme {shown(scheme)}; a pilot of gradient steps does not predict its progress"
        )
    if training.local_steps > 1:
        raise InputError(
            f"training.local_steps = {training.local_steps}: must be 1 with the scheme "
            f"{shown(scheme)}, whose clients send differences of the loss at the common adapter"
        )
    objective = CLIENT_OBJECTIVES[training.client_objective]
    if not getattr(objective, "forward_only", False):
        raise InputError(
            f"training.client_objective = {shown(training.client_objective)}: must have a loss by "
            f"forward passes alone (`forward_only`, as sft and fedprox) with the scheme "
            f"{shown(scheme)}"
        )
