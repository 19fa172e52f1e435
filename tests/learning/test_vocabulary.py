"""Tokens that a model has no row for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airtune.errors import InputError
from airtune.learning.learner import Learner, prepare
from airtune.scenario import Scenario


@pytest.fixture(scope="module")
def enlarged(learner: Learner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model beside a tokenizer with six tokens more, of which one pads."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("enlarged")
    base = learner._model.peft.peft_config["default"].base_model_name_or_path
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens([f"<extra-{i}>" for i in range(5)])
    tokenizer.add_special_tokens({"pad_token": "<new-pad>"})
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def scenario_of(
    make: Callable[..., Scenario], source: Path, folder: Path, texts: list[str], **changes: Any
) -> Scenario:
    path = folder / "data.jsonl"
    rows = ({"instruction": f"Say {i}.", "output": text} for i, text in enumerate(texts))
    path.write_text("\n".join(map(json.dumps, rows)))
    return make(
        model__source=str(source),
        data={"source": str(path), "partition": "iid", **changes},
        clients__count=2,
    )


def test_tokens_that_no_record_holds_do_no_harm(
    scenario_with: Callable[..., Scenario], enlarged: Path, tmp_path: Path
) -> None:
    scenario = scenario_of(scenario_with, enlarged, tmp_path, ["one two"] * 12)
    found = prepare(scenario, seed=1)
    rows = found._model.causal.get_input_embeddings().weight.shape[0]
    assert len(found._encoder.tokenizer) == rows + 6
    assert found.client_update(found.initial_adapter(), 0, 4, seed=1, round_index=0).finite
    assert found.samples(found.initial_adapter(), 1)


# Of twelve records the last may be held out: in either place it is found.
@pytest.mark.parametrize("place", range(0, 12, 3))
def test_a_record_with_a_token_without_a_row_is_told(
    scenario_with: Callable[..., Scenario], enlarged: Path, tmp_path: Path, place: int
) -> None:
    texts = ["one two"] * 12
    texts[place] = "one <extra-3> two <extra-1>"
    scenario = scenario_of(scenario_with, enlarged, tmp_path, texts)
    with pytest.raises(InputError) as told:
        prepare(scenario, seed=1)
    # 400 rows; the extra tokens are 400 to 404, and the new pad is 405.
    assert str(told.value) == (
        f"model.source: {str(enlarged)!r} has rows for 400 tokens, but the data or its template "
        "holds '<extra-3>' with id 403; use the tokenizer that belongs to the weights, or give "
        "the model these rows once with model.resize_token_embeddings(406) and save it"
    )


def test_a_template_with_a_token_without_a_row_is_told(
    scenario_with: Callable[..., Scenario], enlarged: Path, tmp_path: Path
) -> None:
    scenario = scenario_of(
        scenario_with,
        enlarged,
        tmp_path,
        ["one two"] * 12,
        template="<extra-0> {instruction} {input}",
    )
    with pytest.raises(InputError, match=r"the data or its template holds '<extra-0>' with id 400"):
        prepare(scenario, seed=1)


def test_a_head_with_fewer_rows_counts() -> None:
    import torch

    from airtune.learning.text import Example
    from airtune.learning.vocabulary import check_ids, token_rows

    from .families import FAMILIES

    with torch.device("meta"):
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_config(FAMILIES["qwen2"].make(tie_word_embeddings=False))
        model.lm_head = torch.nn.Linear(32, 390, bias=False)

    class Names:
        def convert_ids_to_tokens(self, token: int) -> str:
            return f"token {token} " + 100 * "x"

        def __len__(self) -> int:
            return 395

    assert token_rows(model) == 390
    check_ids("here", model, Names(), [Example((389, 3), 1, "")])
    with pytest.raises(InputError, match=r"390 tokens.* id 394; .*embeddings\(395\)") as told:
        check_ids("here", model, Names(), [Example((3, 4), 1, ""), Example((394, 3), 1, "")])
    assert len(str(told.value)) < 320
