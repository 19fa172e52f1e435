"""Exact booking: time and energy of a run under other devices, drives and hardware.

What a round costs is a sum of components (system model, section 7).  A quantity that changes
neither what is sent nor where the antennas are changes these components by known factors, so the
rounds need not be run again:

- *device*: computing takes ``c B / (phi f)`` seconds and ``kappa f^2 c B / phi`` joules;
- *drive*: a way takes ``|r - r'| lambda / speed`` seconds and this time times the drive's power;
- *hardware*: radiated joules over the amplifier's efficiency, and circuits over the time on the
  air;
- *bandwidth* of both directions with the noise powers held: what is sent takes its share of the
  time.

It holds where the plan is the same: without budgets, for the objective `bound`, and without ways
that are priced.  :func:`check` refuses everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from airtune.costs import Components, FrontEnd, Hardware
from airtune.errors import InputError, shown
from airtune.radio.units import noise_power
from airtune.registry import SCHEMES
from airtune.scenario import Faults, Scenario
from airtune.scenario.digital import PLANNED

BOOKED = (
    *("client_processor.flop_per_cycle", "client_processor.kappa"),
    *("array.drive", "array.speed_mps", "array.drive_power_w"),
    *("radio.bandwidth_hz", "radio.downlink_bandwidth_hz", "radio.noise_psd_dbm_hz"),
)
"""Settings that may differ; those of `radio.hardware` may, too."""

FREE = ("name", "seed", "seeds", "schemes", "threads", "cache")
"""Settings that say nothing of a cell's books."""

SAME_NOISE = 1e-9
"""Relative difference up to which two noise powers are the same."""


@dataclass(frozen=True)
class Books:
    """What turns the rounds of a scheme into seconds and joules.

    Attributes
    ----------
    flop_per_cycle, kappa : float
        phi and the effective capacitance of the clients [J s^2].
    speed_mps, drive_power_w : float
        Of the drives [m/s], [W].
    hardware : Hardware
    front_end : FrontEnd
    bandwidth_hz, downlink_hz : float
        Of the uplink and of the broadcast.
    overlap : bool
        Whether the antennas move while the clients compute.
    """

    flop_per_cycle: float
    kappa: float
    speed_mps: float
    drive_power_w: float
    hardware: Hardware
    front_end: FrontEnd
    bandwidth_hz: float
    downlink_hz: float
    overlap: bool

    @classmethod
    def of(cls, scenario: Scenario, scheme: str) -> Self:
        """Return the books of a scheme in a scenario."""
        drive, processor = scenario.array.drives, scenario.client_processor
        return cls(
            flop_per_cycle=processor.flop_per_cycle,
            kappa=processor.kappa,
            speed_mps=drive.speed_mps,
            drive_power_w=drive.power_w,
            hardware=scenario.radio.hardware.resolved(scenario.clients.antennas),
            front_end=SCHEMES[scheme].build(scenario, scenario.seed).array.front_end,
            bandwidth_hz=scenario.radio.bandwidth_hz,
            downlink_hz=scenario.radio.downlink_bandwidth_hz,
            overlap=scenario.planning.overlap,
        )


@dataclass(frozen=True)
class BookedRound:
    """Latency and energy of a round.

    Attributes
    ----------
    latency_s, energy_j : Components
    radiated_j : Components
        Of the energy, what antennas radiate.
    move_s : float
        Time of the whole way of the antennas [s].
    """

    latency_s: Components
    energy_j: Components
    radiated_j: Components
    move_s: float

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Self:
        """Return what a line of ``metrics.jsonl`` holds of a round."""
        return cls(
            Components(**line["round_latency_s"]),
            Components(**line["round_energy_j"]),
            Components(**line["round_radiated_j"]),
            float(line["move_s"]),
        )


def rebooked(done: BookedRound, before: Books, after: Books) -> BookedRound:
    """Return a round as it would have been booked under other books.

    Parameters
    ----------
    done : BookedRound
        As it was booked.
    before, after : Books
        Of the run, and those that are asked for.

    Raises
    ------
    InputError
        The time in which clients send is not known: circuits of a client drew nothing in the run,
        and draw something now.

    Examples
    --------
    A processor that is twice as fast for the same joules a FLOP:

    >>> from airtune.costs import PROFILES
    >>> books = [
    ...     Books(phi, 1e-28 * phi, 0.5, 0.5, PROFILES["small-cell"], FrontEnd(4), 1e6, 1e7, True)
    ...     for phi in (8.0, 16.0)
    ... ]
    >>> one = BookedRound(Components(compute=1.0), Components(compute=3.0), Components(), 0.25)
    >>> found = rebooked(one, *books)
    >>> found.latency_s.compute, round(found.energy_j.compute, 9), found.latency_s.movement
    (0.5, 3.0, 0.0)
    """
    pace = before.flop_per_cycle / after.flop_per_cycle
    air = before.bandwidth_hz / after.bandwidth_hz
    down = before.downlink_hz / after.downlink_hz
    times, joules, radiated = done.latency_s, done.energy_j, done.radiated_j
    compute_s = times.compute * pace
    move_s = done.move_s * before.speed_mps / after.speed_mps
    rest_s = max(0.0, move_s - compute_s) if after.overlap else move_s
    latency = Components(
        compute=compute_s,
        uplink=times.uplink * air,
        downlink=times.downlink * down,
        pilots=times.pilots * air,
        movement=rest_s,
        pretraining=times.pretraining,
    )
    new_radiated = Components(
        uplink=radiated.uplink * air,
        pilots=radiated.pilots * air,
        downlink=radiated.downlink * down,
    )
    energy = Components(
        compute=joules.compute * pace * after.kappa / before.kappa,
        uplink=_sent(times.uplink, joules.uplink, radiated.uplink, before, after) * air,
        downlink=after.hardware.station_energy(after.front_end, times.downlink, radiated.downlink)
        * down,
        pilots=_sent(times.pilots, joules.pilots, radiated.pilots, before, after) * air,
        movement=_moved(joules.movement, before, after),
        pretraining=joules.pretraining,
    )
    return BookedRound(latency, energy, new_radiated, move_s)


def _sent(time_s: float, energy_j: float, radiated_j: float, before: Books, after: Books) -> float:
    """Return the energy of what clients send, with circuits of both ends, under other hardware.

    The times in which the clients send are what their circuits drew, over the power of these.
    """
    old, new = before.hardware, after.hardware
    station = new.station_energy(after.front_end, time_s)
    drawn = radiated_j / new.client_pa_efficiency
    if new.client_w == 0.0:
        return drawn + station
    if old.client_w == 0.0:
        if energy_j == 0.0:
            return 0.0
        raise InputError(
            "radio.hardware.client_w = 0: cannot be booked as "
            f"{new.client_w:g} W, for the run does not tell how long each client sent; "
            "run it with a value above 0"
        )
    circuits = energy_j - radiated_j / old.client_pa_efficiency
    circuits -= old.station_energy(before.front_end, time_s)
    return drawn + station + circuits * new.client_w / old.client_w


def _moved(energy_j: float, before: Books, after: Books) -> float:
    """Return the energy of the drives for the same ways."""
    if energy_j == 0.0:
        return 0.0
    times_s = energy_j / before.drive_power_w * before.speed_mps / after.speed_mps
    return after.drive_power_w * times_s


def book(
    lines: Sequence[Mapping[str, Any]], before: Scenario, after: Scenario, scheme: str
) -> list[BookedRound]:
    """Return the rounds of a finished cell as they would have been booked in another scenario.

    Parameters
    ----------
    lines : sequence of mapping
        Of ``metrics.jsonl``, round 0 first.
    before, after : Scenario
        Of the run, and the one that is asked for.
    scheme : str

    Returns
    -------
    list of BookedRound
        Rounds 1 to T.

    Raises
    ------
    InputError
        They differ in more than can be booked (:func:`check`).
    """
    check(before, after)
    if SCHEMES[scheme].air.plans_coding:
        _check_coding(before)
    if any(line.get("replanned") for line in lines):
        raise InputError(
            "planning.replan_factor: a run that was planned anew cannot be booked otherwise; "
            "must be null, and planning.keep_budgets false"
        )
    books = Books.of(before, scheme), Books.of(after, scheme)
    return [rebooked(BookedRound.of(line), *books) for line in lines if line["round"] > 0]


def check(before: Scenario, after: Scenario) -> None:
    """Refuse a pair of scenarios of which one cannot be booked from a run of the other.

    Raises
    ------
    InputError
        Names the setting, its value and what is allowed.

    Examples
    --------
    >>> from airtune import load_scenario
    >>> before, after = (
    ...     load_scenario("quickstart", ["budget.latency_s=null", f"clients.count={n}"])
    ...     for n in (8, 9)
    ... )
    >>> check(before, after)
    Traceback (most recent call last):
    ...
    airtune.errors.InputError: clients.count = 9: cannot be booked from a run with 8, run it
    """
    for scenario in (before, after):
        _check_plan(scenario)
    old, new = _flat(before.to_dict()), _flat(after.to_dict())
    for path in sorted({*old, *new}):
        booked = path in BOOKED or path.startswith("radio.hardware.") or path in FREE
        if not booked and old.get(path) != new.get(path):
            raise InputError(
                f"{path} = {shown(new.get(path))}: cannot be booked from a run with "
                f"{shown(old.get(path))}, run it"
            )
    if before.array.drives.grid != after.array.drives.grid:
        raise InputError(
            f"array.drive = {after.array.drive}: has another grid of places than "
            f"{before.array.drive}, which changes the error; set array.grid for both"
        )
    for name in ("bandwidth_hz", "downlink_bandwidth_hz"):
        widths = [getattr(scenario.radio, name) for scenario in (before, after)]
        noises = [
            float(noise_power(s.radio.noise_psd_dbm_hz, width, s.radio.noise_figure_db))
            for s, width in zip((before, after), widths, strict=True)
        ]
        if abs(noises[1] / noises[0] - 1.0) > SAME_NOISE:
            raise InputError(
                f"radio.{name} = {widths[1]:g}: has another noise power than {widths[0]:g} had, "
                "which changes errors and rates; run it"
            )


def _check_plan(scenario: Scenario) -> None:
    """Refuse a plan or rounds that depend on what is booked."""
    limits = scenario.budget.model_dump(exclude_none=True)
    planning = scenario.planning
    if limits:
        name, value = next(iter(limits.items()))
        raise InputError(
            f"budget.{name} = {shown(value)}: a plan within it depends on what is booked; "
            "must be null"
        )
    if planning.predicts:
        raise InputError(
            f"planning.objective = {planning.objective}: such a plan depends on what is booked; "
            "must be bound"
        )
    if planning.movement in ("priced", "planned"):
        raise InputError(
            f"planning.movement = {planning.movement}: depends on what is booked; must be another"
        )
    if scenario.faults != Faults():
        raise InputError("faults: rounds with faults cannot be booked otherwise; must be off")


def _check_coding(scenario: Scenario) -> None:
    """Refuse a coding of the updates that is chosen by predicted time."""
    chosen = scenario.digital
    open_ = ["quantizer", "bits", "error_feedback"]
    open_ += ["top_share"] if chosen.quantizer == "top-k" else []
    for name in open_:
        if getattr(chosen, name) == PLANNED:
            raise InputError(
                f"digital.{name} = {PLANNED}: the choice depends on what is booked; must be set"
            )


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
