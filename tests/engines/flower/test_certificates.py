"""Certificates made on the spot are those that TLS accepts, of the right server only."""

from __future__ import annotations

import ssl
import stat
from importlib.util import find_spec
from pathlib import Path

import pytest

from airtune.engines.flower.certificates import write_certificates, write_node_key

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
