"""The pilot on the quadratic learner: what it measures, and what the cache keeps."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.engines import LocalEngine
from airtune.errors import InputError
from airtune.learning import learner
from airtune.planning.pilot import Pilot
from airtune.registry import ENGINES
from airtune.scenario import Scenario
from airtune.study import cells
from airtune.study.kept_pilots import keep_pilots, read_kept
from airtune.study.pilot import (
    FILE,
    find_pilot,
    find_pilots,
    pilot_scenario,
    pilots_key,
    read_pilot,
    run_pilot,
    write_pilot,
)
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings
from rounds.test_payloads import Factors


@pytest.fixture
def scenario(small_scenario: Scenario, tmp_path: Path) -> Scenario:
    return with_settings(
        small_scenario, planning__objective="time", planning__pilot_rounds=4, cache=str(tmp_path)
    )


def prepare(noise: float = 0.1):  # type: ignore[no-untyped-def]  # of a stand-in for a learner
    return lambda scenario, seed, progress=None: QuadraticLearner(scenario, seed, noise=noise)


def test_a_pilot_is_the_beginning_of_the_error_free_run(scenario: Scenario) -> None:
    alone = pilot_scenario(scenario)
    pilot = run_pilot(alone, 1, prepare())
    run = run_with(alone, "ideal", 1, QuadraticLearner(alone, 1))
    losses = [run.first_metrics()["loss"]] + [run.run_round()["loss"] for _ in range(4)]
    assert list(pilot.losses) == losses
    assert pilot.batches == (8, 8, 8)
    assert pilot.time_s > 0 and pilot.energy_j > 0


def test_the_engine_of_the_run_serves_the_pilot_and_stays_open(scenario: Scenario) -> None:
    class Counting(LocalEngine):
        starts = closes = computed = 0

        def start(self, *given):  # type: ignore[no-untyped-def]  # as the base
            Counting.starts += 1
            return super().start(*given)

        def updates(self, *given):  # type: ignore[no-untyped-def]  # as the base
            Counting.computed += 1
            return super().updates(*given)

        def close(self) -> None:
            Counting.closes += 1

    engine = Counting(prepare())
    started = engine, engine.start(scenario, 1)
    pilot = find_pilot(scenario, 1, prepare(), None, started)
    assert (Counting.starts, Counting.closes, Counting.computed) == (1, 0, 8)
    assert pilot == run_pilot(pilot_scenario(scenario), 1, prepare())


def test_clients_that_learn_from_wrong_answers_are_honest_in_the_pilot(scenario: Scenario) -> None:
    class Swapped(QuadraticLearner):
        def client_update(self, *given):  # type: ignore[no-untyped-def]  # as the base
            done = super().client_update(*given)
            wrong = self.scenario.faults.poison.kind == "label-noise"
            return replace(done, update=-done.update) if wrong else done

    def made(scenario: Scenario, seed: int, progress: object = None) -> Swapped:
        return Swapped(scenario, seed)

    poisoned = with_settings(scenario, faults__poison={"kind": "label-noise", "share": 1.0})
    engine = LocalEngine(made)  # type: ignore[arg-type]  # of a stand-in for a learner
    started = engine, engine.start(poisoned, 1)
    pilot = find_pilot(poisoned, 1, made, None, started)  # type: ignore[arg-type]  # as above
    # the cache, where an honest run of the same settings looks, has no other either
    assert pilot == find_pilot(scenario, 1, made) == run_pilot(pilot_scenario(scenario), 1, made)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("payload", ["lora", "planned"])
def test_the_pilot_of_honest_clients_leaves_the_kind_of_the_run_s_engine(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, payload: str
) -> None:
    """A second engine of a kind that takes all processors would wait for the first."""

    class Greedy(LocalEngine):
        """Has one place for all engines of its kind."""

        taken = 0

        def start(self, *given):  # type: ignore[no-untyped-def]  # as the base
            Greedy.taken += 1
            assert Greedy.taken == 1, "would wait for ever"
            return super().start(*given)

    monkeypatch.setattr(ENGINES, "_objects", dict(ENGINES._objects))
    monkeypatch.setattr(ENGINES, "_added", list(ENGINES._added))
    ENGINES.add("greedy", Greedy)
    changes = {"training__server_optimizer": "adam", "aggregation__payload": payload}
    honest = with_settings(scenario, **changes)
    poisoned = with_settings(
        honest, engine__name="greedy", faults__poison={"kind": "label-noise", "share": 1.0}
    )

    def made(scenario: Scenario, seed: int, progress: object = None) -> Factors:
        assert not scenario.faults.poison.active or scenario is poisoned
        return Factors(scenario, seed)

    engine = Greedy(made)  # type: ignore[arg-type]  # of a stand-in for a learner
    started = engine, engine.start(poisoned, 1)
    found = find_pilots(poisoned, 1, made, None, started)  # type: ignore[arg-type]  # as above
    assert Greedy.taken == 1
    for file in Path(scenario.cache).glob(f"pilot-*/{FILE}"):
        file.unlink()
    assert found == find_pilots(honest, 1, made)  # type: ignore[arg-type]  # as above


def test_the_server_runs_it_on_public_data_at_its_own_cost(scenario: Scenario) -> None:
    public = with_settings(
        scenario, planning__pilot="server", planning__pilot_source="public.jsonl"
    )
    alone = pilot_scenario(public)
    assert alone.data.source == "public.jsonl"
    assert pilot_scenario(scenario).data.source == scenario.data.source
    pilot = run_pilot(alone, 1, prepare(), by="server")
    # four rounds of 3 clients with 8 samples and 2 more for the noise, at the server's clock
    server, flop = public.server_processor, QuadraticLearner(alone, 1).flop_per_sample
    seconds = 4 * 3 * 10 * flop / server.flop_per_cycle / server.f_max_hz
    assert pilot.time_s == pytest.approx(seconds)
    assert pilot.energy_j == pytest.approx(server.kappa * server.f_max_hz**3 * seconds)


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_it_measures_the_noise_of_the_batches(scenario: Scenario, noise: float) -> None:
    """Of 107 entries with variance noise^2 / B each, where mean gradients are far from 0."""
    alone = pilot_scenario(scenario)
    pilot = run_pilot(alone, 1, prepare(noise))
    made = QuadraticLearner(alone, 1, noise=noise)
    omega = made.data_sizes / made.data_sizes.sum()
    signal = np.sum(made.optimum**2)
    share = float(np.sum(omega**2) * noise**2 / 8 * made.size)
    assert pilot.batch_noise <= share / (share + 0.1 * signal) + 1e-9
    if noise:
        assert pilot.batch_noise >= 0.3 * share / (share + signal)
    assert pilot.gamma >= 1


def test_the_cache_keeps_it(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_pilot(scenario, 1, prepare())

    def never(*_: object) -> None:
        raise AssertionError("run again")

    assert find_pilot(scenario, 1, never) == first  # type: ignore[arg-type]  # is not called
    # what the rounds do not depend on does not matter, what they do depend on does
    other = with_settings(scenario, planning__objective="energy", budget__latency_s=9.0)
    assert find_pilot(other, 1, never) == first  # type: ignore[arg-type]  # is not called
    for changed in (
        with_settings(scenario, training__learning_rate=0.2),
        with_settings(scenario, planning__pilot_rounds=3),
    ):
        with pytest.raises(AssertionError, match="run again"):
            find_pilot(changed, 1, never)  # type: ignore[arg-type]  # is called
    with pytest.raises(AssertionError, match="run again"):
        find_pilot(scenario, 2, never)  # type: ignore[arg-type]  # is called


def test_a_damaged_one_is_made_again(scenario: Scenario) -> None:
    first = find_pilot(scenario, 1, prepare())
    (file,) = Path(scenario.cache).glob(f"pilot-*/{FILE}")
    file.write_text("{")
    assert find_pilot(scenario, 1, prepare()) == first


def test_the_bound_needs_none(small_scenario: Scenario) -> None:
    assert find_pilot(small_scenario, 1, learner.prepare) is None


def test_an_earlier_pilot_is_read(scenario: Scenario, tmp_path: Path) -> None:
    pilot = run_pilot(pilot_scenario(scenario), 1, prepare())
    file = write_pilot(pilot, tmp_path)
    for place in (file, tmp_path):
        again = with_settings(scenario, planning__pilot=str(place))
        found = find_pilot(again, 1, learner.prepare)
        assert found is not None
        assert (found.losses, found.by) == (pilot.losses, str(place))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"losses": [1]}',
        "\udcff",
        json.dumps({"losses": "ab", "batches": 3}),
        "[" * 5000,
    ],
)
def test_a_file_that_holds_no_pilot_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "some.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"planning\.pilot = .*must be clients, server, or a file"):
        read_pilot(file)
    with pytest.raises(InputError, match=r"planning\.pilot = .*No such file"):
        read_pilot(tmp_path / "absent.json")


def test_losses_and_shares_are_checked() -> None:
    good = Pilot((2.0, 1.0), (4,), 0.5, 2.0, "clients", 1.0, 1.0).to_dict()
    for change in (
        {"losses": [1.0, float("nan")]},
        {"losses": [3.0, 1e308, 1.7, 1.4]},
        {"losses": [1e-300, 2.2, 1.7, 1.4]},
        {"batches": [0]},
        {"batches": [10**400]},
        {"batch_noise": 1.0},
    ):
        with pytest.raises(ValueError, match="must be"):
            Pilot.from_dict(good | change)


@pytest.mark.parametrize("losses", [(1e6, 1e-12), (1e-12, 1e6, 1e-12), (1e6, 1e6)])
def test_the_widest_losses_that_are_allowed_have_a_curve(losses: tuple[float, ...]) -> None:
    curve = Pilot(losses, (4,), 0.5, 2.0, "clients", 1.0, 1.0).curve()
    assert np.isfinite(curve.losses(30)).all()


@pytest.mark.slow
def test_a_run_plans_by_its_pilot(
    scenario: Scenario,
    quadratic: type[QuadraticLearner],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A comparison with plans of their own: every cell's plan has its forecast."""
    from airtune.study import compare

    monkeypatch.setattr(compare, "publish", lambda run: run.folder)  # no figures
    own = with_settings(
        scenario,
        plan="own",
        schemes=("ideal", "selection"),
        planning__rounds="planned",
        training__rounds=12,
        training__server_optimizer="adam",
        training__learning_rate=0.3,
    )
    results = compare.compare(own, tmp_path / "run")
    assert set(results["schemes"]) == {"ideal", "selection"}
    plan = json.loads((tmp_path / "run/selection/seed-0/plan.json").read_text())
    assert plan["forecast"]["objective"] == "time"
    assert plan["forecast"]["losses"][0] == pytest.approx(
        results["schemes"]["selection"]["history"][0]["loss"]
    )


def test_a_run_goes_on_with_the_pilot_that_it_began_with(
    scenario: Scenario,
    quadratic: type[QuadraticLearner],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the cache has none: what a plan was made of is in the run folder."""
    own = with_settings(
        scenario,
        plan="own",
        schemes=("ideal",),
        planning__rounds="planned",
        training__rounds=6,
        training__server_optimizer="adam",
    )
    folder = record.create(tmp_path / "run", own, "compare")

    class Stopping:
        """A watcher that ends the process after two rounds."""

        def preparing(self, text: str, fraction: float) -> None: ...
        def told(self, text: str) -> None: ...

        def round_done(self, cell: object, index: int, *rest: object) -> None:
            if index == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cells.execute(folder, Stopping())  # type: ignore[arg-type]
    kept = json.loads((folder.folder / "pilots-0.json").read_text())["pilots"]
    assert list(kept) == [""]
    for file in Path(scenario.cache).glob(f"pilot-*/{FILE}"):
        file.unlink()

    def never(*given: object, **more: object) -> Pilot:
        raise AssertionError("the pilot is run again")

    monkeypatch.setattr("airtune.study.pilot.run_pilot", never)
    cells.execute(folder)
    plan = json.loads((folder.folder / "ideal/seed-0/plan.json").read_text())
    assert plan["forecast"]["losses"][0] == pytest.approx(kept[""]["losses"][0])
    file = folder.folder / "pilots-0.json"
    found = find_pilots(folder.dated_scenario, own.seed, prepare(), kept=file)
    assert found[""].to_dict() == kept[""]
    faster = with_settings(own, training__learning_rate=0.2)
    stale = (
        json.dumps(json.loads(file.read_text()) | {"key": "of other settings"}),
        json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "sha256"}),
        "{",
    )
    with pytest.raises(AssertionError, match="run again"):
        find_pilots(faster, own.seed, prepare(), kept=file)
    key = pilots_key(own, own.seed)
    for text in stale:
        file.write_text(text)
        with pytest.raises(AssertionError, match="run again"):
            find_pilots(own, own.seed, prepare(), kept=file)
        keep_pilots(found, key, file)  # whole again
        assert find_pilots(own, own.seed, prepare(), kept=file) == found
    assert read_kept(file, key, ("lora", "ffa")) is None
    record.create(tmp_path / "new", own, "compare")
    (tmp_path / "new" / "pilots-0.json").write_text(file.read_text())
    record.create(tmp_path / "new", faster, "compare")
    assert not (tmp_path / "new" / "pilots-0.json").exists()


def test_every_payload_has_a_pilot_that_sends_it(scenario: Scenario) -> None:
    """With the step of each, and kept by itself in the cache."""
    planned = with_settings(
        scenario, aggregation__payload="planned", training__server_optimizer="adam"
    )

    def factors(scenario: Scenario, seed: int, progress: object = None) -> Factors:
        return Factors(scenario, seed)

    pilots = find_pilots(planned, 1, factors)  # type: ignore[arg-type]
    assert list(pilots) == ["lora", "ffa", "rolora"]
    assert len({pilot.losses[1:] for pilot in pilots.values()}) == 3
    named = find_pilots(
        with_settings(scenario, aggregation__payload="ffa", training__server_optimizer="adam"),
        1,
        factors,
    )  # type: ignore[arg-type]
    assert named[""] == pilots["ffa"]
    assert len(list(Path(scenario.cache).glob(f"pilot-*/{FILE}"))) == 3
    assert find_pilots(with_settings(scenario, planning__objective="bound"), 1, factors) == {}  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_for_a_pilot_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / FILE
    os.mkfifo(file)
    with pytest.raises(InputError, match=r"it is no file|Invalid argument"):
        read_pilot(file)
