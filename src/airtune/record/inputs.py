"""Digests of settings and of all that a run depends on: it goes on with what it began with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from airtune.errors import InputError, clip, shown
from airtune.record import names
from airtune.record.documents import (
    EnvironmentDocument,
    InputFile,
    InputsDocument,
    PreparedInputs,
)
from airtune.record.files import read_document, write_document
from airtune.record.trees import check_extent, files_in, other_kind
from airtune.scenario import Scenario
from airtune.scenario.costs import config_file

_PIECE, _PIECES = 1 << 20, 64
"""Of a file of more than 64 MiB, older versions read so many pieces for its digest."""

_NO_FILE = ("sample", "small", "reasoning-gym")
"""Values of settings that name no file, whatever lies in the present folder."""


def input_files(scenario: Scenario, *, whole: bool = True) -> dict[str, InputFile]:
    """Return a digest of each file or folder that a scenario names and that exists, by setting.

    Parameters
    ----------
    scenario : Scenario
    whole : bool
        Read every byte, also behind linked folders; otherwise of files of more than 64 MiB only
        pieces.

    Raises
    ------
    InputError
        See :func:`airtune.record.trees.check_extent`; nothing has been read then.
    """
    named, digests = _named(scenario), Fingerprints()
    for setting, name in named.items():
        check_extent(setting, name)
    return {
        setting: InputFile(
            path=name, sha256=digests.of(name, whole=whole, links=whole), whole=whole, links=whole
        )
        for setting, name in named.items()
    }


def _named(scenario: Scenario) -> dict[str, str]:
    """Return the files and folders that a scenario names and that exist, by setting."""
    named = {
        "model.source": scenario.model.source,
        "model.adapter": scenario.model.adapter,
        "data.source": scenario.data.source,
        "data.pretraining_corpus": scenario.data.pretraining_corpus,
        "costs.model": config_file(scenario.costs.model),
        "radio.channel_file": scenario.radio.channel_file,
        "radio.mobility.track_file": scenario.radio.mobility.track_file,
        "planning.pilot": scenario.planning.pilot,
        "planning.pilot_source": scenario.planning.pilot_source,
    }
    if scenario.model.source == "small":
        sources = scenario.pretraining.sources
        named |= {f"pretraining.sources[{n}]": name for n, name in enumerate(sources)}
    return {
        setting: name
        for setting, name in named.items()
        if name is not None and name not in _NO_FILE and _exists(name)
    }


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except ValueError:  # a name that no file can have
        return False


def swept_files(scenario: Scenario, points: Iterable[Scenario]) -> list[dict[str, Any]]:
    """Return a digest of each file that points of a sweep name and its own scenario does not.

    Parameters
    ----------
    scenario : Scenario
        Of the sweep.
    points : iterable of Scenario
        Of the points of its grid.

    Returns
    -------
    list of dict
        Contents of :class:`airtune.record.documents.SweptFile`, each file of a setting once.

    Raises
    ------
    InputError
        As of `input_files`.
    """
    own, digests = set(_named(scenario).items()), Fingerprints()
    named = dict.fromkeys(item for point in points for item in _named(point).items())
    found = [item for item in named if item not in own]
    with reading():
        for setting, name in found:
            check_extent(setting, name)
        return [
            {
                "setting": setting,
                "path": name,
                "sha256": digests.of(name, whole=True, links=True),
                "whole": True,
                "links": True,
            }
            for setting, name in found
        ]


@contextmanager
def reading() -> Iterator[None]:
    """Say which file or folder of the user's could not be read in the block.

    Raises
    ------
    InputError
        Names it and says why.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{shown(error.filename)}: cannot be read ({error.strerror})") from None


class Fingerprints:
    """Digests of files and folders, each read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool, bool], str] = {}

    def of(self, name: str, *, whole: bool, links: bool) -> str:
        """Return the SHA-256 of a file, or of the files of a folder; as in an `InputFile`."""
        key = name, whole, links
        if key not in self._known:
            self._known[key] = _fingerprint(Path(name), whole, links)
        return self._known[key]

    def change(self, setting: str, name: str | None, before: InputFile) -> str | None:
        """Return what has become of a file that has a name now; None where it is as before."""
        if name is None or not _exists(name):
            return "is gone"
        if name != before.path or other_kind(setting, name) is not None:
            return "has been changed"
        check_extent(setting, name)
        now = self.of(name, whole=before.whole, links=before.links)
        return None if now == before.sha256 else "has been changed"


def changed_files(
    scenario: Scenario, began: Mapping[str, InputFile], digests: Fingerprints | None = None
) -> Iterator[tuple[str, str]]:
    """Yield the setting of each file that is not what it was, and what has become of it.

    Parameters
    ----------
    scenario : Scenario
    began : mapping of str to InputFile
        By setting, as of `input_files` when the run began.
    digests : Fingerprints, optional
        Of files that have been read already.
    """
    now, digests = _named(scenario), digests or Fingerprints()
    for setting, file in began.items():
        change = digests.change(setting, now.get(setting), file)
        if change is not None:
            yield setting, change


def digest(settings: str) -> str:
    """Return a fingerprint of settings in YAML; comments and layout do not count."""
    plain = json.dumps(yaml.safe_load(settings), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def _fingerprint(path: Path, whole: bool, links: bool) -> str:
    """Return the SHA-256 of a file or of the files of a folder."""
    sha = hashlib.sha256()
    for name, each in files_in(path, links=links) if whole else _files_beside(path):
        if each is None:
            sha.update(name.encode(errors="surrogateescape"))
            continue
        size = each.stat().st_size
        sha.update(f"{name} {size}".encode())
        step = _PIECE if whole else max(_PIECE, size // _PIECES)
        with each.open("rb") as file:
            for start in range(0, size, step):
                file.seek(start)
                sha.update(file.read(_PIECE))
    return sha.hexdigest()


def _files_beside(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder, without those of folders in it, or a file without its name."""
    if path.is_dir():
        yield from ((each.name, each) for each in sorted(path.iterdir()) if each.is_file())
    elif path.is_file():
        yield "", path


def file_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder and below, by its place there.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("one")
    >>> file_digests(folder)["a.txt"][:8]
    '7692c3ad'
    """
    return {name: _plain_digest(path) for name, path in files_in(folder, links=True) if path}


def _plain_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_prepared(folder: Path, seed: int, prepared: Mapping[str, Any]) -> None:
    """Refuse to go on with another model, data or bound than the run has begun with.

    What a repetition works on, as it is in the memory and in the cache, is written into
    ``inputs.json`` when it is first there, and compared from then on.

    Parameters
    ----------
    folder : Path
        Of the run.
    seed : int
        Number of the repetition.
    prepared : mapping
        Content of a :class:`airtune.record.documents.PreparedInputs` without its `seed`.

    Raises
    ------
    InputError
        Names what is another one, and what to do.
    """
    path = folder / names.INPUTS
    known = read_document(path, InputsDocument, sealed=True).prepared if path.is_file() else []
    now = PreparedInputs.model_validate({"seed": seed, **prepared})
    before = next((one for one in known if one.belongs_to(now)), None)
    if before is None:
        entries = [one.model_dump() for one in (*known, now)]
        write_document(path, InputsDocument, {"prepared": entries}, sealed=True)
        _name_device(folder, now.device)
        return
    changed = _changed_file(before, now)
    if changed is not None:
        raise InputError(
            f"{clip(Path(now.model_folder or '', changed))}: is not what it was when the run began "
            f"({folder}); put it back, or begin a new run"
            + ("; a model that was made here is made again if its folder is deleted" * now.made)
        )
    began_on = before.device or "cpu"  # runs that do not say had no other
    if now.device not in (None, began_on):
        raise InputError(
            f"{folder}: the run began on {clip(began_on)} and this is {clip(now.device)}, "
            "which gives other bits; go on where it began (model.device), or begin a new run"
        )
    for name, what in _DIGESTS.items():
        one, other = getattr(before, name), getattr(now, name)
        if None not in (one, other) and one != other:
            raise InputError(
                f"{folder}: {what} not what the run began with; go on with the files and packages "
                f"that it began with ({names.ENVIRONMENT} names them), or begin a new run"
            )


def _name_device(folder: Path, device: str | None) -> None:
    """Say in environment.json where the model is."""
    path = folder / names.ENVIRONMENT
    if device is None or not path.is_file():
        return
    known = read_document(path, EnvironmentDocument).model_dump(exclude_unset=True)
    if known.get("device") is None:
        write_document(path, EnvironmentDocument, {**known, "device": device})


_DIGESTS = {
    "data": "the records of data.source, as they are shared out and read by the tokenizer, are",
    "adapter": "the adapter to start from (model.adapter, model.lora) is",
    "bound": "the constants of the bound, measured and kept in the cache, are",
}


def _changed_file(before: PreparedInputs, now: PreparedInputs) -> str | None:
    """Return a file of the base model that is not what it was; None where all are."""
    one, other = before.model, now.model
    if not one or not other:
        return None
    # The hub's cache may get more files of the same model; a folder of the user's is in run.json.
    unlike = [name for name in sorted(one) if one[name] != other.get(name)]
    return unlike[0] if unlike else None
