"""Check the settings that name a registered object."""

from __future__ import annotations

from airtune.errors import InputError, clip, shown
from airtune.registry import (
    CHANNELS,
    CLIENT_OBJECTIVES,
    ENGINES,
    POLICIES,
    SCHEMES,
    SERVER_OPTIMIZERS,
    Registry,
)
from airtune.scenario.scenario import Scenario


def check_names(scenario: Scenario) -> None:
    """Refuse names of schemes, channels, policies, engines and so on that cannot be used.

    Everything that the scenario names is imported, and nothing else.  This is checked before a
    scenario is used, not when it is read: the record of a run can be read where what it names is
    not installed.

    Parameters
    ----------
    scenario : Scenario

    Raises
    ------
    InputError
        Names the setting, its value and what is there, or why the object cannot be used.

    Examples
    --------
    >>> check_names(Scenario(schemes=("fixed", "movable")))
    >>> check_names(Scenario(radio={"channel": "wire"}))
    Traceback (most recent call last):
    ...
    airtune.errors.InputError: radio.channel = 'wire': must be one of block-fading, file, \
tracks, umi, uma, rma, cdl-a, cdl-b, cdl-c, cdl-d, cdl-e (or of a module that registers it: \
airtune --import MODULE ...)
    """
    for name in scenario.schemes:
        _check(SCHEMES, name, "schemes")
    for name in scenario.training.learning_rates:
        if name not in SCHEMES:
            raise InputError(
                f"training.learning_rates.{clip(name)}: must be one of {', '.join(SCHEMES)}"
            )
    _check(CHANNELS, scenario.radio.channel, "radio.channel")
    _check(POLICIES, scenario.clients.selection, "clients.selection")
    _check(SERVER_OPTIMIZERS, scenario.training.server_optimizer, "training.server_optimizer")
    _check_rate_rule(scenario)
    _check(ENGINES, scenario.engine.name, "engine.name")
    _check(CLIENT_OBJECTIVES, scenario.training.client_objective, "training.client_objective")


def _check_rate_rule(scenario: Scenario) -> None:
    """Refuse the noise-aware learning rate for a step that does not shrink under noise."""
    training = scenario.training
    name = training.server_optimizer
    adaptive = getattr(SERVER_OPTIMIZERS[name], "shrinks_under_noise", False)
    if training.learning_rate_rule == "noise-aware" and not adaptive:
        raise InputError(
            "training.learning_rate_rule = 'noise-aware': must be fixed with "
            f"training.server_optimizer = {shown(name)}, whose steps do not shrink under noise "
            "(noise-aware is for adam, yogi and those with `shrinks_under_noise`)"
        )


def _check(registry: Registry, name: str, setting: str) -> None:
    if name not in registry:
        raise InputError(
            f"{setting} = {shown(name)}: must be one of {', '.join(registry)} "
            "(or of a module that registers it: airtune --import MODULE ...)"
        )
    registry.load(name, setting)
