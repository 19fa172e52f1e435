"""The documents of a run folder, typed.

Every document allows more fields than are named here: later versions and other packages add theirs.
Numbers keep the type that they have in the file, so that reading and writing changes no byte.

Versions.  `schema_version` is the version of a document's layout: its keys and their units.  Every
JSON object of a run folder has it, and those that ``airtune plan`` and ``airtune calibrate`` write.
The lines of ``metrics.jsonl`` and the entries of ``samples.json`` carry none:
they are of the version of ``run.json`` in the same folder.  ``results.json`` is written anew
whenever a folder is reported on, so its layout may be newer than the rounds that it sums up: then
`run_schema_version` is the version of ``run.json``, and the figures mean what they meant in that
version, under the settings that it ran with.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from airtune.costs import Components
from airtune.record.round_documents import ClientFigures, DomainScore, GainMap, MetricsLine, Number
from airtune.record.run_documents import (
    Axis,
    EnvironmentDocument,
    InputFile,
    InputsDocument,
    Part,
    PilotsDocument,
    PreparedInputs,
    RecordDocument,
    RunDocument,
    SweepRunDocument,
    SweptFile,
)

__all__ = [
    "SCHEMA_VERSION",
    "Axis",
    "CalibrationDocument",
    "CheckpointDocument",
    "ClientFigures",
    "ClientPaths",
    "DigestsDocument",
    "DomainScore",
    "EnvironmentDocument",
    "FileHead",
    "FinishedDocument",
    "GainMap",
    "HoldingsDocument",
    "InfeasibleDocument",
    "InputFile",
    "InputsDocument",
    "InterfererPaths",
    "LeftOutDocument",
    "LeftOutRecord",
    "MetricsLine",
    "Part",
    "PilotsDocument",
    "PlacementDocument",
    "PlanDocument",
    "PointResults",
    "PreparedInputs",
    "RecordDocument",
    "ResultsDocument",
    "RunDocument",
    "Sample",
    "SweepResultsDocument",
    "SweepRunDocument",
    "SweptFile",
]

SCHEMA_VERSION = 2
"""Version of the run folder that this version of airtune writes; a folder without one is of 1."""


def _split(parts: dict[str, Number]) -> dict[str, Number]:
    """Refuse a component that is not known."""
    unknown = set(parts) - set(Components().to_dict())
    if unknown:
        raise ValueError(f"no component is called {min(unknown)!r}")
    return parts


Split = Annotated[dict[str, Number], AfterValidator(_split)]
"""Latency [s] or energy [J] by component."""


class FinishedDocument(RecordDocument):
    """``finished.json``: the totals of a finished cell, components in seconds and joules.

    Attributes
    ----------
    stopped_by : str or None
        The budget for which the run ended before the rounds that it was planned with, as in the
        section `budget` (`planning.keep_budgets`).
    """

    rounds: Annotated[int, Field(ge=0)]
    latency_s: Split
    energy_j: Split
    participation: list[int]
    client_energy_j: list[Number] = Field(default_factory=list)
    within_latency_budget: bool
    within_client_energy_budget: bool
    within_energy_budget: bool = True
    stopped_by: str | None = None


class DigestsDocument(RecordDocument):
    """``digests.json``: what a finished cell consists of.

    Attributes
    ----------
    files : dict of str to str
        SHA-256 of each file, by its place in the cell's folder.
    """

    files: dict[str, str]


class PlanDocument(RecordDocument):
    """``plan.json``: the joint plan that a cell began with, or that ``airtune plan`` found."""

    rounds: dict[str, int]
    batch: dict[str, Any]
    frequency_hz: dict[str, Any]
    bound: dict[str, Number]
    latency_s: dict[str, Number]
    energy_j: dict[str, Any]
    repetition: int | None = None
    power_backoff: Number | None = None


class FileHead(Part):
    """The first bytes of a file, and their SHA-256."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: str


class CheckpointDocument(RecordDocument):
    """``checkpoint/state.json``: what a cell goes on from.

    Attributes
    ----------
    round : int
        The last round that is whole.
    arrays : str
        Name of the file beside it that holds the arrays.
    arrays_sha256 : str or None
        Digest of that file.
    metrics : FileHead or None
        ``metrics.jsonl`` up to the round.
    state : dict
        The rest of the state.
    """

    round: Annotated[int, Field(ge=0)]
    arrays: Annotated[str, Field(pattern=r"^round-\d+\.safetensors$")]
    arrays_sha256: str | None = None
    metrics: FileHead | None = None
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
    cost_twin : dict or None
        Whose costs are booked in place of those of the trained model, with its sizes.
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
    cost_twin: dict[str, Any] | None = None
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
    cost_twin: dict[str, Any] | None = None


class SweepResultsDocument(RecordDocument):
    """``results.json`` of a sweep; `run_schema_version` as in that of a comparison."""

    run_schema_version: int | None = None
    scenario: dict[str, Any]
    vary: list[Axis]
    schemes: list[str]
    seeds: int
    points: list[PointResults]
    environment: dict[str, Any]
