"""Clients with several antennas: channels, powers, errors, rates, books, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import minimize_scalar

from airtune.errors import InputError
from airtune.planning import Repetition
from airtune.radio import links
from airtune.radio.channels import Paths, Transmitters
from airtune.radio.channels.base import Block
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.channels.path_file import PathSet, read_paths, write_paths
from airtune.radio.gain_map import weakest_gain_db
from airtune.radio.over_the_air import aggregate
from airtune.radio.units import dbm_to_watt, noise_power
from airtune.registry import POLICIES, SCHEMES
from airtune.rounds.client_metrics import client_metrics, gain_map
from airtune.scenario import Scenario
from airtune.schemes import Link, RadioRound, Scheme
from airtune.schemes.air.aligned import OverTheAir
from airtune.schemes.air.signalling import Signalling
from airtune.schemes.arrays.fixed import HalfWavelengthArray
from airtune.schemes.broadcast import broadcast_rates
from airtune.schemes.picture import picture
from airtune.schemes.precoding import aligned, alone, client_arrays, drawn_problem
from airtune.study.claims.booking import Books
from schemes.radio import SIZES, air_of, gaussian, link_of, radio_of, scenario_with, uploads_of

OMEGA = np.full(10, 0.1)
TWO = {"clients__antennas": 2, "placement__mode": "fast"}


def matrices(link: Link, believed: bool = False) -> np.ndarray:
    """H_k of all clients, (K, N, M), term by term as section 5 of the system model has it."""
    radio = link.radio
    paths = (radio.perceived if believed else radio.true).clients
    found = np.zeros((len(paths.gains), len(link.positions), radio.client_antennas), complex)
    for m in range(radio.client_antennas):
        lag = radio.client_spacing * m * paths.departures[..., 0]
        for n, place in enumerate(link.positions):
            phase = paths.directions @ place + lag
            found[:, n, m] = np.sum(paths.gains * np.exp(2j * np.pi * phase), axis=1)
    return found


def without_error(scenario: Scenario) -> tuple[Link, np.ndarray]:
    link = link_of(scenario, "fixed")
    return link, matrices(link)


def test_what_is_sent_is_what_section_5_says() -> None:
    link, H = without_error(scenario_with(clients__antennas=3))
    tuned, nu = aligned(link, OMEGA), OMEGA
    air, powers = air_of(scenario_with(), "fixed"), link.radio.powers
    sent = air.aligned(tuned, np.arange(10), nu, 1.0)
    w = sent.beamformer
    toward = np.einsum("knm,n->km", H.conj(), w)  # H_k^H w
    lengths = np.linalg.norm(toward, axis=1)
    b = nu[:, None] * toward / lengths[:, None] ** 2
    np.testing.assert_allclose(sent.powers, np.sum(np.abs(b) ** 2, axis=1), rtol=1e-9)
    np.testing.assert_allclose(np.einsum("n,knm,km->k", w.conj(), H, b), nu, rtol=1e-9)
    assert (sent.powers <= powers * (1 + 1e-12)).all()
    assert (sent.powers / powers).max() == pytest.approx(1.0, rel=1e-9)
    # the channels on which it is sent are H_k f_k, with f_k of length 1
    f = toward / lengths[:, None]
    heard = tuned.true.of(np.arange(10)).channel
    np.testing.assert_allclose(heard, np.einsum("knm,km->kn", H, f), rtol=1e-9)
    mse = air.forecast(link, OMEGA, SIZES).mse
    covariance = tuned.true.everybody.covariance
    assert mse == pytest.approx((w.conj() @ covariance @ w).real, rel=1e-9)


@pytest.mark.parametrize("backoff", [1.0, 0.3])
def test_a_round_over_the_air_keeps_powers_and_has_the_error_that_is_predicted(
    backoff: float,
) -> None:
    scenario = scenario_with(**TWO)
    link, air = link_of(scenario, "movable"), air_of(scenario, "movable")
    sizes = np.array([60000, 40000])
    uploads = uploads_of(gaussian(10, sizes=sizes), sizes)
    received = air.combine(uploads, link, backoff)
    spent = received.uplink_j / received.uplink_s
    assert (spent <= backoff * link.radio.powers * (1 + 1e-9)).all()
    assert (spent / link.radio.powers).max() == pytest.approx(backoff, rel=1e-9)
    assert received.mse == pytest.approx(received.predicted_mse, rel=0.03)
    predicted = air.forecast(link, OMEGA, sizes).mse / backoff
    assert received.predicted_mse == pytest.approx(predicted, rel=0.01)


def test_errors_of_what_is_known_misalign() -> None:
    scenario = scenario_with(**TWO, radio__csi__angle_error_deg=3.0)
    link, air = link_of(scenario, "fixed"), air_of(scenario, "fixed")
    tuned = aligned(link, OMEGA)
    sent = air.aligned(tuned, np.arange(10), OMEGA, 1.0)
    known = matrices(link, believed=True)
    toward = np.einsum("knm,n->km", known.conj(), sent.beamformer)
    f = toward / np.linalg.norm(toward, axis=1, keepdims=True)
    through = np.einsum("n,knm,km,k->k", sent.beamformer.conj(), matrices(link), f, sent.scalars)
    np.testing.assert_allclose(
        tuned.true.everybody.channel @ sent.beamformer.conj() * sent.scalars, through, rtol=1e-9
    )
    assert 1e-3 < np.abs(through - OMEGA).max() < 0.2


def test_more_antennas_lower_the_error_of_every_array() -> None:
    for name in ("fixed", "fixed-2n", "sparse", "random-position", "movable", "selection"):
        errors = []
        for antennas in (1, 2):
            scenario = scenario_with(clients__antennas=antennas, placement__mode="fast")
            link = link_of(scenario, name)
            errors.append(air_of(scenario, name).forecast(link, OMEGA, SIZES).mse)
        assert errors[1] < errors[0], name


def test_alone_a_client_sends_with_its_strongest_eigenmode() -> None:
    link, H = without_error(scenario_with(clients__antennas=3))
    heard = alone(link, np.arange(10)).true.everybody
    found = links.single_user_sinr(heard.channel, heard.covariance, link.radio.powers)
    whitened = np.linalg.inv(np.linalg.cholesky(heard.covariance)) @ H
    strongest = np.linalg.svd(whitened, compute_uv=False)[:, 0]
    np.testing.assert_allclose(found, link.radio.powers * strongest**2, rtol=1e-9)
    rates = air_of(scenario_with(), "digital").single_user_rates(link, np.arange(10))
    np.testing.assert_allclose(rates, 0.9e6 * np.log2(1 + found), rtol=1e-9)


@pytest.mark.parametrize("precoding", ["space-time", "multicast"])
def test_clients_combine_what_they_receive_of_the_broadcast(precoding: str) -> None:
    scenario = scenario_with(clients__antennas=2, radio__downlink_precoding=precoding)
    link, H = without_error(scenario)
    radio = scenario.radio
    pair = np.arange(2)
    rates = broadcast_rates(link, pair, radio)
    noise = noise_power(radio.noise_psd_dbm_hz, radio.downlink_bandwidth_hz, radio.noise_figure_db)
    snr = 2 ** (rates / (radio.downlink_bandwidth_hz * radio.efficiency)) - 1
    gains = snr * noise / float(dbm_to_watt(radio.base_station_power_dbm))
    if precoding == "space-time":
        np.testing.assert_allclose(gains, np.sum(np.abs(H[:2]) ** 2, axis=(1, 2)) / 4, rtol=1e-9)
        return

    # the best unit beamformer of two clients, by duality
    forms = H[:2] @ H[:2].conj().transpose(0, 2, 1)

    def value(a: float) -> float:
        return float(np.linalg.eigvalsh(a * forms[0] + (1 - a) * forms[1])[-1]) / forms_size

    forms_size = float(np.abs(forms).max())
    best = minimize_scalar(value, bounds=(0, 1), method="bounded", options={"xatol": 1e-10}).fun
    assert gains.min() == pytest.approx(min(best, value(0), value(1)) * forms_size, rel=1e-5)


def test_pilots_and_circuits_of_each_antenna_are_booked() -> None:
    pilots, drawn = [], []
    for antennas in (1, 3):
        scenario = scenario_with(clients__antennas=antennas, radio__hardware__profile="small-cell")
        link, air = link_of(scenario, "fixed"), air_of(scenario, "fixed")
        silent = Signalling(report_bits=np.zeros(10))
        booked = air.pilots(link, np.arange(10), SIZES, silent)
        pilots.append((booked.pilot_s, booked.pilot_j))
        hardware = Books.of(scenario, "fixed").hardware
        assert Repetition.hardware.func(SimpleNamespace(scenario=scenario)) == hardware
        drawn.append(hardware.client_energy([0.0], [2.0])[0])
        assert hardware.client_pa_efficiency == 0.4 and hardware.chain_w == 0.2
    assert pilots[1][0] == pytest.approx(3 * pilots[0][0], rel=1e-12)
    np.testing.assert_allclose(pilots[1][1], 3 * pilots[0][1], rtol=1e-12)
    assert drawn == pytest.approx([0.2, 0.6])


def test_maps_and_figures_take_the_norm_over_the_antennas() -> None:
    link, H = without_error(scenario_with(**TWO))
    radio = link.radio
    problem = drawn_problem(radio, OMEGA)
    spot = link.positions[:1]
    level = weakest_gain_db(
        problem.effective_gains(), problem.directions,
        np.sqrt(problem.interferer_powers)[:, None] * problem.interferer_gains,
        problem.interferer_directions, problem.noise, spot[:, 0], spot[:, 1], client_antennas=2,
    )  # fmt: skip
    signal = radio.powers / OMEGA**2 * np.sum(np.abs(H[:, 0]) ** 2, axis=1)
    noise = alone(link, np.arange(10)).true.everybody.covariance[0, 0].real
    assert 10 ** (level[0, 0] / 10) == pytest.approx(signal.min() / noise, rel=1e-9)
    assert gain_map(link, OMEGA)["shape"] == [41, 41]
    line = client_metrics(np.arange(10), np.zeros(10), {}, link)
    assert None not in line["gain_db"] + line["snr_db"]
    drawn = picture(link, OMEGA)
    best = aligned(link, OMEGA).best_beamformer(OMEGA)
    assert drawn["worst_gain_db"] == pytest.approx(10 * np.log10(best.worst_gain))
    scale = np.array(drawn["clients"]["auxiliary_scale"])[:, None]
    gains = scale * (
        np.array(drawn["clients"]["gains_re"]) + 1j * np.array(drawn["clients"]["gains_im"])
    )
    phases = np.exp(2j * np.pi * np.einsum(
        "kld,nd->kln", np.array(drawn["clients"]["directions"]), link.positions))  # fmt: skip
    heard = np.einsum("kl,kln,n->k", gains, phases, best.beamformer.conj())
    assert np.abs(heard).min() == pytest.approx(1.0, rel=1e-9)


def test_policies_weigh_all_antennas() -> None:
    from airtune.scheduling import Candidates

    one, two = (radio_of(scenario_with(clients__antennas=m)) for m in (1, 2))
    sinr = [Candidates.sinr.func(SimpleNamespace(radio=radio)) for radio in (one, two)]
    np.testing.assert_allclose(sinr[1], 2 * sinr[0], rtol=1e-12)
    assert "best-channel" in POLICIES


def test_path_files_hold_departures(tmp_path: Path) -> None:
    scenario = scenario_with(clients__antennas=2)
    channel = BlockFading(scenario.radio, scenario.clients, 1)
    blocks = tuple(channel.block(t).true for t in range(3))
    write_paths(tmp_path / "p.npz", PathSet(blocks, scenario.radio.carrier_hz, "test"))
    read = read_paths(tmp_path / "p.npz").blocks
    for one, other in zip(blocks, read, strict=True):
        np.testing.assert_allclose(one.clients.departures, other.clients.departures, atol=1e-15)
        assert other.interferers.departures is None
    files = {"radio__channel": "file", "radio__channel_file": str(tmp_path / "p.npz")}
    from airtune.registry import CHANNELS

    found = []
    for antennas in (1, 2):
        here = scenario_with(**files, clients__antennas=antennas)
        block = CHANNELS["file"](here.radio, here.clients, 1).block(1)
        radio = RadioRound.of(here, 1, 1, block)
        assert (radio.true.clients.departures is None) == (antennas == 1)
        link = radio.at(SCHEMES["fixed"].build(here, 1).array.start())
        found.append(air_of(here, "fixed").forecast(link, OMEGA, SIZES).mse)
    assert found[1] == air_of(scenario, "fixed").forecast(
        link_of(scenario, "fixed"), OMEGA, SIZES
    ).mse  # fmt: skip
    assert found[1] < found[0]


def test_a_channel_without_departures_is_refused() -> None:
    scenario = scenario_with(clients__antennas=2)
    single = scenario_with()
    block = BlockFading(single.radio, single.clients, 1).block(1)
    with pytest.raises(InputError, match=r"clients\.antennas = 2: must be 1 with radio\.channel"):
        RadioRound.of(scenario, 1, 1, block)
    clients = radio_of(scenario).true.clients
    wrong = replace(clients, departures=np.full_like(clients.departures, np.nan))
    bad = Transmitters(wrong, block.true.interferers)
    with pytest.raises(InputError, match="departures of its paths must be finite"):
        RadioRound.of(scenario, 1, 1, Block(bad, bad))


def test_nothing_takes_several_antennas_for_one() -> None:
    radio = radio_of(scenario_with(clients__antennas=2))
    link = radio.at(np.array([[0.0, 0.0], [1.0, 1.0]]))
    for use in (lambda: radio.problem(OMEGA), lambda: link.true.of(np.arange(2))):
        with pytest.raises(InputError, match=r"clients\.antennas .*must be 1 with it"):
            use()
    paths = radio.true.clients
    with pytest.raises(ValueError, match="cannot be put together"):
        paths.joined(replace(paths, departures=None))
    with pytest.raises(ValueError, match="one antenna"):
        replace(paths, departures=None).responses(2, 0.5)
    joined = paths.joined(paths.filled(12))
    assert joined.departures.shape == (20, 12, 2)
    assert isinstance(paths.of(np.arange(2)), Paths)


def test_groups_have_precoders_of_their_own() -> None:
    scenario = scenario_with(**TWO, aggregation__groups=2)
    link, air = link_of(scenario, "fixed"), air_of(scenario, "fixed")
    received = air.combine(uploads_of(gaussian(10)), link, 1.0)
    spent = received.uplink_j / received.sending_s
    assert (spent <= link.radio.powers * (1 + 1e-9)).all()
    assert received.mse == pytest.approx(received.predicted_mse, rel=0.3)


def test_a_waveform_has_the_same_error() -> None:
    scenario = scenario_with(**TWO)
    link, air = link_of(scenario, "fixed"), air_of(scenario, "fixed")
    tuned, uploads = aligned(link, OMEGA), uploads_of(gaussian(10))
    common = air.normalised(air.report(uploads), uploads)
    nu = common.effective_weights
    tuned = aligned(link, nu)
    sent = air.aligned(tuned, np.arange(10), nu, 1.0)
    whole = tuned.true.of(np.arange(10))
    forms = [
        aggregate(uploads.updates, common, sent, whole, np.random.default_rng(s), form=form)
        for s, form in enumerate(("scalar", "waveform"))
    ]
    assert forms[0].realised_mse == pytest.approx(forms[1].realised_mse, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"radio": {"resource_blocks": 2}}, "radio.resource_blocks = 2"),
        ({"radio": {"channel": "tracks"}}, "radio.channel = tracks"),
        ({"radio": {"channel": "umi"}}, "radio.channel = umi"),
        ({"radio": {"csi": {"beamformer": "measured"}}}, "radio.csi.beamformer = measured"),
        ({"radio": {"paths": {"scatterer_distance_m": [1, 2]}}}, "scatterer_distance_m = "),
        ({"placement": {"robust": "sampled"}}, "placement.robust = sampled"),
        ({"aggregation": {"alignment": "capped"}}, "aggregation.alignment = capped"),
        ({"clients": {"selection": "joint", "concurrency": 2}}, "clients.selection = joint"),
        ({"faults": {"amplifier": {"clip_db": 3.0}}}, "faults.amplifier.clip_db = 3"),
    ],
)
def test_settings_for_one_antenna_are_refused(settings: dict, named: str) -> None:
    Scenario.model_validate(settings)
    clients = {**settings.get("clients", {}), "antennas": 2}
    with pytest.raises(ValidationError, match=r"clients\.antennas = 2: must be 1 with") as error:
        Scenario.model_validate({**settings, "clients": clients})
    message = error.value.errors()[0]["msg"]
    assert named in message and len(message) <= 400


@pytest.mark.parametrize("value", [0, 17, 1.5, "many"])
def test_wrong_numbers_of_antennas_are_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="antennas"):
        Scenario.model_validate({"clients": {"antennas": value}})
    with pytest.raises(ValidationError, match="antenna_spacing"):
        Scenario.model_validate({"clients": {"antenna_spacing": 0}})


@pytest.mark.parametrize(
    "name", ["ris", "cotaf", "obda", "truncated", "non-coherent", "massive-digital", "feedsign"]
)
def test_schemes_for_one_antenna_are_refused(name: str) -> None:
    scenario = scenario_with(clients__antennas=2, schemes=("movable", name))
    with pytest.raises(InputError, match=r"clients\.antennas = 2: must be 1 with the schemes") as e:
        SCHEMES[name].build(scenario, 1)
    assert name in str(e.value) and len(str(e.value)) <= 400
    SCHEMES["movable"].build(scenario, 1)


def test_a_scheme_of_ones_own_says_itself_that_it_serves_several() -> None:
    class Sums(OverTheAir):
        about = "my sums"

    class Both(OverTheAir):
        about = "my sums for several antennas"
        client_arrays = True

    class Still(HalfWavelengthArray):
        about = "my array"
        client_arrays = True

    scenario = scenario_with(clients__antennas=2)
    assert not Scheme("mine", Still, Sums).client_arrays
    assert Scheme("mine", Still, Both).build(scenario, 1).name == "mine"


def test_the_spacing_of_the_antennas_counts() -> None:
    close, far = (
        link_of(scenario_with(clients__antennas=2, clients__antenna_spacing=d), "fixed")
        for d in (1e-6, 0.5)
    )
    # side by side they are one antenna with twice the power at the receiver, whatever w is
    one = link_of(scenario_with(), "fixed")
    gains = [aligned(at, OMEGA).best_beamformer(OMEGA).worst_gain for at in (one, close, far)]
    assert gains[1] == pytest.approx(2 * gains[0], rel=1e-3) and gains[2] != gains[1]
    assert client_arrays(far.radio, OMEGA).antennas == 2
