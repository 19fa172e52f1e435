"""Every setting of a study, once: typed, documented, validated; YAML in, YAML out.

A :class:`Scenario` is frozen data.  The description of each field is its documentation: it is what
``airtune init`` writes beside the value and what the manual prints.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from airtune.errors import clip, shown
from airtune.registry import ENGINES, SCHEMES
from airtune.scenario.array import Array
from airtune.scenario.base import (
    Count,
    NonNegative,
    Positive,
    Registered,
    Settings,
    folder_name,
)
from airtune.scenario.client_antennas import check_client_antennas
from airtune.scenario.costs import Costs
from airtune.scenario.digital import EXACT_PRODUCTS, PLANNED, Digital
from airtune.scenario.faults import Faults
from airtune.scenario.learning import (
    Data,
    Evaluation,
    Model,
    Pretraining,
    Training,
)
from airtune.scenario.placement import PlacementSettings
from airtune.scenario.planning import Bound, Budget, Calibration, Planning
from airtune.scenario.radio import (
    PLANNED_PAYLOAD,
    Aggregation,
    Clients,
    Radio,
)
from airtune.scenario.ris import Ris
from airtune.scenario.units import Quantity
from airtune.scenario.zeroth_order import ZerothOrder

MOST_CELLS = 100_000
"""Cells of a run folder at most: schemes times seeds."""


class Processor(Settings):
    """Clock and energy law: time = cycles/f, energy = kappa f^2 cycles."""

    flop_per_cycle: Annotated[Positive, Quantity("FLOP/cycle", 1e-2, 1e8)] = Field(
        16.0, description="FLOP per cycle phi"
    )
    f_min_hz: Annotated[Positive, Quantity("Hz", 1e4, 1e11)] = Field(
        3e8, description="lowest clock"
    )
    f_max_hz: Annotated[Positive | tuple[Positive, ...], Quantity("Hz", 1e5, 1e11)] = Field(
        2e9, description="highest clock; one number or one per client"
    )
    kappa: Annotated[Positive, Quantity("W/Hz3", 1e-34, 1e-20)] = Field(
        2.5e-28, description="effective capacitance: power = kappa f^3"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        tops = self.f_max_hz if isinstance(self.f_max_hz, tuple) else (self.f_max_hz,)
        if any(top < self.f_min_hz for top in tops):
            raise ValueError(
                f"f_max_hz = {clip(self.f_max_hz)}: must be >= f_min_hz = {self.f_min_hz:g}"
            )
        return self


class Server(Settings):
    """The edge server's accelerator; one clock (as set: 2 TFLOP/s at 10 W, 4 TFLOP/s at 80 W)."""

    flop_per_cycle: Annotated[Positive, Quantity("FLOP/cycle", 1e-2, 1e8)] = Field(
        2048.0, description="FLOP per cycle phi_0"
    )
    f_min_hz: Annotated[Positive, Quantity("Hz", 1e4, 1e11)] = Field(
        1e9, description="lowest clock"
    )
    f_max_hz: Annotated[Positive, Quantity("Hz", 1e5, 1e11)] = Field(
        2e9, description="highest clock"
    )
    kappa: Annotated[Positive, Quantity("W/Hz3", 1e-34, 1e-20)] = Field(
        1e-26, description="effective capacitance: power = kappa f^3"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.f_max_hz < self.f_min_hz:
            raise ValueError(
                f"f_max_hz = {clip(self.f_max_hz)}: must be >= f_min_hz = {self.f_min_hz:g}"
            )
        return self


def _gpus(count: float) -> float:
    if count > 1 and count != int(count):
        raise ValueError("must be at most 1, or a whole number: Ray gives out whole GPUs above 1")
    return count


class Engine(Settings):
    """Where the clients' updates are computed."""

    name: Annotated[str, Registered(ENGINES)] = Field(
        "local",
        description="local: this process; ray: workers on this machine or a cluster; flower: nodes "
        "of a federation; or an engine of another package",
    )
    workers: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        None,
        description="ray: worker processes with `threads` threads each; null: as many as the "
        "processors (or GPUs) carry; flower: nodes to start here, or to wait for at `address`",
    )
    address: Annotated[str, Field(pattern=r"^(auto|[^\s/@]+:\d{1,5})$")] | None = Field(
        None,
        description="ray: cluster to join, host:port, or auto: that of this machine; flower: "
        "SuperLink to join, host:port; null: one is started here and ends with the run",
    )
    certificate: str | None = Field(
        None,
        description="flower: file with the certificate of the authority that has signed that of "
        "the SuperLink at `address`; null: one that this machine trusts",
    )
    deadline_s: Annotated[Positive, Quantity("s", 1.0, 1e7)] = Field(
        1800.0, description="flower: longest wait for the answer of a node"
    )
    minimum_clients: Count = Field(
        1, description="flower: fewest clients that answer in a round; with fewer the run stops"
    )
    secure: bool = Field(
        False,
        description="flower: nodes weigh and mask their updates, so that the run sees their sum "
        "only, and scales",
    )
    gpus_per_worker: Annotated[NonNegative, Field(le=1024), AfterValidator(_gpus)] | None = Field(
        None,
        description="ray: GPUs of a worker; below 1 several share one; null: 1 where the model "
        "goes to a GPU (model.device), else 0",
    )


class Scenario(Settings):
    """One study: who fine-tunes what over which air, within which budgets."""

    name: str = Field(
        "scenario",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=200,
        description="name of the run folders",
    )
    seed: int = Field(1, ge=0, lt=2**64, description="root of every random stream")
    seeds: Count = Field(1, description="repetitions with independent streams")
    schemes: tuple[Annotated[str, Registered(SCHEMES), AfterValidator(folder_name)], ...] = Field(
        ("ideal", "movable", "fixed", "random-position", "digital"),
        min_length=1,
        description="schemes to compare (`airtune schemes` lists them)",
    )
    plan: Literal["shared", "own"] = Field(
        "shared", description="one plan of batches and clocks for all schemes, or one for each"
    )
    threads: Annotated[int, Field(ge=1, le=4096)] = Field(
        2, description="processor threads used for learning"
    )
    cache: str = Field(".cache/airtune", description="folder for pre-trained models")
    clients: Clients = Clients()
    radio: Radio = Radio()
    array: Array = Array()
    ris: Ris = Ris()
    aggregation: Aggregation = Aggregation()
    digital: Digital = Digital()
    placement: PlacementSettings = PlacementSettings()
    model: Model = Model()
    data: Data = Data()
    pretraining: Pretraining = Pretraining()
    training: Training = Training()
    zeroth_order: ZerothOrder = ZerothOrder()
    evaluation: Evaluation = Evaluation()
    client_processor: Processor = Processor()
    server_processor: Server = Server()
    costs: Costs = Costs()
    budget: Budget = Budget()
    planning: Planning = Planning()
    bound: Bound = Bound()
    calibration: Calibration = Calibration()
    faults: Faults = Faults()
    engine: Engine = Engine()

    @model_validator(mode="after")
    def _check(self) -> Self:
        top = self.client_processor.f_max_hz
        if isinstance(top, tuple) and len(top) != self.clients.count:
            raise ValueError(
                f"client_processor.f_max_hz = {shown(list(top))}: must be one number or a list "
                f"of clients.count = {self.clients.count}"
            )
        self.faults.jammer.check_strength(self.radio)
        self.radio.mobility.check_count(self.clients.count)
        self.array.rotation.check_movement(self.planning.movement)
        if self.placement.robust == "worst-case":
            self._check_worst_case()
        if self.placement.refinements and self.radio.csi.beamformer != "measured":
            raise ValueError(
                f"placement.refinements = {self.placement.refinements}: needs "
                "radio.csi.beamformer = measured"
            )
        budget = self.budget.client_energy_j
        if isinstance(budget, tuple) and len(budget) != self.clients.count:
            raise ValueError(
                f"budget.client_energy_j = {clip(json.dumps(budget))}: must be one number or a "
                f"list of clients.count = {self.clients.count}"
            )
        self.planning.check_own(self.plan)
        self.planning.check_objective()
        if self.planning.pretraining == "planned" and not (
            self.pretraining.charge and self.model.source == "small"
        ):
            raise ValueError(
                "planning.pretraining = planned: needs pretraining.charge = true and "
                "model.source = small"
            )
        if self.training.client_objective == "dpo" and (
            self.data.format != "preference" or self.model.lora.dropout > 0
        ):
            raise ValueError(
                "training.client_objective = dpo: needs data.format = preference and "
                f"model.lora.dropout = 0, not {self.data.format} and {self.model.lora.dropout:g}"
            )
        self._check_local_steps()
        self._check_planned_payload()
        self._check_pilot()
        self._check_aggregation()
        self._check_resource_blocks()
        check_client_antennas(
            self.clients, self.radio, self.aggregation, self.faults, robust=self.placement.robust
        )
        if self.data.sizes is not None and len(self.data.sizes) != self.clients.count:
            raise ValueError(
                f"data.sizes = {shown(list(self.data.sizes))}: must be a list of clients.count = "
                f"{self.clients.count}"
            )
        self.faults.check_antennas(self.array.antennas)
        if len(set(self.schemes)) != len(self.schemes):
            raise ValueError(f"schemes = {shown(list(self.schemes))}: must not repeat")
        return self

    def _check_local_steps(self) -> None:
        training, payload = self.training, self.aggregation.payload
        quantizer, objective = self.radio.downlink_quantizer, training.client_objective
        if quantizer != "none" and (payload != "lora" or objective == "scaffold"):
            raise ValueError(
                f"radio.downlink_quantizer = {quantizer}: must be none with aggregation.payload = "
                f"{payload} and training.client_objective = {clip(objective)}; the changes that "
                "are rounded are those of a whole adapter, without control variates"
            )
        if training.client_optimizer == "adamw" and training.local_steps == 1:
            raise ValueError(
                "training.client_optimizer = adamw: needs training.local_steps > 1; one local step "
                "sends the gradient"
            )
        if training.client_objective != "scaffold":
            return
        if (
            training.local_steps == 1
            or training.client_optimizer != "sgd"
            or payload not in ("lora", "ffa")
        ):
            raise ValueError(
                "training.client_objective = scaffold: needs training.local_steps > 1, "
                "training.client_optimizer = sgd and aggregation.payload = lora or ffa, not "
                f"{training.local_steps}, {training.client_optimizer} and {payload}"
            )

    def _check_planned_payload(self) -> None:
        """Refuse what does not go with a payload that the plan chooses."""
        if self.aggregation.payload != PLANNED_PAYLOAD:
            return
        planning = self.planning
        for name, value, wrong, allowed in (
            (
                "planning.objective",
                planning.objective,
                not planning.predicts,
                "loss, time, energy or energy-delay",
            ),
            (
                "planning.pilot",
                planning.pilot,
                planning.pilot not in ("clients", "server"),
                "clients or server",
            ),
            ("engine.name", self.engine.name, self.engine.name == "flower", "local or ray"),
        ):
            if wrong:
                raise ValueError(
                    f"{name} = {shown(value)}: must be {allowed} with aggregation.payload = "
                    "planned, which takes a pilot of each payload"
                )
        if self.bound.calibrated:
            raise ValueError(
                "aggregation.payload = planned: must be a payload by its name where constants of "
                "the bound are calibrated, for they are those of what it sends"
            )

    def _check_pilot(self) -> None:
        """Refuse a pilot by honest clients beside others that learn from wrong answers."""
        poison, by = self.faults.poison, self.planning.pilot
        wrong = poison.active and poison.kind == "label-noise" and self.engine.name == "flower"
        if wrong and self.planning.predicts and by == "clients":
            raise ValueError(
                "planning.pilot = clients: must be server or a file pilot.json with engine.name = "
                "flower and faults.poison.kind = label-noise; nodes serve one run at a time, in "
                "which their answers are wrong"
            )

    def _check_aggregation(self) -> None:
        """Refuse what does not go with `digital.aggregation`."""
        kind, training, steps = self.digital.aggregation, self.training, self.training.local_steps
        wants: list[tuple[str, object, tuple[object, ...]]] = [
            ("training.local_steps", steps, ("at least 2",) if steps == 1 else (steps,)),
            ("training.client_objective", training.client_objective, ("sft", "fedprox")),
            ("aggregation.payload", self.aggregation.payload, ("lora",)),
            ("radio.downlink_quantizer", self.radio.downlink_quantizer, ("none",)),
            ("planning.objective", self.planning.objective, ("bound",)),
        ]
        if kind in EXACT_PRODUCTS:
            wants += [
                ("aggregation.robust", self.aggregation.robust, ("none",)),
                ("training.learning_rate_rule", training.learning_rate_rule, ("fixed",)),
                ("model.quantization", self.model.quantization, ("none",)),
                ("faults.broadcast.share", self.faults.broadcast.share, (0.0,)),
            ]
        if kind == "flora":
            wants.append(("digital.error_feedback", self.digital.error_feedback, (False, PLANNED)))
        for name, value, allowed in wants if kind != "mean" else ():
            if value not in allowed:
                raise ValueError(
                    f"{name} = {shown(value)}: must be {' or '.join(map(str, allowed))} with "
                    f"digital.aggregation = {kind}"
                )

    def _check_worst_case(self) -> None:
        """Refuse what `placement.robust = worst-case` does not allow for."""
        csi, scatterers = self.radio.csi, self.radio.paths.scatterer_distance_m
        for name, value, allowed in (
            ("radio.resource_blocks", self.radio.resource_blocks, 1),
            ("radio.paths.scatterer_distance_m", scatterers, None),
            ("radio.csi.age_s", csi.age_s, 0),
            ("placement.refinements", self.placement.refinements, 0),
            ("placement.travel_price_db", self.placement.travel_price_db, 0),
            ("aggregation.alignment", self.aggregation.alignment, "forcing"),
        ):
            if value != allowed:
                raise ValueError(
                    f"{name} = {shown(value)}: must be {shown(allowed)} with placement.robust = "
                    "worst-case"
                )
        movement = self.planning.movement
        if movement in ("priced", "statistical", "planned"):
            raise ValueError(
                f"planning.movement = {movement}: must be each-round, when-needed or once with "
                "placement.robust = worst-case, which knows no price of a way and one round only"
            )

    def _check_resource_blocks(self) -> None:
        """Refuse what knows one channel or one carrier for the whole band."""
        wrong = list(self.faults.of_the_waveform)
        if self.clients.selection == "joint":
            wrong.append("clients.selection = joint")
        if self.radio.resource_blocks > 1 and wrong:
            raise ValueError(
                f"radio.resource_blocks = {self.radio.resource_blocks}: must be 1 with "
                f"{' and '.join(wrong)}, modelled for one channel and carrier"
            )

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        cells = self.seeds * len(self.schemes)
        if cells > MOST_CELLS:
            raise ValueError(
                f"seeds = {self.seeds}: makes {cells} cells of a scheme and a seed, each a folder "
                f"with a model of its own; must make at most {MOST_CELLS}"
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON types."""
        return self.model_dump(mode="json")
