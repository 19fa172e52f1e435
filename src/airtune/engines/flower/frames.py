"""What passes between the processes of a federation: a header and arrays, never code.

A message is a file of safetensors, the header JSON in its metadata; on a stream of bytes its length
comes first.  Nothing of it is executed when it is read, and a length above the limit is refused
before any memory is taken.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airtune.errors import FailedError, clip

LIMIT = 2 * 1024**3 - 1024**2
"""Largest message [bytes]: what Flower passes on is below 2 GiB."""

_LENGTH = struct.Struct(">Q")
_HEADER = "header"

Header = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> bytes:
    """Return a message as bytes.

    Parameters
    ----------
    header : mapping
        Of what JSON can hold.
    arrays : mapping of str to ndarray, optional

    Raises
    ------
    FailedError
        It is longer than `LIMIT`.

    Examples
    --------
    >>> header, arrays = unpack(pack({"do": "updates"}, {"adapter": np.ones(3, np.float32)}))
    >>> header, arrays["adapter"].tolist()
    ({'do': 'updates'}, [1.0, 1.0, 1.0])
    """
    from safetensors.numpy import save

    size = sum(array.nbytes for array in (arrays or {}).values())
    if size > LIMIT:
        raise FailedError(
            f"engine.name = 'flower': a message of {size} bytes is longer than the {LIMIT} that "
            "Flower carries; use a smaller model.lora.rank or a payload that sends less, and not "
            "digital.aggregation = flora or fedex, which send all frozen weights"
        )
    whole = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    return bytes(save(whole, {_HEADER: json.dumps(dict(header))}))


def unpack(message: bytes) -> tuple[Header, Arrays]:
    """Return header and arrays of a message.

    Raises
    ------
    FailedError
        It is none.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        (length,) = struct.unpack_from("<Q", message)
        metadata = json.loads(message[8 : 8 + length])["__metadata__"]
        header = json.loads(metadata[_HEADER])
        arrays = load(message)
        if not isinstance(header, dict):
            raise TypeError("its header is no object")
    except (
        *(SafetensorError, struct.error, ValueError, KeyError, TypeError),
        *(AttributeError, RecursionError),
    ) as error:
        raise FailedError(
            f"engine.name = 'flower': a message cannot be read ({clip(error)})"
        ) from None
    return header, arrays


def send(connection: socket.socket, message: bytes) -> None:
    """Write a message with its length before it."""
    connection.sendall(_LENGTH.pack(len(message)))
    connection.sendall(message)


def receive(connection: socket.socket, limit: int = LIMIT + 1024**2) -> bytes:
    """Read a message with its length before it.

    Raises
    ------
    ConnectionError
        The other side is gone.
    FailedError
        The message is longer than `limit`.
    """
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > limit:
        raise FailedError(
            f"engine.name = 'flower': a message of {length} bytes was announced; at most {limit} "
            "are read"
        )
    return bytes(_exactly(connection, length))


def _exactly(connection: socket.socket, count: int) -> bytearray:
    """Read so many bytes; memory is taken as they come."""
    read = bytearray()
    while len(read) < count:
        part = connection.recv(min(count - len(read), 1 << 20))
        if not part:
            raise ConnectionError("the other side has closed the connection")
        read += part
    return read


def asked(path: str, message: bytes, timeout_s: float | None = None) -> bytes:
    """Send a message to the process that listens at a socket's path, and return its answer.

    Raises
    ------
    OSError
        Nobody listens there, or it has not answered in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(path)
        send(connection, message)
        return receive(connection)
