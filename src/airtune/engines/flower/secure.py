"""What secure rounds can do: a sum over the air, and nothing that needs more than scales and it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airtune.errors import InputError, shown
from airtune.registry import SCHEMES

if TYPE_CHECKING:
    from airtune.scenario import Scenario
    from airtune.scenario.scenario import Engine


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
    clip_db = faults.amplifier.clip_db
    for name, value, refused, allowed in (
        ("engine.workers", settings.workers, few, "null or at least 2"),
        ("clients.concurrency", scenario.clients.limit, scenario.clients.limit < 2, "at least 2"),
        ("aggregation.robust", aggregation.robust, aggregation.robust != "none", "none"),
        ("aggregation.groups", aggregation.groups, aggregation.groups > 1, "1"),
        ("aggregation.form", aggregation.form, aggregation.form != "scalar", "scalar"),
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
    for name in scenario.schemes:
        scheme = SCHEMES[name]
        if scheme.forward_only or not vars(scheme.air).get("needs_a_sum", False):
            raise InputError(
                f"schemes = {shown(list(scenario.schemes))}: {shown(name)} cannot be run with "
                "engine.secure = true: its server takes more from the clients than scales and one "
                "sum of their updates"
            )


def least_of(settings: Engine) -> str:
    """Return what sets the least number of clients of a secure round or another one."""
    pair = settings.secure and settings.minimum_clients < 2
    return "the clients of a sum (engine.secure)" if pair else "engine.minimum_clients"
