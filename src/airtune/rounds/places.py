"""Where the antennas go in a round (`planning.movement`), and what is known when they are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from airtune.kinds import Integer, Real
from airtune.placement import Estimate
from airtune.planning.draws import ManyBlocks
from airtune.planning.repetition import Repetition
from airtune.planning.replan import CurrentPlan
from airtune.radio.drives import Carriages
from airtune.radio.facing import Facing
from airtune.radio.movement import Movement
from airtune.schemes import BuiltScheme, Forecast, Link, RadioRound, Travel
from airtune.schemes.aged import aged, outdated
from airtune.schemes.arrays.base import ArrayPolicy, Trial


@dataclass(frozen=True)
class Aim:
    """Where the antennas go.

    Attributes
    ----------
    positions : ndarray, float, shape (N, 2)
        In no order [wavelengths].
    placed_error : float or None
        Expected error over v^2 when they were placed for many blocks; None where they are not.
    expected : Estimate or None
        The expected error of this round at these places, by sampling.
    facing : Facing or None
        Where the array faces, where it turns.
    """

    positions: Real
    placed_error: float | None = None
    expected: Estimate | None = None
    facing: Facing | None = None

    def metrics(self) -> dict[str, Any]:
        """Return what the line of metrics tells of it."""
        told: dict[str, Any] = {}
        if self.facing is not None:
            told["rotation_deg"] = list(self.facing.angles)
        if self.expected is not None:
            told["expected_error"] = asdict(self.expected)
        return told


@dataclass(frozen=True)
class Standing:
    """What decides where the antennas go in the next round.

    Attributes
    ----------
    repetition : Repetition
    scheme : BuiltScheme
    current : CurrentPlan
        The plan that the rounds follow.
    done : int
        Rounds done.
    positions : ndarray, float, shape (N, 2)
        Where the antennas are [wavelengths].
    weights : ndarray, float, shape (K,)
        nu_k that are expected of the round; 0 for who is not selected.
    placed_error : float or None
        As the last :class:`Aim` had it.
    computing_s : float
        How long the server waits for the selected clients to compute, stragglers included [s].
    """

    repetition: Repetition
    scheme: BuiltScheme
    current: CurrentPlan
    done: int
    positions: Real
    weights: Real
    placed_error: float | None = None
    computing_s: float = 0.0

    def at_upload(self, radio: RadioRound, moving_s: float) -> RadioRound:
        """Return a round as it is when the clients send (`radio.csi.age_s`).

        Parameters
        ----------
        radio : RadioRound
            As it is known when the round opens.
        moving_s : float
            How long the antennas move [s].
        """
        scenario = self.repetition.scenario
        given, both = scenario.radio.csi.age_s, (self.computing_s, moving_s)
        if given == "round":
            age = max(both) if scenario.planning.overlap else sum(both)
        else:
            age = float(given)
        return aged(radio, self.repetition.paths, age)

    @property
    def planned_places(self) -> Real | None:
        """Where the plan puts the antennas; None where it was made for another scheme."""
        joint = self.current.joint
        return joint.expected.positions if joint.scheme == self.scheme.name else None

    def place(self, radio: RadioRound, travel: Travel | None = None) -> Real:
        """Return the best places of a round within the travel, shape (N, 2) [wavelengths]."""
        return self.scheme.array.place(radio, self.weights, self.positions, travel)

    @property
    def travel(self) -> Travel:
        """How far the plan lets the antennas go, and what distance must bring."""
        settings, expected = self.repetition.scenario.placement, self.current.joint.expected
        price = settings.travel_price_db
        if self.repetition.scenario.planning.movement == "priced":
            price = max(price, expected.price_db)
        return Travel(expected.max_travel, price)


@dataclass(frozen=True)
class Arrival:
    """The antennas after the movement of a round.

    Attributes
    ----------
    aim : Aim
        Where they went first.
    moved : Movement
        All ways together.
    link : Link
        As the server knows it where they stand.
    carriages : Carriages or None
        Where drives that miss have brought them.
    """

    aim: Aim
    moved: Movement
    link: Link
    carriages: Carriages | None = None


def arrive(
    now: Standing,
    radio: RadioRound,
    forecast: Callable[[Link], Forecast],
    clients: Integer,
    carried: Callable[[Movement], Carriages | None],
) -> Arrival:
    """Move the antennas, and measure where they stand if the server does (`radio.csi.beamformer`).

    Ports are measured before the choice, and what a surface reflects before its phases are chosen
    and once more then; antennas that move are placed by the believed paths,
    measured, and `placement.refinements` times placed anew nearby and measured again.  Where they
    then find more error than at the places before they go back, and stay there.

    Parameters
    ----------
    now : Standing
    radio : RadioRound
        As it is known when the round opens.
    forecast : callable
        As of :func:`target`.
    clients : ndarray, int, shape (S,)
        The selected ones, who send pilots.
    carried : callable
        Where drives bring the antennas in a movement; None where they do not miss.
    """
    repetition, array = now.repetition, now.scheme.array
    ports = array.ports() if repetition.measures else None
    turning_s = repetition.facings.way(radio.round)[0] if repetition.facings else 0.0
    if ports is not None:
        # what is switched is measured and chosen just before the clients send
        radio = now.at_upload(radio, turning_s)
        radio = repetition.measured(radio.at(ports), array, clients, "ports").radio
    elif repetition.measures and array.trains:
        array = _trained(now, now.at_upload(radio, turning_s), clients)
    aim = target(now, radio, forecast)
    moved = repetition.movement(array, now.positions, aim.positions)
    if repetition.facings is not None:
        moved = repetition.facings.moved(radio.round, moved)
        aim = replace(aim, facing=repetition.facings.of(radio.round))

    def known(radio: RadioRound, moved: Movement, name: str) -> tuple[Link, Carriages | None]:
        if ports is None:
            radio = now.at_upload(radio, moved.time_s)
        link, carriages = array.link(radio, now.weights, moved.positions), carried(moved)
        if carriages is not None:
            link = replace(link, true_positions=carriages.actual)
        if repetition.measures and ports is None:
            link = repetition.measured(link, array, clients, name)
        return link, carriages

    link, carriages = known(radio, moved, "places")
    backoff, settings = now.current.joint.plan.power_backoff, repetition.scenario
    nearby = settings.placement.nearby(settings.array.drives.grid)
    for step in range(repetition.refinements(array)):
        travel = Travel(nearby, now.travel.price_db)
        better = array.place(link.radio, now.weights, moved.positions, travel)
        there = moved.then(repetition.movement(array, moved.positions, better))
        found, brought = known(link.radio, there, f"refined {step}")
        if forecast(found).error(backoff) > forecast(link).error(backoff):
            moved = there.then(repetition.movement(array, there.positions, moved.positions))
            if repetition.scenario.radio.csi.age_s == "round":
                # the way back has taken time, in which paths have gone on
                link, carriages = known(found.radio, moved, f"back {step}")
                break
            carriages = carried(moved)
            if carriages is not None:
                link = replace(link, true_positions=carriages.actual)
            break
        moved, link, carriages = there, found, brought
    return Arrival(aim, moved, link, carriages)


def _trained(now: Standing, radio: RadioRound, clients: Integer) -> ArrayPolicy:
    """Return the array after the pilots by which what it sets is chosen."""
    settings = now.repetition.scenario.radio
    csi = outdated(settings.csi, radio.age_s, now.repetition.paths.max_doppler_hz)
    trial = Trial(now.positions, settings.pilot_symbols_per_client, csi)
    return now.scheme.array.trained(radio, clients, trial)


def target(now: Standing, radio: RadioRound, forecast: Callable[[Link], Forecast]) -> Aim:
    """Return where the antennas go in a round (`planning.movement`).

    Parameters
    ----------
    now : Standing
    radio : RadioRound
    forecast : callable
        Forecast of the round with a link.
    """
    planning, array = now.repetition.scenario.planning, now.scheme.array
    movement = planning.movement if array.moves else "each-round"
    if movement == "statistical":
        return _for_many_blocks(now)
    if movement == "once":
        if now.planned_places is not None:
            return Aim(now.planned_places)
        return Aim(now.positions if now.done > 0 else now.place(radio))
    if movement == "when-needed" and now.scheme.air.places_set_error:
        link = array.link(radio, now.weights, now.positions)
        if forecast(link).error(now.current.joint.plan.power_backoff) <= planning.quality:
            return Aim(now.positions)
    return Aim(now.place(radio, now.travel))


def _for_many_blocks(now: Standing) -> Aim:
    """Return the places of least expected error, where this has changed since they were chosen.

    The antennas are placed when a plan begins, and again when their expected error has grown by
    `planning.drift_db`.  The selection of a round does not count, all participants do.
    """
    plan = now.current.joint.plan
    weights = now.repetition.weights(plan.participants)
    index, backoff = now.done + 1, plan.power_backoff
    many = ManyBlocks(now.repetition, now.scheme, index, weights, backoff, now.travel)
    planned = now.planned_places if now.done == now.current.round else None
    return Aim(*many.aim(now.positions, now.placed_error, planned))
