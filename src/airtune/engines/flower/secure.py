"""What secure rounds can do: a sum over the air, and nothing that needs more than scales and it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airtune.engines.flower.started import nodes_here
from airtune.errors import InputError, shown
from airtune.kinds import Integer
from airtune.registry import SCHEMES

if TYPE_CHECKING:
    from airtune.scenario import Scenario
    from airtune.scenario.scenario import Engine

LEAST = 16
"""Fewest entries of a block: mean and deviation of one are all of it, and those of a few nearly."""


def check_secure(scenario: Scenario) -> None:
    """Refuse before any work what `engine.secure` cannot do.

    Raises
    ------
    InputError
        Names the setting, its value and what is allowed.
    """
    if not scenario.engine.secure:
        return
    aggregation, digital, faults = scenario.aggregation, scenario.digital, scenario.faults
    training, planning, settings = scenario.training, scenario.planning, scenario.engine
    few = settings.workers is not None and settings.workers < 2
    predicts = planning.predicts and planning.pilot in ("clients", "server")
    wrong, dropout, sync = faults.side_information.share, faults.dropout, faults.synchronisation
    breaks = dropout.when == "during" and dropout.share > 0
    clip_db, blocks = faults.amplifier.clip_db, scenario.radio.resource_blocks
    for name, value, refused, allowed in (
        ("engine.workers", settings.workers, few, "null or at least 2"),
        ("clients.concurrency", scenario.clients.limit, scenario.clients.limit < 2, "at least 2"),
        ("aggregation.robust", aggregation.robust, aggregation.robust != "none", "none"),
        ("aggregation.groups", aggregation.groups, aggregation.groups > 1, "1"),
        ("aggregation.form", aggregation.form, aggregation.form != "scalar", "scalar"),
        ("radio.resource_blocks", blocks, blocks > 1, "1"),
        ("digital.aggregation", digital.aggregation, digital.aggregation != "mean", "mean"),
        (
            "training.client_objective",
            training.client_objective,
            training.client_objective == "scaffold",
            "one whose clients keep no states",
        ),
        ("planning.pilot", planning.pilot, predicts, "the file of an earlier one"),
        ("faults.dropout.when", dropout.when, breaks, "before"),
        ("faults.broadcast.share", faults.broadcast.share, faults.broadcast.share > 0, "0"),
        ("faults.side_information.share", wrong, wrong > 0, "0"),
        ("faults.synchronisation.phase_deg", sync.phase_deg, sync.phase_deg > 0, "0"),
        ("faults.synchronisation.timing", sync.timing, sync.timing > 0, "0"),
        ("faults.amplifier.clip_db", clip_db, clip_db is not None, "null"),
        ("faults.poison.kind", faults.poison.kind, faults.poison.active, "none"),
    ):
        if refused:
            raise InputError(
                f"{name} = {shown(value)}: must be {allowed} with engine.secure = true, where the "
                "run sees scales and one sum of the updates"
            )
    if settings.address is None:
        nodes = min(settings.workers or nodes_here(scenario), scenario.clients.count)
        check_spread(scenario, -(-scenario.clients.count // nodes))
    for name in scenario.schemes:
        scheme = SCHEMES[name]
        if scheme.forward_only or not vars(scheme.air).get("needs_a_sum", False):
            raise InputError(
                f"schemes = {shown(list(scenario.schemes))}: {shown(name)} cannot be run with "
                "engine.secure = true: its server takes more from the clients than scales and one "
                "sum of their updates"
            )

    if len(scenario.schemes) > 1:
        raise InputError(
            f"schemes = {shown(list(scenario.schemes))}: must be one scheme, by `airtune run "
            "--scheme`, with engine.secure = true; all begin with the same updates, and several "
            "sums of these tell more than one"
        )


def check_spread(scenario: Scenario, most: int) -> None:
    """Refuse rounds whose clients may all be of one node, where at most so many are of one.

    Raises
    ------
    InputError
        Names the setting, its value and what is allowed.
    """
    if scenario.clients.limit <= most:
        raise InputError(
            f"clients.concurrency = {shown(scenario.clients.concurrency)}: must be at least "
            f"{most + 1} with engine.secure = true; {most} clients are of one node, and a sum is "
            "made by two nodes at least"
        )


def check_blocks(sizes: Integer) -> None:
    """Refuse blocks of so few numbers that their mean and deviation tell them.

    Parameters
    ----------
    sizes : ndarray, int, shape (B,)

    Raises
    ------
    InputError
        Names the setting and what is allowed.
    """
    if len(sizes) and (least := int(sizes.min())) < LEAST:
        raise InputError(
            f"engine.secure = True: must be False where {least} numbers of an adapter matrix are "
            f"sent, fewer than {LEAST}: the mean and deviation that clients report would tell "
            "them (model.lora.rank, aggregation.payload_size)"
        )


def too_few(settings: Engine, selected: int, answered: Sequence[Sequence[int]]) -> str | None:
    """Say why too few clients have answered for a round; None if they are enough.

    Parameters
    ----------
    settings : Engine
    selected : int
        Clients that were asked.
    answered : sequence of sequence of int
        Who has answered, by node.
    """
    clients, nodes = sum(map(len, answered)), sum(map(bool, answered))
    least = min(settings.minimum_clients, selected)
    if clients < least:
        return (
            f"{clients} of {selected} clients have answered, fewer than engine.minimum_clients = "
            f"{least}"
        )
    if settings.secure and nodes < 2:
        return (
            f"{clients} of {selected} clients have answered, at {nodes} nodes, fewer than the 2 "
            "of a sum (engine.secure)"
        )
    return None
