"""Angles of arrays that turn: what is chosen, for whom, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.learning.sizes import sizes_of
from airtune.planning.facings import Facings, search
from airtune.planning.forward import for_scheme
from airtune.planning.plans import plan_run
from airtune.planning.repetition import Repetition
from airtune.radio.channels import Block, Channel, Paths, Transmitters
from airtune.radio.channels.turned import Turned
from airtune.radio.facing import AHEAD, Facing
from airtune.scenario import Scenario
from quadratic import QuadraticLearner
from rounds.test_federated import with_settings

TURNED = {
    "array__element": "tr38901",
    "array__antennas": 1,
    "array__rotation__movable": "turned",
    "array__rotation__largest_deg": [80, 0, 0],
    "array__rotation__draws": 2,
    "clients__count": 2,
    "radio__interferers__count": 0,
}
UMI = Path(__file__).parents[1] / "radio" / "channels" / "umi.npz"


class TwoClients(Channel):
    """Clients in sight, 10 degrees about an azimuth that jumps to the other side in round 3."""

    isotropic = True

    def block(self, round_index: int) -> Block:
        towards = np.radians((40.0 if round_index < 3 else -40.0) + np.array([-10.0, 10.0]))
        u = np.stack([np.sin(towards), 0 * towards], axis=-1)[:, None]
        clients = Paths(np.full((2, 1), 1e-5 + 0j), u, np.zeros((2, 1)))
        return Block(*[Transmitters(clients, clients.of(np.arange(0)))] * 2)


def repetition_of(scenario: Scenario, channel: Channel | None = None) -> Repetition:
    sizes = sizes_of(QuadraticLearner(scenario, 1))
    return Repetition(scenario, 1, sizes, channel=channel or TwoClients())


def facings_of(scenario: Scenario, scheme: str = "movable") -> Facings:
    found = for_scheme(repetition_of(scenario), scheme).facings
    assert isinstance(found, Facings)
    return found


def test_one_antenna_faces_the_middle_of_two_clients(small_scenario: Scenario) -> None:
    facings = facings_of(with_settings(small_scenario, **TURNED))
    assert facings.of(0) == AHEAD
    assert all(facings.of(t) == Facing(yaw=40.0) for t in (1, 2, 3, 30))
    settings = small_scenario.array.rotation
    assert facings.way(1) == pytest.approx((40 / 30, settings.drive_power_w * 40 / 30))
    assert facings.way(2) == (0.0, 0.0)


def test_an_array_that_turns_again_follows_them(small_scenario: Scenario) -> None:
    scenario = with_settings(small_scenario, **TURNED, array__rotation__every=2)
    facings = facings_of(scenario)
    assert [facings.of(t).yaw for t in (1, 2, 3, 4, 5)] == [40, 40, -40, -40, -40]
    assert [facings.way(t)[0] for t in range(1, 6)] == pytest.approx([4 / 3, 0, 8 / 3, 0, 0])
    later = facings_of(scenario)  # a resumed run asks for a late round first
    assert later.of(5) == facings.of(5)


def test_angles_that_gain_too_little_are_not_taken(small_scenario: Scenario) -> None:
    gain_db = 12 * (50 / 65) ** 2 - 12 * (10 / 65) ** 2  # the worst client, by hand
    for least, yaw in ((gain_db - 0.01, 40.0), (gain_db + 0.01, 0.0)):
        changed = with_settings(small_scenario, **TURNED, array__rotation__least_gain_db=least)
        assert facings_of(changed).of(1).yaw == yaw


def test_mounted_arrays_face_so_from_the_start_for_nothing(small_scenario: Scenario) -> None:
    scenario = with_settings(small_scenario, **TURNED, array__rotation__others="mounted")
    facings = facings_of(scenario, "fixed")
    assert facings.of(0) == facings.of(1) == Facing(yaw=40.0)
    assert facings.way(1) == (0.0, 0.0)


def test_each_scheme_turns_as_its_array_may(small_scenario: Scenario) -> None:
    repetition = repetition_of(with_settings(small_scenario, **TURNED))
    turned = for_scheme(repetition, "movable")
    assert for_scheme(turned, "movable") is turned
    assert turned.radio(1).true.clients.directions[0, 0, 0] == pytest.approx(
        np.sin(np.radians(-10))
    )
    for name in ("fixed", "ideal", "selection"):
        other = for_scheme(turned, name)
        assert other.facings is None
        assert isinstance(other.paths, Turned) and other.paths.view(1).facing == AHEAD
    both = with_settings(small_scenario, **TURNED, array__rotation__others="turned")
    for name in ("fixed", "selection", "digital-movable", "zeroth-order"):
        assert for_scheme(repetition_of(both), name).facings is not None
    for name in ("ideal",):
        assert for_scheme(repetition_of(both), name).facings is None


def test_without_rotation_nothing_is_wrapped(small_scenario: Scenario) -> None:
    repetition = repetition_of(with_settings(small_scenario, clients__count=2))
    assert for_scheme(repetition, "movable") is repetition
    assert isinstance(repetition.paths, TwoClients)


def test_plans_count_the_turn_once_and_later_ones_in_the_mean(small_scenario: Scenario) -> None:
    plain = {**TURNED, "array__rotation__movable": "mounted"}
    costs = {}
    for name, settings in (
        ("mounted", plain),
        ("once", TURNED),
        ("often", {**TURNED, "array__rotation__every": 2}),
    ):
        joint = plan_run(repetition_of(with_settings(small_scenario, **settings)), "movable")
        costs[name] = joint.expected.costs
    seconds, joules = 40 / 30, 10 * 40 / 30
    assert costs["mounted"].first_move_s == 0
    for name, share in (("once", 0.0), ("often", 0.5)):
        one, base = costs[name], costs["mounted"]
        assert one.first_move_s == pytest.approx(seconds)
        assert one.first_move_j == pytest.approx(joules)
        assert one.move_s - base.move_s == pytest.approx(share * seconds)
        assert one.move_j - base.move_j == pytest.approx(share * joules)


def test_an_error_is_the_mean_over_the_draws_at_its_best_places(small_scenario: Scenario) -> None:
    scenario = with_settings(small_scenario, **TURNED)
    facings, repetition = facings_of(scenario), repetition_of(scenario)
    around = repetition.channel.block(1).perceived
    gain = 10 ** ((8 - 12 * (10 / 65) ** 2) / 10) * 1e-10  # of one antenna, both clients alike
    budget = repetition.radio(1).budget
    weight = repetition.omega.max()  # of the worse of the two
    expected = weight**2 * budget.noise / (gain * budget.client_powers[0])
    assert facings._error(Facing(yaw=40.0), [around] * 2, 1) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "scheme", "message"),
    [
        (
            {"array__rotation__movable": "turned"},
            "movable",
            "array.rotation.movable = turned: must be none with radio.channel = file",
        ),
        (
            {"array__rotation__others": "mounted"},
            "fixed",
            "array.rotation.others = mounted: must be none with radio.channel = file",
        ),
        (
            {"array__element": "tr38901"},
            "fixed",
            "array.element = tr38901: must be isotropic with radio.channel = file",
        ),
    ],
)
def test_gains_that_hold_patterns_are_refused(
    small_scenario: Scenario, settings: dict[str, str], scheme: str, message: str
) -> None:
    scenario = with_settings(
        small_scenario,
        clients__count=2,
        radio__interferers__count=1,
        radio__channel="file",
        radio__channel_file=str(UMI),
        **settings,
    )
    repetition = replace(repetition_of(scenario), channel=None)
    with pytest.raises(InputError, match=message) as told:
        for_scheme(repetition, scheme).radio(1)
    assert len(str(told.value)) <= 400


def test_a_surface_knows_no_patterns(small_scenario: Scenario) -> None:
    scenario = with_settings(small_scenario, clients__count=2, array__element="tr38901")
    with pytest.raises(InputError, match=r"array\.element = tr38901: must be isotropic"):
        repetition_of(scenario).scheme("ris")
    turned = with_settings(small_scenario, clients__count=2, array__rotation__others="turned")
    assert for_scheme(repetition_of(turned), "ris").facings is None


def test_the_search_keeps_to_the_limits_and_asks_once() -> None:
    asked: list[Facing] = []

    def error(facing: Facing) -> float:
        asked.append(facing)
        return abs(facing.yaw - 1e3) + abs(facing.pitch + 12.0) + abs(facing.roll - 5.0)

    found = search(error, (60.0, 30.0, 20.0), AHEAD)
    assert found == Facing(60.0, -11.25, 5.0)
    assert len(asked) == len(set(asked))
    limits = np.array([60.0, 30.0, 20.0])
    assert all((np.abs(one.angles) <= limits).all() for one in asked)
    assert search(error, (0.0, 0.0, 0.0), AHEAD) == AHEAD
