"""Documents of a run as a whole, typed; :mod:`airtune.record.documents` has all of them."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class RecordDocument(BaseModel):
    """Base of the documents.

    Attributes
    ----------
    schema_version : int
        1 where the document does not say.  No other type stands for it: `true` would pass for 1, a
        version whose documents bear no seal.
    sha256 : str or None
        Digest of everything else in a sealed document.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    schema_version: Annotated[int, Field(strict=True, ge=1)] = 1
    sha256: str | None = None


class Part(BaseModel):
    """Base of what stands within a document."""

    model_config = ConfigDict(extra="allow", frozen=True)


class InputFile(Part):
    """A file or folder that the scenario names, as it was when the run began.

    Attributes
    ----------
    path : str
    sha256 : str
        Digest of the file, or of the files in the folder.
    whole : bool
        Whether every byte is in the digest; older versions took pieces of large files and left
        folders within the folder out.
    links: bool
        Whether what lies behind linked folders in the folder is in it; older versions left it out.
    """

    path: str
    sha256: str
    whole: bool = False
    links: bool = False


class RunDocument(RecordDocument):
    """``run.json``: what the folder is of, and what it was begun with.

    Attributes
    ----------
    kind : {"run", "compare", "sweep"}
    directory : str
        Working directory of the run; relative paths in its settings begin there.
    settings : str or None
        Digest of the settings.
    files : dict of str to InputFile
        By the setting that names the file.
    modules : dict of str to str or None
        Digest of the source of each module that ``--import`` had imported, by its name; None where
        it has no source file.
    date : datetime.date or None
        Day on which the run was begun.
    track : str or None
        Name of the tracker that it was begun with.
    """

    kind: Literal["run", "compare", "sweep"]
    directory: str = "."
    date: datetime.date | None = None
    settings: str | None = None
    files: dict[str, InputFile] = Field(default_factory=dict)
    modules: dict[str, str | None] = Field(default_factory=dict)
    track: str | None = None


class PreparedInputs(Part):
    """What a repetition works on, as it was when its first cell began.

    Attributes
    ----------
    seed : int
        Number of the repetition.
    pretraining : list of int
        Steps and batch size of phase 1, which a plan may choose; empty where there is none.
    model_folder : str or None
        Where the base model was read from.
    made : bool
        Whether it is one that was trained or converted here.
    model : dict of str to str
        SHA-256 of each of its files, weights and tokenizer with its chat template.
    data : str or None
        Digest of all examples, as tokens.
    adapter : str or None
        Digest of the adapter to start from.
    bound : str or None
        Digest of the constants of the bound.
    device : str or None
        Where the model was, and in which precision its products are.
    """

    seed: int
    pretraining: list[int] = Field(default_factory=list)
    model_folder: str | None = None
    made: bool = False
    model: dict[str, str] = Field(default_factory=dict)
    data: str | None = None
    adapter: str | None = None
    bound: str | None = None
    device: str | None = None

    def belongs_to(self, other: PreparedInputs) -> bool:
        """Tell whether both are of one repetition with the same phase 1."""
        return (self.seed, self.pretraining) == (other.seed, other.pretraining)


class InputsDocument(RecordDocument):
    """``inputs.json``: what the repetitions of a run work on."""

    prepared: list[PreparedInputs]


class PilotsDocument(RecordDocument):
    """``pilots-<i>.json``: what the plans of a repetition were made of.

    Attributes
    ----------
    key : str or None
        Digest of what the pilots depend on but for versions of packages; None: not known.
    pilots : dict of str to dict
        By the payload that they sent, ``""`` where it was not left to the plan.
    """

    key: str | None
    pilots: dict[str, dict[str, Any]]


class Axis(Part):
    """A setting that a sweep varies, and its values."""

    setting: str
    values: list[Any]


class SweptFile(InputFile):
    """A file that points of a sweep name by a setting that is varied, as it was at the start."""

    setting: str


class SweepRunDocument(RunDocument):
    """``run.json`` of a sweep.

    Attributes
    ----------
    vary : list of Axis
    swept_files : list of SweptFile
        Those that the scenario of the sweep does not name itself.
    """

    vary: list[Axis]
    swept_files: list[SweptFile] = Field(default_factory=list)


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
    device : str or None
        Where the model was when the first cell began.
    measured_energy : dict of str to list
        Readings of `costs.measure` by cell (``movable/seed-0``), one for each time that a command
        worked on it: `by`, `measured_j`, `estimated_j`, `wall_s`, `reason`, `rounds`.
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
    device: str | None = None
    packages: dict[str, str | None] = Field(default_factory=dict)
    measured_energy: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)
