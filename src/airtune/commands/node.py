"""``airtune node``: a client of a real federation, which keeps model and data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from airtune.errors import InputError, clip, shown


def node(
    address: Annotated[str, typer.Option(metavar="HOST:PORT", help="SuperLink of the federation.")],
    certificate: Annotated[
        Path,
        typer.Option(
            readable=False, metavar="FILE", help="Authority that signed the SuperLink's one."
        ),
    ],
    key: Annotated[
        Path,
        typer.Option(
            readable=False, metavar="FILE", help="Private key of this node, registered there."
        ),
    ],
    *,
    clients: Annotated[
        str, typer.Option(metavar="0,1", help="Which clients it is; those left by default.")
    ] = "",
    data: Annotated[
        Path | None, typer.Option(readable=False, metavar="FILE", help="Its client's own records.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="Field of --data whose values and counts are told."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="File, folder or hub id that a run may have it open; repeatable."
        ),
    ] = None,
    secure: Annotated[
        bool,
        typer.Option("--secure", help="Take part only in runs that see sums (engine.secure)."),
    ] = False,
    cache: Annotated[
        Path, typer.Option(readable=False, metavar="DIR", help="Folder for pre-trained models.")
    ] = Path(".cache/airtune"),
) -> None:
    """Be a client of a federation (engine flower): hold model and data until it is ended."""
    from airtune.engines.flower.node import Node
    from airtune.engines.flower.programs import check_installed
    from airtune.engines.flower.supernode import check_files, serve_node

    check_installed()
    for option, file in (("certificate", certificate), ("key", key), ("data", data)):
        if file is not None and not file.is_file():
            raise InputError(f"--{option} {clip(file)}: there is no such file")
    served = Node(clients_of(clients), data, str(cache), label, allow or (), _tell, secure=secure)
    there = checked(address)
    check_files(certificate, key)
    serve_node(served, there, certificate, key, _tell)


def clients_of(text: str) -> tuple[int, ...]:
    """Return the clients that an option names.

    Raises
    ------
    InputError
        It is no list of numbers from 0, or one is there twice.

    Examples
    --------
    >>> clients_of("0,2"), clients_of("")
    ((0, 2), ())
    """
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if not all(part.isdecimal() and len(part) < 7 for part in parts):
        raise InputError(f"--clients {shown(text)}: must be numbers of clients from 0, as in 0,2")
    found = tuple(int(part) for part in parts)
    if len({*found}) < len(found):
        raise InputError(f"--clients {shown(text)}: names a client twice")
    return found


def checked(address: str) -> str:
    """Return an address of the form host:port.

    Raises
    ------
    InputError
        It is not of that form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port[:6]) > 65_535 or any(c in host for c in "/@ "):
        raise InputError(f"--address {shown(address)}: must be host:port of a SuperLink")
    return address


def _tell(text: str) -> None:
    typer.echo(f"airtune: {text}", err=True)
