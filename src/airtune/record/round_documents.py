"""One round in ``metrics.jsonl``, typed; :mod:`airtune.record.documents` has all documents."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from airtune.record.run_documents import Part

Number = int | float


class GainMap(Part):
    """The weakest client's gain over the region as the server believes it, one byte a point.

    Attributes
    ----------
    shape : [int, int]
        Points along y and x, from 0 to the ends of the region.
    low_db, step_db : float
        The byte b stands for ``low_db + step_db * b`` [dB]; 0 also for less.  `step_db` is 0 where
        the gain is the same throughout.
    values : str
        The bytes row by row, in base64.
    """

    shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    low_db: Number
    step_db: Number
    values: str


class ClientFigures(Part):
    """Figures of the selected clients of a round, one of each in every list.

    Attributes
    ----------
    clients : list of int
    gain_db : list of float or None, or None
        Power gain of the true channel, mean over the antennas [dB].
    snr_db : list of float or None, or None
        Of the client alone on the air at its power limit, received in the best way, over noise and
        interference [dB].
    alignment : list of float or None, or None
        Weight with which the update arrived, the part in phase, over that which was meant among
        those who sent: truncation shares the weight of the silent out among them.  0 for who got a
        turn and was silent, None for who got none or has no weight; None as a whole where an air
        interface does not add updates up.
    loss : list of float or None, or None
        Training loss of the client's batches [nat].
    energy_j : list of float
        Electrical energy for computing, pilots and upload [J].
    """

    clients: list[int]
    gain_db: list[Number | None] | None = None
    snr_db: list[Number | None] | None = None
    alignment: list[Number | None] | None = None
    loss: list[Number | None] | None = None
    energy_j: list[Number] = Field(default_factory=list)


class DomainScore(Part):
    """Validation of one domain."""

    loss: Number | None = None
    exact_match: Number | None = None
    preference_accuracy: Number | None = None


class MetricsLine(Part):
    """One round in ``metrics.jsonl``; `run.json` has the version of all lines.

    Attributes
    ----------
    round : int
        0 is the untuned model.
    time_s, energy_j : float or None
        Simulated seconds and joules from the start to the end of the round.
    evaluated : bool
        Whether the model was validated; what follows is empty otherwise, and `loss` and
        `perplexity` where the model has diverged.
    loss : float or None
        Of the validation records [nat].
    perplexity, exact_match, token_accuracy : float or None
        Of answers; None for preference pairs.
    preference_accuracy : float or None
        Share of the pairs whose better answer is preferred.
    records : int or None
        Validation records or pairs behind these figures.
    mse, mse_db, mse_predicted_db : float or None
        Aggregation error as it was, over v^2 and in dB, and as predicted [dB].
    clients : list of int or None
        Clients that transmitted.
    product_bias : float or None
        Bias of averaging the factors of LoRA apart, over the mean step; None for one local step.
    dropped : list of int
        Clients whose update was not finite.
    missing : list of int
        Selected clients whose update is not in the mean or only in part: faults, not finite, or
        never answered.
    faults : dict or None
        What went wrong; None where the scenario has no faults.
    learning_rate : float or None
        Of the server in this round, where it follows the predicted error; None where it is fixed,
        or no step was made.
    not_finite : str or None
        Why the round left the adapter as it was: ``updates``, no selected client had a finite
        update, or ``step``, the server's step was not finite; None where neither happened.
    stepped : bool or None
        Whether the server made a step; None for round 0 and in lines of earlier versions.
    replanned : dict
        Of a new plan after the round, empty where there was none: `mse_ratio` and `movement_ratio`
        where the air was off the plan; `budget` and what was `projected` to be spent of it, 1 being
        all, where it would not have been kept; `accepted`, and then its `rounds` and `bound`;
        `ended` where not one more round fitted.
    move_s : float or None
        Time of the antennas' whole way [s], also of what was beside computing.
    positions : list of [float, float] or None
        Where the server believes the antennas to be from this round on [wavelengths]; None where
        they have not moved.
    gain_map : GainMap or None
        What an antenna would receive in this round by the channels that the server believes in;
        of arrays that move.
    per_client : ClientFigures or None
        Figures of each selected client; None where more than 100 were selected.
    """

    round: int
    time_s: Number | None = None
    energy_j: Number | None = None
    evaluated: bool = False
    loss: Number | None = None
    perplexity: Number | None = None
    exact_match: Number | None = None
    token_accuracy: Number | None = None
    preference_accuracy: Number | None = None
    records: int | None = None
    domains: dict[str, DomainScore] | None = None
    mse: Number | None = None
    mse_db: Number | None = None
    mse_predicted_db: Number | None = None
    clients: list[int] | None = None
    product_bias: Number | None = None
    dropped: list[int] = Field(default_factory=list)
    missing: list[int] = Field(default_factory=list)
    faults: dict[str, Any] | None = None
    rejected: bool = False
    learning_rate: Number | None = None
    not_finite: str | None = None
    stepped: bool | None = None
    move_s: Number | None = None
    round_energy_j: dict[str, Number] | None = None  # of the round, by component
    round_radiated_j: dict[str, Number] | None = None  # of the round's energy, by component
    replanned: dict[str, Any] = Field(default_factory=dict)
    positions: list[tuple[Number, Number]] | None = None
    gain_map: GainMap | None = None
    per_client: ClientFigures | None = None

    def number(self, name: str) -> Number | None:
        """Return a figure of the round by its name in the file; None where it holds no number."""
        value = getattr(self, name, None)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
