"""A finished plan: what everybody does, what it costs, what the bound says and what limits it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from airtune.allocation import Allocation, ResourceProblem
from airtune.allocation.problem import deadline, server_energy
from airtune.bound import BoundParts
from airtune.costs import Components, compute_energy, compute_time
from airtune.kinds import Mask, Real
from airtune.planning.objective import Forecast


@dataclass(frozen=True)
class Certificate:
    """Proof of quality: no plan has a value (:attr:`Plan.value`) below `lower_bound`."""

    lower_bound: float
    relative_gap: float


@dataclass(frozen=True)
class Plan:
    """What everybody does in a run, what it costs and what the bound says of it.

    Attributes
    ----------
    rounds : int
        T.
    batch_sizes : ndarray of int, shape (K,)
    frequencies : ndarray, shape (K,)  [Hz]
    power_backoff : float
        rho, factor on every transmit power.
    pretraining_steps, pretraining_batch : int
        T0 and B0.
    server_frequency : float  [Hz]
        f_0.
    bound : BoundParts
        Terms of the convergence bound.
    latency_s, energy_j : Components
        Of the whole run; summed over the clients, each in its share of the rounds.
    client_energy_j : ndarray, shape (K,)  [J]
        Each client's energy over the whole run, were it to transmit in every round.
    certificate : Certificate
    limits : tuple of str
        What keeps the bound from falling further.
    participants : ndarray of bool, shape (K,)
        Who takes part; the others have batches of 0 samples.
    compute_deadline_s : float  [s]
        D, the time that a round leaves for computing; infinity without a latency budget.
    repetition : int
        n_rep, times that every analog symbol is sent.
    forecast : Forecast or None
        What is predicted, where that is what the plan minimises.
    """

    rounds: int
    batch_sizes: np.ndarray
    frequencies: Real
    power_backoff: float
    pretraining_steps: int
    pretraining_batch: int
    server_frequency: float
    bound: BoundParts
    latency_s: Components
    energy_j: Components
    client_energy_j: Real
    certificate: Certificate
    limits: tuple[str, ...]
    participants: Mask
    compute_deadline_s: float = float("inf")
    repetition: int = 1
    forecast: Forecast | None = None

    @property
    def value(self) -> float:
        """What the plan minimises: the bound, or what is predicted."""
        return self.bound.total if self.forecast is None else self.forecast.value

    def spread(self, present: Mask, idle_clocks: Real) -> Plan:
        """Return the plan of some of the K clients as a plan of all.

        Parameters
        ----------
        present : ndarray of bool, shape (K,)
            Whom this plan is for.
        idle_clocks : ndarray, shape (K,)  [Hz]
            Clocks of the others.
        """
        if np.all(present):
            return self
        sizes, clocks = np.zeros(present.size, int), idle_clocks.copy()
        joules = np.zeros(present.size)
        sizes[present], clocks[present] = self.batch_sizes, self.frequencies
        joules[present] = self.client_energy_j
        return replace(
            self,
            batch_sizes=sizes,
            frequencies=clocks,
            client_energy_j=joules,
            participants=present.copy(),
        )

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Plan:
        """Return the plan that :meth:`to_dict` has written."""

        def parts(name: str) -> dict[str, float]:
            left_out = ("total", "per_client")
            return {key: x for key, x in document[name].items() if key not in left_out}

        return cls(
            rounds=document["rounds"]["finetuning"],
            batch_sizes=np.array(document["batch"]["clients"]),
            frequencies=np.array(document["frequency_hz"]["clients"]),
            power_backoff=document["power_backoff"],
            pretraining_steps=document["rounds"]["pretraining"],
            pretraining_batch=document["batch"]["pretraining"],
            server_frequency=document["frequency_hz"]["server"],
            bound=BoundParts(**parts("bound")),
            latency_s=Components(**parts("latency_s")),
            energy_j=Components(**parts("energy_j")),
            client_energy_j=np.array(document["energy_j"]["per_client"]),
            certificate=Certificate(**document["certificate"]),
            limits=tuple(document["limits"]),
            participants=np.array(document["participants"]),
            compute_deadline_s=_or_infinity(document.get("compute_deadline_s")),
            repetition=document.get("repetition", 1),
            forecast=(
                Forecast.from_dict(document["forecast"]) if document.get("forecast") else None
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        return {
            "rounds": {"pretraining": self.pretraining_steps, "finetuning": self.rounds},
            "batch": {
                "pretraining": self.pretraining_batch,
                "clients": [int(size) for size in self.batch_sizes],
            },
            "frequency_hz": {
                "server": float(self.server_frequency),
                "clients": [float(clock) for clock in self.frequencies],
            },
            "power_backoff": float(self.power_backoff),
            "repetition": self.repetition,
            "participants": [bool(present) for present in self.participants],
            "compute_deadline_s": (
                float(self.compute_deadline_s) if np.isfinite(self.compute_deadline_s) else None
            ),
            "bound": self.bound.to_dict(),
            "latency_s": self.latency_s.to_dict(total=True),
            "energy_j": {
                **self.energy_j.to_dict(total=True),
                "per_client": [float(energy) for energy in self.client_energy_j],
            },
            "certificate": {
                "lower_bound": float(self.certificate.lower_bound),
                "relative_gap": float(self.certificate.relative_gap),
            },
            "limits": list(self.limits),
            **({} if self.forecast is None else {"forecast": self.forecast.to_dict()}),
        }


@dataclass(frozen=True)
class FixedCosts:
    """Costs of a round that the allocation does not choose; joules of clients have shape (K,).

    Attributes
    ----------
    uplink_s, downlink_s, pilot_s, move_s : float  [s]
    uplink_j : ndarray, shape (K,)  [J]
        What the clients' amplifiers draw at full power, P_k u_k / eta_PA.
    pilot_j : ndarray, shape (K,)  [J]
        Pilots and side information, paid by the clients.
    downlink_j, move_j : float  [J]
        Paid by no client.
    backoff : bool
        Whether the back-off scales the uplink energy.
    pilot_shared_j : float  [J]
        Pilots that no client pays.
    first_move_s, first_move_j : float  [s], [J]
        A movement that happens once in the run.
    first_downlink_s, first_downlink_j : float  [s], [J]
        What the broadcast of the first round takes more than that of every round.
    misalignment : float
        Error of the aggregation over v^2 that is bias, ``e^H C e`` (system model, section 4).
    transmitting : int or None
        How many of the participants transmit in a round; None: all.
    redrawn : bool
        Whether they are drawn with replacement, see
        :func:`airtune.allocation.sampled_with_replacement`.
    uplink_fixed_j : ndarray, shape (K,), or float  [J]
        What the clients' circuits draw while they send, p_client u_k.
    uplink_shared_j : float  [J]
        What the base station's circuits draw during the uplink.
    overlap : bool
        Whether the antennas move while the clients compute.
    """

    uplink_s: float
    downlink_s: float
    pilot_s: float
    move_s: float
    uplink_j: Real
    pilot_j: Real
    downlink_j: float
    move_j: float
    backoff: bool = True
    pilot_shared_j: float = 0.0
    first_move_s: float = 0.0
    first_move_j: float = 0.0
    first_downlink_s: float = 0.0
    first_downlink_j: float = 0.0
    misalignment: float = 0.0
    transmitting: int | None = None
    redrawn: bool = False
    uplink_fixed_j: Real | float = 0.0
    uplink_shared_j: float = 0.0
    overlap: bool = False

    @property
    def round_s(self) -> float:
        """Time of a round before or after computing  [s]."""
        serial = 0.0 if self.overlap else self.move_s
        return self.uplink_s + self.downlink_s + self.pilot_s + serial

    @property
    def beside_s(self) -> float:
        """Time of the longest movement beside computing  [s]."""
        return max(self.move_s, self.first_move_s) if self.overlap else 0.0

    @property
    def first_s(self) -> float:
        """Time of the run besides its rounds, of what the first has more: way, broadcast  [s]."""
        return self.first_downlink_s + (0.0 if self.overlap else self.first_move_s)

    @property
    def first_j(self) -> float:
        """Energy of the run besides its rounds, of the same  [J]."""
        return self.first_move_j + self.first_downlink_j

    @property
    def serial_first(self) -> FixedCosts:
        """The costs with a movement that happens once before computing, not beside it."""
        return replace(self, overlap=False)

    @property
    def moving_once(self) -> FixedCosts:
        """The costs with the movement of a round once in the run."""
        return replace(
            self, move_s=0.0, move_j=0.0, first_move_s=self.move_s, first_move_j=self.move_j
        )

    @property
    def round_j(self) -> float:
        """Energy of a round that no client pays  [J]."""
        return self.downlink_j + self.move_j + self.pilot_shared_j + self.uplink_shared_j

    def of(self, present: Mask) -> FixedCosts:
        """Return the costs with the energies of some of the clients only."""
        fixed = np.broadcast_to(self.uplink_fixed_j, self.uplink_j.shape)
        return replace(
            self,
            uplink_j=self.uplink_j[present],
            pilot_j=self.pilot_j[present],
            uplink_fixed_j=fixed[present],
        )


def everybody(omega: Real) -> Mask:
    """Return the mask of all clients, shape (K,)."""
    return np.ones(omega.shape, dtype=np.bool_)


def describe(
    problem: ResourceProblem,
    costs: FixedCosts,
    allocation: Allocation,
    pretraining: tuple[int, int] | None = None,
) -> Plan:
    """Book the latency and energy of a solution by component (system model, section 7).

    Parameters
    ----------
    problem : ResourceProblem
    costs : FixedCosts
        Of a round, for the clients of the problem.
    allocation : Allocation
        Solution of the problem.
    pretraining : (int, int), optional
        T0 and B0 to report; those of the allocation by default.

    Returns
    -------
    Plan
        Of the clients of the problem.
    """
    c, batch, rounds, bound = problem.clients, allocation.batch, allocation.rounds, allocation.bound
    samples = allocation.steps * allocation.pretraining_batch
    steps, pretraining_batch = pretraining or (allocation.steps, allocation.pretraining_batch)
    cycles = c.cycles * batch
    compute_s = float(np.max(compute_time(cycles, allocation.clocks)))
    upload = costs.uplink_j * (allocation.backoff if costs.backoff else 1.0) + costs.uplink_fixed_j
    computing = compute_energy(cycles, allocation.clocks, c.kappa)  # in a share of the rounds
    per_client = rounds * (computing / c.share + upload + costs.pilot_j)
    latency = Components(
        compute=rounds * compute_s,
        uplink=rounds * costs.uplink_s,
        downlink=rounds * costs.downlink_s + costs.first_downlink_s,
        pilots=rounds * costs.pilot_s,
        movement=_movement_time(costs, rounds, compute_s),
        pretraining=allocation.server_time,
    )
    energy = Components(
        compute=rounds * float(computing.sum()),
        uplink=rounds * (float((c.share * upload).sum()) + costs.uplink_shared_j),
        downlink=rounds * costs.downlink_j + costs.first_downlink_j,
        pilots=rounds * (float((c.share * costs.pilot_j).sum()) + costs.pilot_shared_j),
        movement=rounds * costs.move_j + costs.first_move_j,
        pretraining=server_energy(problem, samples, allocation.server_time),
    )
    total, lower_bound = bound.total, allocation.lower_bound
    spent = latency.total, energy.total, c.share * per_client
    return Plan(
        rounds=rounds,
        batch_sizes=batch.astype(int),
        frequencies=allocation.clocks,
        power_backoff=allocation.backoff,
        pretraining_steps=steps,
        pretraining_batch=pretraining_batch,
        server_frequency=allocation.server_clock,
        bound=bound,
        latency_s=latency,
        energy_j=energy,
        client_energy_j=per_client,
        certificate=Certificate(lower_bound, (total - lower_bound) / total if total > 0 else 0.0),
        limits=limiting(problem, allocation, *spent),
        participants=everybody(batch),
        compute_deadline_s=deadline(problem, rounds, allocation.server_time),
    )


def _movement_time(costs: FixedCosts, rounds: int, compute_s: float) -> float:
    """Return what movements add to the time of all rounds  [s]."""
    if not costs.overlap:
        return rounds * costs.move_s + costs.first_move_s
    return rounds * max(0.0, costs.move_s - compute_s) + max(0.0, costs.first_move_s - compute_s)


def _or_infinity(seconds: float | None) -> float:
    return float("inf") if seconds is None else float(seconds)


def limiting(
    problem: ResourceProblem,
    allocation: Allocation,
    latency: float,
    energy: float,
    per_client: Real,
) -> tuple[str, ...]:
    """Name what keeps the bound from falling, the largest term of the bound first.

    A budget is named when less than the price of one more sample is left of it.

    Parameters
    ----------
    problem : ResourceProblem
    allocation : Allocation
    latency, energy : float  [s], [J]
        Of the whole run.
    per_client : ndarray, float, shape (K,)  [J]
        Energy of each client in its share of the rounds.
    """
    c, rounds, batch = problem.clients, allocation.rounds, allocation.batch
    names = [allocation.bound.largest]
    growing = batch < c.batch_max
    if problem.rounds[0] < rounds == problem.rounds[1]:
        names.append("number of rounds")
    if np.all(~growing):
        names.append("batch sizes")
    spare_time = problem.latency_s - latency
    if np.isfinite(problem.latency_s) and np.all(rounds * c.cycles / c.f_max >= spare_time):
        names.append("latency")
    price = rounds * c.kappa * c.f_min**2 * c.cycles
    if np.isfinite(problem.energy_j) and np.all(price >= problem.energy_j - energy):
        names.append("total energy")
    short = np.flatnonzero(growing & (c.budget_j - per_client < price))
    if short.size:
        names.append("energy of clients " + ", ".join(str(k) for k in short))
    return tuple(names)
