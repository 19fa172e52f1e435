"""Phase 1: what is cached, when, and that it learns and repeats."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airtune.errors import FailedError
from airtune.learning.data import load_sample
from airtune.learning.folders import cached
from airtune.learning.text import Encoder, Example
from airtune.scenario import Scenario
from airtune.scenario.learning import Pretraining, SmallLlama


def quiet(text: str, fraction: float) -> None:
    """Show no progress."""


def test_a_second_call_finds_the_model_and_other_settings_do_not(
    scenario_with: Callable[..., Scenario], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airtune.learning import pretrain
    from airtune.learning.pretrain import small_model

    few = load_sample("domains")[:50]
    monkeypatch.setattr(pretrain, "load_sample", lambda part: few)
    cache = str(tmp_path)
    calls: list[float] = []
    first = small_model(scenario_with(cache=cache), lambda t, f: calls.append(f))
    assert calls and calls[-1] == 1.0
    calls.clear()
    same = {"threads": 2, "pretraining__charge": False, "training__rounds": 7, "clients__count": 3}
    assert small_model(scenario_with(cache=cache, **same), lambda t, f: calls.append(f)) == first
    assert not calls
    changes: list[dict[str, Any]] = [
        {"seed": 9},
        {"pretraining__steps": 2},
        {"pretraining__learning_rate": 0.5},
        {"model__small__layers": 1},
    ]
    others = {small_model(scenario_with(cache=cache, **change), quiet) for change in changes}
    assert len(others | {first}) == 5


def test_the_folder_is_a_transformers_model_with_its_facts(
    scenario_with: Callable[..., Scenario],
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from airtune.learning.pretrain import pretraining_cost, small_model

    scenario = scenario_with()
    folder = small_model(scenario, quiet)
    assert folder.is_absolute()
    assert json.loads((folder / "airtune.json").read_text())["seed"] == scenario.seed
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.vocab_size == len(AutoTokenizer.from_pretrained(folder)) == 400
    weights = sum(p.numel() for p in model.parameters())
    cost = pretraining_cost(folder, scenario.pretraining, weights)
    assert (cost.steps, cost.batch_size) == (3, 4)
    # 6 FLOP per weight and token; prompts and answers have some 10 to 60 tokens.
    assert cost.flop_per_parameter == pytest.approx(cost.flop_per_sample / weights)
    assert 6 * 5 * weights < cost.flop_per_sample < 6 * 60 * weights


def test_an_interrupted_training_leaves_nothing(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "model.safetensors").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "small", {"a": 1}, make)
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_processes_wins(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        other = cached(tmp_path, "small", {"a": 1}, lambda f: (f / "x").touch())
        assert other.is_dir()
        (folder / "x").touch()

    found = cached(tmp_path, "small", {"a": 1}, make)
    assert sorted(p.name for p in found.iterdir()) == ["airtune.json", "x"]
    assert [p.name for p in tmp_path.iterdir()] == [found.name]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("I/O error (os error 28)")]
)
def test_a_full_disk_is_told(tmp_path: Path, error: Exception) -> None:
    def make(folder: Path) -> None:
        raise error

    with pytest.raises(FailedError, match=r"small-\w+: cannot be written.*MiB free.*cache"):
        cached(tmp_path, "small", {"a": 1}, make)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "fails", ["os.mkdir", "pathlib.Path.write_text", "os.fsync", "pathlib.Path.rename"]
)
def test_a_disk_that_is_full_at_any_step_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def make(folder: Path) -> None:
        (folder / "weights").write_bytes(b"whole")

    monkeypatch.setattr(fails, full)
    with pytest.raises(FailedError, match=r"small-\w+: cannot be written.*MiB free.*cache"):
        cached(tmp_path, "small", {"a": 1}, make)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    assert sorted(path.name for path in cached(tmp_path, "small", {"a": 1}, make).iterdir()) == [
        "airtune.json",
        "weights",
    ]


def test_files_are_on_the_disk_before_the_folder_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = [], []

    def flush(descriptor: int) -> None:
        there = list(tmp_path.glob("small-*"))
        (after if there else before).append(os.fstat(descriptor).st_ino)

    def make(folder: Path) -> None:
        (folder / "deep").mkdir()
        (folder / "deep" / "weights").write_bytes(b"whole")
        (folder / "deep" / "weights").chmod(0o444)

    monkeypatch.setattr("os.fsync", flush)
    made = cached(tmp_path, "small", {"a": 1}, make)
    assert sorted(before) == sorted(path.stat().st_ino for path in (made, *made.rglob("*")))
    assert after == [tmp_path.stat().st_ino]


def test_what_a_killed_process_began_is_removed(tmp_path: Path) -> None:
    dead = tmp_path / ".small-dead"
    dead.mkdir()
    (dead / "half").touch()

    def make(folder: Path) -> None:
        # A process that is making another one at this time keeps its folder.
        cached(tmp_path, "small", {"a": 2}, lambda inner: (inner / "x").touch())
        assert folder.is_dir()
        (folder / "x").touch()

    cached(tmp_path, "small", {"a": 1}, make)
    assert {path.name[0] for path in tmp_path.iterdir()} == {"s"}
    assert len(list(tmp_path.iterdir())) == 2


def trained(encoder: Encoder, examples: list[Example], threads: int) -> Any:
    from airtune.learning.pretrain import fresh_model, train
    from airtune.learning.workers import Workers

    shape = SmallLlama(hidden=32, layers=1, heads=2, intermediate=64, vocabulary=400)
    model = fresh_model(shape, encoder.tokenizer, seed=1)
    settings = Pretraining(steps=40, batch_size=8, learning_rate=5e-3)
    train(model, examples, settings, 2, Workers(threads, 0), progress=quiet)
    return model


def test_training_learns_and_repeats_bit_for_bit(encoder: Encoder, examples: list[Example]) -> None:
    import torch

    from airtune.learning.evaluate import evaluate
    from airtune.learning.model import LanguageModel
    from airtune.learning.workers import Workers

    torch.use_deterministic_algorithms(True)
    one, two = trained(encoder, examples, 1), trained(encoder, examples, 2)
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(p, q)
    untrained = 5.99  # ln 400, a uniform guess
    assert evaluate(LanguageModel(one), examples, 20, Workers(2, 0)).loss < untrained - 1


def test_tasks_come_in_equal_shares(examples: list[Example]) -> None:
    from airtune.learning.pretrain import POOL, _batches

    tasks = sorted({e.label for e in examples})
    lengths = {e.label: 0 for e in examples}
    by_ids = {e.ids: e.label for e in examples}
    stream = _batches(examples, len(tasks), seed=1)
    for _ in range(POOL):
        rows = [row for shard in next(stream) for row in shard.ids.tolist()]
        for row in rows:
            label = next(v for k, v in by_ids.items() if tuple(row[: len(k)]) == k)
            lengths[label] += 1
    assert set(lengths.values()) == {POOL}
