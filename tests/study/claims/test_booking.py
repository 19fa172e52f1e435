"""Booking equals running: time and energy of a cell under other books are those of its run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import load_scenario
from airtune.engines import LocalEngine
from airtune.errors import InputError
from airtune.learning.shared import SharedLearners
from airtune.learning.sizes import sizes_of
from airtune.scenario import Scenario
from airtune.study.claims.booking import BookedRound, book, check
from airtune.study.claims.family import read_family
from airtune.study.claims.replay import run_rounds
from quadratic import QuadraticLearner

FAMILY = read_family()
WIDER = (
    "radio.bandwidth_hz=4e6",
    "radio.downlink_bandwidth_hz=4e7",
    f"radio.noise_psd_dbm_hz={-174 - 10 * np.log10(4)}",
)
"""Four times the bandwidth of both directions with the same noise powers, from 1 MHz."""

BOOKED = {
    "device": FAMILY.combinations("booked")[0].settings[:2],
    "pixel": ("array.drive=pixel",),
    "stepper": ("array.drive=stepper",),
    "macro": ("radio.hardware.profile=macro",),
    "radiated": ("radio.hardware.profile=radiated",),
    "bandwidth": WIDER,
    "all": (
        *FAMILY.combinations("booked")[-1].settings,
        "radio.hardware.profile=macro",
        *WIDER,
    ),
}
"""What is changed in one scenario and run again."""

TINY = (
    *("model.small.hidden=32", "model.small.layers=1", "model.small.heads=2"),
    *("model.small.intermediate=64", "model.lora.rank=2", "pretraining.steps=3"),
    *("training.rounds=3", "training.batch_size_max=2", "evaluation.records=16"),
    *("clients.count=4", "placement.mode=fast", "threads=1"),
)
CONDITIONS = [
    next(c for c in FAMILY.drawn if c["uplink"] == "1 MHz" and c["interferers"] == level)
    for level in ("none", "4 x 23 dBm", "8 x 40 dBm")
]
SCHEMES = ("movable", "selection", "digital-movable")


def scenario_of(condition: Any, *more: str) -> Scenario:
    coding = FAMILY.settings_of("codings", "lloyd-max-2")
    settings = (*FAMILY.settings, *TINY, *condition.settings, *FAMILY.run_with.settings, *coding)
    return load_scenario(FAMILY.scenario, [*settings, *more])


def lines_of(scenario: Scenario, scheme: str, learner: Any) -> list[dict[str, Any]]:
    engine = LocalEngine.over(learner)
    return run_rounds(scenario, scheme, 300, engine, sizes_of(learner))[0]


def assert_booked(booked: Sequence[BookedRound], run: Sequence[dict[str, Any]]) -> None:
    ran = [BookedRound.of(line) for line in run[1:]]
    assert len(booked) == len(ran) > 0
    for one, other in zip(booked, ran, strict=True):
        for kind in ("latency_s", "energy_j", "radiated_j"):
            mine, theirs = getattr(one, kind).to_dict(), getattr(other, kind).to_dict()
            for part, value in mine.items():
                assert value == pytest.approx(theirs[part], rel=1e-9, abs=1e-15), (kind, part)
        assert one.move_s == pytest.approx(other.move_s, rel=1e-9, abs=1e-15)


@cache
def run_before(scheme: str) -> list[dict[str, Any]]:
    before = scenario_of(CONDITIONS[1])
    return lines_of(before, scheme, QuadraticLearner(before, 300))


@pytest.mark.parametrize(
    ("scheme", "changed"),
    [
        *(("movable", changed) for changed in ("device", "stepper", "radiated", "bandwidth")),
        *((scheme, "all") for scheme in ("movable", "digital-movable", "selection")),
    ],
)
def test_booking_equals_running(scheme: str, changed: str) -> None:
    """On a learner with a known answer, in one condition."""
    before = scenario_of(CONDITIONS[1])
    after = scenario_of(CONDITIONS[1], *BOOKED[changed])
    one = run_before(scheme)
    other = lines_of(after, scheme, QuadraticLearner(after, 300))
    assert [line["loss"] for line in one] == pytest.approx([line["loss"] for line in other])
    booked = book(one, before, after, scheme)
    assert_booked(booked, other)
    totals = [
        [(one.latency_s.total, one.energy_j.total) for one in rounds]
        for rounds in (booked, [BookedRound.of(line) for line in one[1:]])
    ]
    assert totals[0] != totals[1]


@pytest.fixture(scope="module")
def learners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SharedLearners, Path]]:
    yield SharedLearners(), tmp_path_factory.mktemp("cache")


@pytest.mark.slow
@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: c["interferers"])
def test_booking_equals_running_a_language_model(
    condition: Any, learners: tuple[SharedLearners, Path]
) -> None:
    """In three conditions, each booked quantity changed and run again, with every kind of array."""
    shared, cache = learners
    before = scenario_of(condition, f"cache={cache}")
    for scheme in SCHEMES:
        run = lines_of(before, scheme, shared(before, 300))
        for settings in BOOKED.values():
            after = scenario_of(condition, f"cache={cache}", *settings)
            again = lines_of(after, scheme, shared(after, 300))
            assert_booked(book(run, before, after, scheme), again)


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("budget.latency_s=12", "budget.latency_s = 12.0: a plan within it"),
        ("planning.movement=priced", "planning.movement = priced"),
        ("faults.dropout.share=10%", "faults: rounds with faults"),
        ("array.grid=null", "array.grid"),
        ("radio.bandwidth_hz=2e6", "another noise power"),
        ("training.rounds=4", "training.rounds = 4: cannot be booked from a run with 3"),
    ],
)
def test_what_cannot_be_booked_is_refused(setting: str, what: str) -> None:
    before, after = scenario_of(CONDITIONS[0]), scenario_of(CONDITIONS[0], setting)
    with pytest.raises(InputError, match=what):
        check(before, after)


def test_another_drive_without_a_common_grid_is_refused() -> None:
    free = ("array.grid=null",)
    before = scenario_of(CONDITIONS[0], *free)
    with pytest.raises(InputError, match="another grid of places"):
        check(before, scenario_of(CONDITIONS[0], *free, "array.drive=pixel"))


def test_circuits_that_drew_nothing_tell_no_times() -> None:
    before = scenario_of(CONDITIONS[0], "radio.hardware.profile=radiated")
    after = scenario_of(CONDITIONS[0], "radio.hardware.profile=macro")
    lines = lines_of(before, "movable", QuadraticLearner(before, 300))
    with pytest.raises(InputError, match="client_w"):
        book(lines, before, after, "movable")


def test_a_coding_that_is_planned_by_time_is_refused() -> None:
    before = scenario_of(CONDITIONS[0], "digital.bits=planned")
    lines = [{"round": 0, "loss": 1.0}]
    assert book(lines, before, before, "movable") == []
    with pytest.raises(InputError, match=r"digital\.bits = planned"):
        book(lines, before, before, "digital")


def test_a_run_that_was_planned_anew_is_refused() -> None:
    before = scenario_of(CONDITIONS[0])
    lines = [{"round": 0, "loss": 1.0}, {"round": 1, "replanned": {"round": 1}}]
    with pytest.raises(InputError, match="planned anew"):
        book(lines, before, before, "movable")
