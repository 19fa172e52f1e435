"""What `airtune channel` does: the paths of a channel into a file, a summary back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from airtune.commands.terminal import show_json, show_rows
from airtune.errors import InputError, clip, shown
from airtune.memory import demand
from airtune.npz import check_target
from airtune.radio.channels.base import Channel, Paths, Transmitters
from airtune.radio.channels.path_file import PathSet, write_paths
from airtune.radio.units import to_db
from airtune.registry import CHANNEL_SOURCES, CHANNELS
from airtune.scenario import Scenario, file
from airtune.scenario.base import chosen

MOST_BLOCKS = 1_000_000
"""Blocks of a file at most."""


def export(
    source: str,
    out: str | Path,
    scenario: str = "quickstart",
    overrides: Sequence[str] = (),
    blocks: int | None = None,
) -> dict[str, Any]:
    """Write the true paths of a channel, block by block.

    Parameters
    ----------
    source : str
        Name of a channel, or ``NAME:ARGUMENT`` of a source that takes one.
    out : str or Path
        The .npz file to write.
    scenario : str, optional
        Whose sections ``radio`` and ``clients`` and whose seed are used: a YAML file, or the name
        of a shipped scenario.
    overrides : sequence of str, optional
        Assignments ``a.b=c``.
    blocks : int, optional
        How many blocks, from that of round 0 on; by default one more than `training.rounds`, so
        that each round of a run finds the block that it would have met without the file.

    Returns
    -------
    dict
        The document of `--json`.

    Raises
    ------
    InputError
        The source is not known or cannot meet the settings, or `out` cannot be a file.
    """
    settings = file.load(scenario, list(overrides))
    blocks = settings.training.rounds + 1 if blocks is None else blocks
    if not 1 <= blocks <= MOST_BLOCKS:
        raise InputError(f"--blocks {clip(blocks)}: must be 1 .. {MOST_BLOCKS}")
    check_target(out)
    channel = _channel(source, settings)
    first = channel.block(0).true
    numbers = first.clients.gains.size + first.interferers.gains.size
    demand(f"--blocks {blocks}: their paths", 120.0 * blocks * numbers)
    paths = PathSet(
        tuple(channel.block(t).true for t in range(blocks)),
        getattr(channel, "carrier_hz", settings.radio.carrier_hz),
        _origin(source, channel, settings),
    )
    summary = _summary(paths)
    write_paths(out, paths)
    return {"out": str(out), "source": paths.source, **summary}


def _channel(source: str, scenario: Scenario) -> Channel:
    """Return the channel that a source names."""
    name, colon, argument = source.partition(":")
    registry = CHANNEL_SOURCES if colon else CHANNELS
    name = chosen(name, registry)
    if name not in registry:
        named = [f"{one}:..." for one in CHANNEL_SOURCES]
        raise InputError(
            f"SOURCE = {shown(source)}: must be one of {', '.join([*CHANNELS, *named])} "
            "(or of a module that registers it: airtune --import MODULE ...)"
        )
    make = registry.load(name, "SOURCE")
    given = (argument,) if colon else ()
    channel: Channel = make(*given, scenario.radio, scenario.clients, scenario.seed)
    return channel


def _origin(source: str, channel: Channel, scenario: Scenario) -> str:
    """Say what made the paths: package, source, library, seed and the settings not by default."""
    library = getattr(channel, "library", None)
    made_by = f"airtune {version('airtune')}, {source}" + (f" ({library})" if library else "")
    settings = {
        name: getattr(scenario, name).model_dump(mode="json", exclude_defaults=True)
        for name in ("radio", "clients")
    }
    return f"{made_by}; seed {scenario.seed}; {json.dumps(settings, sort_keys=True)}"


def _summary(paths: PathSet) -> dict[str, Any]:
    return {
        "blocks": len(paths.blocks),
        "carrier_hz": paths.carrier_hz,
        **{
            group: {"count": len(rows), "paths": count, "each": rows}
            for group in ("clients", "interferers")
            for rows, count in [_rows(paths.blocks, group)]
        },
    }


def _rows(blocks: Sequence[Transmitters], group: str) -> tuple[list[dict[str, Any]], int]:
    """Return what each transmitter's paths are like, means over the blocks, and L."""
    each: list[Paths] = [getattr(block, group) for block in blocks]
    longest = max(one.gains.shape[1] for one in each)
    each = [one.filled(longest) for one in each]
    powers = np.stack([np.abs(one.gains) ** 2 for one in each])
    delays = np.stack([one.delays for one in each])
    total = powers.sum(axis=2)
    share = powers / np.where(total > 0, total, 1.0)[..., None]
    mean = (share * delays).sum(axis=2, keepdims=True)
    spread = np.sqrt((share * (delays - mean) ** 2).sum(axis=2))
    with np.errstate(divide="ignore"):
        gains = to_db(total.mean(axis=0))
    rows = [
        {
            "gain_db": float(gains[k]) if np.isfinite(gains[k]) else None,
            "strongest_share": float(share[:, k].max(axis=1).mean()),
            "delay_spread_s": float(spread[:, k].mean()),
        }
        for k in range(total.shape[1])
    ]
    return rows, powers.shape[2]


_COLUMNS = {
    "gain_db": ("gain [dB]", 1.0),
    "strongest_share": ("strongest path [%]", 100.0),
    "delay_spread_s": ("delay spread [ns]", 1e9),
}


def show_channel(document: dict[str, Any], as_json: bool) -> None:
    """Print the answer of :func:`export`."""
    if as_json:
        show_json(document)
        return
    rows = [
        (f"{group[:-1]} {index}", *(_cell(row[name], scale) for name, (_, scale) in columns))
        for group in ("clients", "interferers")
        for index, row in enumerate(document[group]["each"])
        for columns in [_COLUMNS.items()]
    ]
    show_rows(("transmitter", *(title for title, _ in _COLUMNS.values())), rows)
    print(
        f"wrote {document['out']}: {document['blocks']} blocks of {document['clients']['count']} "
        f"clients with {document['clients']['paths']} paths each"
    )


def _cell(value: float | None, scale: float) -> str:
    return "" if value is None else f"{scale * value:.1f}"
