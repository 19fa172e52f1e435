"""Savings over a family, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.costs import Components
from airtune.study.claims import savings
from airtune.study.claims.booking import BookedRound
from airtune.study.claims.histories import Reached, forecast_reached, packed, reached, unpacked


def took(time_s: float | None, how: str = "run", spent: float = 50.0) -> Reached:
    rounds = None if time_s is None else 1.0
    energy = None if time_s is None else 2 * time_s
    return Reached(rounds, time_s, energy, spent, 2 * spent, how)  # type: ignore[arg-type]


def claim(name: str, mine: float | None, theirs: float | None, how: str = "run") -> savings.Tested:
    found = savings.tested_claim(
        name, "time_s", {0: took(mine)}, {0: took(1.0)}, {0: {"fixed": took(theirs, how)}}
    )
    assert found is not None
    return found


def test_a_family_is_summed_up_by_hand() -> None:
    tested = [
        claim("a", 5.0, 20.0),
        claim("b", 10.0, 20.0, "forecast"),
        claim("c", 1.0, 20.0, "booked"),
        claim("d", None, 20.0),
    ]
    found = savings.summary(tested, 75.0)
    assert found is not None
    assert found["best"] == {
        "percent": 95.0,
        "scenario": "c",
        "opponent": "fixed",
        "how": "booked",
        "ceiling": 95.0,
        "lower_bound": False,
    }
    assert found["median"] == 62.5
    assert found["reached"] == 0.5
    assert found["never"] == 0.25
    assert found["ceiling_reached"] == 1.0
    assert found["how"] == {"run": 2, "booked": 1, "replayed": 0, "forecast": 1}
    assert found["ceiling_share"] == pytest.approx(62.5 / 95.0)
    assert savings.summary([], 75.0) is None


def test_the_strongest_opponent_of_each_seed_counts() -> None:
    group = {0: {"a": took(10.0), "b": took(20.0)}, 1: {"a": took(40.0), "b": took(20.0)}}
    mine, ideal = {0: took(5.0), 1: took(5.0)}, {0: took(1.0), 1: took(1.0)}
    found = savings.tested_claim("x", "time_s", mine, ideal, group)
    assert found is not None
    assert found.seeds == (50.0, 75.0)
    exact = savings.headline_test(found, 60.0)
    assert exact["median"] == 62.5
    assert (exact["held"], exact["seeds"], exact["p"]) == (1, 2, 0.75)
    assert exact["ceiling"] == 92.5


def test_an_opponent_that_never_arrives_counts_with_what_it_had_spent() -> None:
    found = claim("x", 5.0, None)
    assert (found.percent, found.lower_bound) == (90.0, True)
    group = {"never": took(None, spent=1.0), "slow": took(20.0)}
    assert savings.strongest("time_s", group)[0] == "slow"


def test_without_a_common_seed_nothing_is_tested() -> None:
    assert savings.tested_claim("x", "time_s", {0: took(1.0)}, {1: took(1.0)}, {}) is None


def test_seeds_are_tested_against_the_claim_and_not_against_nothing() -> None:
    """All of ten seeds save 50 %: no evidence for 95 %, whatever a test against 0 says."""
    seeds = tuple(50.0 + i for i in range(10))
    tested = savings.Tested("x", 54.5, 99.0, "fixed", "run", False, seeds)
    assert savings.headline_test(tested, 95.0)["p"] == 1.0
    assert savings.headline_test(tested, 40.0)["p"] == pytest.approx(2.0**-10)
    tied = savings.Tested("x", 95.0, 99.0, "fixed", "run", False, (95.0,) * 10)
    assert savings.headline_test(tied, 95.0)["p"] is None


def test_a_family_has_no_interval_of_independent_draws() -> None:
    found = savings.summary([claim("a", 5.0, 20.0)] * 12, 75.0)
    assert found is not None
    assert not {"interval", "reached_interval"} & set(found)


@given(
    more=st.floats(0, 100),
    ideal=st.floats(0.1, 100),
    theirs=st.lists(st.floats(0.1, 100), min_size=1),
)
def test_whoever_is_slower_than_ideal_saves_no_more_than_the_ceiling(
    more: float, ideal: float, theirs: list[float]
) -> None:
    group = {0: {str(i): took(x) for i, x in enumerate(theirs)}}
    found = savings.tested_claim("x", "time_s", {0: took(ideal + more)}, {0: took(ideal)}, group)
    assert found is not None
    assert found.percent <= found.ceiling


def test_the_factorial_tells_air_and_antennas_apart() -> None:
    cells = {
        "fixed": {"over the air": {0: {"f": took(8.0)}}, "digital": {0: {"d": took(40.0)}}},
        "movable": {
            "over the air": {0: {"m": took(4.0)}},
            "digital": {0: {"d1": took(30.0), "d2": took(20.0)}},
        },
    }
    found = savings.factorial("time_s", cells)
    assert found["median"]["movable"] == {"over the air": 4.0, "digital": 20.0}
    assert found["air"] == {"fixed": 80.0, "movable": 80.0}
    assert found["antennas"] == {"movable": {"over the air": 50.0, "digital": 50.0}}


ROUND = {
    "clients": [0, 1],
    "mse": 0.25,
    "move_s": 0.5,
    "round_latency_s": {"compute": 1.0, "uplink": 1.0},
    "round_energy_j": {"compute": 3.0},
    "round_radiated_j": {"uplink": 0.125},
}


def test_a_history_is_kept_to_the_last_bit_and_short() -> None:
    losses = [4.0, 3.0, 2.0]
    lines = [{"round": 0, "loss": losses[0]}]
    lines += [{**ROUND, "round": i, "loss": losses[i], "move_s": 0.1 * i} for i in (1, 2)]
    kept = packed(lines)
    assert kept["latency_s"] == {"compute": 1.0, "uplink": 1.0}
    assert kept["move_s"] == [0.1, 0.2]
    for before, after in zip(lines[1:], unpacked(kept)[1:], strict=True):
        assert BookedRound.of(before) == BookedRound.of(after)
        assert (before["loss"], before["mse"]) == (after["loss"], after["mse"])
    assert packed(lines, digits=3)["move_s"] == [0.1, 0.2]


def test_a_target_is_crossed_between_two_rounds() -> None:
    one = BookedRound.of(ROUND)
    found = reached([4.0, 3.0, 2.0], [one, one], 2.5)
    assert (found.rounds, found.time_s, found.energy_j) == (1.5, 3.0, 4.5)
    never = reached([4.0, 3.0, 2.0], [one, one], 1.0)
    assert (never.time_s, never.value("time_s"), never.value("energy_j")) == (None, 4.0, 6.0)


def test_a_forecast_takes_the_books_of_its_rounds() -> None:
    one = BookedRound(Components(uplink=2.0), Components(uplink=1.0), Components(), 0.0)
    found = forecast_reached([4.0, 3.0, 2.0], [0.0, 0.3, 0.3], [one] * 3, 2.5, chi=10.0)
    assert (found.rounds, found.time_s, found.energy_j, found.how) == (2.0, 4.0, 2.0, "forecast")
    assert forecast_reached([4.0, 3.0], [0.0], [one], 1.0, 1.0).time_s is None
    assert forecast_reached([4.0, 3.0], [0.0], [one], None, 1.0).rounds is None
    beyond = [[4.0, 3.0, 2.0], [0.3] * 4, [one] * 4, 3.0, 10.0]
    assert forecast_reached(*beyond).rounds == 2.0  # type: ignore[arg-type]
    assert forecast_reached(*beyond, largest_mse=0.2).rounds is None  # type: ignore[arg-type]
