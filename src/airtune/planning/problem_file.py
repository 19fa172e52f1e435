"""Planning problems with all constants given: checked, solved, and what is wrong with them.

The format of `airtune plan --problem`, see docs/planning.md; units are SI.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from airtune.allocation import (
    Processors,
    ResourceProblem,
    ServerProcessor,
    allocate,
    explain_conflict,
    fewest_sendings,
    is_feasible,
)
from airtune.bound import BoundConstants
from airtune.errors import InputError, clip, computable
from airtune.kinds import Real
from airtune.planning.result import FixedCosts, Plan, describe

_SUM_TOLERANCE = 1e-6


def _whole(value: Any) -> Any:
    """Take 64.0 for 64; leave the rest to the type's own check."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


LEAST, MOST = 1e-60, 1e30
"""Size of the numbers that are read, besides 0: cubes and quotients of them stay finite."""


def _computable(value: float) -> float:
    """Refuse positive numbers so small that products of them are lost."""
    if 0 < value < LEAST:
        raise ValueError(f"should be at least {LEAST:g} to compute with")
    return value


Positive = Annotated[float, Field(gt=0, le=MOST), AfterValidator(_computable)]
NonNegative = Annotated[float, Field(ge=0, le=MOST), AfterValidator(_computable)]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=10_000_000)]
CountOrZero = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=10_000_000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class BoundPart(_Part):
    """Constants of the bound."""

    L: Positive
    mu: Positive
    eta: Positive
    sigma_g_sq: NonNegative
    G_sq: NonNegative
    L0: Positive
    mu0: Positive
    eta0: Positive
    sigma0_sq: NonNegative
    delta_pre: NonNegative
    L_x: NonNegative
    W1: NonNegative


class ClientPart(_Part):
    """One client."""

    omega: NonNegative
    cycles_per_sample: Positive
    kappa: NonNegative
    f_min: Positive
    f_max: Positive
    batch_max: Count
    tx_power_w: NonNegative
    energy_budget_j: NonNegative | None = None


class ServerPart(_Part):
    """The server."""

    cycles_per_sample: Positive
    kappa: NonNegative
    f_min: Positive
    f_max: Positive
    batch_max: Count
    rounds_max: CountOrZero


class PlanningFile(_Part):
    """A planning problem file; units are SI."""

    bound: BoundPart
    clients: Annotated[list[ClientPart], Field(min_length=1)]
    server: ServerPart
    mse_star: NonNegative
    uplink_s: NonNegative
    downlink_s: NonNegative
    pilot_s: NonNegative
    move_s: NonNegative
    move_j: NonNegative
    downlink_j: NonNegative = 0.0
    pilot_j: NonNegative = 0.0
    rounds_max: Count
    latency_budget_s: NonNegative | None = None
    energy_budget_j: NonNegative | None = None
    overlap: bool = False
    repetition_max: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=1000)] = 1

    def repeated(self, count: int) -> PlanningFile:
        """Return the problem with every symbol sent `count` times."""
        sent = {"mse_star": self.mse_star / count, "uplink_s": self.uplink_s * count}
        return self if count == 1 else self.model_copy(update=sent)


def plan_problem(content: Any) -> dict[str, Any]:
    """Solve a planning problem given as the content of its file.

    Parameters
    ----------
    content : dict
        As read from JSON; fields as in the manual (docs/planning.md).

    Returns
    -------
    dict
        The plan with its bound, latency, energy, certificate and time spent, as plain JSON types.

    Raises
    ------
    InputError
        When a field is wrong, or the budgets cannot be met.

    Examples
    --------
    One client, at most 5 rounds, 3 seconds:

    >>> client = {
    ...     "omega": 1, "cycles_per_sample": 2e7, "kappa": 2.5e-28, "f_min": 3e8, "f_max": 2e9,
    ...     "batch_max": 16, "tx_power_w": 0.01,
    ... }
    >>> server = {
    ...     "cycles_per_sample": 1e7, "kappa": 1e-27, "f_min": 1e9, "f_max": 3e9,
    ...     "batch_max": 32, "rounds_max": 0,
    ... }
    >>> bound = {
    ...     "L": 4, "mu": 0.5, "eta": 0.1, "sigma_g_sq": 4, "G_sq": 8, "L0": 4, "mu0": 0.05,
    ...     "eta0": 0.1, "sigma0_sq": 4, "delta_pre": 6, "L_x": 0.5, "W1": 1,
    ... }
    >>> answer = plan_problem({
    ...     "bound": bound, "clients": [client], "server": server, "mse_star": 0.05,
    ...     "uplink_s": 0.3, "downlink_s": 0.1, "pilot_s": 0.0, "move_s": 0.0, "move_j": 0.0,
    ...     "rounds_max": 5, "latency_budget_s": 3,
    ... })
    >>> answer["rounds"], answer["batch"], answer["certificate"]["relative_gap"]
    ({'pretraining': 0, 'finetuning': 5}, {'pretraining': 1, 'clients': [16]}, 0.0)
    """
    parsed = parse(content)
    started = time.perf_counter()
    with computable("the planning problem"):
        plan = fewest_sendings(
            partial(_solve, parsed), lambda plan: plan.bound.total, parsed.repetition_max
        )
        if plan is None:
            raise InputError(explain_conflict(resource_problem(parsed)))
    return {**plan.to_dict(), "seconds": time.perf_counter() - started}


def _solve(parsed: PlanningFile, sendings: int) -> Plan | None:
    """Return the plan with so many sendings of each symbol; None where a budget cannot be met."""
    parsed = parsed.repeated(sendings)
    problem = resource_problem(parsed)
    if not is_feasible(problem):
        return None
    plan = describe(problem, fixed_costs(parsed), allocate(problem))
    return replace(plan, repetition=sendings)


def parse(content: Any) -> PlanningFile:
    """Check the content of a planning problem file.

    Raises
    ------
    InputError
        Names the first wrong field, its value and what is allowed.
    """
    try:
        parsed = PlanningFile.model_validate(content)
    except ValidationError as error:
        raise InputError(_first_complaint(error)) from None
    except OverflowError as error:  # a whole number that no float holds
        raise InputError(f"a planning problem: {error}") from None
    _check_clock_range("server", parsed.server.f_min, parsed.server.f_max)
    for k, client in enumerate(parsed.clients):
        _check_clock_range(f"clients[{k}]", client.f_min, client.f_max)
    total = sum(client.omega for client in parsed.clients)
    if abs(total - 1) > _SUM_TOLERANCE:
        raise InputError(f"clients[].omega add up to {total:.9g}: they must add up to 1")
    _constants(parsed.bound)
    return parsed


def _check_clock_range(name: str, low: float, high: float) -> None:
    if high < low:
        raise InputError(f"{name}.f_max = {high:.9g}: must be >= {name}.f_min = {low:.9g}")


def _first_complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ""
    for part in first["loc"]:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    name = clip(name)
    if first["type"] == "missing":
        return f"{name}: is missing"
    if first["type"] == "extra_forbidden":
        return f"{name}: is not a known field"
    if not name:
        return f"a planning problem must be a JSON object, not {clip(json.dumps(first['input']))}"
    value = clip(json.dumps(first["input"], default=str))
    message = first["msg"].removeprefix("Value error, ")
    return f"{name} = {value}: {message[0].lower()}{message[1:]}"


def _constants(part: BoundPart) -> BoundConstants:
    return BoundConstants(**part.model_dump())


def resource_problem(parsed: PlanningFile) -> ResourceProblem:
    """Arrange a checked file as the problem that :func:`airtune.allocation.allocate` solves."""
    clients = parsed.clients

    def column(name: str) -> Real:
        return np.array([getattr(client, name) for client in clients], dtype=float)

    budgets = [np.inf if c.energy_budget_j is None else c.energy_budget_j for c in clients]
    server, none, costs = parsed.server, float("inf"), fixed_costs(parsed)
    return ResourceProblem(
        bound=_constants(parsed.bound),
        clients=Processors(
            omega=column("omega"),
            cycles=column("cycles_per_sample"),
            kappa=column("kappa"),
            f_min=column("f_min"),
            f_max=column("f_max"),
            batch_max=column("batch_max"),
            radio_j=column("tx_power_w") * parsed.uplink_s,
            fixed_j=np.zeros(len(clients)),
            budget_j=np.array(budgets, dtype=float),
        ),
        server=ServerProcessor(server.cycles_per_sample, server.kappa, server.f_min, server.f_max),
        mse_star=parsed.mse_star,
        round_s=costs.round_s,
        beside_s=costs.beside_s,
        round_j=parsed.move_j + parsed.downlink_j + parsed.pilot_j,
        rounds=(1, parsed.rounds_max),
        steps=(0, server.rounds_max),
        batches=(1, server.batch_max),
        latency_s=none if parsed.latency_budget_s is None else parsed.latency_budget_s,
        energy_j=none if parsed.energy_budget_j is None else parsed.energy_budget_j,
    )


def fixed_costs(parsed: PlanningFile) -> FixedCosts:
    """Costs of a round that the allocation does not choose."""
    power = np.array([client.tx_power_w for client in parsed.clients], dtype=float)
    return FixedCosts(
        uplink_s=parsed.uplink_s,
        downlink_s=parsed.downlink_s,
        pilot_s=parsed.pilot_s,
        move_s=parsed.move_s,
        uplink_j=power * parsed.uplink_s,
        pilot_j=np.zeros(power.size),
        downlink_j=parsed.downlink_j,
        move_j=parsed.move_j,
        pilot_shared_j=parsed.pilot_j,
        overlap=parsed.overlap,
    )
