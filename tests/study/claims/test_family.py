"""The declared family: what is drawn is drawn for good, and every setting can be read."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from airtune import load_scenario
from airtune.errors import InputError
from airtune.registry import SCHEMES
from airtune.study.claims import booking
from airtune.study.claims.family import Family, balanced_draw, read_family

DRAWN = "1f5a20adac3033021ee98dfc6888f7cafa8d7fcb5c49de8e22842ee75869c3cf"
"""SHA-256 of the names of the drawn conditions; not to be changed once a cell has run."""


@pytest.fixture(scope="module")
def family() -> Family:
    return read_family()


def test_the_drawn_conditions_are_those_that_were_drawn(family: Family) -> None:
    names = json.dumps([condition.name for condition in family.drawn])
    assert hashlib.sha256(names.encode()).hexdigest() == DRAWN
    assert family.drawn[0].name == "14 dBm, 2 x 23 dBm, 5 MHz, 5 %, 0.2 degrees"


def test_each_level_is_drawn_equally_often_and_nothing_twice(family: Family) -> None:
    assert len({condition.levels for condition in family.drawn}) == 30
    for factor in family.factors("run"):
        counts = Counter(condition[factor.name] for condition in family.drawn)
        assert set(counts.values()) == {30 // len(factor.levels)}, factor.name
    assert len(family.not_drawn) == 60
    assert not {c.levels for c in family.not_drawn} & {c.levels for c in family.drawn}


def test_the_whole_family_has_1080_scenarios_with_a_source_for_each_range(family: Family) -> None:
    assert len(family.combinations("run")) * len(family.combinations("booked")) == 1080
    for factor in (*family.factors("run"), *family.factors("booked")):
        assert len(factor.source) > 20, factor.name


def test_every_setting_can_be_read_and_booked_ones_can_be_booked(family: Family) -> None:
    base = [*family.settings, *family.drawn[0].settings]
    run = load_scenario(family.scenario, [*base, *family.run_with.settings])
    for condition in family.combinations("booked"):
        booking.check(run, load_scenario(family.scenario, [*base, *condition.settings]))
    for levels in family.document["also_booked"]["hardware"]["levels"].values():
        more = [*family.run_with.settings, *levels]
        booking.check(run, load_scenario(family.scenario, [*base, *more]))
    for section in ("codings", "payloads"):
        for name in family.document[section]:
            load_scenario(family.scenario, [*base, *family.settings_of(section, name)])
    own = family.document["own_plan"]["settings"]
    for name in family.document["headline"]["scenarios"]:
        load_scenario(name, own)


def test_conditions_that_change_the_error_are_no_bookings(family: Family) -> None:
    conditions = family.drawn[:2]
    one, other = (
        load_scenario(family.scenario, [*family.settings, *c.settings]) for c in conditions
    )
    with pytest.raises(InputError, match="cannot be booked from a run"):
        booking.check(one, other)


def test_opponents_are_schemes_with_codings_that_are_declared(family: Family) -> None:
    members = [m for group in family.document["groups"] for m in family.members(group)]
    for array in family.document["factorial"].values():
        members += [member for group in array.values() for member in group]
    for member in members:
        scheme, _, coding = member.partition("/")
        assert scheme in SCHEMES
        assert not coding or coding in family.document["codings"]
    assert set(family.members("everything")) >= set(family.members("2N"))


def test_every_scheme_and_digital_member_of_the_factorial_is_an_opponent_or_left_out(
    family: Family,
) -> None:
    everything = set(family.members("everything"))
    out = family.document["left_out"]
    run = {member.partition("/")[0] for member in everything}
    assert not set(SCHEMES) - run - set(out) - {"ideal", "movable"}
    assert not run & set(out)
    for group in family.document["groups"]:
        assert set(family.members(group)) <= everything
    for array in family.document["factorial"].values():
        for member in array["digital"]:
            assert member in everything or member.partition("/")[0] in out
    for name in ("digital-selection/lloyd-max-1", "digital-selection/lloyd-max-2"):
        assert name in family.members("equal RF chains")


def test_the_digest_tells_other_declarations_and_other_scenarios(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_family().sha256 == family.sha256
    reordered = Family({**family.document, "about": "another"})
    monkeypatch.setattr(Family, "resolved", lambda self: {})
    assert reordered.sha256 != Family(family.document).sha256 != family.sha256


def test_what_is_flat_by_assumption_is_declared(family: Family) -> None:
    assert "flat by assumption" in family.document["factors"]["uplink"]["deviation"]
    assert not [one for one in family.settings if "delay_spread" in one]


@pytest.mark.parametrize(
    ("levels", "count", "what"),
    [([["a", "b"]], 3, "equally often"), ([["a", "b"]], 4, "no 4 different")],
)
def test_a_draw_that_cannot_be_made_is_refused(
    levels: list[list[str]], count: int, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airtune.study.claims.family.MOST_DRAWS", 50)
    with pytest.raises(ValueError, match=what):
        balanced_draw(levels, count, 1)


def test_a_file_that_declares_nothing_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "family.json"
    file.write_text('{"factors": {}}')
    with pytest.raises(InputError, match="is no declared family"):
        read_family(file)
