"""Cost twins: the named shapes against transformers, and shapes counted from a configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airtune.errors import InputError
from airtune.learning.example import Example
from airtune.learning.federated_data import _per_parameter
from airtune.learning.objectives.dpo import DPO
from airtune.learning.pairs import Pair, answers
from airtune.learning.twins import cost_twin
from airtune.scenario import Scenario
from airtune.scenario.file import load

OPENLLAMA_3B_V2 = {
    "architectures": ["LlamaForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 3200,
    "initializer_range": 0.02,
    "intermediate_size": 8640,
    "max_position_embeddings": 2048,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 26,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-06,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "vocab_size": 32000,
}
"""config.json of openlm-research/open_llama_3b_v2."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(OPENLLAMA_3B_V2))
    return tmp_path


def twin_of(model: str, **lora: Any) -> Any:
    return cost_twin(Scenario.model_validate({"costs": {"model": model}, "model": {"lora": lora}}))


def test_the_named_shape_is_the_one_that_its_configuration_has(folder: Path) -> None:
    named = twin_of("openllama-3b-qv")
    counted = twin_of(str(folder), rank=8, target_modules=["q_proj", "v_proj"])
    assert counted.parameters == named.parameters == 3_426_473_600
    assert counted.matrix_sizes == named.matrix_sizes
    assert (named.entries, len(named.matrix_sizes)) == (2_662_400, 104)
    assert set(named.matrix_sizes) == {8 * 3200}


def test_all_seven_layers_are_those_of_the_shipped_scenario(folder: Path) -> None:
    lora = load("openllama-3b").model.lora.model_dump()
    named, counted = twin_of("openllama-3b"), twin_of(str(folder), **lora)
    assert counted.matrix_sizes == named.matrix_sizes
    assert (named.entries, len(named.matrix_sizes)) == (12_712_960, 364)
    assert counted.parameters == named.parameters


def test_a_configuration_that_has_changed_is_counted_again(folder: Path) -> None:
    before = twin_of(str(folder))
    (folder / "config.json").write_text(json.dumps(OPENLLAMA_3B_V2 | {"num_hidden_layers": 13}))
    assert 2 * twin_of(str(folder)).entries == before.entries


def test_remarks_of_the_library_are_not_shown(folder: Path) -> None:
    """In a process of its own: the library's logger keeps the stderr of its first import."""
    odd = {"rope_parameters": {"rope_type": "default", "ropd_theta": 1e4}, "num_hidden_layers": 1}
    (folder / "config.json").write_text(json.dumps(OPENLLAMA_3B_V2 | odd))
    read = (
        "from airtune.learning.twins import cost_twin; from airtune.scenario import Scenario; "
        f"print(cost_twin(Scenario(costs={{'model': {str(folder)!r}}})).entries)"
    )
    ended = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    assert int(ended.stdout) > 0
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("content", "lora", "message"),
    [
        (None, {}, r"must be none, openllama-3b-qv, openllama-3b, or a folder with a config\.json"),
        ("{", {}, "cannot be used"),
        ("{}", {}, "cannot be used"),
        (
            json.dumps(OPENLLAMA_3B_V2),
            {"target_modules": ["c_attn"]},
            r"cannot be used: model\.lora\.target_modules: the model has no c_attn",
        ),
    ],
)
def test_what_is_no_shape_is_refused(
    content: str | None, lora: dict[str, Any], message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=rf"costs\.model = '.*': .*{message}"):
        twin_of(str(tmp_path), **lora)


def test_a_code_of_its_own_is_not_run(tmp_path: Path) -> None:
    own = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}
    (tmp_path / "config.json").write_text(json.dumps(own))
    (tmp_path / "mine.py").write_text("raise SystemExit(3)")
    with pytest.raises(InputError, match=r"costs\.model"):
        twin_of(str(tmp_path))


def model_with(body: int, head: int) -> Any:
    """A model of so many weights below and in its language head, and an embedding."""
    import torch

    layers = [torch.empty(size, device="meta") for size in (7, body, head)]
    embedding, _, top = (SimpleNamespace(weight=weight) for weight in layers)
    return SimpleNamespace(
        get_input_embeddings=lambda: embedding,
        get_output_embeddings=lambda: top,
        parameters=lambda: layers,
    )


def test_flop_of_a_token_are_four_for_each_parameter() -> None:
    from airtune.learning.model import weights_used

    base = model_with(1000, 200)
    examples = [Example((1,) * 30, 20, ""), Example((1,) * 50, 20, "")]
    flop = 4 * weights_used(base, examples)
    assert flop == 4 * (1000 * 40 + 200 * 20)
    assert _per_parameter(flop, base, examples) == 4 * 40


def test_flop_of_a_pair_have_a_forward_pass_more() -> None:
    base = model_with(1000, 200)
    worse = Example((1,) * 50, 20, "")
    pairs = [Pair((1,) * 30, 20, "", worse)]
    flop = DPO.flop_per_sample(base, pairs)
    # two answers of 40 tokens on average, forward twice and backward once: 2 + 2 + 2
    assert _per_parameter(flop, base, answers(pairs)) == pytest.approx(2 * 40 * 6)
