"""`model.device` and `model.autocast`: the paths off the processor, tested on the processor.

With autocast the passes on a processor are those of an accelerator: padded batches through the
layers of transformers and PEFT.  Where tensors are is checked with tensors that have a device and
no content.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from airtune.errors import InputError
from airtune.learning import device as devices
from airtune.learning.batches import collate
from airtune.learning.client import client_update
from airtune.learning.device import CPU, Device, device_of
from airtune.learning.evaluate import evaluate
from airtune.learning.model import AdapterModel, LanguageModel
from airtune.learning.pretrain import fresh_model
from airtune.learning.text import Example
from airtune.learning.workers import Workers
from airtune.scenario.learning import Lora, Model, SmallLlama, Training

EXAMPLES = [
    Example(tuple(range(5 + n, 15 + n + n % 3)), prompt=4 + n % 2, label="ab"[n % 2])
    for n in range(12)
]
LORA = Lora(rank=4, alpha=8.0)
ACCELERATOR = next((kind for kind in ("cuda", "mps") if devices.is_there(kind)), None)


class Words:
    """As much of a tokenizer as a model's shape asks for."""

    eos_token_id, pad_token_id = 1, 0

    def __len__(self) -> int:
        return 64


def model_on(device: Device, **lora: object) -> AdapterModel:
    shape = SmallLlama(hidden=32, layers=2, heads=2, intermediate=48, vocabulary=300)
    made = AdapterModel(
        fresh_model(shape, Words(), 3),
        "base",
        LORA.model_copy(update=lora),
        seed=5,
        device=device,
    )
    made.load(made.initial + np.float32(0.02))
    return made


def update_of(model: AdapterModel, **settings: object) -> np.ndarray:
    point = model.initial + np.float32(0.02)
    done = client_update(
        model,
        point,
        EXAMPLES,
        Training(**settings),
        batch_size=6,
        seed=1,
        round_index=2,
        client=0,
    )
    assert done.finite
    return done.update


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def test_auto_is_the_accelerator_that_is_there(monkeypatch) -> None:
    for there, expected in (({"cpu"}, "cpu"), ({"cpu", "mps"}, "mps"), ({"cpu", "cuda"}, "cuda")):
        monkeypatch.setattr(devices, "is_there", there.__contains__)
        assert device_of(Model()).kind == expected


def test_a_device_that_is_not_there_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(devices, "is_there", "cpu".__eq__)
    with pytest.raises(InputError, match=r"model\.device = 'cuda': .* allowed are auto, cpu$"):
        device_of(Model(device="cuda"))


def test_the_passes_written_for_a_processor_are_used_there_only() -> None:
    assert model_on(CPU).packs
    assert not model_on(Device("cpu", "bfloat16")).packs


@pytest.mark.parametrize(("autocast", "tolerance"), [("bfloat16", 0.05), ("float16", 0.01)])
def test_an_update_in_lower_precision_is_near_the_full_one(autocast, tolerance) -> None:
    full = model_on(CPU)
    low = model_on(Device("cpu", autocast))
    assert np.array_equal(low.initial, full.initial)
    for settings in ({}, {"local_steps": 3}, {"local_steps": 2, "client_optimizer": "adamw"}):
        found = update_of(low, **settings)
        assert found.dtype == np.float32
        if settings.get("client_optimizer") == "adamw":
            continue  # its steps have the length of the rate, whatever the gradient's
        assert 0 < difference(found, update_of(full, **settings)) < tolerance
    again = update_of(model_on(Device("cpu", autocast)))
    assert np.array_equal(again, update_of(low))  # same bits on the same device


def test_small_slopes_are_kept_in_float16() -> None:
    full, low = model_on(CPU), model_on(Device("cpu", "float16"))
    weights = torch.full((6,), 1e-7)  # without the scale nearly all slopes are 0 in float16
    flat = torch.from_numpy(full.initial + np.float32(0.02))
    one = full.gradient_at(flat, EXAMPLES[:6], weights=weights)[1].numpy()
    other = low.gradient_at(flat, EXAMPLES[:6], weights=weights)[1].numpy()
    assert difference(other, one) < 0.05


def test_scores_and_log_probabilities_are_near_those_of_full_precision() -> None:
    full, low = model_on(CPU), model_on(Device("cpu", "bfloat16"))
    one, other = (evaluate(m, EXAMPLES, 5, Workers(1, 0)) for m in (full, low))
    assert one.loss != other.loss
    assert other.loss == pytest.approx(one.loss, rel=0.01)
    flat = torch.from_numpy(full.initial + np.float32(0.02))
    expected = full.log_probabilities(flat, EXAMPLES)
    assert torch.allclose(low.log_probabilities(flat, EXAMPLES), expected, rtol=0.01)


def test_dropout_is_a_stream_of_its_own_and_leaves_others_as_they_are() -> None:
    low = model_on(Device("cpu", "bfloat16"), dropout=0.3)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, other = update_of(low), update_of(low)
    assert np.array_equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert difference(one, update_of(model_on(Device("cpu", "bfloat16")))) > 0.01


def test_every_tensor_of_a_pass_is_where_the_model_is() -> None:
    """Fake tensors follow devices without one: an operation on two devices fails."""
    from torch._subclasses import FakeTensorMode

    shape = SmallLlama(hidden=32, layers=1, heads=2, intermediate=48, vocabulary=300)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        with torch.device("meta"):
            causal = fresh_model(shape, Words(), 3)
        model = LanguageModel(causal, Device("meta"))
        batch = collate(EXAMPLES[:4])
        assert batch.ids.device.type == "cpu"
        assert model.response_states(batch).device.type == "meta"
        for weights in (None, torch.ones(4)):
            assert model.training_loss(batch, weights).device.type == "meta"
        losses, hits = model.score(batch)
        assert losses.device.type == hits.device.type == "cpu"
        assert losses.shape == batch.rows.shape


@pytest.mark.skipif(ACCELERATOR is None, reason="no accelerator here")
def test_an_accelerator_gives_the_processor_s_numbers() -> None:
    full, there = model_on(CPU), model_on(Device(str(ACCELERATOR)))
    assert np.array_equal(full.initial, there.initial)
    assert difference(update_of(there), update_of(full)) < 1e-4
    assert np.array_equal(update_of(there), update_of(there))
    one, other = (evaluate(m, EXAMPLES, 5, Workers(1, 0)) for m in (full, there))
    assert other.loss == pytest.approx(one.loss, rel=1e-4)
