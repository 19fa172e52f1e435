"""Settings of the budgets, of what the plan may choose, and of the bound that it minimises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from airtune.scenario.base import (
    CALIBRATE,
    Constant,
    Count,
    Decibel,
    Million,
    Positive,
    PositiveConstant,
    Settings,
)
from airtune.scenario.units import Quantity


def check_relations(known: Mapping[str, float]) -> None:
    """Check mu <= L and eta <= 1/L, and the same for pre-training, among the known constants.

    Raises
    ------
    ValueError
        Names the constants, their values and what is allowed.
    """
    for suffix in ("", "0"):
        smooth = known.get(f"L{suffix}")
        if smooth is None:
            continue
        mu, eta = known.get(f"mu{suffix}", 0.0), known.get(f"eta{suffix}", 0.0)
        if mu > smooth:
            raise ValueError(f"mu{suffix} = {mu:g}: must be <= L{suffix} = {smooth:g}")
        if eta * smooth > 1 + 1e-12:
            raise ValueError(f"eta{suffix} = {eta:g}: must be <= 1/L{suffix} = {1 / smooth:g}")


class Budget(Settings):
    """Budgets of the plan; null is no limit."""

    latency_s: Annotated[Positive | None, Quantity("s", 1e-3, 1e9)] = Field(
        None, description="total latency tau_max"
    )
    client_energy_j: Annotated[
        Positive | tuple[Positive | None, ...] | None, Quantity("J", 1e-6, 1e9)
    ] = Field(
        None, description="energy E_k of each client; one number, or one (or null) per client"
    )
    energy_j: Annotated[Positive | None, Quantity("J", 1e-6, 1e12)] = Field(
        None, description="total energy E_max of clients, base station, drives and pre-training"
    )

    @property
    def given(self) -> bool:
        """Whether there is any."""
        clients = self.client_energy_j
        each = clients if isinstance(clients, tuple) else (clients,)
        return any(budget is not None for budget in (self.latency_s, self.energy_j, *each))

    def of_clients(self, count: int) -> tuple[float | None, ...]:
        """Return the energy budget of each of `count` clients [J]."""
        budget = self.client_energy_j
        return budget if isinstance(budget, tuple) else (budget,) * count


Movement = Literal["each-round", "when-needed", "once", "priced", "statistical", "planned"]
"""When the antennas move."""


class Planning(Settings):
    """What the plan minimises, and what it chooses besides batches, clocks and the back-off."""

    objective: Literal["bound", "loss", "time", "energy", "energy-delay"] = Field(
        "bound",
        description="what the plan minimises: the convergence bound; or what a pilot predicts, the "
        "loss after the last round, or time, energy or their product to the target loss",
    )
    pilot: str = Field(
        "clients",
        min_length=1,
        description="what the prediction is made of: a few rounds without errors of the air by the "
        "`clients`, or by the `server` on the public data of pilot_source; or an earlier pilot, a "
        "file pilot.json or the folder of `airtune plan` that holds it",
    )
    pilot_rounds: Annotated[int, Field(ge=2, le=1000)] = Field(
        8, description="rounds of the pilot; more make the prediction better"
    )
    pilot_source: str | None = Field(
        None, description="pilot = server: public data, as data.source and in its format"
    )
    target_loss: Positive | None = Field(
        None,
        description="validation loss that time and energy are predicted to; null: 90 % of what the "
        "pilot promises to gain in training.rounds rounds without errors",
    )
    chi: Annotated[float, Field(ge=0, le=1e6)] | None = Field(
        None,
        description="constant of the air's noise in the prediction; null: from the pilot's updates "
        "and the payload",
    )
    rounds_margin: Annotated[float, Field(ge=1, le=100)] = Field(
        1.25,
        description="rounds planned over rounds predicted to the target, as far as the budgets "
        "allow, where the rounds are planned; the run may need more than predicted",
    )
    forecast_scores: tuple[float | None, ...] = Field(
        (),
        description="log(measured / predicted rounds) of other seeds of this scenario, null for "
        "never; nine or more give a limit that nine of ten new seeds keep",
    )
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
    movement: Movement = Field(
        "when-needed",
        description="antennas are placed anew each round (a plan by the bound books the first "
        "round's travel every time, one by what is predicted a mean over drawn rounds), or only in "
        "rounds in which they would hear worse than quality_db where they are (the plan books the "
        "same and no error below that), or go to the plan's positions once "
        "and stay until the next plan; priced: each round, and a way must earn the price per "
        "wavelength that the plan finds; statistical: to the places of least expected error over "
        "blocks drawn from the channel's law, and again when this error has grown by drift_db; "
        "planned: each-round, when-needed, once or priced, by what is predicted with each (needs "
        "an objective other than bound)",
    )
    draws: Annotated[int, Field(ge=2, le=1000)] = Field(
        16,
        description="movement = statistical: blocks that are drawn to choose places, and others to "
        "tell their expected error",
    )
    horizon: Annotated[int, Field(ge=1, le=10_000)] = Field(
        20,
        description="movement = statistical: rounds ahead that these blocks are of, evenly spread",
    )
    drift_db: Annotated[float, Field(ge=0, le=100), Quantity("dB", 0, 30)] = Field(
        1.0,
        description="movement = statistical: rise of the expected error after which the antennas "
        "are placed anew",
    )
    quality_db: Annotated[Decibel, Quantity("dB", -150, 30)] = Field(
        -20.0,
        description="movement = when-needed: largest expected error of the aligned sum with which "
        "the antennas stay, in dB of the updates' scale",
    )
    overlap: bool = Field(
        True,
        description="antennas move while the clients compute, and the broadcast goes out from "
        "their old places; false: they move first, then the broadcast goes out",
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
    keep_budgets: bool | None = Field(
        None,
        description="plan the remaining rounds anew, fewer of them if need be, when a budget would "
        "not be kept, and end the run where not one more round fits; null: with plan: own (true "
        "needs it)",
    )

    @property
    def predicts(self) -> bool:
        """Whether the plan minimises what a pilot predicts."""
        return self.objective != "bound"

    def keeps_budgets(self, plan: str) -> bool:
        """Whether budgets are kept during a run, with `plan` as in the scenario."""
        return plan == "own" if self.keep_budgets is None else self.keep_budgets

    def check_own(self, plan: str) -> None:
        """Refuse what needs a plan of each scheme where they share one.

        Raises
        ------
        ValueError
            Names the setting, its value and what is allowed.
        """
        if plan == "own":
            return
        why = "needs plan = own, for schemes that plan anew no longer share a plan"
        if self.replan_factor is not None:
            raise ValueError(f"planning.replan_factor = {self.replan_factor:g}: {why}")
        if self.keep_budgets:
            raise ValueError(f"planning.keep_budgets = true: {why}")

    def check_objective(self) -> None:
        """Refuse settings that do not go with the objective.

        Raises
        ------
        ValueError
            Names the setting, its value and what is allowed.
        """
        if not self.predicts:
            if self.movement == "planned":
                raise ValueError(
                    "planning.movement = planned: needs planning.objective = loss, time, energy or "
                    "energy-delay, not bound, which books one known round and cannot compare them; "
                    "must be another with it"
                )
            return
        objective = f"planning.objective = {self.objective}"
        if self.participation == "planned":
            raise ValueError(
                "planning.participation = planned: needs planning.objective = bound, not "
                f"{self.objective}: the pilot of all clients does not tell what a mean without "
                "some of them leads to"
            )
        if self.pretraining == "planned":
            raise ValueError(
                "planning.pretraining = planned: needs planning.objective = bound, not "
                f"{self.objective}: a pilot is of one pre-trained model"
            )
        if self.pilot == "server" and self.pilot_source is None:
            raise ValueError(
                f"planning.pilot = server: {objective} needs planning.pilot_source, the public "
                "data that the server may use"
            )

    @property
    def quality(self) -> float:
        """The error with which antennas stay, relative to the squared scale; 0 if they never do."""
        return 10.0 ** (self.quality_db / 10.0) if self.movement == "when-needed" else 0.0


class Bound(Settings):
    """Convergence bound (system model, section 6): a number each, or the word `calibrate`."""

    L: PositiveConstant = Field(4.0, description="smoothness of the fine-tuning loss")
    mu: PositiveConstant = Field(0.5, description="Polyak-Lojasiewicz constant")
    eta: PositiveConstant = Field(0.1, description="step size of the bound, eta <= 1/L")
    sigma_g_sq: Constant = Field(4.0, description="per-sample gradient variance")
    zeta_sq: Constant = Field(1.0, description="heterogeneity of the clients' gradients")
    G_sq: Constant = Field(8.0, description="largest squared scale of the updates G^2")
    L0: PositiveConstant = Field(4.0, description="smoothness of the pre-training loss")
    mu0: PositiveConstant = Field(0.05, description="PL constant of the pre-training loss")
    eta0: PositiveConstant = Field(0.1, description="step size of pre-training, eta0 <= 1/L0")
    sigma0_sq: Constant = Field(4.0, description="gradient variance of pre-training")
    delta_pre: Constant = Field(6.0, description="gap of the untrained model")
    L_x: Constant = Field(0.5, description="Lipschitz constant of the loss in the embedding")
    W1: Constant = Field(1.0, description="Wasserstein-1 distance, pre-training to fine-tuning")

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_relations({name: x for name, x in self if isinstance(x, float)})
        return self

    @property
    def calibrated(self) -> bool:
        """Whether a constant is to be calibrated on model and data."""
        return CALIBRATE in self.model_dump().values()


class Calibration(Settings):
    """How constants of the bound are calibrated from the model and the data."""

    rounds: Annotated[int, Field(ge=4, le=1_000_000)] = Field(
        30, description="rounds of the calibration path (batches of one sample, no air)"
    )
    points: Annotated[int, Field(ge=2, le=10_000)] = Field(
        4, description="points of the path at which gradients and curvature are measured"
    )
    clients: Million = Field(10, description="clients looked at; drawn when there are more")
    samples: Annotated[int, Field(ge=2, le=1_000_000)] = Field(
        16, description="samples of each client"
    )
    curvature_samples: Million = Field(
        4, description="samples of each client in a Hessian-vector product"
    )
    iterations: Million = Field(20, description="power iterations at most, at each point")
    tolerance: Positive = Field(
        0.02, description="relative change of the eigenvalue at which the power iteration stops"
    )
    shift_samples: Annotated[int, Field(ge=8, le=1_000_000)] = Field(
        400, description="samples of each data set in the Wasserstein-1 distance"
    )
    transport: Literal["auto", "exact", "entropic"] = Field(
        "auto", description="optimal transport: exact up to 1000 samples, or with entropy"
    )
