"""Files without an end, as scenarios and as what they extend, are refused and not waited for."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from airtune.errors import InputError
from airtune.scenario import file as scenario_file
from airtune.scenario import reading

ENDLESS = ["pipe", "/dev/zero", "/proc/kmsg", "/proc/self/pagemap"]


@pytest.fixture(autouse=True)
def _at_most_ten_seconds() -> Iterator[None]:
    def stop(*_: object) -> None:
        pytest.fail("it is waited for")  # no OSError, which a reader would tell as its own

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("extended", [False, True])
def test_a_file_without_an_end_is_refused(tmp_path: Path, name: str, extended: bool) -> None:
    if name == "pipe":
        name = str(tmp_path / "pipe.yaml")
        os.mkfifo(name)
    if not Path(name).exists():
        pytest.skip(f"no {name} here")
    source = Path(name)
    if extended:
        source = tmp_path / "mine.yaml"
        source.write_text(f"extends: {name}\n")
    told = "is a pipe or a device|has no end|is longer than|cannot be read as text"
    with pytest.raises(InputError, match=rf"{name}: ({told})") as refused:
        scenario_file.load(source)
    assert len(str(refused.value)) <= 400


def test_a_file_is_read_to_its_limit_and_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"seed: 3\r\nname: a\r\n")
    monkeypatch.setattr(reading, "MOST_BYTES", 18)
    assert scenario_file.load(path).seed == 3
    path.write_bytes(b"seed: 3\r\nname: ab\r\n")
    with pytest.raises(InputError, match="is longer than 18 bytes"):
        scenario_file.load(path)
