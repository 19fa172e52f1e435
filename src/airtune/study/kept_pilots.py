"""The pilots that the plans of a repetition were made of, kept in its run folder."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

from airtune import record
from airtune.errors import DamageWarning, InputError
from airtune.planning.pilot import Pilot
from airtune.record.documents import PilotsDocument


def read_kept(file: Path, key: str | None, payloads: Collection[str]) -> dict[str, Pilot] | None:
    """Return the pilots of a run that goes on; None where the file holds none for it.

    A file that is damaged, has no seal, or is of other settings or payloads is as good as none.

    Parameters
    ----------
    file : Path
    key : str or None
        Of what the pilots depend on; None where that is not known.
    payloads : collection of str
        Those of which there must be a pilot, and of no other.
    """
    if not file.is_file():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DamageWarning)
            found = record.read_document(file, PilotsDocument, sealed=True)
        if found.sha256 is None or found.key != key or set(found.pilots) != set(payloads):
            return None
        return {name: Pilot.from_dict(found.pilots[name]) for name in payloads}
    except (InputError, DamageWarning, ValueError, KeyError, TypeError, OverflowError):
        return None


def keep_pilots(pilots: Mapping[str, Pilot], key: str | None, file: Path) -> None:
    """Write the pilots of a run beside its cells, unless they are there: it goes on with them."""
    if pilots and read_kept(file, key, tuple(pilots)) is None:
        content = {"key": key, "pilots": {name: one.to_dict() for name, one in pilots.items()}}
        record.write_document(file, PilotsDocument, content, sealed=True)
