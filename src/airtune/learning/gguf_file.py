"""GGUF files: converted once to safetensors, a few layers at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from airtune.learning.folders import cached

CONVERSION = 2
# Bytes in fp32 of the weights that are held at once.
SHARD = 1_000_000_000
BLOCK = re.compile(r"blk\.(\d+)\.")


def convert_gguf(path: Path, cache: Path) -> Path:
    """Convert a GGUF file, once, to a safetensors folder in fp32, with its tokenizer.

    Transformers dequantises all weights at once, and refuses to save a model that it loaded from
    such a file.  Here it is shown the file's weights in portions of whole layers; each portion
    becomes a safetensors file, so the peak does not grow with the model.

    Parameters
    ----------
    path : Path
        GGUF file of a causal LM.
    cache : Path
        Cache folder.

    Returns
    -------
    Path
        Transformers folder, which adapters can name as their base.

    Raises
    ------
    OSError, ValueError, KeyError
        The file cannot be read as a causal LM.
    """
    import transformers

    status = path.stat()
    facts = {
        "conversion": CONVERSION,
        "file": str(path),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "transformers": transformers.__version__,
    }
    return cached(cache, "gguf", facts, lambda folder: _make(path, folder))


def _make(path: Path, folder: Path) -> None:
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    place = {"gguf_file": path.name, "local_files_only": True}
    AutoTokenizer.from_pretrained(path.parent, **place).save_pretrained(folder)
    config = AutoConfig.from_pretrained(path.parent, **place)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config)
    config.architectures = [type(empty).__name__]
    config._name_or_path = ""
    config.save_pretrained(folder)
    files: dict[str, str] = {}
    for number, weights in enumerate(_portions(path, empty), 1):
        name = f"model-{number:05d}.safetensors"
        save_file(weights, folder / name, metadata={"format": "pt"})
        files |= dict.fromkeys(weights, name)
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _portions(path: Path, empty: Any) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the weights in fp32 under the names of transformers, whole layers together."""
    import gguf
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    reader = gguf.GGUFReader(path)
    every = reader.tensors
    for portion in _layers(every):
        reader.tensors = portion
        with patch.object(gguf, "GGUFReader", lambda _: reader):
            yield load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=empty)[
                "tensors"
            ]


def _layers(tensors: list[Any]) -> Iterator[list[Any]]:
    """Yield portions of at most about `SHARD` bytes in fp32; a layer is never parted."""
    layers: dict[str, list[Any]] = {}
    for tensor in tensors:
        found = BLOCK.match(tensor.name)
        layers.setdefault(found[1] if found else tensor.name, []).append(tensor)
    portion: list[Any] = []
    size = 0
    for layer in layers.values():
        added = sum(4 * int(tensor.n_elements) for tensor in layer)
        if portion and size + added > SHARD:
            yield portion
            portion, size = [], 0
        portion, size = portion + layer, size + added
    yield portion
