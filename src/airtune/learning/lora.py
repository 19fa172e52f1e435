"""LoRA by PEFT: adapters put on a base model, and adapter folders to start from."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airtune.errors import InputError
from airtune.learning.results import AdapterMatrix, Vector
from airtune.scenario.learning import Lora

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
# Settings of other kinds of adapters: name in PEFT's file, value of plain LoRA.
PLAIN: dict[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "use_dora": (False, None),
    "modules_to_save": (None, []),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "layers_to_transform": (None, []),
    # The others change the base model too.
    "init_lora_weights": (True, False, "gaussian", "orthogonal", "eva"),
    "alora_invocation_tokens": (None, []),
}


def wrap(base: Any, name: Path | str, settings: Lora, seed: int) -> Any:
    """Return `base` with fresh adapters, a ``peft.PeftModel``.

    Parameters
    ----------
    base : transformers.PreTrainedModel
        Changed in place.
    name : Path or str
        Folder or hub id that saved adapters name as their base.
    settings : Lora
        Rank, scale, dropout and target layers.
    seed : int
        Seed of the A matrices; the B matrices are zero.

    Raises
    ------
    InputError
        A target layer is not in the model.
    """
    from peft import LoraConfig, get_peft_model

    targets = settings.target_modules
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.rslora,
        target_modules=targets if isinstance(targets, str) else sorted(targets),
    )
    if not isinstance(targets, str):
        _check_targets(base, targets)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # PEFT asks transformers for a name that is about to change.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(seed)
        # PEFT lets this name win over the one in its configuration.
        base.name_or_path = str(name)
        return get_peft_model(base, config)


def adapter_matrices(base: object, settings: Lora) -> tuple[AdapterMatrix, ...]:
    """Return the matrices A (r x in) and B (out x r) that :func:`wrap` would add, in their order.

    Parameters
    ----------
    base : torch.nn.Module
        The model, without weights is enough (device ``meta``).
    settings : Lora
        Rank and target layers.

    Raises
    ------
    InputError
        No layer is adapted.
    """
    import torch

    matrices, start = [], 0
    assert isinstance(base, torch.nn.Module)
    every = settings.target_modules == "all-linear"
    for name, layer in base.named_modules():
        if not isinstance(layer, torch.nn.Linear) or (every and name == "lm_head"):
            continue
        if not every and name.rsplit(".", 1)[-1] not in settings.target_modules:
            continue
        shapes = {
            "lora_A": (settings.rank, layer.in_features),
            "lora_B": (layer.out_features, settings.rank),
        }
        for matrix, shape in shapes.items():
            size = shape[0] * shape[1]
            matrices.append(
                AdapterMatrix(f"base_model.model.{name}.{matrix}.weight", shape, start, size)
            )
            start += size
    if not matrices:
        raise InputError(
            f"model.lora.target_modules = {list(settings.target_modules)}: the model has none"
        )
    return tuple(matrices)


def _check_targets(base: Any, targets: Sequence[str]) -> None:
    layers = {name.rsplit(".", 1)[-1] for name, _ in base.named_modules()}
    missing = sorted(set(targets) - layers)
    if missing:
        linear = {
            n.rsplit(".", 1)[-1] for n, m in base.named_modules() if isinstance(m, torch.nn.Linear)
        }
        raise InputError(
            f"model.lora.target_modules: the model has no {', '.join(missing)}; "
            f"it has {', '.join(sorted(linear))}, and 'all-linear' means all but the language head"
        )


def read_adapter(folder: Path, settings: Lora, matrices: Sequence[AdapterMatrix]) -> Vector:
    """Return the adapter of a PEFT folder as a flat vector, shape (d,).

    Parameters
    ----------
    folder : Path
        With ``adapter_config.json`` and ``adapter_model.safetensors``.
    settings : Lora
        Must say the same as the folder's configuration.
    matrices : sequence of AdapterMatrix
        The adapter matrices of the model, in the order of the vector.

    Raises
    ------
    InputError
        A file is missing or pickled, the adapter is no plain LoRA, or it does not fit `settings`
        or the model.
    """
    from safetensors import SafetensorError

    # Adapters may be stored in bf16, which NumPy does not know.
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"model.adapter: {folder} must be a PEFT folder with {CONFIG} and {WEIGHTS} "
            f"(pickled weights are refused): {error}"
        ) from None
    _check_config(folder, config, settings)
    expected = {matrix.name: matrix.shape for matrix in matrices}
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    if shapes != expected:
        names = sorted(set(shapes) ^ set(expected)) or [
            n for n in shapes if shapes[n] != expected[n]
        ]
        targets = config.get("target_modules")
        raise InputError(
            f"model.adapter: {folder} does not fit the model and model.lora.target_modules, for "
            f"example {names[0]}; the adapter was made for target_modules {_brief(targets)}"
        )
    return np.concatenate([weights[b.name].float().numpy().reshape(-1) for b in matrices])


def _check_config(folder: Path, config: dict[str, Any], settings: Lora) -> None:
    kind = config.get("peft_type")
    unlike = [n for n, plain in PLAIN.items() if n in config and config[n] not in plain]
    if kind != "LORA" or unlike:
        what = unlike[0] if unlike else f"peft_type {kind}"
        raise InputError(f"model.adapter: {folder} has {what}; allowed is plain LoRA")
    needed = {
        "rank": config.get("r"),
        "alpha": config.get("lora_alpha"),
        "rslora": bool(config.get("use_rslora")),
    }
    wrong = [name for name, value in needed.items() if getattr(settings, name) != value]
    if wrong:
        raise InputError(
            f"model.lora.{wrong[0]} = {getattr(settings, wrong[0])}: the adapter in {folder} needs "
            + ", ".join(f"model.lora.{name}={json.dumps(value)}" for name, value in needed.items())
            + f", model.lora.target_modules={_brief(config.get('target_modules'))}"
        )


def _brief(targets: Any) -> str:
    return json.dumps(sorted(targets) if isinstance(targets, list) else targets)
