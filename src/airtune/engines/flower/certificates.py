"""Certificates and keys of a federation, made on the spot with `cryptography`."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

VALID = timedelta(days=90)
"""How long certificates are valid; a federation that is started here ends with its run."""

_EARLIER = timedelta(hours=1)  # of clocks that do not quite agree


def write_certificates(folder: Path, hosts: Sequence[str]) -> None:
    """Write ``ca.pem``, and ``server.pem`` with ``server.key`` for a server known by `hosts`.

    The authority's key is not kept: nothing else can be signed with it later.

    Parameters
    ----------
    folder : Path
    hosts : sequence of str
        Names or IP addresses of the server.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(text: str) -> Any:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    authority, server = ec.generate_private_key(ec.SECP384R1()), _key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())

    def begun(subject: str, key: Any) -> Any:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("airtune authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _EARLIER)
            .not_valid_after(now + VALID)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False
            )
        )

    root = (
        begun("airtune authority", authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_signing(certificates=True), critical=True)
        .sign(authority, hashes.SHA384())
    )
    own = (
        begun("airtune server", server)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signing(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(authority, hashes.SHA384())
    )
    _write(folder / "ca.pem", _pem(root))
    _write(folder / "server.pem", _pem(own))
    _write(folder / "server.key", _private(server, openssh=False))


def write_node_key(path: Path) -> Path:
    """Write a node's private key, and its public one beside it; return the path of that one.

    Parameters
    ----------
    path : Path
        Of the private key.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key, public = _key(), path.with_name(f"{path.name}.pub")
    _write(path, _private(key, openssh=True))
    text = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    _write(public, text + b"\n")
    return public


def _key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP384R1())


def _signing(*, certificates: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return bytes(certificate.public_bytes(Encoding.PEM))


def _private(key: Any, *, openssh: bool) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    form = PrivateFormat.OpenSSH if openssh else PrivateFormat.PKCS8
    return bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
