"""The section `zeroth_order`: fine-tuning by forward passes alone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airtune.scenario.base import Positive, Settings
from airtune.scenario.units import Quantity


class ZerothOrder(Settings):
    """Seeded directions of the schemes whose clients make forward passes only."""

    directions: Annotated[int, Field(ge=1, le=100_000), Quantity("", 1, 10_000)] = Field(
        16,
        description="directions n of a round, the same for all clients: each sends one number for "
        "each, and makes n + 1 forward passes",
    )
    distance: Annotated[Positive, Quantity("", 1e-6, 1.0)] = Field(
        1e-4,
        description="distance mu of the difference (F(theta + mu z) - F(theta)) / mu, for standard "
        "normal z",
    )
    learning_rate: Annotated[Positive, Quantity("", 1e-9, 1e3)] = Field(
        0.03,
        description="step of the server along the mean of these differences (plain descent), "
        "unless training.learning_rates names the scheme",
    )
    sign_rate: Annotated[Positive, Quantity("", 1e-9, 1e3)] = Field(
        0.03, description="the same along their signs (feedsign)"
    )
