"""Read a run folder for the page: settings, results and each seed's documents.

A run may be unfinished or older than the program: documents that are missing are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import yaml

from airtune import record
from airtune.errors import InputError
from airtune.record import names
from airtune.record.documents import (
    EnvironmentDocument,
    HoldingsDocument,
    MetricsLine,
    PlacementDocument,
    PlanDocument,
    RecordDocument,
    ResultsDocument,
    Sample,
)
from airtune.report.values import number
from airtune.scenario.reading import parse_yaml

Json = dict[str, Any]


@dataclass(frozen=True)
class SeedRun:
    """The documents of one repetition of one scheme."""

    number: int
    metrics: tuple[MetricsLine, ...]
    placement: PlacementDocument | None
    samples: tuple[Sample, ...]
    finished: bool
    holdings: HoldingsDocument | None = None
    plan: Json | None = None


@dataclass(frozen=True)
class SchemeRun:
    """One scheme: its entry in the results (None while unfinished) and its repetitions."""

    name: str
    result: Json | None
    seeds: tuple[SeedRun, ...]

    @property
    def rounds_done(self) -> int:
        """Rounds of the repetition that has got furthest."""
        return max((line.round for line in self.lines()), default=0)

    def lines(self) -> Iterable[MetricsLine]:
        """Return the metric lines of all repetitions."""
        return (line for seed in self.seeds for line in seed.metrics)

    def history(self) -> list[Json]:
        """Return one entry a round: that of the results, with what only the metrics hold added.

        Over several seeds a figure that only the metrics hold is the median of that round.
        """
        merged = {int(entry["round"]): entry for entry in self._from_metrics()}
        for entry in (self.result or {}).get("history") or ():
            if isinstance(entry, Mapping) and number(entry.get("round")) is not None:
                index = int(entry["round"])
                merged[index] = {**merged.get(index, {}), **entry}
        return [merged[index] for index in sorted(merged)]

    def _from_metrics(self) -> Iterable[Json]:
        by_round: dict[int, list[MetricsLine]] = {}
        for line in self.lines():
            by_round.setdefault(line.round, []).append(line)
        for index, lines in by_round.items():
            figures = {name for line in lines for name in line.model_fields_set}
            entry: Json = {}
            for name in figures:
                known = [x for line in lines if (x := number(line.number(name))) is not None]
                if known:
                    entry[name] = median(known)
            yield {**entry, "round": index}

    def series(self, x: str, y: str) -> tuple[list[float], list[float]]:
        """Return the points of a curve; rounds where either figure is missing are left out."""
        points = []
        for entry in self.history():
            pair = number(entry.get(x)), number(entry.get(y))
            if pair[0] is not None and pair[1] is not None:
                points.append((pair[0], pair[1]))
        return [p[0] for p in points], [p[1] for p in points]

    def first_with(self, attribute: str) -> Any:
        """Return an optional document of the first repetition that has it."""
        documents = (getattr(seed, attribute) for seed in self.seeds)
        return next((document for document in documents if document), None)


@dataclass(frozen=True)
class RunFolder:
    """Everything the page and the figures are made from."""

    folder: Path
    scenario: Json
    scenario_text: str
    environment: Json
    results: Json
    schemes: tuple[SchemeRun, ...]
    missing: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the scenario."""
        return str(self.scenario.get("name") or self.folder.name)

    @property
    def rounds(self) -> int:
        """Rounds that the scenario asks for, or those seen where it does not say."""
        asked = number((self.scenario.get("training") or {}).get("rounds"))
        return int(asked) if asked else max((s.rounds_done for s in self.schemes), default=0)

    def scheme(self, name: str) -> SchemeRun | None:
        """Return a scheme by name."""
        return next((scheme for scheme in self.schemes if scheme.name == name), None)


@contextmanager
def understood(folder: Path) -> Iterator[None]:
    """Turn what documents cause that are of their kind, but not of one run, into one sentence.

    Raises
    ------
    InputError
        The documents of the folder do not fit together.
    """
    try:
        yield
    except InputError:
        raise
    except _UNFIT as error:
        raise InputError(
            f"{folder}: its documents do not fit together ({type(error).__name__}: "
            f"{str(error)[:80]}); put back whole copies of those that were changed"
        ) from error


_UNFIT = (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError)


def load(folder: Path) -> RunFolder:
    """Read a run folder.

    Raises
    ------
    InputError
        The folder does not hold a run, it is of a newer version, or a file in it is not what it
        should be.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of a run or a comparison")
    record.check_version(folder)
    results = _plain(_document(folder / names.RESULTS, ResultsDocument))
    text = _text(folder / names.SCENARIO)
    scenario = _yaml_object(folder / names.SCENARIO, text) or dict(results.get("scenario") or {})
    entries = dict(results.get("schemes") or {})
    metrics = folder.glob(f"*/{names.SEED_FOLDERS}/{names.METRICS}")
    started = {path.parent.parent.name for path in metrics}
    asked = [str(name) for name in scenario.get("schemes") or ()]
    known = [name for name in asked if name in entries or name in started]
    known = list(dict.fromkeys((*known, *entries, *sorted(started))))
    if not known:
        raise InputError(
            f"{folder}: holds neither {names.RESULTS} nor <scheme>/seed-<i>/{names.METRICS}"
        )
    schemes = tuple(SchemeRun(name, entries.get(name), _seeds(folder, name)) for name in known)
    environment = _plain(_document(folder / names.ENVIRONMENT, EnvironmentDocument))
    environment = dict(environment or results.get("environment") or {})
    environment.pop("schema_version", None)
    # `airtune run` is complete with one scheme and has no headline; a comparison always has one.
    single = len(entries) == 1 and "headline" not in results
    missing = () if single else tuple(name for name in asked if name not in known)
    if not text:
        text = yaml.safe_dump(scenario, sort_keys=False, allow_unicode=True) if scenario else ""
    return RunFolder(folder, scenario, text, environment, results, schemes, missing)


def _seeds(folder: Path, scheme: str) -> tuple[SeedRun, ...]:
    cells = [
        record.Cell(path, scheme, seed)
        for path in (folder / scheme).glob(names.SEED_FOLDERS)
        if (seed := names.seed_number(path.name)) is not None
    ]
    return tuple(
        SeedRun(
            number=cell.seed,
            metrics=tuple(record.read_history(cell)),
            placement=_document(cell.placement_file, PlacementDocument, sealed=True),
            samples=tuple(_samples(cell.samples_file)),
            finished=cell.finished,
            holdings=_document(cell.holdings_file, HoldingsDocument, sealed=True),
            plan=_plain(_document(cell.plan_file, PlanDocument, sealed=True)),
        )
        for cell in sorted(cells, key=lambda cell: (cell.seed, cell.folder))
    )


def _text(path: Path) -> str:
    return record.read_text(path) if path.is_file() else ""


Kind = TypeVar("Kind", bound=RecordDocument)


def _document(path: Path, kind: type[Kind], *, sealed: bool = False) -> Kind | None:
    """Return a document, or None where there is none."""
    return record.read_document(path, kind, sealed=sealed) if path.is_file() else None


def _plain(document: RecordDocument | None) -> Json:
    """Return the keys that a document has in its file."""
    return {} if document is None else document.model_dump(exclude_unset=True)


def _samples(path: Path) -> list[Sample]:
    return record.read_documents(path, Sample) if path.is_file() else []


def _yaml_object(path: Path, text: str) -> Json:
    content = parse_yaml(text, str(path)) if text else None
    return content if isinstance(content, dict) else {}
