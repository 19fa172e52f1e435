"""Phase 1: a small LLaMA, its tokenizer and weights trained at the server from scratch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airtune.errors import InputError
from airtune.learning.batches import Batch, collate
from airtune.learning.data import Record, load_sample, sample_bytes
from airtune.learning.device import CPU, Device, device_of
from airtune.learning.folders import cached
from airtune.learning.formats import load_records
from airtune.learning.lora import is_finite
from airtune.learning.model import LanguageModel, count_parameters, weights_used
from airtune.learning.quiet import quiet
from airtune.learning.results import PretrainingCost
from airtune.learning.text import Encoder, Example
from airtune.learning.tokenizer import train_tokenizer
from airtune.learning.workers import Workers
from airtune.scenario import Scenario
from airtune.scenario.learning import Data, Pretraining, SmallLlama
from airtune.streams import generator, torch_seed

# Raise it whenever this module or the text encoding changes what is learnt.
VERSION = 1
# Raise it whenever texts of a user are cut in another way; models of the sample alone stay.
PIECES = 2
CONTEXT = 512
FACTS = "pretraining.json"
WARM_UP = 0.08
# Batches are cut from pools of so many, sorted by length, to save padding.
POOL = 16
# Always so many, whatever the threads, so that their number changes nothing.
SHARDS = 2

Progress = Callable[[str, float], None]


def small_model(scenario: Scenario, progress: Progress) -> Path:
    """Return the folder of the pre-trained small model; train it if the cache has none.

    Parameters
    ----------
    scenario : Scenario
        `model.small`, `pretraining`, `seed`, `threads` and `cache` are used.  All repetitions of a
        study share one base model, so it depends on the scenario's seed.  The number of threads
        changes no bit of it.
    progress : callable
        Called with a text and the fraction done.

    Returns
    -------
    Path
        Transformers folder (safetensors) with the tokenizer.
    """
    return cached(
        Path(scenario.cache),
        "small",
        _facts(scenario),
        lambda folder: _make(scenario, folder, progress),
    )


def _facts(scenario: Scenario) -> dict[str, Any]:
    """Return everything that the small model depends on."""
    import transformers

    facts = {
        "version": VERSION,
        "model": scenario.model.small.model_dump(mode="json"),
        "pretraining": scenario.pretraining.model_dump(mode="json", exclude={"charge", "sources"}),
        "data": hashlib.sha256(sample_bytes("general")).hexdigest(),
        "seed": scenario.seed,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    kind = device_of(scenario.model).kind
    if kind != "cpu":
        facts["device"] = kind
    if scenario.pretraining.sources != ("sample",):
        facts["pieces"] = PIECES
        facts["sources"] = [_fingerprint(source) for source in scenario.pretraining.sources]
    return facts


def _make(scenario: Scenario, folder: Path, progress: Progress) -> None:
    progress("pre-training: tokenizer", 0.0)
    records, tokenizer = corpus(scenario)
    examples = Encoder(tokenizer, CONTEXT).encode(records)
    model = fresh_model(scenario.model.small, tokenizer, torch_seed(scenario.seed, "weights"))
    workers = Workers(scenario.threads, sum(count_parameters(model)))
    device = Device(device_of(scenario.model).kind)
    train(model, examples, scenario.pretraining, scenario.seed, workers, progress, device=device)
    if not all(is_finite(weight.detach()) for weight in model.parameters()):
        rate = scenario.pretraining.learning_rate
        raise InputError(
            f"pretraining.learning_rate = {rate:g}: pre-training diverged, its weights are not "
            "finite; allowed are rates with which it converges, such as 0.002"
        )
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / FACTS).write_text(json.dumps({"work_per_sample": weights_used(model, examples)}))


def corpus(scenario: Scenario) -> tuple[list[Record], Any]:
    """Return the records that the small model is pre-trained on, and its tokenizer."""
    records = corpus_records(scenario)
    texts = (text for r in records for text in (r.instruction, r.input, r.output) if text)
    return records, train_tokenizer(texts, scenario.model.small.vocabulary)


def corpus_records(scenario: Scenario) -> list[Record]:
    """Return the records that the small model is pre-trained on."""
    records: list[Record] = []
    for source in scenario.pretraining.sources:
        records += load_sample("general") if source == "sample" else _texts(source)
    return records


def _texts(source: str) -> list[Record]:
    """Return the documents of a file in pieces, all with the file as their label."""
    settings = Data(source=source, format="text", strict=True)
    try:
        return [replace(record, label=source) for record in load_records(settings)]
    except InputError as error:
        raise InputError(str(error).replace("data.source", "pretraining.sources")) from None


def _fingerprint(source: str) -> str:
    if source == "sample":
        return source
    try:
        return hashlib.sha256(Path(source).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"pretraining.sources: {source} cannot be read ({error.strerror}); allowed are "
            "'sample' and files of text"
        ) from None


def pretraining_cost(folder: Path, settings: Pretraining, weights: int) -> PretrainingCost:
    """Return what phase 1 of the model in `folder` costs: 6 FLOP per weight and token.

    Parameters
    ----------
    folder : Path
    settings : Pretraining
    weights : int
        Of the model, without its embedding, with its language head.
    """
    work = json.loads((folder / FACTS).read_text())["work_per_sample"]
    return cost_of(work, settings, weights)


def cost_of(work: float, settings: Pretraining, weights: int) -> PretrainingCost:
    """Return the cost of a phase 1 whose samples use weights `work` times, tokens by weights."""
    flop = 6 * work
    return PretrainingCost(flop, settings.steps, settings.batch_size, flop / weights)


def fresh_model(shape: SmallLlama, tokenizer: Any, seed: int) -> Any:
    """Return a LLaMA of the given shape with random weights.

    Parameters
    ----------
    shape : SmallLlama
        Sizes of the model.
    tokenizer : transformers tokenizer
        Gives the vocabulary and the special tokens.
    seed : int
        Seed of the weights.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        # The usual 0.02 suits wide models; a narrow one learns to copy many times later with it.
        initializer_range=shape.hidden**-0.5,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def train(
    causal: Any,
    examples: Sequence[Example],
    settings: Pretraining,
    seed: int,
    workers: Workers,
    progress: Progress,
    *,
    device: Device = CPU,
) -> None:
    """Train all weights with AdamW, linear warm-up and cosine decay, on the response loss.

    Parameters
    ----------
    causal : transformers.PreTrainedModel
        Trained in place.
    examples : sequence of Example
        Training data.
    settings : Pretraining
        Steps, batch size and peak learning rate.
    seed : int
        Root of the stream ``"pretraining"``, which orders the data.
    workers : Workers
        Compute the shards of a batch side by side.
    progress : callable
        Called with a text and the fraction done.
    device : Device
        Where it is trained; it is on the processor before and after.
    """
    model = LanguageModel(causal.to(device.kind), device)
    causal.train()
    weights = list(causal.parameters())

    def gradient(shard: Batch) -> tuple[float, tuple[torch.Tensor, ...]]:
        loss = model.training_loss(shard)
        return float(loss.detach()), torch.autograd.grad(loss, weights)

    optimizer = torch.optim.AdamW(
        weights,
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=0.01,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: _rate(t, settings.steps))
    batches = _batches(examples, settings.batch_size, seed)
    for step in range(settings.steps):
        shards = workers.map(gradient, next(batches))
        for weight, *parts in zip(weights, *(parts for _, parts in shards), strict=True):
            weight.grad = torch.stack(parts).mean(0)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        loss = sum(loss for loss, _ in shards) / len(shards)
        progress(f"pre-training: loss {loss:.2f}", (step + 1) / settings.steps)
    causal.to("cpu").eval()


def _rate(step: int, steps: int) -> float:
    """Return the learning rate of a step relative to its peak."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _batches(examples: Sequence[Example], size: int, seed: int) -> Iterator[list[Batch]]:
    """Yield batches for ever: all tasks in equal shares, examples of like length in one batch.

    A batch comes in `SHARDS` equal shards, or whole when it cannot be shared equally.
    """
    shards = SHARDS if size % SHARDS == 0 else 1
    part = size // shards
    random = generator(seed, "pretraining")
    names = sorted({e.label for e in examples})
    tasks = [_cycle([e for e in examples if e.label == name], random) for name in names]
    while True:
        pool = [next(tasks[i % len(tasks)]) for i in range(size * POOL)]
        pool.sort(key=lambda example: len(example.ids))
        for batch in random.permutation(POOL):
            starts = range(batch * size, (batch + 1) * size, part)
            yield [collate(pool[start : start + part]) for start in starts]


def _cycle(examples: Sequence[Example], random: np.random.Generator) -> Iterator[Example]:
    """Yield the examples for ever, each epoch in a new order."""
    while True:
        for i in random.permutation(len(examples)):
            yield examples[i]
