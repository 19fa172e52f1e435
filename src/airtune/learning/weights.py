"""Weights in memory, one matrix at a time: read or drawn, cast, and quantised as they arrive.

A model is built without memory for its weights; then each matrix takes its place in its final
precision.  The peak is the final model and one matrix in fp32, never the whole model in fp32.
"""

from __future__ import annotations

import copy
import ctypes
import functools
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from airtune.errors import InputError, clip
from airtune.learning.lora import is_finite
from airtune.memory import demand
from airtune.scenario.learning import Model
from airtune.streams import torch_seed

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Weights that share a scale in 4 bits.
SCALED = 64
# Layers of a model, experts of a layer.
MOST_PARTS = 2048
MOST_WEIGHTS = 1e13


def load_weights(name: str, settings: Model, options: Mapping[str, Any]) -> Any:
    """Return the causal LM `name` with the weights of its safetensors files.

    Parameters
    ----------
    name : str
        Folder or hub id.
    settings : Model
        `dtype` and `quantization` are used.
    options : mapping
        ``local_files_only`` and ``trust_remote_code`` of transformers.

    Raises
    ------
    InputError
        There are no safetensors files, weights are missing or not finite, or bitsandbytes is not
        installed.
    """
    from safetensors import safe_open

    weights: dict[str, Any] = {}
    broken: list[str] = []
    for file in _files(name, options["local_files_only"]):
        # Read, not mapped: pages of a mapped file count as memory for as long as it is open.
        opened: Any = safe_open(file, framework="pt", device="cpu", backend="pread")
        for key in opened.keys():  # noqa: SIM118
            place = f"{clip(file)}: the tensor {clip(key)}"
            weights[key] = _Read(opened.get_slice(key), place, broken)
    empty, config = without_weights(name, options, stored=len(weights))
    model = _fill(empty, config, weights, settings)
    if broken:
        raise InputError(
            f"model.source: {min(broken)} holds a NaN or an infinity; allowed are finite weights"
        )
    return model


def random_weights(name: str, settings: Model, options: Mapping[str, Any], seed: int) -> Any:
    """Return the causal LM of the configuration `name` with fresh random weights.

    Parameters
    ----------
    name : str
        Folder with a ``config.json``, or a hub id.
    settings : Model
        `dtype` and `quantization` are used.
    options : mapping
        ``local_files_only`` and ``trust_remote_code`` of transformers.
    seed : int
        Root of the streams; each weight has a stream of its own.
    """
    empty, config = without_weights(name, options)
    tied = empty.all_tied_weights_keys
    weights = {key: _Draw(empty, key, seed) for key in empty.state_dict() if key not in tied}
    return _fill(empty, config, weights, settings)


class _Read:
    """A weight that is read from its file when it is needed; `broken` collects those not finite.

    Transformers reads in threads of its own and goes on after errors there, so none is raised here.
    """

    def __init__(self, stored: Any, place: str, broken: list[str]) -> None:
        self.stored, self.place, self.broken = stored, place, broken

    def __getitem__(self, place: Any) -> torch.Tensor:
        _give_back()
        read: torch.Tensor = self.stored[place]
        if not is_finite(read):
            self.broken.append(self.place)
        return read


_DRAWING = threading.Lock()


class _Draw:
    """A weight that is drawn when it is needed, by the rule of its model."""

    def __init__(self, model: Any, key: str, seed: int) -> None:
        self.model, self.key, self.seed = model, key, seed

    def __getitem__(self, place: Any) -> torch.Tensor:
        _give_back()
        parent, _, name = self.key.rpartition(".")
        module = copy.deepcopy(self.model.get_submodule(parent)).to_empty(device="cpu")
        # Transformers reads weights in several threads, and they share one random state.
        with _DRAWING, torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(self.seed, "weights", self.key))
            self.model._init_weights(module)
        drawn: torch.Tensor = getattr(module, name).detach()
        return drawn[place]


@functools.cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # no glibc
        return None


def _give_back() -> None:
    """Return freed memory to the operating system, where the C library can (glibc)."""
    trim = _trim()
    if trim is not None:
        trim(0)


def without_weights(
    name: str, options: Mapping[str, Any], stored: int | None = None
) -> tuple[Any, Any]:
    """Return the causal LM `name` on the device ``meta``, and its configuration.

    Where `stored` says how many tensors its files hold, a configuration of more layers is refused.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(name, **options)
    if stored is not None:
        check_layers(config, stored)
    return empty_model(config, trust_remote_code=options["trust_remote_code"])


def check_layers(config: Any, stored: int) -> None:
    """Refuse a configuration with more layers than its files hold tensors.

    The model without weights would take minutes to make, only to be found to lack most of them.
    """
    layers = getattr(config.get_text_config(), "num_hidden_layers", None)
    if isinstance(layers, int) and layers > stored:
        raise InputError(
            f"model.source: its configuration has num_hidden_layers = {layers}; the files hold "
            f"{stored} tensors, too few for so many layers"
        )


def empty_model(config: Any, *, trust_remote_code: bool) -> tuple[Any, Any]:
    """Return the causal LM of a configuration on the device ``meta``, and its configuration."""
    _check_parts(config)
    with torch.device("meta"):
        empty = _kind(config).from_config(config, trust_remote_code=trust_remote_code)
    count = sum(p.numel() for p in empty.parameters())
    if count > MOST_WEIGHTS:
        raise InputError(f"model.source: its configuration makes a model of {count:.3g} weights")
    # Some classes are the text part of a model of several media, with a configuration of its own.
    return empty, config if isinstance(config, type(empty).config_class) else empty.config


def _check_parts(config: Any) -> None:
    """Refuse a configuration of so many parts that to make them, without weights, takes hours."""
    for name, value in config.get_text_config().to_dict().items():
        counts = "layer" in name or "expert" in name
        if counts and isinstance(value, int | float) and value > MOST_PARTS:
            raise InputError(
                f"model.source: its configuration has {name} = {clip(value)}; at most {MOST_PARTS} "
                "can be made"
            )


def _kind(config: Any) -> Any:
    """Return the causal language models, or for what is none those that take images too."""
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
    )

    own = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    if not (own or known) and type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return AutoModelForImageTextToText
    return AutoModelForCausalLM


def _files(name: str, local: bool) -> list[str]:
    """Return the paths of the safetensors files of a folder or a hub id."""
    from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file
    from transformers.utils.hub import get_checkpoint_shard_files

    optional = {"local_files_only": local, "_raise_exceptions_for_missing_entries": False}
    whole = cached_file(name, SAFE_WEIGHTS_NAME, **optional)
    if whole is not None:
        return [whole]
    index = cached_file(name, SAFE_WEIGHTS_INDEX_NAME, **optional)
    if index is not None:
        shards: list[str] = get_checkpoint_shard_files(name, index, local_files_only=local)[0]
        return shards
    pickled = Path(name).is_dir() and sorted(p.name for p in Path(name).glob("*.bin"))
    if pickled:
        raise InputError(
            f"model.source: {name} holds {pickled[0]}, a pickle, which can run code on loading; "
            "allowed are safetensors files (docs/models-and-data.md says how to convert)"
        )
    raise InputError(
        f"model.source: {name} holds no {SAFE_WEIGHTS_NAME}; convert pickled weights once "
        "(docs/models-and-data.md says how), and model.random_weights=true draws some of its shape"
    )


def weight_bytes(settings: Model, base: Any) -> float:
    """Return the memory of a model's weights [bytes]; in 4 bits with their scales."""
    width = 4.5 / 8 if settings.quantization == "nf4" else DTYPES[settings.dtype].itemsize
    return float(width * sum(p.numel() for p in base.parameters()))


def _fill(empty: Any, config: Any, weights: Mapping[str, Any], settings: Model) -> Any:
    """Let transformers place the weights one by one into a model without memory."""
    demand(f"model.source: weights in {settings.dtype}", weight_bytes(settings, empty))
    extra = {}
    if settings.quantization == "nf4" and getattr(config, "quantization_config", None) is None:
        extra["quantization_config"] = _nf4(empty, DTYPES[settings.dtype])
    model, report = type(empty).from_pretrained(
        None,
        config=config,
        state_dict=dict(weights),
        dtype=DTYPES[settings.dtype],
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **extra,
    )
    if wrong := sorted(report["mismatched_keys"]):
        name, stored, expected = wrong[0]
        raise ValueError(
            f"the files hold {name} of shape {tuple(stored)}, the configuration says "
            f"{tuple(expected)}"
        )
    missing = sorted(set(report["missing_keys"]) - set(model.all_tied_weights_keys))
    if missing:
        raise InputError(f"model.source: the files lack the weights {', '.join(missing[:3])}")
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # It would repack the weights for bf16 inference, from which no gradient comes, and
            # make losses depend on the processor.
            module.support_avx512bf16_for_cpu = False
    return model.eval()


def _nf4(model: Any, compute: torch.dtype) -> Any:
    """Return the setting of 4-bit NormalFloat weights [1]_ with fp32 scales of 64 weights each.

    The language head stays as it is.  So do layers whose rows are no multiple of 64: bitsandbytes
    0.50 on the processor takes wrong scales for them.

    References
    ----------
    .. [1] Dettmers et al.: QLoRA: efficient finetuning of quantized LLMs, 2023.
    """
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise InputError(
            "model.quantization: 'nf4' needs bitsandbytes; install it with "
            "pip install 'airtune[quant]'"
        ) from None
    from transformers import BitsAndBytesConfig
    from transformers.quantizers.base import get_keys_to_not_convert

    odd = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer.in_features % SCALED
    ]
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=False,
        bnb_4bit_compute_dtype=compute,
        llm_int8_skip_modules=[*get_keys_to_not_convert(model), *odd] if odd else None,
    )
