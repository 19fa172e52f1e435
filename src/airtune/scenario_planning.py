"""Settings of the budgets and of what the plan may choose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airtune.scenario_radio import Count, Positive, Settings


class Budget(Settings):
    """Budgets of the plan; null is no limit."""

    latency_s: Positive | None = Field(None, description="total latency tau_max")
    client_energy_j: Positive | tuple[Positive | None, ...] | None = Field(
        None, description="energy E_k of each client; one number, or one (or null) per client"
    )
    energy_j: Positive | None = Field(
        None, description="total energy E_max of clients, base station, drives and pre-training"
    )

    def of_clients(self, count: int) -> tuple[float | None, ...]:
        """Return the energy budget of each of `count` clients [J]."""
        budget = self.client_energy_j
        return budget if isinstance(budget, tuple) else (budget,) * count


class Planning(Settings):
    """What the plan chooses, besides batches, clocks and the back-off."""

    rounds: Literal["fixed", "planned"] = Field(
        "fixed", description="T is training.rounds, or planned with training.rounds as the most"
    )
    pretraining: Literal["fixed", "planned"] = Field(
        "fixed",
        description="T0 and B0 are pretraining.steps and batch_size, or planned with these as the "
        "most; the small model is then pre-trained as planned",
    )
    participation: Literal["all", "planned"] = Field(
        "all",
        description="all clients take part, or the plan leaves out those whose bad air costs more "
        "than the bias of their absence",
    )
    movement: Literal["each-round", "once"] = Field(
        "each-round",
        description="antennas are placed anew each round (the plan books the first round's way "
        "every time), or go to the plan's positions once and stay until the next plan",
    )
    alternate: bool = Field(
        False,
        description="alternate radio and resource blocks until the bound stops falling, instead of "
        "placing first and planning then",
    )
    replan_factor: Annotated[float, Field(gt=1)] | None = Field(
        None,
        description="plan the remaining rounds anew when the error of the air or the time of a "
        "movement is off the plan by more than this factor; null: never (needs plan: own)",
    )
    replan_every: Count = Field(5, description="rounds between two such checks")
