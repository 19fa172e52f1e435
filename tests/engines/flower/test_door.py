"""What is asked of a SuperLink before any work: nothing that gRPC would take is refused."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from airtune.engines.flower.programs import check_reachable, proxied
from airtune.errors import InputError

LAB = Path(__file__).parents[3] / "docs" / "lab.md"

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None or shutil.which("bash") is None,
    reason="certificates are made with the programs openssl and bash, which are not there",
)


def made(folder: Path, lines: str) -> Path:
    """Run lines of a shell in a folder that they are the first to write to."""
    folder.mkdir()
    line = ["bash", "-e", "-c", lines]
    subprocess.run(line, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


def of_the_page(folder: Path, edit: Callable[[str], str] = str) -> Path:
    """Make ``ca.pem`` and ``server.pem`` as the page on lab machines says."""
    found = re.search(r"```bash\n(openssl req -x509 .*?)^export ", LAB.read_text(), re.S | re.M)
    assert found
    return made(folder, edit(found[1]))


def without_usage(lines: str) -> str:
    """Make the authority as the page said before: without an extension for its usage."""
    assert "-addext keyUsage=critical,keyCertSign,cRLSign " in lines
    return lines.replace("-addext keyUsage=critical,keyCertSign,cRLSign ", "")


def chain(folder: Path) -> Path:
    """Make an authority, one in between, and a server that shows its own and that one's."""
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes"
    made(
        folder,
        f'openssl req -x509 {key} -days 9 -subj "/CN=root" -keyout root.key -out root.pem\n'
        f'openssl req -new {key} -subj "/CN=between" -keyout between.key -out between.csr\n'
        "openssl x509 -req -in between.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 "
        '-out between.pem -extfile <(echo "basicConstraints=critical,CA:true")\n'
        f'openssl req -new {key} -subj "/CN=server" -keyout server.key -out server.csr\n'
        "openssl x509 -req -in server.csr -CA between.pem -CAkey between.key -CAcreateserial "
        '-days 9 -out leaf.pem -extfile <(echo "subjectAltName=IP:127.0.0.1")\n'
        "cat leaf.pem between.pem > server.pem\n",
    )
    return folder


@contextmanager
def answering(folder: Path) -> Iterator[str]:
    """Yield the address of a server with the certificate of a folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def answer() -> None:
            with suppress(OSError), server.accept()[0] as connection:
                connection.settimeout(30)
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(30)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ssl.SSLContext]:
    """Have contexts of this Python ask for all that those of Python 3.13 ask for."""
    plain = ssl.create_default_context

    def made(**given: object) -> ssl.SSLContext:
        context = plain(**given)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", made)
    return made


@needs_openssl
def test_certificates_of_the_page_are_taken_by_a_strict_python(tmp_path: Path, strict) -> None:
    for folder in (
        of_the_page(tmp_path / "page"),
        of_the_page(tmp_path / "before", without_usage),
    ):
        with answering(folder) as address:
            check_reachable(address, folder / "ca.pem")
    # It is strict: the one of before is refused by a context as it comes.
    raw, folder = strict(cafile=str(tmp_path / "before" / "ca.pem")), tmp_path / "before"
    with (
        answering(folder) as address,
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 30) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        raw.wrap_socket(plain, server_hostname="127.0.0.1")


@needs_openssl
def test_an_authority_in_between_and_the_server_s_own_certificate_vouch(tmp_path: Path) -> None:
    folder, other = chain(tmp_path / "one"), chain(tmp_path / "other")
    for name in ("root.pem", "between.pem", "leaf.pem"):
        with answering(folder) as address:
            check_reachable(address, folder / name)
        with (
            answering(folder) as address,
            pytest.raises(InputError, match="does not vouch for"),
        ):
            check_reachable(address, other / name)


@needs_openssl
def test_grpc_takes_what_is_taken(tmp_path: Path) -> None:
    grpc = pytest.importorskip("grpc")
    folder, other = chain(tmp_path / "one"), chain(tmp_path / "other")
    page = of_the_page(tmp_path / "before", without_usage)
    for served, authority, taken in (
        (folder, folder / "between.pem", True),
        (folder, folder / "leaf.pem", True),
        (page, page / "ca.pem", True),
        (folder, other / "root.pem", False),
    ):
        server = grpc.server(ThreadPoolExecutor(1))
        pair = ((served / "server.key").read_bytes(), (served / "server.pem").read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        server.start()
        trusted = grpc.ssl_channel_credentials(authority.read_bytes())
        with grpc.secure_channel(f"127.0.0.1:{port}", trusted) as channel:
            ready = grpc.channel_ready_future(channel)
            with suppress(grpc.FutureTimeoutError):
                ready.result(timeout=20 if taken else 2)
            assert ready.done() is taken, authority
            ready.cancel()
        if taken:
            check_reachable(f"127.0.0.1:{port}", authority)
        server.stop(0)


PROXIES = [
    ({}, False),
    ({"http_proxy": "PROXY"}, True),
    ({"https_proxy": "PROXY"}, True),
    ({"grpc_proxy": "PROXY"}, True),
    ({"grpc_proxy": "", "https_proxy": "PROXY"}, False),
    ({"http_proxy": "PROXY", "no_proxy": "lab.example, 127.0.0.1"}, False),
    ({"http_proxy": "PROXY", "no_proxy": "127.0.0.0/8"}, False),
    ({"http_proxy": "PROXY", "no_proxy": "10.0.0.0/8,lab.example,,"}, True),
    ({"http_proxy": "PROXY", "no_grpc_proxy": "lab.example", "no_proxy": "127.0.0.1"}, True),
    ({"http_proxy": "PROXY", "no_grpc_proxy": "", "no_proxy": "127.0.0.1"}, True),
]


@pytest.mark.parametrize(("environment", "by_proxy"), PROXIES)
def test_behind_a_proxy_nothing_is_asked(environment, by_proxy, monkeypatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value.replace("PROXY", "http://192.0.2.9:3128"))
    asked = []

    def dial(address: tuple[str, int], **_: object) -> None:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", dial)
    if by_proxy:
        check_reachable("127.0.0.1:8000", None)
    else:
        with pytest.raises(InputError, match=r"engine\.address = '127\.0\.0\.1:8000'"):
            check_reachable("127.0.0.1:8000", None)
    assert asked == ([] if by_proxy else [("127.0.0.1", 8000)])


def test_names_and_their_domains_are_left_out_of_the_proxy(monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.9:3128")
    monkeypatch.setenv("no_proxy", ".Lab.example,fd00::/8,nonsense/99")
    assert not proxied("server.lab.example")
    assert not proxied("fd00::1")
    assert proxied("lab.other")
    assert proxied("2001:db8::1")
    assert proxied("nonsense")


@pytest.mark.parametrize(("environment", "by_proxy"), PROXIES)
def test_grpc_goes_the_same_way(environment, by_proxy, monkeypatch) -> None:
    grpc = pytest.importorskip("grpc")
    with (
        socket.create_server(("127.0.0.1", 0)) as proxy,
        socket.create_server(("127.0.0.1", 0)) as there,
    ):
        for name, value in environment.items():
            url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
            monkeypatch.setenv(name, value.replace("PROXY", url))
        called = proxy if by_proxy else there
        called.settimeout(20)
        address = f"127.0.0.1:{there.getsockname()[1]}"
        with grpc.secure_channel(address, grpc.ssl_channel_credentials()) as channel:
            ready = grpc.channel_ready_future(channel)
            with called.accept()[0] as connection:
                connection.settimeout(20)
                assert connection.recv(7).startswith(b"CONNECT") is by_proxy
            ready.cancel()
    assert proxied("127.0.0.1") is by_proxy
