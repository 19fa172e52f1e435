"""Columns, borders and white space are learnt and read as the data give them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tests.learning.chat_families_more import FAMILIES
from tests.learning.chat_tokenizers import tokenizer_of

from airtune.errors import InputError
from airtune.learning import chat_template
from airtune.learning.chat_template import ChatTemplate
from airtune.learning.corpus import read_texts
from airtune.learning.data import Record
from airtune.learning.formats import to_records
from airtune.learning.product_bias import product_bias
from airtune.learning.results import AdapterMatrix
from airtune.learning.text import Encoder
from airtune.scenario.learning import Data, Fields

DAY = datetime.date(2026, 2, 3)


def encoder_of(name: str, max_tokens: int, template: str = "auto", **more: Any) -> Encoder:
    kind = more.pop("kind", "bytes")
    options = FAMILIES[name].options if template == "auto" else {}
    tokenizer = tokenizer_of(FAMILIES[name], kind)
    return Encoder(tokenizer, max_tokens, template, date=DAY, options=options, **more)


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each time that a template is rendered."""
    found: list[bool] = []
    render = ChatTemplate._render

    def counted(self: ChatTemplate, *given: Any, **how: Any) -> str:
        found.append(how["generation"])
        return render(self, *given, **how)

    monkeypatch.setattr(ChatTemplate, "_render", counted)
    return found


def long_talk(number: int) -> Record:
    history = [("system", f"Be brief {number}.")]
    for turn in range(4):
        history += [("user", f"Q{number} {turn}? " * 4), ("assistant", f"A{number} {turn}.")]
    return Record(f"Last {number}? " * 20, "", f"Yes {number}.", history=tuple(history))


def test_a_talk_that_is_cut_is_rendered_once_more(renders: list[bool]) -> None:
    records = [long_talk(number) for number in range(9)]
    encoder = encoder_of("qwen2.5", 96)
    encoder.encode(records[:1])
    renders.clear()
    examples = encoder.encode(records[1:])
    assert all(len(example.ids) <= 96 for example in examples)
    assert len(renders) <= 3 * 8


def test_earlier_answers_are_not_rendered_twice(renders: list[bool]) -> None:
    encoder = encoder_of("qwen2.5", 4096, turns="all")
    encoder.encode([long_talk(0)])
    renders.clear()
    (example,) = encoder.encode([long_talk(1)])
    assert len(example.learnt) == 5 and len(renders) == 6


@pytest.mark.parametrize("name", ["qwen2.5", "qwen3", "mistral", "llama-3.2", "gpt-oss", "vicuna"])
@pytest.mark.parametrize("limit", [120, 200, 400])
def test_a_cut_that_is_seen_in_the_text_is_that_of_the_template(
    name: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [long_talk(number) for number in range(3)]
    found = encoder_of(name, limit).encode(records)
    monkeypatch.setattr("airtune.learning.text.spliced", lambda *given: None)
    assert encoder_of(name, limit).encode(records) == found


def test_what_is_kept_of_a_template_has_an_end_and_no_tools() -> None:
    template = encoder_of("qwen2.5", 96).chat
    assert template is not None
    for number in range(3):
        tools = f'[{{"type": "function", "function": {{"name": "f{number}"}}}}]'
        template.whole(Record("Hi", "", "Yo", tools=tools))
    for kept in (template._closing, template._wrote, template._as_before, template._prompt):
        assert kept.cache_info().maxsize is not None
    assert template._wrote.cache_info().currsize == 1


# A column `system`


def test_a_column_system_is_the_first_turn() -> None:
    talk = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]
    told = [{"from": "system", "value": "Be kind"}, *talk]
    rows = [
        ("1", {"system": "Be kind", "messages": talk}),
        ("2", {"system": "Be kind", "messages": told}),
        ("3", {"system": "Be rude", "messages": told}),
        ("4", {"system": None, "messages": talk}),
        ("5", {"system": ["x"], "messages": talk}),
    ]
    records, left_out = to_records(rows, Data(format="chat"))
    assert [r.history for r in records] == [(("system", "Be kind"),)] * 2 + [()]
    assert [(one.place, one.why) for one in left_out] == [
        ("3", "its column 'system' and the 'system' turn that its talk begins with differ"),
        ("5", "'system' must be text"),
    ]


def test_a_column_system_counts_for_both_answers_of_a_pair() -> None:
    row = {"system": "Be kind", "question": "Hi", "chosen": "Hello", "rejected": "No"}
    other = [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "No"}]
    talks = row | {"chosen": [other[0] | {"content": "Hi"}, other[1]], "rejected": other}
    del talks["question"]
    fields = Fields(prompt="question")
    records, _ = to_records([("1", row), ("2", talks)], Data(format="preference", fields=fields))
    assert records[0].turns == (("system", "Be kind"), ("user", "Hi"))
    assert records[1].worse is not None
    assert records[1].worse.turns == (("system", "Be kind"), ("user", "Hi there"))
    named, _ = to_records(
        [("1", {"system": "Hi", "chosen": "Hello", "rejected": "No"})],
        Data(format="preference", fields=Fields(prompt="system")),
    )
    assert named[0].turns == (("user", "Hi"),)


# White space


@pytest.mark.parametrize("template", ["auto", "plain"])
def test_a_written_answer_keeps_its_indentation(template: str) -> None:
    encoder = encoder_of("qwen2.5", 96, template)
    code = "    if x:\n        return y\n"
    (example,) = encoder.encode([Record("Hi", "", code)])
    assert encoder.answer(example.ids[example.prompt :]) == code


def test_documents_of_a_corpus_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("    if x:\n        y \n\n\n  z\n")
    assert read_texts(path) == ["    if x:\n        y ", "  z"]


@pytest.mark.parametrize("kind", ["bytes", "slow"])
@pytest.mark.parametrize("answer", ["\nBlue.", "\n\n  Blue.", "  Blue."])
@pytest.mark.parametrize("template", ["plain", "alpaca"])
def test_the_line_break_of_a_prompt_is_given(template: str, answer: str, kind: str) -> None:
    encoder = encoder_of("qwen2.5", 96, template, kind=kind)
    (example,) = encoder.encode([Record("Name one.", "", answer)])
    assert list(example.ids[: example.prompt]) == encoder.question(Record("Name one.", "", ""))
    assert encoder.answer(example.ids[example.prompt :]) == answer


# Adapters of stacked experts


@pytest.mark.parametrize("where", ["mlp.experts", "mlp.experts.base_layer"])
def test_stacked_experts_are_no_product(where: str) -> None:
    matrices = [
        AdapterMatrix("q_proj.lora_A.weight", (1, 2), 0, 2),
        AdapterMatrix("q_proj.lora_B.weight", (2, 1), 2, 2),
        AdapterMatrix(f"{where}.lora_A.weight", (4, 2), 4, 8),
        AdapterMatrix(f"{where}.lora_B.weight", (2, 4), 12, 8),
    ]
    random = np.random.default_rng(0)
    adapter = random.normal(size=20).astype(np.float32)
    changes, weights = random.normal(size=(3, 20)), np.full(3, 1 / 3)
    found = product_bias(adapter, changes, weights, matrices)
    assert found == product_bias(adapter, changes, weights, matrices[:2])
    assert product_bias(adapter, changes, weights, matrices[2:]) is None


# Variables of a template


@pytest.mark.parametrize("name", ["messages", "tokenize", "tools", "strftime_now", "return_dict"])
def test_what_the_program_hands_to_a_template_is_no_option(name: str) -> None:
    with pytest.raises(ValidationError, match=f"template_options = .*must not set {name}"):
        Data(template_options={"enable_thinking": False, name: True})


def test_every_argument_of_the_function_is_taken() -> None:
    import inspect

    from transformers import PreTrainedTokenizerBase
    from transformers.utils.chat_template_utils import render_jinja_template

    from airtune.scenario.learning import TAKEN

    for function in (PreTrainedTokenizerBase.apply_chat_template, render_jinja_template):
        assert set(inspect.signature(function).parameters) - {"kwargs"} <= TAKEN


def test_a_transformers_that_compiles_templates_elsewhere_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers.utils import chat_template_utils

    assert "strftime_now" in chat_template._compiled("{{ 1 }}").globals
    monkeypatch.delattr(chat_template_utils, "_compile_jinja_template")
    with pytest.raises(InputError, match=r"transformers \d.*chat templates .*data\.template"):
        encoder_of("qwen2.5", 96)
