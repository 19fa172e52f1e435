"""The law of the predicted loss as a scheme meets it: which constant its errors have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airtune.bound.forecast_constants import SIGNS
from airtune.planning.objective import Objective
from airtune.schemes.air import coding as codings

FIRST = ("lloyd-max", False)
"""Quantiser and feedback whose constant holds before a coding is planned."""

if TYPE_CHECKING:
    from airtune.planning.expected_radio import RadioTurn


def of_scheme(objective: Objective, radio: RadioTurn) -> Objective:
    """Return an objective with the constant of the errors of a scheme.

    Noise of the air has chi of the pilot, errors of a quantiser those of
    :data:`airtune.schemes.air.coding.CHI`, and signs cost a constant factor whatever the MSE.  The
    law is trusted as far as it was seen to hold for the payload.

    Parameters
    ----------
    objective : Objective
    radio : RadioTurn
        The scheme with its coding.
    """
    air, trusted = radio.scheme.air, radio.repetition.payload.largest_mse
    if trusted < objective.largest_mse:
        objective = replace(objective, largest_mse=trusted)
    if air.follows_no_law:
        return replace(objective, constant=SIGNS)
    if not air.plans_coding:
        return objective
    coding = radio.coding
    kind = FIRST if coding is None else (coding.quantizer, coding.feedback)
    return replace(objective, chi=codings.CHI[kind])
