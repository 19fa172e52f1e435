"""What a node tells its user of the way to its SuperLink."""

from __future__ import annotations

import pytest

from airtune.engines.flower import supernode
from airtune.engines.flower.certificates import write_certificates
from airtune.engines.flower.programs import free_port
from airtune.errors import FailedError


class Ended:
    """Flower's process, which has ended."""

    running = False

    def __init__(self, *given: object) -> None:
        self.closed = False

    def said(self, lines: int) -> str:
        return "INFO : Up ERROR : Exit Code: 305 No way. For more information"

    def close(self) -> None:
        self.closed = True


def test_a_node_tells_that_nobody_answers_yet_and_why_it_has_ended(monkeypatch, tmp_path) -> None:
    pytest.importorskip("httpx")  # comes with Flower
    monkeypatch.setattr(supernode, "Kept", Ended)
    monkeypatch.setattr(supernode, "serve", lambda node, path, running: None)
    told: list[str] = []
    address = f"127.0.0.1:{free_port()}"
    write_certificates(tmp_path, ["127.0.0.1"])
    ended = r"does not know its key, or --certificate not the SuperLink \(Exit Code: 305 No way\.\)"
    with pytest.raises(FailedError, match=ended) as error:
        supernode.serve_node(None, address, tmp_path / "ca.pem", tmp_path / "key", told.append)  # type: ignore[arg-type]
    assert [line.split()[0] for line in told] == ["joins", "nobody"]
    assert address in told[1]
    assert len(str(error.value)) <= 400
