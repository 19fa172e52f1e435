"""The documents of a run folder, typed.

Every document allows more fields than are named here: later versions and other packages add theirs.
Numbers keep the type that they have in the file, so that what is read and written again is the same
bytes.

Versions.  `schema_version` is the version of a document's layout: which keys it has, and in which
units.  Every JSON object of a run folder carries it, and those that ``airtune plan`` and ``airtune
calibrate`` write.  The lines of ``metrics.jsonl`` and the entries of ``samples.json`` carry none:
they are of the version of ``run.json`` in the same folder.  ``results.json`` is written anew
whenever a folder is reported on, so its layout may be newer than the rounds that it sums up: then
`run_schema_version` is the version of ``run.json``, and the figures mean what they meant in that
version, under the settings that it ran with.
"""

from __future__ import annotations

import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 2
"""Version of the run folder that this version of airtune writes; a folder without one is of 1."""

Number = int | float


class RecordDocument(BaseModel):
    """Base of the documents; `schema_version` is 1 where the document does not say."""

    model_config = ConfigDict(extra="allow", frozen=True)

    schema_version: int = 1


class Part(BaseModel):
    """Base of what stands within a document."""

    model_config = ConfigDict(extra="allow", frozen=True)


class InputFile(Part):
    """A file or folder that the scenario names, as it was when the run began."""

    path: str
    sha256: str


class RunDocument(RecordDocument):
    """``run.json``: what the folder is of, and what it was begun with.

    Attributes
    ----------
    kind : str
        ``run``, ``compare`` or ``sweep``.
    directory : str
        Working directory of the run; relative paths in its settings begin there.
    settings : str or None
        Digest of the settings.
    files : dict of str to InputFile
        By the setting that names the file.
    date : datetime.date or None
        Day on which the run was begun.
    """

    kind: str
    directory: str = "."
    date: datetime.date | None = None
    settings: str | None = None
    files: dict[str, InputFile] = Field(default_factory=dict)


class Axis(Part):
    """A setting that a sweep varies, and its values."""

    setting: str
    values: list[Any]


class SweepRunDocument(RunDocument):
    """``run.json`` of a sweep."""

    vary: list[Axis]


class EnvironmentDocument(RecordDocument):
    """``environment.json``: when and by what a run was begun, the machine and the packages.

    Attributes
    ----------
    date : str or None
        When the run was begun, UTC, in ISO 8601.
    command : str or None
        Program and arguments as typed; None where it was no command line.
    commit : str or None
        Of the git checkout that airtune ran from; None where it was installed.
    commit_modified : bool or None
        Whether files of that checkout differed from the commit.
    """

    date: str | None = None
    command: str | None = None
    commit: str | None = None
    commit_modified: bool | None = None
    python: str | None = None
    platform: str | None = None
    processor: str | None = None
    cpu_count: int | None = None
    threads: int | None = None
    packages: dict[str, str | None] = Field(default_factory=dict)


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
    move_s : float or None
        Time of the antennas' whole way [s], also of what was beside computing.
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
    move_s: Number | None = None
    replanned: dict[str, Any] = Field(default_factory=dict)

    def number(self, name: str) -> Number | None:
        """Return a figure of the round by its name in the file; None where it holds no number."""
        value = getattr(self, name, None)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


class FinishedDocument(RecordDocument):
    """``finished.json``: the totals of a finished cell, components in seconds and joules."""

    rounds: int
    latency_s: dict[str, Number]
    energy_j: dict[str, Number]
    participation: list[int]
    client_energy_j: list[Number] = Field(default_factory=list)
    within_latency_budget: bool
    within_client_energy_budget: bool
    within_energy_budget: bool = True


class PlanDocument(RecordDocument):
    """``plan.json``: the joint plan that a cell began with, or that ``airtune plan`` found."""

    rounds: dict[str, int]
    batch: dict[str, Any]
    frequency_hz: dict[str, Any]
    bound: dict[str, Number]
    latency_s: dict[str, Number]
    energy_j: dict[str, Any]


class CheckpointDocument(RecordDocument):
    """``checkpoint/state.json``: what a cell goes on from.

    Attributes
    ----------
    round : int
        The last round that is whole.
    arrays : str
        Name of the file beside it that holds the arrays.
    state : dict
        The rest of the state.
    """

    round: int
    arrays: str
    state: dict[str, Any]


class CalibrationDocument(RecordDocument):
    """``calibration.json``: the constants of the bound that ``airtune calibrate`` measured.

    Attributes
    ----------
    bound : dict of str to float
        The constants, rounded to the safe side, as a scenario takes them.
    constants : dict of str to dict
        Each with its uncertainty and how it was obtained.
    left_out : str or None
        Why some are missing.
    """

    scenario: str
    seed: int
    model: str
    bound: dict[str, Number]
    constants: dict[str, dict[str, Any]]
    left_out: str | None = None
    clients: list[str] = Field(default_factory=list)


class ClientPaths(Part):
    """Propagation paths of the clients: gains of shape (K, L), directions of shape (K, L, 2)."""

    gains_re: list[list[Number]] = Field(default_factory=list)
    gains_im: list[list[Number]] = Field(default_factory=list)
    directions: list[list[list[Number]]] = Field(default_factory=list)
    auxiliary_scale: list[Number] = Field(default_factory=list)


class InterfererPaths(Part):
    """Propagation paths of the interferers, shapes as of the clients', and powers (J,) [W]."""

    gains_re: list[list[Number]] = Field(default_factory=list)
    gains_im: list[list[Number]] = Field(default_factory=list)
    directions: list[list[list[Number]]] = Field(default_factory=list)
    powers: list[Number] = Field(default_factory=list)


class PlacementDocument(RecordDocument):
    """``placement.json``: antennas and paths of a cell's last round.

    Attributes
    ----------
    positions : list of [float, float]  [wavelengths]
    region : [float, float]  [wavelengths]
    noise_w : float  [W]
    """

    round: int = 0
    positions: list[tuple[Number, Number]]
    region: tuple[Number, Number]
    clients: ClientPaths
    interferers: InterfererPaths | None = None
    noise_w: Number


class HoldingsDocument(RecordDocument):
    """``holdings.json``: how many training records of each label the clients hold."""

    labels: list[str] = Field(default_factory=list)
    counts: list[list[int]] = Field(default_factory=list)


class LeftOutRecord(Part):
    """A record of the data that is not used: its place, ``file:line``, and why."""

    place: str
    why: str


class LeftOutDocument(RecordDocument):
    """``left_out.json``: how many records of the data are not used, and the first of them."""

    count: int = 0
    records: list[LeftOutRecord] = Field(default_factory=list)


class Sample(Part):
    """One entry of ``samples.json``: answers to a held-out prompt before and after fine-tuning.

    `rouge_l_before` and `rouge_l_after` compare the answers with the reference, in [0, 1].
    """

    prompt: str | None = None
    reference: str | None = None
    before: str | None = None
    after: str | None = None
    domain: str | None = None
    rouge_l_before: Number | None = None
    rouge_l_after: Number | None = None


class InfeasibleDocument(RecordDocument):
    """``infeasible-<i>.json``: why a point of a sweep could not be run in a repetition."""

    seed: int
    message: str


class ResultsDocument(RecordDocument):
    """``results.json`` of a run or a comparison.

    Attributes
    ----------
    scenario : dict
        All settings.
    target_loss : float, dict or None
        A figure: a number, the quantiles of several seeds, or nothing.
    target_losses : dict of str to float, dict or None
        The same for each share of the reference's improvement in percent.
    schemes : dict of str to dict
        Figures of each scheme by name.
    headline, paired : dict or None
        The proposal against each baseline, and the differences seed by seed.
    left_out : LeftOutDocument or None
        How many records of the data the first repetition does not use, and the first few of them.
    environment : dict
        Content of environment.json.
    run_schema_version : int or None
        Version of ``run.json`` where it is older than the document: the meaning of the figures.
    """

    run_schema_version: int | None = None
    scenario: dict[str, Any] = Field(default_factory=dict)
    target_loss: Any = None
    target_losses: dict[str, Any] | None = None
    seeds: int | None = None
    schemes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    headline: dict[str, Any] | None = None
    paired: dict[str, Any] | None = None
    left_out: dict[str, Any] | None = None
    environment: dict[str, Any] = Field(default_factory=dict)


class PointResults(Part):
    """One point of a sweep: its settings, and results as of a comparison."""

    name: str
    settings: dict[str, Any]
    cells: int
    finished: int
    infeasible: list[str]
    target_loss: Any
    schemes: dict[str, dict[str, Any]]
    headline: dict[str, Any]
    paired: dict[str, Any] | None


class SweepResultsDocument(RecordDocument):
    """``results.json`` of a sweep; `run_schema_version` as in that of a comparison."""

    run_schema_version: int | None = None
    scenario: dict[str, Any]
    vary: list[Axis]
    schemes: list[str]
    seeds: int
    points: list[PointResults]
    environment: dict[str, Any]
