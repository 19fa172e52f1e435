"""What is registered: packages with entry points, name clashes, objects that cannot be used."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airtune import registry
from airtune.errors import InputError
from airtune.registry import (
    CHANNELS,
    CLIENT_OBJECTIVES,
    ENGINES,
    POLICIES,
    SCHEMES,
    SERVER_OPTIMIZERS,
    Registry,
)
from airtune.scenario import Scenario
from airtune.scenario.names import check_names
from installed_package import install

ALL = [value for value in vars(registry).values() if isinstance(value, Registry)]

POLICY = """
from airtune.scheduling import Policy

class First(Policy):
    about = "the first client"

    def select(self, candidates):
        raise NotImplementedError

FIRST = First()
"""

Install = Callable[..., None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs packages on the path of this test; all is forgotten at its end."""
    modules = set(sys.modules)
    for one in ALL:
        monkeypatch.setattr(one, "_objects", dict(one._objects))

    def forget() -> None:
        for one in ALL:
            vars(one).pop("_installed", None)

    def add(name: str, group: str, entries: dict[str, str], code: str = "") -> None:
        install(tmp_path / "site-packages", name, group, entries, code)
        monkeypatch.syspath_prepend(tmp_path / "site-packages")
        forget()

    yield add
    forget()
    for name in set(sys.modules) - modules:
        if name.startswith("own_"):
            del sys.modules[name]


def test_an_installed_object_is_listed_and_loaded(installed: Install) -> None:
    installed("own_first", "airtune.policies", {"first": "own_first:FIRST"}, POLICY)
    assert list(POLICIES)[-1] == "first"
    assert "own_first" not in sys.modules  # not before it is used
    assert POLICIES["first"] is sys.modules["own_first"].FIRST
    check_names(Scenario.model_validate({"clients": {"selection": "first"}}))


def test_a_name_that_two_packages_offer_is_refused_on_use(installed: Install) -> None:
    installed("own_first", "airtune.policies", {"first": "own_first:FIRST"}, POLICY)
    installed("own_second", "airtune.policies", {"first": "own_second:FIRST"}, POLICY)
    assert list(POLICIES).count("first") == 1
    assert POLICIES["all"]
    with pytest.raises(
        InputError,
        match=r"policy 'first': offered more than once, by own_first:FIRST of the package "
        r"own_first and own_second:FIRST of the package own_second; uninstall",
    ):
        POLICIES["first"]
    scenario = Scenario.model_validate({"clients": {"selection": "first"}})
    with pytest.raises(InputError, match=r"clients\.selection = 'first': offered more than once"):
        check_names(scenario)


def test_two_packages_may_name_the_same_object(installed: Install) -> None:
    installed("own_first", "airtune.policies", {"first": "own_first:FIRST"}, POLICY)
    installed("own_second", "airtune.policies", {"first": "own_first:FIRST"})
    assert POLICIES["first"] is sys.modules["own_first"].FIRST


def test_a_built_in_name_is_not_replaced_and_one_warning_says_so(installed: Install) -> None:
    before = POLICIES["random"]
    installed("own_first", "airtune.policies", {"random": "own_first:FIRST"}, POLICY)
    del POLICIES._objects["random"]
    with pytest.warns(UserWarning) as caught:
        assert POLICIES["random"] is before
    (warning,) = caught
    assert str(warning.message) == (
        "policy 'random': own_first:FIRST of the package own_first is ignored, "
        "for airtune itself has a policy of this name"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(POLICIES).count("random") == 1
        assert POLICIES["all"]
    assert "own_first" not in sys.modules


@pytest.mark.parametrize(
    ("code", "entry", "reason"),
    [
        ("import not_there_at_all", "X", "ModuleNotFoundError: No module named 'not_there_at"),
        ("X = unknown", "X", "NameError: name 'unknown'"),
        ("X = 1 / 0", "X", "ZeroDivisionError"),
        ("def", "X", "SyntaxError"),
        ("raise SystemExit('no licence')", "X", "SystemExit: no licence"),
        ("", "X", "AttributeError: .* 'X'"),
        ("", "not a name!", "AttributeError"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_named(
    code: str, entry: str, reason: str, installed: Install
) -> None:
    installed("own_broken", "airtune.policies", {"first": f"own_broken:{entry}"}, code)
    message = rf"'first': own_broken:{entry} of the package own_broken cannot be loaded \({reason}"
    with pytest.raises(InputError, match=f"policy {message}"):
        POLICIES["first"]
    with pytest.raises(InputError, match=rf"clients\.selection = {message}"):
        check_names(Scenario.model_validate({"clients": {"selection": "first"}}))
    assert "first" in POLICIES
    check_names(Scenario())  # which does not name it


SETTINGS: list[tuple[Registry, str, dict[str, object], str]] = [
    (SCHEMES, "schemes", {"schemes": ["own"]}, "it has no method 'build'"),
    (CHANNELS, "radio.channel", {"radio": {"channel": "own"}}, "it cannot be called"),
    (POLICIES, "clients.selection", {"clients": {"selection": "own"}}, "no method 'select'"),
    (
        SERVER_OPTIMIZERS,
        "training.server_optimizer",
        {"training": {"server_optimizer": "own"}},
        "no method 'step'",
    ),
    (
        CLIENT_OBJECTIVES,
        "training.client_objective",
        {"training": {"client_objective": "own"}},
        "no method 'step'",
    ),
    (ENGINES, "engine.name", {"engine": {"name": "own"}}, "it cannot be called"),
]


@pytest.mark.parametrize(("kind", "setting", "settings", "lack"), SETTINGS)
def test_an_object_of_another_kind_is_refused_before_any_work(
    kind: Registry, setting: str, settings: dict[str, object], lack: str, installed: Install
) -> None:
    installed("own_number", kind.group, {"own": "own_number:ONE"}, "ONE = 1")
    with pytest.raises(InputError) as refused:
        check_names(Scenario.model_validate(settings))
    message = str(refused.value)
    origin = "own_number:ONE of the package own_number"
    assert message.startswith(f"{setting} = 'own': {origin} is no {kind.kind}: ")
    assert lack in message
    with pytest.raises(
        InputError, match=f"{kind.kind} 'mine': what is added, 1, is no {kind.kind}"
    ):
        kind.add("mine", 1)
    assert "mine" not in kind


def test_a_class_in_the_place_of_its_instance_is_refused(installed: Install) -> None:
    installed("own_first", "airtune.policies", {"first": "own_first:First"}, POLICY)
    with pytest.raises(InputError, match="is no policy: it is a class; register an instance"):
        POLICIES["first"]


def test_a_class_that_does_without_instances_will_do(installed: Install) -> None:
    code = "class Own:\n    @staticmethod\n    def select(candidates): ...\n"
    installed("own_static", "airtune.policies", {"first": "own_static:Own"}, code)
    assert POLICIES["first"] is sys.modules["own_static"].Own


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.group)
def test_every_built_in_object_is_of_its_kind(kind: Registry) -> None:
    for name in kind:
        kind._refuse_other_kinds(kind[name], name)


def test_get_has_a_default_for_unknown_names_only(installed: Install) -> None:
    installed("own_broken", "airtune.policies", {"first": "own_broken:X"})
    assert POLICIES.get("nobody-s") is None
    assert POLICIES.get("nobody-s", 3) == 3
    assert POLICIES.get("all") is POLICIES["all"]
    with pytest.raises(InputError, match="cannot be loaded"):
        POLICIES.get("first")


def test_checking_names_imports_no_library_of_models() -> None:
    """Every built-in object is imported, those that train among them."""
    code = """
import sys
from airtune import registry
from airtune.scenario import Scenario
from airtune.scenario.names import check_names
check_names(Scenario())
assert "airtune.learning.objectives.dpo" not in sys.modules, "the scenario does not name it"
for kind in vars(registry).values():
    if isinstance(kind, registry.Registry):
        dict(kind)
heavy = {"torch", "transformers", "peft", "accelerate", "datasets", "matplotlib"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
