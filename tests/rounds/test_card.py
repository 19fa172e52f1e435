"""The model card of a finished cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from airtune import record
from airtune.learning.results import Evaluation
from airtune.record import Cell, names
from airtune.record.documents import EnvironmentDocument
from airtune.rounds import card
from airtune.rounds.metrics import progress_metrics
from airtune.rounds.state import State
from airtune.scenario import Scenario
from airtune.scenario import file as scenario_file
from tuned_run import LINES, settings


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    found = Cell(tmp_path / "run" / "movable" / "seed-1", "movable", 1)
    for line in LINES:
        record.append_metrics(found, line)
    found.adapter_folder.mkdir()
    return found


@pytest.fixture
def card_of(cell: Cell) -> Callable[[Scenario], ModelCard]:
    def make(scenario: Scenario) -> ModelCard:
        card.write(card.of_run(scenario, cell), cell.adapter_folder)
        return ModelCard.load(cell.adapter_folder / "README.md")

    return make


def test_the_hub_reads_the_metadata(card_of) -> None:
    found = card_of(settings(model={"source": "gpt/gpt2", "licence": "mit"}))
    data = found.data.to_dict()
    assert data["base_model"] == "gpt/gpt2" and data["base_model_relation"] == "adapter"
    assert data["library_name"] == "peft" and data["pipeline_tag"] == "text-generation"
    assert data["license"] == "mit"
    assert {"lora", "federated-learning"} <= set(data["tags"])
    assert 'from_pretrained("gpt/gpt2")' in found.text
    unknown = card_of(settings()).data.to_dict()
    assert unknown["license"] == "unknown" and "base_model" not in unknown


def test_a_data_set_of_the_hub_is_linked_and_a_file_is_not(card_of, tmp_path: Path) -> None:
    linked = card_of(settings(data={"source": "tatsu-lab/alpaca", "format": "alpaca"}))
    assert linked.data.to_dict()["datasets"] == ["tatsu-lab/alpaca"]
    assert "datasets" not in card_of(settings(data={"source": "data/talks.jsonl"})).data.to_dict()


def test_the_card_says_what_was_done(card_of) -> None:
    text = card_of(settings()).text
    for part in (
        "`movable`, repetition 1 (seed 2)",
        "| rounds | 2 |",
        "rank 2, alpha 4",
        "| loss [nat per token] | 3 | 2 |",
        "| perplexity | 20.09 | 7.389 |",
        "-7.0 dB",  # of the mean of 0.1 and 0.3
        "airtune run scenario.yaml --scheme movable",
        "trains from scratch",
        "arxiv.org/abs/2506.00011",
        "### Response:",
    ):
        assert part in text, part


def pair_lines() -> list[dict[str, object]]:
    """Return what the rounds of preference pairs write: the first, the second and the last line."""
    none = np.zeros(0)
    state = State(none.astype(np.float32), {}, none, none, none, none, none.astype(int), none)
    lines: list[dict[str, object]] = []
    for number, (loss, right) in enumerate([(0.7, 0.5), (None, None), (0.4, 0.75)]):
        state.round = number
        score = (
            None if loss is None else Evaluation(loss, None, None, {}, preference_accuracy=right)
        )
        lines.append(progress_metrics(state, score) | {"mse": 0.1 if number else None})
    return lines


def test_preferences_have_an_accuracy_and_no_perplexity(card_of, cell: Cell) -> None:
    (cell.folder / names.METRICS).unlink()
    for line in pair_lines():
        record.append_metrics(cell, line)
    scenario = settings(
        data={"source": "pairs.jsonl", "format": "preference"},
        training={"client_objective": "dpo"},
    )
    text = card_of(scenario).text
    assert "| preference loss | 0.7 | 0.4 |" in text
    assert "| preference accuracy | 0.5 | 0.75 |" in text
    assert "perplexity" not in text and "diverged" not in text


def test_the_scores_shown_are_those_that_were_made(card_of) -> None:
    # An objective of the user's may score pairs as text.
    text = card_of(settings(data={"source": "pairs.jsonl", "format": "preference"})).text
    assert "| exact match | 0.1 | 0.5 |" in text and "preference accuracy" not in text


@pytest.mark.parametrize(
    ("scheme", "told"),
    [
        ("movable", "noise, interference and misalignment of the channel: its squared error"),
        ("digital", "with the errors of quantisation: its squared error"),
        ("truncated", "the silence of weak clients: its squared error"),
        ("obda", "signs in place of numbers"),
        ("of-another-package", "the errors of the air interface: its squared error"),
    ],
)
def test_the_errors_are_those_of_the_air_interface(
    cell: Cell, tmp_path: Path, scheme: str, told: str
) -> None:
    other = Cell(cell.folder, scheme, 1)
    text = card.text(card.of_run(settings(), other), cell.adapter_folder)
    assert told in text.partition("## The air")[2]
    assert ("interference" in text) == (scheme in ("movable", "truncated", "obda"))


def test_what_arrives_without_error_and_what_nobody_knows(cell: Cell) -> None:
    (cell.folder / names.METRICS).unlink()
    for line in LINES:
        record.append_metrics(cell, line | {"mse": None})
    for scheme, told in {"ideal": "arrived without error", "movable": "is not known"}.items():
        other = Cell(cell.folder, scheme, 1)
        assert told in card.text(card.of_run(settings(), other), cell.adapter_folder)


def test_the_versions_are_those_of_the_run(card_of, cell: Cell) -> None:
    assert "Versions" not in card_of(settings()).text
    packages = {"airtune": "0.1.2", "torch": "1.9", "transformers": "4.0", "peft": None, "b": "7"}
    file = cell.folder.parents[1] / names.ENVIRONMENT
    record.write_document(file, EnvironmentDocument, {"packages": packages})
    said = card_of(settings()).text
    assert "Versions: airtune 0.1.2, torch 1.9, transformers 4.0.\n" in said


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("LlavaForConditionalGeneration", "AutoModelForImageTextToText"),
        ("Gemma3ForConditionalGeneration", "AutoModelForCausalLM"),
        (None, "AutoModelForCausalLM"),
    ],
)
@pytest.mark.parametrize("merged", [False, True])
def test_the_class_that_opens_the_base_is_named(
    cell: Cell, base: str | None, expected: str, merged: bool
) -> None:
    config = {"auto_mapping": base and {"base_model_class": base, "parent_library": "x"}}
    (cell.adapter_folder / "adapter_config.json").write_text(json.dumps(config))
    about = replace(card.of_run(settings(), cell), merged=merged)
    code = card.text(about, cell.adapter_folder).partition("```python")[2].partition("```")[0]
    assert code.count("AutoModelFor") == code.count(expected) == 2


def test_the_command_that_gets_the_model_stays_here(card_of) -> None:
    text = card_of(settings(model={"source": "a/b", "obtain": "curl https://me:secret@host"})).text
    assert "secret" not in text and "obtain" not in text


def test_a_diverged_run_has_no_figures(card_of, cell: Cell) -> None:
    record.append_metrics(cell, {"round": 3, "evaluated": True, "loss": None})
    text = card_of(settings()).text
    assert "| loss [nat per token] | 3 | none (diverged) |" in text
    assert "The run diverged: its loss did not fall. Do not use this model." in text


def test_the_settings_in_the_card_are_those_of_the_run(card_of) -> None:
    scenario = settings(
        data={"template": "/inst {instruction} /end"},
        training={"client_objective": "sft", "rounds": 7},
        budget={"latency_s": 3.5},
    )
    text = card_of(scenario).text
    block = text.partition("```yaml\n")[2].partition("```")[0]
    again = scenario_file.parse(yaml.safe_load(block))
    assert again == scenario.model_copy(
        update={name: getattr(again, name) for name in card.NO_PLACE}
    )


def test_the_card_tells_nothing_of_this_machine(card_of, tmp_path: Path) -> None:
    scenario = settings(
        cache=str(tmp_path / "cache"),
        model={"source": str(tmp_path / "models" / "mine"), "adapter": str(tmp_path / "first")},
        data={"source": str(tmp_path / "talks.jsonl"), "pretraining_corpus": "../corpus.txt"},
        pretraining={"sources": ["sample", str(tmp_path / "books.txt")]},
    )
    text = str(card_of(scenario))
    assert str(tmp_path) not in text and str(Path.home()) not in text and "../" not in text
    for name in ("mine", "talks.jsonl", "corpus.txt", "books.txt"):
        assert name in text


def test_the_same_cell_has_the_same_card(card_of) -> None:
    assert str(card_of(settings())) == str(card_of(settings()))


def test_the_prompts_named_are_those_of_the_tokenizer(card_of, cell: Cell) -> None:
    (cell.adapter_folder / "chat_template.jinja").write_text("{{ messages }}")
    assert "own chat template" in card_of(settings()).text
    assert "`{instruction}" in card_of(settings(data={"template": "plain"})).text


def test_a_base_that_is_on_the_hub_is_remembered(card_of, cell: Cell) -> None:
    assert card.base_on_hub(cell.adapter_folder) is None
    (cell.adapter_folder / names.PLAN).touch()
    card_of(settings(model={"source": "gpt/gpt2"}))
    assert card.base_on_hub(cell.adapter_folder) == "gpt/gpt2"
    card_of(settings())
    assert card.base_on_hub(cell.adapter_folder) == ""
    (cell.adapter_folder / "README.md").write_text("---\nbase_model: a/b\n---\n")
    assert card.base_on_hub(cell.adapter_folder) is None


def test_the_rank_is_that_of_the_adapter_that_was_written(card_of, cell: Cell) -> None:
    """It is another than trained where a change of the frozen weights was put into it."""
    trained = f"rank {settings().model.lora.rank}, alpha"
    assert f"| {trained}" in card_of(settings()).text
    config = {"r": 24, "lora_alpha": 48.0, "base_model_name_or_path": "x"}
    (cell.adapter_folder / "adapter_config.json").write_text(json.dumps(config))
    assert f"| rank 24, alpha 48 (trained with {trained}" in card_of(settings()).text


def test_rounds_without_a_step_are_in_the_card(card_of, cell: Cell) -> None:
    assert "step" not in card_of(settings()).text.partition("## Results")[2].partition("|")[0]
    (cell.folder / names.METRICS).unlink()
    for line, made in zip(LINES, (None, False, True), strict=True):
        record.append_metrics(cell, line | ({} if made is None else {"stepped": made}))
    assert "1 of 2 rounds made no step." in card_of(settings()).text
    (cell.folder / names.METRICS).unlink()
    for line in LINES:
        record.append_metrics(cell, line | ({"stepped": False} if line["round"] else {}))
    text = card_of(settings()).text
    assert "No round made a step: the server has learnt nothing. Do not use this model." in text
