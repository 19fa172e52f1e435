"""GGUF files: converted once to safetensors, a few layers at a time."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airtune.errors import InputError, clip
from airtune.learning.folders import cached
from airtune.learning.weights import check_layers

CONVERSION = 3
# Bytes in fp32 of the weights that are held at once.
SHARD = 1_000_000_000
BLOCK = re.compile(r"blk\.(\d+)\.")


def convert_gguf(path: Path, cache: Path) -> Path:
    """Convert a GGUF file, once, to a safetensors folder in fp32, with its tokenizer.

    Transformers dequantises all weights at once, and refuses to save a model that it loaded from
    such a file.  Here gguf dequantises them in portions of whole layers, with the names and the
    order of entries that transformers gives them; each portion becomes a safetensors file, so the
    peak does not grow with the model.  Only the file itself is read, whatever lies beside it.

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
    InputError
        A tensor holds a NaN or an infinity.
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
    import gguf
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    config, tokenizer = config_and_tokenizer(path)
    check_layers(config, len(gguf.GGUFReader(path).tensors))
    tokenizer.save_pretrained(folder)
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


def config_and_tokenizer(path: Path) -> tuple[Any, Any]:
    """Return the configuration and the tokenizer that a GGUF file holds; no weights are read.

    Raises
    ------
    OSError, ValueError, KeyError
        The file cannot be read as a causal LM.
    """
    from transformers import AutoConfig, AutoTokenizer

    with tempfile.TemporaryDirectory() as alone:
        # Transformers prefers a tokenizer, a template or settings that lie beside the file.
        (Path(alone) / path.name).symlink_to(path.resolve())
        place = {"gguf_file": path.name, "local_files_only": True}
        tokenizer = AutoTokenizer.from_pretrained(alone, **place)
        return AutoConfig.from_pretrained(alone, **place), tokenizer


def _portions(path: Path, empty: Any) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the weights in fp32 under the names of transformers, whole layers at a time."""
    import gguf
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
        load_gguf_checkpoint,
        read_field,
    )

    config = load_gguf_checkpoint(str(path))["config"]
    reader = gguf.GGUFReader(path)
    architecture = read_field(reader, "general.architecture")[0]
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=config)
    names = get_gguf_hf_weights_map(empty, processor)
    for portion in _layers(reader.tensors):
        # Experts of one layer are put into one tensor by the processor itself.
        weights: dict[str, torch.Tensor] = {}
        for tensor in portion:
            result = processor.process(
                weights=_finite(
                    gguf.dequantize(tensor.data, tensor.tensor_type), path, tensor.name
                ),
                name=tensor.name,
                tensor_key_mapping=names,
                parsed_parameters={"tensors": weights},
            )
            if result.name in names:
                weights[names[result.name]] = torch.from_numpy(np.copy(result.weights))
        yield weights


def _finite(weights: Any, path: Path, name: str) -> Any:
    """Return the weights of a tensor as they are; refuse those that hold a NaN or an infinity."""
    if not np.isfinite(weights).all():
        raise InputError(
            f"model.source: {clip(path)}: the tensor {clip(name)} holds a NaN or an infinity; "
            "allowed are finite weights"
        )
    return weights


def _layers(every: list[Any]) -> Iterator[list[Any]]:
    """Yield portions of at most about `SHARD` bytes in fp32; a layer is not split."""
    layers: dict[str, list[Any]] = {}
    for tensor in every:
        layer = BLOCK.match(tensor.name)
        layers.setdefault(layer[1] if layer else tensor.name, []).append(tensor)
    portion: list[Any] = []
    size = 0
    for tensors in layers.values():
        added = sum(4 * int(tensor.n_elements) for tensor in tensors)
        if portion and size + added > SHARD:
            yield portion
            portion, size = [], 0
        portion, size = portion + tensors, size + added
    yield portion
