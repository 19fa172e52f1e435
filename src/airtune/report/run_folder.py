"""Read a run folder: settings, results, the metrics of each seed, whatever is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from airtune.errors import InputError
from airtune.report.values import number

Json = dict[str, Any]


@dataclass(frozen=True)
class SeedRun:
    """What one repetition of one scheme left behind."""

    number: int
    metrics: tuple[Json, ...]
    placement: Json | None
    samples: tuple[Json, ...]
    finished: bool
    holdings: Json | None = None


@dataclass(frozen=True)
class SchemeRun:
    """One scheme: its entry in the results (None while unfinished) and its repetitions."""

    name: str
    result: Json | None
    seeds: tuple[SeedRun, ...]

    @property
    def rounds_done(self) -> int:
        """Rounds of the repetition that has got furthest."""
        return max((int(line.get("round") or 0) for line in self.lines()), default=0)

    def lines(self) -> Iterable[Json]:
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
        by_round: dict[int, list[Json]] = {}
        for line in self.lines():
            by_round.setdefault(int(line["round"]), []).append(line)
        for index, lines in by_round.items():
            names = {name for line in lines for name in line}
            entry: Json = {}
            for name in names:
                known = [x for line in lines if (x := number(line.get(name))) is not None]
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
        """Return an optional file's content of the first repetition that has it."""
        return next((got for seed in self.seeds if (got := getattr(seed, attribute))), None)


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


def load(folder: Path) -> RunFolder:
    """Read a run folder.

    Raises
    ------
    InputError
        The folder does not hold a run, or a file in it is not what it should be.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of a run or a comparison")
    results = _json_object(folder / "results.json")
    text = _text(folder / "scenario.yaml")
    scenario = _yaml_object(folder / "scenario.yaml", text) or dict(results.get("scenario") or {})
    entries = {str(k): v for k, v in (results.get("schemes") or {}).items()}
    started = {path.parent.parent.name for path in folder.glob("*/seed-*/metrics.jsonl")}
    asked = [str(name) for name in scenario.get("schemes") or ()]
    names = [name for name in asked if name in entries or name in started]
    names += [name for name in (*entries, *sorted(started)) if name not in names]
    names = list(dict.fromkeys(names))
    if not names:
        raise InputError(
            f"{folder}: holds neither results.json nor <scheme>/seed-<i>/metrics.jsonl"
        )
    schemes = tuple(SchemeRun(name, entries.get(name), _seeds(folder / name)) for name in names)
    environment = _json_object(folder / "environment.json") or results.get("environment") or {}
    # `airtune run` is complete with one scheme and has no headline; a comparison always has one.
    single = len(entries) == 1 and "headline" not in results
    missing = () if single else tuple(name for name in asked if name not in names)
    if not text:
        text = yaml.safe_dump(scenario, sort_keys=False, allow_unicode=True) if scenario else ""
    return RunFolder(folder, scenario, text, dict(environment), results, schemes, missing)


def _seeds(folder: Path) -> tuple[SeedRun, ...]:
    found = [
        (int(match[1]), path)
        for path in folder.glob("seed-*")
        if (match := re.fullmatch(r"seed-(\d+)", path.name))
    ]
    return tuple(
        SeedRun(
            index,
            tuple(_lines(path / "metrics.jsonl")),
            _json_object(path / "placement.json") or None,
            tuple(_json_list(path / "samples.json")),
            (path / "finished.json").is_file(),
            _json_object(path / "holdings.json") or None,
        )
        for index, path in sorted(found)
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _parse(path: Path) -> Any:
    text = _text(path)
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error


def _json_object(path: Path) -> Json:
    got = _parse(path)
    if got is not None and not isinstance(got, dict):
        raise InputError(f"{path}: must hold a JSON object, holds a {type(got).__name__}")
    return got or {}


def _json_list(path: Path) -> list[Json]:
    got = _parse(path)
    if got is not None and not isinstance(got, list):
        raise InputError(f"{path}: must hold a JSON list, holds a {type(got).__name__}")
    return [entry for entry in got or () if isinstance(entry, dict)]


def _yaml_object(path: Path, text: str) -> Json:
    try:
        got = yaml.safe_load(text) if text else None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({error})") from error
    return got if isinstance(got, dict) else {}


def _lines(path: Path) -> Iterable[Json]:
    """Yield the rounds of a metrics file; a last line cut short by a kill is left out."""
    lines = _text(path).splitlines()
    cumulated = {"time_s": 0.0, "energy_j": 0.0}
    for index, line in enumerate(lines):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            if index == len(lines) - 1:
                return
            raise InputError(f"{path}: line {index + 1} is not valid JSON ({error})") from error
        if isinstance(entry, dict) and number(entry.get("round")) is not None:
            yield _with_totals(entry, cumulated)


def _with_totals(entry: Json, cumulated: dict[str, float]) -> Json:
    """Give a line the running totals, where it only has this round's components."""
    for name, parts in (("time_s", "latency_s"), ("energy_j", "energy_j")):
        split = entry.get(parts)
        if isinstance(split, Mapping) and number(entry.get(name)) is None:
            cumulated[name] += sum(number(x) or 0.0 for x in split.values())
            entry = {**entry, f"{parts}_split": split, name: cumulated[name]}
    return entry
