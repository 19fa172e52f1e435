"""Which coding of the updates digital schemes take, and that the air follows it."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.radio.quantisers import encode
from airtune.radio.quantisers.coding import Coding
from airtune.scenario import Digital as Settings
from airtune.schemes.air import coding as codings
from schemes.radio import SIZES, air_of, link_of, scenario_with, uploads_of

OMEGA = np.full(10, 0.1)


def laplace(clients: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).laplace(scale=np.sqrt(0.5), size=(clients, SIZES.sum()))


def test_what_is_set_is_taken() -> None:
    settings = Settings(quantizer="entropy", bits=3, error_feedback=True)
    assert codings.candidates(settings, OMEGA, SIZES) == [Coding("entropy", 3, feedback=True)]
    settings = Settings(quantizer="top-k", bits=4, error_feedback=False, top_share=0.2)
    assert codings.candidates(settings, OMEGA, SIZES) == [Coding("top-k", 4, False, 0.2)]


def test_what_is_planned_is_open() -> None:
    found = codings.candidates(Settings(), OMEGA, SIZES)
    assert {c.quantizer for c in found} == set(codings.PLANNED)
    assert {c.bits for c in found} == set(range(1, 17))
    assert {c.feedback for c in found} == {False, True}
    assert {c.share for c in found} == {1.0, *codings.TOP_SHARES}
    some = codings.candidates(Settings(quantizer="lloyd-max", bits=2), OMEGA, SIZES)
    assert [c.feedback for c in some] == [False, True]


def test_quality_sets_the_bits() -> None:
    chosen = [
        codings.candidates(
            Settings(quantizer="uniform", bits="auto", quality_db=quality, error_feedback=True),
            OMEGA,
            np.array([3000, 2000]),
        )
        for quality in (-20.0, -40.0, -60.0, -200.0)
    ]
    assert [[c.bits for c in found] for found in chosen] == [[4], [8], [16], [16]]
    alone = Settings(quantizer="uniform", bits="auto", error_feedback=True)
    one = codings.candidates(alone, np.ones(1), np.array([3000, 2000]))
    assert [c.bits for c in one] == [8]  # nothing is averaged over one client


def test_bits_rise_with_what_a_round_takes_anyway() -> None:
    settings = Settings(quantizer="lloyd-max", error_feedback=False)
    air = air_of(scenario_with(digital=settings.model_dump()), "digital")
    link = link_of(scenario_with(), "digital")
    bits = [air.fastest(link, OMEGA, SIZES, beside).bits for beside in (0.0, 0.3, 3.0, 300.0)]
    assert bits == sorted(bits)
    assert bits[-1] > bits[0]


@pytest.mark.parametrize(
    "beside_s",
    [pytest.param(0.0, marks=pytest.mark.slow), 0.5, pytest.param(20.0, marks=pytest.mark.slow)],
)
def test_the_fastest_has_the_least_predicted_time_of_all(beside_s: float) -> None:
    air, link = air_of(scenario_with(), "digital"), link_of(scenario_with(), "digital")

    def time(coding: Coding) -> float:
        round_s = beside_s + air.coded(coding).forecast(link, OMEGA, SIZES).uplink_s
        return round_s * codings.rounds_factor(coding, OMEGA, SIZES)

    chosen = air.fastest(link, OMEGA, SIZES, beside_s)
    assert chosen is not None
    least = min(time(c) for c in codings.candidates(Settings(), OMEGA, SIZES))
    assert time(chosen) == pytest.approx(least, rel=1e-6)


def test_other_schemes_and_settled_ones_have_no_choice() -> None:
    settled = {"quantizer": "lloyd-max", "bits": 2, "error_feedback": False}
    for name, digital in (("fixed", {}), ("ideal", {}), ("digital", settled)):
        scenario = scenario_with(digital={**Settings().model_dump(), **digital})
        assert air_of(scenario, name).fastest(link_of(scenario, name), OMEGA, SIZES, 1.0) is None


@pytest.mark.parametrize(
    "coding",
    [
        Coding("lloyd-max", 1, feedback=False),
        Coding("lloyd-max", 4, feedback=True),
        Coding("entropy", 2, feedback=False),
        Coding("top-k", 4, feedback=True, share=0.1),
    ],
)
def test_the_air_books_and_rounds_by_the_coding(coding: Coding) -> None:
    scenario = scenario_with(digital__access="tdma")
    air, link = air_of(scenario, "digital").coded(coding), link_of(scenario, "digital")
    uploads, clients = uploads_of(laplace(10)), np.arange(10)
    received = air.combine(uploads, link, 1.0)
    sent = [encode(coding.quantiser, u, None, SIZES, feedback=True)[0] for u in uploads.updates]
    assert np.allclose(received.mean, np.mean([one.values for one in sent], axis=0))
    rates = air.single_user_rates(link, clients)
    bits = np.array([one.bits for one in sent])
    assert received.uplink_s == pytest.approx(float(np.sum(bits / rates)))
    assert (sorted(received.memory) == clients.tolist()) == coding.feedback
    forecast = air.forecast(link, OMEGA, SIZES)
    assert received.uplink_s == pytest.approx(forecast.uplink_s, rel=0.03)
    first = coding.quantiser.expected_error(SIZES) / 10  # nothing is remembered yet
    assert received.mse == pytest.approx(first, rel=0.15)


@pytest.mark.parametrize("name", ["digital-movable", "digital-selection"])
def test_better_places_shorten_the_upload_and_leave_the_error(name: str) -> None:
    scenario = scenario_with(
        placement__mode="fast", digital__quantizer="lloyd-max", digital__bits=2
    )
    air, omega = air_of(scenario, name), OMEGA
    both = [
        air.forecast(link_of(scenario, which, seed=seed), omega, SIZES)
        for seed in (1, 2, 3)
        for which in ("digital", name)
    ]
    fixed, placed = both[::2], both[1::2]
    assert sum(f.uplink_s for f in placed) < 0.8 * sum(f.uplink_s for f in fixed)
    assert {f.mse for f in both} == {both[0].mse}
