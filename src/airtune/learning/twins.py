"""The cost twin that a scenario names: its sizes, by name or counted from a configuration."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from airtune.errors import InputError, clip, shown
from airtune.scenario import Scenario
from airtune.scenario.costs import NONE, SHAPES, CostTwin, config_file
from airtune.scenario.learning import Lora


def cost_twin(scenario: Scenario) -> CostTwin | None:
    """Return the shape whose costs are booked; None: that of the trained model.

    Parameters
    ----------
    scenario : Scenario
        `costs.model`, and `model.lora` where that is a folder.

    Raises
    ------
    InputError
        There is no such shape, or the configuration cannot be used.

    Examples
    --------
    >>> twin = cost_twin(Scenario(costs={"model": "openllama-3b-qv"}))
    >>> twin.parameters, twin.entries, len(twin.matrix_sizes)
    (3426473600, 2662400, 104)
    >>> cost_twin(Scenario()) is None
    True
    """
    name = scenario.costs.model
    if name == NONE:
        return None
    if name in SHAPES:
        return SHAPES[name]
    file = Path(config_file(name) or "")
    try:
        stamp = file.stat().st_mtime_ns
    except (OSError, ValueError):
        raise InputError(
            f"costs.model = {shown(name)}: must be {NONE}, {', '.join(SHAPES)}, or a folder with "
            "a config.json"
        ) from None
    return _counted(name, scenario.model.lora, stamp)


@lru_cache(maxsize=8)
def _counted(name: str, lora: Lora, stamp: int) -> CostTwin:
    """Return the sizes of the model in a folder, counted without weights.

    `stamp` is the time of its configuration: what has been written since is read again.
    """
    from airtune.learning.lora import adapter_shape
    from airtune.learning.quiet import quiet, without_hints, without_remarks
    from airtune.learning.weights import without_weights

    without_hints()
    try:
        with quiet(), without_remarks():
            base = without_weights(name, {"local_files_only": True, "trust_remote_code": False})[0]
            matrices = adapter_shape(base, lora).matrices
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # of configurations: a dozen kinds
        first = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"costs.model = {shown(name)}: cannot be used: {clip(first)}") from error
    weights = sum(parameter.numel() for parameter in base.parameters())
    return CostTwin(name, weights, tuple(matrix.size for matrix in matrices))
