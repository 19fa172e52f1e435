"""What the options of a command change in a scenario."""

from __future__ import annotations

import pytest

from airtune.commands.run import read_settings
from airtune.errors import InputError
from airtune.registry import ENGINES
from airtune.study import compare


def test_options_change_settings_and_nothing_else() -> None:
    plain = read_settings("quickstart", None, "compare")
    changed = read_settings(
        "quickstart", ["seed=7"], "compare", schemes="movable, fixed", seeds=3, engine="elsewhere"
    )
    assert changed.schemes == ("movable", "fixed")
    assert (changed.seed, changed.seeds, changed.engine.name) == (7, 3, "elsewhere")
    options = ("schemes", "seed", "seeds", "engine")
    rest = [{k: v for k, v in s.to_dict().items() if k not in options} for s in (plain, changed)]
    assert rest[0] == rest[1]


def test_an_unknown_engine_lists_what_is_there(monkeypatch) -> None:
    scenario = read_settings("quickstart", None, "run", schemes=["fixed"], engine="elsewhere")
    with pytest.raises(InputError, match=r"engine\.name = 'elsewhere': must be one of local"):
        compare.check(scenario, "run")
    monkeypatch.setattr(ENGINES, "_objects", dict(ENGINES._objects))
    monkeypatch.setattr(ENGINES, "_added", list(ENGINES._added))
    ENGINES.add("elsewhere", ENGINES["local"])
    assert compare.check(scenario, "run") == scenario
