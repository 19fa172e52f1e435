"""Schemes over several resource blocks: channels, errors, rates, books, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airtune.band import block_offsets
from airtune.errors import InputError
from airtune.radio.access import upload
from airtune.radio.channels import Paths, Transmitters
from airtune.radio.channels.base import Block
from airtune.radio.channels.path_file import read_paths
from airtune.radio.impairments import Impairments
from airtune.radio.over_the_air import aggregate
from airtune.radio.scales import normalise_updates, report_scales
from airtune.radio.successive import sic_rates
from airtune.radio.transmission import Air, Transmission, uniform_forcing
from airtune.radio.wide_air import aggregate_subbands
from airtune.registry import CHANNELS, SCHEMES
from airtune.scenario import Scenario
from airtune.schemes import Link, RadioRound
from schemes.radio import SIZES, air_of, gaussian, link_of, radio_of, scenario_with, uploads_of

DELAYED = {"radio__paths__delay_spread_s": 1e-6, "placement__mode": "fast"}
WIDE = {"radio__resource_blocks": 4, **DELAYED}
OMEGA = np.full(10, 0.1)


def without_delays(link: Link) -> Link:
    """The link of a channel whose paths all arrive at once."""

    def flat(one: Transmitters) -> Transmitters:
        both = (one.clients, one.interferers)
        return Transmitters(*(replace(p, delays=np.zeros_like(p.delays)) for p in both))

    block = link.radio.block
    at_once = Block(flat(block.true), flat(block.perceived))
    return replace(link, radio=replace(link.radio, block=at_once))


def test_two_paths_by_hand() -> None:
    gains, delays = np.array([[1.0 + 0j, 0.5]]), np.array([[0.0, 0.5e-6]])
    paths = Paths(gains, np.zeros((1, 2, 2)), delays)
    both = Transmitters(paths, paths.of(np.arange(0)))
    low, high = Block(both, both).subbands(2e6, 2)
    # middles at -0.5 and +0.5 MHz: the second path is turned by a quarter
    np.testing.assert_allclose(low.true.clients.gains, [[1.0, 0.5j]], atol=1e-15)
    np.testing.assert_allclose(high.true.clients.gains, [[1.0, -0.5j]], atol=1e-15)
    assert high.perceived is high.true and high.true.clients.delays is delays


def test_delays_of_which_no_phase_is_known_are_refused() -> None:
    paths = Paths(np.ones((1, 2), complex), np.zeros((1, 2, 2)), np.array([[0.0, 1e4]]))
    both = Transmitters(paths, paths.of(np.arange(0)))
    with pytest.raises(InputError, match=r"delays of the paths: must be at most 1000 s in a band"):
        Block(both, both).subbands(1e6, 2)
    assert len(Block(both, both).subbands(1e5, 2)) == 2


def test_a_transmission_for_each_block_is_asked_for() -> None:
    common = normalise_updates(report_scales(np.eye(3, 8), (8,)), np.full(3, 1 / 3), "block")
    air = noisy(0, 0.1)
    one = uniform_forcing(air.channel, np.ones(2), common.effective_weights, np.ones(3))
    with pytest.raises(ValueError, match="2 resource blocks need 2 transmissions"):
        aggregate_subbands(np.eye(3, 8), common, [one], [air, air], np.random.default_rng(1))


def test_taps_at_the_rate_of_the_band_are_a_discrete_fourier_transform() -> None:
    count, bandwidth = 8, 3e6
    rng = np.random.default_rng(1)
    taps = rng.standard_normal(count) + 1j * rng.standard_normal(count)
    times = np.arange(count)
    paths = Paths(taps[None], np.zeros((1, count, 2)), times[None] / bandwidth)
    both = Transmitters(paths, paths.of(np.arange(0)))
    found = [one.true.clients.gains.sum() for one in Block(both, both).subbands(bandwidth, count)]
    # the first block lies (I - 1) / 2 blocks below the carrier
    shifted = taps * np.exp(1j * np.pi * times * (count - 1) / count)
    np.testing.assert_allclose(found, np.fft.fft(shifted), rtol=1e-12)
    assert block_offsets(bandwidth, count).sum() == 0


@pytest.mark.parametrize("source", ["tracks", "umi.npz"])
def test_every_source_brings_its_delays(source: str) -> None:
    given = {"radio__channel": "tracks"}
    if source == "umi.npz":
        path = Path(__file__).parents[1] / "radio" / "channels" / source
        count, others = (len(one.gains) for one in _both(read_paths(path).blocks[0]))
        given = {
            "radio__channel": "file",
            "radio__channel_file": str(path),
            "clients__count": count,
            "radio__interferers__count": others,
        }
    wide = scenario_with(**given, radio__resource_blocks=5, radio__bandwidth_hz=2e7)
    channel = CHANNELS[wide.radio.channel](wide.radio, wide.clients, 1)
    radio = RadioRound.of(wide, 1, 0, channel.block(0))
    places = np.array([[0.0, 0.0], [0.5, 1.2], [2.0, 3.0], [1.0, 2.5]])
    found = np.array([one.true.everybody.channel for one in radio.at(places).subbands])
    paths = radio.true.clients
    for index, offset in enumerate(block_offsets(2e7, 5)):
        phases = paths.directions @ places.T - offset * paths.delays[..., None]
        by_hand = np.einsum("kl,kln->kn", paths.gains, np.exp(2j * np.pi * phases))
        size = np.abs(by_hand).max(axis=1, keepdims=True)
        np.testing.assert_allclose(found[index] / size, by_hand / size, atol=1e-9)
    assert np.abs(found[0] - found[4]).max() > 0.01 * np.abs(found[0]).max()


def _both(one: Transmitters) -> tuple[Paths, Paths]:
    return one.clients, one.interferers


@pytest.mark.parametrize("scheme", ["movable", "fixed", "selection", "digital"])
def test_without_delays_a_wide_band_is_a_narrow_one(scheme: str) -> None:
    narrow, wide = scenario_with(**DELAYED), scenario_with(**WIDE)
    updates = uploads_of(gaussian(10))
    found = []
    for scenario in (narrow, wide):
        radio = without_delays(radio_of(scenario).at(np.zeros((1, 2)))).radio
        policy = SCHEMES[scheme].build(scenario, 1).array
        link = policy.link(radio, OMEGA, policy.place(radio, OMEGA, policy.start()))
        air = air_of(scenario, scheme)
        got = air.combine(updates, link, 0.5)
        found.append((link.positions, air.forecast(link, OMEGA, SIZES).mse, got))
    (places, error, one), (same, again, other) = found
    np.testing.assert_array_equal(places, same)
    assert error == again
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_allclose(one.uplink_j, other.uplink_j, rtol=1e-12)
    assert one.uplink_s == pytest.approx(other.uplink_s, rel=1e-12)


def test_vanishing_delays_change_nothing() -> None:
    wide = scenario_with(**(WIDE | {"radio__paths__delay_spread_s": 1e-11}))
    link, air = link_of(wide, "fixed"), air_of(wide, "fixed")
    flat = without_delays(link)
    assert len(link.subbands) == 4 and flat.subbands == (flat,)
    near, far = (air.forecast(one, OMEGA, SIZES).mse for one in (link, flat))
    assert near == pytest.approx(far, rel=1e-3)
    bits = air_of(wide, "digital")
    rates = [bits.single_user_rates(one, np.arange(10)) for one in (link, flat)]
    np.testing.assert_allclose(*rates, rtol=1e-4)


@pytest.mark.parametrize("alignment", ["forcing", "capped"])
def test_the_error_is_the_mean_over_the_blocks(alignment: str) -> None:
    wide = scenario_with(**WIDE, aggregation__alignment=alignment, clients__tx_power_dbm=-20.0)
    link, air = link_of(wide, "fixed"), air_of(wide, "fixed")
    forecast = air.forecast(link, OMEGA, SIZES)
    narrow = air_of(scenario_with(**DELAYED, aggregation__alignment=alignment), "fixed")
    each = [narrow.forecast(one, OMEGA, SIZES).mse for one in link.subbands]
    assert forecast.mse == pytest.approx(np.mean(each), rel=1e-12)
    assert max(each) > 1.02 * min(each)  # the blocks differ
    got = air.combine(uploads_of(gaussian(10)), link, 1.0)
    assert got.predicted_mse == pytest.approx(forecast.mse, rel=0.05)
    assert got.mse == pytest.approx(forecast.mse, rel=0.15)
    assert (got.uplink_j <= link.radio.powers * got.uplink_s * (1 + 1e-9)).all()


def noisy(seed: int, noise: float) -> Air:
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((3, 2)) + 1j * rng.standard_normal((3, 2))
    v = rng.standard_normal((1, 2)) + 1j * rng.standard_normal((1, 2))
    return Air(h, v, np.array([noise]), noise)


@pytest.mark.parametrize("form", ["scalar", "waveform"])
@pytest.mark.parametrize("sizes", [(401, 2000, 300), (3, 2)])
def test_symbols_go_round_the_blocks(form: str, sizes: tuple[int, ...]) -> None:
    rng, weights = np.random.default_rng(3), np.array([0.2, 0.3, 0.5])
    updates = rng.standard_normal((3, sum(sizes))) + 1.0
    updates[:, : sizes[0]] = 0.0  # a matrix that is not sent
    common = normalise_updates(report_scales(updates, sizes), weights, "block")
    airs = [noisy(seed, 0.0) for seed in range(4)]
    sent = [
        uniform_forcing(air.channel, np.ones(2), common.effective_weights, np.ones(3))
        for air in airs
    ]
    sent[1] = Transmission(sent[1].beamformer, 0.0 * sent[1].scalars)  # all are silent in block 1
    got = aggregate_subbands(updates, common, sent, airs, rng, form=form)
    wrong = np.abs(got.mean - weights @ updates) > 1e-9
    assert not wrong[: sizes[0]].any()
    order = np.arange(common.entries) // 2 % 4
    expected = order == 1
    np.testing.assert_array_equal(wrong[sizes[0] :], expected)
    assert got.symbols == -(-common.entries // 2)
    np.testing.assert_allclose(got.powers, np.mean([one.powers for one in sent], axis=0))
    carried = min(4, got.symbols)
    assert len(got.parts) == carried
    if carried == 4:
        assert got.predicted_mse == pytest.approx(
            np.mean(order[::2] == 1) * np.sum(common.effective_weights**2)
        )


def test_noise_of_each_block_is_that_of_its_air() -> None:
    rng, weights = np.random.default_rng(4), np.full(3, 1 / 3)
    updates = rng.standard_normal((3, 40_000))
    common = normalise_updates(report_scales(updates, (40_000,)), weights, "block")
    airs = [noisy(0, 0.1), noisy(1, 2.0)]
    nu = common.effective_weights
    sent = [uniform_forcing(air.channel, np.ones(2), nu, np.ones(3)) for air in airs]
    got = aggregate_subbands(updates, common, sent, airs, rng)
    alone = [
        aggregate(updates, common, one, air, rng).predicted_mse
        for one, air in zip(sent, airs, strict=True)
    ]
    assert got.predicted_mse == pytest.approx(np.mean(alone), rel=1e-12)
    assert got.realised_mse == pytest.approx(np.mean(alone), rel=0.05)
    assert [part.predicted_mse for part in got.parts] == pytest.approx(alone, rel=1e-12)


def test_rates_are_means_over_the_blocks() -> None:
    wide = scenario_with(**WIDE)
    link, air, clients = link_of(wide, "digital"), air_of(wide, "digital"), np.arange(10)
    radio, powers = wide.radio, link.radio.powers
    alone, together = np.zeros(10), 0.0
    for one in link.subbands:
        met = one.true.of(clients)
        signal = np.einsum("kn,nm,km->k", met.channel.conj(), np.linalg.inv(met.covariance),
                           met.channel).real  # fmt: skip
        alone += np.log2(1 + powers * signal)
        sent = np.einsum("k,kn,km->nm", powers, met.channel, met.channel.conj())
        whole = np.eye(len(sent)) + np.linalg.solve(met.covariance, sent)
        together += np.log2(np.linalg.det(whole).real)
    share = radio.bandwidth_hz * radio.efficiency / 4
    gap = wide.model_copy(update={"digital": wide.digital.model_copy(update={"snr_gap_db": 0.0})})
    air = SCHEMES["digital"].build(gap, 1).air
    np.testing.assert_allclose(air.single_user_rates(link, clients), share * alone, rtol=1e-9)
    rates = sic_rates(air.uplink(link, clients), clients[::-1])
    assert rates.sum() == pytest.approx(share * together, rel=1e-9)


def test_a_message_needs_no_longer_than_one_client_after_the_other() -> None:
    wide = scenario_with(**WIDE)
    link, air = link_of(wide, "digital"), air_of(wide, "digital")
    uplink, bits = air.uplink(link, np.arange(10)), np.full(10, 1e4)
    times = {kind: upload(uplink, bits, kind).time_s for kind in ("tdma", "ofdma", "sdma", "best")}
    assert times["best"] == min(times.values()) == times["sdma"] < times["tdma"]
    assert times["ofdma"] <= times["tdma"] * (1 + 1e-9)


def test_the_broadcast_has_blocks_of_its_own_band() -> None:
    wide = scenario_with(**WIDE, radio__downlink_precoding="space-time")
    link, air, clients = link_of(wide, "fixed"), air_of(wide, "fixed"), np.arange(10)
    radio, rate = wide.radio, np.zeros(10)
    noise = 10 ** ((radio.noise_psd_dbm_hz + radio.noise_figure_db - 30) / 10)
    for offset in block_offsets(radio.downlink_bandwidth_hz, 4):
        paths = link.radio.true.clients.at_offset(offset)
        turns = np.exp(2j * np.pi * paths.directions @ link.positions.T)
        h = np.einsum("kl,kln->kn", paths.gains, turns)
        ratio = np.mean(np.abs(h) ** 2, axis=1) * 10 ** (radio.base_station_power_dbm / 10 - 3)
        rate += np.log2(1 + ratio / (noise * radio.downlink_bandwidth_hz)) / 4
    bits = SIZES.sum() * radio.downlink_bits
    expected = bits / (radio.downlink_bandwidth_hz * radio.efficiency * rate.min())
    booked = air.overheads(link, link, clients, SIZES)
    assert booked.downlink_s == pytest.approx(expected, rel=1e-9)


def test_books_count_the_longest_block() -> None:
    wide = scenario_with(**(WIDE | {"radio__resource_blocks": 3}))
    air, per_symbol = air_of(wide, "fixed"), 1 / (wide.radio.bandwidth_hz * wide.radio.efficiency)
    assert air.airtime(12) == pytest.approx(6 * per_symbol)  # two symbols in each block
    assert air.airtime(13) == pytest.approx(9 * per_symbol)  # a seventh symbol: three in one


@pytest.mark.parametrize("scheme", ["movable", "selection", "selection-compact"])
def test_places_are_chosen_for_all_blocks(scheme: str) -> None:
    wide = scenario_with(**WIDE)
    radio, air = radio_of(wide), air_of(wide, "movable")
    policy = SCHEMES[scheme].build(wide, 1).array
    middle = policy.place(radio.subbands[2], OMEGA, policy.start())
    chosen = policy.place(radio, OMEGA, policy.start())
    errors = [air.forecast(radio.at(r), OMEGA, SIZES).mse for r in (chosen, middle)]
    assert errors[0] <= errors[1] * (1 + 1e-6)
    fixed = link_of(wide, "fixed")
    assert errors[0] < air.forecast(fixed, OMEGA, SIZES).mse


def test_faults_of_symbols_act_in_all_blocks() -> None:
    wide = scenario_with(**WIDE, faults__synchronisation__phase_deg=20.0)
    link, air = link_of(wide, "fixed"), air_of(wide, "fixed")
    zero, one = np.zeros(10), np.ones(10)
    wrong = Impairments(link.radio.powers, np.full(10, np.pi), zero, one, one, None)
    good = air.combine(uploads_of(gaussian(10)), link, 1.0)
    bad = air.combine(uploads_of(gaussian(10), impairments=wrong), link, 1.0)
    # every symbol arrives with the other sign
    assert bad.squared_bias > 3.5 * np.sum(0.1**2 * np.ones(10)) > good.squared_bias
    np.testing.assert_allclose(bad.alignment, -1.0, atol=1e-6)


@pytest.mark.parametrize("scheme", ["ris", "obda", "cotaf", "truncated", "massive-digital"])
def test_schemes_for_one_channel_are_refused(scheme: str) -> None:
    wide = scenario_with(**WIDE)
    with pytest.raises(InputError, match="resource_blocks = 4: must be 1 with the schemes") as e:
        SCHEMES[scheme].build(wide, 1)
    assert scheme in str(e.value) and len(str(e.value)) < 400
    SCHEMES[scheme].build(scenario_with(**DELAYED), 1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"radio": {"resource_blocks": 0}}, "resource_blocks"),
        ({"radio": {"resource_blocks": 257}}, "resource_blocks"),
        ({"radio": {"resource_blocks": 2, "csi": {"beamformer": "measured"}}}, "measured"),
        (
            {"radio": {"resource_blocks": 2}, "clients": {"selection": "joint", "concurrency": 2}},
            "clients.selection = joint",
        ),
        (
            {"radio": {"resource_blocks": 2}, "faults": {"amplifier": {"clip_db": 3.0}}},
            "faults.amplifier.clip_db",
        ),
    ],
)
def test_settings_for_one_channel_are_refused(changes: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Scenario.model_validate(changes)
