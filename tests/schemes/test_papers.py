"""Each baseline shows what its own paper says of it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airtune.radio.impairments import Impairments
from airtune.radio.links import single_user_sinr
from airtune.registry import SCHEMES
from airtune.schemes import Link, Signalling, Uploads
from schemes.radio import air_of, gaussian, laplace, link_of, scenario_with, uploads_of

LOW_POWER = {"clients__tx_power_dbm": 0.0, "placement__mode": "fast"}


def snr_db(link: Link) -> list[float]:
    """Return the clients' SNRs alone on the air [dB], a little less, ascending."""
    air = link.perceived.of(np.arange(10))
    snr = single_user_sinr(air.channel, air.covariance, link.radio.powers)
    return sorted((10 * np.log10(snr) - 1e-6).tolist())


def gains_db(name: str, seeds: range, **changes: object) -> np.ndarray:
    """Return the worst client's gain, one figure a seed [dB]."""
    scenario = scenario_with(**{**LOW_POWER, **changes})
    omega = np.full(scenario.clients.count, 1 / scenario.clients.count)
    links = (link_of(scenario, name, seed=seed) for seed in seeds)
    return np.array([10 * np.log10(link.best_beamformer(omega).worst_gain) for link in links])


def test_twice_the_antennas_gain_three_decibels_for_one_client() -> None:
    """Array gain: without interference a lone client's mean SNR is in proportion to N."""
    alone = {"clients__count": 1, "radio__interferers__count": 0, "radio__shadowing_db": 0.0}
    one, two = (
        10 ** (gains_db(name, range(1, 81), clients__distance_m=[300, 300], **alone) / 10)
        for name in ("fixed", "fixed-2n")
    )
    assert 10 * np.log10(two.mean() / one.mean()) == pytest.approx(3.0, abs=0.5)


def test_selection_is_between_fixed_and_movable_in_the_median() -> None:
    fixed, chosen, movable = (
        gains_db(name, range(1, 9)) for name in ("fixed", "selection", "movable")
    )
    assert np.median(fixed) + 1 < np.median(chosen) < np.median(movable) - 1
    assert (chosen >= fixed - 0.2).mean() > 0.8  # the pool does not contain the fixed array


def test_sparse_positions_span_the_region() -> None:
    scenario = scenario_with()
    positions = SCHEMES["sparse"].build(scenario, 1).array.start()
    assert positions.min(axis=0).tolist() == [0.0, 0.0]
    assert positions.max(axis=0).tolist() == list(scenario.array.region)


def test_a_surface_helps_the_weakest_client() -> None:
    fixed, few, many = (
        gains_db(name, range(1, 4), ris__elements=elements)
        for name, elements in (("fixed", 1), ("ris", 16), ("ris", 64))
    )
    assert (many > fixed).all()
    assert np.median(fixed) < np.median(few) < np.median(many)


@pytest.mark.parametrize("rule", ["block", "global"])
def test_cotaf_noise_shrinks_with_the_update_norm(rule: str) -> None:
    """Updates ten times smaller meet noise of a hundredth of the energy; no fixed floor."""
    scenario = scenario_with(**LOW_POWER, aggregation__normalise=rule)
    link = link_of(scenario, "cotaf")
    updates = gaussian(10)

    def noise(updates: np.ndarray) -> float:
        received = air_of(scenario, "cotaf").combine(uploads_of(updates), link, 1.0)
        heard = updates[received.transmitted].astype(np.float32)
        return float(np.sum((received.mean - heard.mean(axis=0)) ** 2))

    assert noise(updates) > 1.0
    assert noise(0.1 * updates) == pytest.approx(0.01 * noise(updates), rel=1e-3)


def test_cotaf_s_factor_is_set_by_the_largest_norm() -> None:
    """One client with a large update makes all others send with less power."""
    scenario = scenario_with(
        **LOW_POWER, aggregation__normalise="global", aggregation__truncation_db=-300
    )
    link, updates = link_of(scenario, "cotaf"), gaussian(10)
    even = air_of(scenario, "cotaf").combine(uploads_of(updates), link, 1.0)
    uneven = updates.copy()
    uneven[0] *= 10
    one_large = air_of(scenario, "cotaf").combine(uploads_of(uneven), link, 1.0)
    assert one_large.uplink_j[1:] == pytest.approx(even.uplink_j[1:] / 100, rel=1e-3)
    assert one_large.uplink_j[0] == pytest.approx(even.uplink_j[0], rel=1e-3)


def test_cotaf_combines_plainly_in_white_noise_and_hears_no_interferer() -> None:
    quiet = link_of(scenario_with(radio__interferers__count=0), "cotaf")
    noisy = scenario_with(radio__interferers__tx_power_dbm=60.0)
    loud = link_of(noisy, "cotaf")
    omega, sizes = np.full(10, 0.1), np.array([3000, 2000])
    h = quiet.perceived.everybody.channel
    w = np.sum(h / np.linalg.norm(h, axis=1)[:, None], axis=0)
    gain = np.min(quiet.radio.powers * np.abs(h @ w.conj()) ** 2 / 0.1**2)
    noise = quiet.perceived.everybody.noise * float(np.sum(np.abs(w) ** 2))
    everybody = scenario_with(radio__interferers__count=0, aggregation__truncation_db=-300)
    forecast = air_of(everybody, "cotaf").forecast(link_of(everybody, "cotaf"), omega, sizes)
    assert forecast.mse == pytest.approx(noise / gain, rel=1e-6)
    # two interferers of a kilowatt, four antennas: the matched filters alone would drown
    assert air_of(noisy, "cotaf").forecast(loud, omega, sizes).mse < 0.9


def test_majority_vote_errs_less_with_more_voters() -> None:
    """Noisy gradients of one truth: the vote's wrong signs fall with K, and below one voter's."""
    rng = np.random.default_rng(0)
    truth = rng.choice([-1.0, 1.0], size=5000)
    wrong = []
    for clients in (1, 5, 25):
        scenario = scenario_with(clients__count=clients, clients__distance_m=[100, 150])
        updates = truth + 2.0 * rng.standard_normal((clients, 5000))
        link = link_of(scenario, "obda")
        received = air_of(scenario, "obda").combine(uploads_of(updates), link, 1.0)
        wrong.append(float(np.mean(np.sign(received.mean) != truth)))
    assert wrong[0] == pytest.approx(0.309, abs=0.03)  # Q(1/2)
    assert wrong[0] > 1.5 * wrong[1] > 4 * wrong[2]


def test_one_bit_sends_half_a_symbol_an_entry_at_one_power() -> None:
    scenario = scenario_with()
    link = link_of(scenario, "obda")
    received = air_of(scenario, "obda").combine(uploads_of(gaussian(10)), link, 1.0)
    radio = scenario.radio
    assert received.uplink_s == pytest.approx(2500 / (radio.bandwidth_hz * radio.efficiency))
    limits = link.radio.powers * received.uplink_s
    assert (received.uplink_j <= limits * (1 + 1e-9)).all()
    # two levels a matrix: the voters' mean modulus with the sign of the vote
    assert len(np.unique(np.abs(received.mean[:3000]))) == 1


def test_without_channel_knowledge_the_vote_takes_four_times_the_airtime() -> None:
    """Two complex symbols an entry in place of half of one; nobody sends beyond its limit."""
    scenario = scenario_with(placement__mode="fast")
    link, updates = link_of(scenario, "non-coherent"), gaussian(10)
    voted = air_of(scenario, "non-coherent").combine(uploads_of(updates), link, 1.0)
    radio = scenario.radio
    assert voted.uplink_s == pytest.approx(2 * 5000 / (radio.bandwidth_hz * radio.efficiency))
    limits = link.radio.powers * voted.uplink_s
    assert (voted.uplink_j <= limits * (1 + 1e-9)).all()
    assert len(np.unique(np.abs(voted.mean[:3000]))) == 1


def test_a_vote_by_energy_is_predicted_and_worse_than_a_coherent_one() -> None:
    """The price of not knowing phases; the forecast is of the law that the votes follow."""
    scenario = scenario_with(placement__mode="fast")
    omega, sizes, errors = np.full(10, 0.1), np.array([3000, 2000]), {}
    for name in ("obda", "non-coherent"):
        link, air = link_of(scenario, name), air_of(scenario, name)
        received = [air.combine(uploads_of(gaussian(10, seed)), link, 1.0) for seed in range(4)]
        errors[name] = float(np.mean([one.mse for one in received]))
        assert air.forecast(link, omega, sizes).mse == pytest.approx(errors[name], rel=0.1)
    assert errors["non-coherent"] > errors["obda"]


def test_words_are_counted_at_the_price_and_with_the_error_stated() -> None:
    """Codebook sums: N real dimensions a vector, and the error of the code book in loud air."""
    scenario = scenario_with(placement__mode="fast", clients__tx_power_dbm=30.0)
    link, air = link_of(scenario, "massive-digital"), air_of(scenario, "massive-digital")
    updates = laplace(10)
    received = air.combine(uploads_of(updates), link, 1.0)
    radio = scenario.radio
    assert received.uplink_s == pytest.approx(2 * 5000 / (radio.bandwidth_hz * radio.efficiency))
    limits = link.radio.powers * received.uplink_s
    assert (received.uplink_j <= limits * (1 + 1e-6)).all()
    forecast = air.forecast(link, np.full(10, 0.1), np.array([3000, 2000]))
    assert forecast.uplink_s == received.uplink_s
    assert received.mse == pytest.approx(forecast.bias, rel=0.1)
    unequal = uploads_of(updates)
    unequal = replace(unequal, omega=np.arange(1.0, 11.0) / 55)
    linear = air.combine(unequal, link, 1.0)
    expected = air.forecast(link, unequal.omega, np.array([3000, 2000]))
    assert linear.mse == pytest.approx(expected.mse, rel=0.15)


def test_counted_words_lose_the_noise_that_a_sum_keeps() -> None:
    """What comes on top of the code book falls faster with power than the noise of a sum."""
    counted, summed = [], []
    for power in (20.0, 26.0, 60.0):
        scenario = scenario_with(placement__mode="fast", clients__tx_power_dbm=power)
        link, uploads = link_of(scenario, "fixed"), uploads_of(laplace(10))
        received = air_of(scenario, "massive-digital").combine(uploads, link, 1.0)
        assert received.transmitted.all()
        counted.append(received.mse)
        summed.append(air_of(scenario, "fixed").combine(uploads, link, 1.0).mse)
    noises, on_top = (np.array(m[:2]) - m[2] for m in (summed, counted))
    assert noises[0] / noises[1] == pytest.approx(10**0.6, rel=0.15)
    assert on_top[0] > 3 * on_top[1] * noises[0] / noises[1]
    assert 0 < on_top[0] < noises[0]


def test_truncation_trades_participation_for_noise() -> None:
    """A higher threshold silences more clients and leaves less noise; auto takes the least sum."""
    updates, errors, noises, counts = gaussian(10), [], [], []
    for threshold in [-300.0, *snr_db(link_of(scenario_with(**LOW_POWER), "truncated"))]:
        scenario = scenario_with(**LOW_POWER, aggregation__truncation_db=threshold)
        link = link_of(scenario, "truncated")
        air = air_of(scenario, "truncated")
        forecast = air.forecast(link, np.full(10, 0.1), np.array([3000, 2000]))
        noises.append(forecast.mse - forecast.bias)
        errors.append(forecast.mse)
        counts.append(int(air.combine(uploads_of(updates), link, 1.0).transmitted.sum()))
    assert counts == [10, *range(10, 0, -1)]
    # with few left the weights of those grow, and with them what their powers have to reach
    assert noises[0] > noises[2] > noises[3]
    assert noises[-1] == min(noises)
    auto = scenario_with(**LOW_POWER)
    least = air_of(auto, "truncated").forecast(
        link_of(auto, "truncated"), np.full(10, 0.1), np.array([3000, 2000])
    )
    assert least.mse <= min(errors) * (1 + 1e-3)
    assert least.mse < errors[0]  # some silence is better than none


@pytest.mark.parametrize("name", ["truncated", "cotaf", "obda", "non-coherent", "massive-digital"])
def test_nobody_above_the_threshold_sends_nothing(name: str) -> None:
    scenario = scenario_with(aggregation__truncation_db=200.0)
    link = link_of(scenario, name)
    assert air_of(scenario, name).combine(uploads_of(gaussian(10)), link, 1.0) is None
    forecast = air_of(scenario, name).forecast(link, np.full(10, 0.1), np.array([3000, 2000]))
    assert forecast.mse == forecast.bias == pytest.approx(0.1)
    assert forecast.uplink_s == 0.0


def test_who_stays_silent_reports_nothing_but_sends_pilots() -> None:
    scenario = scenario_with()
    link, air = link_of(scenario, "truncated"), air_of(scenario, "truncated")
    clients, sizes = np.arange(10), np.array([3000, 2000])
    all_report = air.overheads(link, link, clients, sizes)
    some = air.overheads(link, link, clients, sizes, Signalling(reporting=clients >= 4))
    nobody = air.overheads(link, link, clients, sizes, Signalling(reporting=clients < 0))
    radio = scenario.radio
    pilots = radio.pilot_symbols_per_client / radio.bandwidth_hz
    assert nobody.pilot_s == pytest.approx(10 * pilots)
    assert nobody.pilot_j == pytest.approx(link.radio.powers * pilots)
    assert some.pilot_j[:4] == pytest.approx(nobody.pilot_j[:4])
    assert some.pilot_j[4:] == pytest.approx(all_report.pilot_j[4:])
    assert nobody.pilot_s < some.pilot_s < all_report.pilot_s
    assert some.downlink_s == all_report.downlink_s


def test_truncated_weights_are_brought_back_to_one() -> None:
    threshold = snr_db(link_of(scenario_with(), "truncated"))[4]
    scenario = scenario_with(aggregation__truncation_db=threshold)
    link = link_of(scenario, "truncated")
    updates = np.arange(1.0, 11.0)[:, None] + 1e-6 * gaussian(10)
    received = air_of(scenario, "truncated").combine(uploads_of(updates), link, 1.0)
    heard = np.flatnonzero(received.transmitted)
    assert len(heard) == 6
    assert received.mean == pytest.approx(np.mean(heard + 1.0), abs=1e-3)
    assert (received.uplink_j > 0).tolist() == received.transmitted.tolist()


def test_digital_error_falls_with_the_bits_and_airtime_grows() -> None:
    errors, times = [], []
    for bits in (2, 4, 8, 16):
        scenario = scenario_with(digital__bits=bits, digital__quantizer="uniform")
        link = link_of(scenario, "digital")
        received = air_of(scenario, "digital").combine(uploads_of(gaussian(10)), link, 1.0)
        errors.append(received.mse)
        times.append(received.uplink_s)
    assert all(b < a / 10 for a, b in itertools.pairwise(errors))
    assert times == sorted(times)


def test_error_feedback_beats_none_over_the_rounds() -> None:
    """Gradient descent on a quadratic with two bits an entry: what is lost is sent later."""
    distance = {}
    for feedback in (True, False):
        scenario = scenario_with(
            digital__quantizer="uniform",
            digital__bits=2,
            digital__error_feedback=feedback,
            clients__count=3,
        )
        link = link_of(scenario, "digital")
        optima = np.random.default_rng(0).standard_normal((3, 200)) ** 3
        theta, memory = np.zeros(200), {}
        for _ in range(40):
            uploads = uploads_of(theta - optima, np.array([200]), memory=memory)
            received = air_of(scenario, "digital").combine(uploads, link, 1.0)
            memory = received.memory
            theta = theta - 0.3 * received.mean
        distance[feedback] = float(np.linalg.norm(theta - optima.mean(axis=0)))
    assert distance[True] < 0.3 * distance[False]


def test_capped_alignment_errs_less_than_forcing_where_clients_are_weak() -> None:
    realised = {}
    for alignment in ("forcing", "capped"):
        scenario = scenario_with(clients__tx_power_dbm=-15.0, aggregation__alignment=alignment)
        realised[alignment] = [
            air_of(scenario, "fixed")
            .combine(uploads_of(gaussian(10)), link_of(scenario, "fixed", seed=seed), 1.0)
            .mse
            for seed in range(1, 6)
        ]
    assert np.median(realised["forcing"]) > 1.0
    assert max(realised["capped"]) < 0.11  # sending nothing leaves 0.1
    assert all(a > b for a, b in zip(*realised.values(), strict=True))


def of_words(omega: np.ndarray, **wrong: Any) -> Uploads:
    """Uploads in nearly silent air, with what goes wrong with them."""
    still = np.zeros(3)
    given = {"phases": still, "delays": still, "sent": np.ones(3), "report_factors": np.ones(3)}
    impairments = Impairments(np.full(3, 10.0), **(given | wrong))
    return replace(uploads_of(laplace(3)), omega=omega, impairments=impairments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"phases": np.array([1.0, -0.5, 0.2])},
        {"sent": np.array([1.0, 0.4, 1.0])},
        {"report_factors": np.array([1.0, 30.0, 1.0])},
        {"report_factors": np.array([1e5, 1.0, 1.0]), "phases": np.array([0.0, 0.4, 0.0])},
        {"delays": np.array([0.5, 0.3, -0.4])},
        {"delays": np.full(3, 0.2), "sent": np.full(3, 0.7), "phases": np.full(3, 0.3)},
    ],
)
def test_a_bias_of_counted_words_is_booked(wrong: dict[str, np.ndarray]) -> None:
    """It is at least what the fault shifts the mean by in air without noise, and no guess."""
    scenario = scenario_with(
        clients__count=3, clients__tx_power_dbm=40.0, radio__interferers__count=0
    )
    link, air = link_of(scenario, "massive-digital"), air_of(scenario, "massive-digital")
    for omega in (np.array([0.2, 0.3, 0.5]), np.full(3, 1 / 3)):
        right, met = (
            air.combine(one, link, 1.0) for one in (of_words(omega), of_words(omega, **wrong))
        )
        assert right.squared_bias < 1e-12
        shift = float(np.sum((met.mean - right.mean) ** 2))
        if np.ptp(omega):  # the estimate is linear, so the sums are shifted by just what is off
            assert shift < met.squared_bias * (1 + 1e-4)
        # how the three are correlated is not known: they add up
        assert 0.5 * shift < met.squared_bias < 60 * shift


def test_the_booked_bias_of_one_client_s_words_is_what_they_move() -> None:
    """One client goes wrong in air without noise: its shift is the whole error, and is booked."""
    scenario = scenario_with(
        clients__count=3, clients__tx_power_dbm=40.0, radio__interferers__count=0
    )
    link, air = link_of(scenario, "massive-digital"), air_of(scenario, "massive-digital")
    omega = np.array([0.2, 0.3, 0.5])
    for wrong in (
        {"phases": np.array([0.0, 0.6, 0.0])},
        {"delays": np.array([0.0, 0.4, 0.0])},
        {"sent": np.array([1.0, 0.3, 1.0])},
    ):
        right, met = (
            air.combine(one, link, 1.0) for one in (of_words(omega), of_words(omega, **wrong))
        )
        shift = float(np.sum((met.mean - right.mean) ** 2))
        assert shift == pytest.approx(met.squared_bias, rel=0.05)
