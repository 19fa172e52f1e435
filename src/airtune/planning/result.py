"""A finished plan: what everybody does, what it costs, what the bound says and what limits it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.allocation.problem import ResourceProblem, server_clock, server_energy
from airtune.bound.convergence import BoundParts
from airtune.costs import Components, FloatArray, compute_energy, compute_time


@dataclass(frozen=True)
class Certificate:
    """Proof of quality: no plan has a bound below `lower_bound`."""

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
        Of the whole run; clients together, each in its share of the rounds.
    client_energy_j : ndarray, shape (K,)  [J]
        Each client's energy over the whole run, were it to transmit in every round.
    certificate : Certificate
    limits : tuple of str
        What keeps the bound from falling further.
    participants : ndarray of bool, shape (K,)
        Who takes part; the others have batches of 0 samples.
    """

    rounds: int
    batch_sizes: np.ndarray
    frequencies: FloatArray
    power_backoff: float
    pretraining_steps: int
    pretraining_batch: int
    server_frequency: float
    bound: BoundParts
    latency_s: Components
    energy_j: Components
    client_energy_j: FloatArray
    certificate: Certificate
    limits: tuple[str, ...]
    participants: NDArray[np.bool_]

    def spread(self, present: NDArray[np.bool_], idle_clocks: FloatArray) -> Plan:
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
            "participants": [bool(present) for present in self.participants],
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
        }


@dataclass(frozen=True)
class FixedCosts:
    """Costs of a round that the allocation does not choose; joules of clients have shape (K,).

    Attributes
    ----------
    uplink_s, downlink_s, pilot_s, move_s : float  [s]
    uplink_j : ndarray, shape (K,)  [J]
        At full power.
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
    misalignment : float
        Error of the aggregation over v^2 that is bias, ``e^H C e``: paid in accuracy.
    together : int or None
        How many of the participants transmit in a round; None: all.
    redrawn : bool
        Whether they are drawn with replacement, see :func:`airtune.allocation.turns.drawn_evenly`.
    """

    uplink_s: float
    downlink_s: float
    pilot_s: float
    move_s: float
    uplink_j: FloatArray
    pilot_j: FloatArray
    downlink_j: float
    move_j: float
    backoff: bool = True
    pilot_shared_j: float = 0.0
    first_move_s: float = 0.0
    first_move_j: float = 0.0
    misalignment: float = 0.0
    together: int | None = None
    redrawn: bool = False

    @property
    def round_s(self) -> float:
        """Time of a round besides computing  [s]."""
        return self.uplink_s + self.downlink_s + self.pilot_s + self.move_s

    @property
    def round_j(self) -> float:
        """Energy of a round that no client pays  [J]."""
        return self.downlink_j + self.move_j + self.pilot_shared_j

    def of(self, present: NDArray[np.bool_]) -> FixedCosts:
        """Return the costs with the energies of some of the clients only."""
        return replace(self, uplink_j=self.uplink_j[present], pilot_j=self.pilot_j[present])


def everybody(omega: FloatArray) -> NDArray[np.bool_]:
    """Return the mask of all clients, shape (K,)."""
    return np.ones(omega.shape, dtype=np.bool_)


def describe(
    problem: ResourceProblem,
    fixed: FixedCosts,
    *,
    rounds: int,
    pretrained: tuple[int, int],
    samples: int,
    batch: FloatArray,
    clocks: FloatArray,
    backoff: float,
    server_time: float,
    bound: BoundParts,
    lower_bound: float,
) -> Plan:
    """Book the latency and energy of a solution by component; see :class:`Plan`."""
    c = problem.clients
    cycles = c.cycles * batch
    upload = fixed.uplink_j * (backoff if fixed.backoff else 1.0)
    computing = compute_energy(cycles, clocks, c.kappa)  # in a share of the rounds
    per_client = rounds * (computing / c.share + upload + fixed.pilot_j)
    latency = Components(
        compute=rounds * float(np.max(compute_time(cycles, clocks))),
        uplink=rounds * fixed.uplink_s,
        downlink=rounds * fixed.downlink_s,
        pilots=rounds * fixed.pilot_s,
        movement=rounds * fixed.move_s + fixed.first_move_s,
        pretraining=server_time,
    )
    energy = Components(
        compute=rounds * float(computing.sum()),
        uplink=rounds * float((c.share * upload).sum()),
        downlink=rounds * fixed.downlink_j,
        pilots=rounds * (float((c.share * fixed.pilot_j).sum()) + fixed.pilot_shared_j),
        movement=rounds * fixed.move_j + fixed.first_move_j,
        pretraining=server_energy(problem, samples, server_time),
    )
    total = bound.total
    return Plan(
        rounds=rounds,
        batch_sizes=batch.astype(int),
        frequencies=clocks,
        power_backoff=backoff,
        pretraining_steps=pretrained[0],
        pretraining_batch=pretrained[1],
        server_frequency=server_clock(problem, samples, server_time),
        bound=bound,
        latency_s=latency,
        energy_j=energy,
        client_energy_j=per_client,
        certificate=Certificate(lower_bound, (total - lower_bound) / total if total > 0 else 0.0),
        limits=limiting(
            problem, rounds, batch, latency.total, energy.total, c.share * per_client, bound
        ),
        participants=everybody(batch),
    )


def limiting(
    problem: ResourceProblem,
    rounds: int,
    batch: FloatArray,
    latency: float,
    energy: float,
    per_client: FloatArray,
    bound: BoundParts,
) -> tuple[str, ...]:
    """Name what keeps the bound from falling, the largest term of the bound first.

    A budget is named when less than the price of one more sample is left of it.
    """
    c, terms = problem.clients, bound.to_dict()
    terms.pop("total")
    names = [max(terms, key=lambda name: terms[name])]
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
