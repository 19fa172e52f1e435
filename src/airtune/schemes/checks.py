"""What paths must be for a placement problem to be made of them."""

from __future__ import annotations

import numpy as np

from airtune.placement import ProblemError
from airtune.placement.values import check_range
from airtune.radio.channels.base import Transmitters
from airtune.radio.units import LinkBudget


def check_air(transmitters: Transmitters, budget: LinkBudget, antennas: int) -> None:
    """Refuse paths that cannot be computed with.

    Raises
    ------
    ProblemError
    """
    clients, interferers = transmitters.clients, transmitters.interferers
    for paths in (clients, interferers):
        for name in ("gains", "directions", "delays"):
            if not np.isfinite(getattr(paths, name)).all():
                raise ProblemError(f"the {name} of its paths must be finite numbers")
        if paths.distances is not None and not (paths.distances > 0).all():
            raise ProblemError("the distances of its paths must be > 0")
    with np.errstate(all="ignore"):
        check_range(
            np.sqrt(budget.client_powers)[:, None] * clients.gains,
            np.sqrt(budget.interferer_powers)[:, None] * interferers.gains,
            budget.noise,
            antennas,
            silent=True,
        )
