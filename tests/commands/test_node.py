"""``airtune node``: what it refuses before it connects."""

from __future__ import annotations

import base64
import signal
import sys
from pathlib import Path

import pytest

from airtune.cli import main
from airtune.engines import extras
from airtune.engines.flower import programs


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(programs, "check_installed", lambda: None)
    for name in ("ca.pem", "node.key", "own.jsonl"):
        (tmp_path / name).write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"--address": "host"}, "--address 'host': must be host:port of a SuperLink"),
        ({"--address": "https://host:1"}, "must be host:port of a SuperLink"),
        ({"--address": "host:70000"}, "must be host:port of a SuperLink"),
        ({"--certificate": "gone.pem"}, "--certificate gone.pem: there is no such file"),
        ({"--key": "gone.key"}, "--key gone.key: there is no such file"),
        ({"--data": "gone.jsonl"}, "--data gone.jsonl: there is no such file"),
        ({"--data": "own.jsonl"}, "--data own.jsonl: needs --clients with the one client"),
        ({"--data": "own.jsonl", "--clients": "0,1"}, "whose data it is; it names 2"),
        ({"--label": "topic"}, "--label topic: names a field of --data FILE, which is missing"),
        ({"--clients": "one"}, "--clients 'one': must be numbers of clients from 0, as in 0,2"),
        ({"--clients": "1,1"}, "--clients '1,1': names a client twice"),
        ({"--clients": "-1"}, "--clients '-1': must be numbers of clients"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(files, changed, message, capsys) -> None:
    given = {"--address": "127.0.0.1:1", "--certificate": "ca.pem", "--key": "node.key"} | changed
    line = ["node", *(part for pair in given.items() for part in pair)]
    assert ended(line) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--certificate", "--key"])
@pytest.mark.parametrize("content", ["empty", "binary", "text", "swapped", "compressed"])
def test_files_that_are_no_certificate_or_key_are_refused_at_once(
    files, option, content, capsys
) -> None:
    keys(files)
    other = files / ("node.key" if option == "--certificate" else "ca.pem")
    (files / "none").write_bytes(
        {
            "empty": b"",
            "binary": b"\xff\x00" * 99,
            "text": b"{}\n",
            "swapped": other.read_bytes(),
            "compressed": compressed(files / "node.key"),
        }[content]
    )
    given = {"--certificate": "ca.pem", "--key": "node.key"} | {option: "none"}
    line = ["node", "--address", "127.0.0.1:1", *(part for pair in given.items() for part in pair)]
    assert ended(line) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"airtune: {option} none: must be a ")
    assert len(said) <= 400


def compressed(key: Path) -> bytes:
    """Return a private key of OpenSSH whose public point says that it is compressed."""
    first, *lines, last = key.read_bytes().splitlines()
    content = bytearray(base64.b64decode(b"".join(lines)))
    point = content.index(b"nistp384", content.index(b"nistp384") + 1) + len(b"nistp384") + 4
    assert content[point] == 4
    content[point] = 2
    return b"\n".join([first, base64.b64encode(content), last, b""])


def keys(folder: Path) -> None:
    """Write a certificate and a key that a node can use."""
    pytest.importorskip("cryptography")  # comes with Flower
    from airtune.engines.flower.certificates import write_certificates, write_node_key

    for name in ("ca.pem", "node.key"):
        (folder / name).unlink()
    write_certificates(folder, ["127.0.0.1"])
    write_node_key(folder / "node.key")


def ended(line: list[str]) -> int:
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    before, sys.argv = sys.argv, ["airtune", *line]
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = before
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(end.value.code or 0)


def test_without_flower_it_says_how_to_install_it(files, monkeypatch, capsys) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    monkeypatch.chdir(files)
    line = ["node", "--address", "host:1", "--certificate", "ca.pem", "--key", "node.key"]
    assert ended(line) == 2
    assert "pip install 'airtune[flower]'" in capsys.readouterr().err


@pytest.mark.parametrize("given", [[], ["--secure"]])
def test_a_node_takes_part_in_sums_only_where_its_user_says_so(files, given, monkeypatch) -> None:
    """A run in the open is refused by the one and goes past this by the other."""
    from airtune.engines.flower import frames, supernode
    from airtune.scenario import Scenario

    keys(files)
    served = []
    monkeypatch.setattr(supernode, "serve_node", lambda node, *rest: served.append(node))
    line = ["node", "--address", "127.0.0.1:1", "--certificate", "ca.pem", "--key", "node.key"]
    assert ended([*line, *given]) == 0
    scenario = Scenario(model={"source": "owner/name"}).to_dict()  # no node opens it unasked
    begin = {"do": "begin", "run": "r", "message": "m", "scenario": scenario, "seed": 1}
    said = frames.unpack(served[0].answer(frames.pack(begin)))[0]["error"]
    assert ("takes part in sums only (--secure)" in said) == bool(given)
    assert ("--allow" in said) != bool(given)
