"""Certificates made on the spot are those that TLS accepts, of the right server only."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from airtune.engines.flower.certificates import write_certificates, write_node_key
from airtune.engines.flower.programs import check_reachable
from airtune.errors import InputError

pytestmark = pytest.mark.skipif(
    find_spec("cryptography") is None, reason="cryptography (of the extra flower) is not installed"
)


def shake(folder: Path, authority: Path, name: str) -> None:
    """Have a client and the server of a folder shake hands, in memory."""
    client = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(back, there, server_hostname=name),
        server.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(4):
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not sides


def test_the_server_is_trusted_by_who_has_the_authority_and_under_its_names(tmp_path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        write_certificates(folder, ["127.0.0.1", "server.lab"])
    shake(one, one, "127.0.0.1")
    shake(one, one, "server.lab")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(one, other, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"192\.0\.2\.1"):
        shake(one, one, "192.0.2.1")
    assert stat.S_IMODE((one / "server.key").stat().st_mode) == 0o600
    assert not list(one.glob("ca.key"))


def test_a_node_s_key_is_its_own_and_private(tmp_path) -> None:
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key, ssh

    public = write_node_key(tmp_path / "node.key")
    private = load_ssh_private_key((tmp_path / "node.key").read_bytes(), None)
    found = ssh.load_ssh_public_key(public.read_bytes())
    assert private.public_key().public_numbers() == found.public_numbers()
    assert stat.S_IMODE((tmp_path / "node.key").stat().st_mode) == 0o600


def test_a_private_file_takes_the_place_of_no_other(tmp_path) -> None:
    (tmp_path / "node.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_node_key(tmp_path / "node.key")
    assert not (tmp_path / "elsewhere").exists()


@contextmanager
def listening(folder: Path | None) -> Iterator[str]:
    """Yield the address of a server: with the certificate of a folder, or one that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        def answer() -> None:
            with suppress(OSError), server.accept()[0] as connection:
                connection.settimeout(30)
                if folder is None:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(folder / "server.pem", folder / "server.key")
                with context.wrap_socket(connection, server_side=True) as secured:
                    secured.recv(4096)
                    secured.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(30)


def test_a_superlink_that_nobody_vouches_for_is_refused_at_once(tmp_path: Path) -> None:
    pytest.importorskip("httpx")  # comes with Flower
    mine, others, far = tmp_path / "mine", tmp_path / "others", tmp_path / "far"
    for folder, name in ((mine, "127.0.0.1"), (others, "127.0.0.1"), (far, "192.0.2.1")):
        folder.mkdir()
        write_certificates(folder, [name])
    with listening(mine) as address:
        check_reachable(address, str(mine / "ca.pem"))
    for folder, authority, message in (
        (mine, None, r"engine\.certificate = None: does not vouch for engine\.address"),
        (mine, others, r"engine\.certificate = '.*ca\.pem': does not vouch for engine\.address"),
        (None, None, r"engine\.address = '127\.0\.0\.1:\d+': no SuperLink .* with TLS"),
        (far, far, r"does not vouch for .* is not valid for '127\.0\.0\.1'"),
        (None, mine, r"engine\.address = '127\.0\.0\.1:\d+': no SuperLink .* with TLS"),
    ):
        named = None if authority is None else str(authority / "ca.pem")
        with listening(folder) as address, pytest.raises(InputError, match=message) as told:
            check_reachable(address, named)
        assert len(str(told.value)) <= 400
    with pytest.raises(InputError, match=r"engine\.certificate = .*: must be a file with the cert"):
        check_reachable("127.0.0.1:1", str(mine / "server.key"))
