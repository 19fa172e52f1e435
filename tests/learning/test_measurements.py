"""What calibration asks of the real tiny LLaMA."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from airtune.bound.calibrate import constants
from airtune.bound.convergence import BoundConstants
from airtune.commands import calibrate as command
from airtune.errors import InputError
from airtune.learning.batches import collate
from airtune.learning.corpus import read_texts
from airtune.learning.federated_loss import FederatedLoss, sample_losses
from airtune.learning.learner import Learner, prepare
from airtune.learning.measurements import Measurements
from airtune.learning.payload import payload_of
from airtune.record import SCHEMA_VERSION
from airtune.scenario import Scenario
from airtune.scenario.file import parse
from airtune.streams import generator

QUICK = {
    "calibration__rounds": 4,
    "calibration__points": 2,
    "calibration__clients": 3,
    "calibration__samples": 4,
    "calibration__iterations": 3,
    "calibration__shift_samples": 24,
}
ALL = {
    f"bound__{name}": "calibrate" for name in ("L", "mu", "eta", "sigma_g_sq", "zeta_sq", "G_sq")
}
ALL |= {f"bound__{name}": "calibrate" for name in ("L0", "mu0", "eta0", "sigma0_sq", "delta_pre")}
ALL |= {"bound__L_x": "calibrate", "bound__W1": "calibrate"}


@pytest.fixture(scope="module")
def watched(scenario_with: Callable[..., Scenario]) -> Learner:
    return prepare(scenario_with(**QUICK), seed=3)


@pytest.fixture(scope="module")
def measurements(watched: Learner) -> Measurements:
    return Measurements(watched, seed=3)


def somewhere(loss: FederatedLoss) -> np.ndarray:
    """A point where both factors of the adapters are at work."""
    step = generator(0, "test").standard_normal(len(loss.start)).astype(np.float32)
    return loss.start + np.float32(0.05) * step


@pytest.mark.parametrize("kind", ["tuning", "pretraining"])
def test_hessian_products_agree_with_differences_of_gradients(
    measurements: Measurements, kind: str
) -> None:
    with measurements.undisturbed():
        loss = getattr(measurements, kind)()
        point = somewhere(loss)
        direction = generator(1, "test").standard_normal(len(point))
        unit = (direction / np.linalg.norm(direction)).astype(np.float32)
        exact = loss.curvature(point, unit, 2)
        differences = loss._differences(point, unit, 2)
    scale = np.abs(exact).max()
    assert scale > 1e-4
    assert np.allclose(exact, differences, atol=0.02 * scale)
    assert not np.allclose(exact[0], exact[1], atol=0.02 * scale)  # other samples


def test_gradients_of_samples_average_to_that_of_their_batch(measurements: Measurements) -> None:
    with measurements.undisturbed():
        loss = measurements.tuning()
        point = somewhere(loss)
        rows = loss.gradients(point, 1)
        batch = collate(loss._samples[1])
        measurements._model.load(point)
        value, gradient = measurements._model.loss_and_gradient(batch)
        assert rows.mean(axis=0) == pytest.approx(gradient.numpy(), abs=1e-5)
        assert loss.losses(point)[1].mean() == pytest.approx(value, rel=1e-5)


def test_of_ffa_the_loss_over_b_alone_is_measured(
    watched: Learner, measurements: Measurements, scenario_with: Callable[..., Scenario]
) -> None:
    """Its gradients and curvature are those of all weights at the entries of B; A stays."""
    frozen = Measurements(watched.under(scenario_with(**QUICK, aggregation__payload="ffa")), seed=3)
    entries = payload_of(frozen.scenario.aggregation, watched.matrices, 3).entries(1)
    with frozen.undisturbed():
        part, whole = frozen.tuning(), measurements.tuning()
        assert len(part.start) == part.matrix_sizes.sum() == len(entries)
        point = somewhere(part)
        every = part.among_all(point)
        assert np.array_equal(np.delete(every, entries), np.delete(whole.start, entries))
        assert np.allclose(part.gradients(point, 1), whole.gradients(every, 1)[:, entries])
        direction = generator(1, "test").standard_normal(len(entries)).astype(np.float32)
        padded = np.zeros(len(every), np.float32)
        padded[entries] = direction
        expected = whole.curvature(every, padded, 2)[:, entries]
        assert np.allclose(part.curvature(point, direction, 2), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_constants_of_ffa_are_kept_apart_from_those_of_lora(
    calibrated: tuple[Scenario, Learner, BoundConstants, list[str]],
    scenario_with: Callable[..., Scenario],
) -> None:
    _, learner, found, _ = calibrated
    told: list[str] = []
    scenario = scenario_with(**QUICK, **ALL, aggregation__payload="ffa")
    ours = constants(scenario, 1, learner.under(scenario), lambda text, _: told.append(text))
    assert any("round" in text for text in told)
    assert ours.G_sq != found.G_sq and ours.L0 == found.L0
    masked = scenario_with(
        **QUICK, **ALL, aggregation__payload="mask", aggregation__payload_size=200
    )
    assert constants(masked, 1, learner.under(masked)) == found  # of all that it ever moves


def test_the_learner_is_left_as_it_was(watched: Learner, measurements: Measurements) -> None:
    adapter = somewhere(measurements.tuning())
    watched.evaluate(adapter)
    state, legacy = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with measurements.undisturbed():
        measurements.data_sets()
        loss = measurements.pretraining()
        loss.updates(loss.start, 2, 1)
    assert np.array_equal(measurements._model.flat.numpy(), adapter)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002


def test_the_pretrained_weights_lie_in_the_space_of_pretraining(measurements: Measurements) -> None:
    with measurements.undisturbed():
        loss = measurements.pretraining()
        trained = measurements.trained_weights()
        assert trained is not None and trained.shape == loss.start.shape
        losses = loss.losses(trained)
        # The learner's own model, with an adapter that does nothing, is that point.
        measurements._model.load(measurements._learner.initial_adapter())
        own = sample_losses(measurements._model, loss._samples[0], measurements._learner.workers)
    assert losses[0] == pytest.approx(own, rel=1e-4)


def test_embeddings_see_the_answer_and_not_the_adapter(measurements: Measurements) -> None:
    with measurements.undisturbed():
        example = measurements._shift_clients()[0][0]
        other = type(example)(
            (*example.ids[:-2], example.ids[0], example.ids[-1]), example.prompt, ""
        )
        before = measurements._embed([example, other])
        measurements._model.load(somewhere(measurements.tuning()))
        assert np.array_equal(measurements._embed([example, other]), before)
    assert before.shape == (2, 32)
    assert np.linalg.norm(before[0] - before[1]) > 1e-3


@pytest.fixture(scope="module")
def calibrated(
    scenario_with: Callable[..., Scenario],
) -> tuple[Scenario, Learner, BoundConstants, list[str]]:
    """A scenario that calibrates everything, its constants, and the progress told."""
    scenario = scenario_with(**QUICK, **ALL)
    learner, told = prepare(scenario, scenario.seed), []
    found = constants(scenario, scenario.seed, learner, lambda text, fraction: told.append(text))
    return scenario, learner, found, told


def test_constants_are_calibrated_once_and_kept(
    calibrated: tuple[Scenario, Learner, BoundConstants, list[str]],
    scenario_with: Callable[..., Scenario],
) -> None:
    scenario, learner, found, told = calibrated
    assert any("round" in text for text in told)
    assert found.eta == pytest.approx(1 / found.L) and found.mu <= found.L
    assert min(found.sigma_g_sq, found.G_sq, found.sigma0_sq, found.delta_pre, found.W1) > 0
    again: list[str] = []
    assert constants(scenario, 1, learner, lambda text, fraction: again.append(text)) == found
    assert not any("round" in text for text in again)
    mixed = scenario_with(**QUICK, bound__G_sq="calibrate")
    assert constants(mixed, 1, learner).G_sq == found.G_sq
    assert constants(mixed, 1, learner).L == 4.0
    steep = scenario_with(**QUICK, bound__L="calibrate", bound__eta=100, bound__mu=1e-9)
    with pytest.raises(InputError, match=r"bound: .*must be <= .*calibrated"):
        constants(steep, 1, learner)


def test_the_command_reports_draws_and_gives_a_section_to_paste(
    calibrated: tuple[Scenario, Learner, BoundConstants, list[str]], tmp_path: Path
) -> None:
    scenario, _, found, _ = calibrated
    document = command.calibrate_scenario(scenario, tmp_path)
    assert json.loads((tmp_path / "calibration.json").read_text()) == document
    assert document["schema_version"] == SCHEMA_VERSION
    assert {path.name for path in tmp_path.glob("*.p*")} == {
        f"{name}.{kind}" for name in ("calibration-path", "client-shift") for kind in ("pdf", "png")
    }
    assert len(command.rows(document)) == 13
    for name, x in document["constants"].items():
        assert x["low"] <= x["high"] and x["how"], name
        assert x["value"] == getattr(found, name)
    assert len(command.shift_rows(document)) == 3
    pasted = parse(yaml.safe_load(command.snippet(document))).bound
    assert pasted.model_dump() == pytest.approx(document["bound"])
    assert found.L <= pasted.L <= 1.001 * found.L


def test_numbers_pass_without_any_work(scenario_with: Callable[..., Scenario]) -> None:
    scenario = scenario_with(bound__L=3.0)
    assert constants(scenario, 1, None).L == 3.0  # type: ignore[arg-type]


def test_a_ready_model_needs_a_corpus(
    scenario_with: Callable[..., Scenario], watched: Learner, tmp_path: Path
) -> None:
    base = watched._model.peft.peft_config["default"].base_model_name_or_path
    ready = {**QUICK, "model__source": base, "data__max_tokens": 48}
    scenario = scenario_with(**ready, bound__W1="calibrate")
    learner = prepare(scenario, seed=3)
    with pytest.raises(InputError, match=r"data\.pretraining_corpus"):
        constants(scenario, 3, learner)
    corpus = tmp_path / "corpus.jsonl"
    random = generator(5, "corpus")
    letters = np.array(list("etaoin shrdlu "))
    texts = ["".join(random.choice(letters, 150)) for _ in range(20)]
    corpus.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    scenario = scenario_with(
        **ready,
        bound__W1="calibrate",
        bound__sigma0_sq="calibrate",
        data__pretraining_corpus=str(corpus),
    )
    found = constants(scenario, 3, replace(learner, scenario=scenario))
    assert found.W1 > 0 and found.sigma0_sq > 0


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.csv", "x", "must be an existing"),
        ("a.jsonl", '{"text": "a"}\n{"body": 1}', "line 2"),
        ("a.jsonl", "[1", "line 1"),
    ],
)
def test_bad_corpora_are_refused(tmp_path: Path, name: str, content: str, part: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=part):
        read_texts(tmp_path / name)


def test_texts_are_split_at_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\n\nthree\n")
    assert read_texts(tmp_path / "a.txt") == ["one\ntwo", "three"]
