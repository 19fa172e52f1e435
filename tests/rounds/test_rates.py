"""The learning rate that follows the predicted error (`training.learning_rate_rule`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.bound.forecast import step_factor
from airtune.errors import InputError
from airtune.learning.server import ADAM, ServerOptimizer
from airtune.registry import SERVER_OPTIMIZERS
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario, Training
from airtune.scenario.names import check_names
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import cell_of, with_settings

ETA = 0.1
ADAPTIVE = {"training__server_optimizer": "adam", "training__learning_rate": ETA}
AWARE = ADAPTIVE | {"training__learning_rate_rule": "noise-aware"}
LOUD = {"clients__tx_power_dbm": 16.0}
"""Predicted errors of -8 to -5 dB with uniform forcing, and of -17 dB in the best round."""


def begun(base: Scenario, scheme: str, **changes: Any) -> FederatedRun:
    scenario = with_settings(base, **changes)
    return run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))


def run_of(base: Scenario, scheme: str, rounds: int = 4, **changes: Any) -> tuple[Any, Any]:
    """Return a run after some rounds, and their lines."""
    run = begun(base, scheme, **changes)
    return run, [run.run_round() for _ in range(rounds)]


def test_the_rate_is_that_of_the_error_forecast_before_the_round(small_scenario) -> None:
    run = begun(small_scenario, "fixed", **AWARE, **LOUD)
    factors = set()
    for index in range(1, 6):
        radio, weights = run.repetition.radio(index), run.state.scaled_weights
        link = run.scheme.array.link(radio, weights, run.state.positions)
        expected = run.scheme.air.forecast(link, weights, run.repetition.matrix_sizes)
        error = expected.bias + (expected.mse - expected.bias) / run.plan.power_backoff
        optimizer_state, adapter = dict(run.state.optimizer_state), run.state.adapter
        line = run.run_round()
        assert line["learning_rate"] == pytest.approx(ETA * step_factor(error), rel=1e-12)
        factors.add(round(line["learning_rate"] / ETA, 9))
        # the step was made with it: the first moment is known, so Adam's step can be made again
        own = run.training.model_copy(update={"learning_rate": line["learning_rate"]})
        update = (run.state.optimizer_state["first"] - 0.9 * optimizer_state["first"]) / 0.1
        again, _ = ADAM.step(adapter, update, optimizer_state, own)
        assert np.allclose(run.state.adapter, again, atol=1e-6)
        assert run.training.learning_rate == ETA
    assert len(factors) > 1  # it differs from round to round
    assert max(factors) > 1.1


def test_one_rule_for_every_scheme(small_scenario) -> None:
    rates = {}
    for name in ("ideal", "fixed", "cotaf", "truncated", "digital", "obda"):
        _, lines = run_of(small_scenario, name, **AWARE, **LOUD, digital__bits=4)
        rates[name] = np.array([line["learning_rate"] for line in lines]) / ETA
        assert np.all((rates[name] >= 1) & (rates[name] <= 1.4))
    assert rates["ideal"].tolist() == [1.0] * 4  # no error
    assert rates["obda"].tolist() == [1.0] * 4  # no law for signs
    assert np.all(rates["digital"] > 1)  # errors of quantisation count in the same way
    assert max(rates["fixed"]) > 1
    assert max(rates["truncated"]) > 1


def test_bad_air_leaves_the_rate_as_it_is(small_scenario) -> None:
    fixed, _ = run_of(small_scenario, "fixed", **ADAPTIVE, clients__tx_power_dbm=-10.0)
    aware, lines = run_of(small_scenario, "fixed", **AWARE, clients__tx_power_dbm=-10.0)
    assert [line["learning_rate"] for line in lines] == [ETA] * 4
    assert min(line["mse_predicted_db"] for line in lines) > -3
    assert np.array_equal(fixed.state.adapter, aware.state.adapter)


def test_the_fixed_rate_says_nothing(small_scenario) -> None:
    run, lines = run_of(small_scenario, "fixed", **ADAPTIVE, **LOUD)
    other, noisy = run_of(small_scenario, "fixed", **AWARE, **LOUD)
    assert not any("learning_rate" in line for line in lines)
    assert not np.array_equal(run.state.adapter, other.state.adapter)
    # the first round differs by its step alone: the same draws, the same error
    assert noisy[0]["mse"] == lines[0]["mse"]
    assert noisy[0]["learning_rate"] > ETA


def test_schemes_keep_their_own_rates(small_scenario) -> None:
    own = {"training__learning_rates": {"fixed": 0.02}}
    _, lines = run_of(small_scenario, "fixed", **AWARE, **LOUD, **own)
    _, plain = run_of(small_scenario, "fixed", **AWARE, **LOUD)
    assert lines[0]["learning_rate"] == pytest.approx(plain[0]["learning_rate"] / 5)


def test_a_round_without_a_step_has_no_rate(small_scenario) -> None:
    scenario = with_settings(small_scenario, **AWARE, **LOUD)
    broken = {(2, client): True for client in range(3)}
    run = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1, broken=broken))
    lines = [run.run_round() for _ in range(3)]
    assert [line["learning_rate"] is None for line in lines] == [False, True, False]
    # nobody is loud enough to send
    _, silent = run_of(
        small_scenario, "truncated", 2, **AWARE, **LOUD, aggregation__truncation_db=90.0
    )
    assert [line["learning_rate"] for line in silent] == [None, None]


@pytest.mark.parametrize("scheme", ["fixed", "digital"])
@pytest.mark.parametrize("rule", ["block", "loaded"])
def test_resume_is_bit_for_bit(small_scenario, tmp_path: Path, scheme: str, rule: str) -> None:
    changes = AWARE | LOUD | {"aggregation__normalise": rule, "aggregation__scale_reports": "joint"}
    whole, lines = run_of(small_scenario, scheme, 5, **changes)

    def stop(line: dict[str, object]) -> None:
        if line["round"] == 3:
            raise KeyboardInterrupt

    cell = cell_of(tmp_path, scheme)
    with pytest.raises(KeyboardInterrupt):
        cell_io.execute(begun(small_scenario, scheme, **changes), cell, stop)
    resumed = begun(small_scenario, scheme, **changes)
    cell_io.execute(resumed, cell, lambda line: None)
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)
    saved = record.read_metrics(cell)
    assert "learning_rate" not in saved[0]
    assert [line["learning_rate"] for line in saved[1:]] == [x["learning_rate"] for x in lines]


@pytest.mark.parametrize("name", ["sgd", "momentum"])
def test_steps_that_do_not_shrink_are_refused(name: str) -> None:
    training = {"server_optimizer": name, "learning_rate_rule": "noise-aware"}
    with pytest.raises(InputError, match="learning_rate_rule = 'noise-aware'") as caught:
        check_names(Scenario.model_validate({"training": training}))
    assert f"server_optimizer = '{name}'" in str(caught.value)
    assert len(str(caught.value)) <= 400
    check_names(Scenario.model_validate({"training": training | {"learning_rate_rule": "fixed"}}))


@pytest.mark.parametrize("name", ["adam", "yogi"])
def test_steps_over_a_second_moment_are_taken(name: str) -> None:
    training = {"server_optimizer": name, "learning_rate_rule": "noise-aware"}
    check_names(Scenario.model_validate({"training": training}))


def test_an_optimiser_of_ones_own_says_whether_it_shrinks() -> None:
    class Signs(ServerOptimizer):
        def init(self, adapter: Any, settings: Training) -> Any:
            return {}

        def step(self, adapter: Any, update: Any, state: Any, settings: Training) -> Any:
            return adapter - settings.learning_rate * np.sign(update), {}

    class Scaled(Signs):
        shrinks_under_noise = True

    training = {"server_optimizer": "own", "learning_rate_rule": "noise-aware"}
    scenario = Scenario.model_validate({"training": training})
    for optimizer, fits in ((Signs(), False), (Scaled(), True)):
        SERVER_OPTIMIZERS.add("own", optimizer)
        try:
            if fits:
                check_names(scenario)
            else:
                with pytest.raises(InputError, match="shrinks_under_noise"):
                    check_names(scenario)
        finally:
            SERVER_OPTIMIZERS.remove("own")
