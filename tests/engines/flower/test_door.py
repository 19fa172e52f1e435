"""What is asked of a SuperLink before any work: what Flower takes is taken, and nothing else."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from airtune.engines.flower import programs
from airtune.engines.flower.programs import check_reachable
from airtune.errors import InputError

httpx = pytest.importorskip("httpx")  # comes with Flower

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
    """Yield the address of a server with the certificate of a folder, which answers twice."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def answer() -> None:
            while True:
                with suppress(ssl.SSLError, ConnectionError), server.accept()[0] as connection:
                    connection.settimeout(30)
                    with context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(4096)
                        secured.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        def until_closed() -> None:
            with suppress(OSError):
                answer()

        thread = threading.Thread(target=until_closed)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(30)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def check_as_flower(address: str, authority: Path | None, taken: bool) -> None:
    """Have the door take a SuperLink, or refuse it by its certificate, and Flower do the same."""
    if taken:
        check_reachable(address, authority)
    else:
        with pytest.raises(InputError, match=r"engine\.certificate = .*does not vouch") as told:
            check_reachable(address, authority)
        assert len(str(told.value)) <= 400
    if find_spec("flwr") is not None:
        from flwr.supercore.protobuf.client import ProtobufClient

        roots = None if authority is None else authority.read_bytes()
        client = ProtobufClient.from_server_address(address, False, roots, [])
        try:
            client._client.get(client._base_url)
        except httpx.ConnectError:
            assert not taken
        else:
            assert taken


@needs_openssl
def test_certificates_of_the_page_are_taken(tmp_path: Path) -> None:
    for folder in (
        of_the_page(tmp_path / "page"),
        of_the_page(tmp_path / "before", without_usage),
    ):
        with answering(folder) as address:
            check_as_flower(address, folder / "ca.pem", True)


@needs_openssl
def test_only_an_authority_vouches(tmp_path: Path) -> None:
    folder, other = chain(tmp_path / "one"), chain(tmp_path / "other")
    with answering(folder) as address:
        for authority in (folder / "between.pem", folder / "leaf.pem", other / "root.pem", None):
            check_as_flower(address, authority, False)
        check_as_flower(address, folder / "root.pem", True)


@needs_openssl
def test_without_a_certificate_the_roots_that_the_environment_names_vouch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = of_the_page(tmp_path / "page")
    with answering(folder) as address:
        check_as_flower(address, None, False)
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
        check_as_flower(address, None, True)


@needs_openssl
@pytest.mark.parametrize(
    ("subject", "alternative", "host", "taken"),
    [
        ("/CN=localhost", None, "localhost", True),
        ("/CN=localhost", "DNS:other.example", "localhost", False),
        ("/CN=127.0.0.1", None, "127.0.0.1", False),
        ("/CN=server", "DNS:127.0.0.1", "127.0.0.1", False),
        ("/CN=server", "DNS:other.example,IP:127.0.0.1", "127.0.0.1", True),
        ("/CN=server", "IP:192.0.2.1", "127.0.0.1", False),
        ("/CN=server", None, "127.0.0.1", False),
    ],
)
def test_what_a_certificate_names_is_judged_as_flower_does(
    tmp_path: Path, subject: str, alternative: str | None, host: str, taken: bool
) -> None:
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes"
    named = "" if alternative is None else f' -extfile <(echo "subjectAltName={alternative}")'
    folder = made(
        tmp_path / "one",
        f'openssl req -x509 {key} -days 9 -subj "/CN=root" -keyout root.key -out ca.pem\n'
        f'openssl req -new {key} -subj "{subject}" -keyout server.key -out server.csr\n'
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey root.key -CAcreateserial -days 9 "
        f"-out server.pem{named}\n",
    )
    with answering(folder) as address:
        check_as_flower(f"{host}:{address.rpartition(':')[2]}", folder / "ca.pem", taken)


@pytest.mark.parametrize(
    ("environment", "host", "by_proxy"),
    [
        ({"https_proxy": "PROXY"}, "192.0.2.1", True),
        ({"all_proxy": "PROXY"}, "192.0.2.1", True),
        ({"http_proxy": "PROXY"}, "192.0.2.1", False),
        ({"https_proxy": "PROXY", "no_proxy": "192.0.2.1"}, "192.0.2.1", False),
        ({"https_proxy": "PROXY", "no_proxy": "lab.example"}, "192.0.2.1", True),
        ({"https_proxy": "PROXY", "all_proxy": "PROXY"}, "127.0.0.1", False),
        ({"https_proxy": "PROXY", "all_proxy": "PROXY"}, "localhost", False),
        ({"https_proxy": "PROXY", "all_proxy": "PROXY"}, "[::1]", False),
    ],
)
def test_a_superlink_behind_a_proxy_is_asked_by_it(
    environment, host, by_proxy, monkeypatch
) -> None:
    monkeypatch.setattr(programs, "ANSWERED_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(30)
        heard: list[bytes] = []
        port = proxy.getsockname()[1]

        def refuse() -> None:
            with suppress(OSError), proxy.accept()[0] as connection:
                heard.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        for name, value in environment.items():
            monkeypatch.setenv(name, value.replace("PROXY", f"http://127.0.0.1:{port}"))
        with pytest.raises(InputError, match=r"engine\.address = .*: no SuperLink") as told:
            check_reachable(f"{host}:1", None)
        named = f"by the proxy 127.0.0.1:{port} of the environment: 403 No"
        assert (named in str(told.value)) is by_proxy
        assert ("proxy" in str(told.value)) is by_proxy
        if find_spec("flwr") is not None:  # it goes the same way
            for name, value in programs.environment(Path()).items():
                monkeypatch.setenv(name, value)
            assert (_proxy_of(f"https://{host}:1/") is not None) is by_proxy
        proxy.shutdown(socket.SHUT_RDWR)
        thread.join(30)
    assert [line.split()[:2] for line in heard] == [[b"CONNECT", f"{host}:1".encode()]] * by_proxy


@pytest.mark.parametrize("listens", [False, True])
def test_a_proxy_that_is_not_there_or_never_answers_is_named(listens, monkeypatch) -> None:
    monkeypatch.setattr(programs, "ANSWERED_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = proxy.getsockname()[1]
        if not listens:
            proxy.close()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(InputError, match=f"by the proxy 127.0.0.1:{port} of") as told:
            check_reachable("192.0.2.1:8000", None)
    assert len(str(told.value)) <= 400


def test_a_proxy_whose_headers_never_end_is_named(monkeypatch) -> None:
    monkeypatch.setattr(programs, "WAITED_S", 1.5)
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = proxy.getsockname()[1]

        def drip() -> None:
            with proxy.accept()[0] as connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not done.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        named = rf"by the proxy 127\.0\.0\.1:{port} of the environment: no answer within 1\.5 s"
        with pytest.raises(InputError, match=named):
            check_reachable("192.0.2.1:8000", None)
        done.set()
        thread.join(30)


def _proxy_of(url: str) -> object:
    """Return by what a client of Flower goes to an address; None: straight."""
    from flwr.supercore.protobuf.client import ProtobufClient

    client = ProtobufClient("https://unused:1")._client
    found = client._transport_for_url(httpx.URL(url))
    return None if found is client._transport else found


def test_a_superlink_that_is_busy_is_not_refused(tmp_path: Path, monkeypatch) -> None:
    from airtune.engines.flower.certificates import write_certificates

    write_certificates(tmp_path, ["127.0.0.1"])
    monkeypatch.setattr(programs, "ANSWERED_S", 1.0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def wait() -> None:
            with (
                server.accept()[0] as connection,
                suppress(OSError),
                context.wrap_socket(connection, server_side=True),
            ):
                done.wait(30)

        thread = threading.Thread(target=wait)
        thread.start()
        check_reachable(f"127.0.0.1:{server.getsockname()[1]}", tmp_path / "ca.pem")
        done.set()
        thread.join(30)


def test_a_server_whose_headers_never_end_is_refused(tmp_path: Path, monkeypatch) -> None:
    from airtune.engines.flower.certificates import write_certificates

    write_certificates(tmp_path, ["127.0.0.1"])
    monkeypatch.setattr(programs, "WAITED_S", 1.5)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with (
                server.accept()[0] as connection,
                suppress(OSError),
                context.wrap_socket(connection, server_side=True) as secured,
            ):
                secured.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not done.wait(0.05):
                    secured.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(InputError, match=r"engine\.address = .*no answer within 1\.5 s"):
            check_reachable(f"127.0.0.1:{server.getsockname()[1]}", tmp_path / "ca.pem")
        done.set()
        thread.join(30)


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "[::1:8000", "no such host:1", ":1", "x"])
def test_an_address_that_is_none_is_refused_in_one_message(address: str) -> None:
    with pytest.raises(InputError, match=r"engine\.address = ") as told:
        check_reachable(address, None)
    assert len(str(told.value)) <= 400
