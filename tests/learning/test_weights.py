"""Weights in other precisions, drawn weights, and adapters on top of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.learning.learner import Learner, prepare
from airtune.scenario import Scenario

# The rows of the down projections are no multiple of 64.
WIDE = {"hidden": 64, "layers": 2, "heads": 2, "intermediate": 96, "vocabulary": 400}
IDS = list(range(5, 45))


def base_of(learner: Learner) -> str:
    return str(learner._model.peft.peft_config["default"].base_model_name_or_path)


@pytest.fixture(scope="module")
def exact(scenario_with: Callable[..., Scenario]) -> Learner:
    return prepare(scenario_with(model__small=WIDE), seed=3)


@pytest.fixture(scope="module")
def four_bits(scenario_with: Callable[..., Scenario]) -> Learner:
    pytest.importorskip("bitsandbytes")
    return prepare(scenario_with(model__small=WIDE, model__quantization="nf4"), seed=3)


def noisy(learner: Learner) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(learner.size)
    return (learner.initial_adapter() + 0.05 * noise).astype(np.float32)


def test_four_bits_stay_close_to_fp32_and_are_a_quarter_of_a_byte_a_weight(
    exact: Learner, four_bits: Learner
) -> None:
    import torch
    from bitsandbytes.nn import Linear4bit

    adapter = noisy(exact)
    fine, coarse = (one.evaluate(adapter).loss for one in (exact, four_bits))
    # NF4 keeps a normal weight to about 9 % of its size.
    assert 0 < abs(coarse - fine) < 0.05 * fine
    layers = {n: m for n, m in four_bits._model.causal.named_modules() if isinstance(m, Linear4bit)}
    assert len(layers) == 12, "six matrices in each of two layers; the odd one stays"
    originals = dict(exact._model.causal.named_modules())
    for name, layer in layers.items():
        state = layer.weight.quant_state
        stored = layer.weight.numel() + 4 * state.absmax.numel()
        assert layer.weight.dtype == torch.uint8
        assert stored == state.shape.numel() * (1 / 2 + 4 / 64)
        weight = originals[name].weight
        error = (layer(torch.eye(weight.shape[1])).T - weight).norm() / weight.norm()
        assert 0.02 < float(error) < 0.12, name


def test_gradients_on_four_bits_are_those_of_the_dequantised_model(four_bits: Learner) -> None:
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit
    from transformers import AutoModelForCausalLM

    from airtune.learning.batches import collate
    from airtune.learning.model import AdapterModel

    plain = AutoModelForCausalLM.from_pretrained(base_of(four_bits)).eval()
    for name, layer in four_bits._model.causal.named_modules():
        if isinstance(layer, Linear4bit):
            place = name.removesuffix(".base_layer")
            weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
            plain.get_submodule(place).weight.data = weight
    oracle = AdapterModel(plain, "base", four_bits.scenario.model.lora, seed=1)
    adapter = noisy(four_bits)
    batch = collate(four_bits._clients[0][:3])
    results = []
    for model in (oracle, four_bits._model):
        model.load(adapter)
        # Scores first: they must not change the weights that the gradient is taken with.
        model.score(batch)
        results.append(model.loss_and_gradient(batch))
    (loss, gradient), (loss_4, gradient_4) = results
    assert loss == pytest.approx(loss_4, rel=1e-5)
    assert float(gradient.norm()) > 0
    assert torch.allclose(gradient, gradient_4, rtol=1e-3, atol=1e-5)


def test_a_client_update_on_four_bits_repeats_bit_for_bit(four_bits: Learner) -> None:
    adapter = noisy(four_bits)
    first, again = (four_bits.client_update(adapter, 2, 3, seed=1, round_index=4) for _ in range(2))
    assert first.finite and np.linalg.norm(first.update) > 0
    assert np.array_equal(first.update, again.update)


def test_weights_are_counted_alike_in_all_precisions(exact: Learner, four_bits: Learner) -> None:
    assert four_bits.flop_per_sample == exact.flop_per_sample


@pytest.mark.parametrize("kind", ["float32", "nf4"])
def test_a_saved_adapter_gives_the_same_logits_in_peft(
    learner: Learner, request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    ours, options = learner, {}
    if kind == "nf4":
        ours = request.getfixturevalue("four_bits")
        options = {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                llm_int8_skip_modules=["lm_head", "down_proj"],
            )
        }
    adapter = noisy(ours)
    ours.save_adapter(adapter, tmp_path)
    base = AutoModelForCausalLM.from_pretrained(base_of(ours), dtype=torch.float32, **options)
    for module in base.modules():
        module.support_avx512bf16_for_cpu = False
    theirs = PeftModel.from_pretrained(base, tmp_path).eval()
    ids = torch.tensor([IDS])
    ours.evaluate(adapter)
    with torch.no_grad():
        assert torch.allclose(
            ours._model.causal(input_ids=ids).logits, theirs(input_ids=ids).logits, atol=1e-5
        )


def test_bf16_works_and_is_near(scenario_with: Callable[..., Scenario], learner: Learner) -> None:
    import torch

    half = prepare(scenario_with(model__dtype="bfloat16"), seed=3)
    assert half._model.causal.get_input_embeddings().weight.dtype == torch.bfloat16
    adapter = noisy(half)
    assert half.evaluate(adapter).loss == pytest.approx(learner.evaluate(adapter).loss, rel=0.01)
    update = half.client_update(adapter, 0, 3, seed=1, round_index=0).update
    exact = learner.client_update(adapter, 0, 3, seed=1, round_index=0).update
    assert update.dtype == np.float32
    assert np.linalg.norm(update - exact) < 0.1 * np.linalg.norm(exact)


def test_gradient_checkpointing_changes_no_bit(
    scenario_with: Callable[..., Scenario], learner: Learner
) -> None:
    small = prepare(scenario_with(model__gradient_checkpointing=True), seed=3)
    layers = [m for m in small._model.causal.modules() if type(m).__name__ == "LlamaDecoderLayer"]
    adapter = noisy(learner)
    update = small.client_update(adapter, 0, 3, seed=1, round_index=0)
    assert all(layer.training for layer in layers)
    loss = small.evaluate(adapter).loss
    assert not any(layer.training for layer in layers)
    # The same passes without it, and the written-out passes of the ordinary model.
    small._model._checkpointed = []
    again = small.client_update(adapter, 0, 3, seed=1, round_index=0)
    assert not any(layer.training for layer in layers)
    assert np.array_equal(update.update, again.update)
    exact = learner.client_update(adapter, 0, 3, 1, 0).update
    assert np.linalg.norm(update.update - exact) < 1e-4 * np.linalg.norm(exact)
    assert loss == pytest.approx(learner.evaluate(adapter).loss, rel=1e-5)


@pytest.fixture
def configuration(learner: Learner, tmp_path: Path) -> Path:
    source = json.loads((Path(base_of(learner)) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**source, "initializer_range": 0.02}))
    return tmp_path


def test_a_configuration_alone_makes_random_weights(
    scenario_with: Callable[..., Scenario], configuration: Path
) -> None:
    import torch

    with pytest.raises(InputError, match=r"model\.source"):
        prepare(scenario_with(model__source=str(configuration)), seed=1)
    scenario = scenario_with(model__source=str(configuration), model__random_weights=True)
    first, again = (prepare(scenario, seed=seed) for seed in (1, 2))
    weights = dict(first._model.causal.named_parameters())
    for name, weight in again._model.causal.named_parameters():
        if "lora" not in name:
            assert torch.equal(weight, weights[name]), name
    drawn = weights["model.layers.0.mlp.up_proj.base_layer.weight"]
    assert float(drawn.std()) == pytest.approx(0.02, rel=0.05)
    assert torch.equal(weights["model.norm.weight"], torch.ones(32))
    assert first._model.causal.lm_head.weight is first._model.causal.model.embed_tokens.weight
    other = prepare(scenario.model_copy(update={"seed": 9}), seed=1)
    changed = dict(other._model.causal.named_parameters())
    assert not torch.equal(changed["model.layers.0.mlp.up_proj.base_layer.weight"], drawn)


@pytest.mark.slow
def test_loading_in_four_bits_never_holds_the_model_in_fp32(tmp_path: Path) -> None:
    """A model of a gigabyte in fp32, in four files, takes less than half of it in 4 bits."""
    import subprocess
    import sys

    pytest.importorskip("bitsandbytes")
    script = """
import resource, sys
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
from airtune.learning.weights import load_weights
from airtune.scenario import Model

big, tiny = Path(sys.argv[1]) / "big", Path(sys.argv[1]) / "tiny"

def peak(folder):
    options = {"local_files_only": True, "trust_remote_code": False}
    model = load_weights(str(folder), Model(quantization=sys.argv[2]), options)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

if sys.argv[2] == "make":
    for folder, layers, size in [(big, 16, 1024), (tiny, 1, 64)]:
        shape = dict(hidden_size=size, intermediate_size=4 * size, num_attention_heads=8)
        config = LlamaConfig(num_hidden_layers=layers, vocab_size=1000, **shape)
        LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="300MB")
else:
    print(-peak(tiny) + peak(big))
"""
    run = [sys.executable, "-c", script, str(tmp_path)]
    subprocess.run([*run, "make"], check=True)
    stored = sum(f.stat().st_size for f in (tmp_path / "big").glob("*.safetensors")) / 2**20
    peak = {
        kind: float(subprocess.run([*run, kind], check=True, capture_output=True, text=True).stdout)
        for kind in ("none", "nf4")
    }
    assert peak["none"] < 1.2 * stored
    assert peak["nf4"] < 0.5 * stored


def test_all_linear_means_every_layer_but_the_head(
    scenario_with: Callable[..., Scenario], learner: Learner
) -> None:
    lora = {"rank": 2, "alpha": 4.0, "target_modules": "all-linear"}
    every = prepare(scenario_with(model__lora=lora), seed=3)
    assert every.matrices == learner.matrices


def test_an_adapter_on_the_head_is_trained_and_scored(
    scenario_with: Callable[..., Scenario], tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    lora = {"rank": 2, "alpha": 4.0, "target_modules": ["q_proj", "lm_head"]}
    found = prepare(scenario_with(model__lora=lora), seed=3)
    adapter = noisy(found)
    update = found.client_updates(adapter, [0], [4], 1, 1)[0].update
    head = [block for block in found.matrices if "lm_head" in block.name]
    assert len(head) == 2
    assert all(np.any(update[b.start : b.start + b.size]) for b in head)
    found.save_adapter(adapter, tmp_path / "adapter")
    base = found._model.peft.peft_config["default"].base_model_name_or_path
    with_head = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter"
    )
    example = found._clients[0][0]
    found._model.load(adapter)
    own = found._model.response_logits(found._model.batch([example])).detach()
    with torch.no_grad():
        logits = with_head(input_ids=torch.tensor([example.ids])).logits[0]
    torch.testing.assert_close(own, logits[example.prompt - 1 : -1], rtol=1e-4, atol=1e-5)


def test_rslora_scales_by_the_root_of_the_rank(scenario_with: Callable[..., Scenario]) -> None:
    found = prepare(scenario_with(model__lora={"rank": 4, "alpha": 6.0, "rslora": True}), seed=3)
    layer = found._model.causal.model.layers[0].mlp.up_proj
    assert layer.scaling["default"] == pytest.approx(6.0 / 4**0.5)


@pytest.mark.parametrize(("dtype", "entry"), [("float32", np.nan), ("bfloat16", np.inf)])
def test_base_weights_that_are_not_finite_are_refused_by_name(
    exact: Learner,
    scenario_with: Callable[..., Scenario],
    tmp_path: Path,
    dtype: str,
    entry: float,
) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(base_of(exact), tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    weights[name][3, 7] = entry
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError) as refused:
        prepare(scenario_with(model__source=str(folder), model__dtype=dtype), seed=3)
    said = str(refused.value)
    assert said.startswith("model.source: ") and len(said) <= 400
    assert "model.safetensors" in said and name in said


@pytest.mark.parametrize("rate", [1e300])
def test_pre_training_that_diverges_leaves_no_model(
    scenario_with: Callable[..., Scenario], tmp_path: Path, rate: float
) -> None:
    scenario = scenario_with(pretraining__learning_rate=rate, cache=str(tmp_path))
    with pytest.raises(InputError, match=r"pretraining.learning_rate = 1e\+30+: pre-training div"):
        prepare(scenario, seed=3)
    assert not list(tmp_path.rglob("*.safetensors")), "it would be found the next time"
