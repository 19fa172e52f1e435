"""What is told of a proxy that cannot be used: its variable, and no part of its password."""

from __future__ import annotations

import sys

import pytest

from airtune.engines.flower import programs
from airtune.engines.flower.programs import check_reachable
from airtune.errors import InputError

pytest.importorskip("httpx")  # comes with Flower


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "http_proxy"])
@pytest.mark.parametrize(
    "value",
    [
        "http://user:S3CRET#x@10.0.0.1:8080",
        "http://user:S3CRET/x@10.0.0.1:8080",
        "http://user:S3CRET?x@10.0.0.1:8080",
        "user:S3CRET#x@10.0.0.1:8080",
        "http://user:S3CRET@127.0.0.1:port",
        "http://user:S3CRET\x01@127.0.0.1:1",
        "ftp://user:S3CRET@127.0.0.1:1",
        "http://[::S3CRET",
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_by_its_variable_without_its_password(
    name: str, value: str, monkeypatch
) -> None:
    monkeypatch.setenv(name, value)
    refused = f"environment cannot be used: {name} must be http://host:port.* %2F %3F %23\\)$"
    with pytest.raises(InputError, match=refused) as told:
        check_reachable("192.0.2.1:8000", None)
    assert "S3C" not in str(told.value)
    assert len(str(told.value)) <= 400


@pytest.mark.parametrize("value", ["http://127.0.0.1:PORT#x@h:1", "http://u:p@127.0.0.1:PORT/@h"])
def test_parts_of_a_password_that_pass_for_a_host_and_a_port_are_not_shown(
    value: str, monkeypatch
) -> None:
    port = str(programs.free_port())
    monkeypatch.setenv("https_proxy", value.replace("PORT", port))
    with pytest.raises(InputError, match="cannot be used: https_proxy must be") as told:
        check_reachable("192.0.2.1:8000", None)
    assert port not in str(told.value)
    assert "127.0.0.1" not in str(told.value)


def test_a_socks_proxy_without_its_package_is_told_by_its_variable(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("all_proxy", "socks5://user:S3CRET@127.0.0.1:1")
    with pytest.raises(InputError, match=r"all_proxy must be .* with the package socksio") as told:
        check_reachable("192.0.2.1:8000", None)
    assert "S3CRET" not in str(told.value)


def test_hosts_without_a_proxy_that_are_none_are_told_by_their_variable(monkeypatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:S3CRET@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "::1/64")
    with pytest.raises(InputError, match=r"cannot be used: no_proxy must be names of hosts\)$"):
        check_reachable("192.0.2.1:8000", None)
