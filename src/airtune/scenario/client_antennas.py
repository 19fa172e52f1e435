"""What does not go with clients that have several antennas."""

from __future__ import annotations

from airtune.errors import clip
from airtune.scenario.faults import Faults
from airtune.scenario.radio import Aggregation, Clients, Radio

WITHOUT_DEPARTURES = ("tracks", "umi", "uma", "rma", *(f"cdl-{letter}" for letter in "abcde"))
"""Shipped channels whose paths say nothing of the directions in which they leave the clients."""


def check_client_antennas(
    clients: Clients, radio: Radio, aggregation: Aggregation, faults: Faults, *, robust: str
) -> None:
    """Refuse what knows one antenna at each client where clients have several.

    Parameters
    ----------
    clients, radio, aggregation, faults : Clients, Radio, Aggregation, Faults
        Sections of the scenario.
    robust : str
        Setting `placement.robust`.

    Raises
    ------
    ValueError
        Names `clients.antennas`, the other setting and what is allowed.
    """
    if clients.antennas == 1:
        return
    found: list[tuple[str, object, bool, str]] = [
        (
            "radio.channel",
            radio.channel,
            radio.channel in WITHOUT_DEPARTURES,
            "block-fading, or a file with departures",
        ),
        ("radio.resource_blocks", radio.resource_blocks, radio.resource_blocks > 1, "1"),
        (
            "radio.paths.scatterer_distance_m",
            radio.paths.scatterer_distance_m,
            radio.paths.scatterer_distance_m is not None,
            "null",
        ),
        ("radio.csi.beamformer", radio.csi.beamformer, radio.csi.beamformer != "paths", "paths"),
        ("placement.robust", robust, robust != "none", "none"),
        (
            "aggregation.alignment",
            aggregation.alignment,
            aggregation.alignment != "forcing",
            "forcing",
        ),
        (
            "clients.selection",
            clients.selection,
            clients.selection == "joint",
            "all, random, best-channel or proportional-fair",
        ),
        (
            "faults.amplifier.clip_db",
            faults.amplifier.clip_db,
            faults.amplifier.clip_db is not None,
            "null",
        ),
    ]
    for name, value, wrong, allowed in found:
        if wrong:
            raise ValueError(
                f"clients.antennas = {clients.antennas}: must be 1 with {name} = {clip(value)}, "
                f"which is modelled for one antenna at each client; else {name} must be {allowed}"
            )
