"""A Flower client that computes a LoRA gradient with plain transformers and PEFT.

`build`: the model is built in each call, as in the FlowerTune LLM template.  Otherwise the worker
process keeps it.  Padded batches with labels and a mask, logits at all places, as usual there.
"""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


def make_model(folder: str, lora: str) -> Any:
    """Load the base model and wrap it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    return get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **json.loads(lora)))


cached_model = cache(make_model)


@cache
def load_batches(path: str) -> Any:
    """Return the mini-batches: round -> client -> [[tokens, prompt length], ...]."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def gradient(model: Any, batch: list[tuple[list[int], int]]) -> float:
    """Put the gradient of the mean over samples of their mean loss into the parameters."""
    import torch

    width = max(len(ids) for ids, _ in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, (tokens, prompt) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        labels[row, prompt : len(tokens)] = torch.tensor(tokens[prompt:])
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    labels = labels[:, 1:]
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="none"
    ).view(labels.shape)
    loss = (losses.sum(1) / (labels != -100).sum(1)).mean()
    loss.backward()
    return float(loss.detach())


@app.train()
def train(msg: Message, context: Context) -> Message:
    """Answer with the gradient at the adapter that came."""
    import torch
    from peft import set_peft_model_state_dict

    began = time.perf_counter()
    config = msg.content["config"]
    torch.set_num_threads(int(config["threads"]))
    make = make_model if config["build"] else cached_model
    model = make(config["folder"], config["lora"])
    set_peft_model_state_dict(model, msg.content["adapter"].to_torch_state_dict())
    model.eval()
    model.zero_grad()
    batches = load_batches(config["batches"])
    client = int(context.node_config["partition-id"])
    loss = gradient(model, batches[int(config["round"])][client])
    slopes = {
        name.replace(".default.", "."): parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    metrics = {"loss": loss, "client": client, "seconds": time.perf_counter() - began}
    content = RecordDict({"gradient": ArrayRecord(slopes), "metrics": MetricRecord(metrics)})
    return Message(content=content, reply_to=msg)
