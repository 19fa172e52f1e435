"""Airtimes of the multiple access schemes against closed forms and the capacity region."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from airtune.kinds import Real
from airtune.radio import successive
from airtune.radio.access import at_once, ofdma, tdma, upload
from airtune.radio.successive import sdma, sic_rates
from airtune.radio.transmission import Air
from airtune.radio.uplink import Known, Uplink

BITS = 1e5


def draw(seed: int, clients: int, antennas: int, gap_db: float = 0.0) -> tuple[Uplink, Real]:
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, clients + 1, antennas)) * np.sqrt(0.5)
    h = parts[0] + 1j * parts[1]
    R = 0.1 * np.eye(antennas) + np.outer(h[-1], h[-1].conj())
    powers = rng.uniform(0.1, 2.0, clients)
    return Uplink(h[:-1], R, powers, 1e6, 0.9, gap_db), BITS * rng.uniform(0.5, 1.5, clients)


def least_time(uplink: Uplink, bits: Real) -> float:
    """Least T with bits / T in the capacity region: every subset's sum rate is enough."""
    times = []
    for size in range(1, len(bits) + 1):
        for subset in map(list, itertools.combinations(range(len(bits)), size)):
            h = uplink.channel[subset]
            signal = (h.T * uplink.powers[subset]) @ h.conj()
            _, logdet = np.linalg.slogdet(
                np.eye(h.shape[1]) + np.linalg.solve(uplink.covariance, signal)
            )
            times.append(bits[subset].sum() / (0.9e6 * logdet / np.log(2)))
    return max(times)


@pytest.mark.parametrize(("clients", "antennas"), [(2, 1), (3, 4), (5, 2)])
def test_all_at_once_takes_the_least_time_of_the_capacity_region(
    clients: int, antennas: int
) -> None:
    for seed in range(4):
        uplink, bits = draw(seed, clients, antennas)
        assert sdma(uplink, bits).time_s == pytest.approx(least_time(uplink, bits), rel=1e-6)


def test_rates_of_every_order_add_up_to_the_log_determinant() -> None:
    uplink, bits = draw(3, 4, 3)
    h = uplink.channel
    signal = (h.T * uplink.powers) @ h.conj()
    _, logdet = np.linalg.slogdet(np.eye(3) + np.linalg.solve(uplink.covariance, signal))
    for order in itertools.permutations(range(4)):
        rates = sic_rates(uplink, np.array(order))
        assert rates.sum() == pytest.approx(0.9e6 * logdet / np.log(2), rel=1e-9)
    alone = bits / tdma(uplink, bits).times_s
    for k in range(4):  # who is decoded last meets no other
        order = np.array([i for i in range(4) if i != k] + [k])
        assert sic_rates(uplink, order)[k] == pytest.approx(alone[k])


def test_two_clients_side_by_side_end_at_the_best_share() -> None:
    uplink, bits = draw(1, 2, 2)
    snr = np.array(
        [
            p * (h.conj() @ np.linalg.solve(uplink.covariance, h)).real
            for p, h in zip(uplink.powers, uplink.channel, strict=True)
        ]
    )
    share = np.linspace(1e-4, 1 - 1e-4, 200_001)
    times = [
        d / (0.9e6 * b * np.log2(1 + s / b))
        for d, s, b in zip(bits, snr, (share, 1 - share), strict=True)
    ]
    assert ofdma(uplink, bits).time_s == pytest.approx(np.min(np.maximum(*times)), rel=1e-6)


@pytest.mark.parametrize("access", ["ofdma", "sdma", "best"])
@pytest.mark.parametrize("clients", [2, 3, 12])
def test_far_below_the_noise_all_end_with_who_is_the_slowest_alone(
    clients: int, access: str
) -> None:
    """The least time of the capacity region tends to that: who is not heard disturbs nobody."""
    for decade in range(-24, 1, 3):
        for seed in range(3):
            uplink, bits = draw(seed, clients, 4)
            weak = 10.0 ** (decade / 2) * np.logspace(0, -seed, clients)[:, None]
            uplink = replace(uplink, channel=weak * uplink.channel)
            alone = tdma(uplink, bits).times_s
            time = upload(uplink, bits, access).time_s
            assert alone.max() * (1 - 1e-9) <= time <= alone.sum() * (1 + 1e-9)
            if decade <= -9:
                assert time == pytest.approx(alone.max(), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_at_once_is_never_later_than_side_by_side_than_in_turn(seed: int) -> None:
    uplink, bits = draw(seed, 1 + seed, 3)
    turn, side, once = (way(uplink, bits) for way in (tdma, ofdma, sdma))
    assert once.time_s <= side.time_s * (1 + 1e-6)
    assert side.time_s <= turn.time_s * (1 + 1e-9)
    best = upload(uplink, bits, "best")
    assert best.time_s <= once.time_s * (1 + 1e-9)
    for airtime in (turn, side):
        assert airtime.energies_j == pytest.approx(uplink.powers * airtime.times_s)
    assert (once.energies_j <= uplink.powers * once.times_s * (1 + 1e-9)).all()


def test_a_gap_of_the_code_costs_time_in_every_access() -> None:
    plain, bits = draw(2, 4, 2)
    poor, _ = draw(2, 4, 2, gap_db=5.0)
    for access in ("tdma", "ofdma", "sdma"):
        assert upload(poor, bits, access).time_s > 1.1 * upload(plain, bits, access).time_s


@pytest.mark.parametrize("gap_db", [0.0, 3.0])
def test_who_is_done_early_sends_with_less_power_at_once(gap_db: float) -> None:
    """A client 40 dB weaker sets the time; the others' powers still carry their bits."""
    for seed in range(4):
        uplink, bits = draw(seed, 4, 3, gap_db)
        weak = replace(uplink, channel=uplink.channel * np.array([1e-2, 1, 1, 1])[:, None])
        sent = sdma(weak, bits)
        powers = sent.energies_j / sent.times_s
        assert powers[0] == pytest.approx(weak.powers[0])
        assert (powers[1:] < 0.5 * weak.powers[1:]).all()
        lowered = replace(weak, powers=powers)
        assert least_time(lowered, bits) <= sent.time_s * (1 + 1e-6)
        assert sdma(lowered, bits).time_s == pytest.approx(sent.time_s, rel=1e-5)


def test_two_clients_at_once_need_the_powers_of_the_closed_form() -> None:
    """One antenna, one decoding order: the weak client last, at full power and alone."""
    h = np.array([[0.01], [1.0]], dtype=complex)
    uplink = Uplink(h, np.array([[0.1]], dtype=complex), np.array([1.0, 1.0]), 1e6, 1.0)
    bits = np.array([1e5, 1e5])
    sent = sdma(uplink, bits)
    alone = 1e5 / (1e6 * np.log2(1 + 1e-4 / 0.1))
    assert sent.time_s == pytest.approx(alone, rel=1e-6)
    strong = (2 ** (1e5 / (1e6 * alone)) - 1) * (0.1 + 1e-4)
    assert sent.energies_j == pytest.approx(alone * np.array([1.0, strong]), rel=1e-4)


def unjammed(uplink: Uplink, seed: int) -> Uplink:
    """The uplink with a jammer of which the server does not know."""
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, uplink.channel.shape[1]))
    v = 3.0 * (parts[0] + 1j * parts[1])
    loud = uplink.covariance + np.outer(v, v.conj())
    return replace(uplink, covariance=loud, known=Known(uplink.channel, uplink.covariance))


def test_what_is_known_right_is_not_told_apart() -> None:
    uplink, _ = draw(1, 3, 2)
    air = Air(uplink.channel, np.ones((1, 2), complex), np.ones(1), 0.5)
    quiet = replace(air, interference_powers=np.zeros(1))
    known = [Uplink.over([air], [one], np.ones(3), (1e6, 1.0)).known for one in (air, quiet)]
    assert known[0] is None and known[1] is not None
    assert uplink.expected is uplink


@pytest.mark.parametrize("seed", range(4))
def test_receivers_are_made_from_what_is_known(seed: int) -> None:
    """The SINR of known MMSE filters in the true air, each written out by a matrix of its own."""
    expected, bits = draw(seed, 4, 3)
    uplink = unjammed(expected, seed)
    rng = np.random.default_rng(seed)
    off = 0.3 * rng.standard_normal(uplink.channel.shape)
    uplink = replace(uplink, known=Known(uplink.channel + off, expected.covariance))
    order = rng.permutation(4)
    rates = sic_rates(uplink, order)
    for at, k in enumerate(order):
        believed, true = uplink.known.covariance, uplink.covariance
        for j in order[at + 1 :]:
            power, guess, h = uplink.powers[j], uplink.known.channel[j], uplink.channel[j]
            believed = believed + power * np.outer(guess, guess.conj())
            true = true + power * np.outer(h, h.conj())
        w = np.linalg.inv(believed) @ uplink.known.channel[k]
        signal = uplink.powers[k] * abs(w.conj() @ uplink.channel[k]) ** 2
        sinr = signal / (w.conj() @ true @ w).real
        assert rates[k] == pytest.approx(0.9e6 * np.log2(1 + sinr), rel=1e-9)
    last = order[-1]
    assert bits[last] / tdma(uplink, bits).times_s[last] == pytest.approx(rates[last], rel=1e-9)


@pytest.mark.parametrize("access", ["tdma", "ofdma", "sdma", "best"])
@pytest.mark.parametrize("seed", range(3))
def test_who_does_not_know_the_air_sends_longer(access: str, seed: int) -> None:
    expected, bits = draw(seed, 4, 3)
    uplink = unjammed(expected, seed)
    knowing = replace(uplink, known=None)
    assert upload(uplink.expected, bits, access).time_s == upload(expected, bits, access).time_s
    sent = upload(uplink, bits, access)
    assert sent.time_s > 1.05 * upload(knowing, bits, access).time_s
    assert (sent.energies_j <= uplink.powers * sent.times_s * (1 + 1e-9)).all()
    # knowledge that is hardly wrong costs hardly anything
    near = Known(uplink.channel * (1 + 1e-7j), uplink.covariance * (1 + 1e-7))
    almost = upload(replace(knowing, known=near), bits, access)
    right = upload(knowing, bits, access)
    assert almost.times_s == pytest.approx(right.times_s, rel=1e-3)
    assert almost.energies_j == pytest.approx(right.energies_j, rel=1e-3)


def test_the_access_is_the_one_that_should_end_first() -> None:
    """What the server expects decides, also where another access would have been faster."""
    fooled = 0
    for seed in range(6):
        expected, bits = draw(seed, 3, 2)
        uplink = unjammed(expected, seed)
        ways = {name: upload(uplink, bits, name).time_s for name in ("tdma", "ofdma", "sdma")}
        hoped = {name: upload(expected, bits, name).time_s for name in ways}
        best = min(hoped, key=hoped.__getitem__)
        assert upload(uplink, bits, "best").time_s == ways[best]
        fooled += ways[best] > min(ways.values())
    assert fooled > 0


@pytest.mark.parametrize(("gap_db", "apart"), [(0.0, 1e-6), (3.0, 0.02)])  # a gap: no optimum
def test_few_first_orders_lead_to_the_least_time_too(
    monkeypatch: pytest.MonkeyPatch, gap_db: float, apart: float
) -> None:
    uplink, bits = draw(3, 12, 4, gap_db)
    most = sdma(uplink, bits)
    monkeypatch.setattr(successive, "_ALL_FIRST", 5)
    monkeypatch.setattr(successive, "_SOME_FIRST", 3)
    assert sdma(uplink, bits).time_s == pytest.approx(most.time_s, rel=apart)


@pytest.mark.parametrize("knows", [True, False])
def test_more_clients_than_are_decoded_together_send_in_sets(
    monkeypatch: pytest.MonkeyPatch, knows: bool
) -> None:
    uplink, bits = draw(5, 10, 3)
    if not knows:
        uplink = unjammed(uplink, 1)
    together = sdma(uplink, bits)
    sets = [np.array([0, 3, 6, 9]), np.array([1, 4, 7]), np.array([2, 5, 8])]
    alone = [sdma(uplink.of(some), bits[some]) for some in sets]
    monkeypatch.setattr(successive, "TOGETHER", 4)
    monkeypatch.setattr(successive, "PER_ANTENNA", 1)
    sent = sdma(uplink, bits)
    for some, one in zip(sets, alone, strict=True):
        np.testing.assert_array_equal(sent.times_s[some], one.times_s)
        np.testing.assert_array_equal(sent.energies_j[some], one.energies_j)
    assert sent.time_s == pytest.approx(sum(one.time_s for one in alone))
    assert sent.time_s > sent.times_s.max()
    if knows:
        assert together.time_s <= sent.time_s <= tdma(uplink, bits).time_s


@pytest.mark.parametrize(("power", "sets"), [(1e-3, False), (10.0, True)])
def test_hundreds_of_clients_at_once_end_no_later_than_side_by_side(
    power: float, sets: bool
) -> None:
    random = np.random.default_rng(0)
    channel = random.standard_normal((150, 4)) + 1j * random.standard_normal((150, 4))
    uplink = Uplink(channel, np.eye(4, dtype=complex), np.full(150, power), 1e6, 1.0)
    bits = np.full(150, 100.0)
    sent = at_once(uplink, bits)
    assert bool(sent.set_times_s) == sets
    assert sent.time_s <= ofdma(uplink, bits).time_s
    assert sent.time_s <= sdma(uplink, bits).time_s
