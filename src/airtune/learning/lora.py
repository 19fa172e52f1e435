"""LoRA by PEFT: adapters put on a base model, and adapter folders to start from."""

from __future__ import annotations

import copy
import json
import re
import stat
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airtune.errors import InputError, clip
from airtune.learning.results import AdapterMatrix, Vector
from airtune.learning.text_path import layers_without_text
from airtune.scenario.learning import Lora

Targets = str | Collection[str]

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PATTERNS = ("rank_pattern", "alpha_pattern")
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

    Layers that text never reaches get none: the towers of images and sound of a model of several
    media.  The saved configuration names them as ``exclude_modules``.

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
        A target layer is not in the way of text through the model, or PEFT has no adapter for it.
    """
    from peft import LoraConfig, get_peft_model

    targets = settings.target_modules
    layers = _layers(base)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.rslora,
        target_modules=targets if isinstance(targets, str) else sorted(targets),
        exclude_modules=layers.excluded(targets),
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # PEFT asks transformers for a name that is about to change.
        warnings.simplefilter("ignore", FutureWarning)
        # It takes the pattern that it made for stacked experts for one without a layer.
        warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys")
        torch.manual_seed(seed)
        # PEFT lets this name win over the one in its configuration.
        base.name_or_path = str(name)
        try:
            peft = get_peft_model(base, config)
        except ValueError as error:
            _check_targets(layers, _not_stacked(targets, config))
            raise InputError(_refusal(error, layers)) from error
    _check_targets(layers, _not_stacked(targets, config))
    return peft


def _not_stacked(targets: Targets, config: Any) -> Targets:
    """Return the targets without those that PEFT found in the stacked weights of experts."""
    # It takes them out of its configuration.
    return targets if isinstance(targets, str) else set(targets) & set(config.target_modules)


@dataclass(frozen=True)
class _Layers:
    """The layers of a model by name: those that text reaches and the others."""

    reached: dict[str, Any]
    others: dict[str, Any]
    pattern: str

    def excluded(self, targets: Targets) -> str | None:
        """Return a pattern of the targets that text does not reach, if there are any."""
        found = any(_is_target(name, layer, targets) for name, layer in self.others.items())
        return self.pattern if found else None

    def linear(self) -> list[str]:
        """Return the names of the linear layers that text reaches."""
        found = (name for name, layer in self.reached.items() if _is_linear(layer))
        return sorted({name.rsplit(".", 1)[-1] for name in found})


def _layers(base: Any) -> _Layers:
    pattern = "|".join(rf"{re.escape(place)}(\..*)?" for place in layers_without_text(base))
    layers: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for name, layer in base.named_modules():
        if name:
            layers[bool(pattern and re.fullmatch(pattern, name))][name] = layer
    return _Layers(*layers, pattern)


def _is_target(name: str, layer: Any, targets: Targets) -> bool:
    """Tell as PEFT does whether a layer is a target."""
    if isinstance(targets, str):
        return _is_linear(layer)
    return any(name == target or name.endswith("." + target) for target in targets)


def _is_linear(layer: Any) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(layer, torch.nn.Linear | Conv1D)


def _check_targets(layers: _Layers, targets: Targets) -> None:
    if isinstance(targets, str):
        return
    missing = sorted(
        target
        for target in targets
        if not any(_is_target(name, layer, [target]) for name, layer in layers.reached.items())
    )
    if missing:
        elsewhere = any(_is_target(name, None, missing) for name in layers.others)
        raise InputError(
            f"model.lora.target_modules: the model has no {', '.join(missing)}"
            f"{' that text runs through' if elsewhere else ''}; it has "
            f"{', '.join(layers.linear())}, and 'all-linear' means all but the language head"
        )


def _refusal(error: Exception, layers: _Layers) -> str:
    said = str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")
    others = [name for name in layers.linear() if f"'{name}'" not in said]
    return (
        f"model.lora: PEFT refuses these adapters: {said}; name others in "
        f"model.lora.target_modules, of {', '.join(others)}"
    )


@dataclass(frozen=True)
class AdapterShape:
    """What :func:`wrap` would add to a model.

    Attributes
    ----------
    matrices : tuple of AdapterMatrix
        In their order.
    patterns : dict of str to dict of str to number
        Ranks and scales that PEFT gives the stacked weights of experts: its settings
        ``rank_pattern`` and ``alpha_pattern``.
    """

    matrices: tuple[AdapterMatrix, ...]
    patterns: dict[str, dict[str, float]]


def adapter_shape(base: Any, settings: Lora) -> AdapterShape:
    """Return what :func:`wrap` would add.

    Parameters
    ----------
    base : transformers.PreTrainedModel
        The model without weights (device ``meta``); it stays as it is.
    settings : Lora
        Rank and target layers.

    Raises
    ------
    InputError
        As :func:`wrap`.
    """
    with torch.device("meta"):
        return shape_of(wrap(copy.deepcopy(base), "", settings, 0))


def shape_of(peft: Any) -> AdapterShape:
    """Return what has been added to a ``peft.PeftModel``."""
    config = peft.peft_config["default"]
    patterns = {name: dict(getattr(config, name) or {}) for name in PATTERNS}
    return AdapterShape(matrices_of(trained_of(peft)), patterns)


def trained_of(peft: Any) -> list[tuple[str, torch.nn.Parameter]]:
    """Return the adapter matrices of a ``peft.PeftModel`` with their names."""
    return [(name, p) for name, p in peft.named_parameters() if p.requires_grad]


def matrices_of(trained: Sequence[tuple[str, torch.nn.Parameter]]) -> tuple[AdapterMatrix, ...]:
    """Return the place of each adapter matrix in the flat vector, by the name that PEFT saves."""
    matrices, start = [], 0
    for name, parameter in trained:
        # PEFT saves its only adapter without the name "default".
        saved = name.replace(".default.", ".").removesuffix(".default")
        matrices.append(AdapterMatrix(saved, tuple(parameter.shape), start, parameter.numel()))
        start += parameter.numel()
    return tuple(matrices)


def read_adapter(folder: Path, settings: Lora, shape: AdapterShape) -> Vector:
    """Return the adapter of a PEFT folder as a flat vector, shape (d,).

    Parameters
    ----------
    folder : Path
        With ``adapter_config.json`` and ``adapter_model.safetensors``.
    settings : Lora
        Must say the same as the folder's configuration.
    shape : AdapterShape
        Of the model, in the order of the vector.

    Raises
    ------
    InputError
        A file is missing or pickled, the adapter is no plain LoRA, it does not fit `settings`
        or the model, or a weight is not finite.
    """
    weights = dict(_weights(folder, settings, shape))
    parts = (weights[matrix.name] for matrix in shape.matrices)
    return np.concatenate([part.float().numpy().reshape(-1) for part in parts])


def check_start(folder: Path, settings: Lora, shape: AdapterShape | None) -> None:
    """Refuse what :func:`read_adapter` would, with one matrix in memory at a time.

    Parameters
    ----------
    folder : Path
    settings : Lora
    shape : AdapterShape or None
        None where that of the model is not known: whether the adapter fits it stays open, and so do
        its weights.

    Raises
    ------
    InputError
        As of :func:`read_adapter`.
    """
    for _ in _weights(folder, settings, shape):
        pass


def _weights(
    folder: Path, settings: Lora, shape: AdapterShape | None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the matrices of an adapter that fits, by name; errors as of :func:`read_adapter`."""
    # Adapters may be stored in bf16, which NumPy does not know.
    from safetensors import SafetensorError, safe_open

    config = _config_of(folder)
    _check_config(folder, config, shape)
    _check_settings(folder, config, settings)
    try:
        # The names and shapes are at the beginning of the file.
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            names = list(file.keys())
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            if shape is not None:
                _check_shapes(folder, config, shapes, shape)
                for name in names:
                    weight = file.get_tensor(name)
                    _check_finite(folder, name, weight)
                    yield name, weight
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise _no_adapter(folder, error) from None


def _check_shapes(
    folder: Path,
    config: dict[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    shape: AdapterShape,
) -> None:
    expected = {matrix.name: matrix.shape for matrix in shape.matrices}
    if shapes != expected:
        names = sorted(set(shapes) ^ set(expected)) or [
            n for n in shapes if shapes[n] != expected[n]
        ]
        raise InputError(
            f"model.adapter: {folder} does not fit the model and model.lora.target_modules, for "
            f"example {clip(names[0])}; the adapter was made for target_modules "
            f"{_brief(config.get('target_modules'))}"
        )


def _config_of(folder: Path) -> dict[str, Any]:
    """Return the configuration of an adapter whose files are there; `InputError` else."""
    try:
        for name in (CONFIG, WEIGHTS):
            # A pipe would be waited for, a device read without end.
            if not stat.S_ISREG((folder / name).stat().st_mode):
                raise ValueError(f"{name} is no file")
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError(f"{CONFIG} must hold a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise _no_adapter(folder, error) from None
    return config


def _no_adapter(folder: Path, error: Exception) -> InputError:
    return InputError(
        f"model.adapter: {folder} must be a PEFT folder with {CONFIG} and {WEIGHTS} "
        f"(pickled weights are refused): {clip(error)}"
    )


def _not_plain(folder: Path, what: str) -> InputError:
    return InputError(f"model.adapter: {folder} has {what}; allowed is plain LoRA")


def is_finite(weight: torch.Tensor) -> bool:
    """Tell whether no entry of a tensor is a NaN or an infinity, without a copy of it.

    Examples
    --------
    >>> is_finite(torch.ones(2)), is_finite(torch.tensor([1.0, torch.nan]))
    (True, False)
    """
    if not weight.is_floating_point() or weight.numel() == 0:
        return True
    # aminmax takes a NaN for both ends; types of one byte have no order of their own.
    ends = torch.aminmax(weight.float() if weight.element_size() == 1 else weight)
    return bool(torch.isfinite(torch.stack(list(ends))).all())


def _check_config(folder: Path, config: dict[str, Any], shape: AdapterShape | None) -> None:
    kind = config.get("peft_type")
    # The model may have some of its own, if it is known.
    own = {n: config.get(n) for n in PATTERNS} if shape is None else shape.patterns
    unlike = [
        n
        for n, plain in PLAIN.items()
        if n in config and config[n] not in plain and config[n] != own.get(n, plain)
    ]
    if kind != "LORA" or unlike:
        raise _not_plain(folder, unlike[0] if unlike else f"peft_type {clip(kind)}")


def _check_settings(folder: Path, config: dict[str, Any], settings: Lora) -> None:
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


def _check_finite(folder: Path, name: str, weight: torch.Tensor) -> None:
    if not is_finite(weight):
        raise InputError(
            f"model.adapter: {clip(folder / WEIGHTS)}: the tensor {clip(name)} holds a NaN or an "
            "infinity; allowed are finite weights"
        )


def _brief(targets: Any) -> str:
    plain = isinstance(targets, list) and all(isinstance(one, str) for one in targets)
    return clip(json.dumps(sorted(targets) if plain else targets))
