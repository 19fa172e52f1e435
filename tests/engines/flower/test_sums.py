"""Secure rounds with real nodes, in this process: the numbers of the local engine from a sum."""

from __future__ import annotations

import signal
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from airtune.cli import main
from airtune.engines import LocalEngine
from airtune.engines.flower import engine as module
from airtune.engines.flower import frames, sums
from airtune.engines.flower.engine import FlowerEngine
from airtune.engines.flower.given import Given
from airtune.engines.flower.members import member_of
from airtune.engines.flower.node import Node
from airtune.engines.flower.secure import check_blocks, check_secure, check_spread
from airtune.errors import FailedError, InputError
from airtune.learning.learner import prepare
from airtune.learning.payload import payload_of
from airtune.planning.repetition import Repetition
from airtune.radio.held import Weighing
from airtune.radio.scales import normalise_updates, report_scales
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from airtune.study import compare

from .federations import secure

pytestmark = pytest.mark.skipif(
    find_spec("cryptography") is None, reason="cryptography (of the extra flower) is not installed"
)

CLIENTS, SIZES = np.arange(3), np.array([3, 1, 2])


def ended(line: list[str]) -> int:
    """Return the exit code of a command."""
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    before, sys.argv = sys.argv, ["airtune", *line]
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = before
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(end.value.code or 0)


@pytest.fixture
def messages(here, monkeypatch) -> list[tuple[dict, dict, dict, dict]]:
    """All that passes between run and nodes: headers and arrays of questions and answers."""
    seen, ask = [], here.ask

    def asking(self, bodies, limit_s, nodes=None):
        answers = ask(self, bodies, limit_s, nodes)
        for name, body in answers.bodies.items():
            seen.append((*frames.unpack(bodies[name]), *frames.unpack(body)))
        return answers

    monkeypatch.setattr(here, "ask", asking)
    return seen


@pytest.mark.parametrize("payload", ["lora", "ffa", "subspace"])
def test_the_server_is_sent_scales_and_words_that_mean_nothing_by_themselves(
    settings, messages, payload
) -> None:
    size = {"payload_size": 400} if payload == "subspace" else {}
    scenario = secure(settings, aggregation={"payload": payload, **size})
    local, spread = LocalEngine(prepare), FlowerEngine(prepare)
    local.start(scenario, 1)
    try:
        spread.start(scenario, 1)
        adapter = local.initial_adapter()
        one = local.updates(adapter, CLIENTS, SIZES, 1, 1)
        done = spread.updates(adapter, CLIENTS, SIZES, 1, 1)
        assert (done.updates.shape, done.loss, done.losses) == ((3, 0), one.loss, one.losses)
        sent = payload_of(scenario.aggregation, local.learner.matrices, 1)
        rows = np.zeros((3, len(sent.coded(one.updates[:1], 1)[0])), np.float32)
        for own in ([0, 2], [1]):  # of each node: products are rounded by the shape of a batch
            rows[own] = sent.coded(one.updates[own], 1, scenario.training.clip_norm)
        scales = report_scales(rows, done.held.sizes)
        assert np.array_equal(done.held.deviations, scales.deviations)
        common = normalise_updates(scales, [0.5, 0.2, 0.3], "block")
        gains = common.effective_weights * np.array([1.0, 1j, 0.9])
        symbols = done.held.summed(common, gains)
        # What has arrived is the sum of the weighed symbols, to the size of the steps.
        (asked,) = [header for header, *_ in messages if header["do"] == "sum"][:1]
        whole = Weighing(
            CLIENTS, gains, common.symbol_factors, scales.means, scales.sizes, common.sent, 1.0
        )
        expected = sum(whole.symbols(rows[k].astype(np.float64), k) for k in range(3))
        off = (symbols - expected).view(np.float64)
        assert np.abs(off).max() <= 2 * 0.5 * asked["step"] * 1.01  # two nodes round
        assert asked["step"] < 1e-6
        # No answer has a number of an update in it.
        answers = [(q["do"], arrays) for q, _, _, arrays in messages if q["do"] != "begin"]
        assert [(do, sorted(arrays)) for do, arrays in answers] == [
            *[("updates", ["deviations", "means"])] * 2,
            *[("sum", ["sum"])] * 2,
        ]
        shares = [arrays["sum"] for _, arrays in answers[2:]]
        for share in shares:  # all words are as likely, whatever the symbols are
            uniform, known = share / 2.0**32, symbols.view(np.float64)
            assert abs(uniform.std() * np.sqrt(12) - 1) < 5 / np.sqrt(len(share))
            assert abs(np.corrcoef(uniform, known)[0, 1]) < 5 / np.sqrt(len(share))
        if payload == "lora":  # enough words to see that all are as likely
            for share in shares:
                octets = np.bincount(share.view(np.uint8), minlength=256)
                assert ((octets - octets.mean()) ** 2 / octets.mean()).sum() < 255 + 6 * 22.6
        # Each is asked for once.
        with pytest.warns(RuntimeWarning, match="whose sum cannot be read"):
            assert done.held.summed(common, gains) is None
    finally:
        spread.close()


def federated(engine) -> bool:
    return isinstance(engine, FlowerEngine)


def rounds(engine, scenario: Scenario, schemes, count: int = 2) -> dict[str, list[dict]]:
    """Return the lines of metrics of some rounds of each scheme."""
    try:
        sizes = engine.start(scenario, 1)
        repetition = Repetition.open(scenario, 1, sizes=sizes)
        found = {}
        for scheme in schemes:
            for one in getattr(engine._federation, "nodes_here", ()) if federated(engine) else ():
                one.node._given = Given()  # as nodes of its own for each scheme would have it
            run = FederatedRun(repetition, scheme, engine)
            found[scheme] = [run.run_round() for _ in range(count)]
            found[scheme][-1]["adapter"] = run.state.adapter
        return found
    finally:
        engine.close()


def compared(plain: dict, schemes) -> tuple[dict, dict]:
    """Return what the local engine and secure rounds come to."""
    local = Scenario.model_validate({**plain, "engine": {"name": "local"}})
    one = rounds(LocalEngine(prepare), local, schemes)
    other = rounds(FlowerEngine(prepare), secure(plain), schemes)
    for scheme in schemes:
        for before, after in zip(one[scheme], other[scheme], strict=True):
            assert after["loss"] == pytest.approx(before["loss"], abs=1e-5)
            assert after["train_loss"] == pytest.approx(before["train_loss"], abs=1e-5)
            assert (after["clients"], after["missing"]) == (before["clients"], [])
            assert after["round_latency_s"] == pytest.approx(before["round_latency_s"], rel=1e-6)
            assert after["round_energy_j"] == pytest.approx(before["round_energy_j"], rel=1e-6)
        moved = np.abs(one[scheme][-1]["adapter"] - other[scheme][-1]["adapter"])
        assert moved.max() < 1e-5
    return one, other


SCHEMES = ("ideal", "fixed", "cotaf", "truncated")


def test_with_known_channels_losses_and_errors_are_those_of_the_local_engine(
    settings, here
) -> None:
    plain = {**settings, "clients": {"count": 3, "tx_power_dbm": 5}, "schemes": SCHEMES}
    plain |= {"aggregation": {"truncation_db": -20.0}}
    one, other = compared(plain, SCHEMES)
    for scheme in SCHEMES[1:]:
        for before, after in zip(one[scheme], other[scheme], strict=True):
            if len(after["clients"]) == 3:
                assert after["mse"] == pytest.approx(before["mse"], rel=1e-3)
                predicted = before["mse_predicted_db"]
                assert after["mse_predicted_db"] == pytest.approx(predicted, abs=1e-3)
            else:
                assert after["mse"] is None


def test_misaligned_clients_arrive_as_they_do_and_nobody_knows_the_error(settings, here) -> None:
    plain = {**settings, "clients": {"count": 3, "tx_power_dbm": 5}, "schemes": ("fixed",)}
    plain |= {"radio": {"csi": {"gain_error": 0.2}}}
    plain |= {"aggregation": {"normalise": "global", "scale_reports": "joint"}}
    one, other = compared(plain, ("fixed",))
    assert [line["mse"] for line in other["fixed"]] == [None, None]
    assert one["fixed"][0]["mse"] > 1e-4


@pytest.mark.filterwarnings("ignore:a node of the federation has not answered")
def test_a_node_lost_before_its_share_costs_the_round_and_no_secret(
    settings, here, monkeypatch
) -> None:
    """The round makes no step; nobody is asked for another sum of the same updates."""
    ask, times = here.ask, []

    def asking(self, bodies, limit_s, nodes=None):
        doing = {frames.unpack(body)[0]["do"] for body in bodies.values()}
        times.extend(doing)
        if doing == {"sum"} and times.count("sum") == 2:
            self.nodes_here[1].running = False
        return ask(self, bodies, limit_s, nodes)

    monkeypatch.setattr(here, "ask", asking)
    scenario = secure(settings, engine={"workers": 3})
    lines = rounds(FlowerEngine(prepare), scenario, ["ideal"], 4)["ideal"]
    assert [line["missing"] for line in lines] == [[], [1], [1], [1]]
    assert [line["clients"] for line in lines] == [[0, 1, 2], [], [0, 2], [0, 2]]
    assert lines[1]["loss"] == lines[0]["loss"] != lines[2]["loss"]
    assert times == ["begin", *["updates", "sum"] * 4]


@pytest.mark.parametrize(
    ("gone", "missing", "said"), [(0, "0, 2", "1 of 3 clients"), (1, "1", "2 of 3 clients")]
)
def test_one_client_or_node_alone_is_never_asked_for_a_sum(
    settings, here, gone, missing, said
) -> None:
    engine = FlowerEngine(prepare)
    try:
        engine.start(secure(settings), 1)
        adapter, nodes = engine.initial_adapter(), here.opened_ones[0].nodes_here
        nodes[gone].running = False
        with pytest.warns(RuntimeWarning, match=f"clients {missing} are missing"):
            done = engine.updates(adapter, CLIENTS, SIZES, 1, 1)
        with pytest.raises(FailedError, match=said + r".* at 1 nodes, .* 2 of a sum"):
            engine.check_round(done, CLIENTS)
        some = len(done.clients)
        common = normalise_updates(
            done.held.scales(done.held.sizes), np.full(some, 1 / some), "block"
        )
        before = [node.messages for node in nodes]
        with pytest.warns(RuntimeWarning, match="round 1 is lost; .* the update of one client or"):
            assert done.held.summed(common, np.ones(some) + 0j) is None
        assert [node.messages for node in nodes] == before
    finally:
        engine.close()


def test_another_run_of_the_same_updates_has_the_same_sum_or_none(settings, here) -> None:
    """On nodes that go on: as after `airtune resume`, and as with other settings of the radio."""
    engine = FlowerEngine(prepare)
    try:
        engine.start(secure(settings), 1)
        adapter, found = engine.initial_adapter(), []
        for run, scaled in (("first", 1.0), ("resumed", 1.0), ("other", [1.0, 2.0, 3.0])):
            engine._run = run
            done = engine.updates(adapter, CLIENTS, SIZES, 1, 1)
            common = normalise_updates(done.held.scales(done.held.sizes), [0.5, 0.2, 0.3], "block")
            gains = common.effective_weights * scaled + 0j
            if run == "other":
                with pytest.warns(RuntimeWarning, match="given these updates to another sum"):
                    assert done.held.summed(common, gains) is None
                assert sorted(done.held.lost) == [0, 1, 2]
            else:
                found.append(done.held.summed(common, gains))
        assert np.array_equal(*found)
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"engine": {"workers": 1}}, r"engine\.workers = 1"),
        ({"clients": {"concurrency": 1, "selection": "random"}}, r"clients\.concurrency = 1"),
        (
            {"clients": {"concurrency": 2, "selection": "random"}},
            r"clients\.concurrency = 2: must be at least 3",
        ),
        ({"aggregation": {"robust": "median", "groups": 3}}, r"aggregation\.robust = 'median'"),
        ({"aggregation": {"groups": 2}}, r"aggregation\.groups = 2"),
        ({"aggregation": {"form": "waveform"}}, r"aggregation\.form = 'waveform'"),
        (
            {"digital": {"aggregation": "flora"}, "training": {"local_steps": 2}},
            r"digital\.aggregation = 'flora'",
        ),
        (
            {"training": {"client_objective": "scaffold", "local_steps": 2}},
            r"training\.client_objective = 'scaffold'",
        ),
        ({"faults": {"poison": {"kind": "scaling", "share": 0.4}}}, r"faults\.poison\.kind"),
        ({"radio": {"resource_blocks": 2}}, r"radio\.resource_blocks = 2: must be 1"),
        ({"faults": {"broadcast": {"share": 0.1}}}, r"faults\.broadcast\.share = 0\.1"),
        ({"faults": {"synchronisation": {"phase_deg": 3}}}, r"phase_deg = 3"),
        ({"faults": {"dropout": {"share": 0.1, "when": "during"}}}, r"dropout\.when = 'during'"),
    ],
)
def test_what_needs_more_than_a_sum_is_refused_before_any_work(settings, changed, said) -> None:
    with pytest.raises(InputError, match=said + ".*engine.secure = true") as caught:
        check_secure(secure(settings, **changed))
    assert len(str(caught.value)) <= 400


@pytest.mark.parametrize(
    "scheme", ["digital", "obda", "zeroth-order", "massive-digital", "non-coherent"]
)
def test_schemes_whose_server_takes_more_are_refused(settings, scheme) -> None:
    with pytest.raises(InputError, match=f"'{scheme}' cannot be run with engine.secure = true"):
        check_secure(secure({**settings, "schemes": ["ideal", scheme]}))


def test_several_schemes_would_be_so_many_sums_of_the_same_updates(settings) -> None:
    with pytest.raises(InputError, match=r"schemes = \['ideal', 'fixed'\]: must be one scheme"):
        check_secure(secure({**settings, "schemes": ["ideal", "fixed"]}))


def test_a_comparison_is_refused_as_ideal_is_added_to_it(settings, here) -> None:
    one = secure({**settings, "schemes": ["fixed"]})
    assert compare.check(one, "run").schemes == ("fixed",)
    with pytest.raises(InputError, match=r"schemes = \['ideal', 'fixed'\]: must be one scheme"):
        compare.check(one, "compare")


def test_scales_of_few_entries_would_tell_them(settings, here) -> None:
    check_blocks(np.array([16, 40]))
    with pytest.raises(InputError, match="15 numbers of an adapter matrix are sent, fewer than 16"):
        check_blocks(np.array([40, 15]))
    engine = FlowerEngine(prepare)
    with pytest.raises(InputError, match=r"sent, fewer than 16.* aggregation\.payload_size"):
        engine.start(secure(settings, aggregation={"payload": "mask", "payload_size": 20}), 1)
    engine.close()
    assert not here.opened_ones


def test_rounds_that_may_be_of_one_node_are_refused(settings) -> None:
    changed = {"count": 4, "concurrency": 2, "selection": "random"}
    scenario = secure(settings, clients=changed, engine={"workers": 4})
    check_secure(scenario)
    with pytest.raises(InputError, match=r"clients\.concurrency = 2: must be at least 3 with"):
        check_spread(scenario, 2)


def test_other_engines_do_not_know_it_whatever_the_command_says(settings) -> None:
    other = Scenario.model_validate({**settings, "engine": {"name": "local", "secure": True}})
    with pytest.raises(InputError, match=r"engine\.secure = True: must be False with .* 'local'"):
        compare.check(other, "run")


def test_the_engine_of_the_command_line_is_the_one_that_counts(settings, here, capsys) -> None:
    """As typed: the settings name it after the file, and what they cannot do is refused."""
    line = ["run", "quickstart", "--scheme", "digital", "--set", "engine.secure=true"]
    assert ended([*line, "--engine", "flower"]) == 2
    assert "'digital' cannot be run with engine.secure = true" in capsys.readouterr().err
    assert ended(line) == 2
    assert "engine.secure = True: must be False" in capsys.readouterr().err


def test_a_node_that_takes_part_in_sums_only_refuses_another_run(settings) -> None:
    head = {"do": "begin", "run": "r", "message": "m", "seed": 1}
    head["scenario"] = Scenario.model_validate(settings).to_dict()
    body = Node((), None, settings["cache"], secure=True).answer(frames.pack(head))
    with pytest.raises(InputError, match=r"engine\.secure = False: must be True; this node"):
        member_of("1", body, 3)


def test_states_of_clients_are_not_sent_beside_masks(settings) -> None:
    from airtune.learning.results import ClientUpdate

    one = ClientUpdate(np.ones(3, np.float32), 1.0, 3, finite=True, state={"sum": np.ones(3)})
    with pytest.raises(InputError, match="whose clients keep states"):
        sums.kept_of([one], [0], None, 1, None)


def test_a_report_of_another_form_is_refused(settings) -> None:
    key, blocks = "ab" * 32, np.array([3, 4])
    header = {"clients": [1], "losses": [1.0], "tokens": [3], "finite": [True], "key": key}
    arrays = {"means": np.zeros((1, 2)), "deviations": np.ones((1, 2))}
    assert sums.report_of(frames.pack(header, arrays), [1], blocks).key == key
    for head, held in (
        ({"clients": [0]}, {}),
        ({"key": "ab"}, {}),
        ({"key": "no"}, {}),
        ({"losses": []}, {}),
        ({"finite": [1]}, {}),
        ({"tokens": [-1]}, {}),
        ({}, {"means": np.zeros((1, 3))}),
        ({}, {"means": np.zeros((1, 2), np.float32)}),
        ({}, {"deviations": -np.ones((1, 2))}),
        ({}, {"deviations": np.full((1, 2), np.nan)}),
        ({}, {"deviations": np.full((1, 2), 1e200)}),
        ({}, {"means": np.full((1, 2), -1e11)}),
    ):
        with pytest.raises(FailedError, match="a node"):
            sums.report_of(frames.pack({**header, **head}, {**arrays, **held}), [1], blocks)
    for words in (np.zeros(4, np.float32), np.zeros(5, np.uint32), np.zeros((2, 2), np.uint32)):
        with pytest.raises(FailedError, match="a node"):
            sums.words_in(frames.pack({}, {"sum": words}), 4)


def test_the_engine_checks_it_first(settings, here) -> None:
    assert module.check_secure is check_secure
    with pytest.raises(InputError, match="'digital' cannot be run"):
        FlowerEngine.check(secure({**settings, "schemes": ["digital"]}))
