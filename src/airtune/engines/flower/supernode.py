"""The process of a node beside Flower's own, the SuperNode, which carries its messages."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable
from pathlib import Path

from airtune.engines.flower import patient
from airtune.engines.flower.folders import SOCKET, folder_here
from airtune.engines.flower.keeper import Kept
from airtune.engines.flower.node import Node, serve
from airtune.engines.flower.programs import context_of, environment, free_port, told, trouble
from airtune.errors import FailedError, InputError, clip, shown


def check_files(certificate: Path, key: Path) -> None:
    """Refuse at once what Flower's node would wait with for ever, or end for after a while.

    Parameters
    ----------
    certificate, key : Path
        As of :func:`serve_node`.

    Raises
    ------
    InputError
        Names the option.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        context_of(certificate)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--certificate {clip(certificate)}: must be a file with the certificate of an "
            f"authority, PEM ({clip(told(error))})"
        ) from None
    try:
        found = load_ssh_private_key(key.read_bytes(), None)
        why = None if isinstance(found, ec.EllipticCurvePrivateKey) else "it is of another kind"
    # NotImplementedError: of a compressed point
    except (OSError, ValueError, TypeError, NotImplementedError, UnsupportedAlgorithm) as error:
        why = told(error)
    if why is not None:
        raise InputError(
            f"--key {clip(key)}: must be a private ECDSA key of OpenSSH without a passphrase, as "
            f'`ssh-keygen -t ecdsa -N ""` makes one ({clip(why)})'
        )


def serve_node(
    node: Node, address: str, certificate: Path, key: Path, tell: Callable[[str], None]
) -> None:
    """Connect to a SuperLink and answer what comes, until this process is ended.

    Parameters
    ----------
    node : Node
    address : str
        ``host:port`` of the SuperLink.
    certificate, key : Path
        Of the authority that signed the SuperLink's certificate, and the node's private key.
    tell : callable
        Called with a line of text for the user.

    Raises
    ------
    FailedError
        Flower's process has ended, as it does where the SuperLink does not know the key.
    """
    with folder_here() as folder:
        path, home = folder / SOCKET, folder / "flwr"
        command = [*patient.command("flower-supernode"), "--superlink", address]
        command += ["--root-certificates", str(certificate.resolve())]
        command += ["--auth-supernode-private-key", str(key.resolve())]
        command += ["--node-config", f"socket={json.dumps(str(path))}"]
        command += ["--port", str(free_port())]
        supernode = Kept(command, folder / "supernode.log", environment(home))
        try:
            tell(f"joins the federation at {address}, and answers its runs until this is ended")
            if not _answers(address, certificate):
                tell(f"nobody answers at {address} yet: waits for a SuperLink there")
            serve(node, path, lambda: supernode.running)
            raise FailedError(
                f"--address {shown(address)}: Flower's node has ended, as it does where the "
                "SuperLink does not know its key, or --certificate not the SuperLink "
                f"({clip(reason(supernode.said(40)))})"
            )
        finally:
            supernode.close()


def _answers(address: str, certificate: Path) -> bool:
    """Tell whether somebody answers; of certificates Flower's node itself says what is wrong."""
    try:
        error = trouble(address, certificate)
    except (OSError, ValueError):
        return True
    return error is None or isinstance(error, ssl.SSLCertVerificationError)


def reason(said: str) -> str:
    """Return why Flower's node has ended, of what it said; the end of it where it gives no reason.

    Examples
    --------
    >>> reason("INFO : Up \\x1b[91mERROR \\x1b[0m: Exit Code: 305 Failed. For more information")
    'Exit Code: 305 Failed.'
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    found = re.search(r".*ERROR\s*:\s*(.*?)\s*(?:For more information|INFO\s*:|$)", plain, re.S)
    return found[1] if found and found[1] else plain[-180:]
